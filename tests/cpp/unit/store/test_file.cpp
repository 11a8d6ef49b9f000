// What every file system of the store does alike: the system's own, and files in memory.
#include "store/file.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/reaper.hpp"
#include "store/file_bytes.hpp"
#include "store/file_memory.hpp"
#include "store/view.hpp"
#include "support/failing_files.hpp"
#include "support/recording_files.hpp"
#include "support/temporary_folder.hpp"

namespace simdrive::store {
namespace {

using testing_store::kReadOnly;
using testing_store::kReadWrite;
using testing_store::opened;
using testing_store::read;
using testing_store::write;

class FileTest : public testing::TestWithParam<const char*> {
 protected:
  FileTest() {
    const std::string kind = GetParam();
    if (kind == "memory") files_ = &memory_;
    if (kind == "recording") files_ = &recording_;
    if (kind == "failing") files_ = &failing_;
  }
  [[nodiscard]] FileSystem& files() { return *files_; }
  [[nodiscard]] std::string path(const std::string& name = "s.bin") const { return folder_.file(name); }
  [[nodiscard]] std::unique_ptr<File> fresh(const std::string& name = "s.bin") {
    return opened(files(), path(name), kReadWrite);
  }

 private:
  testing_store::TemporaryFolder folder_;
  MemoryFiles memory_;
  testing_store::RecordingFiles recording_;
  testing_store::FailingFiles failing_{system_files()};
  FileSystem* files_ = &system_files();
};

INSTANTIATE_TEST_SUITE_P(Files, FileTest, testing::Values("system", "memory", "recording", "failing"),
                         [](const auto& one) { return std::string(one.param); });

TEST_P(FileTest, CreationIsToldApart) {
  EXPECT_EQ(fault_of(files().open(path(), kReadOnly).error()), FileFault::not_found);
  EXPECT_EQ(files().open(path(), {.write = true}).error().code, Errc::store_not_found);
  EXPECT_TRUE(fresh()->created());
  EXPECT_FALSE(fresh()->created());
  const OpenOptions exclusive{.write = true, .create = Create::exclusive};
  const auto again = files().open(path(), exclusive);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(fault_of(again.error()), FileFault::exists);
  EXPECT_EQ(again.error().system_code, EEXIST);
  EXPECT_EQ(again.error().code, Errc::store_error);
  EXPECT_NE(again.error().detail.find(quoted_path(path())), std::string::npos);
  EXPECT_TRUE(opened(files(), path("other"), exclusive)->created());
}

TEST_P(FileTest, PiecesAreWrittenInOrder) {
  const auto file = fresh();
  const Written w = write(*file, 0, {"abc", "", "d", "efgh"});
  ASSERT_TRUE(w.status.ok());
  EXPECT_EQ(w.bytes, 8U);
  EXPECT_EQ(write(*file, 2, {"XY"}).bytes, 2U);
  EXPECT_EQ(write(*file, 8, {}).bytes, 0U);
  EXPECT_EQ(write(*file, 8, {"", ""}).bytes, 0U);
  EXPECT_EQ(read(*file, 0, 100), "abXYefgh");
  EXPECT_EQ(read(*file, 5, 2), "fg");
  EXPECT_EQ(file->size().value(), 8U);
  EXPECT_EQ(file->path(), path());
}

// More pieces than a system call takes, short beside long ones.
TEST_P(FileTest, ManyPiecesOfAllSizes) {
  std::string expected;
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 3000; ++i) {
    texts.emplace_back(i % 500 == 7 ? 100'000 + i : i % 67, static_cast<char>('a' + i % 26));
    expected += texts.back();
  }
  std::vector<BytesView> pieces;
  for (const std::string& text : texts) pieces.push_back(testing_store::view_of(text));
  const auto file = fresh();
  ASSERT_EQ(write(*file, 0, {"head"}).bytes, 4U);
  const Written w = file->write_at(4, pieces);
  ASSERT_TRUE(w.status.ok());
  EXPECT_EQ(w.bytes, expected.size());
  EXPECT_EQ(read(*file, 4, expected.size() + 10), expected);
}

TEST_P(FileTest, ReadingBehindTheEndIsAnError) {
  const auto file = fresh();
  ASSERT_EQ(write(*file, 0, {"0123456789"}).bytes, 10U);
  EXPECT_EQ(read(*file, 8, 5), "89");
  EXPECT_EQ(read(*file, 10, 5), "");
  EXPECT_EQ(read(*file, 11, 5), "");
  EXPECT_EQ(read(*file, ~std::uint64_t{0} - 2, 5), "");
  Bytes out(5);
  EXPECT_TRUE(read_exactly(*file, 5, out).ok());
  for (const std::uint64_t offset : {std::uint64_t{6}, std::uint64_t{10}, ~std::uint64_t{0}}) {
    const Result<void> none = read_exactly(*file, offset, out);
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(fault_of(none.error()), FileFault::beyond_end);
    EXPECT_EQ(none.error().code, Errc::store_corrupt);
    EXPECT_EQ(none.error().offset, offset);
  }
  const Result<Mapping> mapped = file->map(11);
  ASSERT_FALSE(mapped.ok());
  EXPECT_EQ(fault_of(mapped.error()), FileFault::beyond_end);
}

TEST_P(FileTest, CutsButNeverExtends) {
  const auto file = fresh();
  ASSERT_EQ(write(*file, 0, {"0123456789"}).bytes, 10U);
  ASSERT_TRUE(file->truncate(4).ok());
  EXPECT_EQ(file->size().value(), 4U);
  const Result<void> longer = file->truncate(5);
  ASSERT_FALSE(longer.ok());
  EXPECT_EQ(longer.error().system_code, EINVAL);
  EXPECT_EQ(file->size().value(), 4U);
  ASSERT_EQ(write(*file, 6, {"x"}).bytes, 1U);  // a gap has zeros, whatever was there before the cut
  EXPECT_EQ(read(*file, 0, 100), std::string("0123\0\0x", 7));
  EXPECT_TRUE(file->truncate(7).ok());
  EXPECT_TRUE(file->truncate(0).ok());
  EXPECT_EQ(read(*file, 0, 1), "");
  EXPECT_TRUE(file->sync_data().ok());
  EXPECT_TRUE(file->sync_all().ok());
  file->advise(0, 0, Advice::sequential);
}

TEST_P(FileTest, WhatIsExpectedIsNotThereYet) {
  const auto file = fresh();
  ASSERT_EQ(write(*file, 0, {"0123"}).bytes, 4U);
  file->expect(4, std::uint64_t{1} << 20);
  EXPECT_EQ(file->size().value(), 4U);
  EXPECT_EQ(read(*file, 0, 100), "0123");
  ASSERT_EQ(write(*file, 4, {"4567"}).bytes, 4U);
  EXPECT_EQ(file->size().value(), 8U);
  file->expect(8, std::uint64_t{1} << 62);  // more than any disk has: for the write to tell
  file->expect(std::numeric_limits<std::uint64_t>::max() - 1, 2);
  EXPECT_EQ(read(*file, 0, 100), "01234567");
  ASSERT_TRUE(file->truncate(4).ok());
  EXPECT_EQ(read(*file, 0, 100), "0123");
}

TEST_P(FileTest, WhatIsReservedIsNotThereYet) {
  const auto file = fresh();
  ASSERT_EQ(write(*file, 0, {"0123"}).bytes, 4U);
  EXPECT_TRUE(file->reserve(4, std::uint64_t{1} << 20).ok());
  EXPECT_EQ(read(*file, 0, 100), "0123");
#ifdef __linux__
  if (const std::string kind = GetParam(); kind == "system" || kind == "failing") {
    const Result<void> full = file->reserve(4, std::uint64_t{1} << 62);
    ASSERT_FALSE(full.ok());
    EXPECT_EQ(fault_of(full.error()), FileFault::no_room);
  }
#endif
  EXPECT_EQ(file->size().value(), 4U);
  ASSERT_EQ(write(*file, 4, {"4567"}).bytes, 4U);
  EXPECT_EQ(read(*file, 0, 100), "01234567");
}

TEST_P(FileTest, ReadOnlyHandlesDoNotWrite) {
  ASSERT_EQ(write(*fresh(), 0, {"abc"}).bytes, 3U);
  const auto file = opened(files(), path(), kReadOnly);
  const Written w = write(*file, 0, {"x"});
  EXPECT_FALSE(w.status.ok());
  EXPECT_EQ(w.bytes, 0U);
  EXPECT_FALSE(file->truncate(0).ok());
  EXPECT_EQ(read(*file, 0, 9), "abc");
}

TEST_P(FileTest, OneHandleHasTheLock) {
  const auto first = fresh();
  const auto second = fresh();
  ASSERT_TRUE(first->try_lock_exclusive().ok());
  EXPECT_TRUE(first->try_lock_exclusive().ok());
  const Result<void> taken = second->try_lock_exclusive();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(fault_of(taken.error()), FileFault::locked);
  EXPECT_EQ(taken.error().code, Errc::store_locked);
  EXPECT_EQ(write(*first, 0, {"abc"}).bytes, 3U);
  EXPECT_EQ(read(*second, 0, 3), "abc");  // advisory
  first->unlock();
  ASSERT_TRUE(second->try_lock_exclusive().ok());
  {
    const auto third = fresh();
    EXPECT_FALSE(third->try_lock_exclusive().ok());
  }
  EXPECT_FALSE(first->try_lock_exclusive().ok());  // the third did not take it along
}

TEST_P(FileTest, ClosingUnlocks) {
  auto first = fresh();
  ASSERT_TRUE(first->try_lock_exclusive().ok());
  first.reset();
  EXPECT_TRUE(fresh()->try_lock_exclusive().ok());
}

TEST_P(FileTest, ARenamedFileIsKnownByItsIdentity) {
  const auto old = fresh();
  ASSERT_EQ(write(*old, 0, {"old"}).bytes, 3U);
  const auto made = fresh("s.bin.new");
  ASSERT_EQ(write(*made, 0, {"new!"}).bytes, 4U);
  ASSERT_TRUE(made->try_lock_exclusive().ok());
  EXPECT_EQ(files().stat(path()).value().identity, old->identity());
  EXPECT_FALSE(old->identity() == made->identity());
  const Result<void> renamed = files().rename_over(path("s.bin.new"), path());
#ifdef _WIN32
  if (!renamed.ok() && fault_of(renamed.error()) == FileFault::permission) {
    GTEST_SKIP() << "this Windows does not rename over open files";
  }
#endif
  ASSERT_TRUE(renamed.ok()) << renamed.error().detail;
  ASSERT_TRUE(files().sync_directory(path()).ok());
  const FileStat now = files().stat(path()).value();
  EXPECT_EQ(now.identity, made->identity());
  EXPECT_EQ(now.size, 4U);
  EXPECT_EQ(now.kind, FileKind::regular);
  EXPECT_FALSE(exists(files(), path("s.bin.new")).value());
  EXPECT_EQ(read(*old, 0, 9), "old");
  EXPECT_EQ(read(*fresh(), 0, 9), "new!");
  EXPECT_EQ(fault_of(fresh()->try_lock_exclusive().error()), FileFault::locked);  // the lock went with the file
  EXPECT_TRUE(old->try_lock_exclusive().ok());
}

TEST_P(FileTest, AClosedFileIsReplaced) {
  ASSERT_EQ(write(*fresh(), 0, {"old"}).bytes, 3U);
  ASSERT_EQ(write(*fresh("new"), 0, {"new!"}).bytes, 4U);
  ASSERT_TRUE(files().rename_over(path("new"), path()).ok());
  ASSERT_TRUE(files().sync_directory(path()).ok());
  EXPECT_EQ(read(*fresh(), 0, 9), "new!");
  EXPECT_FALSE(exists(files(), path("new")).value());
}

TEST_P(FileTest, RemovingIsForWhatIsThere) {
  ASSERT_TRUE(fresh()->created());
  EXPECT_TRUE(exists(files(), path()).value());
  ASSERT_TRUE(files().remove(path()).ok());
  EXPECT_FALSE(exists(files(), path()).value());
  EXPECT_EQ(fault_of(files().remove(path()).error()), FileFault::not_found);
  EXPECT_EQ(fault_of(files().stat(path()).error()), FileFault::not_found);
  EXPECT_EQ(fault_of(files().rename_over(path(), path("b")).error()), FileFault::not_found);
}

TEST_P(FileTest, MappingsShowWhatIsAppendedAndOutliveTheFile) {
  Mapping kept;
  std::string expected = "start";
  {
    const auto file = fresh();
    EXPECT_FALSE(file->map(0).value());
    ASSERT_EQ(write(*file, 0, {expected}).bytes, expected.size());
    Mapping mapping = file->map(5).value();
    ASSERT_TRUE(file->covers(mapping, 5));
    kept = mapping;
    EXPECT_TRUE(kept.same_as(mapping));
    for (std::size_t i = 0; i < 40; ++i) {
      const std::string more(i * 1000, static_cast<char>('a' + i % 26));
      ASSERT_EQ(write(*file, expected.size(), {more, "|"}).bytes, more.size() + 1);
      expected += more + "|";
      if (!file->covers(mapping, expected.size())) mapping = file->map(expected.size()).value();
      ASSERT_TRUE(file->covers(mapping, expected.size()));
      ASSERT_TRUE(std::equal(expected.begin(), expected.end(), mapping.data()));
    }
    EXPECT_FALSE(file->covers(mapping, mapping.capacity() + std::uint64_t{1}));
    EXPECT_FALSE(file->covers(Mapping(), 1));
    EXPECT_TRUE(file->covers(Mapping(), 0));
    mapping.advise(0, 0, Advice::populate);
    mapping.advise(3, 70'000, Advice::random);
    mapping.advise(mapping.capacity(), 1, Advice::will_need);
    EXPECT_EQ(file->size().value(), expected.size());  // no mapping made it longer
  }
  ASSERT_TRUE(files().remove(path()).ok());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(kept.data()), 5), "start");
}

// A refused write may have gone into memory that only the file has: what comes in its place is seen all the same.
TEST_P(FileTest, MappingsShowWhatReplacesATakenBackWrite) {
  const auto file = fresh();
  ASSERT_EQ(write(*file, 0, {"start"}).bytes, 5U);
  Mapping mapping = file->map(5).value();
  const std::string large(300'000, 'x');
  ASSERT_EQ(write(*file, 5, {large}).bytes, large.size());
  Result<void> cut = file->truncate(5);
#ifdef _WIN32
  if (!cut.ok()) {
    EXPECT_EQ(fault_of(cut.error()), FileFault::in_use);
    mapping.reset();
    cut = file->truncate(5);
  }
#endif
  ASSERT_TRUE(cut.ok());
  ASSERT_EQ(write(*file, 5, {"again"}).bytes, 5U);
  if (!file->covers(mapping, 10)) mapping = file->map(10).value();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(mapping.data()), 10), "startagain");
}

TEST_P(FileTest, ReadersBesideAWriter) {
  const auto file = fresh();
  ASSERT_EQ(write(*file, 0, {"start"}).bytes, 5U);
  const Mapping mapping = file->map(5).value();
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> tail = 5;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      do {
        const Mapping copy = mapping;
        EXPECT_EQ(std::string(reinterpret_cast<const char*>(copy.data()), 5), "start");
        const std::uint64_t end = tail.load(std::memory_order_acquire);
        Bytes all(static_cast<std::size_t>(end));
        EXPECT_TRUE(read_exactly(*file, 0, all).ok());
        EXPECT_EQ(std::count(all.begin(), all.end(), 'z'), static_cast<std::ptrdiff_t>(end) - 5);
      } while (!done);
    });
  }
  const std::string more(777, 'z');
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(write(*file, tail, {more}).bytes, more.size());
    tail.store(tail + more.size(), std::memory_order_release);
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
}

TEST(FileErrorTest, SaysWhatOnWhatAndWhy) {
  const Error full = file_error("write", "a'b\n\\c", ENOSPC, 77);
  EXPECT_EQ(full.code, Errc::storage_full);
  EXPECT_EQ(full.offset, 77U);
  EXPECT_EQ(full.detail.find("write 'a\\'b\\x0a\\\\c': "), 0U);
  EXPECT_EQ(fault_of(full), FileFault::no_room);
  EXPECT_EQ(fault_of(file_error("write", "p", EFBIG)), FileFault::no_room);
  EXPECT_EQ(fault_of(file_error("write", "p", EIO)), FileFault::io);
  EXPECT_EQ(fault_of(file_error("open", "p", EACCES)), FileFault::permission);
  EXPECT_EQ(fault_of(file_error("open", "p", EROFS)), FileFault::permission);
  EXPECT_EQ(fault_of(file_error("open", "p", EISDIR)), FileFault::is_directory);
  EXPECT_EQ(fault_of(file_error("open", "p", ENOTDIR)), FileFault::not_found);
  EXPECT_EQ(fault_of(file_error("open", "p", ELOOP)), FileFault::not_a_file);
  EXPECT_EQ(fault_of(file_error("truncate", "p", EBUSY)), FileFault::in_use);
  EXPECT_EQ(fault_of(file_error("open", "p", EMFILE)), FileFault::other);
  EXPECT_EQ(fault_of(file_error("map", "p", ENOMEM)), FileFault::no_memory);
  EXPECT_EQ(fault_of(not_a_file_error("open", "p")), FileFault::not_a_file);
}

TEST(MappingTest, TheLastReferenceReleases) {
  static int released = 0;
  released = 0;
  auto* const region = new MappingRegion;
  region->release = [](MappingRegion* r) noexcept {
    ++released;
    delete r;
  };
  Mapping a(region);
  Mapping b = a;
  Mapping c = std::move(a);
  EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): that is the question
  b = c;
  c.reset();
  EXPECT_EQ(released, 0);
  EXPECT_EQ(b.region()->references.load(), 1U);
  b = Mapping();
  EXPECT_EQ(released, 1);
  EXPECT_EQ(Mapping().data(), nullptr);
  EXPECT_EQ(Mapping().capacity(), 0U);
}

#ifdef __linux__
int maps_of(const std::string& path) {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find(path) != std::string::npos ? 1 : 0;
  return count;
}

TEST(MappingTest, OfALargeFileIsUnmappedByTheReaper) {
  const testing_store::TemporaryFolder folder;
  const auto file = opened(system_files(), folder.file("large"), kReadWrite);
  ASSERT_EQ(write(*file, 0, {std::string(9 << 20, 'x')}).bytes, std::uint64_t{9} << 20);
  Mapping whole = file->map(std::uint64_t{9} << 20).value();
  Mapping part = file->map(1).value();  // shows the rest, too
  EXPECT_EQ(maps_of(folder.file("large")), 2);
  whole.reset();
  Reaper::of_process().unmap_all();
  EXPECT_EQ(maps_of(folder.file("large")), 1);
  part.reset();
  EXPECT_EQ(maps_of(folder.file("large")), 0);  // at once
}
#endif

TEST(MappingTest, KnowsHowMuchOfItWasInUse) {
  MemoryFiles files;
  Epoch epoch;
  const auto generation = std::make_shared<Generation>(epoch, opened(files, "grows", kReadWrite));
  ASSERT_EQ(write(*generation->file, 0, {"0123456789"}).bytes, 10U);
  const Mapping mapping = generation->file->map(10).value();
  mapping.note_used(3);
  auto view = std::make_unique<View>(generation, mapping, 10);
  generation->written = 1000;
  view.reset();
  EXPECT_EQ(mapping.region()->used.load(), 1000U);
  mapping.note_used(999);
  EXPECT_EQ(mapping.region()->used.load(), 1000U);
}

}  // namespace
}  // namespace simdrive::store
