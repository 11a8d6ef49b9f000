// What the tests of the server share: clients, payloads, a backend that can be held up, and what was logged.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/backend.hpp"
#include "server/store_backend.hpp"
#include "simdrive/client.hpp"
#include "simdrive/server.hpp"
#include "simdrive/store.hpp"

namespace simdrive::testing_server {

inline BytesView view(std::string_view s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()}; }

inline std::string text(BytesView bytes) { return {bytes.begin(), bytes.end()}; }

// Bytes that no column packing makes smaller; `flat` ones pack well.
inline Bytes payload_of(std::size_t n, bool flat = false) {
  Bytes out(n);
  std::uint32_t x = static_cast<std::uint32_t>(n) * 2654435761U + 1;
  for (auto& byte : out) {
    x = x * 1664525U + 1013904223U;
    byte = flat ? static_cast<std::uint8_t>(x >> 31) : static_cast<std::uint8_t>(x >> 24);
  }
  if (n == 1) out[0] = 7;
  return out;
}

template <class T>
T value_of(Result<T> result) {
  if (!result) throw std::runtime_error("unexpected error: " + result.error().detail);
  return std::move(result).value();
}

inline Client connect_to(const std::string& url, const std::string& wire = "auto",
                         const std::function<void(Options&)>& change = {}) {
  Options options;
  options.url = url;
  options.wire = wire;
  options.timeout = 60;
  options.retry = {.retries = 0, .base = 0.001, .cap = 0.01};
  options.reconnect_spread = 0;
  if (change) change(options);
  return value_of(Client::connect(std::move(options)));
}

/// Everything logged, for tests to wait for.
class LogBook {
 public:
  struct Line {
    LogLevel level;
    std::string event;
    std::string message;
    std::string peer;
  };

  [[nodiscard]] std::function<void(const LogRecord&)> sink() {
    return [this](const LogRecord& record) {
      const std::lock_guard lock(mutex_);
      lines_.push_back(
          {record.level, std::string(record.event), std::string(record.message), std::string(record.peer)});
      more_.notify_all();
    };
  }
  /// The first line of `event` whose message has `part` in it, once there is one.
  std::optional<Line> wait_for(std::string_view event, std::string_view part = {}) {
    std::unique_lock lock(mutex_);
    std::optional<Line> found;
    more_.wait_for(lock, std::chrono::seconds(30), [&] {
      for (const Line& line : lines_) {
        if (line.event == event && line.message.find(part) != std::string::npos) {
          found = line;
          return true;
        }
      }
      return false;
    });
    return found;
  }
  /// Whether there are so many lines of `event`, before long.
  bool wait_for_count(std::string_view event, std::size_t n) {
    std::unique_lock lock(mutex_);
    return more_.wait_for(lock, std::chrono::seconds(30), [&] { return counted(event) >= n; });
  }
  [[nodiscard]] std::size_t count(std::string_view event) {
    const std::lock_guard lock(mutex_);
    return counted(event);
  }

 private:
  [[nodiscard]] std::size_t counted(std::string_view event) const {
    std::size_t n = 0;
    for (const Line& line : lines_) n += line.event == event ? 1 : 0;
    return n;
  }

  std::mutex mutex_;
  std::condition_variable more_;
  std::vector<Line> lines_;
};

/// A store in memory whose calls can be held up or made to fail.
class HeldBackend final : public server::Backend {
 public:
  HeldBackend() : store_(value_of(Store::memory())), inner_(store_) {}

  /// Writes wait from now on, until let_go().
  void hold() {
    const std::lock_guard lock(mutex_);
    held_ = true;
  }
  /// And so do look-ups of keys longer than 64 KiB; checks of payloads do until they are given up.
  void hold_reads() {
    const std::lock_guard lock(mutex_);
    reads_held_ = true;
  }
  void let_go() {
    const std::lock_guard lock(mutex_);
    held_ = reads_held_ = false;
    changed_.notify_all();
  }
  /// Until so many writes have begun since the start.
  bool wait_for_writes(std::size_t n) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return begun_ >= n; });
  }
  /// Until so many checks, or look-ups that wait, have.
  bool wait_for_reads(std::size_t n) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return reads_begun_ >= n; });
  }
  /// Every call fails with it.
  void fail_with(std::optional<Error> error) {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(error);
  }
  /// Payloads are damaged from now on.
  void damage(std::optional<Error> error) {
    const std::lock_guard lock(mutex_);
    damage_ = std::move(error);
  }
  [[nodiscard]] std::optional<Error> damage() const {
    const std::lock_guard lock(mutex_);
    return damage_;
  }
  /// What is read is no longer what was checked.
  void alter() { altered_ = true; }
  /// Nothing can be read: there is no memory for it.
  void starve() { starved_ = true; }
  /// Nothing can be read, for a reason that nobody thought of.
  void surprise() { surprised_ = true; }
  void set_waits(bool waits) { waits_ = waits; }
  [[nodiscard]] std::size_t flushes() const {
    const std::lock_guard lock(mutex_);
    return flushes_;
  }
  /// How many payloads were checked.
  [[nodiscard]] std::size_t checks() const { return checks_; }
  Store& store() { return store_; }

  Turn try_turn() override { return inner_.try_turn(); }
  Result<std::uint64_t> write(BytesView key, BytesView payload, Turn turn = {}) override {
    if (auto failure = begin()) return *failure;
    return inner_.write(key, payload, std::move(turn));
  }
  Result<std::uint64_t> batch_write(std::span<const KeyValue> entries, Turn turn = {}) override {
    if (auto failure = begin()) return *failure;
    return inner_.batch_write(entries, std::move(turn));
  }
  Result<std::uint64_t> erase(BytesView key, Turn turn = {}) override {
    if (auto failure = begin()) return *failure;
    return inner_.erase(key, std::move(turn));
  }
  Result<bool> exists(BytesView key) const override {
    look_at(key);
    if (auto failure = failed()) return *failure;
    return inner_.exists(key);
  }
  Result<std::uint64_t> size() const override {
    if (auto failure = failed()) return *failure;
    return inner_.size();
  }
  Result<std::uint64_t> file_size() const override {
    if (auto failure = failed()) return *failure;
    return inner_.file_size();
  }
  std::uint64_t tail() const noexcept override { return inner_.tail(); }
  std::unique_ptr<server::Payloads> make_payloads() const override {
    return std::make_unique<Found>(*this, inner_.make_payloads());
  }
  Result<void> look_up(std::span<const BytesView> keys, server::Payloads& found) const override {
    if (auto failure = failed()) return *failure;
    if (!keys.empty()) look_at(keys.front());
    return inner_.look_up(keys, *static_cast<Found&>(found).inner);
  }
  bool writes_may_wait() const noexcept override { return waits_; }
  Result<void> flush() override {
    const std::lock_guard lock(mutex_);
    ++flushes_;
    return {};
  }

 private:
  struct Found final : server::Payloads {
    Found(const HeldBackend& from, std::unique_ptr<server::Payloads> payloads)
        : owner(from), inner(std::move(payloads)) {}
    std::span<const server::Located> all() const noexcept override { return inner->all(); }
    Result<void> read(std::size_t i, std::uint64_t from, MutableBytes out) override {
      if (owner.surprised_) throw std::runtime_error("out of luck");
      if (owner.starved_) throw std::bad_alloc();
      Result<void> done = inner->read(i, from, out);
      if (owner.altered_ && !out.empty()) out[0] ^= 1;
      return done;
    }
    BytesView at_hand(std::size_t i) noexcept override { return inner->at_hand(i); }
    Result<void> check(std::size_t i) override {
      ++owner.checks_;
      owner.read([this] { return given_up(); });
      if (auto damaged = owner.damage()) return *damaged;
      return inner->check(i);
    }
    void clear() noexcept override { inner->clear(); }
    std::size_t memory() const noexcept override { return inner->memory(); }
    const HeldBackend& owner;
    std::unique_ptr<server::Payloads> inner;
  };

  std::optional<Error> begin() {
    std::unique_lock lock(mutex_);
    ++begun_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !held_; });
    return failure_;
  }
  void look_at(BytesView key) const {
    if (key.size() > std::size_t{64} << 10) read([] { return false; });
  }
  void read(const std::function<bool()>& given_up) const {
    std::unique_lock lock(mutex_);
    ++reads_begun_;
    changed_.notify_all();
    while (reads_held_ && !given_up()) changed_.wait_for(lock, std::chrono::milliseconds(1));
  }
  std::optional<Error> failed() const {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

  Store store_;
  server::StoreBackend inner_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::optional<Error> failure_;
  std::optional<Error> damage_;
  std::size_t begun_ = 0;
  std::size_t flushes_ = 0;
  mutable std::size_t reads_begun_ = 0;
  bool held_ = false;
  bool reads_held_ = false;
  bool waits_ = false;
  std::atomic<bool> starved_{false};
  std::atomic<bool> surprised_{false};
  std::atomic<bool> altered_{false};
  mutable std::atomic<std::size_t> checks_{0};
};

}  // namespace simdrive::testing_server
