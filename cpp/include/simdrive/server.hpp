// The server: a store for clients of SIMD R Drive, of both frame dialects at once. Safe to share between threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"
#include "simdrive/store.hpp"

namespace simdrive {

/// What clients may make the server spend. Sizes are bytes, times seconds. Every breach is answered as said, and
/// logged once a connection.
struct ServerLimits {
  /// WebSocket: Close 1009, before anything is allocated.
  std::uint64_t max_frame = std::uint64_t{16} << 20;
  std::uint64_t max_message = std::uint64_t{64} << 20;
  /// One request's payloads and keys: an error reply; the rest of the request is dropped. As much as clients send: a
  /// value of 1 GiB, a key of 1 MiB and what is around them.
  std::uint64_t max_request = (std::uint64_t{1} << 30) + (std::uint64_t{2} << 20);
  /// Keys or entries of one batch: an error reply.
  std::uint64_t max_batch_items = 1'000'000;
  /// Bytes received of requests that are not complete, on one connection and on all of them (0: a quarter of the
  /// memory of the machine): not read on, then Close 1013. The second also counts what is unpacked of requests, and
  /// kept until replies are taken: an error reply where a request stands for more than there is room for.
  std::uint64_t max_unfinished = (std::uint64_t{1} << 30) + (std::uint64_t{16} << 20);
  std::uint64_t max_unfinished_total = 0;
  /// Requests begun and not ended on one connection: Close 1008.
  std::uint32_t max_streams = 1024;
  /// Bytes of frames that came before their turn on one connection: Close 1002.
  std::uint64_t max_early_bytes = std::uint64_t{1} << 20;
  /// Frames without a request among them: Close 1008.
  std::uint64_t max_idle_frames = 100'000;
  /// Replies that wait for one client: its requests are not read on, nor carried out.
  std::uint64_t reply_queue_soft = std::uint64_t{16} << 20;
  /// More than this, or no byte taken for `stall_timeout`: cut. Not below `reply_queue_soft`, beyond which no more
  /// comes than a short reply and pongs, 1.2 MiB at most: where they are closer than that, it cuts without waiting.
  std::uint64_t reply_queue_hard = std::uint64_t{64} << 20;
  double stall_timeout = 10.0;
  /// HTTP 503 beyond it. So many descriptors are left to the rest of the process.
  std::uint32_t max_connections = 1024;
  std::uint32_t reserved_descriptors = 32;
  /// From the connection to its upgrade: closed. Header bytes and headers: HTTP 431.
  double handshake_timeout = 5.0;
  std::uint32_t max_header_bytes = 16 << 10;
  std::uint32_t max_headers = 64;
  /// A silent client is pinged, and cut with Close 1011 after `silence_timeout` without a byte.
  double ping_interval = 5.0;
  double silence_timeout = 15.0;
};

enum class LogLevel : std::uint8_t { debug, info, warning, error };

/// One thing that happened. Values are never in it, keys only as the first 16 bytes in hex.
struct LogRecord {
  LogLevel level = LogLevel::info;
  /// "listening", "insecure", "connected", "refused", "limit", "failed", "closed" or "stopped".
  std::string_view event;
  std::string_view message;  ///< for people, without a line break
  std::string_view peer;     ///< "127.0.0.1:50123"; empty: not about a connection
};

struct ServerOptions {
  /// A name or an address. Anything but a loopback address needs `insecure_bind`: nobody is asked who they are.
  std::string host = "127.0.0.1";
  /// 0: a free one.
  std::uint16_t port = 0;
  /// Not empty: listen at this path instead (unix sockets, not on Windows).
  std::string unix_path{};
  /// Of the WebSocket: visible ASCII characters without '?' and '#'. With `unix_path`, clients of this library ask for
  /// /ws.
  std::string path = "/ws";
  bool insecure_bind = false;
  /// Values of `Origin` that are let in; a request with any other is refused with 403, so that web pages cannot reach
  /// the store. Requests without one are no web page's.
  std::vector<std::string> origins{};
  /// Names that `Host` may have besides loopback names; others are refused with 403 while bound to loopback.
  std::vector<std::string> hosts{};
  /// Threads that serve; 0: as many as the machine has cores, at most 8.
  std::uint32_t threads = 0;
  /// GET /healthz and /status.
  bool status = true;
  ServerLimits limits{};
  /// Called on the server's threads, one call at a time. Must not throw, destroy the server, or wait for another thread
  /// that stops it; stop() called from here fails with `configuration`, and the server goes on. Null: no log.
  std::function<void(const LogRecord&)> log{};
};

/// Since the start, or now.
struct ServerStats {
  std::uint64_t connections = 0;  ///< now
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;   ///< 403, 404, 503 and the like
  std::uint64_t cut = 0;       ///< for a limit
  std::uint64_t requests = 0;  ///< without those of clients that ask for the dialect
  std::uint64_t errors = 0;    ///< error replies
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t entries = 0;
  std::uint64_t file_size = 0;  ///< of the file that the store has, also once its path leads elsewhere
  double uptime = 0;
  double latency_p50 = 0;  ///< seconds from the last byte of a request to its reply's being ready, of the last minute
  double latency_p99 = 0;
};

/// Serves until stop(). After fork() the child's copy is of no use: it has no threads, stop() fails with `closed`, and
/// the destructor leaves the parent's connections alone.
class Server {
 public:
  /// Starts to listen and to serve `store`, which may be used here, too, and which the server keeps open until it has
  /// stopped. Errors: `bind_failed`, `configuration` (an option, or an address that needs `insecure_bind`), `closed`
  /// (the store).
  static Result<Server> start(const Store& store, const ServerOptions& options = {});

  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  /// stop(), with its default.
  ~Server();

  /// ws://127.0.0.1:34129/ws, or ws+unix:///path (absolute, what is not plain ASCII as %20).
  [[nodiscard]] std::string url() const;
  /// As bound; 0 for a path.
  [[nodiscard]] std::uint16_t port() const noexcept;
  [[nodiscard]] ServerStats stats() const;

  /// No new connections or requests; those begun are carried out and answered, what was written is flushed, and the
  /// connections closed with 1001. After `timeout` seconds those still at work are cut, and `operation_timeout` says
  /// so; the server has stopped in any case, unless `ServerOptions::log` called it (`configuration`). Idempotent; of
  /// several calls at once the earliest deadline counts. The store stays open.
  Result<void> stop(double timeout = 5.0);
  /// Sleeps until the server has stopped, at most `seconds`: whether it has.
  bool wait(double seconds) const;
  [[nodiscard]] bool running() const noexcept;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace simdrive
