// The nine methods: from a request's arguments to its answer, by way of the store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/gather.hpp"
#include "codec/request_decoder.hpp"
#include "rpc/frame.hpp"
#include "server/backend.hpp"
#include "server/metrics.hpp"
#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"
#include "simdrive/server.hpp"

namespace simdrive::server {

[[nodiscard]] Call call_of(std::uint64_t method_id) noexcept;
[[nodiscard]] constexpr bool is_write(Call call) noexcept {
  return call == Call::write || call == Call::batch_write || call == Call::erase;
}

/// Memory that one call after another uses. One thread at a time.
struct Scratch {
  /// Calls that take much have to ask `room`, if there is one.
  explicit Scratch(const ServerLimits& limits, codec::MemoryAccount* room = nullptr) noexcept
      : account(room),
        requests({.max_items = limits.max_batch_items, .max_unpacked = limits.max_request, .account = room}) {}

  codec::MemoryAccount* account;
  codec::RequestDecoder requests;
  Gather head;
  std::vector<std::uint64_t> sizes;

  /// Gives back what an unusually large call took.
  void trim() noexcept;
};

/// What a write does while another one has the store.
enum class Patience : std::uint8_t { wait, none };

/// What is said to a request.
struct Answer {
  rpc::Status status = rpc::Status::success;
  /// The body, or what comes before the payloads.
  Bytes head;
  /// It is an error because the request exceeds this limit.
  std::optional<Limit> exceeded;
  /// Whether all payloads found follow, one after another, and how many bytes they are.
  bool payloads = false;
  std::uint64_t payload_bytes = 0;

  [[nodiscard]] std::uint64_t body_bytes() const noexcept { return head.size() + payload_bytes; }
  void clear() noexcept;
  /// Status 2, which has text as its body.
  void fail(std::string_view text);
};

class Calls {
 public:
  Calls(Backend& backend, const ServerLimits& limits) noexcept : backend_(backend), limits_(limits) {}

  /// Carries out `call` with the arguments `args`. Payloads are looked up, but not checked: `found` holds them.
  /// False: nothing was done, since another write has the store and there is no patience for it.
  bool run(Call call, BytesView args, Patience patience, Scratch& scratch, Payloads& found,
           Answer& answer) const noexcept;
  /// Checks the payloads that follow `answer`, which becomes an error if one is damaged.
  void check(Call call, BytesView args, Scratch& scratch, Payloads& found, Answer& answer) const noexcept;
  /// Makes `answer` say why nothing was done, of arguments of which no more than the beginning need be there.
  static void turn_down(Call call, BytesView args, std::string_view why, Answer& answer);
  /// Makes `answer` say that payload `i` could not be read.
  void spoil(Call call, BytesView args, Scratch& scratch, std::size_t i, const Error& error, Answer& answer) const;

 private:
  bool carry_out(Call call, BytesView args, Patience patience, Scratch& scratch, Payloads& found, Answer& answer) const;
  bool has_room(Call call, BytesView args, std::uint64_t bytes, Scratch& scratch, Answer& answer) const;
  bool take_turn(Patience patience, Backend::Turn& turn) const;
  bool write(BytesView args, Patience patience, Scratch& scratch, Answer& answer) const;
  bool batch_write(BytesView args, Patience patience, Scratch& scratch, Answer& answer) const;
  bool erase(BytesView args, Patience patience, Scratch& scratch, Answer& answer) const;
  void exists(BytesView args, Scratch& scratch, Answer& answer) const;
  void read(Call call, BytesView args, Scratch& scratch, Payloads& found, Answer& answer) const;
  void refuse(Call call, BytesView args, const Error& error, Answer& answer) const;

  Backend& backend_;
  const ServerLimits& limits_;
};

}  // namespace simdrive::server
