// A folder that is gone with its object.
#pragma once

#include <atomic>
#include <filesystem>
#include <random>
#include <string>

namespace simdrive::testing_store {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    static std::atomic<unsigned> next = 0;
    std::random_device random;
    do {
      path_ = std::filesystem::temp_directory_path() /
              ("simdrive-" + std::to_string(random()) + "-" + std::to_string(next++));
    } while (!std::filesystem::create_directory(path_));
  }
  ~TemporaryFolder() {
    std::error_code ignored;  // what is left is in the folder for temporary files
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// The path of a file in it, as the store takes paths.
  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace simdrive::testing_store
