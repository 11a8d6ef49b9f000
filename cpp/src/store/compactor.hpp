// New files from old ones: the live entries alone, or what a damaged file still has.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "simdrive/error.hpp"
#include "simdrive/store.hpp"
#include "store/file.hpp"
#include "store/opener.hpp"
#include "store/snapshot.hpp"
#include "store/view.hpp"

namespace simdrive::store {

/// Appends what `walk` gives to `file`, which is empty, and indexes it in `index` if that is not null. `total` is what
/// `progress` is told at the end. Returns tail and number of entries. An entry whose checksum is wrong ends it.
struct Copied {
  std::uint64_t tail = 0;
  std::uint64_t entries = 0;
};
[[nodiscard]] Result<Copied> copy_live(LiveWalk& walk, const std::shared_ptr<File>& file, Index* index,
                                       const std::string& path, std::uint64_t total,
                                       const simdrive::Progress& progress);

/// Which file a path names after a replacement was tried.
enum class Named : std::uint8_t { old_file, new_file, unknown };

/// Puts the new file `from` in the place of `to`, which is `old`, for good, and for those who may use that. `named` is
/// true also if it fails.
[[nodiscard]] Result<void> put_in_place(FileSystem& files, File& file, File& old, const std::string& from,
                                        const std::string& to, Named& named);

/// Gives the new file `from` its name, `to`, for good. FileFault::exists if there is something by that name. On an
/// error it has neither name.
[[nodiscard]] Result<void> put_at_new_name(FileSystem& files, File& file, const std::string& from,
                                           const std::string& to);

/// Repairs the store in `file`, whose lock the caller has, as Store::recover() says. `fresh` is the new file, in place
/// of the old one and locked if `lock`; null if it is not there. Index, tails and mark are left to the caller, who
/// takes the mark back in `before_replacing`.
[[nodiscard]] Result<RecoverReport> recover_file(FileSystem& files, File& file, const std::string& path, bool lock,
                                                 const simdrive::Progress& progress,
                                                 const std::function<Result<void>()>& before_replacing,
                                                 std::shared_ptr<File>& fresh, Named& named);

}  // namespace simdrive::store
