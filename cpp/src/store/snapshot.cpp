#include "store/snapshot.hpp"

#include <algorithm>

namespace simdrive::store {

void LiveRecords::copy(const Index& index, std::uint64_t tail) {
  constexpr std::uint64_t kBitsPerWord = 64;
  const std::uint64_t words = (tail >> shift_) / kBitsPerWord + 1;
  dense_ = words <= std::max<std::uint64_t>(index.size(), 1 << 14);
  if (dense_) bits_.resize(static_cast<std::size_t>(words));
  index.for_each([&](const Index::Entry& entry) {
    if (entry.offset >= tail) {
      changed_.emplace(entry.hash, false);
    } else if (dense_) {
      const std::uint64_t bit = entry.offset >> shift_;
      bits_[static_cast<std::size_t>(bit / kBitsPerWord)] |= std::uint64_t{1} << bit % kBitsPerWord;
    } else {
      offsets_.push_back(entry.offset);
    }
  });
  std::sort(offsets_.begin(), offsets_.end());
}

void LiveRecords::add_changed(const Mapping& mapping, std::uint64_t from, std::uint64_t to) {
  Record record;
  for (std::uint64_t at = from; at > to; at = record.trailer.prev) {
    // What the store itself has just written.
    if (!read_record(mapping, at - kTrailerBytes, Layout::aligned64, record)) return;
    changed_.emplace(record.trailer.hash, false);
  }
}

bool LiveRecords::is_live(const Record& record) {
  if (!changed_.empty()) {
    if (const auto changed = changed_.find(record.trailer.hash); changed != changed_.end()) {
      return !std::exchange(changed->second, true) && !record.tombstone;
    }
  }
  if (record.tombstone) return false;
  if (dense_) {
    const std::uint64_t bit = record.offset >> shift_;
    return (bits_[static_cast<std::size_t>(bit / 64)] >> bit % 64 & 1) != 0;
  }
  while (!offsets_.empty() && offsets_.back() > record.offset) offsets_.pop_back();
  return !offsets_.empty() && offsets_.back() == record.offset;
}

Result<bool> LiveWalk::next(Entry& entry) {
  Record record;
  while (at_ != 0) {
    const std::uint64_t tail = std::exchange(at_, 0);
    if (tail < kMinTail || !read_record(mapping_, tail - kTrailerBytes, layout_, record)) {
      return corrupt_error(path_, tail < kTrailerBytes ? 0 : tail - kTrailerBytes,
                           "is no longer a record: the chain of entries breaks off here");
    }
    at_ = record.trailer.prev;
    if (live_.is_live(record)) {
      EntryMaker::fill(entry, mapping_, record);
      return true;
    }
  }
  return false;
}

}  // namespace simdrive::store
