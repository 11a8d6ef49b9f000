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

/// Computes the checksums of candidates whose payloads may overlap at will. Each alone as long as all of them together
/// come to a few times the bytes of the file; from then on from checksums of the file up to points of it, which cost
/// one pass over the file in all and little for a candidate, however long.
class ChecksumTest {
 public:
  explicit ChecksumTest(Reader& reader);

  /// Sets `good` of each.
  [[nodiscard]] Result<void> run(std::span<Candidate> batch);

  /// Sets `good` at once if the payload is short and not too many were: whole records need no batch. False if not.
  [[nodiscard]] Result<bool> run_short(Candidate& candidate);

 private:
  // Candidates of one start: [first, last) of `order_`, by ascending offset.
  struct Group {
    std::size_t first;
    std::size_t last;
  };
  struct Point {
    std::uint64_t at;
    std::uint32_t crc;  // of the file up to there
  };

  [[nodiscard]] Result<void> run_group(std::span<Candidate> batch, const Group& group);
  [[nodiscard]] Result<void> run_by_points(std::span<Candidate> batch, std::span<const Group> groups);
  [[nodiscard]] Result<void> fill(std::span<Point> points);

  Reader& reader_;
  std::vector<std::uint32_t> order_;
  std::uint64_t credit_;  // bytes that may still be checksummed for single candidates
  std::uint64_t short_credit_;
  std::uint64_t stride_;
  std::vector<std::uint32_t> known_{0};  // checksums of the first i * stride_ bytes of the file
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
  /// Leaves out the tails above this one.
  void skip_to(std::uint64_t tail) noexcept {
    if (tail < next_) next_ = tail;
  }

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
