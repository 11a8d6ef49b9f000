#include "store/candidates.hpp"

#include <algorithm>

#include "store/crc_shift.hpp"

namespace simdrive::store {
namespace {

constexpr std::uint64_t kFreeBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kShort = std::uint64_t{64} << 10;
constexpr std::uint64_t kMinStride = kPayloadAlignment;  // where most payloads start
constexpr std::uint64_t kMaxKnown = std::uint64_t{1} << 24;

}  // namespace

ChecksumTest::ChecksumTest(Reader& reader)
    : reader_(reader), credit_(2 * reader.size() + kFreeBytes), short_credit_(credit_) {
  // 64 MiB of memory for known checksums at most.
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

Result<void> ChecksumTest::fill(std::uint64_t to) {
  if (known_.empty()) {
    known_.reserve(static_cast<std::size_t>(reader_.size() / stride_) + 1);
    known_.push_back(0);
  }
  while (known_.size() * stride_ <= to) {
    const std::uint64_t from = (known_.size() - 1) * stride_;
    auto next = reader_.checksum(from, from + stride_, known_.back());
    if (!next.ok()) return std::move(next.error());
    known_.push_back(*next);
  }
  return {};
}

Result<std::uint32_t> ChecksumTest::up_to(std::uint64_t at, const Point& before) {
  const auto nearest = static_cast<std::size_t>(at / stride_);
  const std::uint64_t from = nearest * stride_;
  if (before.at >= from && before.at <= at) return reader_.checksum(before.at, at, before.crc);
  if (from == at) return known_[nearest];
  return reader_.checksum(from, at, known_[nearest]);
}

// The checksum of a payload follows from those of the file up to its start and up to its end by arithmetic. Ends come
// close behind each other, starts from anywhere: one after the other, so that pieces of the file are read once.
Result<void> ChecksumTest::run_by_points(std::span<Candidate> batch) {
  std::uint64_t highest = 0;
  for (const Candidate& each : batch) highest = std::max(highest, each.offset);
  if (auto filled = fill(highest); !filled.ok()) return filled;
  starts_.clear();
  Point start{0, 0};
  for (const Candidate& each : batch) {
    if (each.start != start.at) {
      auto crc = up_to(each.start, start);
      if (!crc.ok()) return std::move(crc.error());
      start = {each.start, *crc};
    }
    starts_.push_back(start.crc);
  }
  Point end{0, 0};
  for (std::size_t i = batch.size(); i-- > 0;) {
    Candidate& candidate = batch[i];
    auto crc = up_to(candidate.offset, end);
    if (!crc.ok()) return std::move(crc.error());
    end = {candidate.offset, *crc};
    const std::uint32_t shifted = crc_shift(starts_[i], candidate.offset - candidate.start);
    candidate.good = (end.crc ^ shifted) == candidate.trailer.checksum;
  }
  return {};
}

Result<void> ChecksumTest::run(std::span<Candidate> batch) {
  std::uint64_t cost = 0;
  for (const Candidate& each : batch) cost = std::min(cost + (each.offset - each.start), kMaxFileBytes);
  if (cost > credit_) return run_by_points(batch);
  credit_ -= cost;
  for (Candidate& each : batch) {
    auto checksum = reader_.checksum(each.start, each.offset);
    if (!checksum.ok()) return std::move(checksum.error());
    each.good = *checksum == each.trailer.checksum;
  }
  return {};
}

}  // namespace simdrive::store
