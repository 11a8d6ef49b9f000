#include "store/candidates.hpp"

#include <algorithm>
#include <numeric>

#include "store/crc_shift.hpp"

namespace simdrive::store {
namespace {

constexpr std::uint64_t kFreeBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kShort = std::uint64_t{64} << 10;
constexpr std::uint64_t kMinStride = 4096;
constexpr std::uint64_t kMaxKnown = std::uint64_t{1} << 20;

}  // namespace

ChecksumTest::ChecksumTest(Reader& reader)
    : reader_(reader), credit_(2 * reader.size() + kFreeBytes), short_credit_(credit_) {
  // 4 MiB of memory for known checksums at most.
  stride_ = kMinStride;
  while (reader.size() / stride_ > kMaxKnown) stride_ *= 2;
}

Result<bool> ChecksumTest::run_short(Candidate& candidate) {
  const std::uint64_t bytes = candidate.offset - candidate.start;
  if (bytes > kShort || bytes > short_credit_) return false;
  short_credit_ -= bytes;
  auto checksum = reader_.checksum(candidate.start, candidate.offset);
  if (!checksum.ok()) return std::move(checksum.error());
  candidate.good = *checksum == candidate.trailer.checksum;
  return true;
}

Result<void> ChecksumTest::run_group(std::span<Candidate> batch, const Group& group) {
  std::uint64_t at = batch[order_[group.first]].start;
  std::uint32_t crc = 0;
  for (std::size_t i = group.first; i < group.last; ++i) {
    Candidate& candidate = batch[order_[i]];
    auto next = reader_.checksum(at, candidate.offset, crc);
    if (!next.ok()) return std::move(next.error());
    crc = *next;
    at = candidate.offset;
    candidate.good = crc == candidate.trailer.checksum;
  }
  return {};
}

// Points by ascending place.
Result<void> ChecksumTest::fill(std::span<Point> points) {
  while (known_.size() * stride_ <= points.back().at) {
    const std::uint64_t from = (known_.size() - 1) * stride_;
    auto next = reader_.checksum(from, from + stride_, known_.back());
    if (!next.ok()) return std::move(next.error());
    known_.push_back(*next);
  }
  std::uint64_t at = 0;
  std::uint32_t crc = 0;
  for (Point& point : points) {
    const auto nearest = static_cast<std::size_t>(point.at / stride_);
    if (nearest * stride_ > at) {
      at = nearest * stride_;
      crc = known_[nearest];
    }
    auto next = reader_.checksum(at, point.at, crc);
    if (!next.ok()) return std::move(next.error());
    point.crc = crc = *next;
    at = point.at;
  }
  return {};
}

// The checksum of a payload follows from those of the file up to its start and up to its end by arithmetic.
Result<void> ChecksumTest::run_by_points(std::span<Candidate> batch, std::span<const Group> groups) {
  std::vector<Point> points;
  points.reserve(batch.size() + groups.size());
  for (const Group& group : groups) points.push_back({batch[order_[group.first]].start, 0});
  for (auto candidate = batch.rbegin(); candidate != batch.rend(); ++candidate)
    points.push_back({candidate->offset, 0});
  const auto lower = [](const Point& a, const Point& b) { return a.at < b.at; };
  if (!std::is_sorted(points.begin(), points.end(), lower)) std::sort(points.begin(), points.end(), lower);
  if (auto filled = fill(points); !filled.ok()) return filled;
  const auto find = [&](std::uint64_t position) {
    return std::lower_bound(points.begin(), points.end(), position,
                            [](const Point& point, std::uint64_t value) { return point.at < value; });
  };
  for (const Group& group : groups) {
    const std::uint64_t start = batch[order_[group.first]].start;
    const std::uint32_t before = find(start)->crc;
    const bool many = (group.last - group.first) * 16 > points.size();
    auto end = find(batch[order_[group.first]].offset);
    for (std::size_t i = group.first; i < group.last; ++i) {
      Candidate& candidate = batch[order_[i]];
      if (many) {
        while (end->at != candidate.offset) ++end;
      } else {
        end = find(candidate.offset);
      }
      const std::uint32_t shifted = before == 0 ? 0 : crc_shift(before, candidate.offset - start);
      candidate.good = (end->crc ^ shifted) == candidate.trailer.checksum;
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
  for (std::size_t i = 0; i < order_.size();) {
    const std::uint64_t start = batch[order_[i]].start;
    Group group{i, i + 1};
    while (group.last < order_.size() && batch[order_[group.last]].start == start) ++group.last;
    cost = std::min(cost + (batch[order_[group.last - 1]].offset - start), kMaxFileBytes);
    groups.push_back(group);
    i = group.last;
  }
  if (cost > credit_) return run_by_points(batch, groups);
  credit_ -= cost;
  for (const Group& group : groups) {
    if (auto done = run_group(batch, group); !done.ok()) return done;
  }
  return {};
}

}  // namespace simdrive::store
