// Short forms for tests of the store.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "simdrive/hash.hpp"
#include "simdrive/store.hpp"

namespace simdrive::test {

inline BytesView view_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string text_of(BytesView bytes) { return {bytes.begin(), bytes.end()}; }

inline Store open_store_at(const std::string& path, const StoreOptions& options = {}) {
  Result<Store> store = Store::open(path, options);
  if (!store) throw std::runtime_error("open: " + store.error().detail);
  return std::move(store).value();
}

template <class T>
Errc error_of(const Result<T>& result) {
  return result.ok() ? Errc{} : result.error().code;
}

inline void put(Store& store, std::string_view key, std::string_view payload) {
  const Result<std::uint64_t> done = store.write(view_of(key), view_of(payload));
  ASSERT_TRUE(done.ok()) << done.error().detail;
}

/// The payload, or nothing.
inline std::optional<std::string> get(const Store& store, std::string_view key) {
  const Result<std::optional<Entry>> entry = store.read(view_of(key));
  EXPECT_TRUE(entry.ok()) << entry.error().detail;
  if (!entry.ok() || !*entry) return std::nullopt;
  return text_of((*entry)->payload());
}

/// What the store holds, by key hash.
using Contents = std::map<std::uint64_t, std::string>;

inline Contents contents_of(const Store& store) {
  Contents contents;
  Result<EntryIterator> entries = store.iterate();
  EXPECT_TRUE(entries.ok()) << entries.error().detail;
  Entry entry;
  Result<bool> more = false;
  if (entries.ok()) more = entries->next(entry);
  while (more.ok() && *more) {
    EXPECT_TRUE(entry.is_valid_checksum());
    EXPECT_TRUE(contents.emplace(entry.key_hash(), text_of(entry.payload())).second);
    const Result<std::optional<Entry>> again = store.read_with_key_hash(entry.key_hash());
    EXPECT_TRUE(again.ok() && *again && (*again)->offset() == entry.offset());
    more = entries->next(entry);
  }
  EXPECT_TRUE(more.ok()) << more.error().detail;
  EXPECT_EQ(*store.size(), contents.size());
  return contents;
}

/// A source of a stream that gives a text in pieces, and fails after it if told so.
struct TextSource {
  std::string_view text;
  std::size_t piece = 1000;
  bool fails = false;

  [[nodiscard]] StreamSource source() { return {this, &TextSource::read}; }

 private:
  static std::int64_t read(void* context, std::uint8_t* buffer, std::size_t size) {
    auto& self = *static_cast<TextSource*>(context);
    const std::size_t n = std::min({size, self.piece, self.text.size()});
    if (n == 0) return self.fails ? -1 : 0;
    std::copy_n(self.text.begin(), n, buffer);
    self.text.remove_prefix(n);
    return static_cast<std::int64_t>(n);
  }
};

}  // namespace simdrive::test
