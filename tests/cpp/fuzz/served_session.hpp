// A server's session on one end of a socket pair, and its client at the other: no threads, no waiting, and a clock that
// only the fuzzer moves.
#pragma once

#include <sanitizer/allocator_interface.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/socket_os.hpp"
#include "server/session.hpp"
#include "server/store_backend.hpp"
#include "simdrive/store.hpp"

namespace simdrive::fuzzing {

inline void require(bool condition) {
  if (!condition) std::abort();
}

inline Store new_store() {
  auto store = Store::memory();
  require(store.ok());
  return std::move(store).value();
}

/// What is done on a thread of the service elsewhere is done where it is asked for: its pool has ended.
class Service final : public server::Shared {
 public:
  Service(server::Backend& backend, const ServerOptions& options) : Shared(backend, options, 1, 1) {
    gate.path = options.path;
    gate.origins = options.origins;
    gate.hosts = options.hosts;
    writers.stop();
    readers.stop();
  }
  std::string status_json() const override { return "{}"; }
};

class Host final : public server::SessionHost {
 public:
  explicit Host(server::Shared& all) : SessionHost(all) {}
  void work_done(server::Session&) noexcept override { ++done; }
  unsigned done = 0;
};

class ServedSession {
 public:
  /// `narrow`: the system takes little at once.
  ServedSession(const ServerOptions& options, bool narrow)
      : before_(__sanitizer_get_current_allocated_bytes()),
        store_(new_store()),
        backend_(store_),
        service_(backend_, options),
        host_(service_) {
    int fds[2];
    require(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    net::Socket ours(fds[0]);
    client_ = net::Socket(fds[1]);
    require(net::prepare_socket(ours.fd()) && net::prepare_socket(client_.fd()));
    const int few = 2048;
    if (narrow) require(::setsockopt(ours.fd(), SOL_SOCKET, SO_SNDBUF, &few, sizeof few) == 0);
    session_.emplace(host_, net::Accepted{std::move(ours), "client"}, server::NoRoom::none, now_);
  }

  /// Sends `bytes`, while the session takes them. `reads`: the client takes what it is told meanwhile. False: it takes
  /// no more.
  bool say(BytesView bytes, bool reads) {
    while (!bytes.empty()) {
      const net::IoPiece piece = net::io_piece(bytes.data(), bytes.size());
      const net::IoResult sent = client_.send({&piece, 1});
      if (sent.status == net::IoStatus::failed) return false;
      bytes = bytes.subspan(sent.bytes);
      said += sent.bytes;
      const bool moved = serve();
      const bool heard_more = reads && hear();
      if (sent.bytes == 0 && !moved && !heard_more) return false;  // it does not read now
    }
    return true;
  }

  /// Gives the session its turns until it waits; whether it did anything.
  bool serve() {
    bool moved = false;
    for (int turns = 0; !session_->dead(); ++turns) {
      require(turns < 100'000);  // else it neither ends nor waits
      const bool finished_work = host_.done != 0 && held_ == 0;
      if (finished_work) {
        --host_.done;
        session_->work_done(now_);
      } else if (held_ != 0) {
        --held_;
      }
      const bool readable = session_->wants_read() && client_has_said();
      const bool writable = session_->wants_write() && net::wait(session_->fd(), true, nullptr, past()).writable;
      if (!finished_work && !readable && !writable && !session_->wants_turn()) break;
      moved = true;
      const std::uint64_t before = said_or_told();
      session_->turn(readable, now_);
      check();
      // One that stays readable, and is not read, would keep a thread busy for ever.
      idle_turns_ = before == said_or_told() && !finished_work ? idle_turns_ + 1 : 0;
      require(idle_turns_ < 10'000);
    }
    return moved;
  }

  /// The client receives what is there; whether anything was. Once it is full() it takes no more.
  bool hear(std::size_t most = ~std::size_t{0}) {
    bool any = false;
    if (full()) return false;
    std::array<std::uint8_t, 16384> piece;
    while (most != 0 && !full()) {
      net::IoPiece into = net::io_piece(piece.data(), std::min(piece.size(), most));
      const net::IoResult got = client_.receive({&into, 1});
      if (got.status == net::IoStatus::end) heard_end = true;
      if (got.status != net::IoStatus::ok) break;
      heard.insert(heard.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(got.bytes));
      most -= got.bytes;
      any = true;
    }
    return any;
  }

  /// Both do what they can.
  void talk() {
    held_ = 0;
    while (serve() || hear()) {
    }
  }

  /// Time passes, and nothing else.
  void pass(double seconds) {
    now_ = net::after(now_, seconds);
    if (!session_->dead()) session_->tick(now_);
    check();
  }

  void drain() {
    service_.draining = true;
    session_->drain(now_);
  }
  void end_of_client() { client_.finish(); }
  /// What is handed to other threads takes so many turns.
  void hold_work(unsigned turns) { held_ = turns; }
  void abandon() {
    session_->abandon();
    settle_work();
    require(session_->over());
  }
  /// Ends in time with a client that says and hears nothing any more.
  void expect_end(double within) {
    for (double t = 0; !session_->dead(); t += 0.25) {
      require(t <= within);
      pass(0.25);
      serve();
    }
    settle_work();
    require(session_->over());
    session_.reset();
    require(service_.unfinished.load() == 0);
  }
  [[nodiscard]] bool full() const { return heard.size() >= kMostHeard; }
  [[nodiscard]] bool dead() const { return session_->dead(); }

  Bytes heard;
  bool heard_end = false;
  std::uint64_t said = 0;

 private:
  static net::TimePoint past() { return net::TimePoint{}; }

  [[nodiscard]] bool client_has_said() const {
    std::uint8_t byte = 0;
    const auto n = ::recv(session_->fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  }
  [[nodiscard]] std::uint64_t said_or_told() const {
    return host_.metrics.bytes_received.get() + host_.metrics.bytes_sent.get();
  }
  void settle_work() {
    for (; host_.done != 0; --host_.done) session_->work_done(now_);
  }
  // Of all the server has: a constant, and some for every byte that the client has sent.
  void check() const {
    const std::size_t now = __sanitizer_get_current_allocated_bytes();
    const std::size_t ours = now - std::min(now, before_);
    const std::size_t theirs = heard.capacity();
    require(ours <= kConstant + theirs + said * kForEachByte);
  }

  static constexpr std::size_t kConstant = std::size_t{8} << 20;
  static constexpr std::size_t kForEachByte = 256;
  // A short request can ask for very much: that is the client's memory, and time.
  static constexpr std::size_t kMostHeard = std::size_t{16} << 20;

  std::size_t before_;
  Store store_;
  server::StoreBackend backend_;
  Service service_;
  Host host_;
  net::Socket client_;
  net::TimePoint now_ = net::TimePoint{} + std::chrono::hours(1);
  std::optional<server::Session> session_;
  unsigned held_ = 0;
  unsigned idle_turns_ = 0;
};

}  // namespace simdrive::fuzzing
