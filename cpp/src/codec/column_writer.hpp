// Columns, from values to bytes (docs/design/wire.md, 6.1 to 6.6), as the Rust encoder writes them.
#pragma once

#include <cstdint>
#include <span>

#include "base/gather.hpp"
#include "codec/messages.hpp"
#include "simdrive/bytes.hpp"

namespace simdrive::codec {

/// Byte strings inside an array of the caller's; `at` gives null for an absent one.
struct Pieces {
  const void* items;
  std::size_t count;
  const BytesView* (*at)(const void* items, std::size_t i);
};

/// INT column of one value.
void write_number(std::uint64_t value, Gather& out);
/// LENGTH column of one value.
void write_length(std::uint64_t length, Gather& out);
/// LENGTH and BYTES column of one string, which may be borrowed.
void write_value(BytesView value, Gather& out, Packing packing);

/// BOOL column: which pieces are present. Of `sizes`, `kAbsent` is none.
void write_presence(const Pieces& pieces, Gather& out);
void write_presence(std::span<const std::uint64_t> sizes, Gather& out);
/// LENGTH column of the pieces that are present.
void write_lengths(const Pieces& pieces, Gather& out);
void write_lengths(std::span<const std::uint64_t> sizes, Gather& out);
/// BYTES column of all pieces one after another; raw pieces may be borrowed.
void write_bytes(const Pieces& pieces, Gather& out, Packing packing);
/// What stands before the `n` bytes of a BYTES column that is raw.
void write_raw_header(std::uint64_t n, Gather& out);

}  // namespace simdrive::codec
