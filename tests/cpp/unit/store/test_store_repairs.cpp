// Crashes and failing calls within what repairs a store (reliability tests T1 and T2): an opening that cuts off a torn
// write, and recover().
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "store/file_memory.hpp"
#include "store/store_files.hpp"
#include "store/store_workload.hpp"
#include "support/amounts.hpp"
#include "support/crash_images.hpp"
#include "support/failing_files.hpp"
#include "support/recording_files.hpp"

namespace simdrive::test {
namespace {

using testing_store::CrashImage;
using testing_store::FailingFiles;
using testing_store::FaultKind;
using testing_store::FileContents;
using testing_store::for_each_crash_image;
using testing_store::kFaultKinds;
using testing_store::load;
using testing_store::RecordingFiles;

const std::string kPath = "s";

/// A repair, and what must hold after it, though a crash or a fault fell within it, and it was done again.
struct Repair {
  FileContents before;
  std::function<Result<void>(store::FileSystem&)> act;
  std::function<void(const FileContents&)> check;
};

FileContents contents_in(const store::MemoryFiles& files) {
  FileContents all;
  for (const std::string& path : files.paths()) all[path] = *files.get(path);
  return all;
}

void do_again_and_check(const Repair& repair, store::MemoryFiles& files) {
  const Result<void> again = repair.act(files);
  ASSERT_TRUE(again.ok()) << again.error().detail;
  repair.check(contents_in(files));
}

/// Every image of a crash within the repair.
std::size_t crash_within(const Repair& repair, std::uint64_t seed) {
  RecordingFiles files(repair.before);
  const Result<void> repaired = repair.act(files);
  EXPECT_TRUE(repaired.ok()) << repaired.error().detail;
  std::size_t images = 0;
  for_each_crash_image(files.recording(), {.seed = seed}, [&](const CrashImage& image) {
    SCOPED_TRACE(image.what);
    ++images;
    store::MemoryFiles crashed;
    load(crashed, image.files);
    do_again_and_check(repair, crashed);
    return !::testing::Test::HasFailure();
  });
  return images;
}

/// Every call of the repair fails, in every way.
void fail_within(const Repair& repair) {
  std::uint64_t calls = 0;
  {
    store::MemoryFiles memory;
    load(memory, repair.before);
    FailingFiles files(memory);
    ASSERT_TRUE(repair.act(files).ok());
    calls = files.calls();
  }
  ASSERT_GT(calls, 10U);
  for (const FaultKind kind : kFaultKinds) {
    for (std::uint64_t n = 0; n < calls; ++n) {
      SCOPED_TRACE("call " + std::to_string(n) + " " + std::string(testing_store::to_string(kind)));
      store::MemoryFiles memory;
      load(memory, repair.before);
      FailingFiles files(memory);
      files.fail(n, kind);
      const Result<void> repaired = repair.act(files);
      if (repaired.ok()) {
        SCOPED_TRACE("which it has survived");
        repair.check(contents_in(memory));
      }
      do_again_and_check(repair, memory);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

Contents contents_of_file(const FileContents& files) {
  store::MemoryFiles memory;
  load(memory, files);
  const Store store = open_store_at(kPath, {.files = &memory});
  EXPECT_EQ(store.opened().dropped_bytes, 0U);
  EXPECT_TRUE(store.verify()->ok);
  return contents_of(store);
}

/// Whether a file whose name begins like that has exactly this content.
bool is_kept(const FileContents& files, const std::string& stem, BytesView content) {
  return std::any_of(files.begin(), files.end(), [&](const auto& file) {
    return file.first.rfind(stem, 0) == 0 &&
           std::equal(file.second.begin(), file.second.end(), content.begin(), content.end());
  });
}

/// The opening of a file that a dead process has left with a torn write at its end.
Repair opening_of(const FileContents& torn) {
  store::MemoryFiles memory;
  load(memory, torn);
  const Store store = open_store_at(kPath, {.files = &memory});
  const Bytes& image = torn.at(kPath);
  const Bytes cut(image.begin() + static_cast<std::ptrdiff_t>(store.tail()), image.end());
  return {.before = torn,
          .act = [](store::FileSystem& files) -> Result<void> {
            Result<Store> opened = Store::open(kPath, {.files = &files});
            return opened ? opened->close() : Result<void>(opened.error());
          },
          .check =
              [cut, wanted = contents_of(store)](const FileContents& files) {
                EXPECT_EQ(contents_of_file(files), wanted);
                EXPECT_TRUE(is_kept(files, kPath + ".cut-", cut)) << "what was cut off is not kept";
              }};
}

/// Images of a workload whose process died within a write, some of them.
std::vector<FileContents> torn_images(unsigned seed, std::size_t count) {
  RecordingFiles files;
  {
    Store store = open_store_at(kPath, {.files = &files});
    Store other = open_store_at("t", {.files = &files});
    for (const Step& step : workload(seed, 12, false)) EXPECT_TRUE(step.act(store, other).ok());
    EXPECT_TRUE(store.flush().ok());
    put(store, "last", std::string(5000, 'l'));
  }
  std::vector<FileContents> torn;
  for_each_crash_image(files.recording(), {.seed = seed, .power_loss = false}, [&](const CrashImage& image) {
    store::MemoryFiles crashed;
    load(crashed, image.files);
    const Result<Store> store = Store::open(kPath, {.files = &crashed});
    if (store && store->opened().dropped_bytes != 0) torn.push_back(image.files);
    return true;
  });
  std::mt19937 random(seed);
  std::shuffle(torn.begin(), torn.end(), random);
  torn.resize(std::min(torn.size(), count));
  return torn;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
unsigned seeds() { return 2; }
#else
unsigned seeds() { return amount(10, 200); }
#endif

TEST(StoreRepairs, ACrashWithinAnOpeningThatCutsLosesNothing) {
  std::size_t images = 0;
  for (unsigned seed = 1; seed <= seeds() && !HasFailure(); ++seed) {
    for (const FileContents& torn : torn_images(seed, 4)) images += crash_within(opening_of(torn), seed);
  }
  EXPECT_GT(images, seeds() * 40U);
}

TEST(StoreRepairs, AnyCallOfAnOpeningThatCutsMayFail) {
  std::size_t files = 0;
  for (unsigned seed = 1; seed <= seeds() && !HasFailure(); ++seed) {
    for (const FileContents& torn : torn_images(seed, 4)) {
      ++files;
      fail_within(opening_of(torn));
    }
  }
  EXPECT_GE(files, seeds() * 2U);
}

enum class Damage { payload, link };

/// recover() of a file with damage in the middle, on the path or on an open store.
Repair recovery_of(Damage damage, bool open) {
  store::MemoryFiles memory;
  Contents wanted;
  std::size_t at = 0;
  {
    Store store = open_store_at(kPath, {.files = &memory});
    for (int i = 0; i < 8; ++i) {
      const std::string key(1, static_cast<char>('a' + i));
      const std::string value(i == 5 ? 9000 : 50, static_cast<char>('A' + i));
      put(store, key, value);
      if (i == 3) at = static_cast<std::size_t>(store.tail());
      if (i != 3 || damage == Damage::link) wanted[hash_of(key)] = value;
    }
  }
  Bytes content = *memory.get(kPath);
  // The payload of the fourth entry, which is lost; or the link in the trailer behind it, so little
  // that where the payload begins can still be told.
  content.at(damage == Damage::payload ? at - 30 : at - 12) ^= 1;
  FileContents before = contents_in(memory);
  before[kPath] = content;
  if (damage == Damage::payload) before.erase(kPath + ".mark");
  return {.before = before,
          .act = [open, wanted](store::FileSystem& files) -> Result<void> {
            const StoreOptions options{.files = &files};
            if (!open) {
              const Result<RecoverReport> report = Store::recover(kPath, options);
              return report ? Result<void>() : Result<void>(report.error());
            }
            Result<Store> store = Store::open(kPath, options);
            if (!store) return store.error();
            const Result<RecoverReport> report = store->recover();
            if (!report) return report.error();
            EXPECT_EQ(contents_of(*store), wanted);
            return store->close();
          },
          .check =
              [content, wanted](const FileContents& files) {
                EXPECT_EQ(contents_of_file(files), wanted);
                EXPECT_TRUE(is_kept(files, kPath + ".damaged", content)) << "the old file is not kept";
              }};
}

TEST(StoreRepairs, ACrashWithinRecoverLosesNothing) {
  for (unsigned seed = 1; seed <= seeds() && !HasFailure(); ++seed) {
    EXPECT_GT(crash_within(recovery_of(Damage::payload, false), seed), 20U);
    EXPECT_GT(crash_within(recovery_of(Damage::link, false), seed), 20U);
    EXPECT_GT(crash_within(recovery_of(Damage::payload, true), seed), 20U);
  }
}

TEST(StoreRepairs, AnyCallOfRecoverMayFail) {
  fail_within(recovery_of(Damage::payload, false));
  fail_within(recovery_of(Damage::link, false));
  fail_within(recovery_of(Damage::payload, true));
}

// The end of the file may have another layout than what is before it, wherever the damage is.
TEST(StoreRepairs, RecoverKeepsEntriesOfEveryLayout) {
  StoreBuilder built(store::Layout::unaligned);
  for (std::uint64_t i = 0; i < 5; ++i) built.value(i, 150 + i);
  built.as(store::Layout::aligned16);
  for (std::uint64_t i = 5; i < 8; ++i) built.value(i, 150 + i);
  built.as(store::Layout::aligned64).tombstone(99);
  for (std::uint64_t i = 8; i < 12; ++i) built.value(i, 150 + i);
  for (std::size_t bad = 0; bad < 12; ++bad) {
    const std::size_t tail = built.tails[bad + (bad < 8 ? 1 : 2)];
    for (const std::size_t at : {tail - 50 /* payload */, tail - 6 /* link */, tail - 1 /* checksum */}) {
      SCOPED_TRACE(std::to_string(bad) + " at " + std::to_string(at));
      store::MemoryFiles files;
      Bytes bytes = built.bytes;
      bytes[at] ^= 1;
      ASSERT_TRUE(files.put("s", bytes).ok());
      const Result<RecoverReport> repaired = Store::recover("s", {.files = &files});
      ASSERT_TRUE(repaired.ok()) << repaired.error().detail;
      EXPECT_EQ(repaired->entries, 12U);
      const Store store = open_store_at("s", {.files = &files});
      EXPECT_EQ(*store.size(), 11U);
      for (std::size_t i = 0; i < 12; ++i) EXPECT_EQ(*store.exists_with_key_hash(i), i != bad) << i;
    }
  }
}

}  // namespace
}  // namespace simdrive::test
