// One thread that serves: it waits for its connections' sockets and gives each its turn.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "net/listener.hpp"
#include "net/poller.hpp"
#include "server/session.hpp"
#include "server/shared.hpp"
#include "simdrive/error.hpp"

namespace simdrive::server {

/// What waits at the reactor's poller besides connections.
class Acceptor {
 public:
  /// New connections wait.
  virtual void accept(net::TimePoint now) = 0;
  /// Looks at the clock; returns when it wants to do so again.
  virtual net::TimePoint tick(net::TimePoint now) = 0;
  virtual void stop() noexcept = 0;

 protected:
  ~Acceptor() = default;
};

class Reactor final : public SessionHost {
 public:
  /// With all descriptors that it needs besides those of its connections. `bind_failed` where they are not to be had.
  static Result<std::unique_ptr<Reactor>> make(Shared& shared);
  ~Reactor();

  /// `acceptor` (may be null) listens through poller(), with itself as the tag. `on_exit` is called at the end of the
  /// thread. `internal` if there is no thread to be had.
  Result<void> start(Acceptor* acceptor, std::function<void()> on_exit);
  [[nodiscard]] net::Poller& poller() noexcept { return *poller_; }

  /// Takes over a connection, which is closed if there is no memory for it (std::bad_alloc). Any thread.
  void take(net::Accepted accepted, NoRoom no_room);
  /// Looks at Shared::draining and cut(). Any thread.
  void wake() noexcept { poller_->wake(); }
  /// Ends all connections at once. Any thread.
  void cut() noexcept;
  /// Waits for the end of the thread, which comes once Shared::draining is set and no connection is left.
  void join() noexcept;
  /// How many connections cut() ended that were at work. After join().
  [[nodiscard]] std::size_t cut_off() const noexcept { return cut_off_; }

  void work_done(Session& session) noexcept override;

 private:
  struct Arrival {
    net::Accepted accepted;
    NoRoom no_room;
  };

  Reactor(Shared& all, std::unique_ptr<net::Poller> poller, std::shared_ptr<net::ServerSocket::Timers> common)
      : SessionHost(all, std::move(common)), poller_(std::move(poller)) {}

  void loop() noexcept;
  void accept(net::TimePoint now) noexcept;
  void read_mail(net::TimePoint now);
  template <class Action>
  void attempt(Session& session, Action action) noexcept;
  void admit(Arrival arrival, net::TimePoint now);
  void make_room();
  void give_turn(Session& session, bool readable, bool broken, net::TimePoint now);
  void settle(Session& session) noexcept;
  void tick(net::TimePoint now);
  void drain(net::TimePoint now);
  void bury() noexcept;

  std::unique_ptr<net::Poller> poller_;
  Acceptor* acceptor_ = nullptr;
  std::function<void()> on_exit_;
  std::thread thread_;

  std::mutex mutex_;   // of the mail
  bool over_ = false;  // nobody will read it any more
  std::vector<Arrival> arrivals_;
  std::vector<Session*> done_;
  std::atomic<bool> mail_{false};
  std::atomic<bool> cut_{false};

  // Of the thread alone.
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<Session*> again_;
  std::vector<Session*> turns_;
  std::vector<Arrival> arrived_;
  std::vector<Session*> finished_work_;
  std::array<net::Poller::Ready, 128> ready_{};
  net::TimePoint next_tick_;
  net::TimePoint next_slot_;
  std::size_t cut_off_ = 0;
  bool draining_ = false;
  bool graves_ = false;
};

}  // namespace simdrive::server
