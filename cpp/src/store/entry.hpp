// From a record in a mapping to the Entry that a caller holds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "simdrive/error.hpp"
#include "simdrive/store.hpp"
#include "store/format.hpp"
#include "store/mapping.hpp"
#include "store/walk.hpp"

namespace simdrive {

/// Fills in what Entry keeps to itself.
class EntryMaker {
 public:
  /// `record` lies in `mapping`. An entry that has a reference to the mapping already keeps it: nothing is counted.
  static void fill(Entry& entry, const store::Mapping& mapping, const store::Record& record) noexcept {
    attach(entry, mapping);
    describe(entry, record);
  }

  /// The entry takes over the reference.
  static void fill(Entry& entry, store::Mapping&& mapping, const store::Record& record) noexcept {
    const store::Mapping last(std::exchange(entry.region_, mapping.release()));
    describe(entry, record);
  }

  /// The two halves of it: the reference, and what the entry tells, which needs nothing but the reference.
  static void attach(Entry& entry, const store::Mapping& mapping) noexcept {
    if (entry.region_ == mapping.region()) return;
    if (entry.region_ != nullptr) Entry::let_go(entry.region_);
    entry.region_ = const_cast<store::MappingRegion*>(mapping.region());
    if (entry.region_ != nullptr) entry.region_->references.fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] static const std::uint8_t* file_of(const Entry& entry) noexcept { return entry.region_->data; }
  static void describe(Entry& entry, const store::Record& record) noexcept {
    entry.fields_ = {.data = entry.region_->data + record.start,
                     .size = record.offset - record.start,
                     .offset = record.start,
                     .prev_offset = record.trailer.prev,
                     .key_hash = record.trailer.hash,
                     .checksum = record.trailer.checksum};
  }
};

namespace store {

/// Where every record may be of another layout: as read_record().
[[nodiscard]] bool read_mixed_record(const Mapping& mapping, std::uint64_t offset, Record& record);

/// Reads the record whose trailer is at `offset`, of any layout but `mixed`; `at` is the trailer in memory, with the
/// byte before it. False: there is none.
[[nodiscard]] inline bool read_plain_record_at(const std::uint8_t* at, std::uint64_t offset, Layout layout,
                                               Record& record) noexcept {
  record.offset = offset;
  record.trailer = read_trailer(at);
  const std::uint64_t prev = record.trailer.prev;
  // Only where the record is so short is the byte before the trailer needed: it may be in memory of its own.
  const std::uint8_t last_byte = offset - prev == 1 ? at[-1] : std::uint8_t{1};
  record.start = payload_start(offset, prev, last_byte, alignment_of(layout));
  if (record.start >= offset) return false;
  record.tombstone = offset - record.start == 1 && at[-1] == kTombstoneByte;
  return true;
}

/// The same in a file that is in memory up to the end of the record.
[[nodiscard]] inline bool read_plain_record(const std::uint8_t* file, std::uint64_t offset, Layout layout,
                                            Record& record) noexcept {
  return read_plain_record_at(file + offset, offset, layout, record);
}

/// The same for any layout.
[[nodiscard]] inline bool read_record(const Mapping& mapping, std::uint64_t offset, Layout layout, Record& record) {
  if (layout == Layout::mixed) return read_mixed_record(mapping, offset, record);
  return read_plain_record(mapping.data(), offset, layout, record);
}

/// The error for an entry that is not what it was when it was written.
[[nodiscard]] Error corrupt_error(const std::string& path, std::uint64_t offset, std::string_view what);

/// The error for an entry whose payload does not have its checksum.
[[nodiscard]] Error checksum_error(const std::string& path, std::uint64_t offset);

/// `Errc::store_corrupt` if the checksum of the payload is not the stored one.
[[nodiscard]] Result<void> check_entry(const Entry& entry, const std::string& path);

}  // namespace store

}  // namespace simdrive
