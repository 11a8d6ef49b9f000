// Store::transfer() beside others, and when calls fail.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "store/file_memory.hpp"
#include "store/store_calls.hpp"
#include "support/failing_files.hpp"

namespace simdrive::test {
namespace {

using testing_store::Call;
using testing_store::FailingFiles;
using testing_store::FaultKind;

TEST(Transfer, ErasesWhatTheTargetHasOnItsDisk) {
  for (const StoreSync sync : {StoreSync::none, StoreSync::batch, StoreSync::always}) {
    store::MemoryFiles memory;
    FailingFiles files(memory, {Call::write, Call::sync});
    Store a = open_store_at("a", {.sync = StoreSync::always, .files = &files});
    Store b = open_store_at("b", {.sync = sync, .sync_interval = 3600, .files = &files});
    put(a, "k", "value");
    std::vector<std::string> calls;
    const auto note = [&](std::uint64_t, Call call, const std::string& path) {
      if (path == "a" || path == "b") calls.push_back((call == Call::write ? "write " : "sync ") + path);
    };
    files.watch(note);
    ASSERT_TRUE(a.transfer(view_of("k"), b).ok());
    EXPECT_EQ(calls, (std::vector<std::string>{"write b", "sync b", "write a", "sync a"}));
    put(a, "k", "value");
    files.watch({});
    files.fail(1, FaultKind::io_error);
    EXPECT_FALSE(a.transfer(view_of("k"), b).ok());
    EXPECT_EQ(get(a, "k"), "value");
  }
}

// What others do to the entry between the copy and the erasure is not lost.
TEST(Transfer, MovesWhatOthersHavePutThereMeanwhile) {
  const auto transferred = [](const std::function<void(Store&)>& meanwhile, std::string_view expected) {
    store::MemoryFiles memory;
    FailingFiles files(memory, {Call::write});
    Store a = Store::memory().value();
    Store b = open_store_at("b", {.files = &files});
    put(a, "k", "old");
    bool done = false;
    files.watch([&](std::uint64_t, Call, const std::string&) {
      if (!std::exchange(done, true)) meanwhile(a);
    });
    const Result<std::uint64_t> moved = a.transfer(view_of("k"), b);
    EXPECT_TRUE(done);
    EXPECT_EQ(get(a, "k"), std::nullopt);
    EXPECT_EQ(get(b, "k"), expected);
    EXPECT_TRUE(!moved || *moved == a.tail());
    return error_of(moved);
  };
  EXPECT_EQ(transferred([](Store& a) { put(a, "k", "new"); }, "new"), Errc{});
  const auto same_place = [](Store& a) {
    put(a, "k", "new");
    ASSERT_TRUE(a.compact().ok());
  };
  EXPECT_EQ(transferred(same_place, "new"), Errc{});
  EXPECT_EQ(transferred([](Store& a) { ASSERT_TRUE(a.erase(view_of("k")).ok()); }, "old"), Errc::key_not_found);
}

// Who writes the entry again and again waits in the end, so that this ends.
TEST(Transfer, EndsHoweverOftenTheEntryIsWritten) {
  store::MemoryFiles memory;
  FailingFiles files(memory, {Call::write});
  Store a = Store::memory().value();
  Store b = open_store_at("b", {.files = &files});
  put(a, "k", "0");
  int copies = 0;
  std::vector<std::thread> others;
  files.watch([&](std::uint64_t, Call, const std::string& path) {
    if (path != "b") return;
    const std::string value = std::to_string(++copies);
    if (copies > 20) return;
    if (copies <= 3) {  // on a thread that holds none of the locks around this
      std::thread([&] { put(a, "k", value); }).join();
      return;
    }
    std::promise<void> written;
    std::future<void> soon = written.get_future();
    others.emplace_back([&a, value, done = std::move(written)]() mutable {
      put(a, "k", value);
      done.set_value();
    });
    EXPECT_EQ(soon.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  });
  const Result<std::uint64_t> moved = a.transfer(view_of("k"), b);
  files.watch({});
  for (std::thread& other : others) other.join();
  EXPECT_TRUE(moved.ok());
  EXPECT_EQ(copies, 4);
  EXPECT_EQ(get(b, "k"), "3");
  EXPECT_EQ(get(a, "k"), "4");
}

// Two that move the same entry to and fro between the same stores do not wait for each other.
TEST(Transfer, GoesBothWaysAtOnce) {
  Store a = Store::memory().value();
  Store b = Store::memory().value();
  std::atomic<int> moves{0};
  const auto move_away = [&moves](Store& from, Store& to) {
    for (int i = 0; i < 2000; ++i) {
      put(from, "k", "value");
      const Result<std::uint64_t> moved = from.transfer(view_of("k"), to);
      if (moved) moves.fetch_add(1);
      EXPECT_TRUE(moved || moved.error().code == Errc::key_not_found);
    }
  };
  std::thread back([&] { move_away(b, a); });
  move_away(a, b);
  back.join();
  EXPECT_GT(moves.load(), 0);
  EXPECT_TRUE(get(a, "k") == "value" || get(b, "k") == "value");
}

}  // namespace
}  // namespace simdrive::test
