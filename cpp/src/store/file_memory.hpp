// Files in memory: for MemoryStore, and under the fault doubles of the tests. Threads as file.hpp says.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "store/file.hpp"

namespace simdrive::store {

/// A file system without folders: any path can be created. What is removed or renamed over lives on while it is open
/// or mapped, and files may outlive their file system.
class MemoryFiles final : public FileSystem {
 public:
  [[nodiscard]] Result<std::unique_ptr<File>> open(const std::string& path, const OpenOptions& options) override;
  [[nodiscard]] Result<FileStat> stat(const std::string& path) override;
  [[nodiscard]] Result<void> rename_over(const std::string& from, const std::string& to) override;
  [[nodiscard]] Result<void> rename_new(const std::string& from, const std::string& to) override;
  [[nodiscard]] Result<void> remove(const std::string& path) override;
  [[nodiscard]] Result<void> sync_directory(const std::string& path) override;

  /// Puts a new file in the place of what is at the path.
  Result<void> put(const std::string& path, BytesView content);
  /// A copy of a file's content; nothing if there is none.
  [[nodiscard]] std::optional<Bytes> get(const std::string& path) const;
  /// In order.
  [[nodiscard]] std::vector<std::string> paths() const;

 private:
  struct Content;
  class OpenFile;

  [[nodiscard]] std::shared_ptr<Content> find(const std::string& path) const;

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Content>> files_;  // guarded by mutex_
  std::uint64_t next_number_ = 1;                          // guarded by mutex_
};

}  // namespace simdrive::store
