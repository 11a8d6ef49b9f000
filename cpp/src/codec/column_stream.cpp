#include "codec/column_stream.hpp"

#include <algorithm>
#include <cstring>

#include "base/endian.hpp"
#include "codec/column_pack.hpp"

namespace simdrive::codec {

void ByteStream::start(std::uint64_t n) noexcept {
  left_ = n;
  stage_ = n < kByteHeaderFrom ? Stage::data : Stage::header;
  density_ = kRaw;
  min_ = 0;
}

bool ByteStream::take_head(BytesView& in) noexcept {
  if (stage_ == Stage::header && !in.empty()) {
    const std::uint8_t header = in[0];
    if (header > kByteHeaderMax) return false;
    in = in.subspan(1);
    density_ = density_of_header(header);
    stage_ = header_has_min(header) ? Stage::min : Stage::data;
  }
  if (stage_ == Stage::min && !in.empty()) {
    min_ = in[0];
    in = in.subspan(1);
    stage_ = Stage::data;
  }
  return true;
}

std::size_t ByteStream::take(BytesView& in, MutableBytes out) noexcept {
  const std::size_t digits = kByteDigits[density_];
  const std::uint64_t bytes = std::min<std::uint64_t>({in.size(), out.size() / digits, packed_bytes(left_, density_)});
  const auto values = static_cast<std::size_t>(std::min<std::uint64_t>(bytes * digits, left_));
  unpack(in.data(), density_, min_, values, out.data());
  in = in.subspan(static_cast<std::size_t>(bytes));
  left_ -= values;
  return values;
}

void IntStream::start(std::uint64_t n) noexcept {
  left_ = n;
  min_ = 0;
  stage_ = n == 0 ? Stage::data : Stage::header;
  density_ = 0;
  stashed_ = 0;
}

bool IntStream::take_head(BytesView& in) noexcept {
  if (stage_ == Stage::header && !in.empty()) {
    const std::uint8_t header = in[0];
    if (header > kIntHeaderMax) return false;
    in = in.subspan(1);
    density_ = density_of_header(header);
    if (density_ == kIntBytes) low_.start(left_);
    stage_ = header_has_min(header) ? Stage::min : Stage::low_head;
  }
  if (stage_ == Stage::min && take_int(in, sizeof min_, min_)) stage_ = Stage::low_head;
  if (stage_ == Stage::low_head) {
    if (density_ == kIntBytes) {
      if (!low_.take_head(in)) return false;
      if (!low_.ready()) return true;
    }
    stage_ = Stage::data;
  }
  return true;
}

bool IntStream::take_int(BytesView& in, std::size_t width, std::uint64_t& value) noexcept {
  const std::size_t n = std::min(in.size(), width - stashed_);
  if (n != 0) std::memcpy(stash_.data() + stashed_, in.data(), n);
  in = in.subspan(n);
  stashed_ = static_cast<std::uint8_t>(stashed_ + n);
  if (stashed_ < width) return false;
  std::fill(stash_.begin() + static_cast<std::ptrdiff_t>(width), stash_.end(), std::uint8_t{0});
  value = load_le<std::uint64_t>(stash_.data());
  stashed_ = 0;
  return true;
}

std::size_t IntStream::take(BytesView& in, std::span<std::uint64_t> out) noexcept {
  std::size_t taken = 0;
  if (density_ == kIntBytes) {
    std::array<std::uint8_t, 64> low;
    taken = low_.take(in, MutableBytes(low).first(std::min(low.size(), out.size())));
    for (std::size_t i = 0; i < taken; ++i) out[i] = low[i] + min_;
  } else {
    const std::size_t width = std::size_t{8} >> density_;
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), left_));
    for (std::uint64_t value = 0; taken < most && take_int(in, width, value);) out[taken++] = value + min_;
  }
  left_ -= taken;
  return taken;
}

}  // namespace simdrive::codec
