#include "codec/column_writer.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/endian.hpp"
#include "codec/column_format.hpp"
#include "codec/column_pack.hpp"

namespace simdrive::codec {

namespace {

/// Values are handed to the packer in chunks of this many.
constexpr std::size_t kChunk = 256;

/// How one column is written: the decision of 6.1 or 6.2.
struct Form {
  std::uint8_t density = kRaw;
  bool with_min = false;

  [[nodiscard]] std::uint8_t header() const noexcept {
    return static_cast<std::uint8_t>(2 * density - (with_min ? 1 : 0));
  }
};

Form choose_form(std::uint8_t plain, std::uint8_t reduced, std::uint64_t n) noexcept {
  if (reduced > plain && n >= kMinFrom) return {reduced, true};
  return {plain, false};
}

Form choose_byte_form(std::uint8_t min, std::uint8_t max, std::uint64_t n) noexcept {
  if (n < kByteHeaderFrom) return {};
  return choose_form(byte_density(max), byte_density(static_cast<std::uint8_t>(max - min)), n);
}

/// Header and minimum, if any. At most two bytes.
std::size_t put_byte_header(Form form, std::uint8_t min, std::uint64_t n, std::uint8_t* out) noexcept {
  if (n < kByteHeaderFrom) return 0;
  out[0] = form.header();
  if (!form.with_min) return 1;
  out[1] = min;
  return 2;
}

/// Least and greatest byte of what was added.
class ByteRange {
 public:
  /// Such a column is raw whatever else it holds.
  [[nodiscard]] bool wide() const noexcept { return max_ >= min_ && max_ - min_ >= 16; }
  [[nodiscard]] std::uint8_t min() const noexcept { return min_; }
  [[nodiscard]] std::uint8_t max() const noexcept { return max_; }

  /// Stops as soon as the range is wide.
  void add(BytesView bytes) noexcept {
    add_blocks<64>(bytes);
    add_blocks<16>(bytes);
    if (!wide()) add_block(bytes.data(), bytes.size());
  }

 private:
  template <std::size_t kBlock>
  void add_blocks(BytesView& bytes) noexcept {
    while (bytes.size() >= kBlock && !wide()) {
      add_block(bytes.data(), kBlock);
      bytes = bytes.subspan(kBlock);
    }
  }

  void add_block(const std::uint8_t* p, std::size_t n) noexcept {
    std::uint8_t low = min_;
    std::uint8_t high = max_;
    for (std::size_t i = 0; i < n; ++i) {
      low = std::min(low, p[i]);
      high = std::max(high, p[i]);
    }
    min_ = low;
    max_ = high;
  }

  std::uint8_t min_ = 255;
  std::uint8_t max_ = 0;
};

bool scans(std::uint64_t n, Packing packing) noexcept {
  return n >= kByteHeaderFrom && (packing == Packing::canonical || n <= kScanMax);
}

/// At most nine bytes.
std::size_t put_number(std::uint64_t value, std::uint8_t* out) noexcept {
  const Form form{int_density(value), false};
  out[0] = form.header();
  const std::size_t width = std::size_t{8} >> form.density;
  std::array<std::uint8_t, 8> bytes;
  store_le(bytes.data(), value);
  std::memcpy(out + 1, bytes.data(), width);
  return 1 + width;
}

/// At most ten bytes.
std::size_t put_length(std::uint64_t length, std::uint8_t* out) noexcept {
  if (length < kLargeLength) {
    out[0] = static_cast<std::uint8_t>(length);
    return 1;
  }
  out[0] = kLargeLength;
  return 1 + put_number(length, out + 1);
}

using Sizes = std::span<const std::uint64_t>;

std::size_t count_of(const Pieces& pieces) noexcept { return pieces.count; }
std::size_t count_of(Sizes sizes) noexcept { return sizes.size(); }
bool is_present(const Pieces& pieces, std::size_t i) noexcept { return pieces.at(pieces.items, i) != nullptr; }
bool is_present(Sizes sizes, std::size_t i) noexcept { return sizes[i] != kAbsent; }

/// Calls `sink` with the size of every present piece, in order.
template <class Sink>
void for_each_size(const Pieces& pieces, Sink sink) {
  for (std::size_t i = 0; i < pieces.count; ++i) {
    if (const BytesView* piece = pieces.at(pieces.items, i)) sink(std::uint64_t{piece->size()});
  }
}
template <class Sink>
void for_each_size(Sizes sizes, Sink sink) {
  for (const std::uint64_t size : sizes) {
    if (size != kAbsent) sink(size);
  }
}

/// What must be known of all lengths before the first can be written.
struct LengthSurvey {
  std::uint64_t count = 0;
  std::uint8_t low_min = 255;
  std::uint8_t low_max = 0;
  std::uint64_t large_count = 0;
  std::uint64_t large_min = ~std::uint64_t{0};
  std::uint64_t large_max = 0;

  void add(std::uint64_t size) noexcept {
    const auto low = static_cast<std::uint8_t>(std::min<std::uint64_t>(size, kLargeLength));
    ++count;
    low_min = std::min(low_min, low);
    low_max = std::max(low_max, low);
    if (low == kLargeLength) {
      ++large_count;
      large_min = std::min(large_min, size);
      large_max = std::max(large_max, size);
    }
  }
};

/// Collects single values for a packer.
class ChunkedPacker {
 public:
  explicit ChunkedPacker(BytePacker packer) noexcept : packer_(packer) {}

  void put(std::uint8_t value) noexcept {
    chunk_[used_++] = value;
    if (used_ == chunk_.size()) flush();
  }
  void finish() noexcept {
    flush();
    packer_.finish();
  }

 private:
  void flush() noexcept {
    packer_.put(BytesView(chunk_).first(used_));
    used_ = 0;
  }

  BytePacker packer_;
  std::size_t used_ = 0;
  std::array<std::uint8_t, kChunk> chunk_;
};

/// Room for a BYTES column whose range is known, header written, ready to take the values.
ChunkedPacker start_bytes(std::uint8_t min, std::uint8_t max, std::uint64_t n, Gather& out) {
  const Form form = choose_byte_form(min, max, n);
  std::array<std::uint8_t, 2> header;
  const std::size_t header_size = put_byte_header(form, min, n, header.data());
  std::uint8_t* p = out.extend(header_size + static_cast<std::size_t>(packed_bytes(n, form.density)));
  if (header_size != 0) std::memcpy(p, header.data(), header_size);
  return ChunkedPacker(BytePacker(p + header_size, form.density, form.with_min ? min : std::uint8_t{0}));
}

/// INT column of the large lengths.
template <class Items>
void write_large_lengths(const Items& pieces, const LengthSurvey& survey, Gather& out) {
  const std::uint64_t n = survey.large_count;
  if (n == 0) return;
  const std::uint64_t spread = survey.large_max - survey.large_min;
  const Form form = choose_form(int_density(survey.large_max), int_density(spread), n);
  const std::uint64_t min = form.with_min ? survey.large_min : 0;
  out.push(form.header());
  if (form.with_min) store_le(out.extend(sizeof min), min);

  if (form.density == kIntBytes) {
    ChunkedPacker packer = start_bytes(static_cast<std::uint8_t>(survey.large_min - min),
                                       static_cast<std::uint8_t>(survey.large_max - min), n, out);
    for_each_size(pieces, [&](std::uint64_t size) {
      if (size >= kLargeLength) packer.put(static_cast<std::uint8_t>(size - min));
    });
    packer.finish();
    return;
  }
  const std::size_t width = std::size_t{8} >> form.density;
  std::uint8_t* p = out.extend(static_cast<std::size_t>(n) * width);
  for_each_size(pieces, [&](std::uint64_t size) {
    if (size < kLargeLength) return;
    std::array<std::uint8_t, 8> bytes;
    store_le(bytes.data(), size - min);
    std::memcpy(p, bytes.data(), width);
    p += width;
  });
}

template <class Items>
void put_presence(const Items& items, Gather& out) {
  const std::size_t count = count_of(items);
  std::uint8_t* bits = out.extend(static_cast<std::size_t>(div_up(count, 8)));
  for (std::size_t i = 0; i < count; i += 8) {
    unsigned byte = 0;
    for (std::size_t j = i; j < std::min(i + 8, count); ++j) {
      if (is_present(items, j)) byte |= 1U << (j - i);
    }
    bits[i / 8] = static_cast<std::uint8_t>(byte);
  }
}

template <class Items>
void put_lengths(const Items& items, Gather& out) {
  LengthSurvey survey;
  for_each_size(items, [&](std::uint64_t size) { survey.add(size); });
  if (survey.count == 0) return;
  ChunkedPacker packer = start_bytes(survey.low_min, survey.low_max, survey.count, out);
  for_each_size(items, [&](std::uint64_t size) {
    packer.put(static_cast<std::uint8_t>(std::min<std::uint64_t>(size, kLargeLength)));
  });
  packer.finish();
  write_large_lengths(items, survey, out);
}

/// The values of a raw column. Runs of short pieces are copied with one extension of the buffer.
void write_raw(const Pieces& pieces, Gather& out) {
  std::size_t first = 0;
  while (first < pieces.count) {
    std::size_t end = first;
    std::size_t size = 0;
    const BytesView* piece = nullptr;
    for (; end < pieces.count; ++end) {
      piece = pieces.at(pieces.items, end);
      if (piece && piece->size() >= Gather::kBorrowMin) break;
      size += piece ? piece->size() : 0;
    }
    std::uint8_t* p = out.extend(size);
    for (; first < end; ++first) {
      const BytesView* small = pieces.at(pieces.items, first);
      if (!small || small->empty()) continue;
      std::memcpy(p, small->data(), small->size());
      p += small->size();
    }
    if (end < pieces.count) out.append(*piece);
    first = end + 1;
  }
}

}  // namespace

void write_number(std::uint64_t value, Gather& out) {
  std::array<std::uint8_t, 9> bytes;
  out.copy(BytesView(bytes).first(put_number(value, bytes.data())));
}

void write_length(std::uint64_t length, Gather& out) {
  std::array<std::uint8_t, 10> bytes;
  out.copy(BytesView(bytes).first(put_length(length, bytes.data())));
}

void write_value(BytesView value, Gather& out, Packing packing) {
  const std::size_t n = value.size();
  std::uint8_t min = 0;
  Form form;
  if (scans(n, packing)) {
    ByteRange range;
    range.add(value);
    min = range.min();
    if (!range.wide()) form = choose_byte_form(min, range.max(), n);
  }
  std::array<std::uint8_t, 12> head;
  std::size_t head_size = put_length(n, head.data());
  head_size += put_byte_header(form, min, n, head.data() + head_size);

  if (form.density == kRaw && n >= Gather::kBorrowMin) {
    out.copy(BytesView(head).first(head_size));
    out.append(value);
    return;
  }
  std::uint8_t* p = out.extend(head_size + static_cast<std::size_t>(packed_bytes(n, form.density)));
  std::memcpy(p, head.data(), head_size);
  BytePacker packer(p + head_size, form.density, form.with_min ? min : std::uint8_t{0});
  packer.put(value);
  packer.finish();
}

void write_presence(const Pieces& pieces, Gather& out) { put_presence(pieces, out); }
void write_presence(Sizes sizes, Gather& out) { put_presence(sizes, out); }
void write_lengths(const Pieces& pieces, Gather& out) { put_lengths(pieces, out); }
void write_lengths(Sizes sizes, Gather& out) { put_lengths(sizes, out); }

void write_raw_header(std::uint64_t n, Gather& out) {
  if (n >= kByteHeaderFrom) out.push(Form{}.header());
}

void write_bytes(const Pieces& pieces, Gather& out, Packing packing) {
  std::uint64_t n = 0;
  for_each_size(pieces, [&](std::uint64_t size) { n += size; });
  if (n == 0) return;
  ByteRange range;
  Form form;
  if (scans(n, packing)) {
    for (std::size_t i = 0; i < pieces.count && !range.wide(); ++i) {
      if (const BytesView* piece = pieces.at(pieces.items, i)) range.add(*piece);
    }
    if (!range.wide()) form = choose_byte_form(range.min(), range.max(), n);
  }
  std::array<std::uint8_t, 2> header;
  out.copy(BytesView(header).first(put_byte_header(form, range.min(), n, header.data())));
  if (form.density == kRaw) return write_raw(pieces, out);
  BytePacker packer(out.extend(static_cast<std::size_t>(packed_bytes(n, form.density))), form.density,
                    form.with_min ? range.min() : std::uint8_t{0});
  for (std::size_t i = 0; i < pieces.count; ++i) {
    if (const BytesView* piece = pieces.at(pieces.items, i)) packer.put(*piece);
  }
  packer.finish();
}

}  // namespace simdrive::codec
