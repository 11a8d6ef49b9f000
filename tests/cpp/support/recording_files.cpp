#include "support/recording_files.hpp"

#include <new>
#include <utility>

#include "support/forwarding_file.hpp"

namespace simdrive::testing_store {

using Kind = Event::Kind;

std::string to_string(const Event& event) {
  const std::string where = store::quoted_path(event.path);
  switch (event.kind) {
    case Kind::create: return "create " + where;
    case Kind::write:
      return "write " + std::to_string(event.bytes.size()) + " at " + std::to_string(event.offset) + " of " + where;
    case Kind::truncate: return "truncate " + where + " to " + std::to_string(event.offset);
    case Kind::sync: return "sync " + where;
    case Kind::rename: return "rename " + where + " to " + store::quoted_path(event.to);
    case Kind::remove: return "remove " + where;
    case Kind::sync_directory: return "sync the folder of " + where;
  }
  return {};
}

RecordingFiles::RecordingFiles(FileContents start) {
  for (const auto& [path, content] : start) {
    if (!files_.put(path, content).ok()) throw std::bad_alloc();
    recording_.start_files[path] = files_.stat(path).value().identity.low;
  }
  recording_.start = std::move(start);
}

std::size_t RecordingFiles::event_count() const {
  const std::lock_guard lock(mutex_);
  return recording_.events.size();
}

Recording RecordingFiles::recording() const {
  const std::lock_guard lock(mutex_);
  return recording_;
}

class RecordingFiles::OpenFile final : public ForwardingFile {
 public:
  OpenFile(RecordingFiles& owner, std::unique_ptr<File> under) : ForwardingFile(std::move(under)), owner_(owner) {}

  [[nodiscard]] store::Written write_at(std::uint64_t offset, std::span<const BytesView> pieces) override {
    const std::lock_guard lock(owner_.mutex_);
    store::Written written = under_->write_at(offset, pieces);
    Event event = about(Kind::write, offset);
    for (const BytesView piece : pieces) {
      const auto n = std::min<std::uint64_t>(piece.size(), written.bytes - event.bytes.size());
      event.bytes.insert(event.bytes.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(n));
      event.piece_ends.push_back(event.bytes.size());
    }
    if (written.bytes != 0) owner_.recording_.events.push_back(std::move(event));
    return written;
  }

  [[nodiscard]] Result<void> truncate(std::uint64_t size) override {
    return recorded(about(Kind::truncate, size), [&] { return under_->truncate(size); });
  }
  [[nodiscard]] Result<void> sync_data() override {
    return recorded(about(Kind::sync), [&] { return under_->sync_data(); });
  }
  [[nodiscard]] Result<void> sync_all() override {
    return recorded(about(Kind::sync), [&] { return under_->sync_all(); });
  }

 private:
  Event about(Kind kind, std::uint64_t offset = 0) const {
    return {.kind = kind, .path = path(), .file = identity().low, .offset = offset};
  }
  template <class Do>
  Result<void> recorded(Event event, Do action) {
    const std::lock_guard lock(owner_.mutex_);
    Result<void> done = action();
    if (done.ok()) owner_.recording_.events.push_back(std::move(event));
    return done;
  }

  RecordingFiles& owner_;
};

Result<std::unique_ptr<store::File>> RecordingFiles::open(const std::string& path, const store::OpenOptions& options) {
  const std::lock_guard lock(mutex_);
  auto under = files_.open(path, options);
  if (!under.ok()) return under;
  if ((*under)->created()) {
    recording_.events.push_back({.kind = Kind::create, .path = path, .file = (*under)->identity().low});
  }
  return std::unique_ptr<store::File>(std::make_unique<OpenFile>(*this, std::move(under).value()));
}

Result<store::FileStat> RecordingFiles::stat(const std::string& path) { return files_.stat(path); }

Result<void> RecordingFiles::rename_over(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  Result<void> done = files_.rename_over(from, to);
  if (done.ok()) recording_.events.push_back({.kind = Kind::rename, .path = from, .to = to});
  return done;
}

Result<void> RecordingFiles::rename_new(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  Result<void> done = files_.rename_new(from, to);
  if (done.ok()) recording_.events.push_back({.kind = Kind::rename, .path = from, .to = to});
  return done;
}

Result<void> RecordingFiles::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  Result<void> done = files_.remove(path);
  if (done.ok()) recording_.events.push_back({.kind = Kind::remove, .path = path});
  return done;
}

Result<void> RecordingFiles::sync_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  Result<void> done = files_.sync_directory(path);
  if (done.ok()) recording_.events.push_back({.kind = Kind::sync_directory, .path = path});
  return done;
}

}  // namespace simdrive::testing_store
