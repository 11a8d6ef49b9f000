#include "server/reactor.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <utility>

namespace simdrive::server {
namespace {

constexpr std::chrono::milliseconds kTick{250};
constexpr std::chrono::milliseconds kDrainTick{50};  // somebody waits for the end
constexpr std::chrono::seconds kSlot{static_cast<int>(LatencyHistogram::kSlotSeconds)};

std::string why(const std::exception& error) {
  return dynamic_cast<const std::bad_alloc*>(&error) != nullptr ? "out of memory" : error.what();
}

}  // namespace

Result<std::unique_ptr<Reactor>> Reactor::make(Shared& shared) {
  Result<std::unique_ptr<net::Poller>> poller = net::Poller::make();
  if (!poller) return std::move(poller).error();
  Result<std::shared_ptr<net::ServerSocket::Timers>> timers = net::ServerSocket::make_timers();
  if (!timers) return std::move(timers).error();
  return std::unique_ptr<Reactor>(new Reactor(shared, std::move(poller).value(), std::move(timers).value()));
}

Reactor::~Reactor() { join(); }

Result<void> Reactor::start(Acceptor* acceptor, std::function<void()> on_exit) {
  acceptor_ = acceptor;
  on_exit_ = std::move(on_exit);
  try {
    thread_ = std::thread(&Reactor::loop, this);
  } catch (const std::system_error& error) {
    Error e{Errc::internal, "cannot start a thread of the server: " + std::string(error.what())};
    e.system_code = error.code().value();
    return e;
  }
  return {};
}

void Reactor::join() noexcept {
  if (thread_.joinable()) thread_.join();
}

void Reactor::take(net::Accepted accepted, NoRoom no_room) {
  {
    const std::lock_guard lock(mutex_);
    if (over_) {
      shared.connections.fetch_sub(1, std::memory_order_relaxed);
      return;
    }
    try {
      arrivals_.push_back({std::move(accepted), no_room});
    } catch (const std::bad_alloc&) {
      shared.connections.fetch_sub(1, std::memory_order_relaxed);
      throw;
    }
    mail_.store(true, std::memory_order_release);
  }
  poller_->wake();
}

void Reactor::cut() noexcept {
  cut_.store(true, std::memory_order_release);
  poller_->wake();
}

void Reactor::work_done(Session& session) noexcept {
  {
    const std::lock_guard lock(mutex_);
    done_.push_back(&session);
    mail_.store(true, std::memory_order_release);
  }
  poller_->wake();
}

// Where memory or anything else runs out, one connection ends, not the process.
template <class Action>
void Reactor::attempt(Session& session, Action action) noexcept {
  try {
    action();
  } catch (const std::exception& error) {
    metrics.cut.add();
    session.abandon();
    shared.log.write(LogLevel::error, "failed", "a connection is cut: " + why(error), session.peer());
  }
}

void Reactor::loop() noexcept {
  net::TimePoint now = net::Clock::now();
  next_tick_ = now + kTick;
  next_slot_ = now + kSlot;
  for (;;) {
    // With turns to give, the sockets are only looked at.
    const std::span<net::Poller::Ready> ready =
        poller_->wait(ready_, again_.empty() ? next_tick_ : now, std::max(now, replied_at));
    now = net::Clock::now();
    if (mail_.load(std::memory_order_acquire)) read_mail(now);
    turns_.swap(again_);
    for (Session* session : turns_) {
      session->watch.listed = false;
      give_turn(*session, session->watch.broken, false, now);
    }
    turns_.clear();
    for (const net::Poller::Ready& each : ready) {
      if (each.tag == acceptor_) {
        accept(now);
      } else {
        give_turn(*static_cast<Session*>(each.tag), each.readable, each.broken, now);
      }
    }
    if (now >= next_tick_) tick(now);
    if (shared.draining.load(std::memory_order_acquire)) drain(now);
    if (graves_) bury();
    if (draining_ && sessions_.empty()) {
      const std::lock_guard lock(mutex_);
      over_ = arrivals_.empty();
      if (over_) break;
    }
  }
  on_exit_();
}

void Reactor::drain(net::TimePoint now) {
  if (!draining_) {
    draining_ = true;
    next_tick_ = std::min(next_tick_, now + kDrainTick);
    if (acceptor_ != nullptr) acceptor_->stop();
    for (const auto& session : sessions_) {
      attempt(*session, [&] { session->drain(now); });
      settle(*session);
    }
  }
  if (!cut_.load(std::memory_order_acquire)) return;
  for (const auto& session : sessions_) {
    if (session->dead()) continue;
    if (session->at_work()) ++cut_off_;
    session->abandon();
    settle(*session);
  }
}

void Reactor::accept(net::TimePoint now) noexcept {
  try {
    acceptor_->accept(now);
  } catch (const std::exception& error) {
    shared.log.write(LogLevel::error, "failed", "a connection is refused: " + why(error));
    metrics.refused.add();
  }
  next_tick_ = std::min(next_tick_, acceptor_->tick(now));
}

void Reactor::read_mail(net::TimePoint now) {
  {
    const std::lock_guard lock(mutex_);
    mail_.store(false, std::memory_order_relaxed);
    arrived_.swap(arrivals_);
    finished_work_.swap(done_);
  }
  for (Session* session : finished_work_) {
    attempt(*session, [&] { session->work_done(now); });
    settle(*session);
  }
  finished_work_.clear();
  for (Arrival& arrival : arrived_) admit(std::move(arrival), now);
  arrived_.clear();
}

void Reactor::admit(Arrival arrival, net::TimePoint now) {
  try {
    if (!shared.draining.load(std::memory_order_relaxed)) {
      make_room();
      sessions_.push_back(std::make_unique<Session>(*this, std::move(arrival.accepted), arrival.no_room, now));
      metrics.accepted.add();
      next_tick_ = std::min(next_tick_, now + kTick);
      return give_turn(*sessions_.back(), true, false, now);  // its request has mostly come along
    }
  } catch (const std::exception& error) {
    shared.log.write(LogLevel::error, "failed", "a connection is refused: " + why(error), arrival.accepted.peer);
    metrics.refused.add();
  }
  shared.connections.fetch_sub(1, std::memory_order_relaxed);
}

// Each session is at most once in each of these lists, where nothing may fail any more.
void Reactor::make_room() {
  const std::size_t all = sessions_.size() + 1;
  const auto grow = [all](std::vector<Session*>& list) {
    if (list.capacity() < all) list.reserve(std::max(all, 2 * list.capacity()));
  };
  grow(again_);
  grow(turns_);
  grow(finished_work_);
  const std::lock_guard lock(mutex_);
  grow(done_);
}

void Reactor::give_turn(Session& session, bool readable, bool broken, net::TimePoint now) {
  if (session.dead()) return;
  attempt(session, [&] { session.turn(readable, now); });
  if (broken && !session.wants_read()) session.watch.broken = true;
  settle(session);
}

// Tells the poller what the session waits for.
void Reactor::settle(Session& session) noexcept {
  Session::Watch& watch = session.watch;
  const bool read = session.wants_read() && !watch.broken;
  const bool write = session.wants_write() && !watch.broken;
  if (read || write) {
    if (!watch.added) {
      if (auto added = poller_->add(session.fd(), &session, read, write); !added) {
        shared.log.write(LogLevel::error, "failed", added.error().detail);
        session.abandon();
      }
      watch.added = !session.dead();
    } else if (read != watch.read || write != watch.write) {
      poller_->change(session.fd(), &session, read, write);
    }
  } else if (watch.added) {
    // Whatever happens to the socket would be told again and again.
    poller_->remove(session.fd());
    watch.added = false;
  }
  watch.read = read;
  watch.write = write;
  if (session.dead()) {
    graves_ = true;
  } else if (!watch.listed && (session.wants_turn() || (watch.broken && session.wants_read()))) {
    watch.listed = true;
    again_.push_back(&session);
  }
}

void Reactor::tick(net::TimePoint now) {
  if (now >= next_slot_) {
    metrics.latency.advance();
    next_slot_ = now + kSlot;
  }
  for (const auto& session : sessions_) {
    if (session->dead()) continue;
    attempt(*session, [&] { session->tick(now); });
    settle(*session);
  }
  next_tick_ = sessions_.empty() ? next_slot_ : now + (draining_ ? kDrainTick : kTick);
  if (acceptor_ != nullptr) next_tick_ = std::min(next_tick_, acceptor_->tick(now));
}

void Reactor::bury() noexcept {
  graves_ = false;
  for (std::size_t i = 0; i < sessions_.size();) {
    if (!sessions_[i]->over()) {
      graves_ = graves_ || sessions_[i]->dead();
      ++i;
      continue;
    }
    std::erase(again_, sessions_[i].get());
    std::swap(sessions_[i], sessions_.back());
    sessions_.pop_back();
    shared.connections.fetch_sub(1, std::memory_order_relaxed);
  }
}

}  // namespace simdrive::server
