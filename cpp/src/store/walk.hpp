// The records of a store file one by one, from a tail back to the first.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "simdrive/error.hpp"
#include "store/byte_source.hpp"
#include "store/format.hpp"
#include "store/reader.hpp"

namespace simdrive::store {

/// What an index needs of a record.
struct RecordRef {
  std::uint64_t hash;
  std::uint64_t offset : 63;  // of the trailer
  std::uint64_t tombstone : 1;
};
static_assert(sizeof(RecordRef) == 16);

/// A record as it lies in the file. `next` is the tail before it.
struct Record {
  std::uint64_t offset = 0;
  std::uint64_t start = 0;
  Trailer trailer;
  bool tombstone = false;

  [[nodiscard]] std::uint64_t tail() const noexcept { return offset + kTrailerBytes; }
};

/// Takes the records of a chain. Keep the first of each hash: it is the newest.
class RecordVisitor {
 public:
  RecordVisitor() = default;
  RecordVisitor(const RecordVisitor&) = delete;
  RecordVisitor& operator=(const RecordVisitor&) = delete;
  virtual ~RecordVisitor() = default;

  /// What was given before belongs to a chain that does not hold: forget it all.
  virtual void restart() = 0;
  /// The next records, newest first, some thousands at a time. An error ends the walk and is passed on.
  [[nodiscard]] virtual Result<void> records(std::span<const RecordRef> batch) = 0;
};

/// How far a long run is: bytes done and bytes in all, several times a GiB. To return false is to cancel, and the run
/// ends with `Errc::interrupted`.
using Progress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

/// Reads the record that ends at `tail`. False in `found` if there is none. A record of layout `mixed` gets the start
/// whose checksum is right, or that of `aligned64`, or the nearest one that is possible.
[[nodiscard]] Result<bool> record_at(Reader& reader, std::uint64_t tail, Layout layout, Record& record);

/// Whether the checksum of the payload is the stored one.
[[nodiscard]] Result<bool> verify_record(Reader& reader, const Record& record);

struct WalkResult {
  bool complete = false;        // the chain reached the first record
  std::uint64_t records = 0;    // met
  std::uint64_t broken_at = 0;  // the tail at which there is no record, unless complete
};

/// Gives the visitor every record from `tail` on. A tail of 0 is the complete chain of an empty store. On a broken
/// chain `restart` is called last.
[[nodiscard]] Result<WalkResult> walk(ByteSource& source, std::uint64_t tail, Layout layout, RecordVisitor& visitor,
                                      const Progress& progress = {});

struct VerifyReport {
  bool complete = false;
  bool first_is_bad = false;  // the oldest record: older ones may be hidden in its payload
  std::uint64_t records = 0;
  std::uint64_t tombstones = 0;
  std::uint64_t payload_bytes = 0;
  std::uint64_t bad_count = 0;
  std::uint64_t broken_at = 0;
  std::vector<std::uint64_t> bad;  // offsets of bad records, newest first, as many as were asked for
};

/// Checks the payload of every record of the chain from `tail`.
[[nodiscard]] Result<VerifyReport> verify(ByteSource& source, std::uint64_t tail, Layout layout,
                                          const Progress& progress = {}, std::size_t max_bad = 100'000);

}  // namespace simdrive::store
