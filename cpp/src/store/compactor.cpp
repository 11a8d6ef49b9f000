#include "store/compactor.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "store/appender.hpp"
#include "store/recovery.hpp"
#include "store/salvage.hpp"
#include "store/syncer.hpp"

namespace simdrive::store {

namespace {

constexpr std::size_t kBatchEntries = 512;
constexpr std::uint64_t kBatchBytes = std::uint64_t{1} << 20;
// Payloads above this are copied in pieces.
constexpr std::uint64_t kBufferBytes = std::uint64_t{1} << 20;

class CountOnly final : public RecordVisitor {
 public:
  void restart() override {}
  [[nodiscard]] Result<void> records(std::span<const RecordRef> /*batch*/) override { return {}; }
};

/// A record's payload in another file, as the source of a stream.
class PayloadSource {
 public:
  PayloadSource(File& file, const Record& record) noexcept : file_(file), at_(record.start), end_(record.offset) {}

  [[nodiscard]] StreamSource source() noexcept { return {this, &PayloadSource::read}; }
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }

 private:
  static std::int64_t read(void* context, std::uint8_t* buffer, std::size_t size) {
    auto& self = *static_cast<PayloadSource*>(context);
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(size, self.end_ - self.at_));
    if (n == 0) return 0;
    if (Result<void> done = read_exactly(self.file_, self.at_, {buffer, n}); !done) {
      self.error_ = std::move(done).error();
      return -1;
    }
    self.at_ += n;
    return static_cast<std::int64_t>(n);
  }

  File& file_;
  std::uint64_t at_;
  std::uint64_t end_;
  std::optional<Error> error_;
};

Result<void> copy_record(File& from, const Record& record, Appender& to, Bytes& buffer) {
  const std::uint64_t size = record.offset - record.start;
  if (size > kBufferBytes) {
    PayloadSource payload(from, record);
    Result<void> done = to.append_stream(record.trailer.hash, payload.source());
    return payload.error() ? Result<void>(*payload.error()) : done;
  }
  buffer.resize(static_cast<std::size_t>(size));
  if (Result<void> read = read_exactly(from, record.start, buffer); !read) return read;
  return to.append(record.trailer.hash, buffer);
}

/// Tells of the third of a work on `size` bytes that begins behind `before` others.
class Third {
 public:
  Third(Ticker& ticker, std::uint64_t size, unsigned before) noexcept : ticker_(ticker), size_(size), before_(before) {}

  Result<void> at(std::uint64_t done, std::uint64_t total) {
    const double share = total == 0 ? 1 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    const double all = static_cast<double>(size_) * (before_ + share) / kThirds;
    return ticker_.at(std::min(static_cast<std::uint64_t>(all), size_ - 1), size_);
  }
  store::Progress told() {
    return [this](std::uint64_t done, std::uint64_t total) { return at(done, total).ok(); };
  }

 private:
  static constexpr unsigned kThirds = 3;

  Ticker& ticker_;
  std::uint64_t size_;
  unsigned before_;
};

}  // namespace

Result<Copied> copy_live(LiveWalk& walk, const std::shared_ptr<File>& file, Index* index, const std::string& path,
                         std::uint64_t total, const simdrive::Progress& progress) {
  Appender to(file, 0);
  Ticker ticker(progress);
  Copied copied;
  std::uint64_t done = 0;
  std::vector<Entry> entries;
  std::vector<HashedPayload> records;
  std::vector<std::uint64_t> offsets(kBatchEntries);
  std::vector<std::uint64_t> hashes;
  for (bool more = true; more;) {
    entries.clear();
    records.clear();
    hashes.clear();
    for (std::uint64_t bytes = 0; bytes < kBatchBytes && entries.size() < kBatchEntries;) {
      Entry entry;
      const Result<bool> found = walk.next(entry);
      if (!found) return found.error();
      more = *found;
      if (!more) break;
      if (Result<void> good = check_entry(entry, path); !good) return std::move(good).error();
      bytes += entry.file_size();
      hashes.push_back(entry.key_hash());
      records.push_back({entry.key_hash(), entry.payload()});
      entries.push_back(std::move(entry));
      done += entries.back().file_size();
    }
    if (Result<void> written = to.append_all(records, offsets); !written) return std::move(written).error();
    for (std::size_t i = 0; index != nullptr && i < records.size(); ++i) {
      if (const auto set = index->set(hashes[i], offsets[i]); !set) return set.error();
    }
    copied.entries += records.size();
    if (Result<void> told = ticker.at(more ? std::min(done, total) : total, total); !told) {
      return std::move(told).error();
    }
  }
  copied.tail = to.tail();
  return copied;
}

Result<void> put_in_place(FileSystem& files, File& file, File& old, const std::string& from, const std::string& to,
                          Named& named) {
  named = Named::old_file;
  file.set_access(old.access());
  if (Result<void> synced = file.sync_all(); !synced) return synced;
  named = Named::unknown;  // should memory end meanwhile
  if (Result<void> renamed = files.rename_over(from, to); !renamed) {
    // A rename that is reported to have failed may have been done all the same, as on a network.
    const Result<FileStat> found = files.stat(to);
    named = !found ? Named::unknown : found->identity == file.identity() ? Named::new_file : Named::old_file;
    if (named != Named::new_file) return renamed;
  }
  named = Named::new_file;
  file.renamed(to);
  return files.sync_directory(to);
}

Result<void> put_at_new_name(FileSystem& files, File& file, const std::string& from, const std::string& to) {
  std::string name = from;
  const auto put = [&]() -> Result<void> {
    if (Result<void> synced = file.sync_all(); !synced) return synced;
    // Of a store that was there once: it would say that this one has lost entries.
    Result<void> removed = check_mark(files, to);
    if (removed) removed = files.remove(mark_path_of(to));
    if (removed) removed = files.sync_directory(to);
    if (!removed && fault_of(removed.error()) != FileFault::not_found) return removed;
    if (Result<void> renamed = files.rename_new(from, to); !renamed) {
      const Result<FileStat> found = files.stat(to);
      if (!found || found->identity != file.identity()) return renamed;
    }
    name = to;
    file.renamed(to);
    return files.sync_directory(to);
  };
  Result<void> done = put();
  if (!done) (void)files.remove(name);
  return done;
}

Result<RecoverReport> recover_file(FileSystem& files, File& file, const std::string& path, bool lock,
                                   const simdrive::Progress& progress,
                                   const std::function<Result<void>()>& before_replacing, std::shared_ptr<File>& fresh,
                                   Named& named) {
  RecoverReport report;
  named = Named::old_file;
  const Result<std::uint64_t> size = file.size();
  if (!size) return size.error();
  const std::optional<SyncMark> mark = read_mark(files, path);
  const auto unmark = [&] {  // where it says that there were more records, there are none now
    return mark && mark->tail > *size ? before_replacing() : Result<void>();
  };
  if (*size == 0) {
    if (Result<void> done = unmark(); !done) return std::move(done).error();
    return report;
  }
  FileSource source(file, *size);
  Ticker ticker(progress);
  if (Result<void> told = ticker.at(0, *size); !told) return std::move(told).error();
  CountOnly visitor;
  Third checking(ticker, *size, 0);
  const Result<Plan> plan =
      recover(source, mark, visitor, {.check = Check::all, .permit_loss = true, .progress = checking.told()});
  if (!plan) return plan.error();
  if (plan->action == Action::refuse && plan->refusal == Refusal::format) {
    return Error{.code = Errc::store_format,
                 .detail = "recover " + quoted_path(path) + ": " + plan->reason + "; it is left as it is"};
  }
  if (plan->tail == *size && plan->bad_checksums == 0 && plan->dropped_records == 0) {
    if (Result<void> done = unmark(); !done) return std::move(done).error();
    report.kept_bytes = *size;
    report.entries = plan->records;
    if (Result<void> told = ticker.at(*size, *size); !told) return std::move(told).error();
    return report;
  }

  std::vector<Record> records;
  // What no chain leads to may have another layout than the rest.
  const bool plain = plan->layout == Layout::aligned64 && plan->tail == *size;
  Third searching(ticker, *size, 1);
  const Result<SalvageReport> salvaged =
      salvage(source, {.layout = plain ? Layout::aligned64 : Layout::mixed, .progress = searching.told()},
              [&](std::span<const Record> found) {
                records.insert(records.end(), found.begin(), found.end());
                return Result<void>();
              });
  if (!salvaged) return salvaged.error();
  if (records.empty()) {
    return Error{.code = Errc::store_format,
                 .detail = "recover " + quoted_path(path) + ": there is not one good entry; it is left as it is"};
  }
  const std::string side_path = path + kRecoverSuffix;
  Result<std::shared_ptr<File>> made = make_side_file(files, side_path, lock);
  if (!made) return std::move(made).error();
  const auto build = [&]() -> Result<void> {
    if (lock) {
      if (Result<void> locked = (*made)->try_lock_exclusive(); !locked) return locked;
    }
    Appender to(*made, 0);
    Third copying(ticker, *size, 2);
    Bytes buffer;
    for (std::size_t i = records.size(); i-- > 0;) {  // they came newest first
      if (Result<void> copied = copy_record(file, records[i], to, buffer); !copied) return copied;
      if (Result<void> told = copying.at(records.size() - i, records.size()); !told) return told;
    }
    if (Result<void> told = ticker.at(*size, *size); !told) return told;
    Result<std::string> kept = keep_copy(files, file, 0, *size, path + ".damaged");
    if (!kept) return std::move(kept).error();
    report.backup_path = std::move(kept).value();
    report.kept_bytes = to.tail();
    report.dropped_bytes = salvaged->lost_bytes;
    report.entries = records.size();
    if (Result<void> ready = before_replacing(); !ready) return ready;
    return put_in_place(files, **made, file, side_path, path, named);
  };
  Result<void> built = build();
  if (named == Named::new_file) fresh = *made;
  if (!built) {
    if (fresh == nullptr) {
      made->reset();
      (void)files.remove(side_path);
    }
    return std::move(built).error();
  }
  return report;
}

}  // namespace simdrive::store
