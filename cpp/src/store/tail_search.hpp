// The search for the highest tail that can be believed, in a file whose end cannot.
#pragma once

#include <cstdint>
#include <vector>

#include "simdrive/error.hpp"
#include "store/candidates.hpp"
#include "store/chain_memo.hpp"
#include "store/reader.hpp"
#include "store/walk.hpp"

namespace simdrive::store {

/// Searches of one file. Readers, and what they cost, are shared by them.
class TailSearch {
 public:
  TailSearch(ByteSource& source, const Progress& progress);

  /// The highest tail in (low, size] whose record has the right checksum and a trailer that is not zero and whose chain
  /// reaches `base`: 0, the beginning of the file, or a tail that is known to be good. 0 if there is none. For an older
  /// alignment, `low` is what the search with the present one found.
  [[nodiscard]] Result<std::uint64_t> find(std::uint64_t low, std::uint64_t base, std::uint64_t alignment);

  /// The highest tail whose chain reaches 0, whatever the records hold: the reference engine's rule.
  [[nodiscard]] Result<std::uint64_t> find_as_original();

  /// How many records are known to lie behind `tail`, the highest that `find` accepts and not 0, counted up to 2: two
  /// if one is intact, since a damaged one lies before it, or if a chain of two leads back to the tail. One torn record
  /// gives 0 or 1.
  [[nodiscard]] Result<std::uint64_t> count_behind(std::uint64_t tail, std::uint64_t alignment);

  /// Whether any record that ends at or before `high` has the right checksum, in a chain or not.
  [[nodiscard]] Result<bool> has_intact(std::uint64_t high, std::uint64_t alignment);

  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return scanner_.work() + walker_.work() + checksummer_.work(); }

 private:
  [[nodiscard]] Result<bool> holds(const Candidate& candidate, std::uint64_t base, std::uint64_t alignment, bool zeros,
                                   ChainMemo& memo);

  ByteSource& source_;
  std::uint64_t size_;
  const Progress& progress_;
  Reader scanner_;
  Reader walker_;
  Reader checksummer_;
  std::vector<std::uint64_t> met_;
  std::uint64_t steps_ = 0;
};

/// Candidates are tested in batches that grow to this: small at first, since mostly the first one is right.
inline constexpr std::size_t kMaxBatch = std::size_t{1} << 19;
[[nodiscard]] constexpr std::size_t next_batch(std::size_t size) noexcept {
  return size < kMaxBatch / 16 ? size * 16 : kMaxBatch;
}

}  // namespace simdrive::store
