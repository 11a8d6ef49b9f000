#ifdef _WIN32

#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <limits>
#include <new>
#include <system_error>
#include <utility>
#include <vector>

#include "store/file.hpp"
#include "store/piece_writer.hpp"

namespace simdrive::store {

namespace {

constexpr std::size_t kCallBytes = std::size_t{1} << 30;
constexpr DWORD kShareAll = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

// ---- Errors ----

constexpr DWORD kDiskQuotaExceeded = 1295;  // older headers lack it

int errno_for(DWORD code) noexcept {
  switch (code) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_DRIVE:
    case ERROR_BAD_NETPATH:
    case ERROR_BAD_NET_NAME: return ENOENT;
    case ERROR_DIRECTORY: return ENOTDIR;
    case ERROR_ACCESS_DENIED: return EACCES;
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION:
    case ERROR_USER_MAPPED_FILE:
    case ERROR_DELETE_PENDING: return EBUSY;
    case ERROR_WRITE_PROTECT: return EROFS;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS: return EEXIST;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
    case kDiskQuotaExceeded: return ENOSPC;
    case ERROR_FILE_TOO_LARGE: return EFBIG;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_COMMITMENT_LIMIT: return ENOMEM;
    case ERROR_TOO_MANY_OPEN_FILES: return EMFILE;
    case ERROR_FILENAME_EXCED_RANGE: return ENAMETOOLONG;
    case ERROR_CRC:
    case ERROR_SEEK:
    case ERROR_SECTOR_NOT_FOUND:
    case ERROR_READ_FAULT:
    case ERROR_WRITE_FAULT:
    case ERROR_NOT_READY:
    case ERROR_GEN_FAILURE:
    case ERROR_IO_DEVICE: return EIO;
    case ERROR_NOT_SUPPORTED:
    case ERROR_INVALID_FUNCTION: return ENOSYS;
    default: return EINVAL;
  }
}

/// With the system's own words, which say more than errno's.
Error windows_error(std::string_view operation, std::string_view path, DWORD code, std::uint64_t offset = 0) {
  Error error = file_error(operation, path, errno_for(code), offset);
  std::string words = std::system_category().message(static_cast<int>(code));
  while (!words.empty() && (words.back() == '\n' || words.back() == '\r' || words.back() == '.')) words.pop_back();
  error.detail = std::string(operation) + " " + quoted_path(path) + ": " + words;
  return error;
}

// ---- Paths and handles ----

/// The path as the system takes it, with the prefix that allows more than 260 characters where it is needed. Empty,
/// with the last error set, if it is no path.
std::wstring wide(const std::string& path) {
  ::SetLastError(ERROR_INVALID_NAME);
  if (path.empty()) ::SetLastError(ERROR_PATH_NOT_FOUND);
  if (path.empty() || path.find('\0') != std::string::npos || path.size() > 32767) return {};
  const int size = static_cast<int>(path.size());
  const int n = ::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path.data(), size, nullptr, 0);
  if (n <= 0) return {};
  std::wstring text(static_cast<std::size_t>(n), L'\0');
  (void)::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path.data(), size, text.data(), n);
  constexpr std::size_t kShort = 240;
  if (text.size() < kShort || text.starts_with(L"\\\\?\\") || text.starts_with(L"\\\\.\\")) return text;
  const DWORD room = ::GetFullPathNameW(text.c_str(), 0, nullptr, nullptr);
  if (room == 0) return {};
  std::wstring full(room, L'\0');
  const DWORD got = ::GetFullPathNameW(text.c_str(), room, full.data(), nullptr);
  if (got == 0 || got >= room) return {};
  full.resize(got);
  return full.starts_with(L"\\\\") ? L"\\\\?\\UNC\\" + full.substr(2) : L"\\\\?\\" + full;
}

class Handle {
 public:
  explicit Handle(HANDLE handle) noexcept : handle_(handle) {}
  ~Handle() {
    if (open()) (void)::CloseHandle(handle_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  [[nodiscard]] bool open() const noexcept { return handle_ != nullptr && handle_ != INVALID_HANDLE_VALUE; }
  [[nodiscard]] HANDLE get() const noexcept { return handle_; }

 private:
  HANDLE handle_;
};

bool stat_handle(HANDLE handle, FileStat& out, DWORD& attributes) noexcept {
  BY_HANDLE_FILE_INFORMATION information;
  if (!::GetFileInformationByHandle(handle, &information)) return false;
  attributes = information.dwFileAttributes;
  out.size = (std::uint64_t{information.nFileSizeHigh} << 32) | information.nFileSizeLow;
  out.kind = (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0 ? FileKind::directory
             : ::GetFileType(handle) == FILE_TYPE_DISK    ? FileKind::regular
                                                          : FileKind::other;
  out.identity = {.volume = information.dwVolumeSerialNumber,
                  .low = (std::uint64_t{information.nFileIndexHigh} << 32) | information.nFileIndexLow};
  // ReFS has numbers of 128 bits.
  FILE_ID_INFO id;
  if (::GetFileInformationByHandleEx(handle, FileIdInfo, &id, sizeof id)) {
    out.identity.volume = id.VolumeSerialNumber;
    std::memcpy(&out.identity.low, id.FileId.Identifier, 8);
    std::memcpy(&out.identity.high, id.FileId.Identifier + 8, 8);
  }
  return true;
}

OVERLAPPED at_offset(std::uint64_t offset) noexcept {
  OVERLAPPED where{};
  where.Offset = static_cast<DWORD>(offset & 0xffffffffU);
  where.OffsetHigh = static_cast<DWORD>(offset >> 32);
  return where;
}

// Locks keep others from reading what they cover, so this one lies where no file reaches.
constexpr std::uint64_t kLockOffset = 0x7ffffffffffffffeU;

// ---- Mapping ----

void release_region(MappingRegion* region) noexcept {
  (void)::UnmapViewOfFile(region->data);
  delete region;
}

void advise_region(const MappingRegion& region, std::size_t offset, std::size_t size, Advice advice) noexcept {
  if (offset >= region.capacity || (advice != Advice::will_need && advice != Advice::populate)) return;
  WIN32_MEMORY_RANGE_ENTRY range{};
  range.VirtualAddress = const_cast<std::uint8_t*>(region.data) + offset;
  range.NumberOfBytes =
      size == 0 || size > region.capacity - offset ? region.capacity - offset : static_cast<SIZE_T>(size);
  (void)::PrefetchVirtualMemory(::GetCurrentProcess(), 1, &range, 0);
}

// ---- File ----

class WindowsFile final : public File {
 public:
  WindowsFile(Handle handle, std::string path, FileIdentity identity, bool created)
      : handle_(std::move(handle)), path_(std::move(path)), identity_(identity), created_(created) {}

  [[nodiscard]] const std::string& path() const noexcept override { return path_; }
  void renamed(const std::string& path) override { path_ = path; }
  [[nodiscard]] bool created() const noexcept override { return created_; }
  [[nodiscard]] FileIdentity identity() const noexcept override { return identity_; }

  [[nodiscard]] Result<std::size_t> read_at(std::uint64_t offset, MutableBytes out) override {
    std::size_t done = 0;
    while (done < out.size()) {
      if (offset > kOffsetMax - done) break;  // behind the end of any file
      OVERLAPPED where = at_offset(offset + done);
      const auto n = static_cast<DWORD>(std::min(out.size() - done, kCallBytes));
      DWORD got = 0;
      if (!::ReadFile(handle_.get(), out.data() + done, n, &got, &where)) {
        const DWORD e = ::GetLastError();
        if (e == ERROR_HANDLE_EOF) break;
        return windows_error("read", path_, e, offset + done);
      }
      if (got == 0) break;
      done += got;
    }
    return done;
  }

  [[nodiscard]] Written write_at(std::uint64_t offset, std::span<const BytesView> pieces) override {
    return write_pieces(path_, offset, pieces, [this](BytesView run, std::uint64_t at) -> WriteCall {
      if (at > kOffsetMax) return {0, EFBIG};
      OVERLAPPED where = at_offset(at);
      DWORD done = 0;
      const auto n = static_cast<DWORD>(std::min(run.size(), kCallBytes));
      if (!::WriteFile(handle_.get(), run.data(), n, &done, &where)) return {0, errno_for(::GetLastError())};
      return {done, 0};
    });
  }

  [[nodiscard]] Result<void> reserve(std::uint64_t offset, std::uint64_t bytes) override {
    if (offset > kOffsetMax || bytes > kOffsetMax - offset) return file_error("write", path_, EFBIG, offset);
    FILE_ALLOCATION_INFO room{};
    room.AllocationSize.QuadPart = static_cast<LONGLONG>(offset + bytes);
    if (::SetFileInformationByHandle(handle_.get(), FileAllocationInfo, &room, sizeof room)) return {};
    const int error = errno_for(::GetLastError());
    if (error == ENOSPC) return file_error("write", path_, error, offset);
    return {};
  }

  [[nodiscard]] Result<std::uint64_t> size() override {
    LARGE_INTEGER size;
    if (!::GetFileSizeEx(handle_.get(), &size)) return windows_error("stat", path_, ::GetLastError());
    return static_cast<std::uint64_t>(size.QuadPart);
  }

  // EBUSY while there is a mapping of the file, in whatever process.
  [[nodiscard]] Result<void> truncate(std::uint64_t size) override {
    const Result<std::uint64_t> now = this->size();
    if (!now.ok()) return now.error();
    if (size > *now) return longer_error(path_, size);
    FILE_END_OF_FILE_INFO end{};
    end.EndOfFile.QuadPart = static_cast<LONGLONG>(size);
    if (!::SetFileInformationByHandle(handle_.get(), FileEndOfFileInfo, &end, sizeof end)) {
      return windows_error("truncate", path_, ::GetLastError(), size);
    }
    return {};
  }

  [[nodiscard]] Result<void> sync_data() override { return sync_all(); }
  [[nodiscard]] Result<void> sync_all() override {
    if (!::FlushFileBuffers(handle_.get())) return windows_error("sync", path_, ::GetLastError());
    return {};
  }

  [[nodiscard]] Result<void> try_lock_exclusive() override {
    if (locked_) return {};  // as flock(); here the system would refuse
    OVERLAPPED where = at_offset(kLockOffset);
    if (!::LockFileEx(handle_.get(), LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &where)) {
      const DWORD e = ::GetLastError();
      if (e == ERROR_LOCK_VIOLATION || e == ERROR_IO_PENDING) return locked_error(path_);
      return windows_error("lock", path_, e);
    }
    locked_ = true;
    return {};
  }

  void unlock() noexcept override {
    OVERLAPPED where = at_offset(kLockOffset);
    if (std::exchange(locked_, false)) (void)::UnlockFileEx(handle_.get(), 0, 1, 0, &where);
  }

  [[nodiscard]] Result<Mapping> map(std::uint64_t size) override {
    if (size == 0) return Mapping();
    const Result<std::uint64_t> now = this->size();
    if (!now.ok()) return now.error();
    if (size > *now) return beyond_end_error(path_, 0, size, *now);
    // A longer section would make the file longer, so it is all that is there, and has to be made anew as the file
    // grows.
    if (*now > std::numeric_limits<std::size_t>::max() / 2) return file_error("map", path_, ENOMEM);
    const Handle section(::CreateFileMappingW(handle_.get(), nullptr, PAGE_READONLY, static_cast<DWORD>(*now >> 32),
                                              static_cast<DWORD>(*now & 0xffffffffU), nullptr));
    if (!section.open()) return windows_error("map", path_, ::GetLastError());
    void* const start = ::MapViewOfFile(section.get(), FILE_MAP_READ, 0, 0, static_cast<SIZE_T>(*now));
    if (start == nullptr) return windows_error("map", path_, ::GetLastError());
    auto* const region = new (std::nothrow) MappingRegion;
    if (region == nullptr) {
      (void)::UnmapViewOfFile(start);
      return file_error("map", path_, ENOMEM);
    }
    region->data = static_cast<const std::uint8_t*>(start);
    region->capacity = static_cast<std::size_t>(*now);
    region->release = release_region;
    region->advise = advise_region;
    return Mapping(region);
  }

  [[nodiscard]] bool covers(const Mapping& mapping, std::uint64_t size) const noexcept override {
    return size <= mapping.capacity();
  }

  void advise(std::uint64_t /*offset*/, std::uint64_t /*size*/, Advice /*advice*/) noexcept override {}

 private:
  static constexpr std::uint64_t kOffsetMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

  const Handle handle_;
  std::string path_;
  const FileIdentity identity_;
  const bool created_;
  bool locked_ = false;
};

// ---- File system ----

/// Renames even if `to` is open, as other systems do: Windows 10 1607 and later, on NTFS.
bool rename_posix(const std::wstring& from, const std::wstring& to) {
  struct RenameInformation {  // FILE_RENAME_INFO with flags, which older headers lack
    DWORD flags;
    HANDLE root;
    DWORD name_bytes;
    wchar_t name[1];
  };
  constexpr auto kFileRenameInfoEx = static_cast<FILE_INFO_BY_HANDLE_CLASS>(22);
  constexpr DWORD kReplaceIfExists = 1;
  constexpr DWORD kPosixSemantics = 2;
  const DWORD room = ::GetFullPathNameW(to.c_str(), 0, nullptr, nullptr);
  if (room == 0) return false;
  std::wstring full(room, L'\0');
  const DWORD length = ::GetFullPathNameW(to.c_str(), room, full.data(), nullptr);
  if (length == 0 || length >= room) return false;
  const Handle source(::CreateFileW(from.c_str(), DELETE | SYNCHRONIZE, kShareAll, nullptr, OPEN_EXISTING,
                                    FILE_FLAG_OPEN_REPARSE_POINT, nullptr));
  if (!source.open()) return false;
  const std::size_t bytes = offsetof(RenameInformation, name) + (length + std::size_t{1}) * sizeof(wchar_t);
  std::vector<std::max_align_t> memory(bytes / sizeof(std::max_align_t) + 2);
  auto* const information = new (memory.data()) RenameInformation{};
  information->flags = kReplaceIfExists | kPosixSemantics;
  information->name_bytes = length * static_cast<DWORD>(sizeof(wchar_t));
  std::memcpy(reinterpret_cast<char*>(memory.data()) + offsetof(RenameInformation, name), full.data(),
              length * sizeof(wchar_t));
  return ::SetFileInformationByHandle(source.get(), kFileRenameInfoEx, information, static_cast<DWORD>(bytes)) != 0;
}

class WindowsFiles final : public FileSystem {
 public:
  [[nodiscard]] Result<std::unique_ptr<File>> open(const std::string& path, const OpenOptions& options) override {
    const std::wstring name = wide(path);
    const char* const operation = options.create == Create::exclusive ? "create" : "open";
    if (name.empty()) return windows_error(operation, path, ::GetLastError());
    const DWORD access = options.write ? GENERIC_READ | GENERIC_WRITE : GENERIC_READ;
    const DWORD how = options.create == Create::exclusive    ? CREATE_NEW
                      : options.create == Create::if_missing ? OPEN_ALWAYS
                                                             : OPEN_EXISTING;
    const DWORD flags = FILE_ATTRIBUTE_NORMAL | (options.follow_links ? 0U : DWORD{FILE_FLAG_OPEN_REPARSE_POINT});
    ::SetLastError(0);
    // The null: not inherited by child processes.
    Handle handle(::CreateFileW(name.c_str(), access, kShareAll, nullptr, how, flags, nullptr));
    const DWORD e = ::GetLastError();
    if (!handle.open()) {
      const DWORD there = e == ERROR_ACCESS_DENIED ? ::GetFileAttributesW(name.c_str()) : INVALID_FILE_ATTRIBUTES;
      if (there != INVALID_FILE_ATTRIBUTES && (there & FILE_ATTRIBUTE_DIRECTORY) != 0) {
        return file_error(operation, path, options.create == Create::exclusive ? EEXIST : EISDIR);
      }
      return windows_error(operation, path, e);
    }
    const bool created = how == CREATE_NEW || (how == OPEN_ALWAYS && e != ERROR_ALREADY_EXISTS);
    FileStat found;
    DWORD attributes = 0;
    if (::GetFileType(handle.get()) != FILE_TYPE_DISK) return not_a_file_error(operation, path);
    if (!stat_handle(handle.get(), found, attributes)) return windows_error("stat", path, ::GetLastError());
    if (!options.follow_links && (attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0) {
      return file_error(operation, path, ELOOP);
    }
    if (found.kind == FileKind::directory) return file_error(operation, path, EISDIR);
    return std::unique_ptr<File>(std::make_unique<WindowsFile>(std::move(handle), path, found.identity, created));
  }

  [[nodiscard]] Result<FileStat> stat(const std::string& path) override {
    const std::wstring name = wide(path);
    if (name.empty()) return windows_error("stat", path, ::GetLastError());
    const Handle handle(::CreateFileW(name.c_str(), FILE_READ_ATTRIBUTES, kShareAll, nullptr, OPEN_EXISTING,
                                      FILE_FLAG_BACKUP_SEMANTICS, nullptr));
    FileStat found;
    DWORD attributes = 0;
    if (!handle.open() || !stat_handle(handle.get(), found, attributes)) {
      return windows_error("stat", path, ::GetLastError());
    }
    return found;
  }

  [[nodiscard]] Result<void> rename_over(const std::string& from, const std::string& to) override {
    const std::wstring source = wide(from);
    const std::wstring target = wide(to);
    if (source.empty() || target.empty()) return windows_error("rename", from, ERROR_INVALID_NAME);
    if (rename_posix(source, target)) return {};
    if (::MoveFileExW(source.c_str(), target.c_str(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)) return {};
    const DWORD e = ::GetLastError();
    return windows_error("rename " + quoted_path(from) + " to", to, e);
  }

  [[nodiscard]] Result<void> rename_new(const std::string& from, const std::string& to) override {
    const std::wstring source = wide(from);
    const std::wstring target = wide(to);
    if (source.empty() || target.empty()) return windows_error("rename", from, ERROR_INVALID_NAME);
    if (::MoveFileExW(source.c_str(), target.c_str(), MOVEFILE_WRITE_THROUGH)) return {};
    const DWORD e = ::GetLastError();
    if (errno_for(e) == EEXIST) return windows_error("create", to, e);
    return windows_error("rename " + quoted_path(from) + " to", to, e);
  }

  [[nodiscard]] Result<void> remove(const std::string& path) override {
    const std::wstring name = wide(path);
    if (name.empty() || !::DeleteFileW(name.c_str())) return windows_error("remove", path, ::GetLastError());
    return {};
  }

  // Folders cannot be synced here. What happens to them goes into the volume's log in order, which is written out with
  // the file that was last created or renamed.
  [[nodiscard]] Result<void> sync_directory(const std::string& path) override {
    const std::wstring name = wide(path);
    if (name.empty()) return windows_error("sync", path, ::GetLastError());
    const Handle handle(
        ::CreateFileW(name.c_str(), GENERIC_WRITE, kShareAll, nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr));
    if (!handle.open()) {
      const DWORD e = ::GetLastError();
      if (e == ERROR_FILE_NOT_FOUND) return {};  // it was removed
      return windows_error("sync", path, e);
    }
    if (!::FlushFileBuffers(handle.get())) return windows_error("sync", path, ::GetLastError());
    return {};
  }
};

}  // namespace

std::string behind_links(const std::string& path) {
  namespace fs = std::filesystem;
  constexpr int kLinksMax = 40;
  std::error_code failed;
  fs::path at(wide(path));
  int links = 0;
  for (; links < kLinksMax && fs::is_symlink(at, failed); ++links) {
    fs::path real = fs::canonical(at, failed);
    if (failed) {  // it leads to where there is nothing yet
      const fs::path to = fs::read_symlink(at, failed);
      if (failed) return path;
      real = at.parent_path() / to;
    }
    at = std::move(real);
  }
  if (links == 0 || links == kLinksMax) return path;
  const std::u8string text = at.u8string();
  return {text.begin(), text.end()};
}

FileSystem& system_files() noexcept {
  static WindowsFiles files;
  return files;
}

}  // namespace simdrive::store

#endif
