// CRC-32 by tables. Table k holds, for each byte value, what that byte contributes to the register once k more
// bytes have gone by. Eight tables take a word at a step; since each step waits for the one before, long inputs
// are dealt out word by word to several registers that do not wait for each other.
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/endian.hpp"
#include "hash/crc32_polynomial.hpp"
#include "hash/scalar.hpp"

namespace simdrive::hash {

namespace {

constexpr std::size_t kWordBytes = 8;
constexpr std::size_t kBraids = 5;
constexpr std::size_t kRoundBytes = kBraids * kWordBytes;
// Below this, folding the registers into one costs more than they save.
constexpr std::size_t kBraidMinBytes = 4 * kRoundBytes;

using Table = std::array<std::uint32_t, 256>;
using WordTables = std::array<Table, kWordBytes>;  // [i]: for byte i of a word

[[nodiscard]] constexpr Table make_byte_table() noexcept {
  Table table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t reg = byte;
    for (int bit = 0; bit < 8; ++bit) reg = (reg >> 1) ^ ((reg & 1) != 0 ? kCrc32Polynomial : 0);
    table[byte] = reg;
  }
  return table;
}

constexpr Table kByteTable = make_byte_table();

// Tables for a word after whose start `distance` bytes go by.
[[nodiscard]] constexpr WordTables make_word_tables(std::size_t distance) noexcept {
  WordTables tables{};
  Table table = kByteTable;
  for (std::size_t after = 0; after < distance; ++after) {
    const std::size_t byte = distance - 1 - after;
    if (byte < kWordBytes) tables[byte] = table;
    for (std::uint32_t& entry : table) entry = (entry >> 8) ^ kByteTable[entry & 0xff];
  }
  return tables;
}

constexpr WordTables kWordTables = make_word_tables(kWordBytes);
constexpr WordTables kBraidTables = make_word_tables(kRoundBytes);

[[nodiscard]] inline std::uint32_t advance(const WordTables& tables, std::uint64_t word) noexcept {
  std::uint32_t reg = 0;
  for (std::size_t i = 0; i < kWordBytes; ++i) reg ^= tables[i][(word >> (8 * i)) & 0xff];
  return reg;
}

// Consumes `rounds` (at least one) rounds of kRoundBytes.
[[nodiscard]] std::uint32_t advance_braids(std::uint32_t reg, const std::uint8_t* data, std::size_t rounds) noexcept {
  std::uint32_t regs[kBraids] = {reg};
  for (; rounds > 1; --rounds, data += kRoundBytes) {
    for (std::size_t i = 0; i < kBraids; ++i) {
      regs[i] = advance(kBraidTables, regs[i] ^ load_le<std::uint64_t>(data + kWordBytes * i));
    }
  }
  // In the last round the words are neighbours again, and each register joins the one before.
  reg = 0;
  for (std::size_t i = 0; i < kBraids; ++i) {
    reg = advance(kWordTables, reg ^ regs[i] ^ load_le<std::uint64_t>(data + kWordBytes * i));
  }
  return reg;
}

}  // namespace

std::uint32_t crc32_scalar(std::uint32_t reg, const std::uint8_t* data, std::size_t size) noexcept {
  if (size >= kBraidMinBytes) {
    const std::size_t rounds = size / kRoundBytes;
    reg = advance_braids(reg, data, rounds);
    data += rounds * kRoundBytes;
    size -= rounds * kRoundBytes;
  }
  for (; size >= kWordBytes; size -= kWordBytes, data += kWordBytes) {
    reg = advance(kWordTables, reg ^ load_le<std::uint64_t>(data));
  }
  for (; size != 0; --size, ++data) reg = (reg >> 8) ^ kByteTable[(reg ^ *data) & 0xff];
  return reg;
}

}  // namespace simdrive::hash
