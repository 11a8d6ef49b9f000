// The bytes of a file as memory, read only and counted. Copies of a Mapping may be on any threads at once.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace simdrive::store {

/// How bytes will be read. Only a hint.
enum class Advice : std::uint8_t {
  normal,
  sequential,
  random,
  /// Read it in now, without waiting for it.
  will_need,
  /// Mappings: have it in the page tables now. Waits for what is not in memory.
  populate,
};

/// What a Mapping counts. Made by the files; the last reference calls `release`.
struct MappingRegion {
  const std::uint8_t* data = nullptr;
  std::size_t capacity = 0;
  void (*release)(MappingRegion* region) noexcept = nullptr;
  /// Null where no hint can be given.
  void (*advise)(const MappingRegion& region, std::size_t offset, std::size_t size, Advice advice) noexcept = nullptr;
  std::atomic<std::uint64_t> references = 1;
  /// So many bytes of it can have been read, as far as is known.
  mutable std::atomic<std::size_t> used = 0;
};

/// A reference to a mapped file: one pointer. What it shows stays readable after later writes and after the file is
/// closed, removed or renamed over, as long as there is a reference. Bytes behind the end of the file, or cut off since
/// by anyone, are not readable: touching them is a fault that ends the process.
class Mapping {
 public:
  /// Nothing.
  Mapping() noexcept = default;
  /// Takes over the one reference that a new region has.
  explicit Mapping(MappingRegion* region) noexcept : region_(region) {}

  Mapping(const Mapping& other) noexcept : region_(other.region_) {
    if (region_ != nullptr) region_->references.fetch_add(1, std::memory_order_relaxed);
  }
  Mapping(Mapping&& other) noexcept : region_(std::exchange(other.region_, nullptr)) {}
  Mapping& operator=(Mapping other) noexcept {
    std::swap(region_, other.region_);
    return *this;
  }
  ~Mapping() { reset(); }

  void reset() noexcept {
    MappingRegion* const region = std::exchange(region_, nullptr);
    if (region != nullptr && region->references.fetch_sub(1, std::memory_order_acq_rel) == 1) region->release(region);
  }

  /// Gives the reference to the caller.
  [[nodiscard]] MappingRegion* release() noexcept { return std::exchange(region_, nullptr); }

  explicit operator bool() const noexcept { return region_ != nullptr; }
  /// The first byte of the file; starts a page, or at least a run of 64 bytes.
  [[nodiscard]] const std::uint8_t* data() const noexcept { return region_ ? region_->data : nullptr; }
  /// Bytes of address space, which may reach behind the end of the file: File::covers() tells what can be read.
  [[nodiscard]] std::size_t capacity() const noexcept { return region_ ? region_->capacity : 0; }
  [[nodiscard]] const MappingRegion* region() const noexcept { return region_; }
  /// Tells that `bytes` of it may have been read by now.
  void note_used(std::size_t bytes) const noexcept {
    if (region_ != nullptr && bytes > region_->used.load(std::memory_order_relaxed)) {
      region_->used.store(bytes, std::memory_order_relaxed);
    }
  }
  [[nodiscard]] bool same_as(const Mapping& other) const noexcept { return region_ == other.region_; }

  /// A hint on how a part will be read; populate waits until it is in memory.
  void advise(std::size_t offset, std::size_t size, Advice advice) const noexcept {
    if (region_ != nullptr && region_->advise != nullptr) region_->advise(*region_, offset, size, advice);
  }

 private:
  MappingRegion* region_ = nullptr;
};

}  // namespace simdrive::store
