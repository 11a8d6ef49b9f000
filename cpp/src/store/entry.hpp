// From a record in a mapping to the Entry that a caller holds.
#pragma once

#include <cstdint>

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
    if (entry.region_ != mapping.region()) {
      if (entry.region_ != nullptr) Entry::let_go(entry.region_);
      entry.region_ = const_cast<store::MappingRegion*>(mapping.region());
      if (entry.region_ != nullptr) entry.region_->references.fetch_add(1, std::memory_order_relaxed);
    }
    entry.fields_ = {.data = mapping.data() + record.start,
                     .size = record.offset - record.start,
                     .offset = record.start,
                     .prev_offset = record.trailer.prev,
                     .key_hash = record.trailer.hash,
                     .checksum = record.trailer.checksum};
  }
};

namespace store {

/// Reads the record whose trailer is at `offset`; `mapping` shows the file up to the end of it. False: there is none.
[[nodiscard]] bool read_record(const Mapping& mapping, std::uint64_t offset, Layout layout, Record& record);

/// The error for an entry that is not what it was when it was written.
[[nodiscard]] Error corrupt_error(const std::string& path, std::uint64_t offset, std::string_view what);

/// `Errc::store_corrupt` if the checksum of the payload is not the stored one.
[[nodiscard]] Result<void> check_entry(const Entry& entry, const std::string& path);

}  // namespace store

}  // namespace simdrive
