// All that the store asks of a file system, so that tests can fail the n-th call and rebuild what a crash leaves.
// A FileSystem and a Mapping may be used from any threads at once. So may a File, but its holder sees to it that bytes
// are not written or cut off while they are read, and that there is one writer at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"
#include "store/mapping.hpp"

namespace simdrive::store {

// ---- Errors ---------------------------------------------------------------------------------------------------

/// What an Error of a file operation is about, for those who act on it.
enum class FileFault : std::uint8_t {
  /// ENOENT, ENOTDIR: Errc::store_not_found.
  not_found,
  /// EEXIST, from an exclusive creation.
  exists,
  is_directory,
  /// A symbolic link where none may be (ELOOP), or no regular file at all.
  not_a_file,
  /// EACCES, EPERM, EROFS.
  permission,
  /// Another handle has the lock: Errc::store_locked.
  locked,
  /// ENOSPC, EDQUOT, EFBIG: Errc::storage_full.
  no_room,
  /// The bytes asked for lie behind the end of the file: Errc::store_corrupt.
  beyond_end,
  /// EIO.
  io,
  /// Errc::out_of_memory, from a mapping too.
  no_memory,
  /// EBUSY: on Windows a mapping, or another program, stands in the way.
  in_use,
  other,
};

/// Reads the code and the system's number out of an error that a function of this header gave.
[[nodiscard]] FileFault fault_of(const Error& error) noexcept;

/// "OPERATION 'PATH': what ERRNO_VALUE means", with the code that fits. `offset` goes into the error.
[[nodiscard]] Error file_error(std::string_view operation, std::string_view path, int errno_value,
                               std::uint64_t offset = 0);

/// The error of try_lock_exclusive() for a lock that is taken.
[[nodiscard]] Error locked_error(std::string_view path);

/// The error for what is neither a regular file nor a folder.
[[nodiscard]] Error not_a_file_error(std::string_view operation, std::string_view path);

/// The error of truncate() for a size behind the end of the file.
[[nodiscard]] Error longer_error(std::string_view path, std::uint64_t size);

/// The error for bytes that lie behind the end of the file.
[[nodiscard]] Error beyond_end_error(std::string_view path, std::uint64_t offset, std::uint64_t wanted,
                                     std::uint64_t got);

/// A path for a message: in quotes, with control characters escaped.
[[nodiscard]] std::string quoted_path(std::string_view path);

// ---- Files ----------------------------------------------------------------------------------------------------

enum class Create : std::uint8_t {
  never,
  /// File::created() tells whether it was missing.
  if_missing,
  /// Fails with FileFault::exists if there is anything at the path, a dangling link too.
  exclusive,
};

struct OpenOptions {
  bool write = false;
  Create create = Create::never;  // if_missing and exclusive need `write`
  /// Off for files beside the store: a link planted in a shared folder must not redirect what is written there.
  bool follow_links = true;
};

/// Tells files apart. A path may name another file later on, and one file may have many paths.
struct FileIdentity {
  std::uint64_t volume = 0;
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

enum class FileKind : std::uint8_t { regular, directory, other };

struct FileStat {
  FileIdentity identity;
  std::uint64_t size = 0;
  FileKind kind = FileKind::regular;
};

/// How far a write got. Without an error `written` is everything.
struct Written {
  std::uint64_t bytes = 0;
  Result<void> status;
};

/// Who may use a file, as the system has it; nothing where files take that from their folder.
struct FileAccess {
  bool known = false;
  std::uint32_t mode = 0;
  std::uint32_t owner = 0;
  std::uint32_t group = 0;
  std::string list;  // more of them, each with rights of their own
};

/// An open regular file. Closed, and thereby unlocked, by its destructor.
class File {
 public:
  File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  virtual ~File() = default;

  /// As it was given to open(), or renamed().
  [[nodiscard]] virtual const std::string& path() const noexcept = 0;
  /// Says that it is now at that path, for messages. To be called before others have the file.
  virtual void renamed(const std::string& path) = 0;
  /// Whether this open() made the file.
  [[nodiscard]] virtual bool created() const noexcept = 0;
  [[nodiscard]] virtual FileIdentity identity() const noexcept = 0;

  [[nodiscard]] virtual FileAccess access() { return {}; }
  /// As far as this process may do it: where it may not give the file to that owner or group, nobody else gets more
  /// rights than they would have had.
  virtual void set_access(const FileAccess& /*access*/) noexcept {}

  /// Fills `out` from `offset` on; fewer bytes only where the file ends.
  [[nodiscard]] virtual Result<std::size_t> read_at(std::uint64_t offset, MutableBytes out) = 0;
  /// Writes the pieces one behind the other from `offset` on, in the order of their offsets, with as few system calls
  /// as there can be. After an error the first `bytes` are in the file, and no byte behind them.
  [[nodiscard]] virtual Written write_at(std::uint64_t offset, std::span<const BytesView> pieces) = 0;

  /// The next writes will fill `bytes` bytes from `offset` on, the end of the file: finds room for them at once, where
  /// that makes these writes cheaper. Changes nothing that can be read, nor the size.
  virtual void expect(std::uint64_t /*offset*/, std::uint64_t /*bytes*/) noexcept {}

  /// The next writes will fill `bytes` bytes from `offset` on, the end of the file: finds room for them, so that these
  /// writes do not fail for want of it. Changes nothing that can be read, nor the size. FileFault::no_room: there is
  /// none, or the process may not write so far. Whatever else is wrong, and a system that has no such thing, is for the
  /// writes to tell.
  [[nodiscard]] virtual Result<void> reserve(std::uint64_t /*offset*/, std::uint64_t /*bytes*/) { return {}; }

  [[nodiscard]] virtual Result<std::uint64_t> size() = 0;
  /// Cuts the file to `size` bytes. Never makes it longer: a `size` behind the end is refused. Windows refuses to cut a
  /// file that is mapped (FileFault::in_use): let go of the mapping first.
  [[nodiscard]] virtual Result<void> truncate(std::uint64_t size) = 0;

  /// Content and length are on the disk when it returns. After a failure nothing is known of what was written since
  /// the last success, and a later success says nothing of it.
  [[nodiscard]] virtual Result<void> sync_data() = 0;
  /// The same, and the file's other attributes too.
  [[nodiscard]] virtual Result<void> sync_all() = 0;

  /// Takes the one exclusive lock of the file, against other handles in this process as in others; FileFault::locked if
  /// it is taken. Goes with the file, not with its path: compare identity() with stat(path) afterwards. Advisory, and
  /// no obstacle to readers.
  [[nodiscard]] virtual Result<void> try_lock_exclusive() = 0;
  virtual void unlock() noexcept = 0;

  /// A mapping that shows at least the first `size` bytes. It does not make the file longer, and `size` must not lie
  /// behind its end. An empty one for 0.
  [[nodiscard]] virtual Result<Mapping> map(std::uint64_t size) = 0;
  /// Whether `mapping`, an earlier one of this file, shows the first `size` bytes, for any `size` up to that of the
  /// file. Until it does not, one mapping serves all that is appended.
  [[nodiscard]] virtual bool covers(const Mapping& mapping, std::uint64_t size) const noexcept = 0;

  /// Whether mappings show all that is appended within their capacity, by themselves; covers() needs no asking then.
  [[nodiscard]] virtual bool maps_ahead() const noexcept { return false; }

  /// From here on up to `size`, that of the file, it is one hole, of zeros that take no room; `size` if there is none,
  /// or if that cannot be told.
  [[nodiscard]] virtual std::uint64_t data_end(std::uint64_t size) noexcept { return size; }

  /// How reading will go. Only a hint. `size` 0: to the end.
  virtual void advise(std::uint64_t offset, std::uint64_t size, Advice advice) noexcept = 0;
};

/// Paths are bytes in UTF-8 for Windows and whatever the system takes elsewhere.
class FileSystem {
 public:
  FileSystem() = default;
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;
  virtual ~FileSystem() = default;

  /// Opens a regular file; new ones are for their owner alone (0600; on Windows their folder says for whom). Anything
  /// else is refused without being touched, and nothing is ever truncated here.
  [[nodiscard]] virtual Result<std::unique_ptr<File>> open(const std::string& path, const OpenOptions& options) = 0;

  /// What is at the path, following links.
  [[nodiscard]] virtual Result<FileStat> stat(const std::string& path) = 0;
  /// Puts `from` in the place of `to`, which may be there, in one step. Both in one folder. They may be open, on
  /// Windows from 10 (1607) on.
  [[nodiscard]] virtual Result<void> rename_over(const std::string& from, const std::string& to) = 0;
  /// Gives `from` the name `to`, in the same folder. FileFault::exists if there is anything by that name; only where
  /// the system has no such step, something that comes there at this very moment is replaced.
  [[nodiscard]] virtual Result<void> rename_new(const std::string& from, const std::string& to) = 0;
  [[nodiscard]] virtual Result<void> remove(const std::string& path) = 0;
  /// Creations, renames and removals in the folder that holds `path` are on the disk when it returns.
  [[nodiscard]] virtual Result<void> sync_directory(const std::string& path) = 0;
};

/// Whether there is anything at the path. Not being able to tell is an error.
[[nodiscard]] Result<bool> exists(FileSystem& files, const std::string& path);

/// read_at(), with an error if the file ends before `out` is full.
[[nodiscard]] Result<void> read_exactly(File& file, std::uint64_t offset, MutableBytes out);

/// Where the file of a store is, or would be made, if `path` is a symbolic link, so that what is beside it and what
/// takes its place is there, too; else, and if it cannot be told, `path`.
[[nodiscard]] std::string behind_links(const std::string& path);

/// The system's own.
[[nodiscard]] FileSystem& system_files() noexcept;

}  // namespace simdrive::store
