#include "store/index.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <chrono>
#include <cstring>
#include <exception>
#include <new>
#include <random>
#include <string>
#include <utility>

#include "base/pages.hpp"
#include "base/prefetch.hpp"

namespace simdrive::store {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;

// Of all slots, in 256ths. Fuller than kLoadMax an array grows; one that is made for a known number gets kLoadSized,
// and one that has become too large, kLoadShrunk.
constexpr unsigned kLoadMax = 218;
constexpr unsigned kLoadSized = 205;
constexpr unsigned kLoadShrunk = 154;
constexpr unsigned kLoadMin = 64;

// Arrays below these grow to four times their size (all of them have a mebibyte then) unless the number of entries is
// known, or at least nearly double.
constexpr std::size_t kTinyBuckets = 16;
constexpr std::size_t kSmallBuckets = 72;

constexpr std::size_t kPage = 4096;
constexpr std::size_t kPagesFrom = 3 * kPage;
constexpr std::size_t kAlignment = 64;
constexpr std::size_t kChunkBytes = std::size_t{16} << 20;
constexpr std::size_t kBlockBytes = 8192;
constexpr std::size_t kBlockArrayMax = 512;

// So far ahead are the lines fetched, when there are many to look at.
constexpr std::size_t kAhead = 32;
constexpr std::size_t kAheadNext = 8;

class ProcessMemory final : public IndexMemory {
 public:
  void* allocate(std::size_t bytes) noexcept override {
    if (bytes >= kPagesFrom) return map_pages(bytes);
    void* start = ::operator new(bytes, std::align_val_t{kAlignment}, std::nothrow);
    return start == nullptr ? nullptr : std::memset(start, 0, bytes);
  }
  void* allocate_chunk(std::size_t bytes) noexcept override { return map_huge_pages(bytes); }
  void deallocate_rest(void* start, std::size_t bytes) noexcept override { unmap_pages(start, bytes); }
  void deallocate(void* start, std::size_t bytes) noexcept override {
    if (bytes >= kPagesFrom) {
      unmap_pages(start, bytes);
    } else {
      ::operator delete(start, std::align_val_t{kAlignment});
    }
  }
};

std::uint64_t splitmix(std::uint64_t& state) noexcept {
  std::uint64_t z = state += 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

// Random once: it takes as long as to open a small store.
std::uint64_t random_start() noexcept {
  std::uint64_t seed = 0;
  try {
    std::random_device device;
    seed = std::uint64_t{device()} << 32 | device();
  } catch (const std::exception&) {  // no source of randomness: the clock is better than nothing
    seed = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  return seed;
}

std::uint64_t random_seed() noexcept {
  static std::atomic<std::uint64_t> next = random_start();
  std::uint64_t state = next.fetch_add(0x9E3779B97F4A7C15, kRelaxed);
  const std::uint64_t seed = splitmix(state);
  return seed == 0 ? 1 : seed;
}

// Of an odd number, modulo 2^64. Each step doubles the bits that are right, three at first.
constexpr std::uint64_t inverse_of(std::uint64_t odd) noexcept {
  std::uint64_t inverse = odd;
  for (int i = 0; i < 5; ++i) inverse *= 2 - odd * inverse;
  return inverse;
}

std::uint64_t mask_from(std::uint64_t seed) noexcept { return splitmix(seed); }
std::uint64_t multiplier_from(std::uint64_t seed) noexcept {
  (void)splitmix(seed);
  return splitmix(seed) | 1;
}

std::size_t array_bytes(std::size_t bucket_count) noexcept { return kAlignment * (bucket_count + 1); }

Error no_memory(std::uint64_t entries) {
  try {
    return {Errc::out_of_memory, "no memory for another entry in the key index of " + std::to_string(entries) +
                                     " entries; the index is unchanged"};
  } catch (const std::bad_alloc&) {
    return {Errc::out_of_memory, {}};
  }
}

bool valid(std::uint64_t offset) noexcept { return offset - 1 < Index::kOffsetMax; }

Error bad_offset(std::uint64_t offset) {
  return {Errc::internal, "cannot index a record at offset " + std::to_string(offset) + ": it is not in 1 to 2^48 - 1"};
}

}  // namespace

// In front of the small arrays that are cut from it; whoever destroys the last of them gives it back.
struct alignas(64) Index::Block {
  std::atomic<std::size_t> users = 1;  // the arrays, and the index while it goes on cutting

  static void let_go(Block* block, IndexMemory& memory) noexcept {
    if (block->users.fetch_sub(1, std::memory_order_acq_rel) == 1) memory.deallocate(block, kBlockBytes);
  }
};

struct Index::Header : Epoch::Retired {
  IndexMemory* memory = nullptr;
  Block* block = nullptr;  // null: an allocation of its own

  static Header& of(Bucket* buckets) noexcept {
    return *std::launder(reinterpret_cast<Header*>(reinterpret_cast<std::byte*>(buckets) - kAlignment));
  }
  static void destroy_array(Epoch::Retired& retired) noexcept {
    auto& header = static_cast<Header&>(retired);
    if (header.block != nullptr) {
      Block::let_go(header.block, *header.memory);
    } else {
      header.memory->deallocate(&header, header.bytes);
    }
  }
};

IndexMemory& IndexMemory::of_process() noexcept {
  static ProcessMemory memory;
  return memory;
}

Index::Index(Epoch& epoch, const Options& options) noexcept
    : epoch_(epoch),
      memory_(options.memory == nullptr ? IndexMemory::of_process() : *options.memory),
      seed_(options.seed == 0 ? random_seed() : options.seed),
      mask_(mask_from(seed_)),
      multiplier_(multiplier_from(seed_)),
      inverse_(inverse_of(multiplier_)) {}

Index::~Index() {
  drop_chunk();
  for (const Shard& shard : shards_) {
    if (shard.buckets != nullptr) Header::destroy_array(Header::of(shard.buckets));
  }
}

// ---- Where things are ---------------------------------------------------------------------------------------

std::uint64_t Index::unmix(std::uint64_t mixed) const noexcept {
  std::uint64_t product = mixed * inverse_;
  product ^= product >> 32;
  return product * inverse_of(kMultiplier) ^ mask_;
}

std::uint64_t Index::mixed_at(const Bucket& bucket, std::size_t slot, std::size_t shard, std::uint64_t word) noexcept {
  const std::uint64_t rest = (bucket.rest.load(kAcquire) >> (kRestBits * slot)) & kRestMask;
  return std::uint64_t{shard} << (64 - kShardBits) | rest << 48 |
         std::uint64_t{bucket.middle[slot].load(kAcquire)} << 16 | word >> 48;
}

// ---- Readers ------------------------------------------------------------------------------------------------

// find_in() where the first slot that looked right was not: another one may be, or the writer is at work.
std::uint64_t Index::find_among(const Bucket& bucket, std::uint64_t mixed) noexcept {
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    std::uint64_t word = bucket.words[slot].load(kAcquire);
    while ((word ^ mixed << 48) - 1 < kOffsetMax) {
      const bool same = holds(bucket, slot, mixed);
      const std::uint64_t again = bucket.words[slot].load(kAcquire);
      if (again == word) {
        if (same) return word & kOffsetMax;
        break;
      }
      word = again;  // the writer went on
    }
  }
  return 0;
}

std::uint64_t Index::find_beyond(const Table& table, std::size_t home, std::uint64_t mixed) noexcept {
  std::size_t i = home;
  for (std::size_t left = table.bucket_count - 1; left != 0; --left) {
    if (++i == table.bucket_count) i = 0;
    const Bucket& bucket = table.buckets[i];
    const std::uint64_t offset = find_in(bucket, mixed);
    if (offset != 0 || (bucket.rest.load(kRelaxed) & kPassedBy) == 0) return offset;
  }
  return 0;
}

void Index::prefetch_mixed(std::uint64_t mixed) const noexcept {
  const Table table = load_table(shard_of(mixed));
  simdrive::prefetch(table.buckets + home_of(mixed, table.bucket_count));
}

// Calls look(i, mixed) for every i, in order, until it returns false, while the buckets of those behind are on their
// way from memory: first the homes, and later, once they are there, the neighbours of those that are full.
template <class HashAt, class Look>
void Index::look_ahead(std::size_t count, HashAt hash_at, Look look) const noexcept {
  std::array<std::uint64_t, kAhead> mixed;
  for (std::size_t i = 0; i < std::min(count, kAhead); ++i) prefetch_mixed(mixed[i] = mix(hash_at(i)));
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t& here = mixed[i % kAhead];
    if (i + kAheadNext < count) prefetch_next(mixed[(i + kAheadNext) % kAhead]);
    if (!look(i, here)) return;
    if (i + kAhead < count) prefetch_mixed(here = mix(hash_at(i + kAhead)));
  }
}

void Index::prefetch_next(std::uint64_t mixed) const noexcept {
  const Table table = load_table(shard_of(mixed));
  if (table.bucket_count == 0) return;
  const Bucket* const home = table.buckets + home_of(mixed, table.bucket_count);
  // The last slot is filled last. Behind the last bucket there is nothing to be fetched, and no harm in trying.
  if (home->words[kSlots - 1].load(kRelaxed) != 0) simdrive::prefetch(home + 1);
}

void Index::find_many(std::span<const std::uint64_t> hashes, std::span<std::uint64_t> offsets,
                      const Epoch::Guard& /*guard*/) const noexcept {
  look_ahead(
      std::min(hashes.size(), offsets.size()), [&](std::size_t i) { return hashes[i]; },
      [&](std::size_t i, std::uint64_t mixed) {
        offsets[i] = find_mixed(mixed);
        return true;
      });
}

Index::Entry Index::entry_at(const Table& table, std::size_t shard, std::size_t position) const noexcept {
  const Bucket& bucket = table.buckets[position / kSlots];
  const std::size_t slot = position % kSlots;
  std::uint64_t word = bucket.words[slot].load(kAcquire);
  while (word != 0) {
    const std::uint64_t mixed = mixed_at(bucket, slot, shard, word);
    const std::uint64_t again = bucket.words[slot].load(kAcquire);
    if (again == word) return {unmix(mixed), word & kOffsetMax};
    word = again;
  }
  return {0, 0};
}

// ---- The writer ---------------------------------------------------------------------------------------------

Index::Slot Index::locate(const Shard& shard, std::uint64_t mixed) noexcept {
  if (shard.bucket_count == 0) return {};
  const std::size_t home = home_of(mixed, shard.bucket_count);
  std::size_t i = home;
  for (std::size_t left = shard.bucket_count; left != 0; --left) {
    Bucket& bucket = shard.buckets[i];
    for (std::size_t slot = candidate(bucket, mixed); slot < kSlots; ++slot) {
      const std::uint64_t word = bucket.words[slot].load(kRelaxed);
      if ((word ^ mixed << 48) - 1 < kOffsetMax && holds(bucket, slot, mixed)) return {&bucket, slot, i == home};
    }
    if ((bucket.rest.load(kRelaxed) & kPassedBy) == 0) break;
    if (++i == shard.bucket_count) i = 0;
  }
  return {};
}

unsigned Index::empty_slots(const Bucket& bucket) noexcept {
  unsigned empty = 0;
  each_slot([&](std::size_t slot) { empty |= static_cast<unsigned>(bucket.words[slot].load(kRelaxed) == 0) << slot; });
  return empty;
}

void Index::fill_slot(Bucket& bucket, unsigned slot, std::uint64_t mixed, std::uint64_t offset) noexcept {
  const std::uint32_t rest = bucket.rest.load(kRelaxed);
  const unsigned shift = kRestBits * slot;
  // Release: whoever sees these sees the slot empty, too, and not the word it had before.
  bucket.middle[slot].store(static_cast<std::uint32_t>(mixed >> 16), kRelease);
  bucket.rest.store((rest & ~(kRestMask << shift)) | (static_cast<std::uint32_t>(mixed >> 48) & kRestMask) << shift,
                    kRelease);
  bucket.words[slot].store(mixed << 48 | offset, kRelease);
}

// Into the first free slot from its home on; there is one. The hash is not in the table.
void Index::place(const Table& table, std::uint64_t mixed, std::uint64_t offset) noexcept {
  for (std::size_t i = home_of(mixed, table.bucket_count);;) {
    Bucket& bucket = table.buckets[i];
    if (const unsigned empty = empty_slots(bucket); empty != 0) {
      return fill_slot(bucket, static_cast<unsigned>(std::countr_zero(empty)), mixed, offset);
    }
    bucket.rest.store(bucket.rest.load(kRelaxed) | kPassedBy, kRelease);
    if (++i == table.bucket_count) i = 0;
  }
}

// As many buckets as hold `count` entries at `load` 256ths.
std::size_t Index::sized(std::uint64_t count, unsigned load) noexcept {
  return static_cast<std::size_t>((count * 256 + kSlots * load - 1) / (kSlots * load));
}

// To whole pages, where arrays are pages, but at least `least`.
std::size_t Index::rounded(std::size_t bucket_count, std::size_t least) noexcept {
  const std::size_t bytes = array_bytes(bucket_count);
  if (bytes < kPagesFrom) return bucket_count;
  const std::size_t nearest = (bytes + kPage / 2) / kPage * kPage / kAlignment - 1;
  return nearest >= least ? nearest : nearest + kPage / kAlignment;
}

// Grows a shard that would become too full; if it cannot, whether there are enough slots all the same.
bool Index::make_room(std::size_t number, std::uint64_t more) noexcept {
  const Shard& shard = shards_[number];
  const std::uint64_t count = shard.count + more;
  if (count <= shard.limit) return true;
  const std::size_t least = sized(count, kLoadMax);
  // Each shard by a little less or more, so that they do not all grow at the same time. Below 300 thousand entries in
  // all, time counts for more than memory: by a quarter at a time, an entry is moved four times on the way.
  const std::size_t part = shard.bucket_count < kTinyBuckets && expected_ == 0 ? 768
                           : shard.bucket_count < kSmallBuckets                ? 192 + number % 65
                                                                               : 56 + number % 17;
  const std::size_t growth = std::size_t{shard.bucket_count} * part / 256;
  const std::size_t hoped_for = sized(expected_ / kShards, kLoadSized);
  const std::size_t wanted = std::max({least, shard.bucket_count + growth, hoped_for});
  return rebuild(number, rounded(wanted, least)) || rebuild(number, rounded(least, least)) ||
         count <= std::uint64_t{shard.bucket_count} * kSlots;
}

bool Index::rebuild(std::size_t number, std::size_t bucket_count) noexcept {
  Shard& shard = shards_[number];
  if (bucket_count > kCountMask) return false;
  const std::size_t bytes = array_bytes(bucket_count);
  void* start = expected_ != 0 && bytes <= kBlockArrayMax ? cut_from_block(bytes) : nullptr;
  const bool cut = start != nullptr;
  if (!cut) start = allocate(bytes);
  if (start == nullptr) return false;
  if (reinterpret_cast<std::uintptr_t>(start) > kAddressMax - bytes) {  // no system gives these unless it is asked to
    if (cut) {
      Block::let_go(block_, memory_);
    } else {
      memory_.deallocate(start, bytes);
    }
    return false;
  }
  static_assert(sizeof(Header) <= kAlignment);
  auto* header = ::new (start) Header;
  header->bytes = bytes;
  header->destroy = Header::destroy_array;
  header->memory = &memory_;
  header->block = cut ? block_ : nullptr;
  // All zero is the state of an empty bucket; to construct them would only write it again.
  const Table table{reinterpret_cast<Bucket*>(static_cast<std::byte*>(start) + kAlignment), bucket_count};
  // A page that is read before it is written costs two faults.
  for (std::size_t i = 0; i < bucket_count; i += kPage / kAlignment) table.buckets[i].rest.store(0, kRelaxed);
  // Homes are in the order of the hashes in both arrays, so this reads and writes from front to back.
  for (std::size_t i = 0; i < shard.bucket_count; ++i) {
    const Bucket& bucket = shard.buckets[i];
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
      const std::uint64_t word = bucket.words[slot].load(kRelaxed);
      if (word != 0) place(table, mixed_at(bucket, slot, number, word), word & kOffsetMax);
    }
  }
  replace(number, table);
  return true;
}

// Arrays of an index that is being filled are cut from huge pages: a look-up of a key then finds the page more often,
// and to fill 1000 arrays takes 10 page faults instead of 5000. Those that grow by themselves later, one now and then,
// have pages of their own, which go back to the system for good.
void* Index::allocate(std::size_t bytes) noexcept {
  if (expected_ == 0 || bytes < kPagesFrom || bytes > kChunkBytes) return memory_.allocate(bytes);
  const std::size_t pages = (bytes + kPage - 1) / kPage * kPage;
  if (pages > chunk_bytes_) {
    void* const chunk = memory_.allocate_chunk(kChunkBytes);
    if (chunk == nullptr) return memory_.allocate(bytes);
    drop_chunk();
    chunk_ = static_cast<std::byte*>(chunk);
    chunk_bytes_ = kChunkBytes;
  }
  chunk_bytes_ -= pages;
  return std::exchange(chunk_, chunk_ + pages);
}

// A thousand small arrays, one by one, are most of what it costs to open a small store.
void* Index::cut_from_block(std::size_t bytes) noexcept {
  if (bytes > block_bytes_) {
    void* const start = memory_.allocate(kBlockBytes);
    if (start == nullptr) return nullptr;
    if (block_ != nullptr) Block::let_go(block_, memory_);
    block_ = ::new (start) Block;
    block_bytes_ = kBlockBytes - sizeof(Block);
  }
  auto* const end = reinterpret_cast<std::byte*>(block_) + kBlockBytes;
  std::byte* const array = end - block_bytes_;
  block_bytes_ -= bytes;
  block_->users.fetch_add(1, kRelaxed);
  return array;
}

void Index::drop_chunk() noexcept {
  if (block_ != nullptr) Block::let_go(block_, memory_);
  block_ = nullptr;
  block_bytes_ = 0;
  if (chunk_bytes_ != 0) memory_.deallocate_rest(chunk_, chunk_bytes_);
  chunk_ = nullptr;
  chunk_bytes_ = 0;
}

// Publishes another array for a shard, or none, and retires the one it had.
void Index::replace(std::size_t number, const Table& table) noexcept {
  Shard& shard = shards_[number];
  const auto address = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(table.buckets));
  directory_[number].store(address >> 6 << kCountBits | table.bucket_count, kRelease);
  std::size_t bytes = array_bytes_.load(kRelaxed);
  if (table.buckets != nullptr) bytes += array_bytes(table.bucket_count);
  Bucket* const old = std::exchange(shard.buckets, table.buckets);
  if (old != nullptr) bytes -= array_bytes(shard.bucket_count);
  array_bytes_.store(bytes, kRelaxed);
  shard.bucket_count = static_cast<std::uint32_t>(table.bucket_count);
  shard.limit = static_cast<std::uint32_t>(std::uint64_t{table.bucket_count} * kSlots * kLoadMax / 256);
  shard.strays_erased = 0;
  if (old != nullptr) epoch_.retire(Header::of(old));
}

// Most of what is new finds room in its home, where nothing has passed by: one look at one bucket. False: it is
// there, or goes elsewhere.
bool Index::put_at_home(std::uint64_t mixed, std::uint64_t offset) noexcept {
  Shard& shard = shards_[shard_of(mixed)];
  if (shard.count >= shard.limit) return false;
  Bucket& bucket = shard.buckets[home_of(mixed, shard.bucket_count)];
  const unsigned empty = empty_slots(bucket);
  if (empty == 0 || (bucket.rest.load(kRelaxed) & kPassedBy) != 0 || candidate(bucket, mixed) != kSlots) return false;
  fill_slot(bucket, static_cast<unsigned>(std::countr_zero(empty)), mixed, offset);
  ++shard.count;
  size_.store(size() + 1, kRelaxed);
  return true;
}

// False: no memory, nothing changed.
bool Index::put(std::uint64_t mixed, std::uint64_t offset, Put how, Change& change) noexcept {
  if (put_at_home(mixed, offset)) {
    change = {true, 0};
    return true;
  }
  return put_elsewhere(mixed, offset, how, change);
}

// The same once put_at_home() has not done it.
bool Index::put_elsewhere(std::uint64_t mixed, std::uint64_t offset, Put how, Change& change) noexcept {
  const std::size_t number = shard_of(mixed);
  Shard& shard = shards_[number];
  if (const Slot at = locate(shard, mixed); at.bucket != nullptr) {
    std::atomic<std::uint64_t>& word = at.bucket->words[at.slot];
    change = {false, word.load(kRelaxed) & kOffsetMax};
    if (how == Put::set) word.store(mixed << 48 | offset, kRelease);
    return true;
  }
  if (!make_room(number, 1)) return false;
  place({shard.buckets, shard.bucket_count}, mixed, offset);
  ++shard.count;
  size_.store(size() + 1, kRelaxed);
  change = {true, 0};
  return true;
}

Result<Index::Change> Index::put_checked(std::uint64_t hash, std::uint64_t offset, Put how) {
  if (!valid(offset)) return bad_offset(offset);
  Change change{};
  if (!put(mix(hash), offset, how, change)) return no_memory(size());
  return change;
}

void Index::set_mixed(std::uint64_t mixed, std::uint64_t offset) noexcept {
  assert(valid(offset));
  if (put_at_home(mixed, offset)) return;
  Change change{};
  [[maybe_unused]] const bool enough = put_elsewhere(mixed, offset, Put::set, change);
  assert(enough);
}

void Index::set_many_prepared(std::span<const std::uint64_t> hashes, std::span<const std::uint64_t> offsets) noexcept {
  look_ahead(
      std::min(hashes.size(), offsets.size()), [&](std::size_t i) { return hashes[i]; },
      [&](std::size_t i, std::uint64_t mixed) {
        set_mixed(mixed, offsets[i]);
        return true;
      });
}

Result<Index::Change> Index::set(std::uint64_t hash, std::uint64_t offset) {
  return put_checked(hash, offset, Put::set);
}

Result<Index::Change> Index::put_if_absent(std::uint64_t hash, std::uint64_t offset) {
  return put_checked(hash, offset, Put::if_absent);
}

Result<std::size_t> Index::put_if_absent_many(std::span<const Entry> entries) {
  const std::uint64_t before = size();
  const Entry* bad = nullptr;
  bool enough = true;
  look_ahead(
      entries.size(), [&](std::size_t i) { return entries[i].hash; },
      [&](std::size_t i, std::uint64_t mixed) {
        const std::uint64_t offset = entries[i].offset;
        if (!valid(offset)) bad = &entries[i];
        if (bad != nullptr) return false;
        Change change{};
        enough = put(mixed, offset, Put::if_absent, change);
        return enough;
      });
  if (bad != nullptr) return bad_offset(bad->offset);
  if (!enough) return no_memory(size());
  return static_cast<std::size_t>(size() - before);
}

bool Index::has_room(std::span<const std::uint64_t> hashes) noexcept {
  if (hashes.size() == 1) prefetch(hashes[0]);  // on its way while the record is written
  bool enough = true;
  for (const std::uint64_t hash : hashes) {  // as if they were all new
    Shard& shard = shards_[shard_of(mix(hash))];
    ++shard.pending;
    enough = enough && std::uint64_t{shard.count} + shard.pending <= shard.limit;
  }
  for (const std::uint64_t hash : hashes) shards_[shard_of(mix(hash))].pending = 0;
  return enough;
}

Result<void> Index::prepare(std::span<const std::uint64_t> hashes) {
  // In a shard with room for all of them it does not matter which are new: their buckets, which are far away, need no
  // look. Else only what is new needs room: a batch of known keys must not make the index larger.
  for (const std::uint64_t hash : hashes) ++shards_[shard_of(mix(hash))].pending;
  for (const std::uint64_t hash : hashes) {
    const std::uint64_t mixed = mix(hash);
    Shard& shard = shards_[shard_of(mixed)];
    if (std::uint64_t{shard.count} + shard.pending > shard.limit && locate(shard, mixed).bucket != nullptr)
      --shard.pending;
  }
  bool enough = true;
  for (const std::uint64_t hash : hashes) {
    const std::size_t number = shard_of(mix(hash));
    if (const std::uint64_t pending = std::exchange(shards_[number].pending, 0); pending != 0) {
      enough = enough && make_room(number, pending);
    }
  }
  if (!enough) return no_memory(size());
  return {};
}

std::uint64_t Index::erase(std::uint64_t hash) noexcept {
  const std::uint64_t mixed = mix(hash);
  const std::size_t number = shard_of(mixed);
  Shard& shard = shards_[number];
  const Slot at = locate(shard, mixed);
  if (at.bucket == nullptr) return 0;
  const std::uint64_t old_offset = at.bucket->words[at.slot].load(kRelaxed) & kOffsetMax;
  at.bucket->words[at.slot].store(0, kRelease);
  --shard.count;
  size_.store(size() - 1, kRelaxed);
  if (!at.at_home) ++shard.strays_erased;
  if (shard.bucket_count > 1 &&
      std::uint64_t{shard.count} * 256 < std::uint64_t{shard.bucket_count} * kSlots * kLoadMin) {
    const std::size_t least = std::max<std::size_t>(1, sized(shard.count, kLoadShrunk));
    (void)rebuild(number, rounded(least, least));
  } else if (shard.strays_erased > shard.bucket_count) {
    // Buckets that nothing passed by any more still send every look-up on.
    if (!rebuild(number, shard.bucket_count)) shard.strays_erased = 0;
  }
  return old_offset;
}

void Index::clear() noexcept {
  if (array_bytes_.load(kRelaxed) == 0) return;
  for (std::size_t number = 0; number < kShards; ++number) {
    shards_[number].count = 0;
    if (shards_[number].buckets != nullptr) replace(number, {nullptr, 0});
  }
  size_.store(0, kRelaxed);
}

void Index::shrink_to_fit() noexcept {
  for (std::size_t number = 0; number < kShards; ++number) {
    const Shard& shard = shards_[number];
    const std::size_t least = sized(shard.count, kLoadMax);
    const std::size_t fitting = rounded(sized(shard.count, kLoadSized), least);
    if (shard.count == 0 && shard.buckets != nullptr) {
      replace(number, {nullptr, 0});
    } else if (fitting + fitting / 8 < shard.bucket_count) {
      (void)rebuild(number, fitting);
    }
  }
}

}  // namespace simdrive::store
