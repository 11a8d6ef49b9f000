// compact_to(): a new store is there whole, or not at all, whatever fails or ends it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "store/file_memory.hpp"
#include "store/store_calls.hpp"
#include "store/store_files.hpp"
#include "support/crash_images.hpp"
#include "support/failing_files.hpp"
#include "support/recording_files.hpp"
#include "support/temporary_folder.hpp"

namespace simdrive::test {
namespace {

using testing_store::CrashImage;
using testing_store::CrashOptions;
using testing_store::FailingFiles;
using testing_store::FaultKind;
using testing_store::for_each_crash_image;
using testing_store::kFaultKinds;
using testing_store::load;
using testing_store::RecordingFiles;
using testing_store::TemporaryFolder;

const std::string kPath = "s";
const std::string kTarget = "t";
const std::string kSide = "t.compact";

void write_text(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

void fill(Store& store) {
  for (int i = 0; i < 40; ++i) put(store, "k" + std::to_string(i % 30), std::string(1 + 37U * i, 'a'));
}

bool has(store::MemoryFiles& files, const std::string& path) {
  const std::vector<std::string> paths = files.paths();
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

TEST(CompactTo, NthCallFails) {
  for (const FaultKind kind : kFaultKinds) {
    bool failed = true;
    for (std::uint64_t n = 0; failed; ++n) {
      SCOPED_TRACE(std::string(testing_store::to_string(kind)) + " " + std::to_string(n));
      store::MemoryFiles memory;
      FailingFiles files(memory);
      // A store that was there once has left its mark.
      {
        Store before = open_store_at(kTarget, {.files = &files});
        put(before, "gone", "gone");
      }
      ASSERT_TRUE(memory.remove(kTarget).ok());
      Store store = open_store_at(kPath, {.files = &files});
      fill(store);
      const Contents due = contents_of(store);
      files.fail(n, kind);
      Result<CompactResult> done = store.compact_to(kTarget);
      failed = !files.failed().empty();
      files.heal();
      EXPECT_EQ(contents_of(store), due);
      if (!done && !has(memory, kTarget)) done = store.compact_to(kTarget);  // what was left is in nobody's way
      EXPECT_FALSE(has(memory, kSide));
      if (done) {
        EXPECT_EQ(done->entries, due.size());
      }
      const Store made = open_store_at(kTarget, {.create = false, .files = &files});
      EXPECT_EQ(contents_of(made), due);
      if (HasFailure()) return;
      if (!failed) {
        EXPECT_GT(n, 8U);
      }
    }
  }
}

TEST(CompactTo, EveryCrashLeavesAllOrNothing) {
  for (const bool power_loss : {false, true}) {
    RecordingFiles files;
    Contents due;
    std::size_t begun = 0;
    std::size_t ended = 0;
    {
      Store store = open_store_at(kPath, {.sync = StoreSync::always, .files = &files});
      fill(store);
      due = contents_of(store);
      begun = files.event_count();
      ASSERT_TRUE(store.compact_to(kTarget).ok());
      ended = files.event_count();
    }
    int with = 0;
    int without = 0;
    for_each_crash_image(files.recording(), {.seed = 7, .power_loss = power_loss}, [&](const CrashImage& image) {
      if (image.events < begun) return true;
      SCOPED_TRACE(image.what + " after " + std::to_string(image.events));
      store::MemoryFiles crashed;
      load(crashed, image.files);
      const bool there = has(crashed, kTarget);
      ++(there ? with : without);
      EXPECT_TRUE(there || image.events < ended);
      Store store = open_store_at(kPath, {.files = &crashed});
      EXPECT_EQ(contents_of(store), due);
      if (!there) {
        EXPECT_TRUE(store.compact_to(kTarget).ok());
      }
      const Store made = open_store_at(kTarget, {.create = false, .files = &crashed});
      EXPECT_EQ(contents_of(made), due);
      EXPECT_TRUE(made.verify()->ok);
      EXPECT_FALSE(has(crashed, kSide));
      return !HasFailure();
    });
    EXPECT_GT(with, 2);
    EXPECT_GT(without, 5);
  }
}

TEST(CompactTo, OneAtATimeToOneTarget) {
  const TemporaryFolder folder;
  const std::string target = folder.file("t");
  Store store = open_store_at(folder.file("s"));
  fill(store);
  struct Second {
    Store* store;
    const std::string* target;
    Result<CompactResult> result = CompactResult{};
  } second{&store, &target};
  const Progress progress{&second, [](void* context, std::uint64_t, std::uint64_t) {
                            auto& self = *static_cast<Second*>(context);
                            if (self.result) self.result = self.store->compact_to(*self.target);
                            return true;
                          }};
  ASSERT_TRUE(store.compact_to(target, progress).ok());
  ASSERT_FALSE(second.result.ok());
  EXPECT_EQ(second.result.error().code, Errc::store_locked);
  const Result<CompactResult> again = store.compact_to(target);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(store::fault_of(again.error()), store::FileFault::exists);
  EXPECT_EQ(contents_of(open_store_at(target)), contents_of(store));
  EXPECT_FALSE(std::filesystem::exists(target + ".compact"));
}

TEST(CompactTo, ATargetThatComesIntoBeingStays) {
  const TemporaryFolder folder;
  const std::string target = folder.file("t");
  Store store = open_store_at(folder.file("s"));
  fill(store);
  const Progress progress{const_cast<std::string*>(&target), [](void* context, std::uint64_t, std::uint64_t) {
                            write_text(*static_cast<const std::string*>(context), "of somebody else");
                            return true;
                          }};
  const Result<CompactResult> done = store.compact_to(target, progress);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(store::fault_of(done.error()), store::FileFault::exists);
  EXPECT_EQ(text_file(target), "of somebody else");
  EXPECT_FALSE(std::filesystem::exists(target + ".compact"));
}

#ifndef _WIN32
TEST(CompactTo, NothingIsPutBehindALinkThatLeadsNowhere) {
  const TemporaryFolder folder;
  Store store = open_store_at(folder.file("s"));
  fill(store);
  std::filesystem::create_symlink(folder.file("nowhere"), folder.file("t"));
  EXPECT_FALSE(store.compact_to(folder.file("t")).ok());
  EXPECT_TRUE(std::filesystem::is_symlink(folder.file("t")));
  EXPECT_FALSE(std::filesystem::exists(folder.file("nowhere")));
  EXPECT_FALSE(std::filesystem::exists(folder.file("t.compact")));
}
#endif

}  // namespace
}  // namespace simdrive::test
