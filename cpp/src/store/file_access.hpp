// Owner, mode and access list of files, on POSIX systems.
#pragma once

#include "store/file.hpp"

namespace simdrive::store {

[[nodiscard]] FileAccess access_of(int fd);
/// Gives nobody more than `access` does, at no moment.
void set_access_of(int fd, const FileAccess& access) noexcept;

}  // namespace simdrive::store
