#ifndef _WIN32

#include "store/file_access.hpp"

#include <sys/stat.h>
#ifdef __linux__
#include <sys/xattr.h>
#endif
#include <unistd.h>

#include <array>
#include <cerrno>

namespace simdrive::store {

namespace {

constexpr std::uint32_t kOwner = 0700;
constexpr std::uint32_t kAll = 0777;

#ifdef __linux__
constexpr const char* kList = "system.posix_acl_access";

/// False: there is one, and it is not known.
bool read_list(int fd, std::string& list) {
  std::array<char, 4096> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled as far as it is used
  const ssize_t size = ::fgetxattr(fd, kList, buffer.data(), buffer.size());
  if (size >= 0) list.assign(buffer.data(), static_cast<std::size_t>(size));
  return size >= 0 || errno == ENODATA || errno == ENOTSUP;
}

bool set_list(int fd, const std::string& list) noexcept {
  if (!list.empty()) return ::fsetxattr(fd, kList, list.data(), list.size(), 0) == 0;
  // A new file may have one from its folder, which its mode has kept from having an effect.
  return ::fremovexattr(fd, kList) == 0 || errno == ENODATA || errno == ENOTSUP;
}
#else
bool read_list(int /*fd*/, std::string& /*list*/) { return true; }
bool set_list(int /*fd*/, const std::string& /*list*/) noexcept { return true; }
#endif

}  // namespace

FileAccess access_of(int fd) {
  FileAccess access;
  struct stat s;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  if (::fstat(fd, &s) != 0) return access;
  access.known = true;
  access.owner = s.st_uid;
  access.group = s.st_gid;
  access.mode = s.st_mode & (read_list(fd, access.list) ? kAll : kOwner);
  return access;
}

void set_access_of(int fd, const FileAccess& access) noexcept {
  struct stat s;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  if (!access.known || ::fstat(fd, &s) != 0) return;
  constexpr auto kSame = static_cast<uid_t>(-1);
  const bool same_group = s.st_gid == access.group || ::fchown(fd, kSame, access.group) == 0;
  [[maybe_unused]] const bool same_owner =
      s.st_uid == access.owner || ::fchown(fd, access.owner, static_cast<gid_t>(-1)) == 0;
  std::uint32_t mode = access.mode;
  if (!same_group) {  // whoever was in the group is one of the others now, and the other way round
    const std::uint32_t both = (mode >> 3) & mode & 07;
    mode = (mode & kOwner) | (both << 3) | both;
  }
  // The list has the mode, too. Without it the mode alone would let in those whom it keeps out.
  const bool list_set = (same_group || access.list.empty()) && set_list(fd, access.list);
  if (list_set && !access.list.empty()) return;
  (void)::fchmod(fd, static_cast<mode_t>(list_set ? mode : mode & kOwner));
}

}  // namespace simdrive::store

#endif
