// What can go wrong, as values: no exception crosses a layer of the library.
#pragma once

#include <cassert>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace simdrive {

/// Every kind of failure the library reports. Closed: the Python package has one exception for each.
enum class Errc : std::uint8_t {
  /// A URL or an option is malformed, unknown or out of range.
  configuration = 1,
  /// A key is longer than the limit.
  invalid_key,
  /// A payload is empty, the single byte 00, or longer than the limit.
  invalid_value,
  /// The result does not fit in the buffer that the caller gave.
  buffer_too_small,
  /// Memory for a result or a request could not be had.
  out_of_memory,
  /// The server could not be reached: name look-up, refusal, no route.
  connect_failed,
  /// The server was not ready within the connect deadline.
  connect_timeout,
  /// The peer answered the upgrade, but not as a WebSocket server.
  handshake_failed,
  /// The peer speaks another dialect, or is no SIMD R Drive server.
  protocol_mismatch,
  /// The connection broke while a call was under way.
  connection_lost,
  /// The client was closed.
  closed,
  /// The deadline of a call passed.
  operation_timeout,
  /// The peer sent bytes that the protocol does not allow.
  protocol_error,
  /// The server answered with an error of its own.
  server_error,
  /// The server does not know the method.
  unsupported,
  /// The limit on calls in flight held until the deadline.
  overload,
  /// A signal handler of the caller asked for the call to end.
  interrupted,
  /// There is no store at the path.
  store_not_found,
  /// Another handle has the store open for writing.
  store_locked,
  /// A checksum or a link of the store does not match, or the file ends early.
  store_corrupt,
  /// The file is no store, or one of an older layout.
  store_format,
  /// The disk, a quota or a limit on file sizes leaves no room. Nothing was stored.
  storage_full,
  /// Reading or writing the store failed.
  store_error,
  /// The store was opened for reading, or stopped writing after a failure that it could not take back.
  store_read_only,
  /// There is no entry under the key that is to be renamed, copied or moved.
  key_not_found,
  /// A server cannot listen at its address: taken, not permitted, or not one of this machine.
  bind_failed,
  /// The library is at fault; please report it.
  internal,
};

inline constexpr int kErrcCount = static_cast<int>(Errc::internal);

/// The name of a code, as spelled above.
[[nodiscard]] std::string_view to_string(Errc code) noexcept;

/// What is known about the effect of a call that failed.
enum class Outcome : std::uint8_t {
  /// No byte of the request left the process: it did not happen.
  not_applied,
  /// The request may or may not have been carried out.
  unknown,
};

/// A failure: a code, what the code cannot say, and whether the request may have taken effect.
struct Error {
  Errc code = Errc::internal;
  std::string detail;
  Outcome outcome = Outcome::not_applied;
  /// Byte offset of the fault where a decoder found it, or in the file; index of the item of a batch that was refused;
  /// else 0.
  std::uint64_t offset = 0;
  /// Seconds from the start of the call to the failure, else 0.
  double elapsed = 0;
  /// How often the request was tried.
  std::uint32_t attempts = 1;
  /// Why there was no connection, for a call that waited for one until its deadline; empty: something else failed.
  std::string cause{};
  Errc cause_code = Errc::connect_failed;
  /// The server is too busy for this client: it closed with code 1013, or declined the upgrade with a Retry-After.
  bool try_later = false;
  /// Seconds that it asked to wait for, or 0.
  double retry_after = 0;
  /// errno of the system call on a file that failed (on Windows what comes nearest), else 0.
  int system_code = 0;
};

/// A value or an `Error`. Like `std::expected`, which C++20 does not have yet.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  [[nodiscard]] T& value() & { return *std::get_if<0>(&state_); }
  [[nodiscard]] const T& value() const& { return *std::get_if<0>(&state_); }
  [[nodiscard]] T&& value() && { return std::move(*std::get_if<0>(&state_)); }
  [[nodiscard]] T& operator*() & { return value(); }
  [[nodiscard]] const T& operator*() const& { return value(); }
  [[nodiscard]] T* operator->() { return &value(); }
  [[nodiscard]] const T* operator->() const { return &value(); }
  [[nodiscard]] Error& error() & { return *std::get_if<1>(&state_); }
  [[nodiscard]] const Error& error() const& { return *std::get_if<1>(&state_); }
  [[nodiscard]] Error&& error() && { return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Error> state_;
};

/// Success, or an `Error`.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  explicit operator bool() const noexcept { return ok_; }
  [[nodiscard]] Error& error() & { return error_; }
  [[nodiscard]] const Error& error() const& { return error_; }
  [[nodiscard]] Error&& error() && { return std::move(error_); }

 private:
  Error error_;
  bool ok_ = true;
};

}  // namespace simdrive
