// A byte string in pieces: some owned, some borrowed. Not thread safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "simdrive/bytes.hpp"

namespace simdrive {

/// The bytes of one request, as a list of runs. Small runs are copied into one owned buffer; long ones
/// are borrowed from the caller, who keeps them alive until the request is sent or abandoned.
class Gather {
 public:
  /// Runs shorter than this are cheaper to copy than to track.
  static constexpr std::size_t kBorrowMin = 1024;

  /// Empties the list. Keeps moderate capacity for the next request, gives back a large one.
  void clear() noexcept {
    if (owned_.capacity() > kKeepBytes) Bytes().swap(owned_);
    if (runs_.capacity() > kKeepRuns) std::vector<Run>().swap(runs_);
    owned_.clear();
    runs_.clear();
    size_ = 0;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t run_count() const noexcept { return runs_.size(); }
  [[nodiscard]] BytesView run(std::size_t i) const noexcept {
    const Run& r = runs_[i];
    return {r.borrowed ? r.borrowed : owned_.data() + r.offset, r.size};
  }

  /// Space for `n` owned bytes at the end. Valid until the next non-const call.
  [[nodiscard]] std::uint8_t* extend(std::size_t n) {
    const std::size_t offset = owned_.size();
    owned_.resize(offset + n);
    if (!runs_.empty() && !runs_.back().borrowed) {
      runs_.back().size += n;
    } else if (n != 0) {
      runs_.push_back({nullptr, offset, n});
    }
    size_ += n;
    return owned_.data() + offset;
  }

  void push(std::uint8_t byte) { *extend(1) = byte; }

  void copy(BytesView bytes) {
    if (!bytes.empty()) std::memcpy(extend(bytes.size()), bytes.data(), bytes.size());
  }

  /// Copies short runs, borrows long ones.
  void append(BytesView bytes) {
    if (bytes.size() < kBorrowMin) {
      copy(bytes);
    } else {
      runs_.push_back({bytes.data(), 0, bytes.size()});
      size_ += bytes.size();
    }
  }

 private:
  struct Run {
    const std::uint8_t* borrowed;  // null: owned_[offset .. offset + size)
    std::size_t offset;
    std::size_t size;
  };
  static constexpr std::size_t kKeepBytes = 64 * 1024;
  static constexpr std::size_t kKeepRuns = 1024;

  Bytes owned_;
  std::vector<Run> runs_;
  std::size_t size_ = 0;
};

/// Reads a `Gather` from front to back.
class GatherCursor {
 public:
  GatherCursor() = default;
  explicit GatherCursor(const Gather& source) : source_(&source) {}

  [[nodiscard]] std::size_t remaining() const noexcept { return source_ ? source_->size() - taken_ : 0; }

  /// The next run, cut to `max` bytes; empty at the end.
  [[nodiscard]] BytesView take(std::size_t max) noexcept {
    while (source_ && run_ < source_->run_count()) {
      BytesView r = source_->run(run_).subspan(offset_);
      if (r.empty()) {
        ++run_;
        offset_ = 0;
        continue;
      }
      if (r.size() > max) r = r.first(max);
      offset_ += r.size();
      taken_ += r.size();
      return r;
    }
    return {};
  }

 private:
  const Gather* source_ = nullptr;
  std::size_t run_ = 0;
  std::size_t offset_ = 0;
  std::size_t taken_ = 0;
};

}  // namespace simdrive
