#include <algorithm>
#include <thread>
#include <utility>

#include "base/prefetch.hpp"
#include "store/engine.hpp"

namespace simdrive::store {

namespace {

constexpr std::size_t kAhead = 16;  // so far ahead are records fetched

// The trailer, and what is before it: of a short record the payload.
void prefetch_record(const std::uint8_t* file, std::uint64_t offset) noexcept {
  prefetch(file + offset);
  if (offset >= kPayloadAlignment) prefetch(file + offset - kPayloadAlignment);
}

/// Reads the record that the index has for a hash. False: it is another one by now.
bool is_value_of(const Mapping& mapping, std::uint64_t offset, Layout layout, std::uint64_t hash, Record& record) {
  return read_record(mapping, offset, layout, record) && record.trailer.hash == hash && !record.tombstone;
}

}  // namespace

// Another view of the same file if `view` does not show the first `end` bytes, which are written. The caller has a
// guard, and looks again if the view is of another file by now.
Result<const View*> Engine::cover(const View& view, std::uint64_t end) const {
  const Lock state = lock_state();
  if (!state.owns_lock()) return busy_at_fork_error();
  const View* const now = current_.load(std::memory_order_acquire);
  if (now == nullptr) return closed_error();
  if (now->generation != view.generation) return now;
  if (end <= now->covered.load(std::memory_order_relaxed)) return now;
  const File& file = *now->generation->file;
  const std::uint64_t written = now->generation->written.load(std::memory_order_acquire);
  if (const std::uint64_t covered = covered_by(file, now->mapping, written); covered >= end) {
    now->covered.store(covered, std::memory_order_release);
    return now;
  }
  Result<Mapping> mapping = now->generation->file->map(written);
  if (!mapping) return std::move(mapping).error();
  const std::uint64_t covered = covered_by(file, *mapping, written);
  View* const fresh = new View(now->generation, std::move(mapping).value(), covered);
  publish(fresh);
  if (covered < end) return missing_error(end - kTrailerBytes);
  return fresh;
}

Error Engine::busy_at_fork_error() const {
  return Error{.code = Errc::store_error,
               .detail = "read " + name_ + ": a thread was changing it when this process was copied by fork()"};
}

Error Engine::changed_error(std::uint64_t offset) const {
  return corrupt_error(path_, offset, "is not the one that was written there: the file was changed by others");
}

Error Engine::missing_error(std::uint64_t offset) const {
  return corrupt_error(path_, offset, "lies behind the end of the file");
}

// Few instructions, for the reason that Index::find_mixed() gives.
Engine::Quick Engine::read_quickly(std::uint64_t hash, Entry& entry) const noexcept {
  std::uint64_t offset = 0;
  Layout layout = Layout::aligned64;
  {
    const Epoch::Guard guard = epoch_.enter();
    const View* const view = current_.load(std::memory_order_acquire);
    if (view == nullptr || options_.verify) return Quick::unusual;
    const Generation& generation = *view->generation;
    layout = generation.layout;
    offset = generation.index.find(hash, guard);
    if (offset == 0) return Quick::absent;
    if (offset + kTrailerBytes > view->covered.load(std::memory_order_acquire) || layout == Layout::mixed) {
      return Quick::unusual;
    }
    prefetch_record(view->mapping.data(), offset);
    EntryMaker::attach(entry, view->mapping);
  }
  Record record;
  if (!read_plain_record(EntryMaker::file_of(entry), offset, layout, record) || record.trailer.hash != hash ||
      record.tombstone) {
    return Quick::unusual;
  }
  EntryMaker::describe(entry, record);
  return Quick::found;
}

Result<std::optional<Entry>> Engine::read(std::uint64_t hash) const {
  Result<std::optional<Entry>> result{std::optional<Entry>()};  // all that is returned, so that it is never moved
  Mapping mapping;
  Layout layout = Layout::aligned64;
  std::uint64_t offset = 0;
  {
    const Epoch::Guard guard = epoch_.enter();
    const View* view = current_.load(std::memory_order_acquire);
    while (true) {
      if (view == nullptr) {
        result = closed_error();
        return result;
      }
      offset = view->generation->index.find(hash, guard);
      if (offset == 0) return result;
      const std::uint64_t end = offset + kTrailerBytes;
      if (end <= view->covered.load(std::memory_order_acquire)) break;
      Result<const View*> larger = cover(*view, end);
      if (!larger) {
        result = std::move(larger).error();
        return result;
      }
      view = *larger;  // look again: it may be of another file
    }
    prefetch_record(view->mapping.data(), offset);  // on its way while references are counted
    mapping = view->mapping;
    layout = view->generation->layout;
  }
  Record record;
  if (!is_value_of(mapping, offset, layout, hash, record)) {
    result = changed_error(offset);
    return result;
  }
  EntryMaker::fill(result->emplace(), std::move(mapping), record);
  if (options_.verify) {
    if (Result<void> good = check_entry(**result, path_); !good) result = std::move(good).error();
  }
  return result;
}

// The offsets of all hashes at one moment, and the view of that moment.
Result<const View*> Engine::find_all(std::span<const std::uint64_t> hashes, std::span<std::uint64_t> offsets,
                                     const Epoch::Guard& guard) const {
  // After so many tries against a busy writer, keep it from changing the index for once.
  constexpr int kTriesMax = 4;
  for (int tries = 0;; ++tries) {
    Lock state;
    if (tries >= kTriesMax) state = lock_state();
    const std::uint64_t changes = changes_.load(std::memory_order_acquire);
    if ((changes & 1) != 0) {
      if (tries > kTriesMax) return busy_at_fork_error();
      std::this_thread::yield();
      continue;
    }
    const View* const view = current_.load(std::memory_order_acquire);
    if (view == nullptr) return closed_error();
    view->generation->index.find_many(hashes, offsets, guard);
    // An addition, so that no look-up can be done after it.
    if (changes_.fetch_add(0, std::memory_order_acq_rel) == changes) return view;
  }
}

Result<Engine::Located> Engine::locate(std::span<const std::uint64_t> hashes, std::span<std::uint64_t> offsets) const {
  const Epoch::Guard guard = epoch_.enter();
  const View* view = nullptr;
  if (hashes.size() == 1) {
    view = current_.load(std::memory_order_acquire);
    if (view == nullptr) return closed_error();
    offsets[0] = view->generation->index.find(hashes[0], guard);
  } else {
    const Result<const View*> seen = find_all(hashes, offsets, guard);
    if (!seen) return seen.error();
    view = *seen;
  }
  if (std::all_of(offsets.begin(), offsets.end(), [](std::uint64_t offset) { return offset == 0; })) return Located();
  return Located{.file = view->generation->file, .layout = view->generation->layout};
}

Result<std::vector<std::optional<Entry>>> Engine::batch_read(std::span<const std::uint64_t> hashes) const {
  std::vector<std::optional<Entry>> entries(hashes.size());
  std::vector<std::uint64_t> offsets(hashes.size());
  {
    const Epoch::Guard guard = epoch_.enter();
    const View* view = nullptr;
    while (true) {
      const Result<const View*> seen = find_all(hashes, offsets, guard);
      if (!seen) return seen.error();
      view = *seen;
      const auto highest = std::max_element(offsets.begin(), offsets.end());
      const std::uint64_t end = highest == offsets.end() || *highest == 0 ? 0 : *highest + kTrailerBytes;
      if (end <= view->covered.load(std::memory_order_acquire)) break;
      Result<const View*> larger = cover(*view, end);
      if (!larger) return std::move(larger).error();
      const bool same = (*larger)->generation == view->generation;
      view = *larger;
      if (same) break;
    }
    const std::uint8_t* const file = view->mapping.data();
    for (std::size_t i = 0; i < std::min(kAhead, offsets.size()); ++i) {
      if (offsets[i] != 0) prefetch_record(file, offsets[i]);
    }
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      if (i + kAhead < hashes.size() && offsets[i + kAhead] != 0) prefetch_record(file, offsets[i + kAhead]);
      if (offsets[i] == 0) continue;
      Record record;
      if (!is_value_of(view->mapping, offsets[i], view->generation->layout, hashes[i], record)) {
        return changed_error(offsets[i]);
      }
      EntryMaker::fill(entries[i].emplace(), view->mapping, record);
    }
  }
  if (options_.verify) {
    for (const std::optional<Entry>& entry : entries) {
      if (!entry) continue;
      if (Result<void> good = check_entry(*entry, path_); !good) return std::move(good).error();
    }
  }
  return entries;
}

Result<bool> Engine::exists(std::uint64_t hash) const {
  const Epoch::Guard guard = epoch_.enter();
  const View* const view = current_.load(std::memory_order_acquire);
  if (view == nullptr) return closed_error();
  return view->generation->index.find(hash, guard) != 0;
}

Result<std::uint64_t> Engine::size() const {
  const Epoch::Guard guard = epoch_.enter();
  const View* const view = current_.load(std::memory_order_acquire);
  if (view == nullptr) return closed_error();
  return view->generation->index.size();
}

Result<std::shared_ptr<Generation>> Engine::generation_now() const {
  const Epoch::Guard guard = epoch_.enter();
  const View* const view = current_.load(std::memory_order_acquire);
  if (view == nullptr) return closed_error();
  return view->generation;
}

Result<Mapping> Engine::mapping_of(const std::shared_ptr<Generation>& generation, std::uint64_t end) const {
  if (end == 0) return Mapping();
  {
    const Epoch::Guard guard = epoch_.enter();
    const View* view = current_.load(std::memory_order_acquire);
    if (view != nullptr && view->generation == generation) {
      if (end > view->covered.load(std::memory_order_acquire)) {
        if (const Result<const View*> larger = cover(*view, end)) view = *larger;
      }
      if (view->generation == generation && end <= view->covered.load(std::memory_order_acquire)) return view->mapping;
    }
  }
  return generation->file->map(end);  // a file that was replaced meanwhile
}

Result<bool> Engine::read_last(Entry& entry) const {
  const Result<std::shared_ptr<Generation>> generation = generation_now();
  if (!generation) return generation.error();
  const std::uint64_t tail = (*generation)->tail.load(std::memory_order_acquire);
  if (tail == 0) return false;
  const Result<Mapping> mapping = mapping_of(*generation, tail);
  if (!mapping) return mapping.error();
  Record record;
  if (!read_record(*mapping, tail - kTrailerBytes, (*generation)->layout, record)) {
    return corrupt_error(path_, tail - kTrailerBytes, "is no longer a record");
  }
  EntryMaker::fill(entry, *mapping, record);
  if (options_.verify) {
    if (Result<void> good = check_entry(entry, path_); !good) return std::move(good).error();
  }
  return true;
}

Result<LiveWalk> Engine::walk() const {
  const Result<std::shared_ptr<Generation>> generation = generation_now();
  if (!generation) return generation.error();
  std::uint64_t tail = 0;
  Result<LiveRecords> live =
      LiveRecords::take(**generation, tail, [&](std::uint64_t end) { return mapping_of(*generation, end); });
  if (!live) return std::move(live).error();
  Result<Mapping> mapping = mapping_of(*generation, tail);
  if (!mapping) return std::move(mapping).error();
  return LiveWalk(std::move(mapping).value(), tail, (*generation)->layout, std::move(live).value(), path_);
}

}  // namespace simdrive::store
