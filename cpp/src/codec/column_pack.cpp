#include "codec/column_pack.hpp"

#include <array>
#include <cstring>

namespace simdrive::codec {

namespace {

template <unsigned kBase, unsigned kDigits>
constexpr auto make_digit_table() {
  std::array<std::array<std::uint8_t, kDigits>, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    unsigned rest = byte;
    for (std::uint8_t& digit : table[byte]) {
      digit = static_cast<std::uint8_t>(rest % kBase);
      rest /= kBase;
    }
  }
  return table;
}

template <unsigned kBase, unsigned kDigits>
void unpack_digits(const std::uint8_t* in, std::uint64_t n, std::uint8_t* out) noexcept {
  static constexpr auto kTable = make_digit_table<kBase, kDigits>();
  const std::uint64_t full = n / kDigits;
  for (std::uint64_t i = 0; i < full; ++i) {
    std::memcpy(out + i * kDigits, kTable[in[i]].data(), kDigits);
  }
  const std::size_t rest = static_cast<std::size_t>(n % kDigits);
  if (rest != 0) std::memcpy(out + full * kDigits, kTable[in[full]].data(), rest);
}

}  // namespace

template <unsigned kBase, unsigned kDigits>
void BytePacker::pack(BytesView values) noexcept {
  const std::uint8_t* p = values.data();
  const std::uint8_t* const end = p + values.size();
  const auto one = [&] {
    sum_ += static_cast<unsigned>(*p++ - min_) * weight_;
    weight_ *= kBase;
    if (++digits_ == kDigits) finish();
  };
  while (digits_ != 0 && p != end) one();
  // Locals, since a store through `out_` might change any member.
  const std::size_t full = static_cast<std::size_t>(end - p) / kDigits;
  std::uint8_t* const out = out_;
  const std::uint8_t min = min_;
  for (std::size_t i = 0; i < full; ++i) {
    unsigned sum = 0;
    for (unsigned j = kDigits; j-- > 0;) sum = sum * kBase + static_cast<unsigned>(p[i * kDigits + j] - min);
    out[i] = static_cast<std::uint8_t>(sum);
  }
  out_ += full;
  p += full * kDigits;
  while (p != end) one();
}

void BytePacker::put(BytesView values) noexcept {
  if (values.empty()) return;
  switch (density_) {
    case 1: return pack<16, 2>(values);
    case 2: return pack<6, 3>(values);
    case 3: return pack<4, 4>(values);
    case 4: return pack<3, 5>(values);
    case 5: return pack<2, 8>(values);
    default: std::memcpy(out_, values.data(), values.size()); out_ += values.size();
  }
}

void BytePacker::finish() noexcept {
  if (digits_ == 0) return;
  *out_++ = static_cast<std::uint8_t>(sum_);
  digits_ = 0;
  sum_ = 0;
  weight_ = 1;
}

void unpack(const std::uint8_t* in, std::uint8_t density, std::uint8_t min, std::uint64_t n,
            std::uint8_t* out) noexcept {
  if (n == 0) return;
  switch (density) {
    case 1: unpack_digits<16, 2>(in, n, out); break;
    case 2: unpack_digits<6, 3>(in, n, out); break;
    case 3: unpack_digits<4, 4>(in, n, out); break;
    case 4: unpack_digits<3, 5>(in, n, out); break;
    case 5: unpack_digits<2, 8>(in, n, out); break;
    default: std::memcpy(out, in, static_cast<std::size_t>(n));
  }
  if (min != 0) {
    for (std::uint64_t i = 0; i < n; ++i) out[i] = static_cast<std::uint8_t>(out[i] + min);
  }
}

}  // namespace simdrive::codec
