#include "store/tail_search.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "store/chain.hpp"

namespace simdrive::store {
namespace {

// 64 MiB of memory for 4 M tails; only a file of more than 4 GiB that is full of broken chains gets more.
std::size_t memo_entries(std::uint64_t size) {
  return static_cast<std::size_t>(std::max<std::uint64_t>(std::uint64_t{1} << 22, size / 1024));
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

// Walks until the base is reached or the fate of the rest is known. Tails at or above the candidate's own cannot be met
// again, since candidates come from the highest down; so only those below it are remembered.
Result<bool> TailSearch::holds(const Candidate& candidate, std::uint64_t base, std::uint64_t alignment, bool zeros,
                               ChainMemo& memo) {
  ++steps_;
  const std::uint64_t prev = candidate.trailer.prev;
  if (prev == base) return true;
  if (prev < base || prev < kMinTail) return false;
  met_.clear();
  bool known = false;
  bool result = false;
  // Asks the memo before anything is read: the same few wrong links are common in data that repeats.
  const auto recall = [&](std::uint64_t tail) {
    if (!memo.samples(tail)) return false;
    const ChainMemo::Known found = memo.find(tail);
    known = found != ChainMemo::Known::no;
    result = found == ChainMemo::Known::holds;
    if (!known) met_.push_back(tail);
    return known;
  };
  if (recall(prev)) return result;
  if (!walker_.holds(prev - kMinTail, prev)) {
    // Most links that lead somewhere else lead nowhere: a look at that one trailer leaves the window where it is.
    std::array<std::uint8_t, kMinTail> bytes{};
    if (auto read = source_.read_at(prev - kMinTail, bytes); !read.ok()) return std::move(read.error());
    ++steps_;
    const std::uint64_t next = read_trailer(bytes.data() + 1).prev;
    if (payload_start(prev - kTrailerBytes, next, bytes[0], alignment) == kMalformed) {
      memo.add(met_, false);
      return false;
    }
  }
  auto end = follow(walker_, prev, {.alignment = alignment, .zeros = zeros}, [&](const Record& record) {
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
  memo.add(met_, result);
  return result;
}

Result<std::uint64_t> TailSearch::find(std::uint64_t low, std::uint64_t base, std::uint64_t alignment) {
  // A first record is the same in every layout: the search in the newest one, which comes first, has settled it.
  const bool first_records = alignment == kPayloadAlignment;
  ChainMemo memo(memo_entries(size_));
  ChecksumTest test(checksummer_);
  CandidateScan scan(scanner_, std::max(low, base), size_, alignment);
  Pace pace(progress_, size_);
  std::vector<Candidate> batch;
  Result<void> failed;
  for (std::size_t limit = 1; !scan.done(); limit = next_batch(limit)) {
    batch.clear();
    while (!scan.done() && batch.size() < limit) {
      auto scanned = scan.some(false, [&](const Candidate& candidate) {
        if (candidate.trailer.prev == 0 && !first_records) return true;
        auto held = holds(candidate, base, alignment, false, memo);
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
    const auto good = std::find_if(batch.begin(), batch.end(), [](const Candidate& each) { return each.good; });
    if (good != batch.end()) return good->tail();
  }
  return std::uint64_t{0};
}

Result<std::uint64_t> TailSearch::find_as_original() {
  ChainMemo memo(memo_entries(size_));
  CandidateScan scan(scanner_, 0, size_, kPayloadAlignment);
  Pace pace(progress_, size_);
  Result<void> failed;
  std::uint64_t tail = 0;
  while (!scan.done() && tail == 0) {
    auto scanned = scan.some(true, [&](const Candidate& candidate) {
      auto held = holds(candidate, 0, kPayloadAlignment, true, memo);
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
  ChainMemo memo(memo_entries(size_));
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
        auto held = holds(candidate, tail, alignment, false, memo);
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

Result<bool> TailSearch::has_intact(std::uint64_t high, std::uint64_t alignment) {
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
