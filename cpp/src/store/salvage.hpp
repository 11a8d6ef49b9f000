// Every record of a damaged file that can be proved, whether or not a chain leads to it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "simdrive/error.hpp"
#include "store/byte_source.hpp"
#include "store/format.hpp"
#include "store/walk.hpp"

namespace simdrive::store {

/// Takes the records found, newest first, none overlapping another. An error ends the run and is passed on.
using SalvageSink = std::function<Result<void>(std::span<const Record>)>;

struct SalvageReport {
  std::uint64_t records = 0;
  std::uint64_t tombstones = 0;
  std::uint64_t payload_bytes = 0;
  /// Bytes of the range that belong to no record found, pads left out.
  std::uint64_t lost_bytes = 0;
};

struct SalvageOptions {
  Layout layout = Layout::aligned64;  // mixed: each record may have another, which takes a few times as long
  /// Records that end in (from, to]; 0 for `to`: the end of the file.
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  Progress progress{};
};

/// Reports the records whose checksum is right. Where two overlap, the one that ends last is taken, so what lies in
/// the payload of an intact record is never reported. Time is linear in the file, memory bounded.
[[nodiscard]] Result<SalvageReport> salvage(ByteSource& source, const SalvageOptions& options, const SalvageSink& sink);

}  // namespace simdrive::store
