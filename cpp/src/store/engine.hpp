// The store behind Store: one append lock for writers, an epoch for readers, and what both share.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "simdrive/error.hpp"
#include "simdrive/store.hpp"
#include "store/appender.hpp"
#include "store/epoch.hpp"
#include "store/file.hpp"
#include "store/opener.hpp"
#include "store/snapshot.hpp"
#include "store/syncer.hpp"
#include "store/view.hpp"

namespace simdrive::store {

/// Any thread, as Store says. May throw std::bad_alloc, which leaves it as it was.
class Engine {
 public:
  /// `owned` is the file system of a store in memory, else null.
  static Result<std::shared_ptr<Engine>> open(std::string path, const StoreOptions& options,
                                              std::unique_ptr<FileSystem> owned = nullptr);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  // ---- Writing (engine_write.cpp). The new tail, or the error. ----
  /// The right to write next.
  using Turn = std::unique_lock<std::mutex>;
  /// For those that must not wait until others have written what is long: empty if it is not to be had within about
  /// 100 microseconds, in which short writes end. The calls below wait without one. Give it back soon.
  [[nodiscard]] Turn try_turn();
  /// Waits for the turn in both, which are different stores, whoever asks for the same two meanwhile.
  [[nodiscard]] static std::pair<Turn, Turn> both_turns(Engine& one, Engine& other);
  /// With `flush` it is on the disk afterwards, whatever the sync mode.
  Result<std::uint64_t> write(std::uint64_t hash, BytesView payload, Turn turn = {}, bool flush = false);
  Result<std::uint64_t> batch_write(std::span<const HashedPayload> records, bool allow_null, Turn turn = {});
  Result<std::uint64_t> write_stream(std::uint64_t hash, const StreamSource& source);
  Result<std::uint64_t> erase(std::span<const std::uint64_t> hashes, Turn turn = {});
  /// The same for an entry that was read since generation() was `generation`, unless its key has another one by now, or
  /// none: nothing then.
  Result<std::optional<std::uint64_t>> erase_unchanged(const Entry& entry, std::uint64_t generation, Turn turn = {});
  Result<std::uint64_t> rename(std::uint64_t from, std::uint64_t to);
  Result<void> flush();
  Result<void> close();

  // ---- Reading (engine_read.cpp) ----
  Result<std::optional<Entry>> read(std::uint64_t hash) const;
  /// The usual case of read(), without the weight of a Result.
  enum class Quick : std::uint8_t { absent, found, unusual /* ask read() */ };
  Quick read_quickly(std::uint64_t hash, Entry& entry) const noexcept;
  Result<std::vector<std::optional<Entry>>> batch_read(std::span<const std::uint64_t> hashes) const;
  /// For those who read the file themselves.
  struct Located {
    std::shared_ptr<File> file;  // null if none of the keys is there
    Layout layout = Layout::aligned64;
  };
  /// Puts where the trailer of each key's record is into `offsets`, 0 for an absent one, all as of one moment.
  Result<Located> locate(std::span<const std::uint64_t> hashes, std::span<std::uint64_t> offsets) const;
  Result<bool> read_last(Entry& entry) const;
  Result<bool> exists(std::uint64_t hash) const;
  Result<std::uint64_t> size() const;
  Result<LiveWalk> walk() const;
  Result<std::uint64_t> file_size() const;
  [[nodiscard]] std::uint64_t tail() const noexcept;
  [[nodiscard]] std::uint64_t generation() const noexcept;
  [[nodiscard]] bool read_only() const;
  [[nodiscard]] bool closed() const noexcept { return current_.load(std::memory_order_acquire) == nullptr; }

  // ---- Looking after the file (engine_file.cpp) ----
  Result<CompactResult> compact(const simdrive::Progress& progress);
  Result<CompactResult> compact_to(const std::string& target, const simdrive::Progress& progress) const;
  Result<simdrive::VerifyReport> verify(const simdrive::Progress& progress) const;
  Result<RecoverReport> recover(const simdrive::Progress& progress);
  Result<std::uint64_t> refresh();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] const StoreOptions& options() const noexcept { return options_; }
  [[nodiscard]] const OpenReport& opened() const noexcept { return report_; }
  [[nodiscard]] FileSystem& files() const noexcept { return files_; }
  /// The error for a record that is not the one the index has there.
  [[nodiscard]] Error changed_error(std::uint64_t offset) const;
  /// The error for one that is no longer whole in the file.
  [[nodiscard]] Error missing_error(std::uint64_t offset) const;
  [[nodiscard]] bool in_memory() const noexcept { return owned_files_ != nullptr; }
  /// Whether both stores are one file.
  [[nodiscard]] bool same_file(const Engine& other) const;

 private:
  using Lock = std::unique_lock<std::mutex>;

  Engine(std::string path, const StoreOptions& options, std::unique_ptr<FileSystem> owned);

  // Under the append lock:
  [[nodiscard]] Result<Lock> lock_for_writing(Turn turn = {});
  [[nodiscard]] Result<void> writable() const;
  [[nodiscard]] Result<void> prepare(std::span<const std::uint64_t> hashes);
  [[nodiscard]] Error failed_append(Error error);
  void apply(std::span<const HashedPayload> records, std::span<const std::uint64_t> hashes,
             std::span<const std::uint64_t> offsets);
  [[nodiscard]] Result<std::uint64_t> commit(Lock lock, bool flush = false);
  [[nodiscard]] Result<std::uint64_t> append_records(Lock lock, std::span<const HashedPayload> records);
  [[nodiscard]] Result<bool> add_new_records(std::uint64_t size);
  static void note_last(Generation& generation);
  [[nodiscard]] bool last_is_there() const;
  /// Goes on with another file, or with the first.
  void install(std::unique_ptr<View> fresh) noexcept;

  // Readers, with a guard:
  [[nodiscard]] Result<const View*> find_all(std::span<const std::uint64_t> hashes, std::span<std::uint64_t> offsets,
                                             const Epoch::Guard& guard) const;
  [[nodiscard]] Result<const View*> cover(const View& view, std::uint64_t end) const;
  [[nodiscard]] Result<Mapping> mapping_of(const std::shared_ptr<Generation>& generation, std::uint64_t end) const;
  [[nodiscard]] Result<std::shared_ptr<Generation>> generation_now() const;
  [[nodiscard]] bool forked() const noexcept;
  [[nodiscard]] Lock lock_state() const;
  void publish(View* fresh) const;
  [[nodiscard]] Error closed_error() const;
  [[nodiscard]] Error fault_error(std::string_view operation, const Generation& generation) const;
  [[nodiscard]] Error busy_at_fork_error() const;

  mutable Epoch epoch_;  // outlives everything that is retired
  const std::string path_;
  const std::string name_;  // for messages
  StoreOptions options_;
  const std::unique_ptr<FileSystem> owned_files_;
  FileSystem& files_;
  const std::uint64_t forks_;
  OpenReport report_;

  mutable std::atomic<View*> current_{nullptr};
  // Held to change what readers see: the index and the view. Never during I/O.
  mutable std::mutex state_mutex_;
  mutable std::atomic<std::uint64_t> state_forks_;  // fork_count() of the process in which that lock comes free again
  mutable std::atomic<std::uint64_t> changes_{0};   // odd while the index is being changed

  // One writer at a time. Comes before state_mutex_.
  mutable std::mutex append_mutex_;
  std::shared_ptr<Generation> generation_;
  std::optional<Appender> appender_;  // mode append
  std::vector<std::uint64_t> hashes_;
  std::vector<std::uint64_t> offsets_;
  std::atomic<bool> broken_{false};  // a write could not be taken back
  std::unique_ptr<Syncer> syncer_;   // of its own, so that a child of fork() can leave it where it is
};

}  // namespace simdrive::store
