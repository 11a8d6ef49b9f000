// A file system in memory that records what changes it, for CrashImages. Any thread may use it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "store/file_memory.hpp"

namespace simdrive::testing_store {

/// Path to content.
using FileContents = std::map<std::string, Bytes>;

/// One call that changed something, or made changes lasting.
struct Event {
  enum class Kind : std::uint8_t { create, write, truncate, sync, rename, remove, sync_directory };

  Kind kind = Kind::create;
  std::string path{};
  /// Renames: the new path.
  std::string to{};
  /// Which file, whatever its path: create, write, truncate, sync.
  std::uint64_t file = 0;
  /// Writes: where. Truncations: the new size.
  std::uint64_t offset = 0;
  /// Writes: what, in one.
  Bytes bytes{};
  /// Writes: where each piece ends in `bytes`.
  std::vector<std::size_t> piece_ends{};
};

[[nodiscard]] std::string to_string(const Event& event);

/// What was there at the start, which counts as synced, and what happened then.
struct Recording {
  FileContents start;
  /// Event::file of each path of `start`.
  std::map<std::string, std::uint64_t> start_files;
  std::vector<Event> events;
};

class RecordingFiles final : public store::FileSystem {
 public:
  explicit RecordingFiles(FileContents start = {});

  /// Events so far. What was acknowledged when it stood at n is in every image with `events >= n`, as far as promised.
  [[nodiscard]] std::size_t event_count() const;
  [[nodiscard]] Recording recording() const;
  [[nodiscard]] store::MemoryFiles& files() noexcept { return files_; }

  [[nodiscard]] Result<std::unique_ptr<store::File>> open(const std::string& path,
                                                          const store::OpenOptions& options) override;
  [[nodiscard]] Result<store::FileStat> stat(const std::string& path) override;
  [[nodiscard]] Result<void> rename_over(const std::string& from, const std::string& to) override;
  [[nodiscard]] Result<void> rename_new(const std::string& from, const std::string& to) override;
  [[nodiscard]] Result<void> remove(const std::string& path) override;
  [[nodiscard]] Result<void> sync_directory(const std::string& path) override;

 private:
  class OpenFile;

  store::MemoryFiles files_;
  // Held over a call and its record, so that they have one order.
  mutable std::mutex mutex_;
  Recording recording_;
};

}  // namespace simdrive::testing_store
