// The embedded store: keys and payloads in one append-only file, in the format of SIMD R Drive.
// A Store is safe to share between threads: any number read, without a lock, while one at a time appends. One process
// writes a file, any number of others read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"
#include "simdrive/progress.hpp"

namespace simdrive {

namespace server {
class StoreBackend;
}

namespace store {
class Engine;
class FileSystem;      // every call on a file goes through one; tests bring their own
struct MappingRegion;  // a mapped file, counted
}  // namespace store

/// What a store may do with its file.
enum class StoreMode : std::uint8_t {
  read,    ///< Never changes, creates or locks anything; `refresh()` shows what the writer has appended since.
  append,  ///< Reads and writes. One at a time: the file is locked.
};

/// When written entries are forced to the disk. Whatever the mode, an entry that was acknowledged survives the death of
/// the process; what is said here is about the system or the power failing.
enum class StoreSync : std::uint8_t {
  none,    ///< By `flush()` and `close()` only.
  batch,   ///< In the background, `sync_interval` after the first entry that is not there yet, and on `close()`.
  always,  ///< Before a write returns; writes that wait at the same time share one sync.
};

/// How to open a store.
struct StoreOptions {
  StoreMode mode = StoreMode::append;
  /// In mode `append`: make an empty file (readable and writable by its owner only) if there is none.
  bool create = true;
  StoreSync sync = StoreSync::none;
  /// Seconds; above 0, at most 3600. Only for `StoreSync::batch`.
  double sync_interval = 1.0;
  /// In mode `append`: lock the file against other writers. Without it, the caller answers for there being none. The
  /// original engine takes no lock: never let it write a file that is open here.
  bool lock = true;
  /// Check the checksum of each entry that is read: `Errc::store_corrupt` instead of wrong bytes. Costs a pass over the
  /// payload for each read; `Entry::is_valid_checksum` does the same for one entry.
  bool verify = false;
  /// Null: the system's files. Must outlive the store and its entries.
  store::FileSystem* files = nullptr;
};

/// Where an entry stands in the file.
struct EntryMetadata {
  std::uint64_t key_hash = 0;     ///< XXH3-64 of the key
  std::uint64_t prev_offset = 0;  ///< end of the record before this one, in bytes from the start of the file
  std::uint32_t checksum = 0;     ///< CRC-32 of the payload, as stored
  std::uint64_t size = 0;         ///< bytes of payload
};

/// One entry of a store, without a copy: the payload is the file's own memory, mapped. It stays valid for as long as
/// the entry or a copy of it lives, across later writes, `compact()` and `close()`. Copies share the mapping; copying
/// is thread-safe, one object belongs to one thread at a time like any value.
///
/// The file must not be cut or overwritten by others while entries of it are held: the system ends a process that
/// reads mapped bytes that are no longer there. This library does that to entries of a batch that failed while it was
/// written, if another handle was shown them meanwhile by `refresh` (see `batch_write`), and else to none.
class Entry {
 public:
  /// No entry: an empty payload, zeros.
  Entry() noexcept = default;
  Entry(const Entry& other) noexcept : Entry(other.fields_, other.region_) { keep(region_); }
  Entry(Entry&& other) noexcept
      : fields_(std::exchange(other.fields_, {})), region_(std::exchange(other.region_, nullptr)) {}
  Entry& operator=(Entry other) noexcept {
    std::swap(fields_, other.fields_);
    std::swap(region_, other.region_);
    return *this;
  }
  ~Entry() {
    if (region_ != nullptr) let_go(region_);
  }

  /// The payload. Begins at a multiple of 64 bytes in memory, too (tombstones and older layouts aside).
  [[nodiscard]] BytesView payload() const noexcept { return {fields_.data, static_cast<std::size_t>(fields_.size)}; }
  [[nodiscard]] const std::uint8_t* data() const noexcept { return fields_.data; }
  /// Bytes of payload; at least 1 in a store.
  [[nodiscard]] std::uint64_t size() const noexcept { return fields_.size; }
  /// Bytes of payload and of the 20 bytes of metadata behind it. The padding before it is not counted.
  [[nodiscard]] std::uint64_t file_size() const noexcept { return fields_.size + 20; }
  /// Where the payload begins and ends in the file. `offset()` + `size()` is where the metadata begins.
  [[nodiscard]] std::uint64_t offset() const noexcept { return fields_.offset; }
  [[nodiscard]] std::uint64_t end_offset() const noexcept { return fields_.offset + fields_.size; }
  [[nodiscard]] std::uint64_t prev_offset() const noexcept { return fields_.prev_offset; }
  [[nodiscard]] std::uint64_t key_hash() const noexcept { return fields_.key_hash; }
  /// As stored: CRC-32 of the payload when it was written.
  [[nodiscard]] std::uint32_t checksum() const noexcept { return fields_.checksum; }
  [[nodiscard]] EntryMetadata metadata() const noexcept {
    return {fields_.key_hash, fields_.prev_offset, fields_.checksum, fields_.size};
  }
  /// Computes the checksum of the payload and compares it with the stored one.
  [[nodiscard]] bool is_valid_checksum() const noexcept;
  /// Whether this is the mark of a deletion. Only `read_last_entry` gives such.
  [[nodiscard]] bool is_tombstone() const noexcept { return fields_.size == 1 && fields_.data[0] == 0; }

 private:
  friend class EntryMaker;

  struct Fields {
    const std::uint8_t* data = nullptr;
    std::uint64_t size = 0;
    std::uint64_t offset = 0;
    std::uint64_t prev_offset = 0;
    std::uint64_t key_hash = 0;
    std::uint32_t checksum = 0;
  };
  Entry(const Fields& fields, store::MappingRegion* region) noexcept : fields_(fields), region_(region) {}
  static void keep(store::MappingRegion* region) noexcept;
  static void let_go(store::MappingRegion* region) noexcept;

  Fields fields_;
  store::MappingRegion* region_ = nullptr;  // one reference of it is ours
};

/// The live entries of a store as they were when the iteration began: one per key, newest first. Later writes do not
/// change it, nor does closing the store. Belongs to one thread at a time; several may share one behind a lock.
class EntryIterator {
 public:
  EntryIterator(EntryIterator&&) noexcept;
  EntryIterator& operator=(EntryIterator&&) noexcept;
  ~EntryIterator();

  /// The next entry into `entry`; false at the end. With `StoreOptions::verify`: `Errc::store_corrupt` for an entry
  /// whose checksum does not match, whose offset is `Error::offset`; the iteration can go on behind it.
  Result<bool> next(Entry& entry);

 private:
  friend class Store;
  struct Impl;
  explicit EntryIterator(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

/// A payload to store under a key hash.
struct HashedPayload {
  std::uint64_t key_hash = 0;
  BytesView payload;
};

/// Where a payload comes from piece by piece.
struct StreamSource {
  void* context = nullptr;
  /// Puts up to `size` bytes (never 0) into `buffer` and returns how many, 0 at the end, or a negative number when the
  /// source failed: the write then ends with `Errc::interrupted`, and the file is as before. Called on the thread that
  /// made the call, which holds the store's append lock: other writers wait, readers do not. Must not throw, nor write
  /// to this store.
  std::int64_t (*read)(void* context, std::uint8_t* buffer, std::size_t size) = nullptr;
};

/// What opening found besides a healthy store.
struct OpenReport {
  /// Multiple at which payloads begin: 64, or 16 or 1 in the layouts before 0.15 and 0.14, which can only be read.
  std::uint32_t alignment = 64;
  /// Bytes behind the last good entry, the rest of a write that did not end. Mode `append` has cut them off.
  std::uint64_t dropped_bytes = 0;
  /// The file in which mode `append` kept them; empty: nothing was cut.
  std::string cut_path;
  /// The file is damaged, by no torn write: an entry that was checked has a wrong checksum, though it was synced or
  /// others follow it, or the store is `incomplete`. It opened all the same; `verify()` finds all such entries.
  bool damaged = false;
  /// Where the damage is: for an entry, where the metadata of the newest such one begins. 0: that is not known.
  std::uint64_t damaged_offset = 0;
  /// Entries are known to be missing, so that keys may seem to be absent or have older values: links between them are
  /// broken, or the file ends before what was synced. Only in mode `read`; mode `append` refuses such files.
  bool incomplete = false;
};

/// What `verify()` found.
struct VerifyReport {
  /// Every entry's checksum matches, the chain of entries leads to the first, and none is known to be missing.
  bool ok = true;
  /// Entries looked at: all records, live or not, tombstones included.
  std::uint64_t entries = 0;
  /// Where the metadata of each entry with a wrong checksum begins, in order of offset: the last 1000 of them.
  std::vector<std::uint64_t> bad;
  std::uint64_t bad_count = 0;
  /// End of the last entry.
  std::uint64_t tail_offset = 0;
};

/// What `recover()` did.
struct RecoverReport {
  std::uint64_t kept_bytes = 0;     ///< size of the file now
  std::uint64_t dropped_bytes = 0;  ///< bytes of the old file that belong to no entry that was kept
  std::uint64_t entries = 0;        ///< records kept, live or not
  /// Where the file as it was is kept; empty: it was healthy and has not been touched.
  std::string backup_path;
};

/// What `compact()` did.
struct CompactResult {
  std::uint64_t before = 0;   ///< bytes of the file before
  std::uint64_t after = 0;    ///< bytes of the new file
  std::uint64_t entries = 0;  ///< entries in it
};

/// A store. Every function may be called from any thread at any time, except that nobody else may use an object that
/// is being moved or destroyed. After fork() the child's copy reads; its writes fail with `Errc::store_read_only`.
///
/// Errors of every function: `closed` after `close()`; `store_error` when the system fails an operation on the file;
/// `out_of_memory`. Reads: also `store_corrupt` with `StoreOptions::verify`. Writes: also `invalid_value`, before a
/// byte is written; `storage_full`; `store_read_only` in mode `read`, or once an append could not be taken back or a
/// sync has failed (open the store anew). A write that failed has changed nothing, neither in the file nor for readers;
/// with `StoreSync::always`, one whose sync failed has `Outcome::unknown`.
///
/// Keys are any bytes; only their hash is stored, so keys cannot be listed, and keys with equal hashes are the same
/// key. A payload has at least one byte and is not the single byte 00, which marks a deletion in the file. The
/// functions that take a hash store it as it is.
class Store {
 public:
  /// Opens the store at `path` (UTF-8). Also: `store_not_found`, `store_locked` (another writer), `store_format` (no
  /// store, or, in mode `append`, one in an older layout; the file is not touched), `store_corrupt` (opening for append
  /// would drop more than one unfinished write; mode `read` opens what is there, `recover` repairs), `configuration`.
  ///
  /// What an interrupted write has left at the end of the file is copied to `<path>.cut-<offset>`, then cut off. A file
  /// `<path>.mark` tells how far the file was synced. In mode `append`, `<path>.compact` and `<path>.recover`, which a
  /// `compact` or `recover` that was killed has left, are removed (`store_locked` if one of them is in use); a `path`
  /// with such an end, in any case, and a file at `<path>.mark` that is no mark, give `configuration`. A symbolic link
  /// stands for the file that it leads to, also if that is still to be made.
  static Result<Store> open(std::string path, const StoreOptions& options = {});
  /// An empty store in memory, for tests; gone when closed. `sync`, `lock` and `files` have no effect.
  static Result<Store> memory(const StoreOptions& options = {});

  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  // ---- Writing. All return the new tail: the offset behind the last record, which is the size of the file. ----

  /// Stores `payload` under `key`: one system call.
  Result<std::uint64_t> write(BytesView key, BytesView payload);
  Result<std::uint64_t> write_with_key_hash(std::uint64_t key_hash, BytesView payload);
  /// Stores all entries, which readers of this store see at once; the last of equal keys wins. None when one is refused
  /// (`Error::offset` is its index). A crash may leave the first ones of a batch only. Empty: no effect.
  ///
  /// `refresh` of a store that another process has open may show the first ones while they are written. Of a batch that
  /// fails they are taken back, and its next `refresh` counts `generation` up; until then the system may end a process
  /// that reads one. So room for all of a batch above 256 KiB is found before its first byte is written, on Linux and
  /// Windows, where the file system can do that: a full disk then refuses it before anybody has seen anything.
  Result<std::uint64_t> batch_write(std::span<const KeyValue> entries);
  /// With `allow_null`, a payload that is the single byte 00 deletes its hash, whether or not it is there.
  Result<std::uint64_t> batch_write_with_key_hashes(std::span<const HashedPayload> entries, bool allow_null = false);
  /// Stores what `source` gives until its end. Refused with `invalid_value`: no byte at all, or the single byte 00.
  /// (The original refuses all streams of zeros, and corrupts the file.)
  Result<std::uint64_t> write_stream(BytesView key, const StreamSource& source);
  Result<std::uint64_t> write_stream_with_key_hash(std::uint64_t key_hash, const StreamSource& source);

  /// Removes a key; no effect if it is absent. Python: `delete`.
  Result<std::uint64_t> erase(BytesView key);
  Result<std::uint64_t> erase_with_key_hash(std::uint64_t key_hash);
  /// Removes those of the keys that are there, at once. A key that is given twice gets two tombstones.
  Result<std::uint64_t> batch_erase(std::span<const BytesView> keys);
  Result<std::uint64_t> batch_erase_key_hashes(std::span<const std::uint64_t> key_hashes);

  /// Moves the payload of `old_key` to `new_key`, in one batch; an entry that is there is replaced. Also: `invalid_key`
  /// (they are equal), `key_not_found`, `store_corrupt` (a payload whose checksum is wrong is not copied).
  Result<std::uint64_t> rename(BytesView old_key, BytesView new_key);
  /// Copies the entry of `key` to another store and returns the tail of that one. Also: `invalid_key` (`target` is this
  /// file; use `rename`), `key_not_found`, `store_corrupt`.
  Result<std::uint64_t> copy(BytesView key, Store& target);
  /// `copy`, `flush` of the target (unless one of the two is in memory), then `erase`: returns the tail of this store.
  /// What others put under the key meanwhile is copied, too, before it is erased: at the fourth time they wait for it.
  /// If they remove the key, the target has the entry, and the error is `key_not_found`. If the flush or the erase
  /// fails both have it.
  Result<std::uint64_t> transfer(BytesView key, Store& target);

  // ---- Reading. An absent key is an empty optional, no error. ----

  Result<std::optional<Entry>> read(BytesView key) const;
  Result<std::optional<Entry>> read_with_key_hash(std::uint64_t key_hash) const;
  /// One result for each key, in order; all as of one moment.
  Result<std::vector<std::optional<Entry>>> batch_read(std::span<const BytesView> keys) const;
  /// The same by hashes. With `keys` (as many, else `configuration`), an entry is given only if the upper 16 bits of
  /// its hash are those of the key's, as the original does it.
  Result<std::vector<std::optional<Entry>>> batch_read_key_hashes(std::span<const std::uint64_t> key_hashes) const;
  Result<std::vector<std::optional<Entry>>> batch_read_key_hashes(std::span<const std::uint64_t> key_hashes,
                                                                  std::span<const BytesView> keys) const;
  /// The record at the tail, whatever its key, tombstones included; nothing in an empty store.
  Result<std::optional<Entry>> read_last_entry() const;
  /// What `read` gives, without the payload.
  Result<std::optional<EntryMetadata>> metadata(BytesView key) const;
  Result<bool> exists(BytesView key) const;
  Result<bool> exists_with_key_hash(std::uint64_t key_hash) const;
  /// The live entries, newest first.
  Result<EntryIterator> iterate() const;

  /// Number of live keys.
  Result<std::uint64_t> size() const;
  Result<bool> empty() const;
  /// Bytes of the file that the path names now.
  Result<std::uint64_t> file_size() const;
  /// Bytes that are not payload or metadata of a live entry. Padding counts, which `compact` cannot avoid.
  Result<std::uint64_t> estimate_compaction_savings() const;

  // ---- Looking after the file ----

  /// Rewrites the file with the live entries alone, newest first (so that compacting twice restores the order), and
  /// goes on with the new one, which has the old one's rights. Readers and entries are not disturbed; writers wait. A
  /// crash leaves the old or the new file. Also: `store_corrupt` at the first live entry whose checksum is wrong
  /// (`recover` drops those), `interrupted`.
  Result<CompactResult> compact(const Progress& progress = {});
  /// Writes the live entries to a new store at `target`, which must not exist, and leaves this one alone. For stores
  /// in mode `read`, too, and so a way from the older layouts to the present one. A crash leaves all of it, or nothing
  /// by that name and perhaps `target` with `.compact` behind it, which the next attempt removes. Also:
  /// `store_corrupt` for a store that is `OpenReport::incomplete`, `store_locked` while another one is written there,
  /// `configuration` for a `target` that `open` would refuse to make a store of.
  Result<CompactResult> compact_to(std::string target, const Progress& progress = {}) const;
  /// Checks every record from the first to the tail, live or not. Also: `interrupted`.
  Result<VerifyReport> verify(const Progress& progress = {}) const;
  /// Keeps every record whose checksum is right and leaves out everything else, also in the middle: searches the whole
  /// file at `path`, for which no store may be open for append. The old file is kept as `<path>.damaged`. A
  /// healthy file is not touched. Errors as of `open`; `store_format` if there is not one good record.
  static Result<RecoverReport> recover(std::string path, const StoreOptions& options = {},
                                       const Progress& progress = {});
  /// The same for a store that is open for append, which goes on with the repaired file.
  Result<RecoverReport> recover(const Progress& progress = {});

  /// Forces everything written so far to the disk, in every mode of `StoreSync`. In mode `read`: no effect.
  Result<void> flush();
  /// In mode `read`: shows entries that were appended, or the file that took the place of this one, since the store was
  /// opened or last refreshed, and returns the new tail. Of a batch that is being written it may show a part. In mode
  /// `append` there is nothing to do.
  Result<std::uint64_t> refresh();
  /// Forces what was written to the disk, in every mode of `StoreSync`, and lets go of the file. Entries and iterators
  /// stay valid. Returns the error of the sync; the store is closed all the same. Idempotent. The destructor does it,
  /// too.
  Result<void> close();
  [[nodiscard]] bool closed() const noexcept;

  /// As given to `open`; empty for a store in memory.
  [[nodiscard]] const std::string& path() const noexcept;
  [[nodiscard]] const StoreOptions& options() const noexcept;
  [[nodiscard]] const OpenReport& opened() const noexcept;
  /// Offset behind the last record that readers see.
  [[nodiscard]] std::uint64_t tail() const noexcept;
  /// How often another file has taken the place of the first one: by `compact`, `recover`, or found by `refresh`, which
  /// also counts what it had shown and a writer has taken back since.
  /// Offsets of entries compare only within one generation.
  [[nodiscard]] std::uint64_t generation() const noexcept;
  /// Whether writes are refused with `store_read_only`.
  [[nodiscard]] bool read_only() const noexcept;

 private:
  friend class server::StoreBackend;
  struct Impl;
  [[nodiscard]] const std::shared_ptr<store::Engine>& engine() const noexcept;
  explicit Store(std::shared_ptr<Impl> impl) noexcept;
  std::shared_ptr<Impl> impl_;
};

}  // namespace simdrive
