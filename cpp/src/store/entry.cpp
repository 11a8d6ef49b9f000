#include "store/entry.hpp"

#include <string>

#include "simdrive/hash.hpp"
#include "store/byte_source.hpp"
#include "store/file.hpp"
#include "store/reader.hpp"

namespace simdrive {

void Entry::keep(store::MappingRegion* region) noexcept {
  if (region != nullptr) region->references.fetch_add(1, std::memory_order_relaxed);
}

void Entry::let_go(store::MappingRegion* region) noexcept { const store::Mapping last(region); }

bool Entry::is_valid_checksum() const noexcept { return crc32(payload()) == fields_.checksum; }

namespace store {

bool read_mixed_record(const Mapping& mapping, std::uint64_t offset, Record& record) {
  // Old and rare: the checksum tells where the payload begins.
  MemorySource source({mapping.data(), static_cast<std::size_t>(offset + kTrailerBytes)});
  Reader reader(source);
  const Result<bool> found = record_at(reader, offset + kTrailerBytes, Layout::mixed, record);
  return found && *found;
}

Error corrupt_error(const std::string& path, std::uint64_t offset, std::string_view what) {
  return Error{.code = Errc::store_corrupt,
               .detail = "read " + quoted_path(path) + ": the entry at offset " + std::to_string(offset) + " " +
                         std::string(what),
               .offset = offset};
}

Error checksum_error(const std::string& path, std::uint64_t offset) {
  return corrupt_error(path, offset, "does not have its checksum: its bytes have changed since it was written");
}

Result<void> check_entry(const Entry& entry, const std::string& path) {
  if (entry.is_valid_checksum()) return {};
  return checksum_error(path, entry.end_offset());
}

}  // namespace store

}  // namespace simdrive
