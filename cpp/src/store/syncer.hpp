// Brings what was appended to the disk: one fdatasync at a time for all that wait for it, and the mark that says how
// far. Any thread, except where said otherwise.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "simdrive/error.hpp"
#include "simdrive/store.hpp"
#include "store/file.hpp"
#include "store/format.hpp"

namespace simdrive::store {

inline constexpr const char* kMarkSuffix = ".mark";

/// The mark of an existing store, or nothing: there is none, or it cannot be read, which comes to the same.
[[nodiscard]] std::optional<SyncMark> read_mark(FileSystem& files, const std::string& store_path);
[[nodiscard]] std::string mark_path_of(const std::string& store_path);

/// `Errc::configuration` if there is a file where the mark is to be that is none: it is somebody else's, and must stay.
[[nodiscard]] Result<void> check_mark(FileSystem& files, const std::string& store_path);

/// The file `<store>.mark`. One thread at a time.
class MarkFile {
 public:
  MarkFile(FileSystem& files, const std::string& store_path) : files_(files), path_(mark_path_of(store_path)) {}

  /// Records that `file` is on the disk up to `tail`.
  [[nodiscard]] Result<void> write(File& file, std::uint64_t tail);
  /// Records kUnknownMark.
  [[nodiscard]] Result<void> write_unknown(File& file);
  /// The mark itself on the disk. After write().
  [[nodiscard]] Result<void> sync() { return file_->sync_all(); }

 private:
  [[nodiscard]] Result<void> put(File& file, const SyncMark& mark);

  FileSystem& files_;
  std::string path_;
  std::unique_ptr<File> file_;
};

class Syncer {
 public:
  Syncer(const StoreOptions& options, FileSystem& files, const std::string& store_path);
  Syncer(const Syncer&) = delete;
  Syncer& operator=(const Syncer&) = delete;
  ~Syncer();

  // Under the append lock:

  /// From now on `file`, which has `tail` bytes; null: none. Waits for a sync of the file before to end. `unmarked`:
  /// the next sync is not to be left out though nothing was appended, so that the mark says where the tail is.
  void attach(std::shared_ptr<File> file, std::uint64_t tail, bool unmarked = false);
  class Replacement;
  /// Tells that the file ends at `tail` now. Returns what to give to wait_for().
  std::uint64_t appended(std::uint64_t tail);

  // Without:

  /// Returns once the append of that number is on the disk.
  [[nodiscard]] Result<void> wait_for(std::uint64_t number);
  /// Returns once everything up to `tail`, where the file ends, is on the disk, also what appended() was not told of.
  [[nodiscard]] Result<void> drain(std::uint64_t tail);
  /// Ends the background thread. Idempotent.
  void stop() noexcept;
  /// A sync has failed: the kernel may have dropped pages, so nothing may be appended any more.
  [[nodiscard]] bool failed() const noexcept { return failed_.load(std::memory_order_acquire); }
  [[nodiscard]] Error failure() const;
  /// Takes a failure from outside: one of a sync that was not made here.
  void fail(const Error& error) noexcept;

 private:
  friend class Replacement;

  [[nodiscard]] Result<void> run(std::unique_lock<std::mutex>& lock, std::uint64_t number);
  void loop();

  const bool in_background_;
  const std::chrono::duration<double> interval_;
  MarkFile mark_;

  mutable std::mutex mutex_;
  std::condition_variable done_;   // a sync has ended
  std::condition_variable dirty_;  // the thread: something was appended, or it is to end
  std::shared_ptr<File> file_;
  std::uint64_t tail_ = 0;
  std::uint64_t appended_ = 0;  // counts appends
  std::uint64_t synced_ = 0;    // so many of them are on the disk
  bool running_ = false;
  bool stopping_ = false;
  Error error_;
  std::atomic<bool> failed_{false};
  std::unique_ptr<std::thread> thread_;
};

/// Puts another file in the place of the syncer's. Under the append lock.
class Syncer::Replacement {
 public:
  explicit Replacement(Syncer& syncer) noexcept : syncer_(syncer) {}
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;
  ~Replacement() { release(); }

  enum class Old : std::uint8_t { whole, damaged };

  /// Waits for a sync to end, keeps others from beginning until the end of this object, and makes the mark say, for
  /// good, that nothing is known to be synced. It would be wrong for one of the two files otherwise, and which of them
  /// is there after a power failure is not known. If the old one is damaged, it says nothing of either.
  [[nodiscard]] Result<void> begin(Old old);
  /// `file` is there, whole and synced up to its `tail`, and all that was appended before is in it. `lasting`: it will
  /// be there after a power failure, too; else fail() comes first.
  void end(std::shared_ptr<File> file, std::uint64_t tail, bool lasting);

 private:
  void release() noexcept;

  Syncer& syncer_;
  bool begun_ = false;
  bool mark_is_gone_ = false;  // and the file is still the one that it told of
};

}  // namespace simdrive::store
