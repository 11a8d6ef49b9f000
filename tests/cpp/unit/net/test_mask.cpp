#include "net/mask.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>

namespace simdrive::net {
namespace {

// The key and the answer for the bytes 00 to 07 that the authors of SipHash give.
TEST(MaskTest, KeysAreSipHash) {
  constexpr std::array<std::uint64_t, 2> kKey = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
  EXPECT_EQ(MaskKeys::hash(kKey, 0x0706050403020100), 0x93f5f5799a932462U);
}

TEST(MaskTest, NoTwoConnectionsOrMessagesHaveTheSameKeys) {
  MaskKeys one;
  MaskKeys other;
  std::set<MaskKey> seen;
  for (int i = 0; i < 8; ++i) {
    seen.insert(one.next());
    seen.insert(other.next());
  }
  EXPECT_GE(seen.size(), 15U);  // two of sixteen are the same once in 36 million runs
}

TEST(MaskTest, PiecesAreMaskedAsOne) {
  constexpr MaskKey kKey = {0x11, 0x22, 0x44, 0x88};
  Bytes plain(100);
  for (std::size_t i = 0; i < plain.size(); ++i) plain[i] = static_cast<std::uint8_t>(i * 7);
  Bytes expected(plain.size());
  for (std::size_t i = 0; i < plain.size(); ++i) expected[i] = static_cast<std::uint8_t>(plain[i] ^ kKey[i % 4]);
  for (std::size_t first = 0; first <= 20; ++first) {
    Bytes masked(plain.size());
    const BytesView all(plain);
    copy_masked(masked.data(), all.first(first), kKey, 0);
    copy_masked(masked.data() + first, all.subspan(first), kKey, first);
    EXPECT_EQ(masked, expected) << first;
  }
}

}  // namespace
}  // namespace simdrive::net
