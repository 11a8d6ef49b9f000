#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "base/endian.hpp"
#include "generated_bytes.hpp"
#include "hash/backend.hpp"
#include "hash/xxh3.hpp"
#include "on_backend.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {
namespace {

using test::generated_bytes;

constexpr std::array<std::uint64_t, 3> kSeeds = {1, 0x9E3779B97F4A7C15U, ~std::uint64_t{0}};

struct SeededHash {
  std::size_t size;
  std::array<std::uint64_t, 3> hash;
};

// From the official library, version 0.8.4, over the first `size` bytes of generator 42. The vectors have
// no seeds.
constexpr SeededHash kSeeded[] = {
    {0, {0x4dc5b0cc826f6703U, 0x602b0e2cd6662c8bU, 0x4c093276ae47a555U}},
    {1, {0x6f87cf10913e375dU, 0x7522c6de4ab37800U, 0xc9e565ca4c7f0602U}},
    {2, {0xef3a30ab80c6b4dfU, 0x6023e4c52107c643U, 0xb85cc4eb79c29652U}},
    {3, {0xb5f3f58189b9c748U, 0xd2349b05e4daf2bbU, 0xdbe84ab560e09f82U}},
    {4, {0x9f59c9e5aee19314U, 0x2d480c11ce62c64dU, 0xbd0853e4da2964d5U}},
    {8, {0x6f654f69c8a56e85U, 0x202035ad3ad40575U, 0x71a8e84e5fab47adU}},
    {9, {0x26eb4c047fc94fe9U, 0x755acf663b9a0814U, 0x47990ffcbbd58464U}},
    {16, {0x90bce7d4b8e6f23dU, 0xe516162abea78a4dU, 0x7b1444eab34bff7eU}},
    {17, {0x9c9613704e51588cU, 0xa66e0258d8ae8ef1U, 0xae40b8d9af603513U}},
    {32, {0xf131d64c53051dcfU, 0x3d29d67da777dab7U, 0x1b06608f9f7c1b66U}},
    {33, {0xc5106849432c030fU, 0x64a322130335ae44U, 0x99512036af73c3c7U}},
    {64, {0x85b0d8156c94b704U, 0x4afeaccbe937454aU, 0x81d14f0bfc1076f5U}},
    {65, {0x6a3238b78fa46c0cU, 0x8ffffd83f3e443ffU, 0x71ed0bd759f58814U}},
    {96, {0xa4b78541a65abc87U, 0xe9daa9bf98f13b24U, 0xda6ba366ea0e45feU}},
    {97, {0x39b02723880d9b25U, 0x0cd22c77c6113811U, 0x31de4db8a12dcda9U}},
    {128, {0xc6fd7f8d3bd5baa3U, 0x449befa1560a949cU, 0xbf928320b7f844cbU}},
    {129, {0x04bee3d890239567U, 0xeaae94b559f8f803U, 0x835da55e918ada6fU}},
    {144, {0x853937a55891649eU, 0xec0d3eb0af6bee77U, 0xff3d15a77dfc618fU}},
    {239, {0x179b153f107d1194U, 0x3d3b1570d93dd88aU, 0x2e41139cd433d628U}},
    {240, {0x2ff05796be6faa96U, 0xff491af7e2265d6aU, 0x3b149ab9a84efed7U}},
    {241, {0x89040442bd9759bcU, 0xd69e27bdd7e893e3U, 0x0500db92de151c4eU}},
    {256, {0x981690cd168b475fU, 0xfc46fad2987f13dcU, 0x1755d080f89d6ddcU}},
    {257, {0x8e3d4d7695ffbf48U, 0xc5ca07869f84c266U, 0xf2cf2f80b14923e5U}},
    {1023, {0x34fb2f747f771cc9U, 0xf5f75be3f8e88501U, 0xaca0d3f1759b916aU}},
    {1024, {0xda928336b7f294adU, 0x3881ff7c70982873U, 0xef3040dbc2c50b1cU}},
    {1025, {0x9c737626b8281d77U, 0xab91a5aab99415ecU, 0x8857c1df7d0b690dU}},
    {1088, {0x44518dac00ea5738U, 0xdcb6eaeb7509d77aU, 0x132fb317a6f63046U}},
    {2048, {0xfe8e5159e43432caU, 0x86c9dc6f6461dd6bU, 0xe3ad92009ac8bb4fU}},
    {2049, {0xa39c466eed83accbU, 0x65382e37b17cd185U, 0xcec82866f4739cd5U}},
    {5000, {0xa3253a27e9b4113eU, 0xe2eb368abf7920cfU, 0xa5a35fe229cc0dcdU}},
};

TEST(Xxh3, SeededHashesAreThoseOfTheOfficialLibrary) {
  const Bytes data = generated_bytes(42, 5000);
  for (const SeededHash& known : kSeeded) {
    for (std::size_t i = 0; i < kSeeds.size(); ++i) {
      EXPECT_EQ(xxh3_64(BytesView(data).first(known.size), kSeeds[i]), known.hash[i])
          << "size " << known.size << " seed " << kSeeds[i];
    }
  }
}

TEST(Xxh3, EmptyInputNeedsNoPointer) {
  EXPECT_EQ(xxh3_64({}), 0x2d06800538d394c2U);
  EXPECT_EQ(xxh3_64({}, 1), kSeeded[0].hash[0]);
}

// The hash by the scalar kernels alone, whatever backend is active.
std::uint64_t scalar_hash(BytesView data, std::uint64_t seed) {
  if (data.size() <= hash::kXxh3ShortMax) return hash::xxh3_short(data.data(), data.size(), seed);
  hash::Xxh3Secret secret;
  hash::derive_xxh3_secret(seed, secret);
  std::array<std::uint64_t, 8> acc;
  hash::kXxh3Scalar.whole(acc.data(), data.data(), data.size(), secret.data());
  return hash::merge_xxh3(acc.data(), data.size(), secret.data());
}

using Xxh3OnBackend = test::OnBackend;
SIMDRIVE_ON_EVERY_BACKEND(Xxh3OnBackend);

// Each input has a block of its own that ends with it, for a sanitizer to see a read beyond.
TEST_P(Xxh3OnBackend, EveryLength) {
  const Bytes data = generated_bytes(5, 4096);
  for (std::size_t size = 0; size <= data.size(); ++size) {
    const Bytes input(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size));
    for (const std::uint64_t seed : {std::uint64_t{0}, kSeeds[1]}) {
      ASSERT_EQ(xxh3_64(input, seed), scalar_hash(input, seed)) << "size " << size << " seed " << seed;
    }
  }
}

TEST_P(Xxh3OnBackend, EveryAlignment) {
  const Bytes data = generated_bytes(7, 4096);
  for (const std::size_t size : {5U, 13U, 100U, 200U, 241U, 320U, 1023U, 1024U, 1025U, 2111U, 4096U}) {
    const std::uint64_t expected = scalar_hash(BytesView(data).first(size), 0);
    for (std::size_t shift = 0; shift < 64; ++shift) {
      Bytes moved(shift + size);
      std::copy_n(data.begin(), size, moved.begin() + static_cast<std::ptrdiff_t>(shift));
      ASSERT_EQ(xxh3_64(BytesView(moved).subspan(shift)), expected) << "size " << size << " shift " << shift;
    }
  }
}

TEST_P(Xxh3OnBackend, LargeInputs) {
  const Bytes data = generated_bytes(8, (5U << 20U) + 777);
  for (const std::size_t size : {(1U << 20U) + 1, (3U << 20U) - 63, (4U << 20U), (5U << 20U) + 777}) {
    const BytesView input = BytesView(data).last(size);
    EXPECT_EQ(xxh3_64(input), scalar_hash(input, 0)) << size;
    EXPECT_EQ(xxh3_64(input, kSeeds[2]), scalar_hash(input, kSeeds[2])) << size;
  }
}

TEST_P(Xxh3OnBackend, StripesFromAnyPlaceInABlock) {
  constexpr std::size_t kMost = 50;  // three blocks and a bit
  const Bytes data = generated_bytes(9, kMost * hash::kXxh3StripeBytes);
  hash::Xxh3Secret secret;
  hash::derive_xxh3_secret(77, secret);
  for (std::size_t begin = 0; begin < hash::kXxh3BlockStripes; ++begin) {
    for (std::size_t count = 0; count <= kMost; ++count) {
      const std::uint8_t* input = data.data() + (kMost - count) * hash::kXxh3StripeBytes;
      std::array<std::uint64_t, 8> expected = hash::kXxh3Start;
      std::array<std::uint64_t, 8> got = hash::kXxh3Start;
      const std::size_t end = hash::kXxh3Scalar.stripes(expected.data(), input, count, begin, secret.data());
      ASSERT_EQ(backend().xxh3.stripes(got.data(), input, count, begin, secret.data()), end) << count;
      ASSERT_EQ(end, (begin + count) % hash::kXxh3BlockStripes);
      ASSERT_EQ(got, expected) << "begin " << begin << " count " << count;
    }
  }
}

TEST_P(Xxh3OnBackend, StripesInTwoPartsAreThoseInOne) {
  constexpr std::size_t kStripes = 65;
  const Bytes data = generated_bytes(6, kStripes * hash::kXxh3StripeBytes);
  hash::Xxh3Secret secret;
  hash::derive_xxh3_secret(78, secret);
  std::array<std::uint64_t, 8> expected = hash::kXxh3Start;
  const std::size_t end = hash::kXxh3Scalar.stripes(expected.data(), data.data(), kStripes, 0, secret.data());
  const auto stripes = backend().xxh3.stripes;
  for (std::size_t first = 0; first <= kStripes; ++first) {
    std::array<std::uint64_t, 8> got = hash::kXxh3Start;
    const std::size_t at = stripes(got.data(), data.data(), first, 0, secret.data());
    const std::uint8_t* rest = data.data() + first * hash::kXxh3StripeBytes;
    ASSERT_EQ(stripes(got.data(), rest, kStripes - first, at, secret.data()), end) << first;
    ASSERT_EQ(got, expected) << "first " << first;
  }
}

TEST_P(Xxh3OnBackend, EqualSizedItemsOfEverySize) {
  constexpr std::size_t kMost = 40;
  constexpr std::uint64_t kUntouched = 0x1122334455667788U;
  for (std::size_t size = 0; size <= hash::kXxh3ShortMax; ++size) {
    const std::uint64_t seed = size % 3 == 0 ? 0 : kSeeds[1] + size;
    // Every item at another alignment, at the end of a block of its own.
    std::vector<Bytes> blocks;
    std::vector<const std::uint8_t*> items;
    std::vector<std::uint64_t> expected;
    for (std::size_t i = 0; i < kMost; ++i) {
      blocks.push_back(generated_bytes(1000 * size + i, i % 17 + size));
      items.push_back(blocks.back().data() + i % 17);
      expected.push_back(hash::xxh3_short(items.back(), size, seed));
    }
    for (std::size_t count = 0; count <= kMost; ++count) {
      std::vector<std::uint64_t> out(kMost + 1, kUntouched);
      backend().xxh3.equal_sized(items.data(), count, size, seed, out.data());
      for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], expected[i]) << "size " << size << " count " << count;
      ASSERT_EQ(out[count], kUntouched) << "size " << size << " count " << count;
    }
  }
}

TEST_P(Xxh3OnBackend, ManyAtOnceEqualsOneByOne) {
  const Bytes data = generated_bytes(3, 1500);
  std::vector<BytesView> items = {BytesView(), BytesView()};
  for (std::size_t size = 0; size <= data.size(); size += 7) items.push_back(BytesView(data).first(size));
  // Runs of one size: shorter and longer than what goes to the backend at once, and with longer items between.
  for (const std::size_t run : {1U, 2U, 7U, 8U, 9U, 31U, 63U, 64U, 65U, 200U}) {
    for (std::size_t i = 0; i < run; ++i) items.push_back(BytesView(data).subspan(i * 5, run % 50));
    if (run % 2 == 0) items.push_back(BytesView(data).first(241));
  }
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{99}}) {
    std::vector<std::uint64_t> out(items.size() + 1, 12345);
    xxh3_64_many(items, out, seed);
    for (std::size_t i = 0; i < items.size(); ++i) ASSERT_EQ(out[i], xxh3_64(items[i], seed)) << i;
    EXPECT_EQ(out.back(), 12345U) << "wrote beyond the items";
  }
  xxh3_64_many({}, {});
}

TEST_P(Xxh3OnBackend, RowsAreHashedOneByOne) {
  const Bytes data = generated_bytes(4, 70000);
  for (const std::size_t width : {0U, 1U, 3U, 4U, 8U, 13U, 16U, 17U, 36U, 64U, 129U, 240U, 241U, 300U}) {
    for (const std::size_t stride : {std::size_t{0}, width, width + 3}) {
      for (const std::size_t count : {0U, 1U, 2U, 9U, 63U, 64U, 65U, 200U}) {
        std::vector<std::uint64_t> out(count);
        xxh3_64_rows(data.data() + 1, width, stride, out, 17);
        for (std::size_t i = 0; i < count; ++i) {
          ASSERT_EQ(out[i], xxh3_64(BytesView(data).subspan(1 + i * stride, width), 17))
              << "width " << width << " stride " << stride << " row " << i;
        }
      }
    }
  }
}

TEST(Xxh3, Products) {
  const Bytes raw = generated_bytes(11, 1600);
  std::vector<std::uint64_t> values = {0, 1, 0xffffffffU, 0x100000000U, ~std::uint64_t{0}};
  for (std::size_t i = 0; i < raw.size(); i += 8) values.push_back(load_le<std::uint64_t>(raw.data() + i));
  for (const std::uint64_t a : values) {
    for (const std::uint64_t b : values) {
      const hash::Product128 portable = hash::multiply_128_portable(a, b);
      const hash::Product128 native = hash::multiply_128(a, b);
      EXPECT_EQ(portable.low, a * b);
      EXPECT_EQ(portable.low, native.low);
      EXPECT_EQ(portable.high, native.high);
    }
  }
  // (2^64 - 1)^2 = 2^128 - 2^65 + 1
  EXPECT_EQ(hash::multiply_128_portable(~std::uint64_t{0}, ~std::uint64_t{0}).high, ~std::uint64_t{1});
}

}  // namespace
}  // namespace simdrive
