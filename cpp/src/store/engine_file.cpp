#include <algorithm>
#include <cerrno>
#include <utility>

#include "store/checked.hpp"
#include "store/compactor.hpp"
#include "store/engine.hpp"
#include "store/reader.hpp"

namespace simdrive::store {

namespace {

constexpr std::size_t kBadMax = 1000;

}  // namespace

Result<CompactResult> Engine::compact(const simdrive::Progress& progress) {
  const Result<Lock> lock = lock_for_writing();
  if (!lock) return lock.error();
  CompactResult result{.before = appender_->tail()};
  Result<LiveWalk> walk = this->walk();
  if (!walk) return std::move(walk).error();
  const std::string side_path = path_ + kCompactSuffix;
  Result<std::shared_ptr<File>> made = make_side_file(files_, side_path, options_.lock);
  if (!made) return std::move(made).error();
  std::shared_ptr<File> file = std::move(made).value();
  const auto fresh = std::make_shared<Generation>(epoch_, file);
  auto view = std::make_unique<View>(fresh);
  Syncer::Replacement replacement(*syncer_);
  Named named = Named::old_file;
  const auto build = [&]() -> Result<void> {
    // Before the path names it, so that no other writer can come in between.
    if (options_.lock) {
      if (Result<void> locked = file->try_lock_exclusive(); !locked) return locked;
    }
    fresh->index.expect(generation_->index.size());
    const Result<Copied> copied = copy_live(*walk, file, &fresh->index, path_, result.before, progress);
    if (!copied) return copied.error();
    fresh->index.expect(0);
    fresh->tail = copied->tail;
    fresh->written = copied->tail;
    fresh->number = generation_->number + 1;
    result.after = copied->tail;
    result.entries = copied->entries;
    if (Result<void> ready = replacement.begin(Syncer::Replacement::Old::whole); !ready) return ready;
    return put_in_place(files_, *file, *generation_->file, side_path, path_, named);
  };
  Result<void> built = checked(build);  // where memory ends, too, the path may name the new file
  if (named != Named::old_file && !built) syncer_->fail(built.error());  // what is there after a power failure?
  if (named == Named::new_file) {  // whatever else happened, that is the one to go on with
    install(std::move(view));
    replacement.end(std::move(file), result.after, built.ok());
  } else {
    (void)files_.remove(side_path);
  }
  if (!built) return std::move(built).error();
  return result;
}

Result<CompactResult> Engine::compact_to(const std::string& target, const simdrive::Progress& progress) const {
  Result<LiveWalk> walk = this->walk();
  if (!walk) return std::move(walk).error();
  const Result<std::shared_ptr<Generation>> generation = generation_now();
  if (!generation) return generation.error();
  if (!(*generation)->fault.empty()) return fault_error("compact", **generation);
  if (Result<void> good = check_names(files_, "compact to", target); !good) return std::move(good).error();
  CompactResult result{.before = tail()};
  const Result<bool> there = store::exists(files_, target);
  if (!there) return there.error();
  if (*there) return file_error("create", target, EEXIST);
  const std::string side_path = target + kCompactSuffix;
  const Result<std::shared_ptr<File>> made = make_side_file(files_, side_path, true);
  if (!made) return made.error();
  File& file = **made;
  const Result<Copied> copied = copy_live(*walk, *made, nullptr, path_, result.before, progress);
  if (!copied) {
    (void)files_.remove(side_path);
    return copied.error();
  }
  if (Result<void> put = put_at_new_name(files_, file, side_path, target); !put) return std::move(put).error();
  (void)MarkFile(files_, target).write(file, copied->tail);  // without it, opening checks the whole file
  result.after = copied->tail;
  result.entries = copied->entries;
  return result;
}

Result<simdrive::VerifyReport> Engine::verify(const simdrive::Progress& progress) const {
  const Result<std::shared_ptr<Generation>> generation = generation_now();
  if (!generation) return generation.error();
  const std::uint64_t tail = (*generation)->tail.load(std::memory_order_acquire);
  FileSource source(*(*generation)->file, tail);
  Ticker ticker(progress);
  const auto tell = [&](std::uint64_t done, std::uint64_t total) { return ticker.at(done, total).ok(); };
  if (Result<void> told = ticker.at(0, tail); !told) return std::move(told).error();
  Result<VerifyReport> found = store::verify(source, tail, (*generation)->layout, tell, kBadMax);
  if (!found) return std::move(found).error();
  simdrive::VerifyReport report{.ok = found->complete && found->bad_count == 0 && (*generation)->fault.empty(),
                                .entries = found->records,
                                .bad = std::move(found->bad),
                                .bad_count = found->bad_count,
                                .tail_offset = tail};
  std::reverse(report.bad.begin(), report.bad.end());
  if (!found->complete) {  // what should be a record there is none
    ++report.bad_count;
    report.bad.insert(report.bad.begin(), found->broken_at - std::min<std::uint64_t>(found->broken_at, kTrailerBytes));
    if (report.bad.size() > kBadMax) report.bad.pop_back();
  }
  return report;
}

Result<RecoverReport> Engine::recover(const simdrive::Progress& progress) {
  const Result<Lock> lock = lock_for_writing();
  if (!lock) return lock.error();
  std::shared_ptr<File> file;
  Named named = Named::old_file;
  Syncer::Replacement replacement(*syncer_);
  const auto before_replacing = [&] { return replacement.begin(Syncer::Replacement::Old::damaged); };
  const auto repair = [&] {
    return recover_file(files_, *generation_->file, path_, options_.lock, progress, before_replacing, file, named);
  };
  Result<RecoverReport> report = checked(repair);
  if (named == Named::old_file) return report;
  // What is appended to a file that has no name any more is lost, so from here on a failure ends writing.
  const auto go_on = [&]() -> Result<void> {
    if (!report) return report.error();
    const auto fresh = std::make_shared<Generation>(epoch_, file);
    auto view = std::make_unique<View>(fresh);
    const std::uint64_t size = report->kept_bytes;
    FileSource source(*file, size);
    IndexFiller filler(fresh->index, size);
    if (Result<WalkResult> walked = store::walk(source, size, Layout::aligned64, filler); !walked) {
      return std::move(walked).error();
    }
    if (Result<void> finished = filler.finish(epoch_, fresh->dead); !finished) return finished;
    fresh->tail = size;
    fresh->written = size;
    fresh->number = generation_->number + 1;
    install(std::move(view));
    replacement.end(file, size, true);
    return {};
  };
  Result<void> gone_on = checked(go_on);
  if (gone_on) return report;
  syncer_->fail(gone_on.error());
  return std::move(gone_on).error();
}

Result<std::uint64_t> Engine::refresh() {
  if (options_.mode == StoreMode::append) {
    if (closed()) return closed_error();
    return tail();
  }
  if (forked()) return writable().error();
  const Lock lock(append_mutex_);
  if (closed()) return closed_error();
  const Result<FileStat> named = files_.stat(path_);
  if (!named) return named.error();
  const std::uint64_t tail = generation_->tail.load(std::memory_order_relaxed);
  const bool replaced = named->identity != generation_->file->identity();
  if (!replaced) {
    const Result<std::uint64_t> size = generation_->file->size();
    if (!size) return size.error();
    const bool whole = generation_->fault.empty();
    if (*size == tail && whole && last_is_there()) return tail;
    if (*size > tail && whole && generation_->layout == Layout::aligned64) {
      const Result<bool> added = add_new_records(*size);
      if (!added) return added.error();
      if (*added) return *size;
    }
  }
  // Another file, one that was cut (others may have been written since), or one at whose end a write is under way: as
  // when it was opened.
  Result<Opened> opened = open_store(files_, path_, options_, epoch_);
  if (!opened) return std::move(opened).error();
  const std::uint64_t now = opened->generation->tail.load(std::memory_order_relaxed);
  const bool same = opened->generation->file->identity() == generation_->file->identity() && last_is_there();
  const bool whole = opened->generation->fault.empty();
  if (!whole && generation_->fault.empty()) return fault_error("refresh", *opened->generation);
  if (same && now == tail && whole == generation_->fault.empty()) return tail;
  note_last(*opened->generation);
  opened->generation->number = generation_->number + (same && now > tail ? 0 : 1);
  install(std::make_unique<View>(std::move(opened->generation)));
  return now;
}

void Engine::note_last(Generation& generation) {
  const std::uint64_t tail = generation.tail.load(std::memory_order_relaxed);
  TrailerBytes bytes;
  if (tail != 0 && read_exactly(*generation.file, tail - kTrailerBytes, bytes).ok()) {
    generation.last = read_trailer(bytes.data());
  }
}

// A batch that failed is taken back, and another one may be there now, perhaps with a record that ends at the same
// place.
bool Engine::last_is_there() const {
  const std::uint64_t tail = generation_->tail.load(std::memory_order_relaxed);
  TrailerBytes bytes;
  return tail == 0 || (read_exactly(*generation_->file, tail - kTrailerBytes, bytes).ok() &&
                       read_trailer(bytes.data()) == generation_->last);
}

// The records between the tail and `size`, where the last one ends. False: they do not lead to the tail, one of them is
// not whole yet, or at the tail is another one than there was; nothing has changed then.
Result<bool> Engine::add_new_records(std::uint64_t size) {
  Generation& generation = *generation_;
  const std::uint64_t tail = generation.tail.load(std::memory_order_relaxed);
  FileSource source(*generation.file, size);
  Reader reader(source);
  std::vector<Record> records;
  for (std::uint64_t at = size; at != tail; at = records.back().trailer.prev) {
    if (at < tail + kMinTail) return false;
    Record record;
    const Result<bool> found = record_at(reader, at, Layout::aligned64, record);
    if (!found) return found.error();
    if (!*found || record.trailer.is_zero()) return false;
    const Result<bool> good = verify_record(reader, record);
    if (!good) return good.error();
    if (!*good) return false;
    records.push_back(record);
  }
  if (!last_is_there()) return false;
  std::vector<std::uint64_t> hashes;
  hashes.reserve(records.size());
  for (const Record& record : records) hashes.push_back(record.trailer.hash);
  if (Result<void> room = prepare(hashes); !room) return std::move(room).error();
  generation.written.store(size, std::memory_order_release);
  {
    const Lock state(state_mutex_);
    changes_.fetch_add(1, std::memory_order_acq_rel);
    for (std::size_t i = records.size(); i-- > 0;) {
      if (records[i].tombstone) {
        generation.index.erase(records[i].trailer.hash);
      } else {
        generation.index.set_prepared(records[i].trailer.hash, records[i].offset);
      }
    }
    changes_.fetch_add(1, std::memory_order_release);
  }
  generation.last = records.front().trailer;
  generation.tail.store(size, std::memory_order_release);
  return true;
}

}  // namespace simdrive::store
