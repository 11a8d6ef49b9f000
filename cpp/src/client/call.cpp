#include "client/call.hpp"

#include <algorithm>
#include <cstring>

#include "client/connection.hpp"

namespace simdrive::client {

namespace {

constexpr std::size_t kErrorTextMax = 4096;

// Bytes of an INT column of one value, by its header (docs/design/wire.md, 6.2).
std::size_t number_bytes(std::uint8_t header) noexcept {
  constexpr std::array<std::uint8_t, 7> kSizes = {9, 13, 5, 11, 3, 10, 2};
  return header < kSizes.size() ? kSizes[header] : 1;
}

static_assert(ReadResult::kSmall <= 4096, "results this small live in the call's record");

}  // namespace

void Call::start(Connection& connection, std::uint32_t id) {
  connection_ = &connection;
  request_id = id;
  next_seq = 0;
  cursor = GatherCursor(*args);
  sent_before = may_be_applied();
  sent_any = sent_all = done = failed = placed = values_refused = orphan = false;
  small_have_ = 0;
  values_total_ = values_received_ = 0;
  text_.clear();
  if (reply == Reply::values) {
    if (single) {
      single->present = false;
      single->in_place = true;
      single->size = 0;
      values_.start_read(max_value_bytes);
    } else {
      values_.start_batch(batch_count, max_value_bytes);
    }
  }
}

void Call::begin(std::uint8_t status) { status_ = status; }

Result<std::size_t> Call::feed(BytesView in) {
  if (status_ != static_cast<std::uint8_t>(rpc::Status::success)) {
    const std::size_t room = kErrorTextMax - std::min(text_.size(), kErrorTextMax);
    text_.append(reinterpret_cast<const char*>(in.data()), std::min(room, in.size()));
    return in.size();
  }
  return reply == Reply::values ? feed_values(in) : feed_small(in);
}

Result<std::size_t> Call::feed_small(BytesView in) {
  for (const std::uint8_t b : in) {
    if (complete()) return Error{Errc::protocol_error, "the reply is longer than its contents", Outcome::unknown};
    small_[small_have_++] = b;
  }
  return in.size();
}

Result<std::size_t> Call::feed_values(BytesView in) {
  auto used = values_.feed(in);
  if (used && placed) values_received_ += used.value();
  if (!used || values_.state() != codec::ValuesDecoder::State::allocate) return used;
  if (!single) {
    const auto sizes = values_.sizes();
    const bool nothing = std::all_of(sizes.begin(), sizes.end(), [](auto n) { return n == kAbsent || n == 0; });
    if (nothing) {  // no byte will follow: there is nothing to place before the call is over
      targets_.assign(sizes.size(), nullptr);
      values_.set_targets(targets_);
    }
    return used;
  }
  const std::uint64_t size = values_.sizes()[0];
  if (size != kAbsent && size > ReadResult::kSmall) return used;
  single->present = size != kAbsent;
  single->size = single->present ? size : 0;
  single->in_place = true;
  target_ = single->small;
  values_.set_targets({&target_, 1});
  if (used.value() == in.size()) return used;
  auto more = values_.feed(in.subspan(used.value()));
  if (!more) return more;
  return used.value() + more.value();
}

MutableBytes Call::direct() {
  if (reply != Reply::values || status_ != 0) return {};
  return values_.direct();
}

void Call::commit(std::size_t n) {
  values_.commit(n);
  values_received_ += n;
}

Call::Moved Call::moved() const {
  if (placed) return {std::min(values_received_, values_total_), values_total_};
  return {std::min<std::uint64_t>(args->size() - cursor.remaining(), payload_bytes), payload_bytes};
}

bool Call::complete() const {
  if (status_ != static_cast<std::uint8_t>(rpc::Status::success)) return false;
  switch (reply) {
    case Reply::flag: return small_have_ == 1;
    case Reply::number: return small_have_ != 0 && small_have_ == number_bytes(small_[0]);
    case Reply::values: return values_.state() == codec::ValuesDecoder::State::done;
  }
  return false;
}

Result<void> Call::at_end() {
  if (status_ == static_cast<std::uint8_t>(rpc::Status::success)) {
    return Error{Errc::protocol_error, "the reply is shorter than its contents announce", Outcome::unknown};
  }
  return {};
}

void Call::finished(Result<void> result) {
  failed = !result;
  if (failed) {
    error = std::move(result).error();
    error.outcome = Outcome::unknown;
  } else if (status_ == static_cast<std::uint8_t>(rpc::Status::method_not_found)) {
    failed = true;
    error = {Errc::unsupported, "the server does not know this method"};
  } else if (status_ != static_cast<std::uint8_t>(rpc::Status::success)) {
    failed = true;
    std::string words = text_;
    if (status_ == static_cast<std::uint8_t>(rpc::Status::fail)) {
      const auto* p = reinterpret_cast<const std::uint8_t*>(text_.data());
      if (auto e = codec::decode_error_payload({p, text_.size()})) words = e->message;
    }
    error = {Errc::server_error, words.empty() ? "the server gave no reason" : words};
    if (words.starts_with(rpc::kMayBeApplied)) error.outcome = Outcome::unknown;
  } else if (reply == Reply::flag) {
    number = small_[0] & 1U;
  } else if (reply == Reply::number) {
    if (auto n = codec::decode_number_response({small_.data(), small_have_})) {
      number = n.value();
    } else {
      failed = true;
      error = std::move(n).error();
      error.outcome = Outcome::unknown;
    }
  }
  if (failed && sent_before) error.outcome = Outcome::unknown;
  connection_->on_finished(*this);
}

bool Call::allocate() {
  const auto sizes = values_.sizes();
  placed = true;
  for (const std::uint64_t n : sizes) values_total_ += n == kAbsent ? 0 : n;
  if (single) {
    single->present = true;
    single->in_place = false;
    single->size = sizes[0];
    if (!receiver.allocate(receiver.context, sizes.data(), 1, &target_)) return false;
    values_.set_targets({&target_, 1});
    return true;
  }
  targets_.assign(sizes.size(), nullptr);
  if (!receiver.allocate(receiver.context, sizes.data(), sizes.size(), targets_.data())) return false;
  if (values_.state() == codec::ValuesDecoder::State::allocate) values_.set_targets(targets_);
  return true;
}

}  // namespace simdrive::client
