// Checks the payloads of a chain, and sees from the checksums how payloads are aligned.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "simdrive/error.hpp"
#include "store/format.hpp"
#include "store/reader.hpp"
#include "store/walk.hpp"

namespace simdrive::store {

class ChainCheck {
 public:
  struct Count {
    std::uint64_t bad = 0;
    std::uint64_t newest_bad = 0;  // offset
    bool oldest_is_bad = false;
  };

  /// Checks the next older record. Whether it is right in the layout `followed`.
  [[nodiscard]] Result<bool> add(Reader& reader, const Record& record, Layout followed);

  [[nodiscard]] std::uint64_t checked() const noexcept { return checked_; }

  /// The layout with the fewest bad records; `followed`, and then the newest, where several have.
  [[nodiscard]] Layout best(Layout followed) const noexcept;
  [[nodiscard]] const Count& count(Layout layout) const noexcept { return counts_[index_of(layout)]; }

 private:
  void note(std::size_t layout, bool bad, std::uint64_t offset) noexcept;
  [[nodiscard]] static std::size_t index_of(Layout layout) noexcept;

  std::uint64_t checked_ = 0;
  std::array<Count, 4> counts_;  // 64, 16, 1, and mixed: records that are right in none
};

}  // namespace simdrive::store
