#include <gtest/gtest.h>

#include <cstdint>

#include "generated_bytes.hpp"
#include "hash/backend.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {
namespace {

using test::generated_bytes;
using test::text_bytes;

// The definition, a bit at a time.
std::uint32_t crc32_by_definition(BytesView data) {
  std::uint32_t reg = 0xffffffffU;
  for (const std::uint8_t byte : data) {
    reg ^= byte;
    for (int bit = 0; bit < 8; ++bit) reg = (reg & 1) != 0 ? (reg >> 1) ^ 0xEDB88320U : reg >> 1;
  }
  return ~reg;
}

TEST(Crc32, CheckValueOfTheStandard) {
  EXPECT_EQ(crc32(text_bytes("123456789")), 0xcbf43926U);
  EXPECT_EQ(crc32({}), 0U);
  EXPECT_EQ(crc32({}, 0xcbf43926U), 0xcbf43926U);
}

TEST(Crc32, EveryLengthAndBackendFollowsTheDefinition) {
  const Bytes data = generated_bytes(42, 1100);
  const hash::BackendList backends = hash::usable_backends();
  ASSERT_GE(backends.count, 1U);
  for (std::size_t size = 0; size <= data.size(); ++size) {
    const BytesView part = BytesView(data).subspan(size % 8 > data.size() - size ? 0 : size % 8, size);
    const std::uint32_t expected = crc32_by_definition(part);
    ASSERT_EQ(crc32(part), expected) << "size " << size;
    for (std::size_t b = 0; b < backends.count; ++b) {
      const hash::Backend& backend = *backends.first[b];
      ASSERT_EQ(~backend.crc32(0xffffffffU, part.data(), part.size()), expected) << backend.name << " size " << size;
    }
  }
}

TEST(Crc32, ContinuesFromEveryCut) {
  const Bytes data = generated_bytes(4, 700);
  const std::uint32_t expected = crc32_by_definition(data);
  for (std::size_t cut = 0; cut <= data.size(); ++cut) {
    ASSERT_EQ(crc32(BytesView(data).subspan(cut), crc32(BytesView(data).first(cut))), expected) << "cut " << cut;
  }
}

TEST(Crc32, LongZerosAndOnes) {
  for (const std::uint8_t fill : {std::uint8_t{0}, std::uint8_t{0xff}}) {
    const Bytes data(100'003, fill);
    EXPECT_EQ(crc32(data), crc32_by_definition(data));
  }
}

}  // namespace
}  // namespace simdrive
