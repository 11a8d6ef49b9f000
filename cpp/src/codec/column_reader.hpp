// Columns, from the bytes of a whole message to values (docs/design/wire.md, 6.1 to 6.6).
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "codec/column_format.hpp"
#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"

namespace simdrive::codec {

// What an error says whose cause is a limit of ours, not the message.
inline constexpr const char* kTooManyItems = "too many items";
inline constexpr const char* kTooManyUnpacked = "packed bytes are more than the limit";
inline constexpr const char* kNoRoom = "no room for what the message stands for";

/// Is asked before a message is given more memory than it has bytes.
class MemoryAccount {
 public:
  /// False: there is no room for so much more.
  virtual bool take(std::uint64_t bytes) noexcept = 0;

 protected:
  ~MemoryAccount() = default;
};

/// The values of a BYTES column: a view of the message when it is raw, unpacked into `storage` else.
struct ByteColumn {
  BytesView values;
  Bytes storage;

  /// Takes the next `n` values off the front, which must be there.
  BytesView next(std::uint64_t n) noexcept {
    const BytesView piece = values.first(static_cast<std::size_t>(n));
    values = values.subspan(piece.size());
    return piece;
  }
  /// All values as an owned string; takes the storage along when there is one.
  Bytes take() { return storage.empty() ? Bytes(values.begin(), values.end()) : std::move(storage); }
};

/// A LENGTH column, kept compact: eight small lengths may have come in one byte.
class LengthColumn {
 public:
  [[nodiscard]] std::uint64_t sum() const noexcept { return sum_; }
  /// Bytes of memory that it holds.
  [[nodiscard]] std::size_t memory() const noexcept {
    return low_.capacity() + large_.capacity() * sizeof(std::uint64_t);
  }
  /// The lengths in order. As many calls as the column has values.
  [[nodiscard]] std::uint64_t next() noexcept {
    const std::uint8_t low = low_[next_low_++];
    return low < kLargeLength ? low : large_[next_large_++];
  }

 private:
  friend class ColumnReader;
  Bytes low_;
  std::vector<std::uint64_t> large_;
  std::uint64_t sum_ = 0;
  std::size_t next_low_ = 0;
  std::size_t next_large_ = 0;
};

/// Reads columns one after another. Every method returns false on the first fault, which `error()` then tells;
/// nothing may be read after that. Announced counts are checked against the bytes left before anything is allocated.
/// Columns that are read into may have been used before; their memory is used again.
class ColumnReader {
 public:
  /// BYTES columns that are packed may hold `max_unpacked` values, all together, for which `account` has room.
  explicit ColumnReader(BytesView in, std::uint64_t max_unpacked = ~std::uint64_t{0},
                        MemoryAccount* account = nullptr) noexcept
      : in_(in), unpacked_left_(max_unpacked), account_(account) {}

  bool bytes(std::uint64_t n, ByteColumn& out);
  /// INT column of one value.
  bool number(std::uint64_t& out);
  /// LENGTH column of one value.
  bool length(std::uint64_t& out);
  bool lengths(std::uint64_t n, LengthColumn& out);
  /// LENGTH and BYTES column of one string.
  bool value(Bytes& out);
  bool value(ByteColumn& out);
  /// BOOL column, as it stands in the message; bits past the `n`-th are undefined.
  bool bits(std::uint64_t n, BytesView& out);
  /// Column of one enum value with three variants.
  bool variant_of_three(std::uint8_t& out);
  /// LENGTH column of one string and its bytes, which are never packed.
  bool text(BytesView& out);
  /// The length of the outermost list.
  bool item_count(std::uint64_t max_items, std::uint64_t& out);
  /// Whether the account has room for `n` such items, as far as the bytes left can be so many.
  bool room_for(std::uint64_t n, std::size_t bytes_each);
  /// Nothing may be left.
  bool end();

  [[nodiscard]] Error error() const;

 private:
  /// A BYTES column between its header and its data. The data is known to be there.
  struct ByteLayout {
    std::uint8_t density = kRaw;
    std::uint8_t min = 0;
    std::size_t size = 0;
  };
  struct IntLayout {
    std::uint8_t density = 0;
    std::uint64_t min = 0;
    ByteLayout low;
  };

  bool byte_layout(std::uint64_t n, ByteLayout& out);
  bool int_layout(std::uint64_t n, IntLayout& out);
  void int_values(const IntLayout& layout, std::span<std::uint64_t> out);

  [[nodiscard]] std::size_t left() const noexcept { return in_.size() - at_; }
  bool fail(const char* what) noexcept {
    fault_ = what;
    return false;
  }

  BytesView in_;
  std::size_t at_ = 0;
  std::uint64_t unpacked_left_;
  MemoryAccount* account_;
  const char* fault_ = "";
};

/// Whether the text is UTF-8 in its shortest form and free of surrogates.
[[nodiscard]] bool is_utf8(BytesView text) noexcept;

}  // namespace simdrive::codec
