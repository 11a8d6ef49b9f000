// What readers look at: one file of a store with its index, and a mapping of it. Replaced whole, under an Epoch.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "store/epoch.hpp"
#include "store/file.hpp"
#include "store/format.hpp"
#include "store/index.hpp"
#include "store/mapping.hpp"

namespace simdrive::store {

/// One file. compact(), recover() and refresh() may put another in its place, with an index of its own.
struct Generation {
  Generation(Epoch& epoch, std::shared_ptr<File> opened) : index(epoch), file(std::move(opened)) {}

  Index index;  // of the live entries; tombstones are not in it
  /// The keys whose newest record was a tombstone when the file was opened: deleting one of them once more appends
  /// another tombstone, as the original does it. Null: none. The writer's, under the same lock as the index.
  std::unique_ptr<Index> dead;
  const std::shared_ptr<File> file;
  std::uint64_t number = 0;
  /// Behind the last record that is in the index: what iteration starts from.
  std::atomic<std::uint64_t> tail{0};
  /// Behind the last record in the file: moved before the index is, so that whoever meets a change in the index and
  /// looks here afterwards finds its record below.
  std::atomic<std::uint64_t> written{0};
  Layout layout = Layout::aligned64;
  /// Not empty: records are known to be missing from the index, and why; for mode read alone.
  std::string fault;
  std::uint64_t fault_offset = 0;  // where in the file; 0: that is not known
  Trailer last{};                  // mode read: what ends at the tail
};

/// Generations outlive their views, and views the guards of their readers.
struct View final : Epoch::Retired {
  /// Readers map what they find unmapped.
  explicit View(std::shared_ptr<Generation> of, Mapping mapped = {}, std::uint64_t readable = 0) noexcept
      : generation(std::move(of)), mapping(std::move(mapped)), covered(readable) {
    bytes = sizeof(View);
    destroy = [](Epoch::Retired& retired) noexcept { delete static_cast<View*>(&retired); };
  }
  View(const View&) = delete;
  View& operator=(const View&) = delete;
  ~View() { mapping.note_used(static_cast<std::size_t>(generation->written.load(std::memory_order_relaxed))); }

  const std::shared_ptr<Generation> generation;
  const Mapping mapping;
  /// Records that end below this can be read in `mapping` once they are written.
  mutable std::atomic<std::uint64_t> covered;
};

/// Up to where `mapping` shows what is or will be written to `file`, which has `tail` bytes now.
[[nodiscard]] inline std::uint64_t covered_by(const File& file, const Mapping& mapping, std::uint64_t tail) noexcept {
  if (file.maps_ahead()) return mapping.capacity();
  return file.covers(mapping, tail) ? tail : 0;
}

}  // namespace simdrive::store
