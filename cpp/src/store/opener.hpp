// Opening a store file: the lock, what is to be cut and kept, and the index.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "simdrive/error.hpp"
#include "simdrive/store.hpp"
#include "store/byte_source.hpp"
#include "store/file.hpp"
#include "store/view.hpp"
#include "store/walk.hpp"

namespace simdrive::store {

/// New files that compact() and recover() build before they take the store's place.
inline constexpr const char* kCompactSuffix = ".compact";
inline constexpr const char* kRecoverSuffix = ".recover";

struct Opened {
  std::unique_ptr<Generation> generation;  // with tail and written set
  OpenReport report;
  /// All records were found good, and the mark does not say so: a sync has to tell it where the tail is.
  bool unmarked = false;
};

/// Opens, locks, plans, cuts and indexes, as the options say. `epoch` is that of the readers.
[[nodiscard]] Result<Opened> open_store(FileSystem& files, const std::string& path, const StoreOptions& options,
                                        Epoch& epoch);

/// Refuses, for who attempts to write a store at `path`, a name that is one of those beside another store, and a file
/// of others where the mark is to be: `Errc::configuration`.
[[nodiscard]] Result<void> check_names(FileSystem& files, std::string_view attempt, const std::string& path);

/// Opens the file for appending and locks it; afterwards the path still names it.
[[nodiscard]] Result<std::shared_ptr<File>> open_locked(FileSystem& files, const std::string& path, bool create,
                                                        bool lock);

/// A new file of our own beside a store, and locked, unless `lock` is off: made exclusively, never through a link. What
/// is left of an earlier one is removed first; Errc::store_locked if somebody has that one locked.
[[nodiscard]] Result<std::shared_ptr<File>> make_side_file(FileSystem& files, const std::string& path, bool lock);

/// Copies [from, to) of `file` to a new file named `stem`, or `stem-2` and so on if that is there, synced. Returns its
/// path. Nothing is ever overwritten; on an error nothing is left behind.
[[nodiscard]] Result<std::string> keep_copy(FileSystem& files, File& file, std::uint64_t from, std::uint64_t to,
                                            const std::string& stem);

/// A file, read by position: one that is cut short meanwhile gives an error.
class FileSource final : public ByteSource {
 public:
  FileSource(File& file, std::uint64_t size) noexcept : file_(file), size_(size) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }
  [[nodiscard]] Result<void> read_at(std::uint64_t offset, MutableBytes out) override {
    return read_exactly(file_, offset, out);
  }

 private:
  File& file_;
  std::uint64_t size_;
};

/// Puts the live ones of the records of a chain into an index.
class IndexFiller final : public RecordVisitor {
 public:
  /// `bytes` is the size of the file, to guess the number of records by: by at most 32 times those that were met.
  IndexFiller(Index& index, std::uint64_t bytes) noexcept : index_(index), bytes_(bytes) {}
  void restart() override;
  [[nodiscard]] Result<void> records(std::span<const RecordRef> batch) override;
  /// After the last record: takes out the deleted keys, and puts them into `dead`, if there are any.
  [[nodiscard]] Result<void> finish(Epoch& epoch, std::unique_ptr<Index>& dead);

 private:
  [[nodiscard]] Result<void> add(std::span<const RecordRef> batch);
  [[nodiscard]] Result<void> add_held();

  Index& index_;
  std::uint64_t bytes_;
  std::uint64_t count_ = 0;
  std::vector<RecordRef> held_;  // until enough of the file was seen for a guess
  std::vector<Index::Entry> values_;
  std::vector<Index::Entry> deleted_;
};

/// How a caller's Progress is told: about ten times a second, with an end to it when it says so.
class Ticker {
 public:
  explicit Ticker(const simdrive::Progress& progress) noexcept;
  /// `Errc::interrupted` when the caller wants no more.
  [[nodiscard]] Result<void> at(std::uint64_t done, std::uint64_t total);

 private:
  simdrive::Progress progress_;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace simdrive::store
