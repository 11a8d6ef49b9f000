// What tests may see of the key index besides its interface.
#pragma once

#include <cstddef>
#include <cstdint>

#include "store/index.hpp"

namespace simdrive::store {

struct IndexPeer {
  /// The hash that the index mixes into `mixed`, whose ten upper bits are the shard and the next 32 the home in it.
  static std::uint64_t hash_of_mixed(const Index& index, std::uint64_t mixed) { return index.unmix(mixed); }
  /// Hashes of one shard, in random places of it: all its growth and crowding with few entries.
  static std::uint64_t hash_in_shard(const Index& index, std::uint64_t shard, std::uint64_t i) {
    i = (i + 1) * 0xBF58476D1CE4E5B9;
    return index.unmix(shard << 54 | ((i ^ i >> 29) * 0x94D049BB133111EB) >> 10);
  }
  static std::size_t buckets(const Index& index) {
    std::size_t count = 0;
    for (const auto& shard : index.shards_) count += shard.bucket_count;
    return count;
  }
  static std::size_t buckets_passed_by(const Index& index) {
    std::size_t count = 0;
    for (const auto& shard : index.shards_) {
      for (std::size_t i = 0; i < shard.bucket_count; ++i) count += shard.buckets[i].rest.load() >> 30 & 1;
    }
    return count;
  }
};

}  // namespace simdrive::store
