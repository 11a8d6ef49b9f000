#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "base/endian.hpp"
#include "generated_bytes.hpp"
#include "hash/backend.hpp"
#include "hash/xxh3.hpp"
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

TEST(Xxh3, AlignmentDoesNotMatter) {
  const Bytes data = generated_bytes(7, 3000);
  for (std::size_t shift = 0; shift < 64; ++shift) {
    Bytes moved(data.size() + shift);
    std::copy(data.begin(), data.end(), moved.begin() + static_cast<std::ptrdiff_t>(shift));
    for (const std::size_t size : {5U, 13U, 100U, 200U, 3000U}) {
      EXPECT_EQ(xxh3_64(BytesView(moved).subspan(shift, size)), xxh3_64(BytesView(data).first(size)));
    }
  }
}

TEST(Xxh3, ManyAtOnceEqualsOneByOne) {
  const Bytes data = generated_bytes(3, 1500);
  std::vector<BytesView> items;
  for (std::size_t size = 0; size <= data.size(); size += 7) items.push_back(BytesView(data).first(size));
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{99}}) {
    std::vector<std::uint64_t> out(items.size() + 1, 12345);
    xxh3_64_many(items, out, seed);
    for (std::size_t i = 0; i < items.size(); ++i) EXPECT_EQ(out[i], xxh3_64(items[i], seed));
    EXPECT_EQ(out.back(), 12345U) << "wrote beyond the items";
  }
  xxh3_64_many({}, {});
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

TEST(Xxh3, EveryBackendAgreesWithScalar) {
  const Bytes data = generated_bytes(5, 4200);
  hash::Xxh3Secret secret;
  hash::derive_xxh3_secret(77, secret);
  const hash::BackendList backends = hash::usable_backends();
  ASSERT_GE(backends.count, 1U);
  for (std::size_t b = 0; b < backends.count; ++b) {
    const hash::Backend& backend = *backends.first[b];
    for (std::size_t size = 241; size <= data.size(); ++size) {
      std::array<std::uint64_t, 8> expected;
      std::array<std::uint64_t, 8> got;
      hash::kScalarBackend.xxh3_long(expected.data(), data.data(), size, secret.data());
      backend.xxh3_long(got.data(), data.data(), size, secret.data());
      ASSERT_EQ(got, expected) << backend.name << " size " << size;
    }
    for (std::size_t first = 0; first <= 65; ++first) {
      std::array<std::uint64_t, 8> whole = hash::kXxh3Start;
      std::array<std::uint64_t, 8> parts = hash::kXxh3Start;
      const std::size_t end = hash::kScalarBackend.xxh3_stripes(whole.data(), data.data(), 65, 0, secret.data());
      const std::size_t at = backend.xxh3_stripes(parts.data(), data.data(), first, 0, secret.data());
      EXPECT_EQ(backend.xxh3_stripes(parts.data(), data.data() + 64 * first, 65 - first, at, secret.data()), end);
      EXPECT_EQ(parts, whole) << backend.name << " first " << first;
    }
  }
}

TEST(HashBackend, NameIsThatOfTheActiveOne) {
  EXPECT_EQ(hash_backend(), hash::active_backend().name);
  EXPECT_EQ(&hash::active_backend(), hash::usable_backends().first[0]);
}

}  // namespace
}  // namespace simdrive
