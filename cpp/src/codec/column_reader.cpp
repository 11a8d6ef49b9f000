#include "codec/column_reader.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/endian.hpp"
#include "codec/column_pack.hpp"

namespace simdrive::codec {

namespace {
constexpr const char* kShort = "message is too short";
}

Error ColumnReader::error() const {
  return Error{.code = Errc::protocol_error, .detail = fault_, .outcome = Outcome::unknown, .offset = at_};
}

bool ColumnReader::byte_layout(std::uint64_t n, ByteLayout& out) {
  out = {};
  if (n >= kByteHeaderFrom) {
    if (left() == 0) return fail(kShort);
    const std::uint8_t header = in_[at_];
    if (header > kByteHeaderMax) return fail("bad header of a byte column");
    ++at_;
    out.density = density_of_header(header);
    if (header_has_min(header)) {
      if (left() == 0) return fail(kShort);
      out.min = in_[at_++];
    }
  }
  const std::uint64_t size = packed_bytes(n, out.density);
  if (size > left()) return fail(kShort);
  out.size = static_cast<std::size_t>(size);
  return true;
}

bool ColumnReader::bytes(std::uint64_t n, ByteColumn& out) {
  ByteLayout layout;
  if (!byte_layout(n, layout)) return false;
  if (layout.density == kRaw) {
    out.values = in_.subspan(at_, layout.size);
    out.storage.clear();
  } else {
    if (n > unpacked_left_) return fail(kTooManyUnpacked);
    unpacked_left_ -= n;
    if (account_ != nullptr && !account_->take(n)) return fail(kNoRoom);
    out.storage.resize(static_cast<std::size_t>(n));
    unpack(in_.data() + at_, layout.density, layout.min, n, out.storage.data());
    out.values = out.storage;
  }
  at_ += layout.size;
  return true;
}

bool ColumnReader::int_layout(std::uint64_t n, IntLayout& out) {
  out = {};
  if (n == 0) return true;
  if (left() == 0) return fail(kShort);
  const std::uint8_t header = in_[at_];
  if (header > kIntHeaderMax) return fail("bad header of an integer column");
  ++at_;
  out.density = density_of_header(header);
  if (header_has_min(header)) {
    if (left() < sizeof out.min) return fail(kShort);
    out.min = load_le<std::uint64_t>(in_.data() + at_);
    at_ += sizeof out.min;
  }
  if (out.density == kIntBytes) return byte_layout(n, out.low);
  const std::size_t width = std::size_t{8} >> out.density;
  return n <= left() / width || fail(kShort);
}

void ColumnReader::int_values(const IntLayout& layout, std::span<std::uint64_t> out) {
  if (layout.density == kIntBytes) {
    // A multiple of every number of digits a byte may hold.
    constexpr std::size_t kChunk = 120;
    std::array<std::uint8_t, kChunk> low;
    const std::uint8_t* p = in_.data() + at_;
    for (std::size_t i = 0; i < out.size(); i += kChunk) {
      const std::size_t n = std::min(kChunk, out.size() - i);
      unpack(p, layout.low.density, layout.low.min, n, low.data());
      p += packed_bytes(n, layout.low.density);
      for (std::size_t j = 0; j < n; ++j) out[i + j] = low[j] + layout.min;
    }
    at_ += layout.low.size;
    return;
  }
  const std::size_t width = std::size_t{8} >> layout.density;
  for (std::uint64_t& value : out) {
    std::array<std::uint8_t, 8> wide{};
    std::memcpy(wide.data(), in_.data() + at_, width);
    value = load_le<std::uint64_t>(wide.data()) + layout.min;
    at_ += width;
  }
}

bool ColumnReader::number(std::uint64_t& out) {
  IntLayout layout;
  if (!int_layout(1, layout)) return false;
  int_values(layout, std::span(&out, 1));
  return true;
}

bool ColumnReader::length(std::uint64_t& out) {
  if (left() == 0) return fail(kShort);
  out = in_[at_++];
  if (out == kLargeLength && !number(out)) return false;
  return out < kLengthSumLimit || fail("length overflow");
}

bool ColumnReader::lengths(std::uint64_t n, LengthColumn& out) {
  ByteLayout layout;
  if (!byte_layout(n, layout)) return false;
  out.next_low_ = out.next_large_ = 0;
  out.low_.resize(static_cast<std::size_t>(n));
  unpack(in_.data() + at_, layout.density, layout.min, n, out.low_.data());
  at_ += layout.size;

  const auto large = std::count(out.low_.begin(), out.low_.end(), kLargeLength);
  IntLayout large_layout;
  if (!int_layout(static_cast<std::uint64_t>(large), large_layout)) return false;
  out.large_.resize(static_cast<std::size_t>(large));
  int_values(large_layout, out.large_);

  // No overflow: fewer than 2^56 small lengths fit into memory.
  std::uint64_t sum = 0;
  for (const std::uint8_t low : out.low_) sum += low < kLargeLength ? low : 0;
  for (const std::uint64_t length : out.large_) {
    if (sum >= kLengthSumLimit || length >= kLengthSumLimit - sum) return fail("length overflow");
    sum += length;
  }
  if (sum >= kLengthSumLimit) return fail("length overflow");
  out.sum_ = sum;
  return true;
}

bool ColumnReader::value(Bytes& out) {
  ByteColumn column;
  if (!value(column)) return false;
  out = column.take();
  return true;
}

bool ColumnReader::value(ByteColumn& out) {
  std::uint64_t n = 0;
  return length(n) && bytes(n, out);
}

bool ColumnReader::bits(std::uint64_t n, BytesView& out) {
  const std::uint64_t size = div_up(n, 8);
  if (size > left()) return fail(kShort);
  out = in_.subspan(at_, static_cast<std::size_t>(size));
  at_ += out.size();
  return true;
}

bool ColumnReader::variant_of_three(std::uint8_t& out) {
  if (left() == 0) return fail(kShort);
  out = static_cast<std::uint8_t>(in_[at_++] % 3);
  return true;
}

bool ColumnReader::text(BytesView& out) {
  std::uint64_t n = 0;
  if (!length(n)) return false;
  if (n > left()) return fail(kShort);
  out = in_.subspan(at_, static_cast<std::size_t>(n));
  if (!is_utf8(out)) return fail("text is not UTF-8");
  at_ += out.size();
  return true;
}

bool ColumnReader::item_count(std::uint64_t max_items, std::uint64_t& out) {
  if (!length(out)) return false;
  return out <= max_items || fail(kTooManyItems);
}

bool ColumnReader::room_for(std::uint64_t n, std::size_t bytes_each) {
  constexpr std::uint64_t kMostPerByte = 8;
  return account_ == nullptr || account_->take(std::min(n, left() * kMostPerByte) * bytes_each) || fail(kNoRoom);
}

bool ColumnReader::end() { return left() == 0 || fail("surplus bytes after the message"); }

bool is_utf8(BytesView text) noexcept {
  std::size_t i = 0;
  while (i < text.size()) {
    const std::uint8_t first = text[i++];
    if (first < 0x80) continue;
    if (first < 0xc2 || first > 0xf4) return false;
    // The range of the second byte shuts out overlong forms, surrogates and what lies past U+10FFFF.
    const std::size_t more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    const std::uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const std::uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (text.size() - i < more || text[i] < low || text[i] > high) return false;
    for (std::size_t j = 1; j < more; ++j) {
      if ((text[i + j] & 0xc0) != 0x80) return false;
    }
    i += more;
  }
  return true;
}

}  // namespace simdrive::codec
