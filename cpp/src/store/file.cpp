#include "store/file.hpp"

#include <cerrno>
#include <system_error>

namespace simdrive::store {

namespace {

Errc code_for(int errno_value) noexcept {
  switch (errno_value) {
    case ENOENT:
    case ENOTDIR: return Errc::store_not_found;
    case ENOSPC:
#ifdef EDQUOT
    case EDQUOT:
#endif
    case EFBIG: return Errc::storage_full;
    case ENOMEM: return Errc::out_of_memory;
    default: return Errc::store_error;
  }
}

}  // namespace

FileFault fault_of(const Error& error) noexcept {
  switch (error.code) {
    case Errc::store_not_found: return FileFault::not_found;
    case Errc::store_locked: return FileFault::locked;
    case Errc::storage_full: return FileFault::no_room;
    case Errc::out_of_memory: return FileFault::no_memory;
    case Errc::store_corrupt: return FileFault::beyond_end;
    default: break;
  }
  switch (error.system_code) {
    case EEXIST: return FileFault::exists;
    case EISDIR: return FileFault::is_directory;
    case ELOOP:
    case ENXIO: return FileFault::not_a_file;
    case EACCES:
    case EPERM:
    case EROFS: return FileFault::permission;
    case EBUSY: return FileFault::in_use;
    case EIO: return FileFault::io;
    default: return FileFault::other;
  }
}

std::string quoted_path(std::string_view path) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text = "'";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      text += "\\x";
      text += kHex[byte >> 4];
      text += kHex[byte & 15];
    } else {
      if (c == '\'' || c == '\\') text += '\\';
      text += c;
    }
  }
  return text + "'";
}

Error file_error(std::string_view operation, std::string_view path, int errno_value, std::uint64_t offset) {
  std::string detail(operation);
  detail += " " + quoted_path(path) + ": " + std::generic_category().message(errno_value);
  return Error{
      .code = code_for(errno_value), .detail = std::move(detail), .offset = offset, .system_code = errno_value};
}

Error locked_error(std::string_view path) {
  return Error{.code = Errc::store_locked,
               .detail = "lock " + quoted_path(path) + ": another handle has it locked",
               .system_code = EAGAIN};
}

Error not_a_file_error(std::string_view operation, std::string_view path) {
  Error error = file_error(operation, path, ENXIO);
  error.detail = std::string(operation) + " " + quoted_path(path) + ": it is not a regular file";
  return error;
}

Error longer_error(std::string_view path, std::uint64_t size) {
  Error error = file_error("truncate", path, EINVAL, size);
  error.detail = "truncate " + quoted_path(path) + ": " + std::to_string(size) + " bytes are more than it has";
  return error;
}

Error beyond_end_error(std::string_view path, std::uint64_t offset, std::uint64_t wanted, std::uint64_t got) {
  return Error{.code = Errc::store_corrupt,
               .detail = "read " + quoted_path(path) + ": of the " + std::to_string(wanted) + " bytes at " +
                         std::to_string(offset) + ", " + std::to_string(got) + " are in the file",
               .offset = offset};
}

Result<bool> exists(FileSystem& files, const std::string& path) {
  const Result<FileStat> found = files.stat(path);
  if (found.ok()) return true;
  if (fault_of(found.error()) == FileFault::not_found) return false;
  return found.error();
}

Result<void> read_exactly(File& file, std::uint64_t offset, MutableBytes out) {
  Result<std::size_t> got = file.read_at(offset, out);
  if (!got.ok()) return std::move(got).error();
  if (*got != out.size()) return beyond_end_error(file.path(), offset, out.size(), *got);
  return {};
}

}  // namespace simdrive::store
