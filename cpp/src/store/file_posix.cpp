#ifndef _WIN32

#define _FILE_OFFSET_BITS 64  // NOLINT: for systems of 32 bits, before any header

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#ifdef __linux__
#include <linux/magic.h>
#include <sys/vfs.h>
#endif
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <new>

#include "base/reaper.hpp"
#include "store/file.hpp"
#include "store/file_access.hpp"
#include "store/piece_writer.hpp"

namespace simdrive::store {

namespace {

static_assert(sizeof(off_t) == 8);

// Systems take less than 2 GiB in a call: Linux cuts what is more, macOS refuses it.
constexpr std::size_t kCallBytes = std::size_t{1} << 30;
// Room to grow of a new mapping. Address space costs nothing where pointers have 64 bits.
constexpr std::uint64_t kMapAhead = sizeof(void*) == 8 ? std::uint64_t{64} << 20 : std::uint64_t{1} << 20;

template <class Call>
auto retried(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

bool has_nul(const std::string& path) noexcept { return path.find('\0') != std::string::npos; }

FileStat from_system(const struct stat& s) noexcept {
  return {.identity = {.volume = static_cast<std::uint64_t>(s.st_dev), .low = static_cast<std::uint64_t>(s.st_ino)},
          .size = static_cast<std::uint64_t>(s.st_size),
          .kind = S_ISREG(s.st_mode)   ? FileKind::regular
                  : S_ISDIR(s.st_mode) ? FileKind::directory
                                       : FileKind::other};
}

// ---- Mapping ----

// Unmapping 1 GiB of which every page was read takes 40 to 90 ms. From here on a thread does it: whoever has the last
// entry may hold locks, such as that of the Python interpreter.
constexpr std::size_t kSlowToUnmap =
    sizeof(void*) == 8 ? std::size_t{8} << 20 : std::numeric_limits<std::size_t>::max();

struct PosixRegion final : MappingRegion, Reaper::Mapped {};

void unmap_region(Reaper::Mapped& mapped) noexcept {
  (void)::munmap(mapped.start, mapped.bytes);
  delete static_cast<PosixRegion*>(&mapped);
}

void release_region(MappingRegion* region) noexcept {
  auto& mapped = *static_cast<PosixRegion*>(region);
  if (region->used.load(std::memory_order_relaxed) >= kSlowToUnmap) {
    Reaper::of_process().take(mapped);
  } else {
    unmap_region(mapped);
  }
}

void advise_region(const MappingRegion& region, std::size_t offset, std::size_t size, Advice advice) noexcept {
  if (offset >= region.capacity) return;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t start = offset - offset % page;
  const std::size_t end = size == 0 || size > region.capacity - offset ? region.capacity : offset + size;
  auto* const at = const_cast<std::uint8_t*>(region.data) + start;
  int how = MADV_NORMAL;
  switch (advice) {
    case Advice::normal: break;
    case Advice::sequential: how = MADV_SEQUENTIAL; break;
    case Advice::random: how = MADV_RANDOM; break;
    case Advice::will_need: how = MADV_WILLNEED; break;
    case Advice::populate:
#ifdef __linux__
      if (constexpr int kPopulateRead = 22; ::madvise(at, end - start, kPopulateRead) == 0) return;  // since Linux 5.14
#endif
      how = MADV_WILLNEED;
      break;
  }
  (void)::madvise(at, end - start, how);
}

void* map_file(int fd, std::uint64_t bytes) noexcept {
  if (bytes > std::numeric_limits<std::size_t>::max() / 2) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return ::mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ, MAP_SHARED, fd, 0);
}

// ---- File ----

class PosixFile final : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixFile() override { (void)::close(fd_); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  void know(FileIdentity identity, bool created) noexcept {
    identity_ = identity;
    created_ = created;
  }

  [[nodiscard]] const std::string& path() const noexcept override { return path_; }
  void renamed(const std::string& path) override { path_ = path; }
  [[nodiscard]] bool created() const noexcept override { return created_; }
  [[nodiscard]] FileIdentity identity() const noexcept override { return identity_; }

  [[nodiscard]] FileAccess access() override { return access_of(fd_); }
  void set_access(const FileAccess& access) noexcept override { set_access_of(fd_, access); }

  [[nodiscard]] Result<std::size_t> read_at(std::uint64_t offset, MutableBytes out) override {
    std::size_t done = 0;
    while (done < out.size()) {
      if (offset > kOffsetMax - done) break;  // behind the end of any file
      const auto at = static_cast<off_t>(offset + done);
      const std::size_t n = std::min(out.size() - done, kCallBytes);
      const ssize_t got = retried([&] { return ::pread(fd_, out.data() + done, n, at); });
      if (got < 0) return file_error("read", path_, errno, offset + done);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  [[nodiscard]] Written write_at(std::uint64_t offset, std::span<const BytesView> pieces) override {
#ifdef __APPLE__
    // macOS has pwritev only from 11 on.
    return write_pieces(path_, offset, pieces, [this](BytesView run, std::uint64_t at) -> WriteCall {
      if (at > kOffsetMax) return {0, EFBIG};
      const std::size_t n = std::min(run.size(), kCallBytes);
      const ssize_t done = retried([&] { return ::pwrite(fd_, run.data(), n, static_cast<off_t>(at)); });
      return done < 0 ? WriteCall{0, errno} : WriteCall{static_cast<std::size_t>(done), 0};
    });
#else
    Written w;
    if (pieces.size() == 1 && pieces[0].size() <= kCallBytes && !pieces[0].empty() && offset <= kOffsetMax) {
      // Most of all writes. One that takes a part goes on below.
      const ssize_t done =
          retried([&] { return ::pwrite(fd_, pieces[0].data(), pieces[0].size(), static_cast<off_t>(offset)); });
      if (done <= 0) {
        w.status = file_error("write", path_, done == 0 ? EIO : errno, offset);
        return w;
      }
      w.bytes = static_cast<std::uint64_t>(done);
      if (w.bytes == pieces[0].size()) return w;
    }
    PieceCursor cursor(pieces);
    cursor.skip(w.bytes);
    std::array<iovec, 256> vectors;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled as far as it is used
    while (true) {
      int count = 0;
      cursor.peek(vectors.size(), kCallBytes, [&](BytesView run) {
        vectors[static_cast<std::size_t>(count++)] = {const_cast<std::uint8_t*>(run.data()), run.size()};
      });
      if (count == 0) return w;
      const std::uint64_t at = offset + w.bytes;
      ssize_t done = -1;
      errno = EFBIG;
      if (offset <= kOffsetMax && w.bytes <= kOffsetMax - offset) {
        const auto start = static_cast<off_t>(at);
        // 50 ns faster than a list of one.
        done = count == 1 ? retried([&] { return ::pwrite(fd_, vectors[0].iov_base, vectors[0].iov_len, start); })
                          : retried([&] { return ::pwritev(fd_, vectors.data(), count, start); });
      }
      if (done <= 0) {
        w.status = file_error("write", path_, done == 0 ? EIO : errno, at);
        return w;
      }
      w.bytes += static_cast<std::uint64_t>(done);
      cursor.skip(static_cast<std::size_t>(done));
    }
#endif
  }

#ifdef __linux__
  // Where ext4 finds a place for each page as it is written, 512 KiB take 1.6 times as long. On tmpfs it would only
  // cost time, and elsewhere nobody has measured it. What goes wrong is for the write to tell.
  void expect(std::uint64_t offset, std::uint64_t bytes) noexcept override {
    if (offset > kOffsetMax || bytes > kOffsetMax - offset) return;
    struct statfs fs;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    if (::fstatfs(fd_, &fs) != 0 || fs.f_type != EXT4_SUPER_MAGIC) return;
    (void)::fallocate(fd_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  }
#endif

  [[nodiscard]] Result<void> reserve(std::uint64_t offset, std::uint64_t bytes) override {
    int error = 0;
    struct rlimit limit;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    if (offset > kOffsetMax || bytes > kOffsetMax - offset ||
        (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
         offset + bytes > static_cast<std::uint64_t>(limit.rlim_cur))) {
      error = EFBIG;
    }
#ifdef __linux__
    // Where a signal ends it, it begins anew: not for ever, since a timer may send them.
    for (int tries = 8; error == 0 && tries != 0; --tries) {
      if (::fallocate(fd_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(bytes)) == 0) break;
      if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) {
        error = errno;
        [[maybe_unused]] const int cut = ::ftruncate(fd_, static_cast<off_t>(offset));  // gives back what was found
      } else if (errno != EINTR) {
        break;
      }
    }
#endif
    if (error != 0) return file_error("write", path_, error, offset);
    return {};
  }

  [[nodiscard]] Result<std::uint64_t> size() override {
    struct stat s;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    if (::fstat(fd_, &s) != 0) return file_error("stat", path_, errno);
    return static_cast<std::uint64_t>(s.st_size);
  }

  [[nodiscard]] Result<void> truncate(std::uint64_t size) override {
    const Result<std::uint64_t> now = this->size();
    if (!now.ok()) return now.error();
    if (size > *now) return longer_error(path_, size);
    if (retried([&] { return ::ftruncate(fd_, static_cast<off_t>(size)); }) != 0) {
      return file_error("truncate", path_, errno, size);
    }
    return {};
  }

  [[nodiscard]] Result<void> sync_data() override {
#ifdef __linux__
    return synced(retried([&] { return ::fdatasync(fd_); }));
#else
    return sync_all();
#endif
  }

  [[nodiscard]] Result<void> sync_all() override {
#ifdef __APPLE__
    // fsync() leaves the bytes in the cache of the drive. Network file systems have no other.
    if (retried([&] { return ::fcntl(fd_, F_FULLFSYNC); }) == 0) return {};
    if (errno != ENOTSUP && errno != ENOTTY && errno != EINVAL) return synced(-1);
#endif
    return synced(retried([&] { return ::fsync(fd_); }));
  }

  [[nodiscard]] Result<void> try_lock_exclusive() override {
    // Not fcntl(): its locks are the process's, and any close() of the file drops them.
    if (retried([&] { return ::flock(fd_, LOCK_EX | LOCK_NB); }) == 0) return {};
    if (errno == EWOULDBLOCK) return locked_error(path_);
    return file_error("lock", path_, errno);
  }

  void unlock() noexcept override { (void)::flock(fd_, LOCK_UN); }

  [[nodiscard]] Result<Mapping> map(std::uint64_t size) override {
    if (size == 0) return Mapping();
    const Result<std::uint64_t> now = this->size();
    if (!now.ok()) return now.error();
    if (size > *now) return beyond_end_error(path_, 0, size, *now);
    std::uint64_t capacity = size > kOffsetMax / 4 ? size : std::bit_ceil(size + kMapAhead);
    void* start = map_file(fd_, capacity);
    if (start == MAP_FAILED && errno == ENOMEM) {  // what waits to be unmapped counts, too
      Reaper::of_process().unmap_all();
      start = map_file(fd_, capacity);
    }
    if (start == MAP_FAILED && errno == ENOMEM) {  // a limit on address space: do with what is there
      capacity = size;
      start = map_file(fd_, capacity);
    }
    if (start == MAP_FAILED) return file_error("map", path_, errno);
    auto* const region = new (std::nothrow) PosixRegion;
    if (region == nullptr) {
      (void)::munmap(start, static_cast<std::size_t>(capacity));
      return file_error("map", path_, ENOMEM);
    }
    region->data = static_cast<const std::uint8_t*>(start);
    region->capacity = region->bytes = static_cast<std::size_t>(capacity);
    region->used = static_cast<std::size_t>(size);
    region->start = start;
    region->release = release_region;
    region->unmap = unmap_region;
    region->advise = advise_region;
    return Mapping(region);
  }

  // What is behind the end becomes readable as the file grows.
  [[nodiscard]] bool covers(const Mapping& mapping, std::uint64_t size) const noexcept override {
    return size <= mapping.capacity();
  }

  [[nodiscard]] bool maps_ahead() const noexcept override { return true; }

  [[nodiscard]] std::uint64_t data_end(std::uint64_t size) noexcept override {
#ifdef SEEK_HOLE
    constexpr int kHolesMax = 1000;
    if (size > kOffsetMax) return size;
    off_t at = 0;
    for (int i = 0; i < kHolesMax; ++i) {
      const off_t hole = ::lseek(fd_, at, SEEK_HOLE);
      if (hole < 0 || static_cast<std::uint64_t>(hole) >= size) break;
      at = ::lseek(fd_, hole, SEEK_DATA);
      if (at < 0) return errno == ENXIO ? static_cast<std::uint64_t>(hole) : size;
    }
#endif
    return size;
  }

  void advise(std::uint64_t offset, std::uint64_t size, Advice advice) noexcept override {
#ifdef POSIX_FADV_NORMAL
    if (offset > kOffsetMax || size > kOffsetMax) return;
    int how = POSIX_FADV_WILLNEED;
    if (advice == Advice::normal) how = POSIX_FADV_NORMAL;
    if (advice == Advice::sequential) how = POSIX_FADV_SEQUENTIAL;
    if (advice == Advice::random) how = POSIX_FADV_RANDOM;
    (void)::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(size), how);
#else
    (void)offset;
    (void)size;
    if (advice == Advice::sequential || advice == Advice::random) {
      (void)::fcntl(fd_, F_RDAHEAD, advice == Advice::sequential ? 1 : 0);
    }
#endif
  }

 private:
  static constexpr std::uint64_t kOffsetMax = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());

  Result<void> synced(int result) const {
    if (result != 0) return file_error("sync", path_, errno);
    return {};
  }

  const int fd_;
  std::string path_;
  FileIdentity identity_;
  bool created_ = false;
};

// ---- File system ----

class PosixFiles final : public FileSystem {
 public:
  [[nodiscard]] Result<std::unique_ptr<File>> open(const std::string& path, const OpenOptions& options) override {
    if (has_nul(path)) return file_error("open", path, EINVAL);
    bool created = false;
    const int fd = open_fd(path, options, created);
    if (fd < 0) return file_error(created || options.create == Create::exclusive ? "create" : "open", path, errno);
    auto file = std::make_unique<PosixFile>(fd, path);
    struct stat s;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    if (::fstat(fd, &s) != 0) return file_error("stat", path, errno);
    const FileStat found = from_system(s);
    if (found.kind == FileKind::directory) return file_error("open", path, EISDIR);
    if (found.kind != FileKind::regular) return not_a_file_error("open", path);
    file->know(found.identity, created);
    return std::unique_ptr<File>(std::move(file));
  }

  [[nodiscard]] Result<FileStat> stat(const std::string& path) override {
    if (has_nul(path)) return file_error("stat", path, EINVAL);
    struct stat s;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    if (::stat(path.c_str(), &s) != 0) return file_error("stat", path, errno);
    return from_system(s);
  }

  [[nodiscard]] Result<void> rename_over(const std::string& from, const std::string& to) override {
    if (has_nul(from) || has_nul(to)) return file_error("rename", from, EINVAL);
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
    const int e = errno;
    return file_error("rename " + quoted_path(from) + " to", to, e);
  }

  [[nodiscard]] Result<void> rename_new(const std::string& from, const std::string& to) override {
    if (has_nul(from) || has_nul(to)) return file_error("rename", from, EINVAL);
    if (::link(from.c_str(), to.c_str()) == 0) {
      (void)::unlink(from.c_str());  // a second name does no harm, and is left over
      return {};
    }
    struct stat s;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    if (errno == EEXIST || ::lstat(to.c_str(), &s) == 0) return file_error("create", to, EEXIST);
    return rename_over(from, to);  // a file system without links
  }

  [[nodiscard]] Result<void> remove(const std::string& path) override {
    if (has_nul(path)) return file_error("remove", path, EINVAL);
    if (::unlink(path.c_str()) == 0) return {};
    return file_error("remove", path, errno);
  }

  [[nodiscard]] Result<void> sync_directory(const std::string& path) override {
    if (has_nul(path)) return file_error("sync", path, EINVAL);
    const std::size_t slash = path.find_last_of('/');
    const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    const int fd = retried([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
    if (fd < 0) return file_error("open folder", folder, errno);
    const int result = retried([&] { return ::fsync(fd); });
    const int e = errno;
    (void)::close(fd);
    // Some network file systems have no such thing; what they do is on the server when it returns.
    if (result == 0 || e == EINVAL || e == ENOTSUP) return {};
    return file_error("sync folder", folder, e);
  }

 private:
  static int open_fd(const std::string& path, const OpenOptions& options, bool& created) {
    // O_NONBLOCK: opening a pipe by mistake must not wait for its other end. Regular files do not know it.
    int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (options.write ? O_RDWR : O_RDONLY);
    if (!options.follow_links) flags |= O_NOFOLLOW;
    const auto open_with = [&](int more) { return retried([&] { return ::open(path.c_str(), flags | more, 0600); }); };
    if (options.create == Create::exclusive) {
      created = true;
      return open_with(O_CREAT | O_EXCL);
    }
    int fd = open_with(0);
    if (fd >= 0 || errno != ENOENT || options.create == Create::never) return fd;
    // Exclusively, so as to know that it was this call that made it.
    created = true;
    fd = open_with(O_CREAT | O_EXCL);
    if (fd >= 0 || errno != EEXIST) return fd;
    // Another made it since, or the path is a link to what does not exist.
    created = false;
    fd = open_with(0);
    if (fd >= 0 || errno != ENOENT || !options.follow_links) return fd;
    created = true;
    return open_with(O_CREAT);
  }
};

}  // namespace

std::string behind_links(const std::string& path) {
  constexpr int kLinksMax = 40;
  std::array<char, 4096> to;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled as far as it is used
  std::string at = path;
  struct stat s;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  for (int i = 0; i < kLinksMax; ++i) {
    if (has_nul(at) || ::lstat(at.c_str(), &s) != 0 || !S_ISLNK(s.st_mode)) return at;
    if (char* const found = ::realpath(at.c_str(), nullptr); found != nullptr) {
      std::string real(found);
      std::free(found);  // NOLINT(cppcoreguidelines-no-malloc): it comes from there
      return real;
    }
    // It leads to where there is nothing yet.
    const ssize_t size = ::readlink(at.c_str(), to.data(), to.size());
    if (size <= 0 || static_cast<std::size_t>(size) == to.size()) return path;
    const std::string folder = to[0] == '/' ? std::string() : at.substr(0, at.rfind('/') + 1);
    at = folder + std::string(to.data(), static_cast<std::size_t>(size));
  }
  return path;
}

FileSystem& system_files() noexcept {
  static PosixFiles files;
  return files;
}

}  // namespace simdrive::store

#endif
