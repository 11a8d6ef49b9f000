// Bytes for files, and files from bytes.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/file.hpp"

namespace simdrive::testing_store {

inline BytesView view_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

inline constexpr store::OpenOptions kReadWrite{.write = true, .create = store::Create::if_missing};
inline constexpr store::OpenOptions kReadOnly{};

/// The file, or a failed test and null.
inline std::unique_ptr<store::File> opened(store::FileSystem& files, const std::string& path,
                                           const store::OpenOptions& options) {
  auto file = files.open(path, options);
  EXPECT_TRUE(file.ok()) << file.error().detail;
  return file.ok() ? std::move(file).value() : nullptr;
}

inline store::Written write(store::File& file, std::uint64_t offset, std::initializer_list<std::string_view> texts) {
  std::vector<BytesView> pieces;
  for (const std::string_view text : texts) pieces.push_back(view_of(text));
  return file.write_at(offset, pieces);
}

/// Up to `n` bytes from `offset` on.
inline std::string read(store::File& file, std::uint64_t offset, std::size_t n) {
  Bytes buffer(n);
  const Result<std::size_t> got = file.read_at(offset, buffer);
  EXPECT_TRUE(got.ok()) << got.error().detail;
  return got.ok() ? std::string(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*got)) : std::string();
}

}  // namespace simdrive::testing_store
