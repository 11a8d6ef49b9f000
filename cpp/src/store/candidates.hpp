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
  bool good;                   // its checksum is right; set by ChecksumTest
  std::uint8_t last_byte = 0;  // of the payload

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
  struct Point {
    std::uint64_t at;
    std::uint32_t crc;  // of the file up to there
  };

  [[nodiscard]] Result<void> run_by_points(std::span<Candidate> batch);
  [[nodiscard]] Result<void> fill(std::uint64_t to);
  // The checksum of the file up to `at`, which `fill` covers, if possible from that of a point just before.
  [[nodiscard]] Result<std::uint32_t> up_to(std::uint64_t at, const Point& before);

  Reader& reader_;
  std::vector<std::uint32_t> starts_;  // of a batch: checksums of the file up to the starts
  std::uint64_t credit_;               // bytes that may still be checksummed for single candidates
  std::uint64_t short_credit_;
  std::uint64_t stride_;
  std::vector<std::uint32_t> known_;  // checksums of the first i * stride_ bytes of the file
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
    // The highest bytes of a link are zero in a file that is smaller. If the lowest of those is not, it is too high in
    // the link of as many places, and they are left out at once.
    std::uint64_t zero_bytes = 1;
    while (zero_bytes < 8 && next_ >> (56 - 8 * zero_bytes) == 0) ++zero_bytes;
    const std::uint8_t* const lowest_zero = data + (16 - zero_bytes);
    std::uint64_t c = next_;
    while (c > stop) {
      const std::uint64_t offset = c - kTrailerBytes;
      if (lowest_zero[offset - begin] != 0) {
        c = c - stop > zero_bytes ? c - zero_bytes : stop;
        continue;
      }
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
      if (!on_candidate(Candidate{start, offset, trailer, false, at[-1]})) break;
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
