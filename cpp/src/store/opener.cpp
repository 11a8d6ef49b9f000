#include "store/opener.hpp"

#include <algorithm>
#include <utility>

#include "store/recovery.hpp"
#include "store/syncer.hpp"

namespace simdrive::store {

namespace {

constexpr int kTriesMax = 100;
constexpr std::size_t kCopyBytes = std::size_t{1} << 20;
constexpr std::uint64_t kLargeHole = std::uint64_t{1} << 20;
// Until this part of a file was seen, nobody knows how many records there are in the rest, and room for a wrong guess
// is memory for none. To grow by steps instead takes longer than to hold the first ones back.
constexpr std::uint64_t kGuessMax = 32;
constexpr std::uint64_t kReserveMax = std::uint64_t{1} << 20;

Error with_advice(Errc code, const std::string& path, const std::string& reason, std::string_view advice,
                  std::uint64_t offset) {
  return Error{.code = code,
               .detail = "open " + quoted_path(path) + ": " + reason + "; " + std::string(advice),
               .offset = offset};
}

/// What mode read keeps of a file that it may not repair.
Result<void> read_up_to(ByteSource& source, const Plan& plan, RecordVisitor& visitor) {
  const Result<WalkResult> walked = walk(source, plan.tail, plan.layout, visitor);
  return walked ? Result<void>() : walked.error();
}

/// The size of the file without a large hole at its end, but for a little of it. A hole can be as large as files can
/// be, and no record ends in one: its trailer would be zeros, which is never accepted.
Result<std::uint64_t> size_without_hole(File& file, std::uint64_t size) {
  TrailerBytes last;
  if (size < kLargeHole) return size;
  if (Result<void> read = read_exactly(file, size - last.size(), last); !read) return std::move(read).error();
  if (!read_trailer(last.data()).is_zero()) return size;  // as in a healthy file, where looking for holes takes time
  const std::uint64_t end = file.data_end(size);
  return size - end < kLargeHole ? size : end + kPayloadAlignment;
}

/// Keeps what lies behind the tail, up to `end`, behind which there are zeros only; then cuts all of it off.
Result<void> cut(FileSystem& files, File& file, const std::string& path, const Plan& plan, std::uint64_t end,
                 OpenReport& report) {
  Result<std::string> kept = keep_copy(files, file, plan.tail, end, path + ".cut-" + std::to_string(plan.tail));
  if (!kept) return std::move(kept).error();
  report.cut_path = std::move(kept).value();
  if (Result<void> done = file.truncate(plan.tail); !done) return done;
  return file.sync_data();
}

/// Removes what a killed process has left: a file of its own, which nobody has locked. What is no file is not of ours.
Result<void> remove_left_over(FileSystem& files, const std::string& path, bool lock) {
  const Result<std::unique_ptr<File>> left = files.open(path, {.write = true, .follow_links = false});
  if (!left) return fault_of(left.error()) == FileFault::not_found ? Result<void>() : left.error();
  Result<void> locked = (*left)->try_lock_exclusive();
  if (!locked && (lock || fault_of(locked.error()) == FileFault::locked)) {
    Error error = std::move(locked).error();
    error.detail = "remove what was left over: " + error.detail + "; end what uses it, or move it away";
    return error;
  }
  const Result<FileStat> named = files.stat(path);
  if (named && named->identity != (*left)->identity()) return locked_error(path);
  Result<void> removed = named ? files.remove(path) : named.error();
  return !removed && fault_of(removed.error()) == FileFault::not_found ? Result<void>() : removed;
}

bool ends_with(std::string_view text, std::string_view suffix) {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; };
  return text.size() >= suffix.size() &&
         std::equal(suffix.begin(), suffix.end(), text.end() - static_cast<std::ptrdiff_t>(suffix.size()),
                    [&](char b, char a) { return same(a, b); });
}

/// Nothing is in the file yet. The mark says so, and tells a first write that was torn from a file of others. So it is
/// on the disk before anything else is, whatever the mode.
Result<void> begin_empty(FileSystem& files, File& file, const std::string& path) {
  MarkFile mark(files, path);
  if (Result<void> done = mark.write(file, 0); !done) return done;
  if (Result<void> done = mark.sync(); !done) return done;
  if (Result<void> done = file.sync_all(); !done) return done;
  return files.sync_directory(path);
}

}  // namespace

Ticker::Ticker(const simdrive::Progress& progress) noexcept
    : progress_(progress), next_(std::chrono::steady_clock::now()) {}

Result<void> Ticker::at(std::uint64_t done, std::uint64_t total) {
  if (progress_.report == nullptr) return {};
  const auto now = std::chrono::steady_clock::now();
  if (now < next_ && done < total) return {};
  next_ = now + std::chrono::milliseconds(100);
  if (progress_.report(progress_.context, done, total)) return {};
  return Error{.code = Errc::interrupted, .detail = "ended by the caller"};
}

void IndexFiller::restart() {
  index_.clear();
  count_ = 0;
  held_.clear();
  deleted_.clear();
}

Result<void> IndexFiller::records(std::span<const RecordRef> batch) {
  if (batch.empty()) return {};
  count_ += batch.size();
  const std::uint64_t seen = bytes_ - std::min(bytes_ - 1, batch.back().offset);
  if (seen < bytes_ / kGuessMax) {
    const std::uint64_t coming = (bytes_ / kGuessMax / seen + 1) * count_;
    if (held_.empty()) held_.reserve(static_cast<std::size_t>(std::min(coming, kReserveMax)));
    held_.insert(held_.end(), batch.begin(), batch.end());
    return {};
  }
  // As if the rest of the file were like this: the newest come first.
  index_.expect(count_ + static_cast<std::uint64_t>(static_cast<double>(count_) / static_cast<double>(seen) *
                                                    static_cast<double>(bytes_ - seen)));
  if (Result<void> added = add_held(); !added) return added;
  return add(batch);
}

Result<void> IndexFiller::add_held() {
  constexpr std::size_t kBatch = 1024;
  for (std::size_t i = 0; i < held_.size(); i += kBatch) {
    const std::span<const RecordRef> rest = std::span(held_).subspan(i);
    if (Result<void> added = add(rest.first(std::min(rest.size(), kBatch))); !added) return added;
  }
  std::vector<RecordRef>().swap(held_);
  return {};
}

Result<void> IndexFiller::add(std::span<const RecordRef> batch) {
  for (std::size_t i = 0; i < batch.size();) {
    values_.clear();
    for (; i < batch.size() && batch[i].tombstone == 0; ++i) values_.push_back({batch[i].hash, batch[i].offset});
    if (const auto added = index_.put_if_absent_many(values_); !added) return added.error();
    for (; i < batch.size() && batch[i].tombstone != 0; ++i) {
      const auto added = index_.put_if_absent(batch[i].hash, batch[i].offset);
      if (!added) return added.error();
      if (added->inserted) deleted_.push_back({batch[i].hash, batch[i].offset});
    }
  }
  return {};
}

Result<void> IndexFiller::finish(Epoch& epoch, std::unique_ptr<Index>& dead) {
  index_.expect(count_);
  if (Result<void> added = add_held(); !added) return added;
  for (const Index::Entry& entry : deleted_) index_.erase(entry.hash);
  index_.expect(0);
  index_.shrink_to_fit();
  if (deleted_.empty()) return {};
  dead = std::make_unique<Index>(epoch);
  dead->expect(deleted_.size());
  const auto added = dead->put_if_absent_many(deleted_);
  dead->expect(0);
  return added ? Result<void>() : added.error();
}

Result<void> check_names(FileSystem& files, std::string_view attempt, const std::string& path) {
  for (const char* suffix : {kMarkSuffix, kCompactSuffix, kRecoverSuffix}) {
    if (!ends_with(path, suffix)) continue;
    return Error{.code = Errc::configuration,
                 .detail = std::string(attempt) + " " + quoted_path(path) + ": a file whose name ends in " + suffix +
                           " is one beside a store, which overwrites or removes it; give it another name"};
  }
  Result<void> marked = check_mark(files, path);
  // A mark that cannot be read is as none, and is not written either.
  return marked || marked.error().code != Errc::configuration ? Result<void>() : marked;
}

Result<std::shared_ptr<File>> open_locked(FileSystem& files, const std::string& path, bool create, bool lock) {
  if (Result<void> good = check_names(files, "open", path); !good) return std::move(good).error();
  for (int i = 0; i < kTriesMax; ++i) {
    Result<std::unique_ptr<File>> opened =
        files.open(path, {.write = true, .create = create ? Create::if_missing : Create::never});
    if (!opened) return std::move(opened).error();
    std::shared_ptr<File> file = std::move(opened).value();
    if (!lock) return file;
    if (Result<void> locked = file->try_lock_exclusive(); !locked) return std::move(locked).error();
    // The writer before may have put another file there between our open() and its end.
    Result<FileStat> named = files.stat(path);
    if (named && named->identity == file->identity()) return file;
    if (!named && fault_of(named.error()) != FileFault::not_found) return std::move(named).error();
  }
  return Error{.code = Errc::store_locked,
               .detail = "open " + quoted_path(path) + ": the file is replaced again and again"};
}

Result<std::shared_ptr<File>> make_side_file(FileSystem& files, const std::string& path, bool lock) {
  for (int i = 0; i < kTriesMax; ++i) {
    Result<std::unique_ptr<File>> made =
        files.open(path, {.write = true, .create = Create::exclusive, .follow_links = false});
    if (!made) {
      if (fault_of(made.error()) != FileFault::exists) return std::move(made).error();
      if (Result<void> removed = remove_left_over(files, path, lock); !removed) return std::move(removed).error();
      continue;
    }
    std::shared_ptr<File> file = std::move(made).value();
    if (!lock) return file;
    // Whoever takes this one for a left-over has its lock before it is removed.
    if (Result<void> locked = file->try_lock_exclusive(); !locked) {
      if (fault_of(locked.error()) != FileFault::locked) (void)files.remove(path);
      return std::move(locked).error();
    }
    const Result<FileStat> named = files.stat(path);
    if (named && named->identity == file->identity()) return file;
    if (!named && fault_of(named.error()) != FileFault::not_found) {
      (void)files.remove(path);
      return named.error();
    }
  }
  return Error{.code = Errc::store_locked,
               .detail = "create " + quoted_path(path) + ": there is a file again and again"};
}

Result<std::string> keep_copy(FileSystem& files, File& file, std::uint64_t from, std::uint64_t to,
                              const std::string& stem) {
  std::string path = stem;
  std::unique_ptr<File> copy;
  for (int i = 2; copy == nullptr; ++i) {
    Result<std::unique_ptr<File>> made =
        files.open(path, {.write = true, .create = Create::exclusive, .follow_links = false});
    if (made) {
      copy = std::move(made).value();
    } else if (fault_of(made.error()) != FileFault::exists || i > 10'000) {
      return std::move(made).error();
    } else {
      path = stem + "-" + std::to_string(i);
    }
  }
  copy->set_access(file.access());
  const auto fill = [&]() -> Result<void> {
    Bytes buffer(static_cast<std::size_t>(std::min<std::uint64_t>(to - from, kCopyBytes)));
    for (std::uint64_t at = from; at < to;) {
      const MutableBytes part(buffer.data(), static_cast<std::size_t>(std::min<std::uint64_t>(to - at, buffer.size())));
      if (Result<void> read = read_exactly(file, at, part); !read) return read;
      const BytesView piece = part;
      if (Result<void> written = copy->write_at(at - from, {&piece, 1}).status; !written) return written;
      at += part.size();
    }
    if (Result<void> synced = copy->sync_all(); !synced) return synced;
    return files.sync_directory(path);
  };
  if (Result<void> filled = fill(); !filled) {
    copy.reset();
    (void)files.remove(path);
    return std::move(filled).error();
  }
  return path;
}

Result<Opened> open_store(FileSystem& files, const std::string& path, const StoreOptions& options, Epoch& epoch) {
  const bool append = options.mode == StoreMode::append;
  std::shared_ptr<File> file;
  if (append) {
    Result<std::shared_ptr<File>> locked = open_locked(files, path, options.create, options.lock);
    if (!locked) return std::move(locked).error();
    file = std::move(locked).value();
    // Only while we have the lock: without it they may be those of a writer at work.
    if (options.lock) {
      for (const char* suffix : {kCompactSuffix, kRecoverSuffix}) {
        Result<void> removed = remove_left_over(files, path + suffix, true);
        if (removed || fault_of(removed.error()) == FileFault::not_a_file ||
            fault_of(removed.error()) == FileFault::is_directory) {
          continue;
        }
        if (file->created()) (void)files.remove(path);  // it is in the way of who makes a store there
        return std::move(removed).error();
      }
    }
  } else {
    Result<std::unique_ptr<File>> opened = files.open(path, {});
    if (!opened) return std::move(opened).error();
    file = std::move(opened).value();
  }
  // Whoever removes a file may leave its mark. The size comes after the mark: what a writer at work has synced
  // meanwhile must not seem to be missing.
  std::optional<SyncMark> mark = file->created() ? std::nullopt : read_mark(files, path);
  const Result<std::uint64_t> size = file->size();
  if (!size) return size.error();
  if (!append && mark && mark->tail > *size) {  // perhaps it is that of a file that has taken the place of this one
    const Result<FileStat> named = files.stat(path);
    if (!named || named->identity != file->identity()) mark.reset();
  }
  Opened result{.generation = std::make_unique<Generation>(epoch, file), .report = {}};
  Generation& generation = *result.generation;
  if (*size == 0) {
    if (mark && mark->tail != 0) {
      generation.fault = "records up to offset " + std::to_string(mark->tail) + " were synced, and the file is empty";
    }
    result.report.damaged = result.report.incomplete = !generation.fault.empty();
    if (append) {
      if (result.report.damaged) {
        return with_advice(Errc::store_corrupt, path, generation.fault,
                           "put a copy back, or remove " + quoted_path(mark_path_of(path)) + " if it was emptied", 0);
      }
      if (Result<void> begun = begin_empty(files, *file, path); !begun) return std::move(begun).error();
    }
    return result;
  }

  const Result<std::uint64_t> end = size_without_hole(*file, *size);
  if (!end) return end.error();
  FileSource source(*file, *end);
  IndexFiller filler(generation.index, *end);
  Result<Plan> planned = recover(source, mark, filler);
  if (!planned) return planned.error();
  planned->size = *size;
  const Plan& plan = *planned;
  if (plan.action == Action::refuse) {
    if (plan.refusal == Refusal::format) {
      return with_advice(Errc::store_format, path, plan.reason, "it is left as it is", plan.fault_offset);
    }
    if (plan.tail == 0) {  // there is nothing that mode read could read
      return with_advice(Errc::store_corrupt, path, plan.reason, "it is left as it is: recover() keeps what is intact",
                         plan.fault_offset);
    }
    if (append) {
      return with_advice(Errc::store_corrupt, path, plan.reason,
                         "it is left as it is: mode read reads what is there, recover() repairs it", plan.fault_offset);
    }
    if (Result<void> read = read_up_to(source, plan, filler); !read) return std::move(read).error();
    generation.fault = plan.reason;
    generation.fault_offset = plan.fault_offset;
  } else if (plan.action == Action::read_only && append) {
    return with_advice(Errc::store_format, path, plan.reason,
                       "it is left as it is: open it with mode read, compact_to() makes a new one of it", plan.tail);
  } else if (plan.action == Action::read_only && plan.dropped_records > 1) {
    generation.fault = plan.reason;
    generation.fault_offset = plan.tail;
  } else if (plan.action == Action::cut && append) {
    if (Result<void> done = cut(files, *file, path, plan, *end, result.report); !done) return std::move(done).error();
  }
  if (Result<void> done = filler.finish(epoch, generation.dead); !done) return std::move(done).error();
  generation.layout = plan.layout;
  generation.tail = plan.tail;
  generation.written = plan.tail;
  result.report.alignment = static_cast<std::uint32_t>(alignment_of(plan.layout));
  result.report.dropped_bytes = plan.cut_bytes();
  result.report.incomplete = !generation.fault.empty();
  result.report.damaged = result.report.incomplete || plan.bad_checksums != 0;
  result.report.damaged_offset = result.report.incomplete ? generation.fault_offset : plan.bad_offset;
  result.unmarked = append && plan.bad_checksums == 0 && (plan.mark != MarkState::matched || mark->tail != plan.tail);
  return result;
}

}  // namespace simdrive::store
