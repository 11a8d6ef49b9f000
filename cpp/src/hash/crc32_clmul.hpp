// CRC-32 by carry-less multiplication, for any width of vector.
//
// A message is a polynomial over GF(2), its first bit the highest power, and its CRC the remainder of a division by P.
// A piece of 128 bits that stands n bits before another may therefore be multiplied by x^n mod P and added (XOR) onto
// that one: two products of 64 by 32 bits, at most 96 bits wide. Several pieces are carried along side by side to hide
// the latency; in the end they are folded into one, and Barrett reduction takes that to 32 bits. Source: Gopal et al.,
// "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel, 2009.
//
// Bits are reversed: the lowest bit of a register is the highest power. The product of two reversed numbers of 64 bits
// comes out multiplied by x, hence the exponents that are one less than a multiple of 8.
//
// Everything is in an unnamed namespace, since each file that includes this compiles it for other instructions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "hash/backend.hpp"
#include "hash/crc32_polynomial.hpp"

namespace simdrive::hash {
namespace {

/// What the two halves of 128 bits are multiplied by.
struct alignas(16) Crc32Key {
  std::uint64_t low;
  std::uint64_t high;
};

/// Moves a piece by `bytes` towards the end of the message.
[[nodiscard]] consteval Crc32Key fold_key(std::int64_t bytes) noexcept {
  return {std::uint64_t{x_to_the(8 * bytes + 63)} << 32, std::uint64_t{x_to_the(8 * bytes - 1)} << 32};
}

/// Moves a piece that stands `bytes` before the end past the end and 32 bits further, as the CRC is defined.
[[nodiscard]] consteval Crc32Key last_key(std::int64_t bytes) noexcept {
  return {x_to_the(8 * bytes + 95), x_to_the(8 * bytes + 31)};
}

template <std::size_t kLanes>
struct alignas(64) Crc32LastKeys {
  Crc32Key lane[kLanes];
};

template <std::size_t kLanes>
[[nodiscard]] consteval Crc32LastKeys<kLanes> last_keys() noexcept {
  Crc32LastKeys<kLanes> keys{};
  for (std::size_t i = 0; i < kLanes; ++i) keys.lane[i] = last_key(static_cast<std::int64_t>(16 * (kLanes - 1 - i)));
  return keys;
}

/// x^95 / P without the remainder.
[[nodiscard]] consteval std::uint64_t barrett_quotient() noexcept {
  std::uint64_t quotient = 0;
  std::uint32_t remainder = 1;  // x^31
  for (int i = 0; i < 64; ++i, remainder = times_x(remainder)) quotient |= std::uint64_t{remainder & 1} << i;
  return quotient;
}

constexpr Crc32Key kBarrettQuotient = {barrett_quotient(), 0};
constexpr Crc32Key kBarrettPolynomial = {(std::uint64_t{kCrc32Polynomial} << 1) | 1, 0};

/// Sixteen indices from [n] on, for a byte shuffle, move the first n bytes to the end and put zeros before them.
constexpr std::uint8_t kShiftUp[32] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                       0x80, 0x80, 0x80, 0x80, 0x80, 0,    1,    2,    3,    4,    5,
                                       6,    7,    8,    9,    10,   11,   12,   13,   14,   15};

alignas(64) constexpr std::uint8_t kZeros[64] = {};

/// Calls f with the constants 0 to kCount - 1: a loop that is unrolled at every level of optimisation.
template <std::size_t kCount, class F>
inline void unrolled(F f) {
  [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
    (f(std::integral_constant<std::size_t, kIndex>{}), ...);
  }(std::make_index_sequence<kCount>{});
}

enum class Store { none, cached, streamed };

/// `Vector` is a vector of one width with the operations on it, `Vector::Lane` that of 128 bits.
template <class Vector>
class Crc32Clmul {
 public:
  static std::uint32_t update(std::uint32_t reg, const std::uint8_t* data, std::size_t size) noexcept {
    if constexpr (Vector::kSkipsBlocks) {
      if (size >= kSkipMin && size <= kSkipMax) return update_long(reg, data, size);
    }
    return run<Store::none>(reg, {data, nullptr}, size);
  }

  static std::uint32_t copy(std::uint32_t reg, std::uint8_t* to, const std::uint8_t* from, std::size_t size) noexcept {
    if (size < kStreamMin) return run<Store::cached>(reg, {from, to}, size);
    const std::size_t head = bytes_to_boundary(to);
    const std::size_t body = (size - head) / kRound * kRound;
    const std::size_t done = head + body;
    reg = run<Store::cached>(reg, {from, to}, head);
    reg = finish<Vector>(run_rounds<Store::streamed>(widen_register(reg), {from + head, to + head}, body));
    Vector::end_stream();
    return run<Store::cached>(reg, {from + done, to + done}, size - done);
  }

 private:
  using Lane = typename Vector::Lane;
  using Reg = typename Vector::Reg;
  using LaneReg = typename Lane::Reg;

  static constexpr std::size_t kWidth = Vector::kBytes;
  static constexpr std::size_t kLaneBytes = 16;
  static constexpr std::size_t kBlock = 64;  // a cache line
  static constexpr std::size_t kPieces = 4;
  static constexpr std::size_t kRound = kPieces * kWidth;
  // A destination of this size would not stay in the caches; written past them, it need not be read first either.
  static constexpr std::size_t kStreamMin = std::size_t{16} << 20;

  struct Place {
    const std::uint8_t* from;
    std::uint8_t* to;

    void advance(std::size_t bytes, std::size_t& left) noexcept {
      from += bytes;
      if (to != nullptr) to += bytes;
      left -= bytes;
    }
  };

  static std::size_t bytes_to_boundary(const std::uint8_t* p) noexcept {
    return (0 - reinterpret_cast<std::uintptr_t>(p)) % kBlock;
  }

  template <class V, Store kStore>
  static typename V::Reg take(Place at, std::size_t offset) noexcept {
    const typename V::Reg bytes = V::load(at.from + offset);
    if constexpr (kStore == Store::cached) V::store(at.to + offset, bytes);
    if constexpr (kStore == Store::streamed) V::stream(at.to + offset, bytes);
    return bytes;
  }

  template <class V>
  static typename V::Reg fold(typename V::Reg piece, typename V::Reg key, typename V::Reg onto) noexcept {
    return V::add3(V::times_low(piece, key), V::times_high(piece, key), onto);
  }

  template <class V, std::int64_t kBytes>
  static typename V::Reg fold_by(typename V::Reg piece, typename V::Reg onto) noexcept {
    static constexpr Crc32Key kKey = fold_key(kBytes);
    return fold<V>(piece, V::broadcast(kKey), onto);
  }

  static Reg widen_register(std::uint32_t reg) noexcept { return Vector::widen(Lane::from_register(reg)); }

  template <class V>
  static std::uint32_t finish(typename V::Reg last) noexcept {
    static constexpr auto kKeys = last_keys<V::kBytes / kLaneBytes>();
    const typename V::Reg keys = V::load(reinterpret_cast<const std::uint8_t*>(&kKeys));
    const LaneReg sum = V::add_lanes(V::add(V::times_low(last, keys), V::times_high(last, keys)));
    const LaneReg quotient = Lane::times_low(sum, Lane::broadcast(kBarrettQuotient));
    return Lane::third_word(Lane::add(sum, Lane::times_low(quotient, Lane::broadcast(kBarrettPolynomial))));
  }

  template <Store kStore>
  static std::uint32_t run(std::uint32_t reg, Place at, std::size_t size) noexcept {
    if (size < kLaneBytes) {
      if constexpr (kStore == Store::none) return Lane::kShort.update(reg, at.from, size);
      return Lane::kShort.copy(reg, at.to, at.from, size);
    }
    // What does not fill a lane, a vector, a round, comes first: by the time that the rounds are under way nothing
    // waits for it any more. `owed` is to be added to the bytes that follow.
    LaneReg owed = Lane::from_register(reg);
    if (const std::size_t odd = size % kLaneBytes; odd != 0) {
      const LaneReg bytes = Lane::add(take<Lane, kStore>(at, 0), owed);
      const std::size_t used = odd < sizeof reg ? odd : sizeof reg;  // of the register, on these bytes
      owed = Lane::from_register(static_cast<std::uint32_t>(std::uint64_t{reg} >> (8 * used)));
      owed = fold_by<Lane, kLaneBytes>(Lane::shuffle(bytes, kShiftUp + odd), owed);
      at.advance(odd, size);
    }
    if (size < kWidth) {
      LaneReg piece = Lane::add(take<Lane, kStore>(at, 0), owed);
      for (at.advance(kLaneBytes, size); size != 0; at.advance(kLaneBytes, size)) {
        piece = fold_by<Lane, kLaneBytes>(piece, take<Lane, kStore>(at, 0));
      }
      return finish<Lane>(piece);
    }
    for (; size % kWidth != 0; at.advance(kLaneBytes, size)) {
      owed = fold_by<Lane, kLaneBytes>(Lane::add(take<Lane, kStore>(at, 0), owed), Lane::zero());
    }
    Reg owed_wide = Vector::widen(owed);
    if (size < kRound) {
      Reg piece = Vector::add(take<Vector, kStore>(at, 0), owed_wide);
      for (at.advance(kWidth, size); size != 0; at.advance(kWidth, size)) {
        piece = fold_by<Vector, kWidth>(piece, take<Vector, kStore>(at, 0));
      }
      return finish<Vector>(piece);
    }
    for (; size % kRound != 0; at.advance(kWidth, size)) {
      owed_wide = fold_by<Vector, kWidth>(Vector::add(take<Vector, kStore>(at, 0), owed_wide), Vector::zero());
    }
    return finish<Vector>(run_rounds<kStore>(owed_wide, at, size));
  }

  template <Store kStore>
  static Reg run_rounds(Reg owed, Place at, std::size_t size) noexcept {
    static constexpr Crc32Key kKey = fold_key(kRound);
    const Reg key = Vector::broadcast(kKey);
    Reg piece[kPieces];
    unrolled<kPieces>([&](auto i) { piece[i] = take<Vector, kStore>(at, i * kWidth); });
    piece[0] = Vector::add(piece[0], owed);
    for (at.advance(kRound, size); size != 0; at.advance(kRound, size)) {
      unrolled<kPieces>([&](auto i) { piece[i] = fold<Vector>(piece[i], key, take<Vector, kStore>(at, i * kWidth)); });
    }
    unrolled<kPieces - 1>(
        [&](auto i) { piece[kPieces - 1] = fold_by<Vector, kWidth*(kPieces - 1 - i)>(piece[i], piece[kPieces - 1]); });
    return piece[kPieces - 1];
  }

  // ---- Long inputs: a third of the blocks is not multiplied ------------------------------------------------------
  // The multiplier limits the rounds above, which leave time for more loads and XORs. Now
  //   1 + x^79 + x^85 + x^123 + x^186 + x^203 = 0 (mod P),
  // and squared nine times this holds for x^512, a block of 64 bytes, in place of x. So a block may be skipped if it is
  // added onto the five blocks that stand 17, 80, 118, 124 and 203 later. None of these is a multiple of three: blocks
  // 0, 3, 6... can all be skipped, up to the last 203. To reduce by sparse multiples of P is the idea of Russell,
  // "Chorba: A novel CRC32 implementation", 2024; a search found this one.

  static constexpr std::size_t kTriple = 3 * kBlock;
  static constexpr std::size_t kOnto[5] = {118, 124, 17, 80, 203};  // two reach second blocks of triples, three third
  static_assert(kOnto[0] % 3 == 1 && kOnto[1] % 3 == 1);
  static_assert(kOnto[2] % 3 == 2 && kOnto[3] % 3 == 2 && kOnto[4] % 3 == 2);
  static_assert((x_to_the(512 * 203) ^ x_to_the(512 * (203 - kOnto[0])) ^ x_to_the(512 * (203 - kOnto[1])) ^
                 x_to_the(512 * (203 - kOnto[2])) ^ x_to_the(512 * (203 - kOnto[3])) ^ x_to_the(0)) == 0);

  static constexpr std::size_t kParts = kBlock / kWidth;            // vectors in a block
  static constexpr std::size_t kStepTriples = kWidth / kLaneBytes;  // so that a step folds eight vectors
  static constexpr std::size_t kStep = kStepTriples * kTriple;
  static constexpr std::size_t kMargin = 68;  // triples that hold 203 blocks, and whole steps
  static_assert(kMargin * 3 > 203 && kMargin % kStepTriples == 0);

  // Below, the blocks near both ends outweigh the gain; above, memory is the limit and reading in order is faster.
  static constexpr std::size_t kSkipMin = std::size_t{48} << 10;
  static constexpr std::size_t kSkipMax = std::size_t{8} << 20;

  enum class Region { first, middle, last };
  using Pieces = Reg[2 * kStepTriples * kParts];

  static std::uint32_t update_long(std::uint32_t reg, const std::uint8_t* data, std::size_t size) noexcept {
    const std::size_t head = bytes_to_boundary(data);
    if (head != 0) reg = run<Store::none>(reg, {data, nullptr}, head);
    data += head;
    size -= head;
    Reg owed = widen_register(reg);
    for (; size / kWidth % (kStep / kWidth) != 0; data += kWidth, size -= kWidth) {
      owed = fold_by<Vector, kWidth>(Vector::add(Vector::load_aligned(data), owed), Vector::zero());
    }
    const std::size_t triples = size / kStep * kStepTriples;
    reg = finish<Vector>(run_triples(owed, data, triples));
    size -= triples * kTriple;
    return size == 0 ? reg : run<Store::none>(reg, {data + triples * kTriple, nullptr}, size);
  }

  static Reg run_triples(Reg owed, const std::uint8_t* data, std::size_t triples) noexcept {
    Pieces piece;
    for (Reg& each : piece) each = Vector::zero();
    // The vector before the data: of what it stands for, `owed` remains.
    piece[2 * kStepTriples * kParts - 1] = fold_by<Vector, -std::int64_t{kWidth}>(owed, Vector::zero());
    const std::size_t skipped = triples - kMargin;
    run_region<Region::first>(piece, data, 0, kMargin, skipped);
    run_region<Region::middle>(piece, data, kMargin, skipped, skipped);
    run_region<Region::last>(piece, data, skipped, triples, skipped);
    Reg sum = piece[0];
    unrolled<2 * kStepTriples * kParts - 1>([&](auto i) {
      constexpr std::size_t kGap = (i + 1) % (2 * kParts) == 0 ? kBlock : 0;
      sum = fold_by<Vector, kWidth + kGap>(sum, piece[i + 1]);
    });
    return sum;
  }

  // Takes the triples from `begin` to `end`. The first block is skipped in the first `skipped` triples of all.
  template <Region kRegion>
  static void run_region(Pieces& pieces, const std::uint8_t* data, std::size_t begin, std::size_t end,
                         std::size_t skipped) noexcept {
    static constexpr Crc32Key kStepKey = fold_key(kStep);
    static constexpr Crc32Key kBlockKey = fold_key(kBlock);
    const Reg step_key = Vector::broadcast(kStepKey);
    const Reg block_key = Vector::broadcast(kBlockKey);
    Pieces piece;
    unrolled<2 * kStepTriples * kParts>([&](auto i) { piece[i] = pieces[i]; });
    for (std::size_t step = begin; step != end; step += kStepTriples) {
      unrolled<kStepTriples>([&](auto unit) {
        const std::size_t triple = step + unit;
        const std::uint8_t* at = data + triple * kTriple;
        const auto skipped_block = [&](std::size_t distance) {
          // Before the first triple the index wraps around.
          const bool there = kRegion == Region::middle || triple - distance / 3 < skipped;
          return there ? at - distance / 3 * kTriple : kZeros;
        };
        const std::uint8_t* a = skipped_block(kOnto[0]);
        const std::uint8_t* b = skipped_block(kOnto[1]);
        const std::uint8_t* c = skipped_block(kOnto[2]);
        const std::uint8_t* d = skipped_block(kOnto[3]);
        const std::uint8_t* e = skipped_block(kOnto[4]);
        unrolled<kParts>([&](auto part) {
          const auto load = [&](const std::uint8_t* block) { return Vector::load_aligned(block + part * kWidth); };
          Reg second = Vector::add3(load(at + kBlock), load(a), load(b));
          if constexpr (kRegion == Region::last) second = fold<Vector>(load(at), block_key, second);
          const Reg third = Vector::add(Vector::add3(load(at + 2 * kBlock), load(c), load(d)), load(e));
          Reg& second_piece = piece[2 * unit * kParts + part];
          Reg& third_piece = piece[(2 * unit + 1) * kParts + part];
          second_piece = fold<Vector>(second_piece, step_key, second);
          third_piece = fold<Vector>(third_piece, step_key, third);
        });
      });
    }
    unrolled<2 * kStepTriples * kParts>([&](auto i) { pieces[i] = piece[i]; });
  }
};

}  // namespace
}  // namespace simdrive::hash
