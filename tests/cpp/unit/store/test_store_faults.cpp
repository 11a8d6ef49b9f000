// Calls that fail one by one (reliability test T2), and every disk image that a crash may leave (T1).
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <set>

#include "store/file_memory.hpp"
#include "store/store_calls.hpp"
#include "support/crash_images.hpp"
#include "support/failing_files.hpp"
#include "support/recording_files.hpp"

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

const std::string kPath = "s";

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kCrashSeeds = 6;
constexpr std::uint64_t kCallStride = 11;  // of the calls that fail, one in so many
#else
constexpr unsigned kCrashSeeds = 50;
constexpr std::uint64_t kCallStride = 1;
#endif
constexpr unsigned kSeedsEach = 2;

/// One step of a workload: what it does to a store, and what the store holds after it.
struct Step {
  std::string name;
  std::function<Result<void>(Store&)> act;
  std::function<void(Contents&)> effect;
};

Result<void> done(const Result<std::uint64_t>& result) { return result ? Result<void>() : result.error(); }

std::uint64_t hash_of(const std::string& key) { return xxh3_64(view_of(key)); }

/// A workload over five keys; the same for the same seed.
std::vector<Step> workload(unsigned seed, int count, bool with_compaction) {
  std::mt19937 random(seed);
  const auto pick = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  std::vector<Step> steps;
  for (int i = 0; i < count; ++i) {
    const std::string key(1, static_cast<char>('a' + pick(5)));
    std::string other(1, static_cast<char>('a' + pick(5)));
    if (other == key) other = "f";
    constexpr std::size_t kSizes[] = {1, 8, 44, 45, 100, 700, 5000};
    std::string value(kSizes[pick(7)], static_cast<char>('A' + i % 26));
    if (value.size() > 30 && pick(3) == 0) value.replace(5, 20, 20, '\0');  // false chains must not be believed
    switch (pick(with_compaction ? 7 : 6)) {
      case 0:
      case 1:
        steps.push_back({"write", [=](Store& s) { return done(s.write(view_of(key), view_of(value))); },
                         [=](Contents& c) { c[hash_of(key)] = value; }});
        break;
      case 2:
        steps.push_back({"erase", [=](Store& s) { return done(s.erase(view_of(key))); },
                         [=](Contents& c) { c.erase(hash_of(key)); }});
        break;
      case 3:
        steps.push_back({"batch",
                         [=](Store& s) {
                           const std::vector<KeyValue> batch = {{view_of(key), view_of(value)},
                                                                {view_of(other), view_of("batched")}};
                           return done(s.batch_write(batch));
                         },
                         [=](Contents& c) {
                           c[hash_of(key)] = value;
                           c[hash_of(other)] = "batched";
                         }});
        break;
      case 4: {
        std::string large(300'000, static_cast<char>('a' + i % 26));
        const bool is_large = pick(4) == 0;
        const std::string streamed = is_large ? large : value;
        steps.push_back({"stream",
                         [=](Store& s) {
                           TextSource source{streamed, 70'000};
                           return done(s.write_stream(view_of(key), source.source()));
                         },
                         [=](Contents& c) { c[hash_of(key)] = streamed; }});
        break;
      }
      case 5:
        steps.push_back({"rename",
                         [=](Store& s) {
                           const Result<std::uint64_t> renamed = s.rename(view_of(key), view_of(other));
                           if (!renamed && renamed.error().code == Errc::key_not_found) return Result<void>();
                           return done(renamed);
                         },
                         [=](Contents& c) {
                           const auto from = c.find(hash_of(key));
                           if (from == c.end()) return;
                           c[hash_of(other)] = from->second;
                           c.erase(hash_of(key));
                         }});
        break;
      default:
        steps.push_back({"compact",
                         [=](Store& s) {
                           const Result<CompactResult> compacted = s.compact();
                           return compacted ? Result<void>() : Result<void>(compacted.error());
                         },
                         [](Contents&) {}});
    }
  }
  return steps;
}

/// The states between two, of a batch or a rename of which only the first record is there.
std::vector<Contents> parts_between(const Contents& before, const Contents& after) {
  std::vector<Contents> parts;
  for (const auto& [hash, payload] : after) {
    parts.push_back(before);
    parts.back()[hash] = payload;
  }
  return parts;
}

std::string to_text(FaultKind kind) { return std::string(testing_store::to_string(kind)); }

/// Runs the workload with the n-th call failing, then heals, goes on, opens anew. True if there was no n-th call.
bool survive_fault(StoreSync sync, unsigned seed, std::uint64_t n, FaultKind kind, std::uint64_t count) {
  SCOPED_TRACE("call " + std::to_string(n) + " " + to_text(kind) + " x" + std::to_string(count));
  store::MemoryFiles memory;
  FailingFiles files(memory);
  const StoreOptions options{.sync = sync, .files = &files};
  files.fail(n, kind, count);
  std::vector<Contents> possible(1);  // more than one after a call whose outcome is not known
  {
    Result<Store> store = Store::open(kPath, options);
    for (int tries = 0; !store && tries < 5; ++tries) store = Store::open(kPath, options);
    if (!store) {
      ADD_FAILURE() << store.error().detail;
      return true;
    }
    for (const Step& step : workload(seed, 25, true)) {
      const Result<void> result = step.act(*store);
      std::vector<Contents> after = possible;
      for (Contents& each : after) step.effect(each);
      if (result) {
        possible = after;
      } else if (result.error().outcome == Outcome::unknown) {
        for (std::size_t i = 0; i < after.size(); ++i) {
          for (Contents& part : parts_between(possible[i], after[i])) possible.push_back(std::move(part));
        }
        possible.insert(possible.end(), after.begin(), after.end());
      }
      // What readers see is one of them, whatever has failed; the calls of readers themselves may fail once, too.
      Result<std::uint64_t> size = store->size();
      EXPECT_TRUE(size.ok());
    }
    files.heal();
    const Contents seen = contents_of(*store);
    EXPECT_TRUE(std::find(possible.begin(), possible.end(), seen) != possible.end());
    if (!store->read_only()) {
      const Result<std::uint64_t> more = store->write(view_of("more"), view_of("after the fault"));
      EXPECT_TRUE(more.ok()) << more.error().detail;
      for (Contents& each : possible) each[hash_of("more")] = "after the fault";
    }
    (void)store->close();
  }
  Result<Store> again = Store::open(kPath, options);
  if (!again) {
    ADD_FAILURE() << again.error().detail;
    return false;
  }
  EXPECT_TRUE(again->verify()->ok);
  const Contents found = contents_of(*again);
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
    Store store = open_store_at(kPath, {.sync = sync, .files = &files});
    for (const Step& step : workload(seed, 25, true)) ASSERT_TRUE(step.act(store).ok());
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

TEST(StoreFaults, AnyOneCallMayFail) {
  for (unsigned seed = 1; seed <= 3; ++seed) survive_all_faults(StoreSync::none, seed, 1);
}

TEST(StoreFaults, AnyOneCallMayFailWithSyncAlways) { survive_all_faults(StoreSync::always, 4, 1); }

TEST(StoreFaults, AnyTwoCallsInARowMayFail) {
  survive_all_faults(StoreSync::none, 5, 2);
  survive_all_faults(StoreSync::always, 6, 2);
}

TEST(StoreFaults, AFullDiskIsReportedAndForgottenOnceThereIsRoom) {
  store::MemoryFiles memory;
  FailingFiles files(memory, {testing_store::Call::write});
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
  FailingFiles files(memory, {testing_store::Call::write, testing_store::Call::truncate});
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

/// A workload on recorded files, then every image: it opens to the state after some step, no earlier than the last one
/// that was promised to be there.
void survive_crashes(unsigned seed, StoreSync sync, bool power_loss, bool with_compaction) {
  RecordingFiles files;
  std::vector<Contents> states(1);
  // Events after which a state is promised: of a process's death, or of power failing.
  std::vector<std::pair<std::size_t, std::size_t>> promised;
  std::set<Contents> prefixes;  // of batches and renames, which may survive in part
  {
    Store store = open_store_at(kPath, {.sync = sync, .files = &files});
    promised.emplace_back(files.event_count(), 0);
    int i = 0;
    for (const Step& step : workload(seed, 12, with_compaction)) {
      Contents next = states.back();
      step.effect(next);
      const Result<void> result = step.act(store);
      ASSERT_TRUE(result.ok()) << result.error().detail;
      if (sync == StoreSync::none && ++i % 5 == 0) {
        ASSERT_TRUE(store.flush().ok());
      }
      states.push_back(std::move(next));
      if (!power_loss || sync == StoreSync::always || i % 5 == 0 || step.name == "compact") {
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
    if (!store) {
      ADD_FAILURE() << store.error().detail;
      return false;
    }
    EXPECT_TRUE(store->verify()->ok);
    const Contents found = contents_of(*store);
    bool known = false;
    for (std::size_t s = least; s < states.size() && !known; ++s) {
      known = states[s] == found;
      if (!known && s + 1 < states.size()) {
        const std::vector<Contents> parts = parts_between(states[s], states[s + 1]);
        known = std::find(parts.begin(), parts.end(), found) != parts.end();
      }
    }
    EXPECT_TRUE(known) << "no state from " << least << " on";
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
    for (unsigned i = 1; i <= kSeedsEach; ++i) {
      const unsigned seed = GetParam() * kSeedsEach + i;
      survive_crashes(seed, seed % 2 == 0 ? StoreSync::none : StoreSync::always, power_loss, seed % 3 == 0);
      if (HasFailure()) return;
    }
  }
};

TEST_P(StoreCrashes, ADeadProcessLosesNothingAcknowledged) { survive(false); }

TEST_P(StoreCrashes, PowerLossLeavesAPrefixWithAllThatWasSynced) { survive(true); }

INSTANTIATE_TEST_SUITE_P(Seeds, StoreCrashes, ::testing::Range(0U, kCrashSeeds / kSeedsEach));

}  // namespace
}  // namespace simdrive::test
