#include "store/tail_search.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "store/chain.hpp"

namespace simdrive::store {
namespace {

// 32 MiB of memory for 2 M tails; only a file of more than 4 GiB that is full of broken chains gets more.
std::size_t memo_entries(std::uint64_t size) {
  return static_cast<std::size_t>(std::max<std::uint64_t>(std::uint64_t{1} << 21, size / 2048));
}

// Candidates come from the highest down.
std::uint64_t highest_good(const std::vector<Candidate>& batch) {
  const auto good = std::find_if(batch.begin(), batch.end(), [](const Candidate& each) { return each.good; });
  return good == batch.end() ? 0 : good->tail();
}

bool any_good(const std::vector<Candidate>& batch) {
  return std::any_of(batch.begin(), batch.end(), [](const Candidate& each) { return each.good; });
}

}  // namespace

TailSearch::TailSearch(ByteSource& source, const Progress& progress)
    : source_(source),
      size_(source.size()),
      progress_(progress),
      scanner_(source),
      walker_(source),
      checksummer_(source) {}

TailSearch::Rule TailSearch::rule(std::uint64_t base, std::uint64_t alignment, bool zeros) const {
  return {base, alignment, zeros, ChainMemo(memo_entries(size_))};
}

Result<bool> TailSearch::leads_to_record(std::uint64_t prev, std::uint64_t alignment) {
  // A look at that one trailer leaves the window of the walker where it is.
  std::array<std::uint8_t, kMinTail> bytes{};
  if (auto read = source_.read_at(prev - kMinTail, bytes); !read.ok()) return std::move(read.error());
  ++steps_;
  const std::uint64_t next = read_trailer(bytes.data() + 1).prev;
  return payload_start(prev - kTrailerBytes, next, bytes[0], alignment) != kMalformed;
}

// Walks until the base is reached or the fate of the rest is known. Tails at or above the candidate's own cannot be met
// again, since candidates come from the highest down; so only those below it are remembered.
Result<bool> TailSearch::holds(const Candidate& candidate, Rule& rule) {
  ++steps_;
  const std::uint64_t base = rule.base;
  const std::uint64_t prev = candidate.trailer.prev;
  if (prev == base) return true;
  if (prev < base || prev < kMinTail) return false;
  met_.clear();
  bool known = false;
  bool result = false;
  // Asks the memo before anything is read: the same few wrong links are common in data that repeats.
  const auto recall = [&](std::uint64_t tail) {
    if (!rule.memo.samples(tail)) return false;
    const ChainMemo::Known found = rule.memo.find(tail);
    known = found != ChainMemo::Known::no;
    result = found == ChainMemo::Known::holds;
    if (!known) met_.push_back(tail);
    return known;
  };
  if (recall(prev)) return result;
  if (!walker_.holds(prev - kMinTail, prev)) {
    auto leads = leads_to_record(prev, rule.alignment);
    if (!leads.ok()) return leads;
    if (!*leads) {
      rule.memo.add(met_, false);
      return false;
    }
  }
  auto end = follow(walker_, prev, {.alignment = rule.alignment, .zeros = rule.zeros}, [&](const Record& record) {
    ++steps_;
    if (record.trailer.prev <= base) {
      known = true;
      result = record.trailer.prev == base;
      return false;
    }
    return !recall(record.trailer.prev);
  });
  if (!end.ok()) return std::move(end.error());
  if (!known) result = end->complete() && base == 0;
  rule.memo.add(met_, result);
  return result;
}

Result<std::uint64_t> TailSearch::find(std::uint64_t base) {
  Rule present = rule(base, kPayloadAlignment);
  ChecksumTest test(checksummer_);
  CandidateScan scan(scanner_, base, size_, kPayloadAlignment);
  Pace pace(progress_, size_);
  std::vector<Candidate> batch;
  Result<void> failed;
  for (std::size_t limit = 1; !scan.done(); limit = next_batch(limit)) {
    batch.clear();
    while (!scan.done() && batch.size() < limit) {
      auto scanned = scan.some(false, [&](const Candidate& candidate) {
        auto held = holds(candidate, present);
        if (!held.ok()) {
          failed = std::move(held.error());
          return false;
        }
        if (*held) batch.push_back(candidate);
        return batch.size() < limit;
      });
      if (!failed.ok()) return std::move(failed.error());
      if (!scanned.ok()) return std::move(scanned.error());
      if (!pace.at(size_ - scan.position())) return Pace::error();
    }
    if (auto tested = test.run(batch); !tested.ok()) return std::move(tested.error());
    if (const std::uint64_t good = highest_good(batch); good != 0) return good;
  }
  return std::uint64_t{0};
}

// A chain that holds where starts are rounded up far holds where they are rounded up less, too. So a link that leads to
// no record in the oldest layout leads to none in any, and one scan does for all three.
Result<TailSearch::Found> TailSearch::find_in_all() {
  std::array<Rule, 3> rules{rule(0, alignment_of(Layout::aligned64)), rule(0, alignment_of(Layout::aligned16)),
                            rule(0, alignment_of(Layout::unaligned))};
  Rule& oldest = rules.back();
  std::array<std::vector<Candidate>, 3> batches;
  std::array<std::uint64_t, 3> found{};
  std::size_t limit = 1;
  bool full = false;

  const auto add = [&](std::size_t i, const Candidate& candidate, std::uint64_t start) {
    batches[i].push_back(candidate);
    batches[i].back().start = start;
    full = full || batches[i].size() >= limit;
  };
  const auto look = [&](const Candidate& candidate) -> Result<void> {
    const std::uint64_t prev = candidate.trailer.prev;
    if (prev == 0) {
      add(0, candidate, 0);  // a first record is the same in every layout
      return {};
    }
    if (prev < kMinTail || (oldest.memo.samples(prev) && oldest.memo.find(prev) == ChainMemo::Known::broken)) return {};
    const bool look_ahead = !walker_.holds(prev - kMinTail, prev);
    if (look_ahead) {
      auto leads = leads_to_record(prev, oldest.alignment);
      if (!leads.ok()) return std::move(leads.error());
      if (!*leads) {
        oldest.memo.add(std::span(&prev, 1), false);
        return {};
      }
    }
    auto present = holds(candidate, rules[0]);
    if (!present.ok()) return std::move(present.error());
    std::array<bool, 3> holds_in{*present, *present, *present};
    for (const std::size_t i : {2U, 1U}) {
      if (holds_in[0] || (i == 1 && !holds_in[2])) continue;
      auto older = holds(candidate, rules[i]);
      if (!older.ok()) return std::move(older.error());
      holds_in[i] = *older;
    }
    std::uint64_t newer = kMalformed;
    for (std::size_t i = 0; i < rules.size(); ++i) {
      const std::uint64_t start = payload_start(candidate.offset, prev, candidate.last_byte, rules[i].alignment);
      // What starts where it does in a newer layout is the same record.
      if (!holds_in[i] || start == kMalformed || start == newer) continue;
      newer = start;
      if (found[i] == 0) add(i, candidate, start);
    }
    return {};
  };

  ChecksumTest test(checksummer_);
  CandidateScan scan(scanner_, 0, size_, oldest.alignment);
  Pace pace(progress_, size_);
  for (; !scan.done() && found[0] == 0; limit = next_batch(limit)) {
    for (full = false; !scan.done() && !full;) {
      Result<void> looked;
      auto scanned = scan.some(false, [&](const Candidate& candidate) {
        looked = look(candidate);
        return looked.ok() && !full;
      });
      if (!looked.ok()) return std::move(looked.error());
      if (!scanned.ok()) return std::move(scanned.error());
      if (!pace.at(size_ - scan.position())) return Pace::error();
    }
    for (std::size_t i = 0; i < batches.size(); ++i) {
      std::vector<Candidate>& batch = batches[i];
      // Below what was found in the present layout nothing matters.
      while (!batch.empty() && batch.back().tail() <= found[0]) batch.pop_back();
      if (auto tested = test.run(batch); !tested.ok()) return std::move(tested.error());
      if (found[i] == 0) found[i] = highest_good(batch);
      batch.clear();
    }
  }
  return Found{found[0], found[1], found[2]};
}

Result<std::uint64_t> TailSearch::find_as_original() {
  Rule original = rule(0, kPayloadAlignment, true);
  CandidateScan scan(scanner_, 0, size_, kPayloadAlignment);
  Pace pace(progress_, size_);
  Result<void> failed;
  std::uint64_t tail = 0;
  while (!scan.done() && tail == 0) {
    auto scanned = scan.some(true, [&](const Candidate& candidate) {
      auto held = holds(candidate, original);
      if (!held.ok()) {
        failed = std::move(held.error());
        return false;
      }
      if (*held) tail = candidate.tail();
      return !*held;
    });
    if (!failed.ok()) return std::move(failed.error());
    if (!scanned.ok()) return std::move(scanned.error());
    if (!pace.at(size_ - scan.position())) return Pace::error();
  }
  return tail;
}

Result<std::uint64_t> TailSearch::count_behind(std::uint64_t tail, std::uint64_t alignment) {
  Rule behind = rule(tail, alignment);
  ChecksumTest test(checksummer_);
  CandidateScan scan(scanner_, tail, size_, alignment);
  Pace pace(progress_, size_);
  std::vector<Candidate> batch;
  Result<void> failed;
  std::uint64_t count = 0;
  for (std::size_t limit = 1; !scan.done(); limit = next_batch(limit)) {
    batch.clear();
    while (!scan.done() && batch.size() < limit) {
      auto scanned = scan.some(false, [&](const Candidate& candidate) {
        if (candidate.trailer.prev < tail) return true;
        auto held = holds(candidate, behind);
        if (!held.ok()) {
          failed = std::move(held.error());
          return false;
        }
        if (*held) count = std::max<std::uint64_t>(count, candidate.trailer.prev == tail ? 1 : 2);
        batch.push_back(candidate);
        return batch.size() < limit && count < 2;
      });
      if (!failed.ok()) return std::move(failed.error());
      if (!scanned.ok()) return std::move(scanned.error());
      if (count >= 2) return count;
      if (!pace.at(size_ - scan.position())) return Pace::error();
    }
    if (auto tested = test.run(batch); !tested.ok()) return std::move(tested.error());
    if (any_good(batch)) return std::uint64_t{2};
  }
  return count;
}

Result<bool> TailSearch::has_intact(std::uint64_t high, std::uint64_t alignment, std::uint64_t low_link) {
  ChecksumTest test(checksummer_);
  CandidateScan scan(scanner_, 0, high, alignment);
  Pace pace(progress_, size_);
  std::vector<Candidate> batch;
  for (std::size_t limit = 16; !scan.done(); limit = next_batch(limit)) {
    batch.clear();
    while (!scan.done() && batch.size() < limit) {
      bool intact = false;
      Result<void> failed;
      auto scanned = scan.some(false, [&](const Candidate& candidate) {
        if (candidate.trailer.prev < low_link) return true;
        batch.push_back(candidate);
        auto tested = test.run_short(batch.back());
        if (!tested.ok()) {
          failed = std::move(tested.error());
          return false;
        }
        if (*tested) {
          intact = batch.back().good;
          batch.pop_back();
        }
        return !intact && batch.size() < limit;
      });
      if (!failed.ok()) return std::move(failed.error());
      if (intact) return true;
      if (!scanned.ok()) return std::move(scanned.error());
      if (!pace.at(high - scan.position())) return Pace::error();
    }
    if (auto tested = test.run(batch); !tested.ok()) return std::move(tested.error());
    if (any_good(batch)) return true;
  }
  return false;
}

}  // namespace simdrive::store
