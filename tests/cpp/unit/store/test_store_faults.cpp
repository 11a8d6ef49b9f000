// Calls that fail one by one (reliability test T2), and every disk image that a crash may leave (T1).
#include <gtest/gtest.h>

#include <algorithm>
#include <new>

#include "store/file_memory.hpp"
#include "store/store_workload.hpp"
#include "store/syncer.hpp"
#include "support/amounts.hpp"
#include "support/crash_images.hpp"
#include "support/failing_files.hpp"
#include "support/recording_files.hpp"

namespace simdrive::test {
namespace {

using testing_store::Call;
using testing_store::CrashImage;
using testing_store::CrashOptions;
using testing_store::FailingFiles;
using testing_store::FaultKind;
using testing_store::for_each_crash_image;
using testing_store::kFaultKinds;
using testing_store::load;
using testing_store::RecordingFiles;

const std::string kPath = "s";
const std::string kOtherPath = "t";
constexpr double kSyncInterval = 0.0005;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kCrashTests = 6;
constexpr std::uint64_t kCallStride = 11;  // of the calls that fail, one in so many
constexpr unsigned kFaultSeeds = 1;
unsigned seeds_each() { return 1; }
#else
constexpr unsigned kCrashTests = 25;
constexpr std::uint64_t kCallStride = 1;
constexpr unsigned kFaultSeeds = 3;
unsigned seeds_each() { return amount(2, 200); }
#endif

StoreSync sync_of(unsigned seed) {
  constexpr StoreSync kAll[] = {StoreSync::none, StoreSync::always, StoreSync::batch};
  return kAll[seed % 3];
}

State state_of(const Store& main, const Store& other) { return {contents_of(main), contents_of(other)}; }

std::string to_text(FaultKind kind) { return std::string(testing_store::to_string(kind)); }

/// Runs the workload with the n-th call failing, then heals, goes on, opens anew. True if there was no n-th call.
bool survive_fault(StoreSync sync, unsigned seed, std::uint64_t n, FaultKind kind, std::uint64_t count) {
  SCOPED_TRACE("call " + std::to_string(n) + " " + to_text(kind) + " x" + std::to_string(count));
  store::MemoryFiles memory;
  FailingFiles files(memory);
  const StoreOptions options{.sync = sync, .sync_interval = kSyncInterval, .files = &files};
  files.fail(n, kind, count);
  std::vector<State> possible(1);  // more than one after a call whose outcome is not known
  const auto open_after_tries = [&](const std::string& path) {
    Result<Store> store = Store::open(path, options);
    for (int tries = 0; !store && tries < 5; ++tries) store = Store::open(path, options);
    return store;
  };
  {
    Result<Store> store = open_after_tries(kPath);
    Result<Store> other = open_after_tries(kOtherPath);
    if (!store || !other) {
      ADD_FAILURE() << (store ? other : store).error().detail;
      return true;
    }
    for (const Step& step : workload(seed, 25, true)) {
      const Result<void> result = step.act(*store, *other);
      std::vector<State> after = possible;
      for (State& each : after) step.effect(each);
      if (result) {
        possible = after;
      } else if (result.error().outcome == Outcome::unknown) {
        for (std::size_t i = 0; i < after.size(); ++i) {
          for (State& part : parts_between(possible[i], after[i])) possible.push_back(std::move(part));
        }
        possible.insert(possible.end(), after.begin(), after.end());
      } else if (step.name == "transfer") {  // a failed erase leaves the entry in both
        for (std::size_t i = 0; i < after.size(); ++i) possible.push_back({possible[i].main, after[i].other});
      }
      // What readers see is one of them, whatever has failed; the calls of readers themselves may fail once, too.
      Result<std::uint64_t> size = store->size();
      EXPECT_TRUE(size.ok());
    }
    files.heal();
    const State seen = state_of(*store, *other);
    EXPECT_TRUE(std::find(possible.begin(), possible.end(), seen) != possible.end());
    // The background sync may fail a little later than the last step.
    if (!store->read_only() && sync != StoreSync::batch) {
      const Result<std::uint64_t> more = store->write(view_of("more"), view_of("after the fault"));
      EXPECT_TRUE(more.ok()) << more.error().detail;
      for (State& each : possible) each.main[hash_of("more")] = "after the fault";
    }
    (void)store->close();
    (void)other->close();
  }
  Result<Store> again = Store::open(kPath, options);
  Result<Store> other = Store::open(kOtherPath, options);
  if (!again || !other) {
    ADD_FAILURE() << (again ? other : again).error().detail;
    return false;
  }
  EXPECT_TRUE(again->verify()->ok);
  EXPECT_TRUE(other->verify()->ok);
  const State found = state_of(*again, *other);
  EXPECT_TRUE(std::find(possible.begin(), possible.end(), found) != possible.end());
  const Result<std::uint64_t> more = again->write(view_of("last"), view_of("and on"));
  EXPECT_TRUE(more.ok());
  return files.failed().empty() && n > 0;
}

/// Every call of the workload, until there are no more of them.
void survive_all_faults(StoreSync sync, unsigned seed, std::uint64_t count) {
  store::MemoryFiles memory;
  FailingFiles files(memory);
  {
    const StoreOptions options{.sync = sync, .sync_interval = kSyncInterval, .files = &files};
    Store store = open_store_at(kPath, options);
    Store other = open_store_at(kOtherPath, options);
    for (const Step& step : workload(seed, 25, true)) ASSERT_TRUE(step.act(store, other).ok());
  }
  const std::uint64_t calls = files.calls();
  ASSERT_GT(calls, 30U);
  for (const FaultKind kind : kFaultKinds) {
    for (std::uint64_t n = 0; n < calls; n += kCallStride) {
      survive_fault(sync, seed, n, kind, count);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

TEST(StoreFaults, AfterCompactionErrorsNameTheStoreAndNotTheSideFile) {
  store::MemoryFiles memory;
  FailingFiles files(memory, {Call::write});
  Store store = open_store_at(kPath, {.files = &files});
  put(store, "a", "before");
  ASSERT_TRUE(store.compact().ok());
  files.fail(0, FaultKind::io_error, FailingFiles::kUntilHealed);
  const Result<std::uint64_t> written = store.write(view_of("a"), view_of("after"));
  ASSERT_FALSE(written.ok());
  EXPECT_NE(written.error().detail.find("'" + kPath + "'"), std::string::npos) << written.error().detail;
}

TEST(StoreFaults, AnyOneCallMayFail) {
  for (unsigned seed = 1; seed <= kFaultSeeds; ++seed) survive_all_faults(StoreSync::none, seed, 1);
}

TEST(StoreFaults, AnyOneCallMayFailWithSyncAlways) { survive_all_faults(StoreSync::always, 4, 1); }

TEST(StoreFaults, AnyOneCallMayFailWithSyncInTheBackground) { survive_all_faults(StoreSync::batch, 7, 1); }

TEST(StoreFaults, AnyTwoCallsInARowMayFail) {
  survive_all_faults(StoreSync::none, 5, 2);
  survive_all_faults(StoreSync::always, 6, 2);
}

TEST(StoreFaults, AFullDiskIsReportedAndForgottenOnceThereIsRoom) {
  store::MemoryFiles memory;
  FailingFiles files(memory, {Call::write});
  Store store = open_store_at(kPath, {.files = &files});
  put(store, "k", "before");
  const Bytes before = *memory.get(kPath);
  files.fail(0, FaultKind::short_transfer, FailingFiles::kUntilHealed);
  const std::string large(200'000, 'x');
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(error_of(store.write(view_of("k"), view_of(large))), Errc::storage_full);
    TextSource source{large};
    EXPECT_EQ(error_of(store.write_stream(view_of("k"), source.source())), Errc::storage_full);
    EXPECT_EQ(*memory.get(kPath), before);
    EXPECT_FALSE(store.read_only());
  }
  EXPECT_EQ(get(store, "k"), "before");
  files.heal();
  put(store, "k", large);
  EXPECT_EQ(get(store, "k"), large);
}

TEST(StoreFaults, AWriteThatCannotBeTakenBackEndsWriting) {
  store::MemoryFiles memory;
  FailingFiles files(memory, {Call::write, Call::truncate});
  {
    Store store = open_store_at(kPath, {.files = &files});
    put(store, "k", "before");
    files.fail(0, FaultKind::short_transfer, 2);
    EXPECT_EQ(error_of(store.write(view_of("k"), view_of(std::string(5000, 'x')))), Errc::storage_full);
    EXPECT_TRUE(store.read_only());
    EXPECT_EQ(error_of(store.write(view_of("k"), view_of("more"))), Errc::store_read_only);
    EXPECT_EQ(get(store, "k"), "before");
  }
  Store again = open_store_at(kPath, {.files = &files});
  EXPECT_EQ(get(again, "k"), "before");
  EXPECT_GT(again.opened().dropped_bytes, 0U);
  put(again, "k", "after");
}

/// What was appended may be lost with the name of the new file, so nobody is told that it is on the disk.
TEST(StoreFaults, NothingIsSyncedByACompactionThatMayNotLast) {
  for (const StoreSync sync : {StoreSync::none, StoreSync::batch}) {
    store::MemoryFiles memory;
    FailingFiles files(memory, {Call::sync_directory});
    Store store = open_store_at(kPath, {.sync = sync, .sync_interval = 3600, .files = &files});
    put(store, "k", "v");
    files.fail(0, FaultKind::io_error);
    EXPECT_FALSE(store.compact().ok());
    EXPECT_TRUE(store.read_only());
    EXPECT_EQ(get(store, "k"), "v");
    EXPECT_FALSE(store.close().ok());
  }
  store::MemoryFiles memory;
  const std::shared_ptr<store::File> file =
      memory.open(kPath, {.write = true, .create = store::Create::if_missing}).value();
  store::Syncer syncer({.sync = StoreSync::always}, memory, kPath);
  syncer.attach(file, 0);
  const std::uint64_t number = syncer.appended(0);  // and before it waits for that:
  {
    store::Syncer::Replacement replacement(syncer);
    ASSERT_TRUE(replacement.begin(store::Syncer::Replacement::Old::whole).ok());
    syncer.fail(Error{.code = Errc::store_error, .detail = "sync folder"});
    replacement.end(file, 0, false);
  }
  EXPECT_EQ(error_of(syncer.wait_for(number)), Errc::store_error);
}

TEST(StoreFaults, AfterACompactionThatFailedTheMarkTellsAgainWhatIsSynced) {
  for (const StoreSync sync : {StoreSync::none, StoreSync::batch, StoreSync::always}) {
    store::MemoryFiles memory;
    FailingFiles files(memory, {Call::rename});
    Store store = open_store_at(kPath, {.sync = sync, .sync_interval = 3600, .files = &files});
    put(store, "k", "v");
    ASSERT_TRUE(store.flush().ok());
    const std::optional<store::SyncMark> mark = store::read_mark(memory, kPath);
    ASSERT_TRUE(mark && mark->tail == store.tail());
    files.fail(0, FaultKind::io_error);
    EXPECT_FALSE(store.compact().ok());
    ASSERT_TRUE(store.close().ok());
    EXPECT_EQ(store::read_mark(memory, kPath), mark);
  }
}

/// What is appended to a file that has lost its name would be lost.
TEST(StoreFaults, MemoryThatEndsWhileAFileIsReplacedLosesNothing) {
  for (const bool recovers : {false, true}) {
    for (const Call ends_at : {Call::sync, Call::rename, Call::sync_directory}) {
      SCOPED_TRACE(std::string(testing_store::to_string(ends_at)) + (recovers ? " recover" : " compact"));
      store::MemoryFiles memory;
      FailingFiles files(memory, {ends_at});
      {
        Store store = open_store_at(kPath, {.files = &files});
        for (const char* key : {"a", "b", "c"}) put(store, key, "value");
      }
      Bytes bytes = *memory.get(kPath);
      if (recovers) bytes[64] ^= 1;  // of b
      ASSERT_TRUE(memory.put(kPath, bytes).ok());
      {
        Store store = open_store_at(kPath, {.files = &files});
        files.watch([&](std::uint64_t, Call, const std::string& path) {
          if (path == kPath ||
              (ends_at != Call::sync_directory && path.find('.') == path.rfind(recovers ? ".r" : ".c"))) {
            throw std::bad_alloc();
          }
        });
        EXPECT_EQ(recovers ? error_of(store.recover()) : error_of(store.compact()), Errc::out_of_memory);
        files.watch(nullptr);
        EXPECT_EQ(get(store, "c"), "value");
        EXPECT_EQ(store.read_only(), ends_at != Call::sync);
        if (!store.read_only()) put(store, "d", "value");
      }
      Store again = open_store_at(kPath, {.files = &files});
      EXPECT_EQ(get(again, "c"), "value");
      EXPECT_EQ(get(again, "d").has_value(), ends_at == Call::sync);
    }
  }
}

/// Whether that is the state after some step, no earlier than `least`, or of a part of one. A power failure that may
/// lose what was not synced loses it in each file for itself.
bool is_known(const State& found, const std::vector<State>& states, std::size_t least, bool together) {
  bool main = false;
  bool other = false;
  for (std::size_t s = least; s < states.size(); ++s) {
    std::vector<State> some = {states[s]};
    if (s + 1 < states.size()) {
      std::vector<State> parts = parts_between(states[s], states[s + 1]);
      some.insert(some.end(), parts.begin(), parts.end());
    }
    for (const State& each : some) {
      if (each == found) return true;
      main |= each.main == found.main;
      other |= each.other == found.other;
    }
  }
  return !together && main && other;
}

/// A workload on recorded files, then every image: it opens to the state after some step, no earlier than the last one
/// that was promised to be there.
void survive_crashes(unsigned seed, StoreSync sync, bool power_loss, bool with_compaction) {
  RecordingFiles files;
  std::vector<State> states(1);
  // Events after which a state is promised: of a process's death, or of power failing.
  std::vector<std::pair<std::size_t, std::size_t>> promised;
  {
    const StoreOptions options{.sync = sync, .sync_interval = kSyncInterval, .files = &files};
    Store store = open_store_at(kPath, options);
    Store other = open_store_at(kOtherPath, options);
    promised.emplace_back(files.event_count(), 0);
    int i = 0;
    for (const Step& step : workload(seed, 12, with_compaction)) {
      State next = states.back();
      step.effect(next);
      const Result<void> result = step.act(store, other);
      ASSERT_TRUE(result.ok()) << result.error().detail;
      const bool flushes = sync != StoreSync::always && ++i % 5 == 0;
      const bool compacts = step.name == "compact";  // which syncs the one store
      if (flushes) {
        ASSERT_TRUE(store.flush().ok());
      }
      if (flushes || compacts) {
        ASSERT_TRUE(other.flush().ok());
      }
      states.push_back(std::move(next));
      if (!power_loss || sync == StoreSync::always || flushes || compacts) {
        promised.emplace_back(files.event_count(), states.size() - 1);
      }
    }
  }
  CrashOptions options{.seed = seed, .power_loss = power_loss};
  std::size_t images = 0;
  for_each_crash_image(files.recording(), options, [&](const CrashImage& image) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", " + std::to_string(image.events) + " events, " + image.what);
    ++images;
    std::size_t least = 0;
    for (const auto& [events, state] : promised) {
      if (events <= image.events) least = std::max(least, state);
    }
    store::MemoryFiles crashed;
    load(crashed, image.files);
    Result<Store> store = Store::open(kPath, {.files = &crashed});
    Result<Store> other = Store::open(kOtherPath, {.files = &crashed});
    if (!store || !other) {
      ADD_FAILURE() << (store ? other : store).error().detail;
      return false;
    }
    EXPECT_TRUE(store->verify()->ok);
    EXPECT_TRUE(other->verify()->ok);
    const bool together = !image.power_loss || sync == StoreSync::always;
    EXPECT_TRUE(is_known(state_of(*store, *other), states, least, together)) << "no state from " << least << " on";
    const Result<std::uint64_t> more = store->write(view_of("more"), view_of("after the crash"));
    EXPECT_TRUE(more.ok());
    return !::testing::Test::HasFailure();
  });
  EXPECT_GT(images, 20U);
}

/// Some seeds at a time, so that no test takes long.
class StoreCrashes : public ::testing::TestWithParam<unsigned> {
 protected:
  void survive(bool power_loss) {
    const unsigned each = seeds_each();
    for (unsigned i = 1; i <= each; ++i) {
      const unsigned seed = GetParam() * each + i;
      survive_crashes(seed, sync_of(seed), power_loss, seed % 2 == 0);
      if (HasFailure()) return;
    }
  }
};

TEST_P(StoreCrashes, ADeadProcessLosesNothingAcknowledged) { survive(false); }

TEST_P(StoreCrashes, PowerLossLeavesAPrefixWithAllThatWasSynced) { survive(true); }

INSTANTIATE_TEST_SUITE_P(Seeds, StoreCrashes, ::testing::Range(0U, kCrashTests));

}  // namespace
}  // namespace simdrive::test
