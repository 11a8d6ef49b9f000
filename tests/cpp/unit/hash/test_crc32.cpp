#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "generated_bytes.hpp"
#include "hash/backend.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {
namespace {

using test::generated_bytes;
using test::text_bytes;

constexpr std::size_t kMaxLength = 4096;
constexpr std::size_t kAlignments = 64;
constexpr std::array<std::uint32_t, 4> kStarts = {0xffffffffU, 0U, 0x80000000U, 0x12345679U};

// The definition, a bit at a time.
std::uint32_t register_after(std::uint32_t reg, std::uint8_t byte) {
  reg ^= byte;
  for (int bit = 0; bit < 8; ++bit) reg = (reg & 1) != 0 ? (reg >> 1) ^ 0xEDB88320U : reg >> 1;
  return reg;
}

std::uint32_t crc32_by_definition(BytesView data) {
  std::uint32_t reg = 0xffffffffU;
  for (const std::uint8_t byte : data) reg = register_after(reg, byte);
  return ~reg;
}

// [n]: the register after n bytes.
std::vector<std::uint32_t> registers_by_definition(std::uint32_t reg, BytesView data) {
  std::vector<std::uint32_t> registers = {reg};
  for (const std::uint8_t byte : data) registers.push_back(reg = register_after(reg, byte));
  return registers;
}

std::span<const hash::NamedCrc32> all_crc32() {
  const hash::Crc32List all = hash::usable_crc32();
  return {all.first, all.count};
}

// Of what the definition is too slow for; the other tests compare this one with it.
const hash::Crc32Kernels& reference() { return hash::kCrc32Scalar; }

// Copies between two places inside of larger memory, and checks that the register and every byte are right.
void check_copy(const hash::NamedCrc32& each, std::uint32_t start, BytesView from, std::size_t offset,
                std::uint32_t expected) {
  constexpr std::uint8_t kUntouched = 0xa5;
  constexpr std::size_t kBehind = 64;
  Bytes to(offset + from.size() + kBehind, kUntouched);
  const auto first = to.begin() + static_cast<std::ptrdiff_t>(offset);
  const auto last = to.end() - static_cast<std::ptrdiff_t>(kBehind);
  const auto untouched = [](std::uint8_t byte) { return byte == kUntouched; };
  ASSERT_EQ(each.kernels.copy(start, to.data() + offset, from.data(), from.size()), expected)
      << each.name << " size " << from.size() << " offset " << offset;
  ASSERT_TRUE(std::equal(first, last, from.begin())) << each.name << " size " << from.size() << " offset " << offset;
  ASSERT_TRUE(std::all_of(to.begin(), first, untouched) && std::all_of(last, to.end(), untouched))
      << each.name << " size " << from.size() << " offset " << offset;
}

TEST(Crc32, CheckValueOfTheStandard) {
  EXPECT_EQ(crc32(text_bytes("123456789")), 0xcbf43926U);
  EXPECT_EQ(crc32({}), 0U);
  EXPECT_EQ(crc32({}, 0xcbf43926U), 0xcbf43926U);
}

TEST(Crc32, EveryLengthAndAlignmentFollowsTheDefinition) {
  const Bytes data = generated_bytes(42, kMaxLength + kAlignments);
  ASSERT_FALSE(all_crc32().empty());
  for (std::size_t offset = 0; offset < kAlignments; ++offset) {
    const std::uint32_t start = kStarts[offset % kStarts.size()];
    const BytesView part = BytesView(data).subspan(offset, kMaxLength);
    const std::vector<std::uint32_t> expected = registers_by_definition(start, part);
    // The shorter lengths at every alignment, the longer ones at each eighth.
    for (std::size_t size = 0; size <= kMaxLength; size += size < 600 ? 1 : 8 - (size - offset) % 8) {
      for (const hash::NamedCrc32& each : all_crc32()) {
        ASSERT_EQ(each.kernels.update(start, part.data(), size), expected[size])
            << each.name << " size " << size << " offset " << offset;
      }
    }
  }
}

TEST(Crc32, EveryLengthOfACopy) {
  const Bytes data = generated_bytes(43, kMaxLength);
  for (std::size_t i = 0; i < kStarts.size(); ++i) {
    const std::vector<std::uint32_t> expected = registers_by_definition(kStarts[i], data);
    for (std::size_t size = i; size <= kMaxLength; size += size < 600 + i ? 1 : kStarts.size()) {
      for (const hash::NamedCrc32& each : all_crc32()) {
        check_copy(each, kStarts[i], BytesView(data).first(size), size * 7 % kAlignments, expected[size]);
      }
    }
  }
}

// Memory of the exact size: the address sanitizer sees a read beyond it.
TEST(Crc32, ReadsNothingOutside) {
  for (std::size_t size = 0; size <= 700; ++size) {
    const Bytes data = generated_bytes(size, size);
    const std::uint32_t expected = crc32_by_definition(data);
    for (const hash::NamedCrc32& each : all_crc32()) {
      ASSERT_EQ(~each.kernels.update(0xffffffffU, data.data(), size), expected) << each.name << " size " << size;
    }
  }
}

// From 48 KiB on, an input is cut at boundaries of 64 bytes and into steps of 192 to 768 bytes.
TEST(Crc32, LongInputsOfEveryAlignment) {
  const Bytes data = generated_bytes(44, 400'000);
  std::uint32_t start = 1;
  for (std::size_t i = 0; i < 600; ++i) {
    start = start * 2654435761U + 1;
    const std::size_t offset = i % kAlignments;
    const std::size_t size = i < 300 ? 48'500 + i * 11 : 60'000 + start % 300'000;
    const BytesView part = BytesView(data).subspan(offset, size);
    const std::uint32_t expected = reference().update(start, part.data(), size);
    for (const hash::NamedCrc32& each : all_crc32()) {
      ASSERT_EQ(each.kernels.update(start, part.data(), size), expected)
          << each.name << " size " << size << " offset " << offset;
      if (i % 8 == 0) check_copy(each, start, part, i * 5 % kAlignments, expected);
    }
  }
}

TEST(Crc32, InputsLargerThanTheCaches) {
  const Bytes data = generated_bytes(45, (std::size_t{16} << 20) + 1000);
  for (const std::size_t size : {(std::size_t{8} << 20) - 5, (std::size_t{8} << 20) + 77, data.size() - 3}) {
    const BytesView part = BytesView(data).subspan(3, size);
    const std::uint32_t expected = reference().update(0, part.data(), size);
    for (const hash::NamedCrc32& each : all_crc32()) {
      ASSERT_EQ(each.kernels.update(0, part.data(), size), expected) << each.name << " size " << size;
      check_copy(each, 0, part, 17, expected);
    }
  }
}

TEST(Crc32, ContinuesFromEveryCut) {
  const Bytes data = generated_bytes(4, 700);
  const std::uint32_t expected = ~crc32_by_definition(data);
  for (std::size_t cut = 0; cut <= data.size(); ++cut) {
    for (const hash::NamedCrc32& each : all_crc32()) {
      const std::uint32_t half = each.kernels.update(0xffffffffU, data.data(), cut);
      ASSERT_EQ(each.kernels.update(half, data.data() + cut, data.size() - cut), expected) << each.name << " " << cut;
    }
  }
}

TEST(Crc32, PublicFunctions) {
  const Bytes data = generated_bytes(5, 5000);
  const BytesView head = BytesView(data).first(1234);
  const BytesView tail = BytesView(data).subspan(1234);
  const std::uint32_t expected = crc32_by_definition(data);
  EXPECT_EQ(crc32(tail, crc32(head)), expected);
  Bytes copy(data.size() + 1, 7);
  EXPECT_EQ(copy_crc32(MutableBytes(copy).subspan(1234), tail, copy_crc32(copy, head)), expected);
  EXPECT_TRUE(std::equal(data.begin(), data.end(), copy.begin()));
  EXPECT_EQ(copy.back(), 7);
}

TEST(Crc32, LongZerosAndOnes) {
  for (const std::uint8_t fill : {std::uint8_t{0}, std::uint8_t{0xff}}) {
    const Bytes data(100'003, fill);
    const std::uint32_t expected = crc32_by_definition(data);
    for (const hash::NamedCrc32& each : all_crc32()) {
      EXPECT_EQ(~each.kernels.update(0xffffffffU, data.data(), data.size()), expected) << each.name;
    }
  }
}

}  // namespace
}  // namespace simdrive
