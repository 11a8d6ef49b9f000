// Byte ranges as the whole library names them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace simdrive {

/// Borrowed, read-only bytes. The owner must outlive every call that is given one.
using BytesView = std::span<const std::uint8_t>;

/// Borrowed, writable bytes.
using MutableBytes = std::span<std::uint8_t>;

/// Owned bytes.
using Bytes = std::vector<std::uint8_t>;

/// A key and the payload to store under it.
struct KeyValue {
  BytesView key;
  BytesView payload;
};

}  // namespace simdrive
