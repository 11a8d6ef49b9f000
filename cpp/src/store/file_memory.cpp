#include "store/file_memory.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/pages.hpp"

namespace simdrive::store {

namespace {

constexpr std::uint64_t kSizeMin = std::uint64_t{64} << 10;

// Not above half of the address space, so that rounding up cannot overflow.
constexpr std::uint64_t kSizeMax = static_cast<std::uint64_t>(-1) >> (sizeof(void*) == 8 ? 17 : 33);

void release_region(MappingRegion* region) noexcept {
  unmap_pages(const_cast<std::uint8_t*>(region->data), region->capacity);
  delete region;
}

/// Zeroed memory for a file of `size` bytes, with room to grow; nothing if there is none.
Mapping make_memory(std::uint64_t size) noexcept {
  const auto capacity = static_cast<std::size_t>(std::max(kSizeMin, std::bit_ceil(size)));
  auto* const region = new (std::nothrow) MappingRegion;
  if (region == nullptr) return {};
  void* const start = map_pages(capacity);
  if (start == nullptr) {
    delete region;
    return {};
  }
  region->data = static_cast<const std::uint8_t*>(start);
  region->capacity = capacity;
  region->release = release_region;
  return Mapping(region);
}

}  // namespace

/// What a path names. Memory that is outgrown is copied and left to those who have it mapped.
struct MemoryFiles::Content {
  explicit Content(std::uint64_t n) noexcept : number(n) {}

  const std::uint64_t number;
  mutable std::mutex mutex;
  Mapping memory;                   // guarded by mutex; its bytes as File's holder sees to it
  std::uint64_t size = 0;           // guarded by mutex
  const void* locked_by = nullptr;  // guarded by mutex

  struct View {
    Mapping memory;
    std::uint64_t size;
  };
  [[nodiscard]] View view() const {
    const std::lock_guard lock(mutex);
    return {memory, size};
  }

  /// Makes room for `wanted` bytes. False: there is no memory.
  bool reserve(std::uint64_t wanted) {
    View now = view();
    if (wanted <= now.memory.capacity()) return true;
    if (wanted > kSizeMax) return false;
    Mapping larger = make_memory(wanted);
    if (!larger) return false;
    if (now.size != 0) std::memcpy(bytes_of(larger), now.memory.data(), static_cast<std::size_t>(now.size));
    const std::lock_guard lock(mutex);
    memory = std::move(larger);
    return true;
  }

  /// The memory is this file's own; only mappings of it are read only.
  static std::uint8_t* bytes_of(const Mapping& m) noexcept { return const_cast<std::uint8_t*>(m.data()); }

  Written write(const std::string& path, std::uint64_t offset, std::span<const BytesView> pieces) {
    std::uint64_t total = 0;
    for (const BytesView piece : pieces) total += piece.size();
    Written w;
    if (total == 0) return w;
    if (offset > kSizeMax || total > kSizeMax || !reserve(offset + total)) {
      w.status = file_error("write", path, ENOMEM, offset);
      return w;
    }
    const View now = view();
    std::uint8_t* const to = bytes_of(now.memory);
    if (offset > now.size) {  // what was cut off may be there still
      std::memset(to + now.size, 0, static_cast<std::size_t>(offset - now.size));
    }
    for (const BytesView piece : pieces) {
      if (!piece.empty()) std::memcpy(to + offset + w.bytes, piece.data(), piece.size());
      w.bytes += piece.size();
    }
    const std::lock_guard lock(mutex);
    size = std::max(size, offset + total);
    return w;
  }
};

class MemoryFiles::OpenFile final : public File {
 public:
  OpenFile(std::shared_ptr<Content> content, std::string path, bool writable, bool created)
      : content_(std::move(content)), path_(std::move(path)), writable_(writable), created_(created) {}
  ~OpenFile() override { release_lock(); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  [[nodiscard]] const std::string& path() const noexcept override { return path_; }
  void renamed(const std::string& path) override { path_ = path; }
  [[nodiscard]] bool created() const noexcept override { return created_; }
  [[nodiscard]] FileIdentity identity() const noexcept override { return {.low = content_->number}; }

  [[nodiscard]] Result<std::size_t> read_at(std::uint64_t offset, MutableBytes out) override {
    const Content::View now = content_->view();
    if (offset >= now.size) return std::size_t{0};
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), now.size - offset));
    if (n != 0) std::memcpy(out.data(), now.memory.data() + offset, n);
    return n;
  }

  [[nodiscard]] Written write_at(std::uint64_t offset, std::span<const BytesView> pieces) override {
    if (!writable_) return {0, file_error("write", path_, EBADF, offset)};
    return content_->write(path_, offset, pieces);
  }

  [[nodiscard]] Result<std::uint64_t> size() override { return content_->view().size; }

  [[nodiscard]] Result<void> truncate(std::uint64_t size) override {
    if (!writable_) return file_error("truncate", path_, EBADF, size);
    const std::lock_guard lock(content_->mutex);
    if (size > content_->size) return longer_error(path_, size);
    content_->size = size;
    return {};
  }

  [[nodiscard]] Result<void> sync_data() override { return {}; }
  [[nodiscard]] Result<void> sync_all() override { return {}; }

  [[nodiscard]] Result<void> try_lock_exclusive() override {
    const std::lock_guard lock(content_->mutex);
    if (content_->locked_by != nullptr && content_->locked_by != this) return locked_error(path_);
    content_->locked_by = this;
    return {};
  }
  void unlock() noexcept override { release_lock(); }

  [[nodiscard]] Result<Mapping> map(std::uint64_t size) override {
    if (size == 0) return Mapping();
    Content::View now = content_->view();
    if (size > now.size) return beyond_end_error(path_, 0, size, now.size);
    return std::move(now.memory);
  }

  // Memory that was outgrown does not get what is written later.
  [[nodiscard]] bool covers(const Mapping& mapping, std::uint64_t size) const noexcept override {
    if (size == 0) return true;
    const std::lock_guard lock(content_->mutex);
    return mapping.same_as(content_->memory) && size <= mapping.capacity();
  }

  void advise(std::uint64_t /*offset*/, std::uint64_t /*size*/, Advice /*advice*/) noexcept override {}

 private:
  void release_lock() noexcept {
    const std::lock_guard lock(content_->mutex);
    if (content_->locked_by == this) content_->locked_by = nullptr;
  }

  const std::shared_ptr<Content> content_;
  std::string path_;
  const bool writable_;
  const bool created_;
};

std::shared_ptr<MemoryFiles::Content> MemoryFiles::find(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(path);
  return found == files_.end() ? nullptr : found->second;
}

Result<std::unique_ptr<File>> MemoryFiles::open(const std::string& path, const OpenOptions& options) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(path);
  const bool creates = found == files_.end();
  if (creates && options.create == Create::never) return file_error("open", path, ENOENT);
  if (!creates && options.create == Create::exclusive) return file_error("create", path, EEXIST);
  std::shared_ptr<Content> content =
      creates ? files_.emplace(path, std::make_shared<Content>(next_number_++)).first->second : found->second;
  return std::unique_ptr<File>(std::make_unique<OpenFile>(std::move(content), path, options.write, creates));
}

Result<FileStat> MemoryFiles::stat(const std::string& path) {
  const std::shared_ptr<Content> content = find(path);
  if (content == nullptr) return file_error("stat", path, ENOENT);
  return FileStat{.identity = {.low = content->number}, .size = content->view().size};
}

Result<void> MemoryFiles::rename_over(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(from);
  if (found == files_.end()) return file_error("rename " + quoted_path(from) + " to", to, ENOENT);
  if (from == to) return {};
  files_[to] = std::move(found->second);
  files_.erase(found);
  return {};
}

Result<void> MemoryFiles::rename_new(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(from);
  if (found == files_.end()) return file_error("rename " + quoted_path(from) + " to", to, ENOENT);
  if (files_.contains(to)) return file_error("create", to, EEXIST);
  files_[to] = std::move(found->second);
  files_.erase(found);
  return {};
}

Result<void> MemoryFiles::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (files_.erase(path) == 0) return file_error("remove", path, ENOENT);
  return {};
}

Result<void> MemoryFiles::sync_directory(const std::string& /*path*/) { return {}; }

Result<void> MemoryFiles::put(const std::string& path, BytesView content) {
  std::shared_ptr<Content> made;
  {
    const std::lock_guard lock(mutex_);
    made = std::make_shared<Content>(next_number_++);
  }
  const Written w = made->write(path, 0, std::span(&content, 1));
  if (!w.status.ok()) return w.status.error();
  const std::lock_guard lock(mutex_);
  files_[path] = std::move(made);
  return {};
}

std::optional<Bytes> MemoryFiles::get(const std::string& path) const {
  const std::shared_ptr<Content> content = find(path);
  if (content == nullptr) return std::nullopt;
  const Content::View now = content->view();
  return Bytes(now.memory.data(), now.memory.data() + now.size);
}

std::vector<std::string> MemoryFiles::paths() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> all;
  all.reserve(files_.size());
  for (const auto& [path, content] : files_) all.push_back(path);
  return all;
}

}  // namespace simdrive::store
