// Columns that arrive in pieces. A stage takes what it can off the front of `in` and never looks back.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "codec/column_format.hpp"
#include "simdrive/bytes.hpp"

namespace simdrive::codec {

/// A BYTES column.
class ByteStream {
 public:
  void start(std::uint64_t n) noexcept;

  /// Takes header and minimum as far as they are there. False: the header is bad, and stays in `in`.
  [[nodiscard]] bool take_head(BytesView& in) noexcept;
  /// The head is complete; values follow.
  [[nodiscard]] bool ready() const noexcept { return stage_ == Stage::data; }
  [[nodiscard]] bool raw() const noexcept { return density_ == kRaw; }
  /// Values not taken yet.
  [[nodiscard]] std::uint64_t left() const noexcept { return left_; }

  /// Takes as many values as there are and as fit; returns their number. A packed byte is taken whole or not
  /// at all, so `out` must have room for kDigitsMax values, or the column be raw.
  std::size_t take(BytesView& in, MutableBytes out) noexcept;
  /// `n` values of a raw column went another way.
  void skip(std::uint64_t n) noexcept { left_ -= n; }

 private:
  enum class Stage : std::uint8_t { header, min, data };
  std::uint64_t left_ = 0;
  Stage stage_ = Stage::data;
  std::uint8_t density_ = kRaw;
  std::uint8_t min_ = 0;
};

/// An INT column.
class IntStream {
 public:
  void start(std::uint64_t n) noexcept;

  /// As in ByteStream.
  [[nodiscard]] bool take_head(BytesView& in) noexcept;
  [[nodiscard]] bool ready() const noexcept { return stage_ == Stage::data; }
  [[nodiscard]] std::uint64_t left() const noexcept { return left_; }

  /// As in ByteStream; `out` must have room for kDigitsMax values, or the column hold just one.
  std::size_t take(BytesView& in, std::span<std::uint64_t> out) noexcept;

 private:
  enum class Stage : std::uint8_t { header, min, low_head, data };
  /// One integer of `width` bytes, which may come in pieces.
  bool take_int(BytesView& in, std::size_t width, std::uint64_t& value) noexcept;

  std::uint64_t left_ = 0;
  std::uint64_t min_ = 0;
  Stage stage_ = Stage::data;
  std::uint8_t density_ = 0;
  std::uint8_t stashed_ = 0;
  std::array<std::uint8_t, 8> stash_{};
  ByteStream low_;
};

}  // namespace simdrive::codec
