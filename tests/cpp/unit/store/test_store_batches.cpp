// Batches that end half way, beside readers with a handle of their own, as those of other processes.
#include <gtest/gtest.h>

#ifndef _WIN32
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#endif

#include "store/file_memory.hpp"
#include "store/store_calls.hpp"
#include "support/failing_files.hpp"
#include "support/temporary_folder.hpp"

namespace simdrive::test {
namespace {

using testing_store::Call;
using testing_store::FailingFiles;
using testing_store::FaultKind;

constexpr std::size_t kItems = 2000;  // of 1000 bytes: several writes

std::string key_of(char kind, std::size_t i) { return kind + std::to_string(i); }

Result<std::uint64_t> write_batch(Store& store, char kind, std::size_t count) {
  std::vector<std::string> keys;
  std::vector<KeyValue> items;
  const std::string value(1000, kind);
  keys.reserve(count);
  items.reserve(count);
  for (std::size_t i = 0; i < count; ++i) keys.push_back(key_of(kind, i));
  for (const std::string& key : keys) items.push_back({view_of(key), view_of(value)});
  return store.batch_write(items);
}

/// A reader that has seen the beginning of a batch that was then taken back.
struct StoreBatches : ::testing::Test {
  void SetUp() override {
    put(writer, "first", "1");
    ASSERT_TRUE(reader.refresh().ok());
    files.watch([&](std::uint64_t n, Call call, const std::string&) {
      if (n != 0 && call == Call::write) {
        EXPECT_TRUE(reader.refresh().ok());
      }
    });
    files.fail(1, FaultKind::io_error);
    EXPECT_EQ(error_of(write_batch(writer, 'k', kItems)), Errc::store_error);
    files.watch(nullptr);
    seen = static_cast<std::size_t>(*reader.size()) - 1;
    ASSERT_GT(seen, 0U);
    ASSERT_LT(seen, kItems);
    EXPECT_EQ(reader.generation(), 0U);
  }

  /// It has nothing of that batch any more, and all of the next.
  void expect_refreshed(std::size_t count) {
    ASSERT_EQ(reader.refresh().value(), writer.tail());
    EXPECT_EQ(reader.generation(), 1U);
    EXPECT_EQ(contents_of(reader), contents_of(writer));
    EXPECT_EQ(*reader.size(), 1 + count);
    EXPECT_FALSE(get(reader, key_of('k', 5)).has_value());
  }

  store::MemoryFiles memory;
  FailingFiles files{memory, {Call::write}};
  Store writer = open_store_at("s", {.files = &files});
  Store reader = open_store_at("s", {.mode = StoreMode::read, .files = &memory});
  std::size_t seen = 0;
};

TEST_F(StoreBatches, AReaderForgetsWhatWasTakenBack) { expect_refreshed(0); }

TEST_F(StoreBatches, AReaderSeesWhatWasWrittenInsteadToTheSameEnd) {
  ASSERT_TRUE(write_batch(writer, 'n', seen).ok());
  ASSERT_EQ(writer.tail(), reader.tail());
  expect_refreshed(seen);
}

TEST_F(StoreBatches, AReaderSeesWhatWasWrittenInsteadAndMore) {
  ASSERT_TRUE(write_batch(writer, 'n', kItems).ok());
  expect_refreshed(kItems);
  put(writer, "last", "2");
  ASSERT_TRUE(reader.refresh().ok());
  EXPECT_EQ(reader.generation(), 1U);
  EXPECT_EQ(get(reader, "last"), "2");
}

TEST(StoreBatch, WithoutRoomForAllOfItNothingIsWritten) {
  store::MemoryFiles memory;
  FailingFiles files(memory, {Call::write, Call::reserve});
  Store store = open_store_at("s", {.files = &files});
  put(store, "first", "1");
  files.fail(0, FaultKind::no_space);
  std::vector<Call> calls;
  files.watch([&](std::uint64_t, Call call, const std::string&) { calls.push_back(call); });
  const Result<std::uint64_t> full = write_batch(store, 'k', kItems);
  EXPECT_EQ(error_of(full), Errc::storage_full);
  EXPECT_EQ(full.error().outcome, Outcome::not_applied);
  EXPECT_EQ(calls, std::vector<Call>{Call::reserve});
  EXPECT_FALSE(store.read_only());
  calls.clear();
  ASSERT_TRUE(write_batch(store, 'k', 100).ok());  // one write, and no call more
  EXPECT_EQ(calls, std::vector<Call>{Call::write});
  // Few, but long: one write that takes several calls of the system.
  const std::string large(1 << 20, 'x');
  const std::vector<KeyValue> two = {{view_of("a"), view_of(large)}, {view_of("b"), view_of(large)}};
  files.fail(0, FaultKind::no_space);
  EXPECT_EQ(error_of(store.batch_write(two)), Errc::storage_full);
  files.watch(nullptr);
  ASSERT_TRUE(store.batch_write(two).ok());
  EXPECT_EQ(*store.size(), 103U);
}

#ifndef _WIN32

TEST(StoreBatch, TheLimitOfTheProcessOnFilesIsMetBeforeTheFirstByte) {
  const testing_store::TemporaryFolder folder;
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    FailingFiles files(store::system_files(), {Call::write});
    Store store = open_store_at(folder.file("s"), {.files = &files});
    put(store, "first", "1");
    const std::uint64_t tail = store.tail();
    const rlimit limit{.rlim_cur = 1'000'000, .rlim_max = RLIM_INFINITY};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(2);
    files.heal();
    if (error_of(write_batch(store, 'k', kItems)) != Errc::storage_full) ::_exit(3);
    if (files.calls() != 0 || *store.file_size() != tail || store.read_only()) ::_exit(4);
    ::_exit(write_batch(store, 'k', 500).ok() && get(store, "k499") ? 0 : 5);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

#endif

}  // namespace
}  // namespace simdrive::test
