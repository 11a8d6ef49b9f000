// One store, many threads and processes.
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>

#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "store/file_memory.hpp"
#include "store/store_calls.hpp"
#include "support/failing_files.hpp"
#include "support/open_files.hpp"
#include "support/temporary_folder.hpp"

#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SIMDRIVE_UNDER_SANITIZER 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SIMDRIVE_UNDER_SANITIZER 1
#endif

namespace simdrive::test {
namespace {

using testing_store::Call;
using testing_store::FailingFiles;
using testing_store::FaultKind;
using testing_store::TemporaryFolder;

#ifdef SIMDRIVE_UNDER_SANITIZER
constexpr int kRounds = 300;
#else
constexpr int kRounds = 3000;
#endif
constexpr std::uint64_t kKeys = 50;

/// A payload that says which round it is of, in several sizes.
std::string payload_of(std::uint64_t key, int round) {
  std::string text = std::to_string(key) + ":" + std::to_string(round) + ":";
  text.resize(text.size() + static_cast<std::size_t>(round % 7) * 300, 'x');
  return text;
}
int round_of(const Entry& entry) {
  const std::string text = text_of(entry.payload());
  return std::stoi(text.substr(text.find(':') + 1));
}

/// Readers of every kind while one thread writes whole rounds, renews the file and goes on: nothing is torn, nothing
/// goes back, nothing that is there throughout is missed.
void read_while_writing(Store& store, bool compacting) {
  const auto write_round = [&](int round) {
    std::vector<std::string> payloads;
    for (std::uint64_t key = 0; key < kKeys; ++key) payloads.push_back(payload_of(key, round));
    std::vector<HashedPayload> records;
    for (std::uint64_t key = 0; key < kKeys; ++key) records.push_back({key, view_of(payloads[key])});
    ASSERT_TRUE(store.batch_write_with_key_hashes(records).ok());
  };
  write_round(0);
  std::atomic<bool> done{false};
  std::atomic<int> acknowledged{0};
  std::latch started(4);
  std::vector<std::thread> threads;
  threads.emplace_back([&] {  // single reads
    started.arrive_and_wait();
    std::vector<int> last(kKeys, 0);
    std::uint64_t key = 0;
    do {
      key = (key + 1) % kKeys;
      const int before = acknowledged.load();
      const Result<std::optional<Entry>> entry = store.read_with_key_hash(key);
      ASSERT_TRUE(entry.ok()) << entry.error().detail;
      ASSERT_TRUE(entry->has_value());
      ASSERT_TRUE((*entry)->is_valid_checksum());
      const int round = round_of(**entry);
      ASSERT_GE(round, before);
      ASSERT_GE(round, last[key]);
      last[key] = round;
    } while (!done);
  });
  threads.emplace_back([&] {  // batches: as of one moment
    started.arrive_and_wait();
    std::vector<std::uint64_t> keys(kKeys);
    for (std::uint64_t key = 0; key < kKeys; ++key) keys[key] = key;
    do {
      const auto entries = store.batch_read_key_hashes(keys);
      ASSERT_TRUE(entries.ok()) << entries.error().detail;
      const int round = round_of(*entries->front());
      for (const auto& entry : *entries) ASSERT_EQ(round_of(*entry), round);
    } while (!done);
  });
  threads.emplace_back([&] {  // iteration: as of one moment
    started.arrive_and_wait();
    do {
      Result<EntryIterator> entries = store.iterate();
      ASSERT_TRUE(entries.ok()) << entries.error().detail;
      Entry entry;
      std::uint64_t count = 0;
      int round = -1;
      Result<bool> more = entries->next(entry);
      for (; more.ok() && *more; more = entries->next(entry)) {
        if (entry.key_hash() >= kKeys) continue;
        ++count;
        if (round < 0) round = round_of(entry);
        ASSERT_EQ(round_of(entry), round);
      }
      ASSERT_TRUE(more.ok()) << more.error().detail;
      ASSERT_EQ(count, kKeys);
    } while (!done);
  });
  started.arrive_and_wait();
  const std::uint8_t null[] = {0};
  for (int round = 1; round < kRounds; ++round) {
    write_round(round);
    acknowledged = round;
    // Keys that come and go.
    const std::uint64_t passing = 1000 + static_cast<std::uint64_t>(round) % 100;
    if (round % 3 == 0) {
      ASSERT_TRUE(store.write_with_key_hash(passing, view_of("here for now")).ok());
    } else {
      const HashedPayload gone{passing, null};
      ASSERT_TRUE(store.batch_write_with_key_hashes({&gone, 1}, true).ok());
    }
    if (compacting && round % 50 == 0) {
      const Result<CompactResult> compacted = store.compact();
      ASSERT_TRUE(compacted.ok()) << compacted.error().detail;
    }
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
}

TEST(StoreThreads, ReadersAreNotDisturbedByAWriter) {
  const TemporaryFolder folder;
  Store store = open_store_at(folder.file("s"));
  read_while_writing(store, false);
}

TEST(StoreThreads, ReadersAreNotDisturbedByCompaction) {
  SIMDRIVE_NEEDS_RENAMES_OVER_OPEN_FILES();
  const TemporaryFolder folder;
  Store store = open_store_at(folder.file("s"));
  read_while_writing(store, true);
}

TEST(StoreThreads, ReadersAreNotDisturbedInMemory) {
  Store store = Store::memory().value();
  read_while_writing(store, true);
}

/// Another handle, as of another process, goes on with the files that compaction makes, while it is read.
TEST(StoreThreads, ReadersAreNotDisturbedByRefresh) {
  SIMDRIVE_NEEDS_RENAMES_OVER_OPEN_FILES();
  const TemporaryFolder folder;
  Store writer = open_store_at(folder.file("s"));
  std::vector<HashedPayload> records;
  for (std::uint64_t key = 1; key <= 5000; ++key) records.push_back({key, view_of("value")});
  ASSERT_TRUE(writer.batch_write_with_key_hashes(records).ok());
  Store reader = open_store_at(folder.file("s"), {.mode = StoreMode::read});
  std::atomic<bool> done{false};
  std::thread reads([&] {
    for (std::uint64_t key = 1; !done; key = key % 5000 + 1) {
      const Result<std::optional<Entry>> entry = reader.read_with_key_hash(key);
      ASSERT_TRUE(entry.ok()) << entry.error().detail;
      ASSERT_TRUE(entry->has_value());
    }
  });
  for (int round = 1; round <= kRounds / 30; ++round) {
    ASSERT_TRUE(writer.compact().ok());
    ASSERT_TRUE(reader.refresh().ok());
    ASSERT_EQ(reader.generation(), static_cast<std::uint64_t>(round));
  }
  done = true;
  reads.join();
}

TEST(StoreThreads, WritersTakeTurns) {
  const TemporaryFolder folder;
  constexpr int kThreads = 4;
  {
    Store store = open_store_at(folder.file("s"), {.sync = StoreSync::batch, .sync_interval = 0.001});
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&store, t] {
        for (int i = 0; i < kRounds / 10; ++i) {
          put(store, std::to_string(t) + "/" + std::to_string(i), payload_of(static_cast<std::uint64_t>(t), i));
          if (i % 10 == 9) {
            ASSERT_TRUE(store.erase(view_of(std::to_string(t) + "/" + std::to_string(i - 5))).ok());
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(*store.size(), static_cast<std::uint64_t>(kThreads) * (kRounds / 10 - kRounds / 100));
    ASSERT_TRUE(store.close().ok());
  }
  Store again = open_store_at(folder.file("s"));
  EXPECT_TRUE(again.verify()->ok);
  EXPECT_EQ(contents_of(again).size(), static_cast<std::size_t>(kThreads) * (kRounds / 10 - kRounds / 100));
}

TEST(StoreThreads, CloseWhileOthersReadAndWrite) {
  for (int i = 0; i < 20; ++i) {
    Store store = Store::memory().value();
    put(store, "k", "v");
    std::latch started(3);
    std::thread reader([&] {
      started.arrive_and_wait();
      while (true) {
        const Result<std::optional<Entry>> entry = store.read(view_of("k"));
        if (!entry) {
          EXPECT_EQ(entry.error().code, Errc::closed);
          return;
        }
        EXPECT_EQ(text_of((*entry)->payload()), "v");
      }
    });
    std::thread writer([&] {
      started.arrive_and_wait();
      while (true) {
        const Result<std::uint64_t> done = store.write(view_of("k"), view_of("v"));
        if (!done) {
          EXPECT_EQ(done.error().code, Errc::closed);
          return;
        }
      }
    });
    started.arrive_and_wait();
    EXPECT_TRUE(store.close().ok());
    reader.join();
    writer.join();
  }
}

/// While a sync is held up, the writes that come are brought to the disk by one more sync.
TEST(StoreThreads, WritesThatWaitShareASync) {
  store::MemoryFiles memory;
  FailingFiles files(memory, {Call::sync});
  Store store = open_store_at("s", {.sync = StoreSync::always, .files = &files});
  constexpr int kWriters = 5;
  std::atomic<int> syncs{0};
  std::latch first_is_in(1);
  std::latch go_on(1);
  files.watch([&](std::uint64_t, Call, const std::string& path) {
    if (path != "s") return;
    if (syncs++ == 0) {
      first_is_in.count_down();
      go_on.wait();
    }
  });
  std::vector<std::thread> threads;
  threads.emplace_back([&] { put(store, "first", "v"); });
  first_is_in.wait();
  const std::uint64_t one = store.tail();
  for (int i = 0; i < kWriters; ++i) {
    threads.emplace_back([&store, i] { put(store, std::to_string(i), "v"); });
  }
  while (store.tail() < one + kWriters * 64) std::this_thread::yield();  // all are written and wait
  go_on.count_down();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(syncs, 2);
  files.watch(nullptr);
}

TEST(StoreThreads, ABatchIsSyncedInTheBackground) {
  store::MemoryFiles memory;
  FailingFiles files(memory, {Call::sync});
  Store store = open_store_at("s", {.sync = StoreSync::batch, .sync_interval = 0.001, .files = &files});
  std::latch synced(1);
  std::atomic<bool> first{true};
  files.watch([&](std::uint64_t, Call, const std::string& path) {
    if (path == "s" && first.exchange(false)) synced.count_down();
  });
  put(store, "k", "v");
  synced.wait();
  ASSERT_TRUE(store.close().ok());
  files.watch(nullptr);
}

TEST(StoreThreads, AFailedSyncInTheBackgroundStopsWriting) {
  store::MemoryFiles memory;
  FailingFiles files(memory, {Call::sync});
  Store store = open_store_at("s", {.sync = StoreSync::batch, .sync_interval = 0.001, .files = &files});
  files.fail(0, FaultKind::io_error);
  put(store, "k", "v");
  while (!store.read_only()) std::this_thread::yield();
  const Result<std::uint64_t> refused = store.write(view_of("l"), view_of("v"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::store_read_only);
  EXPECT_EQ(get(store, "k"), "v");
  EXPECT_FALSE(store.flush().ok());
  EXPECT_FALSE(store.close().ok());
  Store again = open_store_at("s", {.files = &files});
  EXPECT_EQ(get(again, "k"), "v");
  put(again, "l", "v");
}

#ifndef _WIN32

/// Runs `child` in a copy of this process; its result, or 99 if it died.
int in_child(const std::function<int()>& child) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(child());
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

TEST(StoreThreads, AnotherProcessCannotWriteTheSameFile) {
  const TemporaryFolder folder;
  std::optional<Store> store = open_store_at(folder.file("s"));
  put(*store, "k", "v");
  const auto try_to_open = [&] {
    const Result<Store> other = Store::open(folder.file("s"));
    return other.ok() ? 1 : static_cast<int>(other.error().code);
  };
  EXPECT_EQ(in_child(try_to_open), static_cast<int>(Errc::store_locked));
  ASSERT_TRUE(store->compact().ok());
  EXPECT_EQ(in_child(try_to_open), static_cast<int>(Errc::store_locked));
  store.reset();
  EXPECT_EQ(in_child(try_to_open), 1);
}

TEST(StoreThreads, AfterForkTheChildReadsAndTheParentGoesOn) {
#ifdef SIMDRIVE_UNDER_SANITIZER
  GTEST_SKIP() << "a sanitizer's allocator does not survive fork() with threads";
#endif
  const TemporaryFolder folder;
  std::optional<Store> store = open_store_at(folder.file("s"), {.sync = StoreSync::batch});
  put(*store, "k", "v");
  EXPECT_EQ(in_child([&] {
              if (get(*store, "k") != "v") return 1;
              if (error_of(store->write(view_of("k"), view_of("child"))) != Errc::store_read_only) return 2;
              if (error_of(store->compact()) != Errc::store_read_only) return 3;
              if (error_of(store->flush()) != Errc::store_read_only) return 4;
              if (!store->close().ok()) return 5;
              store.reset();
              return 0;
            }),
            0);
  EXPECT_EQ(error_of(Store::open(folder.file("s"))), Errc::store_locked);  // the child has not unlocked it
  put(*store, "k", "parent");
  ASSERT_TRUE(store->close().ok());
  EXPECT_EQ(get(open_store_at(folder.file("s")), "k"), "parent");
}

TEST(StoreThreads, ThreadsOfAForkedChildWaitForEachOther) {
  store::MemoryFiles memory;
  FailingFiles files(memory, {Call::map});
  put(*std::make_unique<Store>(open_store_at("s", {.files = &files})), "k", "v");
  const Store store = open_store_at("s", {.mode = StoreMode::read, .files = &files});
  EXPECT_EQ(
      in_child([&] {
        std::thread other;
        std::atomic<bool> ready{false};
        bool read = false;
        files.watch([&](std::uint64_t, Call, const std::string&) {  // the first reader maps the file, under the lock
          if (other.joinable()) return;
          other = std::thread([&] {
            ready = true;
            read = store.read(view_of("k")).ok();
          });
          while (!ready) std::this_thread::yield();
          for (int i = 0; i < 1000; ++i) std::this_thread::yield();  // so that it mostly gets as far as the lock
        });
        if (!store.read(view_of("k")).ok()) return 1;
        other.join();
        return read ? 0 : 2;
      }),
      0);
}

TEST(StoreThreads, AForkedChildClosesWhileOthersRead) {
  const TemporaryFolder folder;
  put(*std::make_unique<Store>(open_store_at(folder.file("s"))), "k", "v");
  for (int i = 0; i < 10; ++i) {
    Store store = open_store_at(folder.file("s"), {.mode = StoreMode::read});
    EXPECT_EQ(in_child([&] {
                std::latch started(3);
                std::vector<std::thread> threads;
                std::atomic<int> wrong{0};
                for (int t = 0; t < 2; ++t) {
                  threads.emplace_back([&] {
                    started.arrive_and_wait();
                    const std::vector<BytesView> keys(50, view_of("k"));
                    auto entries = store.batch_read(keys);
                    for (; entries; entries = store.batch_read(keys))
                      wrong += text_of(entries->back()->payload()) != "v";
                    wrong += entries.error().code != Errc::closed;
                  });
                }
                started.arrive_and_wait();
                if (!store.close().ok()) return 1;
                for (std::thread& thread : threads) thread.join();
                return wrong == 0 ? 0 : 2;
              }),
              0);
  }
}

#endif

}  // namespace
}  // namespace simdrive::test
