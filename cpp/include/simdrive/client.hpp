// The client: keys and payloads on a SIMD R Drive server. Safe to share between threads.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"
#include "simdrive/progress.hpp"

namespace simdrive {

namespace client {
class Session;
}

/// "No limit" wherever a time in seconds is asked for.
inline constexpr double kNoLimit = std::numeric_limits<double>::infinity();

/// Which writes and deletes are tried again after their connection was lost. Reads always are.
enum class RetryWrites : std::uint8_t {
  unsent,  ///< only if no byte of the request left the process
  always,  ///< also if it may have been applied already: the last write wins, twice the same is acceptable
  never,
};

/// When calls are tried again, and how long a new connection waits after one that failed. A call's `timeout` covers it
/// all. Full jitter: "Exponential Backoff and Jitter", M. Brooker, 2015; here never less than `base`.
struct Retry {
  /// Further tries of one call; 0: none, and a call without a connection fails with the first error of connecting.
  std::uint32_t retries = 3;
  double base = 0.05;
  double cap = 2.0;
  /// Waits are drawn between `base` and their limit; else they are the limit.
  bool jitter = true;
  RetryWrites writes = RetryWrites::unsent;
  /// Wait through refused connections, and try again after lost ones.
  bool on_connect_failed = true;
  bool on_connection_lost = true;

  /// The longest wait before the next try after so many failures in a row (1 for the first).
  [[nodiscard]] double limit(std::uint32_t failures) const noexcept;
};

/// How to reach a server. Times are seconds, sizes bytes.
struct Options {
  /// ws://host[:port][/path]; port 34129 and path /ws by default. Or ws+unix:///path/of/socket (not on Windows), where
  /// %xx is a byte of the path.
  std::string url = "ws://127.0.0.1:34129/ws";
  /// Name look-up, TCP connect, upgrade and dialect probe together.
  double connect_timeout = 5.0;
  /// One whole call, retries and reconnects included.
  double timeout = 30.0;
  /// Longest silence while a reply is due.
  double idle_timeout = 60.0;
  /// How long close() waits for the server to confirm that it has closed, too.
  double close_timeout = 2.0;
  double ping_interval = 20.0;
  double ping_timeout = 60.0;
  std::uint64_t max_value_size = std::uint64_t{1} << 30;
  std::uint64_t max_key_size = std::uint64_t{1} << 20;
  std::uint32_t max_inflight = 1024;
  std::uint64_t max_inflight_bytes = std::uint64_t{256} << 20;
  /// "auto", "d13" or "d21": the frame dialect that the server must speak. One that speaks both (ours) takes "auto" for
  /// "d13".
  std::string wire = "auto";
  Retry retry{};
  /// Longest random wait before the first reconnect after the server ended the connection: its other clients lost
  /// theirs in the same moment.
  double reconnect_spread = 1.0;
};

struct CallOptions {
  /// Deadline of this call in seconds; negative: the client's `timeout`.
  double timeout = -1.0;
  Interrupt interrupt;
  Progress progress{};
};

/// `sizes` entry of a key without a value.
inline constexpr std::uint64_t kAbsent = std::numeric_limits<std::uint64_t>::max();

/// Where values larger than `ReadResult::kSmall` go.
struct Receiver {
  void* context = nullptr;
  /// Fills `targets` with one pointer per value, each with room for its size (ignored where kAbsent or 0). Called on
  /// the thread that made the call or, while that one runs its Interrupt or Progress, on another one that waits for a
  /// reply; with no lock held; must not throw, nor call the client. False: the values cannot be taken, the call fails.
  bool (*allocate)(void* context, const std::uint64_t* sizes, std::size_t count, std::uint8_t** targets) = nullptr;
};

/// The value of one key. Small values arrive in place, without a call to the receiver.
struct ReadResult {
  static constexpr std::size_t kSmall = 4096;
  bool present = false;
  bool in_place = false;
  std::uint64_t size = 0;
  std::uint8_t small[kSmall];  // uninitialised on purpose
};

/// What is known of the server at the other end.
struct ServerInfo {
  /// "d13" or "d21".
  std::string dialect;
};

/// Something that happened to a client's connection.
struct Event {
  enum class Kind : std::uint8_t { connected, lost, retrying };
  Kind kind = Kind::connected;
  /// `retrying`: failures in a row, and seconds until the next try.
  std::uint32_t attempt = 0;
  double delay = 0;
  /// `connected`, which the first connection is not told: the dialect. Else what went wrong.
  std::string detail;
};

/// What a client has done since it was opened.
struct ClientCounters {
  std::uint64_t calls = 0;
  std::uint64_t sends = 0;  // system calls that sent bytes
  std::uint64_t connections = 0;
};

/// One client, one connection at a time. A lost connection is replaced in the background, for as long as the client is
/// open; calls wait for it until their deadline. After fork() the child's copy opens a connection of its own. Every
/// function may fail with `operation_timeout`, `connection_lost`,
/// `connect_failed`, `connect_timeout`, `closed`, `protocol_error`, `server_error` or `overload`.
class Client {
 public:
  /// Opens and verifies a connection (one round trip). Also: `configuration`, `handshake_failed`, `protocol_mismatch`.
  static Result<Client> connect(Options options, Interrupt interrupt = {});
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  /// Stores `payload` under `key`. Also: `invalid_key`, `invalid_value`, both before a byte is sent.
  Result<void> write(BytesView key, BytesView payload, const CallOptions& options = {});
  /// Stores all entries in one request; the last of equal keys wins.
  Result<void> batch_write(std::span<const KeyValue> entries, const CallOptions& options = {});
  /// The payload under `key`, or nothing.
  Result<std::optional<Bytes>> read(BytesView key, const CallOptions& options = {});
  /// The same into memory of the caller's choice.
  Result<void> read(BytesView key, const Receiver& receiver, ReadResult& result, const CallOptions& options = {});
  /// One payload per key, in order.
  Result<std::vector<std::optional<Bytes>>> batch_read(std::span<const BytesView> keys,
                                                       const CallOptions& options = {});
  Result<void> batch_read(std::span<const BytesView> keys, const Receiver& receiver, const CallOptions& options = {});
  /// Removes a key; no error if it is absent. Python: `delete`.
  Result<void> erase(BytesView key, const CallOptions& options = {});
  Result<bool> exists(BytesView key, const CallOptions& options = {});
  /// Number of keys.
  Result<std::uint64_t> size(const CallOptions& options = {});
  Result<bool> empty(const CallOptions& options = {});
  /// Bytes of the server's store file.
  Result<std::uint64_t> file_size(const CallOptions& options = {});
  /// Seconds that one round trip takes.
  Result<double> ping(const CallOptions& options = {});
  Result<ServerInfo> server_info(const CallOptions& options = {});

  /// Ends the connection; calls under way fail with `closed`. Waits up to `timeout` seconds (negative: the client's
  /// `close_timeout`) for the server to confirm; the destructor does not wait. Idempotent.
  void close(double timeout = -1.0) noexcept;
  [[nodiscard]] bool closed() const noexcept;
  [[nodiscard]] const Options& options() const noexcept;
  [[nodiscard]] ClientCounters counters() const noexcept;
  /// Whether take_events() has any.
  [[nodiscard]] bool has_events() const noexcept;
  /// What happened to the connection since the last call, oldest first; the first ones are dropped above 64.
  [[nodiscard]] std::vector<Event> take_events();
  /// host:port/path, as messages name it.
  [[nodiscard]] const std::string& endpoint() const noexcept;

 private:
  friend class Pipeline;
  struct Impl;
  [[nodiscard]] std::shared_ptr<client::Session> session() const;
  explicit Client(std::shared_ptr<Impl> impl) noexcept;
  std::shared_ptr<Impl> impl_;  // and of the thread that reconnects
};

}  // namespace simdrive
