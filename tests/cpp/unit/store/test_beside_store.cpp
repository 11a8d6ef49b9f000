// What lies beside a store under the names that it uses itself: nothing of others is overwritten or removed.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "store/file_memory.hpp"
#include "store/store_calls.hpp"
#include "support/temporary_folder.hpp"

namespace simdrive::test {
namespace {

using testing_store::TemporaryFolder;
namespace fs = std::filesystem;

const std::string kPath = "s";

bool has(store::MemoryFiles& files, const std::string& path) {
  const std::vector<std::string> paths = files.paths();
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

template <class T>
void expect_error(const Result<T>& result, Errc code, const std::string& path) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, code) << result.error().detail;
  EXPECT_NE(result.error().detail.find("'" + path + "'"), std::string::npos) << result.error().detail;
}

TEST(BesideStore, ReservedNamesCanOnlyBeRead) {
  store::MemoryFiles files;
  Store store = open_store_at(kPath, {.files = &files});
  put(store, "k", "v");
  for (const char* suffix : {".mark", ".compact", ".recover", ".ReCover"}) {
    SCOPED_TRACE(suffix);
    const std::string path = std::string("other") + suffix;
    expect_error(Store::open(path, {.files = &files}), Errc::configuration, path);
    expect_error(store.compact_to(path), Errc::configuration, path);
    EXPECT_FALSE(has(files, path));
    ASSERT_TRUE(files.put(path, *files.get(kPath)).ok());
    expect_error(Store::open(path, {.create = false, .files = &files}), Errc::configuration, path);
    expect_error(Store::recover(path, {.files = &files}), Errc::configuration, path);
    EXPECT_EQ(get(open_store_at(path, {.mode = StoreMode::read, .files = &files}), "k"), "v");
    EXPECT_EQ(files.get(path), files.get(kPath));
    EXPECT_FALSE(has(files, path + ".mark"));
  }
}

TEST(BesideStore, ALeftOverThatIsInUseStays) {
  for (const std::string suffix : {".compact", ".recover"}) {
    SCOPED_TRACE(suffix);
    store::MemoryFiles files;
    Store store = open_store_at(kPath, {.files = &files});
    put(store, "k", "v");
    const auto lock = [&](const std::string& path) {
      EXPECT_TRUE(files.put(path, view_of("in use")).ok());
      std::unique_ptr<store::File> file = files.open(path, {.write = true}).value();
      EXPECT_TRUE(file->try_lock_exclusive().ok());
      return file;
    };
    std::unique_ptr<store::File> used = lock(kPath + suffix);
    if (suffix == ".compact") {
      expect_error(store.compact(), Errc::store_locked, kPath + suffix);
    } else {
      ASSERT_TRUE(store.compact().ok());
      Bytes damaged = *files.get(kPath);
      damaged[0] ^= 1;
      ASSERT_TRUE(files.put(kPath, damaged).ok());
    }
    ASSERT_TRUE(store.close().ok());
    expect_error(Store::open(kPath, {.files = &files}), Errc::store_locked, kPath + suffix);
    EXPECT_EQ(text_of(*files.get(kPath + suffix)), "in use");
    used.reset();
    (void)Store::open(kPath, {.files = &files});
    EXPECT_FALSE(has(files, kPath + suffix));
    // Nothing comes into being where another one is to be put.
    used = lock("new" + suffix);
    expect_error(Store::open("new", {.files = &files}), Errc::store_locked, "new" + suffix);
    EXPECT_FALSE(has(files, "new"));
  }
}

TEST(BesideStore, AFileOfOthersInThePlaceOfTheMarkStays) {
  store::MemoryFiles files;
  Store store = open_store_at(kPath, {.files = &files});
  put(store, "k", "v");
  ASSERT_TRUE(store.close().ok());
  store = open_store_at(kPath, {.files = &files});
  const Bytes mark = *files.get("s.mark");
  const auto expect_kept = [&](const Bytes& content) {
    SCOPED_TRACE(content.size());
    ASSERT_TRUE(files.put("t", *files.get(kPath)).ok());
    for (const std::string path : {"new", "t"}) {
      ASSERT_TRUE(files.put(path + ".mark", content).ok());
      expect_error(Store::open(path, {.files = &files}), Errc::configuration, path + ".mark");
      EXPECT_FALSE(has(files, "new"));
    }
    EXPECT_EQ(get(open_store_at("t", {.mode = StoreMode::read, .files = &files}), "k"), "v");
    Bytes damaged = *files.get(kPath);
    damaged.push_back(1);
    ASSERT_TRUE(files.put("t", damaged).ok());
    expect_error(Store::recover("t", {.files = &files}), Errc::configuration, "t.mark");
    expect_error(store.compact_to("new"), Errc::configuration, "new.mark");
    EXPECT_FALSE(has(files, "new"));
    EXPECT_FALSE(has(files, "new.compact"));
    EXPECT_EQ(*files.get("new.mark"), content);
    EXPECT_EQ(*files.get("t.mark"), content);
  };
  Bytes prefix(mark.begin(), mark.begin() + 5);
  prefix.push_back('x');
  expect_kept({'x'});
  expect_kept(prefix);
  expect_kept(Bytes(49));
  expect_kept(*files.get(kPath));
  // A mark that was torn, or did not reach the disk, is one.
  for (const std::size_t kept : {0, 3, 8, 47}) {
    for (const bool zeros : {false, true}) {
      Bytes torn(mark.begin(), mark.begin() + static_cast<std::ptrdiff_t>(kept));
      if (zeros) torn.resize(48);
      ASSERT_TRUE(files.put("new.mark", torn).ok());
      ASSERT_TRUE(store.compact_to("new").ok());
      ASSERT_TRUE(files.put("new.mark", torn).ok());
      EXPECT_TRUE(open_store_at("new", {.files = &files}).close().ok());
      EXPECT_EQ(*files.get("new.mark"), mark);
      ASSERT_TRUE(files.remove("new").ok());
    }
  }
}

// As where one process has opened the store, and another one puts its file there.
TEST(BesideStore, AFileThatComesToThePlaceOfTheMarkStays) {
  store::MemoryFiles files;
  ASSERT_TRUE(open_store_at(kPath, {.files = &files}).close().ok());
  Store store = open_store_at(kPath, {.sync = StoreSync::always, .files = &files});
  ASSERT_TRUE(files.put("s.mark", view_of("of somebody else")).ok());
  put(store, "k", "v");
  expect_error(store.compact(), Errc::configuration, "s.mark");
  ASSERT_TRUE(store.close().ok());
  EXPECT_EQ(text_of(*files.get("s.mark")), "of somebody else");
}

TEST(BesideStore, WhatIsNoFileIsNoLeftOver) {
  const TemporaryFolder folder;
  fs::create_directory(folder.file("s.compact"));
  Store store = open_store_at(folder.file("s"));
  put(store, "k", "v");
  EXPECT_FALSE(store.compact().ok());
  EXPECT_TRUE(fs::is_directory(folder.file("s.compact")));
#ifndef _WIN32
  ASSERT_TRUE(open_store_at(folder.file("other")).close().ok());
  fs::create_symlink("other", folder.file("s.recover"));
  ASSERT_TRUE(store.close().ok());
  store = open_store_at(folder.file("s"));
  EXPECT_TRUE(fs::is_symlink(folder.file("s.recover")));
  EXPECT_TRUE(fs::exists(folder.file("other")));
#endif
}

}  // namespace
}  // namespace simdrive::test
