#include "server/calls.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <optional>
#include <unordered_set>
#include <utility>

#include "codec/column_reader.hpp"
#include "codec/messages.hpp"
#include "rpc/request_reader.hpp"

namespace simdrive::server {
namespace {

// What the existing servers say, which clients may look for.
constexpr std::string_view kUndecodable = "bitcode error";
constexpr std::string_view kEmptyPayload = "Payload cannot be empty.";
constexpr std::string_view kNullPayload = "NULL-byte payloads cannot be written directly.";

constexpr std::size_t kHintBytes = 16;
constexpr std::size_t kKeepBytes = std::size_t{64} << 10;
// What looking up a key, and saying what was found, take at most; and what writing an entry does.
constexpr std::uint64_t kReadBytes = 96;
constexpr std::uint64_t kWriteBytes = 64;
// Up to so many bytes of payloads, checking is quicker than finding out what was checked.
constexpr std::uint64_t kCheckAgain = std::uint64_t{1} << 20;

std::string key_hint(BytesView key) {
  if (key.empty()) return "the empty key";
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "key ";
  for (const std::uint8_t byte : key.first(std::min(key.size(), kHintBytes))) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  if (key.size() > kHintBytes) text += "... (" + std::to_string(key.size()) + " bytes)";
  return text;
}

// What the beginning of a request tells of what it is about; nothing of one that cannot be decoded so far.
std::string subject_of(Call call, BytesView args) {
  args = args.first(std::min(args.size(), rpc::WholeRequest::kBegun));
  codec::ColumnReader reader(args, std::uint64_t{8} * rpc::WholeRequest::kBegun);
  if (call == Call::batch_write || call == Call::batch_read) {
    std::uint64_t count = 0;
    if (!reader.length(count)) return {};
    return std::to_string(count) + (call == Call::batch_write ? " entries" : " keys");
  }
  const bool has_key = is_write(call) || call == Call::read || call == Call::exists;
  codec::ByteColumn key;
  return has_key && reader.value(key) ? key_hint(key.values) : std::string();
}

// "write, key 6b31: "; of a method that the server does not know, nothing.
std::string beginning_of(Call call, const std::string& subject) {
  if (call == Call::unknown) return {};
  std::string text(name_of(call));
  if (!subject.empty()) text += ", " + subject;
  text += ": ";
  return text;
}

// "write, key 6b31: <what went wrong>". Of a write that may have been applied all the same, that comes first.
std::string error_text(Call call, const std::string& subject, const Error& error) {
  const std::string_view name = name_of(call);
  std::string text(error.outcome == Outcome::unknown && is_write(call) ? rpc::kMayBeApplied : std::string_view());
  text += beginning_of(call, subject);
  std::string_view detail = error.detail;
  if (detail.starts_with(name) && detail.substr(name.size()).starts_with(": ")) detail.remove_prefix(name.size() + 2);
  text += detail.empty() ? to_string(error.code) : detail;
  if (error.code == Errc::store_corrupt && text.find(std::to_string(error.offset)) == std::string::npos) {
    text += " (at offset " + std::to_string(error.offset) + ")";
  }
  return text;
}

// Refused as the existing servers do it, before anything is written.
std::string_view fault_of_payload(BytesView payload) noexcept {
  if (payload.empty()) return kEmptyPayload;
  if (payload.size() == 1 && payload[0] == 0) return kNullPayload;
  return {};
}

void set_head(Gather& from, Answer& answer) {
  GatherCursor cursor(from);
  for (BytesView run = cursor.take(from.size()); !run.empty(); run = cursor.take(from.size())) {
    answer.head.insert(answer.head.end(), run.begin(), run.end());
  }
}

void say(std::uint64_t number, Scratch& scratch, Answer& answer) {
  scratch.head.clear();
  codec::encode_number_response(number, scratch.head);
  set_head(scratch.head, answer);
}

void say(bool yes, Answer& answer) { answer.head.push_back(yes ? 1 : 0); }  // a BOOL column of one value

}  // namespace

Call call_of(std::uint64_t method_id) noexcept {
  switch (static_cast<rpc::Method>(method_id)) {
    case rpc::Method::write: return Call::write;
    case rpc::Method::batch_write: return Call::batch_write;
    case rpc::Method::read: return Call::read;
    case rpc::Method::batch_read: return Call::batch_read;
    case rpc::Method::erase: return Call::erase;
    case rpc::Method::exists: return Call::exists;
    case rpc::Method::len: return Call::len;
    case rpc::Method::is_empty: return Call::is_empty;
    case rpc::Method::file_size: return Call::file_size;
  }
  return Call::unknown;
}

void Scratch::trim() noexcept {
  requests.trim();
  head.clear();
  if (sizes.capacity() * sizeof(sizes[0]) > kKeepBytes) std::vector<std::uint64_t>().swap(sizes);
}

void Answer::clear() noexcept {
  status = rpc::Status::success;
  if (head.capacity() > kKeepBytes) Bytes().swap(head);
  head.clear();
  payloads = false;
  payload_bytes = 0;
  exceeded.reset();
}

void Answer::fail(std::string_view text) {
  clear();
  status = rpc::Status::system_error;
  head.assign(text.begin(), text.end());
}

bool Calls::run(Call call, BytesView args, Patience patience, Scratch& scratch, Payloads& found,
                Answer& answer) const noexcept {
  try {
    answer.clear();
    return carry_out(call, args, patience, scratch, found, answer);
  } catch (const std::exception&) {
    answer.fail("the server has no memory for this request");  // what else containers throw
    return true;
  }
}

bool Calls::carry_out(Call call, BytesView args, Patience patience, Scratch& scratch, Payloads& found,
                      Answer& answer) const {
  switch (call) {
    case Call::write: return write(args, patience, scratch, answer);
    case Call::batch_write: return batch_write(args, patience, scratch, answer);
    case Call::erase: return erase(args, patience, scratch, answer);
    case Call::read:
    case Call::batch_read: read(call, args, scratch, found, answer); break;
    case Call::exists: exists(args, scratch, answer); break;
    case Call::len:
    case Call::is_empty:
    case Call::file_size: {
      const Result<std::uint64_t> number = call == Call::file_size ? backend_.file_size() : backend_.size();
      if (!number) {
        answer.fail(error_text(call, {}, number.error()));
      } else if (call == Call::is_empty) {
        say(*number == 0, answer);
      } else {
        say(*number, scratch, answer);
      }
      break;
    }
    case Call::unknown: answer.status = rpc::Status::method_not_found; break;
  }
  return true;
}

bool Calls::has_room(Call call, BytesView args, std::uint64_t bytes, Scratch& scratch, Answer& answer) const {
  if (scratch.account == nullptr || scratch.account->take(bytes)) return true;
  refuse(call, args, {Errc::protocol_error, codec::kNoRoom}, answer);
  return false;
}

bool Calls::take_turn(Patience patience, Backend::Turn& turn) const {
  if (patience == Patience::wait) return true;
  turn = backend_.try_turn();
  return turn.owns_lock();
}

bool Calls::write(BytesView args, Patience patience, Scratch& scratch, Answer& answer) const {
  const Result<KeyValue> entry = scratch.requests.write(args);
  if (!entry) {
    refuse(Call::write, args, entry.error(), answer);
    return true;
  }
  if (const std::string_view fault = fault_of_payload(entry->payload); !fault.empty()) {
    answer.fail(fault);
    return true;
  }
  Backend::Turn turn;
  if (!take_turn(patience, turn)) return false;
  const Result<std::uint64_t> tail = backend_.write(entry->key, entry->payload, std::move(turn));
  if (tail) {
    say(*tail, scratch, answer);
  } else {
    answer.fail(error_text(Call::write, key_hint(entry->key), tail.error()));
  }
  return true;
}

bool Calls::batch_write(BytesView args, Patience patience, Scratch& scratch, Answer& answer) const {
  const Result<std::span<const KeyValue>> entries = scratch.requests.batch_write(args);
  if (!entries) {
    refuse(Call::batch_write, args, entries.error(), answer);
    return true;
  }
  for (const KeyValue& entry : *entries) {
    if (const std::string_view fault = fault_of_payload(entry.payload); !fault.empty()) {
      answer.fail(fault);
      return true;
    }
  }
  if (!has_room(Call::batch_write, args, entries->size() * kWriteBytes, scratch, answer)) return true;
  Backend::Turn turn;
  if (!take_turn(patience, turn)) return false;
  const Result<std::uint64_t> tail = backend_.batch_write(*entries, std::move(turn));
  if (tail) {
    say(*tail, scratch, answer);
  } else {
    std::string subject = std::to_string(entries->size()) + " entries";
    if (!entries->empty()) subject += ", the first with " + key_hint(entries->front().key);
    answer.fail(error_text(Call::batch_write, subject, tail.error()));
  }
  return true;
}

bool Calls::erase(BytesView args, Patience patience, Scratch& scratch, Answer& answer) const {
  const Result<BytesView> key = scratch.requests.key(args);
  if (!key) {
    refuse(Call::erase, args, key.error(), answer);
    return true;
  }
  Backend::Turn turn;
  if (!take_turn(patience, turn)) return false;
  const Result<std::uint64_t> tail = backend_.erase(*key, std::move(turn));
  if (tail) {
    say(*tail, scratch, answer);
  } else {
    answer.fail(error_text(Call::erase, key_hint(*key), tail.error()));
  }
  return true;
}

void Calls::exists(BytesView args, Scratch& scratch, Answer& answer) const {
  const Result<BytesView> key = scratch.requests.key(args);
  if (!key) return refuse(Call::exists, args, key.error(), answer);
  const Result<bool> there = backend_.exists(*key);
  if (!there) return answer.fail(error_text(Call::exists, key_hint(*key), there.error()));
  say(*there, answer);
}

void Calls::read(Call call, BytesView args, Scratch& scratch, Payloads& found, Answer& answer) const {
  std::span<const BytesView> keys;
  BytesView single;
  if (call == Call::read) {
    const Result<BytesView> key = scratch.requests.key(args);
    if (!key) return refuse(call, args, key.error(), answer);
    single = *key;
    keys = {&single, 1};
  } else {
    const Result<std::span<const BytesView>> list = scratch.requests.batch_read(args);
    if (!list) return refuse(call, args, list.error(), answer);
    keys = *list;
  }
  if (!has_room(call, args, keys.size() * kReadBytes, scratch, answer)) return;
  if (auto looked_up = backend_.look_up(keys, found); !looked_up) {
    std::string subject = call == Call::read ? key_hint(single) : std::to_string(keys.size()) + " keys";
    if (call != Call::read && !keys.empty()) subject += ", the first is " + key_hint(keys.front());
    return answer.fail(error_text(call, subject, looked_up.error()));
  }
  scratch.head.clear();
  if (call == Call::read) {
    const Located& only = found.all()[0];
    codec::encode_read_response_head(only.present ? only.size : codec::kAbsent, scratch.head);
    answer.payload_bytes = only.present ? only.size : 0;
  } else {
    scratch.sizes.clear();
    for (const Located& each : found.all()) {
      scratch.sizes.push_back(each.present ? each.size : codec::kAbsent);
      answer.payload_bytes += each.present ? each.size : 0;
    }
    codec::encode_batch_read_response_head(scratch.sizes, scratch.head);
  }
  set_head(scratch.head, answer);
  answer.payloads = answer.payload_bytes != 0;
}

void Calls::check(Call call, BytesView args, Scratch& scratch, Payloads& found, Answer& answer) const noexcept {
  try {
    const std::size_t count = found.all().size();
    // A short request can name one long payload a million times: it is not checked for each.
    std::unordered_set<std::uint64_t> starts;
    const bool once = count > 1 && answer.payload_bytes > kCheckAgain;
    for (std::size_t i = 0; i < count; ++i) {
      if (found.given_up()) return;
      if (!found.all()[i].present) continue;
      if (once && !starts.insert(found.all()[i].start).second) continue;
      if (auto checked = found.check(i); !checked) return spoil(call, args, scratch, i, checked.error(), answer);
    }
  } catch (const std::exception&) {
    answer.fail("the server has no memory for this request");
  }
}

void Calls::spoil(Call call, BytesView args, Scratch& scratch, std::size_t i, const Error& error,
                  Answer& answer) const {
  // The keys may have left the scratch memory: this happens seldom enough to decode them again.
  std::string subject;
  if (call == Call::read) {
    if (const Result<BytesView> key = scratch.requests.key(args)) subject = key_hint(*key);
  } else if (const Result<std::span<const BytesView>> keys = scratch.requests.batch_read(args);
             keys && i < keys->size()) {
    subject = key_hint((*keys)[i]);
  }
  answer.fail(error_text(call, subject, error));
}

void Calls::refuse(Call call, BytesView args, const Error& error, Answer& answer) const {
  std::string why;
  std::optional<Limit> exceeded = Limit::request;
  if (error.code == Errc::out_of_memory) {
    why = "the server has no memory for this request";
    exceeded.reset();
  } else if (error.detail == codec::kNoRoom) {
    why = "the server has no room for this request beside others (its option max_unfinished_total)";
    exceeded = Limit::unfinished_total;
  } else if (error.detail == codec::kTooManyItems) {
    why = "the batch has more than " + std::to_string(limits_.max_batch_items) + " items, the server's limit for one";
  } else if (error.detail == codec::kTooManyUnpacked) {
    why = "the request stands for more than " + std::to_string(limits_.max_request) +
          " bytes, the server's limit for one";
  } else {
    return answer.fail(kUndecodable);
  }
  turn_down(call, args, why, answer);
  answer.exceeded = exceeded;
}

void Calls::turn_down(Call call, BytesView args, std::string_view why, Answer& answer) {
  std::string text = beginning_of(call, subject_of(call, args));
  text += why;
  answer.fail(text);
}

}  // namespace simdrive::server
