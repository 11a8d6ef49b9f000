// An event loop for tests, and the calls that it runs: it polls what AsyncClient::watch() names, and calls pump() only
// when that is due. A wake-up that the client forgets is a test that hangs until its limit.
#pragma once

#include <gtest/gtest.h>
#ifndef _WIN32
#include <poll.h>
#endif

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "net/loopback.hpp"
#include "simdrive/async_client.hpp"

namespace simdrive::testing_loop {

/// One call: what it borrows until it is over, and what came of it.
struct Job {
  Bytes key;
  Bytes payload;
  std::vector<Bytes> keys;
  std::vector<Bytes> payloads;
  std::vector<std::optional<Bytes>> values;
  bool refuse = false;  // what the receiver answers
  int asked = 0;        // the receiver, how often

  AsyncCall* call = nullptr;  // null once it was recycled
  int told = 0;               // times handed out
  bool over = false;
  bool failed = false;
  Error error;
  std::uint64_t number = 0;

  [[nodiscard]] bool good() const { return over && !failed; }
  [[nodiscard]] Errc code() const { return failed ? error.code : Errc{}; }
  [[nodiscard]] const std::optional<Bytes>& value() const { return values.at(0); }

  static bool receive(void* context, const std::uint64_t* sizes, std::size_t count, std::uint8_t** targets) {
    auto& self = *static_cast<Job*>(context);
    ++self.asked;
    if (self.refuse) return false;
    self.values.assign(count, std::nullopt);
    for (std::size_t i = 0; i < count; ++i) {
      if (sizes[i] != kAbsent) targets[i] = self.values[i].emplace(static_cast<std::size_t>(sizes[i])).data();
    }
    return true;
  }
  [[nodiscard]] Receiver receiver() { return {this, &receive}; }

  /// Gives back what was borrowed: whoever still uses it is seen by AddressSanitizer.
  void forget_arguments() {
    Bytes().swap(key);
    Bytes().swap(payload);
    std::vector<Bytes>().swap(keys);
    std::vector<Bytes>().swap(payloads);
    if (failed) std::vector<std::optional<Bytes>>().swap(values);
  }
};

/// Bytes that no column packing makes smaller, and never 0.
inline Bytes payload_of(std::size_t n, std::uint32_t seed = 1) {
  Bytes out(n);
  std::uint32_t x = (static_cast<std::uint32_t>(n) + seed) * 2654435761U + 1;
  for (auto& b : out) {
    x = x * 1664525U + 1013904223U;
    b = static_cast<std::uint8_t>((x >> 24) | 1U);
  }
  return out;
}

inline Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

class EventLoop {
 public:
  explicit EventLoop(AsyncClient& client) : client_(client) {}
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  Job& write(std::string_view key, Bytes payload, const AsyncCallOptions& how = {}) {
    Job& j = make(key);
    j.payload = std::move(payload);
    return begin(j, client_.write(j.key, j.payload, tagged(j, how)));
  }
  Job& read(std::string_view key, const AsyncCallOptions& how = {}, bool refuse = false) {
    Job& j = make(key);
    j.refuse = refuse;
    return begin(j, client_.read(j.key, j.receiver(), tagged(j, how)));
  }
  Job& erase(std::string_view key, const AsyncCallOptions& how = {}) {
    Job& j = make(key);
    return begin(j, client_.erase(j.key, tagged(j, how)));
  }
  Job& exists(std::string_view key, const AsyncCallOptions& how = {}) {
    Job& j = make(key);
    return begin(j, client_.exists(j.key, tagged(j, how)));
  }
  Job& batch_write(std::vector<Bytes> keys, std::vector<Bytes> payloads, const AsyncCallOptions& how = {}) {
    Job& j = make({});
    j.keys = std::move(keys);
    j.payloads = std::move(payloads);
    std::vector<KeyValue> entries;
    for (std::size_t i = 0; i < j.keys.size(); ++i) entries.push_back({j.keys[i], j.payloads[i]});
    return begin(j, client_.batch_write(entries, tagged(j, how)));
  }
  Job& batch_read(std::vector<Bytes> keys, const AsyncCallOptions& how = {}, bool refuse = false) {
    Job& j = make({});
    j.keys = std::move(keys);
    j.refuse = refuse;
    const std::vector<BytesView> views(j.keys.begin(), j.keys.end());
    return begin(j, client_.batch_read(views, j.receiver(), tagged(j, how)));
  }
  Job& size(const AsyncCallOptions& how = {}) {
    Job& j = make({});
    return begin(j, client_.size(tagged(j, how)));
  }
  Job& empty(const AsyncCallOptions& how = {}) {
    Job& j = make({});
    return begin(j, client_.empty(tagged(j, how)));
  }
  Job& file_size(const AsyncCallOptions& how = {}) {
    Job& j = make({});
    return begin(j, client_.file_size(tagged(j, how)));
  }

  Outcome cancel(Job& j) { return client_.cancel(j.call); }

  /// One round: sends, sleeps until something is due or for `most` seconds, and pumps if it is.
  void turn(double most) {
    if (flushes) client_.flush();
    hand_out();
    if (sleep(most)) {
      ++pumps;
      client_.pump();
      hand_out();
    }
  }

  /// Rounds until `done()`, which is looked at again after 20 ms at the latest.
  template <class Done>
  void until(Done done) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done()) {
      if (std::chrono::steady_clock::now() > limit) throw std::runtime_error("the event loop waited in vain");
      turn(0.02);
    }
  }

  /// Until every call is over.
  void finish() {
    until([&] { return open_ == 0; });
  }
  Job& finish(Job& j) {
    until([&] { return j.over; });
    return j;
  }
  void connect() {
    until([&] { return client_.connected().ok() && client_.connected().value() && client_.watch().socket != -1; });
  }

  [[nodiscard]] std::size_t open() const { return open_; }
  [[nodiscard]] const std::deque<std::unique_ptr<Job>>& jobs() const { return jobs_; }
  /// In the order in which they ended.
  [[nodiscard]] const std::vector<Job*>& ended() const { return ended_; }

  void hand_out() {
    while (AsyncCall* call = client_.next_done()) {
      Job& j = *static_cast<Job*>(call->tag);
      EXPECT_EQ(j.call, call);
      EXPECT_FALSE(j.over);
      ++j.told;
      EXPECT_LE(j.told, 2);
      if (j.told == 2) {
        EXPECT_TRUE(call->over);
        EXPECT_TRUE(j.failed);
        EXPECT_EQ(j.error.code, call->error.code);
      }
      j.over = call->over;
      j.failed = call->failed;
      j.error = call->error;
      j.number = call->number;
      if (!j.over) continue;
      if (const ReadResult* r = call->result; r && !j.failed && (!r->present || r->in_place)) {
        j.values.assign(1, std::nullopt);
        if (r->present) j.values[0].emplace(r->small, r->small + r->size);
      }
      client_.recycle(call);
      j.call = nullptr;
      j.forget_arguments();
      ended_.push_back(&j);
      --open_;
    }
  }

  bool unwatches = true;  // whether it says that it has stopped watching an earlier socket
  bool flushes = true;
  std::size_t pumps = 0;

 private:
  Job& make(std::string_view key) {
    jobs_.push_back(std::make_unique<Job>());
    jobs_.back()->key = bytes_of(key);
    return *jobs_.back();
  }
  static AsyncCallOptions tagged(Job& j, AsyncCallOptions how) {
    how.tag = &j;
    return how;
  }
  Job& begin(Job& j, const Result<AsyncCall*>& made) {
    if (!made) throw std::runtime_error("not started: " + made.error().detail);
    j.call = made.value();
    ++open_;
    return j;
  }

  /// Whether pump() is due.
  bool sleep(double most) {
    const AsyncWatch w = client_.watch();
    if (w.generation != generation_) {
      generation_ = w.generation;
      if (unwatches) client_.unwatched();
    }
    const double seconds = w.again ? 0 : std::min(w.seconds, most);
    const int ms = static_cast<int>(std::ceil(seconds * 1000));
#ifdef _WIN32
    using Handle = SOCKET;
    using Count = ULONG;
    const auto poll = &::WSAPoll;
#else
    using Handle = int;
    using Count = nfds_t;
#endif
    pollfd fds[2] = {};
    fds[0].fd = static_cast<Handle>(client_.wake_up());
    fds[0].events = POLLIN;
    fds[1].fd = static_cast<Handle>(w.socket);
    fds[1].events = static_cast<short>(w.writable ? POLLIN | POLLOUT : POLLIN);
    const Count count = w.socket == -1 ? 1 : 2;
    const int ready = poll(fds, count, ms);
    return ready > 0 || w.again || w.seconds <= most;
  }

  AsyncClient& client_;
  std::deque<std::unique_ptr<Job>> jobs_;
  std::vector<Job*> ended_;
  std::size_t open_ = 0;
  std::uint64_t generation_ = 0;
};

}  // namespace simdrive::testing_loop
