#include "store/index.hpp"

#include <algorithm>
#include <bit>
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

// Of a bucket's `rest`: an entry passed by, since the bucket was full.
constexpr std::uint32_t kPassedBy = std::uint32_t{1} << 30;
constexpr unsigned kRestBits = 6;
constexpr std::uint32_t kRestMask = (1U << kRestBits) - 1;

// Of the directory's words.
constexpr unsigned kCountBits = 22;
constexpr std::uint64_t kCountMask = (std::uint64_t{1} << kCountBits) - 1;
constexpr std::uint64_t kAddressMax = (std::uint64_t{1} << (64 - kCountBits + 6)) - 1;

// Of all slots, in 256ths. Fuller than kLoadMax an array grows; one that is made for a known number gets kLoadSized,
// and one that has become too large, kLoadShrunk.
constexpr unsigned kLoadMax = 218;
constexpr unsigned kLoadSized = 205;
constexpr unsigned kLoadShrunk = 154;
constexpr unsigned kLoadMin = 64;

// Arrays below this at least nearly double.
constexpr std::size_t kSmallBuckets = 72;

constexpr std::size_t kPage = 4096;
constexpr std::size_t kPagesFrom = 3 * kPage;
constexpr std::size_t kAlignment = 64;

// So far ahead are the lines fetched, when there are many to look at.
constexpr std::size_t kAhead = 16;

class ProcessMemory final : public IndexMemory {
 public:
  void* allocate(std::size_t bytes) noexcept override {
    if (bytes >= kPagesFrom) return map_pages(bytes);
    void* start = ::operator new(bytes, std::align_val_t{kAlignment}, std::nothrow);
    return start == nullptr ? nullptr : std::memset(start, 0, bytes);
  }
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

std::uint64_t random_seed() noexcept {
  std::uint64_t seed = 0;
  try {
    std::random_device device;
    seed = std::uint64_t{device()} << 32 | device();
  } catch (const std::exception&) {  // no source of randomness: the clock is better than nothing
    seed = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
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

struct Index::Header : Epoch::Retired {
  IndexMemory* memory = nullptr;

  static Header& of(Bucket* buckets) noexcept {
    return *std::launder(reinterpret_cast<Header*>(reinterpret_cast<std::byte*>(buckets) - kAlignment));
  }
  static void destroy_array(Epoch::Retired& retired) noexcept {
    auto& header = static_cast<Header&>(retired);
    header.memory->deallocate(&header, header.bytes);
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

std::size_t Index::home_of(std::uint64_t mixed, std::size_t bucket_count) noexcept {
  return static_cast<std::size_t>((mixed << kShardBits >> 32) * bucket_count >> 32);
}

// Whether an entry with the right tag is that of a hash.
bool Index::holds(const Bucket& bucket, std::size_t slot, std::uint64_t mixed) noexcept {
  return bucket.middle[slot].load(kAcquire) == static_cast<std::uint32_t>(mixed >> 16) &&
         ((bucket.rest.load(kAcquire) >> (kRestBits * slot)) & kRestMask) == ((mixed >> 48) & kRestMask);
}

// The slots with the right tag, as bits: no branch to foretell wrongly.
unsigned Index::candidates(const Bucket& bucket, std::uint64_t mixed) noexcept {
  unsigned found = 0;
  for (unsigned i = 0; i < kSlots; ++i) {
    const std::uint64_t rest = bucket.words[i].load(kRelaxed) ^ mixed << 48;
    found |= static_cast<unsigned>(rest - 1 < kOffsetMax) << i;  // the same tag, and an offset
  }
  return found;
}

std::uint64_t Index::mixed_at(const Bucket& bucket, std::size_t slot, std::size_t shard, std::uint64_t word) noexcept {
  const std::uint64_t rest = (bucket.rest.load(kAcquire) >> (kRestBits * slot)) & kRestMask;
  return std::uint64_t{shard} << (64 - kShardBits) | rest << 48 |
         std::uint64_t{bucket.middle[slot].load(kAcquire)} << 16 | word >> 48;
}

Index::Table Index::load_table(std::size_t shard) const noexcept {
  const std::uint64_t word = directory_[shard].load(kAcquire);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): one word is what makes a shard change at once
  return {reinterpret_cast<Bucket*>(static_cast<std::uintptr_t>(word >> kCountBits << 6)),
          static_cast<std::size_t>(word & kCountMask)};
}

// ---- Readers ------------------------------------------------------------------------------------------------

std::uint64_t Index::find_mixed(std::uint64_t mixed) const noexcept {
  const Table table = load_table(shard_of(mixed));
  if (table.bucket_count == 0) return 0;
  std::size_t i = home_of(mixed, table.bucket_count);
  for (std::size_t left = table.bucket_count; left != 0; --left) {
    const Bucket& bucket = table.buckets[i];
    for (unsigned found = candidates(bucket, mixed); found != 0; found &= found - 1) {
      const auto slot = static_cast<std::size_t>(std::countr_zero(found));
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
    if ((bucket.rest.load(kRelaxed) & kPassedBy) == 0) return 0;
    if (++i == table.bucket_count) i = 0;
  }
  return 0;
}

void Index::prefetch_mixed(std::uint64_t mixed) const noexcept {
  const Table table = load_table(shard_of(mixed));
  simdrive::prefetch(table.buckets + home_of(mixed, table.bucket_count));
}

std::uint64_t Index::find(std::uint64_t hash, const Epoch::Guard& /*guard*/) const noexcept {
  return find_mixed(mix(hash));
}

void Index::find_many(std::span<const std::uint64_t> hashes, std::span<std::uint64_t> offsets,
                      const Epoch::Guard& /*guard*/) const noexcept {
  const std::size_t count = std::min(hashes.size(), offsets.size());
  std::array<std::uint64_t, kAhead> mixed;
  for (std::size_t i = 0; i < count + kAhead; ++i) {
    std::uint64_t& next = mixed[i % kAhead];
    if (i >= kAhead) offsets[i - kAhead] = find_mixed(next);
    if (i < count) prefetch_mixed(next = mix(hashes[i]));
  }
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
    for (unsigned found = candidates(bucket, mixed); found != 0; found &= found - 1) {
      const auto slot = static_cast<std::size_t>(std::countr_zero(found));
      if (holds(bucket, slot, mixed)) return {&bucket, slot, i == home};
    }
    if ((bucket.rest.load(kRelaxed) & kPassedBy) == 0) break;
    if (++i == shard.bucket_count) i = 0;
  }
  return {};
}

// Into the first free slot from its home on; there is one. The hash is not in the table.
void Index::place(const Table& table, std::uint64_t mixed, std::uint64_t offset) noexcept {
  for (std::size_t i = home_of(mixed, table.bucket_count);;) {
    Bucket& bucket = table.buckets[i];
    const std::uint32_t rest = bucket.rest.load(kRelaxed);
    unsigned empty = 0;
    for (unsigned slot = 0; slot < kSlots; ++slot) {
      empty |= static_cast<unsigned>(bucket.words[slot].load(kRelaxed) == 0) << slot;
    }
    if (empty != 0) {
      const auto slot = static_cast<unsigned>(std::countr_zero(empty));
      const unsigned shift = kRestBits * slot;
      // Release: whoever sees these sees the slot empty, too, and not the word it had before.
      bucket.middle[slot].store(static_cast<std::uint32_t>(mixed >> 16), kRelease);
      bucket.rest.store((rest & ~(kRestMask << shift)) | (static_cast<std::uint32_t>(mixed >> 48) & kRestMask) << shift,
                        kRelease);
      bucket.words[slot].store(mixed << 48 | offset, kRelease);
      return;
    }
    bucket.rest.store(rest | kPassedBy, kRelease);
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
  const std::size_t least = sized(count, kLoadMax);
  if (least <= shard.bucket_count) return true;
  // Each shard by a little less or more, so that they do not all grow at the same time. Below 300 thousand entries in
  // all, time counts for more than memory: by a quarter at a time, an entry is moved four times on the way.
  const std::size_t part = shard.bucket_count < kSmallBuckets ? 192 + number % 65 : 56 + number % 17;
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
  void* start = memory_.allocate(bytes);
  if (start == nullptr) return false;
  if (reinterpret_cast<std::uintptr_t>(start) > kAddressMax - bytes) {  // no system gives these unless it is asked to
    memory_.deallocate(start, bytes);
    return false;
  }
  static_assert(sizeof(Header) <= kAlignment);
  auto* header = ::new (start) Header;
  header->bytes = bytes;
  header->destroy = Header::destroy_array;
  header->memory = &memory_;
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
  shard.strays_erased = 0;
  if (old != nullptr) epoch_.retire(Header::of(old));
}

// False: no memory, nothing changed.
bool Index::put(std::uint64_t mixed, std::uint64_t offset, Put how, Change& change) noexcept {
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

Result<Index::Change> Index::set(std::uint64_t hash, std::uint64_t offset) {
  return put_checked(hash, offset, Put::set);
}

Result<Index::Change> Index::put_if_absent(std::uint64_t hash, std::uint64_t offset) {
  return put_checked(hash, offset, Put::if_absent);
}

Result<std::size_t> Index::put_if_absent_many(std::span<const Entry> entries) {
  const std::uint64_t before = size();
  std::array<std::uint64_t, kAhead> mixed;
  for (std::size_t i = 0; i < entries.size() + kAhead; ++i) {
    std::uint64_t& next = mixed[i % kAhead];
    if (i >= kAhead) {
      const std::uint64_t offset = entries[i - kAhead].offset;
      Change change{};
      if (!valid(offset)) return bad_offset(offset);
      if (!put(next, offset, Put::if_absent, change)) return no_memory(size());
    }
    if (i < entries.size()) prefetch_mixed(next = mix(entries[i].hash));
  }
  return static_cast<std::size_t>(size() - before);
}

Result<void> Index::prepare(std::span<const std::uint64_t> hashes) {
  // Where there is room for all of them, it does not matter which are new: their buckets, which are far away, need no
  // look. Else only what is new needs room: a batch of known keys must not make the index larger.
  const auto has_room = [this](const Shard& shard, std::uint64_t more) {
    return sized(shard.count + more, kLoadMax) <= shard.bucket_count;
  };
  if (hashes.size() == 1) {
    const std::uint64_t mixed = mix(hashes[0]);
    prefetch_mixed(mixed);
    if (has_room(shards_[shard_of(mixed)], 1)) return {};
  }
  for (const std::uint64_t hash : hashes) ++shards_[shard_of(mix(hash))].pending;
  for (const std::uint64_t hash : hashes) {
    const std::uint64_t mixed = mix(hash);
    Shard& shard = shards_[shard_of(mixed)];
    if (!has_room(shard, shard.pending) && locate(shard, mixed).bucket != nullptr) --shard.pending;
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
  if (shard.bucket_count > 1 && shard.count * 256 < std::uint64_t{shard.bucket_count} * kSlots * kLoadMin) {
    const std::size_t least = std::max<std::size_t>(1, sized(shard.count, kLoadShrunk));
    (void)rebuild(number, rounded(least, least));
  } else if (shard.strays_erased > shard.bucket_count) {
    // Buckets that nothing passed by any more still send every look-up on.
    if (!rebuild(number, shard.bucket_count)) shard.strays_erased = 0;
  }
  return old_offset;
}

void Index::clear() noexcept {
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
