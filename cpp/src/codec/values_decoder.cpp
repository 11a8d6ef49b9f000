#include "codec/values_decoder.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <exception>

namespace simdrive::codec {

namespace {

/// A slot whose value is present, of a length not read yet.
constexpr std::uint64_t kPresent = 0;
/// Sizes kept between batches: as much as a batch of this many values needs.
constexpr std::size_t kKeepSizes = 4096;
/// Values unpacked at once.
constexpr std::size_t kChunk = 1024;

constexpr const char* kNoMemory = "out of memory before";
constexpr const char* kTooLarge = "values are larger than max_value_size allows";

}  // namespace

void ValuesDecoder::start(Phase first, std::uint64_t count, std::uint64_t max_total_bytes) noexcept {
  phase_ = first;
  fault_ = nullptr;
  received_ = 0;
  count_ = count;
  max_total_ = std::min(max_total_bytes, kLengthSumLimit - 1);
  total_ = 0;
  present_count_ = 0;
  large_count_ = 0;
  next_ = 0;
  at_ = 0;
  targets_ = {};
}

void ValuesDecoder::start_read(std::uint64_t max_value_bytes) noexcept {
  batch_ = false;
  start(Phase::present, 1, max_value_bytes);
}

void ValuesDecoder::start_batch(std::uint64_t count, std::uint64_t max_total_bytes) {
  batch_ = true;
  if (batch_sizes_.capacity() > kKeepSizes) std::vector<std::uint64_t>().swap(batch_sizes_);
  batch_sizes_.clear();
  start(Phase::count_low, count, max_total_bytes);
}

ValuesDecoder::State ValuesDecoder::state() const noexcept {
  switch (phase_) {
    case Phase::allocate: return State::allocate;
    case Phase::body: return State::body;
    case Phase::done: return State::done;
    default: return State::head;
  }
}

Result<std::size_t> ValuesDecoder::feed(BytesView in) {
  BytesView rest = in;
  if (fault_ == nullptr) {
    try {
      for (Phase before = phase_;; before = phase_) {
        fault_ = step(rest);
        if (fault_ != nullptr || phase_ == before) break;
      }
    } catch (const std::exception&) {
      // Only the list of sizes grows, and only for want of memory can that fail.
      fault_ = kNoMemory;
      return Error{.code = Errc::out_of_memory, .detail = {}, .outcome = Outcome::unknown};
    }
    received_ += in.size() - rest.size();
  }
  if (fault_ != nullptr) {
    return Error{.code = Errc::protocol_error, .detail = fault_, .outcome = Outcome::unknown, .offset = received_};
  }
  return in.size() - rest.size();
}

/// Takes what the current phase can use. The phase stays: it needs more bytes, or the owner's targets.
ValuesDecoder::Fault ValuesDecoder::step(BytesView& rest) {
  switch (phase_) {
    case Phase::count_low: return take_count_low(rest);
    case Phase::count_large: return take_count_large(rest);
    case Phase::present: return take_presence(rest);
    case Phase::lengths_low: return take_lengths_low(rest);
    case Phase::lengths_large: return take_lengths_large(rest);
    case Phase::body_head: return take_body_head(rest);
    case Phase::allocate: return nullptr;
    case Phase::body: take_body(rest); return nullptr;
    case Phase::done: break;
  }
  return rest.empty() ? nullptr : "surplus bytes after the message";
}

ValuesDecoder::Fault ValuesDecoder::take_count_low(BytesView& rest) noexcept {
  if (rest.empty()) return nullptr;
  const std::uint8_t low = rest[0];
  rest = rest.subspan(1);
  if (low < kLargeLength) return check_count(low);
  ints_.start(1);
  phase_ = Phase::count_large;
  return nullptr;
}

ValuesDecoder::Fault ValuesDecoder::take_count_large(BytesView& rest) noexcept {
  if (!ints_.take_head(rest)) return "bad header of the count of values";
  std::uint64_t n = 0;
  if (!ints_.ready() || ints_.take(rest, std::span(&n, 1)) == 0) return nullptr;
  return check_count(n);
}

ValuesDecoder::Fault ValuesDecoder::check_count(std::uint64_t n) noexcept {
  if (n != count_) return "wrong count of values";
  phase_ = Phase::present;
  return nullptr;
}

ValuesDecoder::Fault ValuesDecoder::take_presence(BytesView& rest) {
  const std::uint64_t wanted = div_up(count_ - next_, 8);
  const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(rest.size(), wanted));
  const auto end = static_cast<std::size_t>(std::min<std::uint64_t>(count_, next_ + std::uint64_t{bytes} * 8));
  if (batch_) batch_sizes_.resize(end);
  for (const std::size_t start = next_; next_ < end; ++next_) {
    const std::size_t bit = next_ - start;
    const bool present = (rest[bit / 8] >> (bit % 8) & 1) != 0;
    slot(next_) = present ? kPresent : kAbsent;
    present_count_ += present ? 1 : 0;
  }
  rest = rest.subspan(bytes);
  if (next_ == count_) {
    bytes_.start(present_count_);
    next_ = 0;
    phase_ = Phase::lengths_low;
  }
  return nullptr;
}

ValuesDecoder::Fault ValuesDecoder::add_length(std::uint64_t length) noexcept {
  if (length > max_total_ - total_) return kTooLarge;
  total_ += length;
  return nullptr;
}

ValuesDecoder::Fault ValuesDecoder::take_lengths_low(BytesView& rest) noexcept {
  if (!bytes_.take_head(rest)) return "bad header of the lengths";
  if (!bytes_.ready()) return nullptr;
  std::array<std::uint8_t, 256> chunk;
  while (const std::size_t n = bytes_.take(rest, chunk)) {
    for (std::size_t i = 0; i < n; ++i, ++next_) {
      while (slot(next_) == kAbsent) ++next_;
      slot(next_) = chunk[i];
      if (chunk[i] == kLargeLength) {
        ++large_count_;
      } else if (Fault fault = add_length(chunk[i])) {
        return fault;
      }
    }
  }
  if (bytes_.left() == 0) {
    ints_.start(large_count_);
    next_ = 0;
    phase_ = Phase::lengths_large;
  }
  return nullptr;
}

ValuesDecoder::Fault ValuesDecoder::take_lengths_large(BytesView& rest) noexcept {
  if (!ints_.take_head(rest)) return "bad header of the large lengths";
  if (!ints_.ready()) return nullptr;
  std::array<std::uint64_t, 64> chunk;
  while (const std::size_t n = ints_.take(rest, chunk)) {
    for (std::size_t i = 0; i < n; ++i, ++next_) {
      while (slot(next_) != kLargeLength) ++next_;
      slot(next_) = chunk[i];
      if (Fault fault = add_length(chunk[i])) return fault;
    }
  }
  if (ints_.left() == 0) {
    bytes_.start(total_);
    next_ = 0;
    phase_ = Phase::body_head;
  }
  return nullptr;
}

ValuesDecoder::Fault ValuesDecoder::take_body_head(BytesView& rest) noexcept {
  if (!bytes_.take_head(rest)) return "bad header of the values";
  if (bytes_.ready()) phase_ = Phase::allocate;
  return nullptr;
}

std::span<const std::uint64_t> ValuesDecoder::sizes() const noexcept {
  return {batch_ ? batch_sizes_.data() : &single_size_, static_cast<std::size_t>(count_)};
}

void ValuesDecoder::set_targets(std::span<std::uint8_t* const> targets) noexcept {
  assert(phase_ == Phase::allocate && targets.size() == count_);
  targets_ = targets;
  phase_ = Phase::body;
  settle();
}

/// Moves on to the next value that still lacks bytes.
void ValuesDecoder::settle() noexcept {
  if (bytes_.left() == 0) {
    phase_ = Phase::done;
    return;
  }
  while (slot(next_) == kAbsent || at_ == slot(next_)) {
    ++next_;
    at_ = 0;
  }
}

MutableBytes ValuesDecoder::direct() const noexcept {
  if (phase_ != Phase::body || !bytes_.raw()) return {};
  return {targets_[next_] + at_, static_cast<std::size_t>(sizes()[next_] - at_)};
}

void ValuesDecoder::commit(std::size_t n) noexcept {
  assert(n <= direct().size());
  if (n == 0) return;
  received_ += n;
  bytes_.skip(n);
  at_ += n;
  settle();
}

void ValuesDecoder::take_body(BytesView& rest) noexcept {
  if (bytes_.raw()) {
    while (phase_ == Phase::body && !rest.empty()) {
      const MutableBytes room = direct();
      const std::size_t n = std::min(room.size(), rest.size());
      std::memcpy(room.data(), rest.data(), n);
      rest = rest.subspan(n);
      bytes_.skip(n);
      at_ += n;
      settle();
    }
    return;
  }
  std::array<std::uint8_t, kChunk> chunk;
  while (const std::size_t n = bytes_.take(rest, chunk)) deliver(BytesView(chunk).first(n));
  if (bytes_.left() == 0) phase_ = Phase::done;
}

/// Copies unpacked values into the targets.
void ValuesDecoder::deliver(BytesView values) noexcept {
  while (!values.empty()) {
    while (slot(next_) == kAbsent || at_ == slot(next_)) {
      ++next_;
      at_ = 0;
    }
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(slot(next_) - at_, values.size()));
    std::memcpy(targets_[next_] + at_, values.data(), n);
    values = values.subspan(n);
    at_ += n;
  }
}

Result<void> ValuesDecoder::finish() const {
  if (fault_ == nullptr && phase_ == Phase::done) return {};
  return Error{.code = Errc::protocol_error,
               .detail = fault_ != nullptr ? fault_ : "message is too short",
               .outcome = Outcome::unknown,
               .offset = received_};
}

}  // namespace simdrive::codec
