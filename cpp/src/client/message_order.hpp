// Which requests may share a message. The existing servers carry the requests of one message out at once and those of
// the next one afterwards (docs/design/wire.md, 7.1), so what must stay in order must not travel together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "client/call.hpp"

namespace simdrive::client {

/// The requests of one message, small ones. Threads that wait for their calls make one at a time: between those there
/// is no order. A thread may wait for one, though, after it has started others that it does not wait for.
class MessageOrder {
 public:
  void begin() noexcept {
    ++message_;
    known_ = 0;
    waited_ = waited_writes_ = started_ = started_writes_ = whole_reads_ = whole_writes_ = false;
  }

  /// Whether `call` may join the others, and then has.
  bool admit(const Call& call) {
    const bool writes = call.mutates();
    if (!call.completions) {
      if (writes ? started_ : started_writes_) return false;
      waited_ = true;
      waited_writes_ = waited_writes_ || writes;
      return true;
    }
    if (writes ? waited_ : waited_writes_) return false;
    if (call.touches == Touches::any_key) {
      if (writes ? started_ : started_writes_) return false;
      (writes ? whole_writes_ : whole_reads_) = true;
    } else {
      if (whole_writes_ || (writes && whole_reads_)) return false;
      if (!admit_key(call.key_hash, writes)) return false;
    }
    started_ = true;
    started_writes_ = started_writes_ || writes;
    return true;
  }

 private:
  struct Key {
    std::uint64_t hash;
    std::uint32_t message;
    bool written;
  };
  static constexpr std::size_t kSlots = 2048;
  static constexpr std::size_t kKeysMax = kSlots / 2;

  bool admit_key(std::uint64_t hash, bool writes) {
    if (!keys_) keys_ = std::make_unique<Key[]>(kSlots);
    if (known_ == kKeysMax) return false;
    std::size_t at = hash % kSlots;
    for (; keys_[at].message == message_; at = (at + 1) % kSlots) {
      if (keys_[at].hash == hash) return !writes && !keys_[at].written;
    }
    keys_[at] = {hash, message_, writes};
    ++known_;
    return true;
  }

  std::unique_ptr<Key[]> keys_;
  std::size_t known_ = 0;
  std::uint32_t message_ = 0;  // after 2^32 of them an old key could count as one of this message: an extra message
  bool waited_ = false;
  bool waited_writes_ = false;
  bool started_ = false;
  bool started_writes_ = false;
  bool whole_reads_ = false;
  bool whole_writes_ = false;
};

}  // namespace simdrive::client
