// The records of a store file as bytes and offsets. Pure: no file, no state. docs/design/storage.md has the whole
// format.
//
// A record appended when the file ends at tail T:
//   pre-pad   zeros from T to the next multiple of the layout's alignment (none before a tombstone)
//   payload   at least one byte, up to M, the offset by which a record is named
//   trailer   20 bytes at M: key hash, T, CRC-32 of the payload, little-endian
// The new tail is M + 20. A tombstone is the payload 00 at T itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/endian.hpp"
#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"

namespace simdrive::store {

inline constexpr std::size_t kTrailerBytes = 20;
/// The shortest record, a payload of one byte: every tail but 0 is greater than this.
inline constexpr std::size_t kMinTail = kTrailerBytes + 1;
inline constexpr std::size_t kPayloadAlignment = 64;
/// Offsets stay below this, so that adding an alignment or a trailer to a checked one cannot overflow.
inline constexpr std::uint64_t kMaxFileBytes = std::numeric_limits<std::int64_t>::max() - 4096;
inline constexpr std::uint8_t kTombstoneByte = 0x00;
inline constexpr std::uint32_t kTombstoneChecksum = 0xD202EF8DU;  // CRC-32 of the byte 00

/// How payloads are aligned. Nothing in a file says so: it shows in which checksums are right. Only `aligned64` is
/// ever written.
enum class Layout : std::uint8_t {
  mixed = 0,       // record by record: the first of 64, 16 and 1 whose checksum is right
  unaligned = 1,   // engine versions up to 0.13
  aligned16 = 16,  // 0.14
  aligned64 = 64,  // 0.15 and later
};

[[nodiscard]] constexpr std::uint64_t alignment_of(Layout layout) noexcept {
  return layout == Layout::mixed ? 1 : static_cast<std::uint64_t>(layout);
}

/// The smallest multiple of `alignment`, a power of two, that is not below `value`. `value` at most `kMaxFileBytes`.
[[nodiscard]] constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) noexcept {
  return (value + alignment - 1) & ~(alignment - 1);
}

/// Zero bytes before a value appended at `tail`: 0 to 63.
[[nodiscard]] constexpr std::size_t pad_before(std::uint64_t tail) noexcept {
  return static_cast<std::size_t>((0 - tail) & (kPayloadAlignment - 1));
}

/// The last 20 bytes of a record.
struct Trailer {
  std::uint64_t hash = 0;
  std::uint64_t prev = 0;  // the tail before this record: 0 for the first, else the tail of the one before
  std::uint32_t checksum = 0;

  bool operator==(const Trailer&) const = default;
  /// All 20 bytes zero: what unwritten blocks look like, so never taken for a record.
  [[nodiscard]] bool is_zero() const noexcept { return (hash | prev | checksum) == 0; }
};

using TrailerBytes = std::array<std::uint8_t, kTrailerBytes>;

[[nodiscard]] inline Trailer read_trailer(const std::uint8_t* at) noexcept {
  return {load_le<std::uint64_t>(at), load_le<std::uint64_t>(at + 8), load_le<std::uint32_t>(at + 16)};
}

inline void write_trailer(std::uint8_t* at, const Trailer& trailer) noexcept {
  store_le(at, trailer.hash);
  store_le(at + 8, trailer.prev);
  store_le(at + 16, trailer.checksum);
}

/// Where the payload of the record at `offset` starts, for its `prev` and the byte before `offset`. Not below
/// `offset`, or `kMalformed`: there is no such record. `offset` at most `kMaxFileBytes`, the rest may be anything.
inline constexpr std::uint64_t kMalformed = std::numeric_limits<std::uint64_t>::max();
[[nodiscard]] constexpr std::uint64_t payload_start(std::uint64_t offset, std::uint64_t prev, std::uint8_t last_byte,
                                                    std::uint64_t alignment) noexcept {
  if (prev >= offset) return kMalformed;
  if (offset - prev == 1 && last_byte == kTombstoneByte) return prev;
  const std::uint64_t start = align_up(prev, alignment);
  return start < offset ? start : kMalformed;
}

/// Whether a payload from `start` to `offset` that ends in `last_byte` is the mark of a deletion.
[[nodiscard]] constexpr bool is_tombstone(std::uint64_t start, std::uint64_t offset, std::uint8_t last_byte) noexcept {
  return offset - start == 1 && last_byte == kTombstoneByte;
}

/// Where a new record of `payload_bytes` at `tail` comes to lie.
struct Placement {
  std::uint64_t start = 0;   // of the payload
  std::uint64_t offset = 0;  // of the trailer
  std::uint64_t tail = 0;    // the new one
};

/// `Errc::invalid_value` when the payload is empty or the file would grow past `kMaxFileBytes`.
[[nodiscard]] Result<Placement> place_value(std::uint64_t tail, std::uint64_t payload_bytes);
[[nodiscard]] Result<Placement> place_tombstone(std::uint64_t tail);

/// Whether a caller may store this payload: it is neither empty nor the single byte 00, which means deletion.
[[nodiscard]] constexpr bool is_storable(BytesView payload) noexcept {
  return !payload.empty() && !(payload.size() == 1 && payload[0] == kTombstoneByte);
}

/// At least 63 zero bytes, to write pre-pads from.
[[nodiscard]] BytesView zero_pad() noexcept;

/// A whole tombstone record: 21 bytes.
[[nodiscard]] std::array<std::uint8_t, kMinTail> tombstone_record(std::uint64_t hash, std::uint64_t tail) noexcept;

// The sync mark, the file `<store>.mark`: up to which tail the store was known to be on the disk, and with what trailer
// there. 48 bytes, little-endian:
//   0   8   magic "SDRVmark"
//   8   4   version, 1
//   12  4   zero
//   16  8   tail: 0 for a store that was just created
//   24  20  the trailer that ends at tail; if tail is 0, zeros, or all ones (kUnknownMark)
//   44  4   CRC-32 of bytes 0 to 43
inline constexpr std::size_t kMarkBytes = 48;

struct SyncMark {
  std::uint64_t tail = 0;
  Trailer trailer;

  bool operator==(const SyncMark&) const = default;
};

/// Says nothing of the file, as a mark that does not match, or none. One with zeros says that all of the file may be
/// cut where it is damaged, since nothing of it was synced; a file that is being repaired must not be.
inline constexpr SyncMark kUnknownMark{
    .tail = 0, .trailer = {.hash = ~std::uint64_t{0}, .prev = ~std::uint64_t{0}, .checksum = ~std::uint32_t{0}}};

[[nodiscard]] std::array<std::uint8_t, kMarkBytes> encode_mark(const SyncMark& mark) noexcept;

/// Whether a file that begins with these bytes, of which there are up to kMarkBytes + 1, is a mark, of any version, or
/// what a crash can leave of one: the first part of it, behind which there are zeros or nothing.
[[nodiscard]] bool may_be_mark(BytesView bytes) noexcept;

/// False if the bytes are no mark: too short, torn, of another version. Bytes behind the first 48 are ignored.
[[nodiscard]] bool decode_mark(BytesView bytes, SyncMark& mark) noexcept;

}  // namespace simdrive::store
