// The requests of one connection as the server sees them (docs/design/wire.md, section 3.4).
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "rpc/reassembler.hpp"
#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"

namespace simdrive::rpc {

/// A request to run.
struct Request {
  std::uint32_t request_id = 0;
  std::uint64_t method_id = 0;
  /// The payload, or the metadata if there is no payload.
  Bytes args;
  bool from_payload = false;
};

/// What a peer may make the table keep. A breach is a `protocol_error`.
struct RequestTableLimits {
  /// Requests without their End, and events of failed messages.
  std::size_t max_entries = 65536;
  /// Arguments of all of them together.
  std::uint64_t max_bytes = std::uint64_t{2} << 30;
};

/// Collects events into requests. Payloads and Ends go to the oldest request with their id. The events of a
/// message that failed take effect with the next message that does not. Not thread safe.
class RequestTable {
 public:
  explicit RequestTable(RequestTableLimits limits = {}) : limits_(limits) {}

  /// Takes the events of one message. The requests to run now are appended to `ready`, in the order of their headers.
  Result<void> apply(std::span<const Event> events, bool message_failed, std::vector<Request>& ready);

  /// The ids of the requests without their End, in the order of their headers.
  [[nodiscard]] std::vector<std::uint32_t> open() const;

 private:
  struct Entry {
    std::uint64_t method_id = 0;
    bool ended = false;
    Bytes meta;
    Bytes payload;
  };
  struct HeldEvent {
    Event event;
    Bytes bytes;
  };
  // By id, then by age, so that the oldest entry of an id is found without a scan.
  using Key = std::pair<std::uint32_t, std::uint64_t>;

  Result<void> apply_one(const Event& event);
  Result<void> hold(std::span<const Event> events);
  Result<void> charge(std::size_t bytes);
  Entry* oldest(std::uint32_t request_id, Key& key);
  void take_ended(std::vector<Request>& ready);

  RequestTableLimits limits_;
  std::map<Key, Entry> entries_;
  std::vector<Key> ended_;
  std::vector<HeldEvent> held_;
  std::uint64_t age_ = 0;
  std::uint64_t bytes_ = 0;  // of `entries_` and `held_`
};

}  // namespace simdrive::rpc
