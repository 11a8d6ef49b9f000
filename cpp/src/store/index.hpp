// The key index: where the newest record of each key hash is. One writer at a time (under a lock of the engine's), any
// number of readers at the same time, which never wait for it and never miss an entry that is there throughout.
//
// Layout. A hash is mixed first, by a bijection with a random key: crafted hashes land as evenly as others, and two
// hashes stay two. The top 10 bits of the result choose one of 1024 shards, the next 32, scaled to any number of
// buckets, a bucket of it, whose neighbours take what does not fit. A bucket is a cache line of five entries, and an
// entry holds the 48 bits of the offset and the 54 bits that the shard does not tell:
//
//   words[5]  8 bytes each   16 low bits of the mixed hash << 48 | offset; 0: no entry
//   middle[5] 4 bytes each   the 32 bits above those
//   rest      4 bytes        the 6 bits above those, five times, and whether an entry passed by this full bucket (bit
//   30)
//
// An entry never moves within an array of buckets, and a new offset is one store. A slot is used again by writing
// `middle` and `rest` while its word is 0. So a reader that finds the same word before and after it looked at them has
// seen one entry, provided that no entry comes back with an offset that it had before: offsets are places in a file
// that grows at its end.
//
// A shard grows by itself, by a quarter once it is large, into a new array; readers of the old one leave through an
// Epoch. At 10 million keys that copies 10 thousand entries. A key needs 64 / 5 / 0.85 = 15.1 bytes where the shards
// are full and 19.3 after they have grown; they do not all grow at the same time.
//
// After fork() the child's index is whole if the writer's lock was held by the thread that forked; readers see it whole
// in any case.
//
// A snapshot beside the file (not built): the seed, the number of buckets of each shard and the arrays as they are in
// memory, little-endian. Nothing in them is an address, so a private mapping of such a file can serve as the arrays.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/prefetch.hpp"
#include "simdrive/error.hpp"
#include "store/epoch.hpp"

namespace simdrive::store {

/// Where the index has its arrays from. Called by the writer only, and by whoever destroys what was retired.
class IndexMemory {
 public:
  /// Zeroed, at a multiple of 64; null if there is none.
  [[nodiscard]] virtual void* allocate(std::size_t bytes) noexcept = 0;
  virtual void deallocate(void* start, std::size_t bytes) noexcept = 0;
  /// The same for many arrays of at least 12 KiB, each of which goes to deallocate() by itself. Null: not to be had.
  [[nodiscard]] virtual void* allocate_chunk(std::size_t /*bytes*/) noexcept { return nullptr; }
  /// What is left of a chunk: whole pages at its end.
  virtual void deallocate_rest(void* /*start*/, std::size_t /*bytes*/) noexcept {}

  /// The heap, and pages of their own for arrays from 12 KiB on, so that what is outgrown goes back to the system.
  static IndexMemory& of_process() noexcept;

 protected:
  ~IndexMemory() = default;
};

class Index {
 public:
  static constexpr std::uint64_t kOffsetMax = (std::uint64_t{1} << 48) - 1;

  struct Entry {
    std::uint64_t hash;
    std::uint64_t offset;
  };

  struct Change {
    bool inserted;             ///< the hash was not there
    std::uint64_t old_offset;  ///< what it had before, else 0
  };

  struct Options {
    std::uint64_t seed = 0;         ///< of the mixing; 0: a random one
    IndexMemory* memory = nullptr;  ///< outlives the epoch; null: that of the process
  };

  /// `epoch` is the one that readers enter; it outlives the index.
  explicit Index(Epoch& epoch, const Options& options) noexcept;
  explicit Index(Epoch& epoch) noexcept : Index(epoch, Options()) {}
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;
  /// There must be no reader.
  ~Index();

  // ---- Readers, any thread ----

  /// The offset of a hash, or 0.
  [[nodiscard]] std::uint64_t find(std::uint64_t hash, const Epoch::Guard& guard) const noexcept;
  /// The same for many, several times as fast when they are not in the caches. `offsets` is as long as `hashes`.
  void find_many(std::span<const std::uint64_t> hashes, std::span<std::uint64_t> offsets,
                 const Epoch::Guard& guard) const noexcept;
  /// Fetches what find() or set() will look at. Needs no guard.
  void prefetch(std::uint64_t hash) const noexcept { prefetch_mixed(mix(hash)); }

  /// Calls visit(Entry) for every entry, in no order. What is there throughout is visited once; what is set or erased
  /// meanwhile, once, twice with different offsets, or not at all. A guard is held while visit() runs.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (std::size_t shard = 0; shard < kShards; ++shard) {
      const Epoch::Guard guard = epoch_.enter();
      const Table table = load_table(shard);
      for (std::size_t i = 0; i < table.bucket_count * kSlots; ++i) {
        const Entry entry = entry_at(table, shard, i);
        if (entry.offset != 0) visit(entry);
      }
    }
  }

  [[nodiscard]] std::uint64_t size() const noexcept { return size_.load(std::memory_order_relaxed); }
  /// Of the arrays and of this object; Epoch::retired_bytes() tells of arrays that readers may still be in.
  [[nodiscard]] std::size_t memory_bytes() const noexcept {
    return sizeof(*this) + array_bytes_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }

  // ---- The writer ----
  // Offsets are 1 to kOffsetMax. Errors: Errc::out_of_memory, with the index as it was, and Errc::internal for another
  // offset.

  /// Whether setting each of `hashes` cannot fail as things are, found without looking at an entry. False: prepare().
  [[nodiscard]] bool has_room(std::span<const std::uint64_t> hashes) noexcept;
  /// Makes room for `hashes`, so that setting each of them once after this cannot fail.
  Result<void> prepare(std::span<const std::uint64_t> hashes);
  /// Adds an entry or gives it a new offset, where has_room() or prepare() has seen to it that this cannot fail.
  void set_prepared(std::uint64_t hash, std::uint64_t offset) noexcept { set_mixed(mix(hash), offset); }
  /// The same for many, in order.
  void set_many_prepared(std::span<const std::uint64_t> hashes, std::span<const std::uint64_t> offsets) noexcept;
  /// Adds an entry or gives it a new offset.
  Result<Change> set(std::uint64_t hash, std::uint64_t offset);
  /// Adds an entry unless the hash is there, which old_offset then tells of.
  Result<Change> put_if_absent(std::uint64_t hash, std::uint64_t offset);
  /// The same for many, several times as fast. The number of those added; after an error some are, and the call can be
  /// repeated.
  Result<std::size_t> put_if_absent_many(std::span<const Entry> entries);
  /// The offset it had, or 0 if it was not there. Gives memory back when little is left.
  std::uint64_t erase(std::uint64_t hash) noexcept;
  void clear() noexcept;

  /// How many entries there will be in all, as far as is known: an array that has to grow grows to that. Nothing is
  /// allocated now. It may be called again with a better figure, and with 0 once everything is in.
  void expect(std::uint64_t entries) noexcept {
    expected_ = entries;
    if (entries == 0) drop_chunk();
  }
  /// Gives back what an expectation was too high by. Where memory is missing things stay as they are.
  void shrink_to_fit() noexcept;

 private:
  friend struct IndexPeer;  // of the tests

  static constexpr unsigned kShardBits = 10;
  static constexpr std::size_t kShards = std::size_t{1} << kShardBits;
  static constexpr std::size_t kSlots = 5;

  // Of a bucket's `rest`: an entry passed by, since the bucket was full.
  static constexpr std::uint32_t kPassedBy = std::uint32_t{1} << 30;
  static constexpr unsigned kRestBits = 6;
  static constexpr std::uint32_t kRestMask = (1U << kRestBits) - 1;
  // Of the directory's words.
  static constexpr unsigned kCountBits = 22;
  static constexpr std::uint64_t kCountMask = (std::uint64_t{1} << kCountBits) - 1;
  static constexpr std::uint64_t kAddressMax = (std::uint64_t{1} << (64 - kCountBits + 6)) - 1;

  struct alignas(64) Bucket {
    std::array<std::atomic<std::uint64_t>, kSlots> words;
    std::array<std::atomic<std::uint32_t>, kSlots> middle;
    std::atomic<std::uint32_t> rest;
  };
  static_assert(sizeof(Bucket) == 64);

  // In front of an array's buckets.
  struct Header;
  struct Block;

  // A shard as readers find it, and as one word in the directory: address / 64 << 22 | number of buckets.
  struct Table {
    Bucket* buckets;
    std::size_t bucket_count;
  };

  // A shard as the writer keeps it.
  struct Shard {
    Bucket* buckets = nullptr;
    std::uint32_t bucket_count = 0;
    std::uint32_t pending = 0;  // within prepare()
    std::uint32_t count = 0;
    std::uint32_t limit = 0;          // more entries than this, and the array is to grow
    std::uint32_t strays_erased = 0;  // entries that passed by a bucket and were erased, since the array was made
  };

  enum class Put : std::uint8_t { set, if_absent };
  struct Slot {
    Bucket* bucket = nullptr;  // null: none
    std::size_t slot = 0;
    bool at_home = false;
  };

  static constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15;  // 2^64 / the golden ratio, odd
  [[nodiscard]] std::uint64_t mix(std::uint64_t hash) const noexcept {
    const std::uint64_t product = (hash ^ mask_) * kMultiplier;
    return (product ^ product >> 32) * multiplier_;
  }
  [[nodiscard]] std::uint64_t unmix(std::uint64_t mixed) const noexcept;
  static std::size_t shard_of(std::uint64_t mixed) noexcept { return mixed >> (64 - kShardBits); }
  static std::size_t home_of(std::uint64_t mixed, std::size_t bucket_count) noexcept;
  static bool holds(const Bucket& bucket, std::size_t slot, std::uint64_t mixed) noexcept;
  static std::size_t candidate(const Bucket& bucket, std::uint64_t mixed) noexcept;
  /// A loop over the slots that is unrolled, which compilers do not do with atomic loads in it.
  template <class Look>
  static void each_slot(Look look) noexcept {
    [&look]<std::size_t... slot>(std::index_sequence<slot...>) {
      (look(slot), ...);
    }(std::make_index_sequence<kSlots>());
  }
  static std::uint64_t mixed_at(const Bucket& bucket, std::size_t slot, std::size_t shard, std::uint64_t word) noexcept;

  [[nodiscard]] Table load_table(std::size_t shard) const noexcept;
  [[nodiscard]] Entry entry_at(const Table& table, std::size_t shard, std::size_t position) const noexcept;
  static std::uint64_t find_among(const Bucket& bucket, std::uint64_t mixed) noexcept;
  static std::uint64_t find_in(const Bucket& bucket, std::uint64_t mixed) noexcept;
  [[nodiscard]] std::uint64_t find_mixed(std::uint64_t mixed) const noexcept;
  static std::uint64_t find_beyond(const Table& table, std::size_t home, std::uint64_t mixed) noexcept;
  void prefetch_mixed(std::uint64_t mixed) const noexcept;
  void prefetch_next(std::uint64_t mixed) const noexcept;
  template <class HashAt, class Look>
  void look_ahead(std::size_t count, HashAt hash_at, Look look) const noexcept;

  static Slot locate(const Shard& shard, std::uint64_t mixed) noexcept;
  static unsigned empty_slots(const Bucket& bucket) noexcept;
  static void fill_slot(Bucket& bucket, unsigned slot, std::uint64_t mixed, std::uint64_t offset) noexcept;
  static void place(const Table& table, std::uint64_t mixed, std::uint64_t offset) noexcept;
  [[nodiscard]] bool put_at_home(std::uint64_t mixed, std::uint64_t offset) noexcept;
  static std::size_t sized(std::uint64_t count, unsigned load) noexcept;
  static std::size_t rounded(std::size_t bucket_count, std::size_t least) noexcept;
  [[nodiscard]] bool put(std::uint64_t mixed, std::uint64_t offset, Put how, Change& change) noexcept;
  void set_mixed(std::uint64_t mixed, std::uint64_t offset) noexcept;
  [[nodiscard]] bool put_elsewhere(std::uint64_t mixed, std::uint64_t offset, Put how, Change& change) noexcept;
  Result<Change> put_checked(std::uint64_t hash, std::uint64_t offset, Put how);
  [[nodiscard]] bool make_room(std::size_t shard, std::uint64_t more) noexcept;
  [[nodiscard]] bool rebuild(std::size_t shard, std::size_t bucket_count) noexcept;
  void replace(std::size_t shard, const Table& table) noexcept;
  [[nodiscard]] void* allocate(std::size_t bytes) noexcept;
  [[nodiscard]] void* cut_from_block(std::size_t bytes) noexcept;
  void drop_chunk() noexcept;

  Epoch& epoch_;
  IndexMemory& memory_;
  const std::uint64_t seed_;
  const std::uint64_t mask_;        // of the mixing, made from the seed
  const std::uint64_t multiplier_;  // odd
  const std::uint64_t inverse_;     // of the multiplier
  std::uint64_t expected_ = 0;
  std::byte* chunk_ = nullptr;  // the writer's: where arrays of an index that is being filled come from
  std::size_t chunk_bytes_ = 0;
  Block* block_ = nullptr;  // the same for small ones
  std::size_t block_bytes_ = 0;
  std::atomic<std::uint64_t> size_{0};
  std::atomic<std::size_t> array_bytes_{0};
  alignas(64) std::array<std::atomic<std::uint64_t>, kShards> directory_{};
  std::array<Shard, kShards> shards_{};
};

// ---- Look-ups, inlined into whoever reads ---------------------------------------------------------------------

inline std::size_t Index::home_of(std::uint64_t mixed, std::size_t bucket_count) noexcept {
  return static_cast<std::size_t>((mixed << kShardBits >> 32) * bucket_count >> 32);
}

// Whether an entry with the right tag is that of a hash.
inline bool Index::holds(const Bucket& bucket, std::size_t slot, std::uint64_t mixed) noexcept {
  return bucket.middle[slot].load(std::memory_order_acquire) == static_cast<std::uint32_t>(mixed >> 16) &&
         ((bucket.rest.load(std::memory_order_acquire) >> (kRestBits * slot)) & kRestMask) ==
             ((mixed >> 48) & kRestMask);
}

// The first slot with the right middle, or kSlots, without a branch to foretell wrongly. What is behind a slot without
// an entry, or with one that the writer is about to change, is for the caller to find out.
inline std::size_t Index::candidate(const Bucket& bucket, std::uint64_t mixed) noexcept {
  const auto wanted = static_cast<std::uint32_t>(mixed >> 16);
  std::size_t found = kSlots;
  each_slot([&](std::size_t i) {
    const std::size_t slot = kSlots - 1 - i;
    found = bucket.middle[slot].load(std::memory_order_relaxed) == wanted ? slot : found;
  });
  return found;
}

inline Index::Table Index::load_table(std::size_t shard) const noexcept {
  const std::uint64_t word = directory_[shard].load(std::memory_order_acquire);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): one word is what makes a shard change at once
  return {reinterpret_cast<Bucket*>(static_cast<std::uintptr_t>(word >> kCountBits << 6)),
          static_cast<std::size_t>(word & kCountMask)};
}

// The offset of a hash in one bucket, or 0.
inline std::uint64_t Index::find_in(const Bucket& bucket, std::uint64_t mixed) noexcept {
  const std::size_t slot = candidate(bucket, mixed);
  if (slot == kSlots) return 0;
  const std::uint64_t word = bucket.words[slot].load(std::memory_order_acquire);
  // The same tag and an offset, the rest of the hash, and all of that at one moment.
  if ((word ^ mixed << 48) - 1 < kOffsetMax && holds(bucket, slot, mixed) &&
      bucket.words[slot].load(std::memory_order_acquire) == word) [[likely]] {
    return word & kOffsetMax;
  }
  return find_among(bucket, mixed);
}

// Short, since it is what a reader does while the bucket is on its way from memory: the less of it, the more of the
// next look-up does the processor begin meanwhile.
inline std::uint64_t Index::find_mixed(std::uint64_t mixed) const noexcept {
  const Table table = load_table(shard_of(mixed));
  if (table.bucket_count == 0) return 0;
  const std::size_t home = home_of(mixed, table.bucket_count);
  const Bucket& bucket = table.buckets[home];
  simdrive::prefetch(&bucket + 1);  // a tenth of the keys is there
  const std::uint64_t offset = find_in(bucket, mixed);
  if (offset != 0 || (bucket.rest.load(std::memory_order_relaxed) & kPassedBy) == 0) return offset;
  return find_beyond(table, home, mixed);
}

inline std::uint64_t Index::find(std::uint64_t hash, const Epoch::Guard& /*guard*/) const noexcept {
  return find_mixed(mix(hash));
}

}  // namespace simdrive::store
