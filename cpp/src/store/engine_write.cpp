#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include <utility>

#include "store/engine.hpp"

namespace simdrive::store {

namespace {

constexpr std::size_t kAhead = 16;  // so far ahead is the index fetched
constexpr std::chrono::microseconds kTurnWait{100};
constexpr std::uint8_t kTombstonePayload[] = {kTombstoneByte};

bool is_tombstone_payload(BytesView payload) noexcept { return payload.size() == 1 && payload[0] == kTombstoneByte; }

bool has_tombstone(std::span<const HashedPayload> records) noexcept {
  return std::any_of(records.begin(), records.end(),
                     [](const HashedPayload& record) { return is_tombstone_payload(record.payload); });
}

}  // namespace

Result<void> Engine::writable() const {
  if (options_.mode != StoreMode::read && !forked() && !closed() && !syncer_->failed() &&
      !broken_.load(std::memory_order_relaxed)) [[likely]] {
    return {};
  }
  if (closed()) return closed_error();
  std::string why;
  Error cause;
  if (options_.mode == StoreMode::read) {
    why = "it was opened with mode read";
  } else if (forked()) {
    why = "this process is a copy, by fork(), of the one that opened it";
  } else if (syncer_->failed()) {
    cause = syncer_->failure();
    why = "a sync has failed (" + cause.detail + "), and what it was to bring to the disk may be lost";
  } else {
    why = "a write failed and could not be taken back";
  }
  return Error{.code = Errc::store_read_only,
               .detail = "write to " + name_ + ": the store is read-only, " + why,
               .system_code = cause.system_code};
}

// Most others have written before a thread could be woken: yielding is quicker, and where it is not, it is over soon.
Engine::Turn Engine::try_turn() {
  Turn turn(append_mutex_, std::try_to_lock);
  if (turn.owns_lock()) [[likely]]
    return turn;
  const auto until = std::chrono::steady_clock::now() + kTurnWait;
  do {
    std::this_thread::yield();
    if (turn.try_lock()) break;
  } while (std::chrono::steady_clock::now() < until);
  return turn;
}

std::pair<Engine::Turn, Engine::Turn> Engine::both_turns(Engine& one, Engine& other) {
  Turn first(one.append_mutex_, std::defer_lock);
  Turn second(other.append_mutex_, std::defer_lock);
  std::lock(first, second);
  return {std::move(first), std::move(second)};
}

Result<Engine::Lock> Engine::lock_for_writing(Turn turn) {
  if (forked() || options_.mode == StoreMode::read) return writable().error();
  if (!turn.owns_lock()) turn = Lock(append_mutex_);
  if (Result<void> good = writable(); !good) return std::move(good).error();
  return turn;
}

// Before anything is written: afterwards nothing may fail.
Result<void> Engine::prepare(std::span<const std::uint64_t> hashes) {
  if (generation_->index.has_room(hashes)) return {};  // changes nothing that readers see
  const Lock state(state_mutex_);
  return generation_->index.prepare(hashes);
}

Error Engine::failed_append(Error error) {
  if (appender_->broken()) broken_.store(true, std::memory_order_relaxed);
  // Files that are outgrown in memory may have moved: what comes next must be mapped anew, though it was covered once.
  const Lock state(state_mutex_);
  const View& view = *current_.load(std::memory_order_relaxed);
  if (view.covered.load(std::memory_order_relaxed) > appender_->tail()) {
    view.covered.store(appender_->tail(), std::memory_order_release);
  }
  return error;
}

void Engine::apply(std::span<const HashedPayload> records, std::span<const std::uint64_t> hashes,
                   std::span<const std::uint64_t> offsets) {
  Generation& generation = *generation_;
  generation.written.store(appender_->tail(), std::memory_order_release);
  {
    const Lock state(state_mutex_);
    changes_.fetch_add(1, std::memory_order_acq_rel);
    if (generation.dead == nullptr && !has_tombstone(records)) {
      generation.index.set_many_prepared(hashes, offsets);
    } else {
      for (std::size_t i = 0; i < records.size(); ++i) {
        if (i + kAhead < records.size()) generation.index.prefetch(records[i + kAhead].key_hash);
        if (generation.dead != nullptr) generation.dead->erase(records[i].key_hash);
        if (is_tombstone_payload(records[i].payload)) {
          generation.index.erase(records[i].key_hash);
        } else {
          generation.index.set_prepared(records[i].key_hash, offsets[i]);
        }
      }
    }
    changes_.fetch_add(1, std::memory_order_release);
  }
  generation.tail.store(appender_->tail(), std::memory_order_release);
}

Result<std::uint64_t> Engine::commit(Lock lock, bool flush) {
  const std::uint64_t tail = appender_->tail();
  if (options_.sync == StoreSync::none && !flush) return tail;
  const std::uint64_t number = syncer_->appended(tail);
  lock.unlock();
  if (options_.sync == StoreSync::always || flush) {
    if (Result<void> synced = syncer_->wait_for(number); !synced) return std::move(synced).error();
  }
  return tail;
}

Result<std::uint64_t> Engine::write(std::uint64_t hash, BytesView payload, Turn turn, bool flush) {
  if (!is_storable(payload)) return check_payload(payload).error();
  Result<Lock> lock = lock_for_writing(std::move(turn));
  if (!lock) return std::move(lock).error();
  if (Result<void> room = prepare({&hash, 1}); !room) return std::move(room).error();
  if (Result<void> done = appender_->append(hash, payload); !done) return failed_append(std::move(done).error());
  const HashedPayload record{hash, payload};
  const std::uint64_t offset = appender_->tail() - kTrailerBytes;
  apply({&record, 1}, {&hash, 1}, {&offset, 1});
  return commit(std::move(lock).value(), flush);
}

Result<std::uint64_t> Engine::batch_write(std::span<const HashedPayload> records, bool allow_null, Turn turn) {
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (is_storable(records[i].payload)) continue;
    if (Result<void> good = check_payload(records[i].payload, allow_null, i); !good) return std::move(good).error();
  }
  Result<Lock> lock = lock_for_writing(std::move(turn));
  if (!lock) return std::move(lock).error();
  return append_records(std::move(lock).value(), records);
}

Result<std::uint64_t> Engine::append_records(Lock lock, std::span<const HashedPayload> records) {
  if (records.empty()) return appender_->tail();
  hashes_.clear();
  for (const HashedPayload& record : records) hashes_.push_back(record.key_hash);
  offsets_.resize(records.size());
  if (Result<void> room = prepare(hashes_); !room) return std::move(room).error();
  if (Result<void> done = appender_->append_all(records, offsets_); !done) {
    return failed_append(std::move(done).error());
  }
  apply(records, hashes_, offsets_);
  return commit(std::move(lock));
}

Result<std::uint64_t> Engine::write_stream(std::uint64_t hash, const StreamSource& source) {
  Result<Lock> lock = lock_for_writing();
  if (!lock) return std::move(lock).error();
  if (Result<void> room = prepare({&hash, 1}); !room) return std::move(room).error();
  if (Result<void> done = appender_->append_stream(hash, source); !done) return failed_append(std::move(done).error());
  constexpr std::uint8_t kAnyValue[] = {1};
  const HashedPayload record{hash, kAnyValue};  // only whether it is a tombstone matters
  const std::uint64_t offset = appender_->tail() - kTrailerBytes;
  apply({&record, 1}, {&hash, 1}, {&offset, 1});
  return commit(std::move(lock).value());
}

Result<std::uint64_t> Engine::erase(std::span<const std::uint64_t> hashes, Turn turn) {
  Result<Lock> lock = lock_for_writing(std::move(turn));
  if (!lock) return std::move(lock).error();
  std::vector<HashedPayload> tombstones;
  {
    const Epoch::Guard guard = epoch_.enter();
    for (const std::uint64_t hash : hashes) {
      const bool is_dead = generation_->dead != nullptr && generation_->dead->find(hash, guard) != 0;
      if (is_dead || generation_->index.find(hash, guard) != 0) tombstones.push_back({hash, kTombstonePayload});
    }
  }
  return append_records(std::move(lock).value(), tombstones);
}

Result<std::optional<std::uint64_t>> Engine::erase_unchanged(const Entry& entry, std::uint64_t generation, Turn turn) {
  Result<Lock> lock = lock_for_writing(std::move(turn));
  if (!lock) return std::move(lock).error();
  // A file that took the place of the one that was read may have another record at the same offset.
  const std::uint64_t offset = entry.offset() + entry.payload().size();
  if (generation_->number != generation || generation_->index.find(entry.key_hash(), epoch_.enter()) != offset) {
    return std::optional<std::uint64_t>();
  }
  const HashedPayload tombstone{entry.key_hash(), kTombstonePayload};
  const Result<std::uint64_t> tail = append_records(std::move(lock).value(), {&tombstone, 1});
  if (!tail) return tail.error();
  return std::optional(*tail);
}

Result<std::uint64_t> Engine::rename(std::uint64_t from, std::uint64_t to) {
  Result<Lock> lock = lock_for_writing();
  if (!lock) return std::move(lock).error();
  Result<std::optional<Entry>> found = read(from);
  if (!found) return std::move(found).error();
  if (!*found) {
    return Error{.code = Errc::key_not_found, .detail = "rename in " + name_ + ": there is no entry under the old key"};
  }
  const Entry& entry = **found;
  if (Result<void> good = check_entry(entry, path_); !good) return std::move(good).error();
  const std::array<HashedPayload, 2> records = {{{to, entry.payload()}, {from, kTombstonePayload}}};
  return append_records(std::move(lock).value(), records);
}

}  // namespace simdrive::store
