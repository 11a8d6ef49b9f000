// A block that is filled from its start, for values that come in pieces and whose size need not be known before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "simdrive/block.hpp"
#include "simdrive/bytes.hpp"

namespace simdrive {

/// Works in steps, so that an event loop can have its turn between them: none copies more than kStep, and no memory is
/// touched before there are bytes for it. For one thread at a time.
class BlockBuilder {
 public:
  static constexpr std::size_t kStep = std::size_t{1} << 20;
  /// Makes a block larger where it is, or elsewhere without copying it. False, and nothing is changed: it cannot.
  using Grow = bool (*)(Block& block, std::uint64_t size) noexcept;

  explicit BlockBuilder(Grow grow = &grow_block) noexcept : grow_(grow) {}
  BlockBuilder(const BlockBuilder&) = delete;
  BlockBuilder& operator=(const BlockBuilder&) = delete;

  /// Has room for `size` bytes in all, before any are there. False: there is no memory.
  [[nodiscard]] bool reserve(std::uint64_t size) noexcept;
  /// One step towards having `bytes` behind those that are there: how many of them it took. None, where it moved what
  /// is there to larger memory instead: then the same is to be asked again. No value, and nothing is changed: no
  /// memory.
  [[nodiscard]] std::optional<std::size_t> append(BytesView bytes) noexcept;
  /// The reserved memory that is not filled yet, to be written to directly. append() ends that.
  [[nodiscard]] MutableBytes room() const noexcept;
  /// The first `n` bytes of room() are filled.
  void filled(std::size_t n) noexcept { size_ += n; }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// What the bytes are in, at its start.
  [[nodiscard]] const Block& block() const noexcept { return block_; }

  static bool grow_block(Block& block, std::uint64_t size) noexcept { return block.grow(size); }

 private:
  [[nodiscard]] bool make_room(std::size_t n) noexcept;
  void move_on() noexcept;

  Grow grow_;
  Block block_;
  std::size_t size_ = 0;
  Block larger_;  // where all moves to
  std::size_t moved_ = 0;
};

}  // namespace simdrive
