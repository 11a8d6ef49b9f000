#include "store/format.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include "simdrive/hash.hpp"

namespace simdrive::store {
namespace {

constexpr std::string_view kMarkMagic = "SDRVmark";
constexpr std::uint32_t kMarkVersion = 1;
constexpr std::size_t kMarkChecked = kMarkBytes - 4;
constexpr std::array<std::uint8_t, kPayloadAlignment> kZeros{};

Result<Placement> place(std::uint64_t tail, std::uint64_t start, std::uint64_t bytes) {
  if (tail > kMaxFileBytes - kPayloadAlignment || bytes > kMaxFileBytes - kTrailerBytes - start) {
    return Error{.code = Errc::invalid_value,
                 .detail = "a payload of " + std::to_string(bytes) + " bytes at offset " + std::to_string(start) +
                           " passes the limit of a store file"};
  }
  return Placement{.start = start, .offset = start + bytes, .tail = start + bytes + kTrailerBytes};
}

}  // namespace

Result<Placement> place_value(std::uint64_t tail, std::uint64_t payload_bytes) {
  if (payload_bytes == 0) return Error{.code = Errc::invalid_value, .detail = "a payload cannot be empty"};
  return place(tail, align_up(std::min(tail, kMaxFileBytes), kPayloadAlignment), payload_bytes);
}

Result<Placement> place_tombstone(std::uint64_t tail) { return place(tail, std::min(tail, kMaxFileBytes), 1); }

BytesView zero_pad() noexcept { return kZeros; }

std::array<std::uint8_t, kMinTail> tombstone_record(std::uint64_t hash, std::uint64_t tail) noexcept {
  std::array<std::uint8_t, kMinTail> record{kTombstoneByte};
  write_trailer(record.data() + 1, {.hash = hash, .prev = tail, .checksum = kTombstoneChecksum});
  return record;
}

std::array<std::uint8_t, kMarkBytes> encode_mark(const SyncMark& mark) noexcept {
  std::array<std::uint8_t, kMarkBytes> bytes{};
  std::copy(kMarkMagic.begin(), kMarkMagic.end(), bytes.begin());
  store_le(bytes.data() + 8, kMarkVersion);
  store_le(bytes.data() + 16, mark.tail);
  write_trailer(bytes.data() + 24, mark.trailer);
  store_le(bytes.data() + kMarkChecked, crc32(BytesView(bytes).first(kMarkChecked)));
  return bytes;
}

bool may_be_mark(BytesView bytes) noexcept {
  const auto rest = std::mismatch(kMarkMagic.begin(), kMarkMagic.end(), bytes.begin(), bytes.end());
  return rest.first == kMarkMagic.end() ||
         (bytes.size() <= kMarkBytes &&
          std::all_of(rest.second, bytes.end(), [](std::uint8_t byte) { return byte == 0; }));
}

bool decode_mark(BytesView bytes, SyncMark& mark) noexcept {
  if (bytes.size() < kMarkBytes || !std::equal(kMarkMagic.begin(), kMarkMagic.end(), bytes.begin())) return false;
  if (load_le<std::uint32_t>(bytes.data() + 8) != kMarkVersion) return false;
  if (load_le<std::uint32_t>(bytes.data() + kMarkChecked) != crc32(bytes.first(kMarkChecked))) return false;
  const SyncMark read{.tail = load_le<std::uint64_t>(bytes.data() + 16), .trailer = read_trailer(bytes.data() + 24)};
  if (read.tail != 0 ? read.tail < kMinTail || read.tail > kMaxFileBytes : !read.trailer.is_zero()) return false;
  mark = read;
  return true;
}

}  // namespace simdrive::store
