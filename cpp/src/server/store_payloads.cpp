#include "server/store_payloads.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "simdrive/hash.hpp"
#include "store/format.hpp"

namespace simdrive::server {

namespace {

using store::kTrailerBytes;
using store::Layout;

// What is read of a record that is looked up, ending with its trailer: most payloads are in it.
constexpr std::uint64_t kLeadBytes = 4096;
// The same where nothing more can be kept: the trailer, and the byte before it, which tells a tombstone.
constexpr std::uint64_t kLeadMin = kTrailerBytes + 1;
// A copy of so many bytes between two records costs no more than another system call.
constexpr std::uint64_t kGapMax = 4096;
constexpr std::uint64_t kWindowMax = std::uint64_t{256} << 10;
// Of payloads; one window more makes 1 MiB.
constexpr std::size_t kKeptMax = std::size_t{768} << 10;
constexpr std::size_t kPieceBytes = std::size_t{64} << 10;

// What a connection keeps between requests.
constexpr std::size_t kIdleBytes = kWindowMax;
constexpr std::size_t kIdleItems = 8192;

constexpr std::uint64_t before(std::uint64_t end, std::uint64_t bytes) noexcept { return end - std::min(end, bytes); }

template <class T>
void empty(std::vector<T>& items) noexcept {
  items.clear();
  if (items.capacity() > kIdleItems) std::vector<T>().swap(items);
}

}  // namespace

void StorePayloads::clear() noexcept {
  file_.reset();
  empty(found_);
  empty(places_);
  forget_keys();
  used_ = 0;
  in_piece_ = kNowhere;
  if (capacity_ > kIdleBytes) {
    windows_.reset();
    capacity_ = 0;
  }
}

// Nothing of them is needed once all is found.
void StorePayloads::forget_keys() noexcept {
  empty(hashes_);
  empty(offsets_);
  empty(order_);
}

std::size_t StorePayloads::memory() const noexcept {
  const auto bytes = [](const auto&... items) { return (... + (items.capacity() * sizeof(*items.data()))); };
  return bytes(found_, places_, hashes_, offsets_, order_) + capacity_ + (piece_ != nullptr ? kPieceBytes : 0);
}

Result<void> StorePayloads::look_up(std::span<const BytesView> keys) {
  clear();
  Result<void> done = locate(keys);
  if (done && file_ != nullptr) done = found_.size() == 1 ? read_one() : read_many();
  forget_keys();
  if (!done) clear();
  return done;
}

Result<void> StorePayloads::locate(std::span<const BytesView> keys) {
  hashes_.resize(keys.size());
  offsets_.resize(keys.size());
  found_.resize(keys.size());
  places_.resize(keys.size(), kNowhere);
  xxh3_64_many(keys, hashes_);
  Result<store::Engine::Located> located = engine_->locate(hashes_, offsets_);
  if (!located) return std::move(located).error();
  file_ = std::move(located->file);
  layout_ = located->layout;
  return {};
}

Result<void> StorePayloads::read_one() {
  const Wanted wanted{offsets_[0], 0};
  const Result<Window> window = read_window(before(wanted.offset + kTrailerBytes, kLeadBytes), {&wanted, 1});
  if (!window) return window.error();
  return describe(*window, wanted.offset, 0);
}

// In the order of the file, so that neighbours come with one read.
Result<void> StorePayloads::read_many() {
  for (std::size_t i = 0; i < offsets_.size(); ++i) {
    if (offsets_[i] != 0) order_.push_back({offsets_[i], i});
  }
  if (!std::is_sorted(order_.begin(), order_.end())) std::sort(order_.begin(), order_.end());
  const std::span<const Wanted> all(order_);
  std::uint64_t floor = 0;  // records do not overlap: no payload begins before the end of the record before
  for (std::size_t first = 0; first < all.size();) {
    if (given_up()) return unwanted();
    const std::size_t room = kKeptMax - std::min(kKeptMax, used_);
    const std::uint64_t lead = room >= kLeadBytes ? kLeadBytes : kLeadMin;
    const std::uint64_t limit = room >= kLeadBytes ? std::min<std::uint64_t>(room, kWindowMax) : kWindowMax;
    const std::uint64_t offset = all[first].offset;
    std::uint64_t end = offset + kTrailerBytes;
    const std::uint64_t begin = std::min(std::max(floor, before(end, lead)), offset - 1);
    std::size_t last = first + 1;
    for (; last < all.size(); ++last) {
      const std::uint64_t next = all[last].offset + kTrailerBytes;
      if (before(next, lead) > end + kGapMax || next - begin > limit) break;
      end = next;
    }
    const std::span<const Wanted> wanted = all.subspan(first, last - first);
    const Result<Window> window = read_window(begin, wanted);
    if (!window) return window.error();
    for (const Wanted& one : wanted) {
      if (describe_plain(*window, one.offset, one.index)) continue;  // a Result for each is dear
      if (Result<void> good = describe(*window, one.offset, one.index); !good) return good;
    }
    keep(*window, wanted);
    floor = end;
    first = last;
  }
  return {};
}

/// Reads from `begin` to the end of the last record, behind what is kept.
Result<StorePayloads::Window> StorePayloads::read_window(std::uint64_t begin, std::span<const Wanted> wanted) {
  const Window window{begin, wanted.back().offset + kTrailerBytes, used_};
  const auto bytes = static_cast<std::size_t>(window.end - begin);
  reserve(used_ + bytes);
  const Result<std::size_t> got = file_->read_at(begin, {windows_.get() + used_, bytes});
  if (!got) return got.error();
  if (*got == bytes) return window;
  // It was cut under us. Names the first record that is not whole.
  for (const Wanted& one : wanted) {
    if (one.offset + kTrailerBytes > begin + *got) return engine_->missing_error(one.offset);
  }
  return engine_->missing_error(wanted.back().offset);
}

/// describe() of a sound record where all are of one layout. False: nothing is known.
bool StorePayloads::describe_plain(const Window& window, std::uint64_t offset, std::size_t i) noexcept {
  if (layout_ == Layout::mixed) return false;
  const std::uint8_t* const at = windows_.get() + window.at + (offset - window.begin);
  store::Record record;
  if (!store::read_plain_record_at(at, offset, layout_, record)) return false;
  if (record.trailer.hash != hashes_[i] || record.tombstone) return false;
  found_[i] = {
      .present = true, .checksum = record.trailer.checksum, .size = offset - record.start, .start = record.start};
  if (record.start >= window.begin) places_[i] = window.at + static_cast<std::size_t>(record.start - window.begin);
  return true;
}

/// Reads the trailer at `offset`, which is in the window with the byte before it.
Result<void> StorePayloads::describe(const Window& window, std::uint64_t offset, std::size_t i) {
  const std::uint8_t* const at = windows_.get() + window.at + (offset - window.begin);
  const bool mixed = layout_ == Layout::mixed;
  store::Record record;
  bool good = store::read_plain_record_at(at, offset, mixed ? Layout::unaligned : layout_, record);
  good = good && record.trailer.hash == hashes_[i];
  if (good && mixed) {
    if (Result<void> found = find_start(window, at[-1], record); !found) return found;
  }
  if (!good || record.tombstone) return engine_->changed_error(offset);
  found_[i] = {
      .present = true, .checksum = record.trailer.checksum, .size = offset - record.start, .start = record.start};
  if (record.start >= window.begin) places_[i] = window.at + static_cast<std::size_t>(record.start - window.begin);
  return {};
}

/// Where every record may be of another layout, the checksum tells where the payload begins. If it fits nowhere, the
/// newest layout counts, as it does where entries are mapped.
Result<void> StorePayloads::find_start(const Window& window, std::uint8_t last_byte, store::Record& record) {
  std::uint64_t first = store::kMalformed;
  std::uint64_t tried = store::kMalformed;
  for (const Layout each : {Layout::aligned64, Layout::aligned16, Layout::unaligned}) {
    const std::uint64_t start =
        store::payload_start(record.offset, record.trailer.prev, last_byte, store::alignment_of(each));
    if (start == store::kMalformed || start == tried) continue;
    tried = start;
    if (first == store::kMalformed) first = start;
    std::uint32_t found = 0;
    if (start >= window.begin) {
      found =
          crc32({windows_.get() + window.at + (start - window.begin), static_cast<std::size_t>(record.offset - start)});
    } else {
      const Result<std::uint32_t> read = checksum(start, record.offset);
      if (!read) return read.error();
      found = *read;
    }
    if (found == record.trailer.checksum) {
      first = start;
      break;
    }
  }
  record.start = first;
  record.tombstone = store::is_tombstone(first, record.offset, last_byte);
  return {};
}

/// Keeps the payloads that are whole in the window: with what lies between them, if that is not much.
void StorePayloads::keep(const Window& window, std::span<const Wanted> wanted) noexcept {
  const auto bytes = static_cast<std::size_t>(window.end - window.begin);
  if (used_ + kLeadBytes > kKeptMax) {
    for (const Wanted& one : wanted) places_[one.index] = kNowhere;
    return;
  }
  std::uint64_t whole = 0;
  for (const Wanted& one : wanted) whole += places_[one.index] == kNowhere ? 0 : found_[one.index].size;
  if (whole * 2 >= bytes) {
    used_ += bytes;
    return;
  }
  std::uint64_t last = 0;  // the offset of the record that was moved last
  std::size_t last_place = kNowhere;
  for (const Wanted& one : wanted) {
    std::size_t& place = places_[one.index];
    if (place == kNowhere) continue;
    if (one.offset != last) {
      const auto size = static_cast<std::size_t>(found_[one.index].size);
      std::memmove(windows_.get() + used_, windows_.get() + place, size);
      last = one.offset;
      last_place = used_;
      used_ += size;
    }
    place = last_place;
  }
}

void StorePayloads::reserve(std::size_t bytes) {
  if (bytes <= capacity_) return;
  constexpr auto kMost = static_cast<std::size_t>(kKeptMax + kWindowMax);
  const std::size_t wanted = std::min(std::max(bytes, 2 * capacity_), std::max(bytes, kMost));
  auto larger = std::make_unique_for_overwrite<std::uint8_t[]>(wanted);
  if (used_ != 0) std::memcpy(larger.get(), windows_.get(), used_);
  windows_ = std::move(larger);
  capacity_ = wanted;
}

Result<void> StorePayloads::read_exactly(std::uint64_t from, MutableBytes out, std::uint64_t offset) {
  const Result<std::size_t> got = file_->read_at(from, out);
  if (!got) return got.error();
  if (*got != out.size()) return engine_->missing_error(offset);
  return {};
}

/// Of the payload before the trailer at `offset`, read in pieces; a short one stays in piece_.
Result<std::uint32_t> StorePayloads::checksum(std::uint64_t start, std::uint64_t offset) {
  in_piece_ = kNowhere;
  if (piece_ == nullptr) piece_ = std::make_unique_for_overwrite<std::uint8_t[]>(kPieceBytes);
  std::uint32_t value = 0;
  for (std::uint64_t at = start; at < offset;) {
    if (given_up()) return unwanted();
    const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(offset - at, kPieceBytes));
    const MutableBytes part(piece_.get(), bytes);
    if (Result<void> read = read_exactly(at, part, offset); !read) return std::move(read).error();
    value = crc32(part, value);
    at += bytes;
  }
  return value;
}

Error StorePayloads::unwanted() { return {Errc::closed, "nobody waits for the payloads any more"}; }

Error StorePayloads::misuse(std::size_t i) const {
  return Error{.code = Errc::internal,
               .detail = "payload " + std::to_string(i) + " of " + std::to_string(found_.size()) +
                         " was not found, or has no such bytes"};
}

Result<void> StorePayloads::read(std::size_t i, std::uint64_t from, MutableBytes out) {
  if (i >= found_.size() || !found_[i].present || from > found_[i].size || out.size() > found_[i].size - from) {
    return misuse(i);
  }
  const Located& payload = found_[i];
  if (const BytesView whole = at_hand(i); !whole.empty()) {
    if (!out.empty()) std::memcpy(out.data(), whole.data() + from, out.size());
    return {};
  }
  return read_exactly(payload.start + from, out, payload.start + payload.size);
}

BytesView StorePayloads::at_hand(std::size_t i) noexcept {
  if (i >= found_.size()) return {};
  const auto size = static_cast<std::size_t>(found_[i].size);
  if (places_[i] != kNowhere) return {windows_.get() + places_[i], size};
  if (i == in_piece_) return {piece_.get(), size};
  return {};
}

Result<void> StorePayloads::check(std::size_t i) {
  if (i >= found_.size() || !found_[i].present) return misuse(i);
  const Located& payload = found_[i];
  const std::uint64_t offset = payload.start + payload.size;
  std::uint32_t value = 0;
  if (const BytesView whole = at_hand(i); !whole.empty()) {
    value = crc32(whole);
  } else {
    try {
      const Result<std::uint32_t> read = checksum(payload.start, offset);
      if (!read) return read.error();
      value = *read;
    } catch (const std::bad_alloc&) {
      return Error{.code = Errc::out_of_memory, .detail = {}};
    }
  }
  if (value != payload.checksum) {
    in_piece_ = kNowhere;
    return store::checksum_error(engine_->path(), offset);
  }
  if (places_[i] == kNowhere && payload.size <= kPieceBytes) in_piece_ = i;
  return {};
}

}  // namespace simdrive::server
