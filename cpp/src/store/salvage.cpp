#include "store/salvage.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "store/tail_search.hpp"

namespace simdrive::store {
namespace {

constexpr std::size_t kFound = 4096;                  // records given to the sink at once
constexpr std::uint64_t kAlignments[] = {64, 16, 1};  // of a mixed file; equal starts follow each other

}  // namespace

Result<SalvageReport> salvage(ByteSource& source, const SalvageOptions& options, const SalvageSink& sink) {
  const std::uint64_t high = options.to == 0 ? source.size() : std::min(options.to, source.size());
  SalvageReport report;
  if (options.from >= high) return report;
  Reader scanner(source);
  Reader checksummer(source);
  ChecksumTest test(checksummer);
  const std::uint64_t only = alignment_of(options.layout);
  CandidateScan scan(scanner, options.from, high, only);
  std::span<const std::uint64_t> alignments(&only, 1);
  if (options.layout == Layout::mixed) alignments = kAlignments;
  Pace pace(options.progress, high - options.from);
  std::vector<Candidate> batch;
  std::vector<Record> found;
  std::uint64_t free_below = high;  // what lies at or behind it belongs to records already found, or to none
  std::uint64_t linked = high;  // where the record found last says that the one before it ends: no checksum covers it
  Result<void> failed;
  const auto take = [&](const Candidate& each) {
    const bool tombstone = each.offset - each.start == 1 && each.trailer.checksum == kTombstoneChecksum;
    found.push_back({.offset = each.offset, .start = each.start, .trailer = each.trailer, .tombstone = tombstone});
    report.tombstones += tombstone ? 1 : 0;
    report.payload_bytes += each.offset - each.start;
    report.lost_bytes += linked - std::min(linked, each.tail());
    free_below = each.start;
    linked = each.trailer.prev;
  };
  // False: the search goes on before a record that was found, or ends.
  const auto add = [&](const Candidate& candidate) {
    batch.push_back(candidate);
    if (batch.size() > 1) return true;
    auto tested = test.run_short(batch.back());
    if (!tested.ok()) {
      failed = std::move(tested.error());
      return false;
    }
    if (!*tested) return true;
    const bool good = batch.back().good;
    if (good) take(batch.back());
    batch.clear();
    return !good;
  };
  for (std::size_t limit = 64; !scan.done(); limit = next_batch(limit)) {
    batch.clear();
    found.clear();
    // While nothing waits for its checksum, a short record that is whole is taken at once, and its bytes left out.
    while (!scan.done() && batch.size() < limit && found.size() < kFound) {
      auto scanned = scan.some(false, [&](const Candidate& candidate) {
        // Where it can begin at several places, one has the right checksum at most: zeros in front would change it.
        std::uint64_t tried = kMalformed;
        for (const std::uint64_t alignment : alignments) {
          Candidate each = candidate;
          each.start = payload_start(each.offset, each.trailer.prev, each.last_byte, alignment);
          if (each.start == kMalformed || each.start == tried) continue;
          tried = each.start;
          if (!add(each)) return false;
        }
        return batch.size() < limit;
      });
      if (!failed.ok()) return std::move(failed.error());
      if (!scanned.ok()) return std::move(scanned.error());
      scan.skip_to(free_below);
      if (!pace.at(high - scan.position())) return Pace::error();
    }
    if (auto tested = test.run(batch); !tested.ok()) return std::move(tested.error());
    for (const Candidate& each : batch) {
      if (each.good && each.tail() <= free_below) take(each);
    }
    scan.skip_to(free_below);
    if (found.empty()) continue;
    report.records += found.size();
    limit = 64 / 16;
    if (auto given = sink(found); !given.ok()) return std::move(given.error());
  }
  if (linked > options.from) report.lost_bytes += linked - options.from;
  return report;
}

}  // namespace simdrive::store
