// tests/vectors/storage/hash_vectors.json: what the original engine computed. SIMDRIVE_VECTORS names another set.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/endian.hpp"
#include "generated_bytes.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {
namespace {

namespace fs = std::filesystem;

// Empty if the set that the environment names has no hash vectors (it may be one of wire vectors only).
std::string read_vectors() {
  const char* other = std::getenv("SIMDRIVE_VECTORS");
  const fs::path root = other != nullptr ? fs::path(other) : fs::path(SIMDRIVE_TEST_VECTORS);
  for (const fs::path& folder : {root / "storage", root, root / ".." / "storage"}) {
    std::ifstream file(folder / "hash_vectors.json", std::ios::binary);
    if (file) return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  if (other == nullptr) ADD_FAILURE() << "hash_vectors.json is missing under " << root;
  return {};
}

// The value of the number member `name`, or -1.
long number_member(const std::string& json, const std::string& name) {
  const std::size_t at = json.find('"' + name + "\":");
  return at == std::string::npos ? -1 : std::strtol(json.c_str() + at + name.size() + 3, nullptr, 10);
}

// The scalars in the array of arrays named `name`, one after the other, strings without their quotes. The file
// has three to a row, all of plain ASCII without escapes.
std::vector<std::string> rows_of_three(const std::string& json, const std::string& name) {
  std::vector<std::string> out;
  std::size_t at = json.find('"' + name + '"');
  if (at == std::string::npos) return out;
  at = json.find('[', at);
  for (int depth = 0; at < json.size(); ++at) {
    const char c = json[at];
    if (c == '[') ++depth;
    if (c == ']' && --depth == 0) break;
    if (c == '"') {
      const std::size_t end = json.find('"', at + 1);
      out.push_back(json.substr(at + 1, end - at - 1));
      at = end;
    } else if (c >= '0' && c <= '9') {
      const std::size_t end = json.find_first_not_of("0123456789", at);
      out.push_back(json.substr(at, end - at));
      at = end - 1;
    }
  }
  EXPECT_EQ(out.size() % 3, 0U);
  return out;
}

template <class Range>
std::string hex(const Range& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

std::string crc_hex(BytesView data) {
  std::array<std::uint8_t, 4> stored;
  store_le(stored.data(), crc32(data));
  return hex(stored);
}

std::string hash_hex(std::uint64_t hash) {
  std::array<std::uint8_t, 8> digits;
  store_le(digits.data(), byte_swap(hash));
  return hex(digits);
}

TEST(HashVectors, vector_prefixes) {
  const std::string json = read_vectors();
  if (json.empty()) GTEST_SKIP() << "no hash vectors in this set";
  const long state = number_member(json, "gen");
  const long size = number_member(json, "len");
  ASSERT_GE(state, 0);
  ASSERT_GT(size, 0);
  const Bytes data = test::generated_bytes(static_cast<std::uint64_t>(state), static_cast<std::size_t>(size));
  const std::vector<std::string> rows = rows_of_three(json, "prefix_len_xxh3_crcbytes");
  ASSERT_FALSE(rows.empty());
  for (std::size_t i = 0; i + 2 < rows.size(); i += 3) {
    const std::size_t length = std::stoul(rows[i]);
    ASSERT_LE(length, data.size());
    const BytesView prefix = BytesView(data).first(length);
    EXPECT_EQ(hash_hex(xxh3_64(prefix)), rows[i + 1]) << "length " << rows[i];
    EXPECT_EQ(crc_hex(prefix), rows[i + 2]) << "length " << rows[i];
  }
}

TEST(HashVectors, vector_texts) {
  const std::string json = read_vectors();
  if (json.empty()) GTEST_SKIP() << "no hash vectors in this set";
  const std::vector<std::string> rows = rows_of_three(json, "text_xxh3_crcbytes");
  ASSERT_FALSE(rows.empty());
  for (std::size_t i = 0; i + 2 < rows.size(); i += 3) {
    EXPECT_EQ(hash_hex(xxh3_64(test::text_bytes(rows[i]))), rows[i + 1]) << rows[i];
    EXPECT_EQ(crc_hex(test::text_bytes(rows[i])), rows[i + 2]) << rows[i];
  }
}

TEST(HashVectors, vector_namespaces) {
  const std::string json = read_vectors();
  if (json.empty()) GTEST_SKIP() << "no hash vectors in this set";
  const std::vector<std::string> rows = rows_of_three(json, "namespace_key_16bytes");
  ASSERT_FALSE(rows.empty());
  for (std::size_t i = 0; i + 2 < rows.size(); i += 3) {
    const NamespaceHasher hasher(test::text_bytes(rows[i]));
    EXPECT_EQ(hex(hasher.key(test::text_bytes(rows[i + 1]))), rows[i + 2]) << rows[i] << " / " << rows[i + 1];
  }
}

TEST(NamespaceHasher, IsTheTwoHashesInLittleEndianOrder) {
  const NamespaceHasher hasher(test::text_bytes("users"));
  const std::array<std::uint8_t, 16> key = hasher.key(test::text_bytes("42"));
  EXPECT_EQ(hasher.prefix_hash(), xxh3_64(test::text_bytes("users")));
  EXPECT_EQ(load_le<std::uint64_t>(key.data()), hasher.prefix_hash());
  EXPECT_EQ(load_le<std::uint64_t>(key.data() + 8), xxh3_64(test::text_bytes("42")));
  EXPECT_EQ(NamespaceHasher().prefix_hash(), xxh3_64({}));
}

}  // namespace
}  // namespace simdrive
