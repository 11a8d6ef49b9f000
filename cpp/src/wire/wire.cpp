#include "simdrive/wire.hpp"

#include <utility>

#include "codec/messages.hpp"
#include "rpc/dialect.hpp"
#include "rpc/frame_writer.hpp"

namespace simdrive::wire {
namespace {

constexpr std::array<std::string_view, kMessageTypeCount> kTypeNames = {
    "write_request",        "batch_write_request", "read_request",        "batch_read_request", "delete_request",
    "exists_request",       "len_request",         "is_empty_request",    "file_size_request",  "write_response",
    "batch_write_response", "read_response",       "batch_read_response", "delete_response",    "exists_response",
    "len_response",         "is_empty_response",   "file_size_response",  "error_payload",
};

constexpr std::array<std::pair<std::string_view, rpc::Method>, 9> kMethods = {{
    {"write", rpc::Method::write},
    {"batch_write", rpc::Method::batch_write},
    {"read", rpc::Method::read},
    {"batch_read", rpc::Method::batch_read},
    {"delete", rpc::Method::erase},
    {"exists", rpc::Method::exists},
    {"len", rpc::Method::len},
    {"is_empty", rpc::Method::is_empty},
    {"file_size", rpc::Method::file_size},
}};

constexpr rpc::Dialect to_rpc(Dialect d) noexcept { return d == Dialect::d13 ? rpc::Dialect::d13 : rpc::Dialect::d21; }

Error unsuited(MessageType type) {
  return {Errc::invalid_value, "the fields do not suit " + std::string(to_string(type)), Outcome::not_applied, 0};
}

Bytes join(const Gather& gather) {
  Bytes out;
  out.reserve(gather.size());
  for (std::size_t i = 0; i < gather.run_count(); ++i) {
    const BytesView run = gather.run(i);
    out.insert(out.end(), run.begin(), run.end());
  }
  return out;
}

bool all_present(const std::vector<std::optional<Bytes>>& payloads) {
  for (const auto& p : payloads) {
    if (!p) return false;
  }
  return true;
}

bool encode_write(MessageType type, const Fields& f, Gather& out) {
  if (f.payloads.size() != f.keys.size() || !all_present(f.payloads)) return false;
  if (type == MessageType::write_request) {
    if (f.keys.size() != 1) return false;
    codec::encode_write_request(f.keys[0], *f.payloads[0], out, codec::Packing::canonical);
    return true;
  }
  std::vector<KeyValue> entries;
  entries.reserve(f.keys.size());
  for (std::size_t i = 0; i < f.keys.size(); ++i) entries.push_back({f.keys[i], *f.payloads[i]});
  codec::encode_batch_write_request(entries, out, codec::Packing::canonical);
  return true;
}

bool encode_values(MessageType type, const Fields& f, Gather& out) {
  std::vector<std::optional<BytesView>> values(f.payloads.begin(), f.payloads.end());
  if (type == MessageType::batch_read_response) {
    codec::encode_batch_read_response(values, out, codec::Packing::canonical);
    return true;
  }
  if (values.size() != 1) return false;
  codec::encode_read_response(values[0], out, codec::Packing::canonical);
  return true;
}

bool encode_fields(MessageType type, const Fields& f, Gather& out) {
  switch (type) {
    case MessageType::write_request:
    case MessageType::batch_write_request: return encode_write(type, f, out);
    case MessageType::read_request:
    case MessageType::delete_request:
    case MessageType::exists_request:
      if (f.keys.size() != 1) return false;
      codec::encode_key_request(f.keys[0], out, codec::Packing::canonical);
      return true;
    case MessageType::batch_read_request:
      codec::encode_batch_read_request(std::vector<BytesView>(f.keys.begin(), f.keys.end()), out,
                                       codec::Packing::canonical);
      return true;
    case MessageType::len_request:
    case MessageType::is_empty_request:
    case MessageType::file_size_request: return true;
    case MessageType::write_response:
    case MessageType::batch_write_response:
    case MessageType::delete_response:
    case MessageType::len_response:
    case MessageType::file_size_response: codec::encode_number_response(f.number, out); return true;
    case MessageType::read_response:
    case MessageType::batch_read_response: return encode_values(type, f, out);
    case MessageType::exists_response:
    case MessageType::is_empty_response: codec::encode_bool_response(f.flag, out); return true;
    case MessageType::error_payload:
      if (f.code > 2) return false;
      codec::encode_error_payload(f.code, f.text, out);
      return true;
  }
  return false;
}

// Puts a decoded value into its field.
template <class T, class Put>
Result<Fields> into_fields(Result<T> decoded, Put put) {
  if (!decoded.ok()) return std::move(decoded).error();
  Fields f;
  put(f, std::move(decoded).value());
  return f;
}

void put_entry(Fields& f, codec::WriteRequest&& entry) {
  f.keys.push_back(std::move(entry.key));
  f.payloads.emplace_back(std::move(entry.payload));
}

}  // namespace

std::string_view to_string(MessageType type) noexcept {
  const auto i = static_cast<std::size_t>(type);
  return i < kTypeNames.size() ? kTypeNames[i] : "unknown";
}

std::optional<MessageType> parse_message_type(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kTypeNames.size(); ++i) {
    if (kTypeNames[i] == name) return static_cast<MessageType>(i);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> method_id(std::string_view name) noexcept {
  for (const auto& [known, id] : kMethods) {
    if (known == name) return static_cast<std::uint64_t>(id);
  }
  return std::nullopt;
}

Result<Bytes> encode(MessageType type, const Fields& fields) {
  Gather out;
  if (!encode_fields(type, fields, out)) return unsuited(type);
  return join(out);
}

Result<Fields> decode(MessageType type, BytesView bytes) {
  switch (type) {
    case MessageType::write_request:
      return into_fields(codec::decode_write_request(bytes),
                         [](Fields& f, codec::WriteRequest&& r) { put_entry(f, std::move(r)); });
    case MessageType::batch_write_request:
      return into_fields(codec::decode_batch_write_request(bytes), [](Fields& f, codec::BatchWriteRequest&& r) {
        for (codec::WriteRequest& entry : r.entries) put_entry(f, std::move(entry));
      });
    case MessageType::read_request:
    case MessageType::delete_request:
    case MessageType::exists_request:
      return into_fields(codec::decode_key_request(bytes),
                         [](Fields& f, Bytes&& key) { f.keys.push_back(std::move(key)); });
    case MessageType::batch_read_request:
      return into_fields(codec::decode_batch_read_request(bytes),
                         [](Fields& f, std::vector<Bytes>&& keys) { f.keys = std::move(keys); });
    case MessageType::len_request:
    case MessageType::is_empty_request:
    case MessageType::file_size_request:
      if (!bytes.empty()) return Error{Errc::protocol_error, "surplus bytes", Outcome::not_applied, 0};
      return Fields{};
    case MessageType::write_response:
    case MessageType::batch_write_response:
    case MessageType::delete_response:
    case MessageType::len_response:
    case MessageType::file_size_response:
      return into_fields(codec::decode_number_response(bytes), [](Fields& f, std::uint64_t n) { f.number = n; });
    case MessageType::read_response:
      return into_fields(codec::decode_read_response(bytes),
                         [](Fields& f, std::optional<Bytes>&& v) { f.payloads.push_back(std::move(v)); });
    case MessageType::batch_read_response:
      return into_fields(codec::decode_batch_read_response(bytes),
                         [](Fields& f, std::vector<std::optional<Bytes>>&& v) { f.payloads = std::move(v); });
    case MessageType::exists_response:
    case MessageType::is_empty_response:
      return into_fields(codec::decode_bool_response(bytes), [](Fields& f, bool b) { f.flag = b; });
    case MessageType::error_payload:
      return into_fields(codec::decode_error_payload(bytes), [](Fields& f, codec::ErrorPayload&& e) {
        f.code = e.code;
        f.text = std::move(e.message);
      });
  }
  return unsuited(type);
}

std::vector<Bytes> encode_request_frames(Dialect dialect, std::uint32_t stream_id, std::uint32_t request_id,
                                         std::uint64_t method_id, BytesView args, std::uint64_t timestamp_micros) {
  return rpc::encode_request_frames(to_rpc(dialect), stream_id, request_id, method_id, args, timestamp_micros);
}

std::vector<Bytes> encode_response_frames(Dialect dialect, std::uint32_t stream_id, std::uint32_t request_id,
                                          std::uint64_t method_id, std::uint8_t status, BytesView body,
                                          std::uint64_t timestamp_micros) {
  return rpc::encode_response_frames(to_rpc(dialect), stream_id, request_id, method_id, status, body, timestamp_micros);
}

const std::array<std::uint8_t, 66>& probe() noexcept { return rpc::kProbe; }

std::optional<Dialect> judge_probe(BytesView first_message) noexcept {
  const auto d = rpc::judge_probe_answer(first_message);
  if (!d) return std::nullopt;
  return *d == rpc::Dialect::d13 ? Dialect::d13 : Dialect::d21;
}

}  // namespace simdrive::wire
