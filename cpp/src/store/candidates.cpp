#include "store/candidates.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>

#include "store/crc_shift.hpp"

namespace simdrive::store {

// Candidates of one start: [first, last) of `order_`, by ascending offset.
struct ChecksumTest::Group {
  std::size_t first;
  std::size_t last;
};

// Bytes to read for one group by a running checksum from its start or from the nearest known one.
std::uint64_t ChecksumTest::cost_of(std::span<const Candidate> batch, const Group& group) const {
  const std::uint64_t start = batch[order_[group.first]].start;
  const std::uint64_t last = batch[order_[group.last - 1]].offset;
  if (start != known_start_) return last - start;
  const std::uint64_t lowest = batch[order_[group.first]].offset - start;
  const std::uint64_t known = std::min<std::uint64_t>(lowest / kStride, known_.size() - 1) * kStride;
  return last - start - known;
}

Result<void> ChecksumTest::run_group(std::span<Candidate> batch, const Group& group) {
  const std::uint64_t start = batch[order_[group.first]].start;
  const std::uint64_t last = batch[order_[group.last - 1]].offset;
  if (start != known_start_ && last - start >= kStride) {
    known_start_ = start;
    known_.assign(1, 0);
  }
  const bool keep = start == known_start_;
  std::uint64_t at = start;
  std::uint32_t crc = 0;
  if (keep) {
    const std::uint64_t lowest = batch[order_[group.first]].offset - start;
    const auto i = static_cast<std::size_t>(std::min<std::uint64_t>(lowest / kStride, known_.size() - 1));
    at = start + i * kStride;
    crc = known_[i];
  }
  const auto advance = [&](std::uint64_t to) -> Result<void> {
    while (at < to) {
      const std::uint64_t edge = keep ? start + ((at - start) / kStride + 1) * kStride : to;
      const std::uint64_t stop = std::min(to, edge);
      auto next = reader_.checksum(at, stop, crc);
      if (!next.ok()) return std::move(next.error());
      crc = *next;
      at = stop;
      if (keep && at == edge && (at - start) / kStride == known_.size()) known_.push_back(crc);
    }
    return {};
  };
  for (std::size_t i = group.first; i < group.last; ++i) {
    Candidate& candidate = batch[order_[i]];
    if (auto done = advance(candidate.offset); !done.ok()) return done;
    candidate.good = crc == candidate.trailer.checksum;
  }
  return {};
}

// One pass over the bytes from the lowest start to the highest end gives the checksum up to each start and each end;
// that of any payload between follows by arithmetic.
Result<void> ChecksumTest::run_by_prefix(std::span<Candidate> batch, std::span<const Group> groups) {
  struct Point {
    std::uint64_t at;
    std::uint32_t crc;
  };
  std::vector<Point> points;
  points.reserve(batch.size() + groups.size());
  for (const Candidate& candidate : batch) points.push_back({candidate.offset, 0});
  for (const Group& group : groups) points.push_back({batch[order_[group.first]].start, 0});
  std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.at < b.at; });
  std::uint64_t at = points.front().at;
  std::uint32_t crc = 0;
  for (Point& point : points) {
    auto next = reader_.checksum(at, point.at, crc);
    if (!next.ok()) return std::move(next.error());
    point.crc = crc = *next;
    at = point.at;
  }
  const auto crc_at = [&](std::uint64_t position) {
    return std::lower_bound(points.begin(), points.end(), position,
                            [](const Point& point, std::uint64_t value) { return point.at < value; })
        ->crc;
  };
  for (const Group& group : groups) {
    const std::uint64_t start = batch[order_[group.first]].start;
    const std::uint32_t before = crc_at(start);
    for (std::size_t i = group.first; i < group.last; ++i) {
      Candidate& candidate = batch[order_[i]];
      const std::uint32_t shifted = crc_shift(before, candidate.offset - start);
      candidate.good = (crc_at(candidate.offset) ^ shifted) == candidate.trailer.checksum;
    }
  }
  return {};
}

Result<void> ChecksumTest::run(std::span<Candidate> batch) {
  if (batch.empty()) return {};
  // Candidates come from the highest down, and very often all have one start.
  order_.resize(batch.size());
  std::iota(order_.rbegin(), order_.rend(), 0U);
  const auto less = [&](std::uint32_t a, std::uint32_t b) {
    return batch[a].start != batch[b].start ? batch[a].start < batch[b].start : batch[a].offset < batch[b].offset;
  };
  if (!std::is_sorted(order_.begin(), order_.end(), less)) std::sort(order_.begin(), order_.end(), less);

  std::vector<Group> groups;
  std::uint64_t cost = 0;
  std::uint64_t highest = 0;
  for (std::size_t i = 0; i < order_.size();) {
    Group group{i, i + 1};
    while (group.last < order_.size() && batch[order_[group.last]].start == batch[order_[i]].start) ++group.last;
    const std::uint64_t more = cost_of(batch, group);
    cost = more > kMaxFileBytes - cost ? kMaxFileBytes : cost + more;
    highest = std::max(highest, batch[order_[group.last - 1]].offset);
    groups.push_back(group);
    i = group.last;
  }
  const std::uint64_t span = highest - batch[order_.front()].start;
  if (groups.size() > 1 && cost / 2 > span) return run_by_prefix(batch, groups);
  for (const Group& group : groups) {
    if (auto done = run_group(batch, group); !done.ok()) return done;
  }
  return {};
}

}  // namespace simdrive::store
