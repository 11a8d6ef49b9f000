// Places of a file where a record might end, and the test of many checksums at once.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/endian.hpp"
#include "simdrive/error.hpp"
#include "store/chain.hpp"
#include "store/format.hpp"
#include "store/reader.hpp"

namespace simdrive::store {

struct Candidate {
  std::uint64_t start;
  std::uint64_t offset;
  Trailer trailer;
  bool good;  // its checksum is right; set by ChecksumTest

  [[nodiscard]] std::uint64_t tail() const noexcept { return offset + kTrailerBytes; }
};

/// Computes checksums of candidates whose payloads may overlap at will, each batch in time linear in the bytes that
/// it spans, whatever the number of candidates.
class ChecksumTest {
 public:
  explicit ChecksumTest(Reader& reader) : reader_(reader) {}

  /// Sets `good` of each.
  [[nodiscard]] Result<void> run(std::span<Candidate> batch);

 private:
  struct Group;

  [[nodiscard]] Result<void> run_group(std::span<Candidate> batch, const Group& group);
  [[nodiscard]] Result<void> run_by_prefix(std::span<Candidate> batch, std::span<const Group> groups);
  [[nodiscard]] std::uint64_t cost_of(std::span<const Candidate> batch, const Group& group) const;

  Reader& reader_;
  std::vector<std::uint32_t> order_;
  // Checksums of [known_start_, known_start_ + i * kStride): zeros and sparse data give batch after batch of candidates
  // that all start at the beginning of the file, and the bytes before the batch are not read again each time.
  static constexpr std::uint64_t kStride = std::uint64_t{1} << 20;
  std::uint64_t known_start_ = 0;
  std::vector<std::uint32_t> known_{0};
};

/// Goes through the candidates of a range of tails from the highest down.
class CandidateScan {
 public:
  /// Tails in (low, high].
  CandidateScan(Reader& reader, std::uint64_t low, std::uint64_t high, std::uint64_t alignment)
      : reader_(reader), low_(low), next_(high), alignment_(alignment) {
    if (low_ < kMinTail - 1) low_ = kMinTail - 1;
  }

  [[nodiscard]] bool done() const noexcept { return next_ <= low_; }
  [[nodiscard]] std::uint64_t position() const noexcept { return next_; }

  /// Calls `on_candidate(const Candidate&)` for each place where a record is possible by its offsets and the trailer is
  /// not zero (with `zeros`: also where it is), until it returns false, or after about a window of bytes.
  template <class OnCandidate>
  [[nodiscard]] Result<void> some(bool zeros, OnCandidate&& on_candidate) {
    if (done()) return {};
    if (auto loaded = reader_.load_all(next_ - kMinTail, next_); !loaded.ok()) return loaded;
    const std::uint8_t* const data = reader_.window().data();
    const std::uint64_t begin = reader_.begin();
    std::uint64_t stop = begin + kMinTail - 1;
    if (stop < low_) stop = low_;
    if (next_ - stop > Reader::kMaxWindow) stop = next_ - Reader::kMaxWindow;
    std::uint64_t c = next_;
    while (c > stop) {
      const std::uint64_t offset = c - kTrailerBytes;
      const std::uint8_t* const at = data + (offset - begin);
      --c;
      if (load_le<std::uint64_t>(at + 8) >= offset) continue;
      const Trailer trailer = read_trailer(at);
      if (!zeros && trailer.is_zero()) {
        while (c > stop + kSkip && is_zero(data + (c - kTrailerBytes - kSkip - begin))) c -= kSkip;
        continue;
      }
      const std::uint64_t start = payload_start(offset, trailer.prev, at[-1], alignment_);
      if (start == kMalformed) continue;
      if (!on_candidate(Candidate{start, offset, trailer, false})) break;
    }
    next_ = c;
    return {};
  }

 private:
  static constexpr std::uint64_t kSkip = 64;

  [[nodiscard]] static bool is_zero(const std::uint8_t* at) noexcept {
    std::uint64_t any = 0;
    for (std::size_t i = 0; i < kSkip + kTrailerBytes; i += 4) any |= load_le<std::uint32_t>(at + i);
    return any == 0;
  }

  Reader& reader_;
  std::uint64_t low_;
  std::uint64_t next_;  // the next tail to look at
  std::uint64_t alignment_;
};

}  // namespace simdrive::store
