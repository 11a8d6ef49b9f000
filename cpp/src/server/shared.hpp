// What the threads of one server share.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "rpc/frame.hpp"
#include "server/backend.hpp"
#include "server/gate.hpp"
#include "server/log.hpp"
#include "server/workers.hpp"
#include "simdrive/server.hpp"

namespace simdrive::server {

struct Shared {
  Shared(Backend& store, const ServerOptions& opts, std::size_t most_writers, std::size_t most_readers)
      : backend(store), limits(opts.limits), log(opts.log), writers(most_writers), readers(most_readers) {}
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  /// The body of /status. On a thread that serves.
  virtual std::string status_json() const = 0;

  Backend& backend;
  ServerLimits limits;  ///< max_unfinished_total is resolved
  GateOptions gate;
  Log log;
  /// Bytes of requests that are not complete or wait, of all connections.
  std::atomic<std::uint64_t> unfinished{0};
  std::atomic<std::uint32_t> connections{0};
  std::atomic<bool> draining{false};
  /// Last, so that their threads end before what they use. Apart, because writes wait for each other: reads do not
  /// wait for them.
  Workers writers;
  Workers readers;

 protected:
  ~Shared() = default;
};

}  // namespace simdrive::server
