#include "support/failing_files.hpp"

#include <utility>

#include "support/forwarding_file.hpp"

namespace simdrive::testing_store {

std::string_view to_string(Call call) noexcept {
  constexpr std::string_view kNames[] = {"open", "read", "write", "reserve", "size",   "truncate",      "sync",
                                         "lock", "map",  "stat",  "rename",  "remove", "sync_directory"};
  return kNames[static_cast<std::size_t>(call)];
}

std::string_view to_string(FaultKind kind) noexcept {
  constexpr std::string_view kNames[] = {"io_error", "no_space", "short_transfer", "done_and_failed"};
  return kNames[static_cast<std::size_t>(kind)];
}

void FailingFiles::fail(std::uint64_t n, FaultKind kind, std::uint64_t count) {
  const std::lock_guard lock(mutex_);
  calls_ = 0;
  first_ = n;
  count_ = count;
  kind_ = kind;
  failed_.clear();
}

void FailingFiles::watch(std::function<void(std::uint64_t, Call, const std::string&)> watcher) {
  const std::lock_guard lock(mutex_);
  watcher_ = std::move(watcher);
}

std::uint64_t FailingFiles::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

std::vector<std::string> FailingFiles::failed() const {
  const std::lock_guard lock(mutex_);
  return failed_;
}

FailingFiles::Verdict FailingFiles::judge(Call call, const std::string& path) {
  if (!counted_.has(call)) return {};
  const std::lock_guard lock(mutex_);
  const std::uint64_t n = calls_++;
  if (watcher_) watcher_(n, call, path);
  if (n < first_ || n - first_ >= count_) return {};
  failed_.push_back(std::string(to_string(call)) + " " + store::quoted_path(path));
  return {true, kind_};
}

Error FailingFiles::error_for(Call call, const std::string& path, FaultKind kind) {
  const bool takes_room = call == Call::write || call == Call::open || call == Call::truncate;
  const bool full =
      (kind == FaultKind::no_space && takes_room) || (kind == FaultKind::short_transfer && call == Call::write);
  return store::file_error(to_string(call), path, full ? ENOSPC : EIO);
}

template <class Do>
Result<void> FailingFiles::maybe(Call call, const std::string& path, Do action) {
  const Verdict verdict = judge(call, path);
  if (!verdict.fails) return action();
  if (verdict.kind == FaultKind::done_and_failed && call != Call::lock) (void)action().ok();
  return error_for(call, path, verdict.kind);
}

class FailingFiles::OpenFile final : public ForwardingFile {
 public:
  OpenFile(FailingFiles& owner, std::unique_ptr<File> under) : ForwardingFile(std::move(under)), owner_(owner) {}

  [[nodiscard]] Result<std::size_t> read_at(std::uint64_t offset, MutableBytes out) override {
    const Verdict verdict = owner_.judge(Call::read, path());
    if (!verdict.fails) return under_->read_at(offset, out);
    if (verdict.kind != FaultKind::short_transfer) return error_for(Call::read, path(), verdict.kind);
    return under_->read_at(offset, out.first(out.size() / 2));
  }

  [[nodiscard]] store::Written write_at(std::uint64_t offset, std::span<const BytesView> pieces) override {
    const Verdict verdict = owner_.judge(Call::write, path());
    if (!verdict.fails) return under_->write_at(offset, pieces);
    Bytes whole;
    for (const BytesView piece : pieces) whole.insert(whole.end(), piece.begin(), piece.end());
    std::size_t n = 0;
    if (verdict.kind == FaultKind::short_transfer) n = whole.size() / 2;
    if (verdict.kind == FaultKind::done_and_failed && !whole.empty()) n = whole.size() - 1;
    const BytesView part = BytesView(whole).first(n);
    store::Written written = under_->write_at(offset, std::span(&part, 1));
    if (written.status.ok()) written.status = error_for(Call::write, path(), verdict.kind);
    return written;
  }

  [[nodiscard]] Result<void> reserve(std::uint64_t offset, std::uint64_t bytes) override {
    const Verdict verdict = owner_.judge(Call::reserve, path());
    if (verdict.fails && verdict.kind == FaultKind::no_space) return error_for(Call::write, path(), verdict.kind);
    return under_->reserve(offset, bytes);
  }

  [[nodiscard]] Result<std::uint64_t> size() override {
    const Verdict verdict = owner_.judge(Call::size, path());
    if (verdict.fails) return error_for(Call::size, path(), verdict.kind);
    return under_->size();
  }
  [[nodiscard]] Result<void> truncate(std::uint64_t size) override {
    return owner_.maybe(Call::truncate, path(), [&] { return under_->truncate(size); });
  }
  [[nodiscard]] Result<void> sync_data() override {
    return owner_.maybe(Call::sync, path(), [&] { return under_->sync_data(); });
  }
  [[nodiscard]] Result<void> sync_all() override {
    return owner_.maybe(Call::sync, path(), [&] { return under_->sync_all(); });
  }
  [[nodiscard]] Result<void> try_lock_exclusive() override {
    return owner_.maybe(Call::lock, path(), [&] { return under_->try_lock_exclusive(); });
  }
  [[nodiscard]] Result<store::Mapping> map(std::uint64_t size) override {
    const Verdict verdict = owner_.judge(Call::map, path());
    if (verdict.fails) return error_for(Call::map, path(), verdict.kind);
    return under_->map(size);
  }

 private:
  FailingFiles& owner_;
};

Result<std::unique_ptr<store::File>> FailingFiles::open(const std::string& path, const store::OpenOptions& options) {
  const Verdict verdict = judge(Call::open, path);
  if (verdict.fails) return error_for(Call::open, path, verdict.kind);
  auto under = under_.open(path, options);
  if (!under.ok()) return under;
  return std::unique_ptr<store::File>(std::make_unique<OpenFile>(*this, std::move(under).value()));
}

Result<store::FileStat> FailingFiles::stat(const std::string& path) {
  const Verdict verdict = judge(Call::stat, path);
  if (verdict.fails) return error_for(Call::stat, path, verdict.kind);
  return under_.stat(path);
}

Result<void> FailingFiles::rename_over(const std::string& from, const std::string& to) {
  return maybe(Call::rename, from, [&] { return under_.rename_over(from, to); });
}

Result<void> FailingFiles::rename_new(const std::string& from, const std::string& to) {
  return maybe(Call::rename, from, [&] { return under_.rename_new(from, to); });
}

Result<void> FailingFiles::remove(const std::string& path) {
  return maybe(Call::remove, path, [&] { return under_.remove(path); });
}

Result<void> FailingFiles::sync_directory(const std::string& path) {
  return maybe(Call::sync_directory, path, [&] { return under_.sync_directory(path); });
}

}  // namespace simdrive::testing_store
