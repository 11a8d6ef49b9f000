#include "store/chain_check.hpp"

#include <utility>

namespace simdrive::store {
namespace {

constexpr std::array kLayouts{Layout::aligned64, Layout::aligned16, Layout::unaligned, Layout::mixed};
constexpr std::size_t kMixed = 3;

}  // namespace

std::size_t ChainCheck::index_of(Layout layout) noexcept {
  std::size_t i = 0;
  while (kLayouts[i] != layout) ++i;
  return i;
}

inline void ChainCheck::note(std::size_t layout, bool bad, std::uint64_t offset) noexcept {
  Count& count = counts_[layout];
  count.oldest_is_bad = bad;
  if (bad && count.bad++ == 0) count.newest_bad = offset;
}

Result<bool> ChainCheck::add(Reader& reader, const Record& record, Layout followed) {
  const std::uint64_t prev = record.trailer.prev;
  const bool unpadded = record.tombstone && record.start == prev;
  // Nearly always: right as it was followed, and payloads that begin there begin nowhere else in the others.
  if (followed == Layout::aligned64 && reader.holds(record.start, record.offset) &&
      reader.checksum_held(record.start, record.offset) == record.trailer.checksum) {
    ++checked_;
    for (std::size_t i = 1; i < kMixed; ++i) {
      const std::uint64_t start = unpadded ? prev : align_up(prev, alignment_of(kLayouts[i]));
      note(i, start != record.start, record.offset);
    }
    counts_[0].oldest_is_bad = counts_[kMixed].oldest_is_bad = false;
    return true;
  }
  std::array<std::uint64_t, kMixed> starts;
  for (std::size_t i = 0; i < kMixed; ++i) {
    const std::uint64_t start = unpadded ? prev : align_up(prev, alignment_of(kLayouts[i]));
    starts[i] = start < record.offset ? start : kMalformed;
  }
  // The first start that fits settles it: a checksum does not stay the same when zeros are put in front.
  std::uint64_t fit = kMalformed;
  for (std::size_t i = 0; i < kMixed && fit == kMalformed; ++i) {
    if (starts[i] == kMalformed || (i > 0 && starts[i] == starts[i - 1])) continue;
    auto checksum = reader.checksum(starts[i], record.offset);
    if (!checksum.ok()) return std::move(checksum.error());
    if (*checksum == record.trailer.checksum) fit = starts[i];
  }
  ++checked_;
  for (std::size_t i = 0; i <= kMixed; ++i) {
    note(i, fit == kMalformed || (i < kMixed && starts[i] != fit), record.offset);
  }
  return !count(followed).oldest_is_bad;
}

Layout ChainCheck::best(Layout followed) const noexcept {
  Layout best = followed;
  for (const Layout each : kLayouts) {
    if (count(each).bad < count(best).bad) best = each;
  }
  return best;
}

}  // namespace simdrive::store
