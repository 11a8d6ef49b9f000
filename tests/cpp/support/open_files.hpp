// Whether the system lets a file be renamed over one that is open, as compaction and recovery do with a store in use.
// Windows does from version 10 1607 on, on NTFS; Wine does not.
#pragma once

#include <gtest/gtest.h>

#include "store/file.hpp"
#include "support/temporary_folder.hpp"

namespace simdrive::testing_store {

inline bool renames_over_open_files() {
#ifdef _WIN32
  const TemporaryFolder folder;
  const store::OpenOptions options{.write = true, .create = store::Create::exclusive};
  const auto open = store::system_files().open(folder.file("open"), options);
  if (!store::system_files().open(folder.file("other"), options).ok() || !open.ok()) return true;  // tests will tell
  return store::system_files().rename_over(folder.file("other"), folder.file("open")).ok();
#else
  return true;
#endif
}

}  // namespace simdrive::testing_store

#define SIMDRIVE_NEEDS_RENAMES_OVER_OPEN_FILES()           \
  if (!simdrive::testing_store::renames_over_open_files()) \
  GTEST_SKIP() << "this Windows does not rename over open files"
