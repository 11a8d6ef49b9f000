// What a caller of Store is promised, one store at a time.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "store/file_memory.hpp"
#include "store/store_calls.hpp"
#include "support/failing_files.hpp"
#include "support/open_files.hpp"
#include "support/temporary_folder.hpp"

namespace simdrive::test {
namespace {

namespace fs = std::filesystem;
using testing_store::TemporaryFolder;

std::string file_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_text(const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
}

std::string pattern(std::size_t size, unsigned seed = 1) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 2654435761U + seed) >> 13);
  if (size == 1) text[0] = 'x';  // not the byte that no store takes
  return text;
}

TEST(Store, KeepsWhatWasWrittenAcrossOpenings) {
  const TemporaryFolder folder;
  {
    Store store = open_store_at(folder.file("s"));
    put(store, "a", "one");
    put(store, "b", "two");
    put(store, "a", "three");
    EXPECT_EQ(get(store, "a"), "three");
    ASSERT_TRUE(store.erase(view_of("b")).ok());
    EXPECT_EQ(get(store, "b"), std::nullopt);
    EXPECT_EQ(*store.size(), 1U);
  }
  Store store = open_store_at(folder.file("s"));
  EXPECT_EQ(get(store, "a"), "three");
  EXPECT_EQ(get(store, "b"), std::nullopt);
  EXPECT_EQ(*store.size(), 1U);
  EXPECT_TRUE(store.verify()->ok);
  EXPECT_EQ(store.verify()->entries, 4U);
}

TEST(Store, PayloadsOfEverySizeComeBack) {
  const TemporaryFolder folder;
  Store store = open_store_at(folder.file("s"), {.verify = true});
  std::vector<std::size_t> sizes;
  for (std::size_t n = 1; n < 200; ++n) sizes.push_back(n);
  for (const std::size_t n : {1023, 1024, 1025, 65536, 524287, 524288, 524289, 3 << 20}) sizes.push_back(n);
  for (const std::size_t n : sizes) put(store, std::to_string(n), pattern(n));
  for (const std::size_t n : sizes) EXPECT_EQ(get(store, std::to_string(n)), pattern(n)) << n;
  std::vector<std::string> kept;
  std::vector<KeyValue> batch;
  for (const std::size_t n : sizes) kept.push_back(pattern(n, 7));
  std::vector<std::string> keys;
  for (const std::size_t n : sizes) keys.push_back("batch" + std::to_string(n));
  for (std::size_t i = 0; i < keys.size(); ++i) batch.push_back({view_of(keys[i]), view_of(kept[i])});
  ASSERT_TRUE(store.batch_write(batch).ok());
  for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(get(store, keys[i]), kept[i]);
  for (const std::size_t n : sizes) {
    const std::string text = pattern(n, 9);
    TextSource source{text};
    ASSERT_TRUE(store.write_stream(view_of("stream" + std::to_string(n)), source.source()).ok());
    EXPECT_EQ(get(store, "stream" + std::to_string(n)), text);
  }
  ASSERT_TRUE(store.close().ok());
  Store again = open_store_at(folder.file("s"));
  EXPECT_EQ(*again.size(), 3 * sizes.size());
  EXPECT_TRUE(again.verify()->ok);
}

TEST(Store, EntriesOutliveWritesCompactionAndClose) {
  SIMDRIVE_NEEDS_RENAMES_OVER_OPEN_FILES();
  const TemporaryFolder folder;
  std::optional<Store> store = open_store_at(folder.file("s"));
  put(*store, "k", "first");
  const Entry first = **store->read(view_of("k"));
  put(*store, "k", "second");
  put(*store, "big", pattern(80 << 20));  // outgrows the mapping
  const Entry second = **store->read(view_of("k"));
  Result<EntryIterator> entries = store->iterate();
  ASSERT_TRUE(entries.ok());
  ASSERT_TRUE(store->compact().ok());
  EXPECT_EQ(get(*store, "k"), "second");
  ASSERT_TRUE(store->close().ok());
  store.reset();
  EXPECT_EQ(text_of(first.payload()), "first");
  EXPECT_TRUE(first.is_valid_checksum());
  EXPECT_EQ(text_of(second.payload()), "second");
  Entry entry;
  ASSERT_TRUE(*entries->next(entry));
  EXPECT_EQ(entry.size(), 80U << 20);
  EXPECT_TRUE(entry.is_valid_checksum());
  const Entry copy = entry;
  ASSERT_TRUE(*entries->next(entry));
  EXPECT_FALSE(*entries->next(entry));
  EXPECT_TRUE(copy.is_valid_checksum());
}

TEST(Store, ValuesBeginAtMultiplesOf64) {
  Store store = Store::memory().value();
  for (int i = 1; i < 100; ++i) {
    put(store, std::to_string(i), pattern(static_cast<std::size_t>(i)));
    const Entry entry = **store.read(view_of(std::to_string(i)));
    EXPECT_EQ(entry.offset() % 64, 0U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(entry.data()) % 64, 0U);
    EXPECT_EQ(entry.end_offset() + 20, store.tail());
  }
}

TEST(Store, RefusedPayloadsLeaveNoTrace) {
  const TemporaryFolder folder;
  Store store = open_store_at(folder.file("s"));
  put(store, "k", "value");
  const std::string before = file_text(folder.file("s"));
  const std::string null(1, '\0');
  EXPECT_EQ(error_of(store.write(view_of("k"), {})), Errc::invalid_value);
  EXPECT_EQ(error_of(store.write(view_of("k"), view_of(null))), Errc::invalid_value);
  const std::vector<KeyValue> batch = {{view_of("a"), view_of("fine")}, {view_of("b"), {}}};
  const Result<std::uint64_t> refused = store.batch_write(batch);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::invalid_value);
  EXPECT_EQ(refused.error().offset, 1U);
  TextSource empty{""};
  EXPECT_EQ(error_of(store.write_stream(view_of("k"), empty.source())), Errc::invalid_value);
  TextSource zero{null};
  EXPECT_EQ(error_of(store.write_stream(view_of("k"), zero.source())), Errc::invalid_value);
  const std::string large = pattern(1 << 20);
  TextSource failing{large, 4096, true};
  EXPECT_EQ(error_of(store.write_stream(view_of("k"), failing.source())), Errc::interrupted);
  TextSource failing_early{"abc", 2, true};
  EXPECT_EQ(error_of(store.write_stream(view_of("k"), failing_early.source())), Errc::interrupted);
  EXPECT_EQ(file_text(folder.file("s")), before);
  EXPECT_EQ(get(store, "k"), "value");
  put(store, "k", "after");
  EXPECT_EQ(get(store, "k"), "after");
  const std::string zeros(1000, '\0');
  TextSource all_zero{zeros};
  ASSERT_TRUE(store.write_stream(view_of("zeros"), all_zero.source()).ok());
  EXPECT_EQ(get(store, "zeros"), zeros);
}

TEST(Store, TheLastOfEqualKeysInABatchWins) {
  Store store = Store::memory().value();
  const std::uint8_t null[] = {0};
  const std::vector<HashedPayload> records = {
      {1, view_of("x")}, {1, null}, {1, view_of("y")}, {2, view_of("z")}, {2, null}};
  ASSERT_TRUE(store.batch_write_with_key_hashes(records, true).ok());
  EXPECT_EQ(text_of((**store.read_with_key_hash(1)).payload()), "y");
  EXPECT_FALSE(*store.exists_with_key_hash(2));
  EXPECT_EQ(*store.size(), 1U);
  EXPECT_TRUE((**store.read_last_entry()).is_tombstone());
}

TEST(Store, RenameCopyAndTransfer) {
  const TemporaryFolder folder;
  Store a = open_store_at(folder.file("a"));
  Store b = open_store_at(folder.file("b"));
  put(a, "k", "value");
  put(a, "other", "old");
  EXPECT_EQ(error_of(a.rename(view_of("none"), view_of("x"))), Errc::key_not_found);
  EXPECT_EQ(error_of(a.rename(view_of("k"), view_of("k"))), Errc::invalid_key);
  const Result<std::uint64_t> renamed = a.rename(view_of("k"), view_of("other"));
  EXPECT_EQ(*renamed, a.tail());
  EXPECT_EQ(get(a, "k"), std::nullopt);
  EXPECT_EQ(get(a, "other"), "value");
  EXPECT_EQ(error_of(a.copy(view_of("other"), a)), Errc::invalid_key);
  Store reader = open_store_at(folder.file("a"), {.mode = StoreMode::read});
  EXPECT_EQ(error_of(reader.copy(view_of("other"), a)), Errc::invalid_key);
  const Result<std::uint64_t> copied = a.copy(view_of("other"), b);
  EXPECT_EQ(*copied, b.tail());
  EXPECT_EQ(get(b, "other"), "value");
  EXPECT_EQ(error_of(reader.transfer(view_of("other"), b)), Errc::store_read_only);
  const Result<std::uint64_t> moved = a.transfer(view_of("other"), b);
  EXPECT_EQ(*moved, a.tail());
  EXPECT_TRUE(*a.empty());
  EXPECT_EQ(error_of(a.transfer(view_of("other"), b)), Errc::key_not_found);
}

TEST(Store, OneWriterAtATime) {
  SIMDRIVE_NEEDS_RENAMES_OVER_OPEN_FILES();
  const TemporaryFolder folder;
  std::optional<Store> first = open_store_at(folder.file("s"));
  EXPECT_EQ(error_of(Store::open(folder.file("s"))), Errc::store_locked);
  ASSERT_TRUE(first->compact().ok());  // the lock goes over to the new file
  EXPECT_EQ(error_of(Store::open(folder.file("s"))), Errc::store_locked);
  put(*first, "k", "v");
  ASSERT_TRUE(first->close().ok());
  EXPECT_EQ(get(open_store_at(folder.file("s")), "k"), "v");
}

TEST(Store, ReadingNeverChangesAnything) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_of(Store::open(folder.file("s"), {.mode = StoreMode::read})), Errc::store_not_found);
  EXPECT_EQ(error_of(Store::open(folder.file("s"), {.create = false})), Errc::store_not_found);
  EXPECT_TRUE(fs::is_empty(folder.path()));
  {
    put(*std::make_unique<Store>(open_store_at(folder.file("s"))), "k", "value");
  }
  const std::string torn = file_text(folder.file("s")) + std::string(70, '\0') + "rest of a write";
  write_text(folder.file("s"), torn);
  fs::remove(folder.file("s.mark"));
  Store store = open_store_at(folder.file("s"), {.mode = StoreMode::read});
  EXPECT_EQ(get(store, "k"), "value");
  EXPECT_EQ(store.opened().dropped_bytes, 85U);
  EXPECT_TRUE(store.opened().cut_path.empty());
  EXPECT_TRUE(store.read_only());
  EXPECT_EQ(error_of(store.write(view_of("k"), view_of("x"))), Errc::store_read_only);
  EXPECT_EQ(error_of(store.erase(view_of("k"))), Errc::store_read_only);
  EXPECT_EQ(error_of(store.compact()), Errc::store_read_only);
  EXPECT_TRUE(store.flush().ok());
  ASSERT_TRUE(store.close().ok());
  EXPECT_EQ(file_text(folder.file("s")), torn);
  EXPECT_FALSE(fs::exists(folder.file("s.mark")));
}

TEST(Store, WhatIsCutIsKept) {
  const TemporaryFolder folder;
  {
    put(*std::make_unique<Store>(open_store_at(folder.file("s"))), "k", "value");
  }
  const std::string whole = file_text(folder.file("s"));
  const std::string name = folder.file("s.cut-" + std::to_string(whole.size()));
  for (const std::string& kept : {name, name + "-2", name + "-3"}) {
    const std::string rest = std::string(30, '\0') + kept;
    write_text(folder.file("s"), whole + rest);
    Store store = open_store_at(folder.file("s"));
    EXPECT_EQ(store.opened().dropped_bytes, rest.size());
    EXPECT_EQ(store.opened().cut_path, kept);
    EXPECT_EQ(file_text(kept), rest);
    EXPECT_EQ(file_text(folder.file("s")), whole);
    EXPECT_EQ(get(store, "k"), "value");
  }
  EXPECT_NE(file_text(name), file_text(name + "-2"));
}

// A file of the original engine: it is checked whole once, not at every opening.
TEST(Store, AMarkIsMadeForAFileThatHasNone) {
  const TemporaryFolder folder;
  const std::string path = folder.file("s");
  const std::string mark = path + ".mark";
  {
    Store store = open_store_at(path);
    for (int i = 0; i < 20; ++i) put(store, std::to_string(i), pattern(100, static_cast<unsigned>(i)));
  }
  const std::string whole = file_text(path);
  const std::string whole_mark = file_text(mark);
  testing_store::FailingFiles files(store::system_files(), {testing_store::Call::sync});
  const auto syncs_of_opening_and_closing = [&](StoreMode mode) {
    files.heal();
    Store store = open_store_at(path, {.mode = mode, .files = &files});
    EXPECT_EQ(files.calls(), 0U);
    EXPECT_TRUE(store.close().ok());
    return files.calls();
  };
  fs::remove(mark);
  EXPECT_EQ(syncs_of_opening_and_closing(StoreMode::read), 0U);
  EXPECT_FALSE(fs::exists(mark));
  EXPECT_EQ(syncs_of_opening_and_closing(StoreMode::append), 1U);
  EXPECT_EQ(file_text(mark), whole_mark);
  EXPECT_EQ(syncs_of_opening_and_closing(StoreMode::append), 0U);
  EXPECT_EQ(file_text(path), whole);

  // Records behind the mark, or a mark of another file.
  fs::remove(mark);
  write_text(path, std::string_view(whole).substr(0, 128 * 4 + 100 + 20));
  EXPECT_EQ(syncs_of_opening_and_closing(StoreMode::append), 1U);
  const std::string shorter_mark = file_text(mark);
  EXPECT_NE(shorter_mark, whole_mark);
  write_text(path, whole);
  EXPECT_EQ(syncs_of_opening_and_closing(StoreMode::append), 1U);
  EXPECT_EQ(file_text(mark), whole_mark);
  {
    Store other = open_store_at(folder.file("other"));
    put(other, "0", pattern(300));
  }
  write_text(mark, file_text(folder.file("other.mark")));
  EXPECT_EQ(syncs_of_opening_and_closing(StoreMode::append), 1U);
  EXPECT_EQ(file_text(mark), whole_mark);

  // What is not on the disk is not marked, nor what is damaged.
  fs::remove(mark);
  files.fail(0, testing_store::FaultKind::io_error);
  EXPECT_EQ(error_of(open_store_at(path, {.files = &files}).close()), Errc::store_error);
  EXPECT_FALSE(fs::exists(mark));
  std::string damaged = whole;
  damaged[128 * 7 + 3] ^= 4;
  write_text(path, damaged);
  EXPECT_EQ(syncs_of_opening_and_closing(StoreMode::append), 0U);
  EXPECT_FALSE(fs::exists(mark));
}

#ifdef __linux__
// Neither reading through it nor copying it would end in time.
TEST(Store, AHoleAtTheEndIsSkipped) {
  const TemporaryFolder folder;
  const std::string path = folder.file("s");
  {
    put(*std::make_unique<Store>(open_store_at(path)), "k", "value");
  }
  const std::string whole = file_text(path);
  constexpr std::uint64_t kSize = std::uint64_t{1} << 42;
  for (const bool marked : {true, false}) {
    write_text(path, whole + "rest of a write");
    std::error_code failure;
    fs::resize_file(path, kSize, failure);
    if (failure) GTEST_SKIP() << "the file system has no files of 4 TiB: " << failure.message();
    if (!marked) fs::remove(path + ".mark");
    {
      const Store reader = open_store_at(path, {.mode = StoreMode::read});
      EXPECT_EQ(get(reader, "k"), "value");
      EXPECT_EQ(reader.opened().dropped_bytes, kSize - whole.size());
    }
    Store store = open_store_at(path);
    EXPECT_EQ(store.opened().dropped_bytes, kSize - whole.size());
    EXPECT_EQ(file_text(path), whole);
    const std::string kept = file_text(store.opened().cut_path);
    EXPECT_LT(kept.size(), 100'000U);
    EXPECT_EQ(kept.substr(0, 15), "rest of a write");
    EXPECT_EQ(kept.find_first_not_of('\0', 15), std::string::npos);
    EXPECT_EQ(get(store, "k"), "value");
  }
}
#endif

#ifndef _WIN32
TEST(Store, AStoreMadeThroughALinkIsWhereTheLinkLeads) {
  const TemporaryFolder folder;
  fs::create_directory(folder.file("real"));
  fs::create_symlink("second", folder.file("link"));
  fs::create_symlink("real/s", folder.file("second"));
  EXPECT_EQ(error_of(Store::open(folder.file("link"), {.create = false})), Errc::store_not_found);
  Store store = open_store_at(folder.file("link"));
  put(store, "a", "old");
  put(store, "a", "new");
  ASSERT_TRUE(store.compact().ok());
  put(store, "b", "behind");
  EXPECT_EQ(error_of(Store::open(folder.file("real/s"))), Errc::store_locked);
  ASSERT_TRUE(store.close().ok());
  EXPECT_TRUE(fs::is_symlink(folder.file("link")));
  EXPECT_TRUE(fs::exists(folder.file("real/s.mark")));
  EXPECT_FALSE(fs::exists(folder.file("link.mark")));
  EXPECT_EQ(get(open_store_at(folder.file("real/s")), "b"), "behind");
  fs::create_symlink("circle", folder.file("circle"));
  EXPECT_EQ(error_of(Store::open(folder.file("circle"))), Errc::store_error);
}

TEST(Store, ALinkStaysOneToTheFileInUse) {
  const TemporaryFolder folder;
  fs::create_directory(folder.file("real"));
  fs::create_symlink("real/s", folder.file("link"));
  const std::string real = folder.file("real/s");
  {
    Store store = open_store_at(real);
    put(store, "a", "old");
    put(store, "a", "new");
  }
  {
    Store store = open_store_at(folder.file("link"));
    EXPECT_EQ(store.path(), folder.file("link"));
    EXPECT_EQ(error_of(Store::open(real)), Errc::store_locked);
    ASSERT_TRUE(store.compact().ok());
    put(store, "b", "behind");
  }
  EXPECT_TRUE(fs::is_symlink(folder.file("link")));
  EXPECT_EQ(get(open_store_at(real), "b"), "behind");
  std::string damaged = file_text(real);
  damaged[0] ^= 1;
  write_text(real, damaged);
  const Result<RecoverReport> repaired = Store::recover(folder.file("link"));
  ASSERT_TRUE(repaired.ok()) << repaired.error().detail;
  EXPECT_TRUE(fs::is_symlink(folder.file("link")));
  EXPECT_EQ(fs::path(repaired->backup_path).filename(), "s.damaged");
  EXPECT_EQ(*open_store_at(real).size(), 1U);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()),
            2);  // the mark is there, too
}
#endif

TEST(Store, ForeignFilesStayAsTheyAre) {
  const TemporaryFolder folder;
  const std::string text = pattern(31000) + std::string(100, '\0');
  write_text(folder.file("s"), text);
  for (const StoreMode mode : {StoreMode::append, StoreMode::read}) {
    EXPECT_EQ(error_of(Store::open(folder.file("s"), {.mode = mode})), Errc::store_format);
  }
  EXPECT_EQ(error_of(Store::recover(folder.file("s"))), Errc::store_format);
  EXPECT_EQ(file_text(folder.file("s")), text);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);
  EXPECT_EQ(error_of(Store::open(folder.path().string())), Errc::store_error);
}

TEST(Store, ATornFirstWriteOpensAsAnEmptyStore) {
  const TemporaryFolder folder;
  {
    const Store store = open_store_at(folder.file("s"));
  }
  write_text(folder.file("s"), "half of a rec");
  Store store = open_store_at(folder.file("s"));
  EXPECT_TRUE(*store.empty());
  EXPECT_EQ(file_text(folder.file("s.cut-0")), "half of a rec");
  put(store, "k", "v");
}

TEST(Store, DamageIsFoundReportedAndRepaired) {
  SIMDRIVE_NEEDS_RENAMES_OVER_OPEN_FILES();
  const TemporaryFolder folder;
  {
    Store store = open_store_at(folder.file("s"));
    for (int i = 0; i < 20; ++i) put(store, std::to_string(i), pattern(100, static_cast<unsigned>(i)));
  }
  std::string bytes = file_text(folder.file("s"));
  bytes[128 * 7 + 3] ^= 4;  // a payload
  const std::string damaged_payload = bytes;
  write_text(folder.file("s"), bytes);
  {
    Store store = open_store_at(folder.file("s"), {.verify = true});
    EXPECT_EQ(error_of(store.read(view_of("7"))), Errc::store_corrupt);
    EXPECT_EQ(store.read(view_of("7")).error().offset, 128U * 7 + 100);
    const std::vector<BytesView> keys = {view_of("6"), view_of("7")};
    EXPECT_EQ(error_of(store.batch_read(keys)), Errc::store_corrupt);
    EXPECT_EQ(get(store, "8"), pattern(100, 8));
    EXPECT_TRUE(*store.exists(view_of("7")));
    const Result<VerifyReport> report = store.verify();
    ASSERT_TRUE(report.ok());
    EXPECT_FALSE(report->ok);
    EXPECT_EQ(report->entries, 20U);
    EXPECT_EQ(report->bad, std::vector<std::uint64_t>{128U * 7 + 100});
    // A damaged payload does not get a right checksum.
    EXPECT_EQ(error_of(store.rename(view_of("7"), view_of("x"))), Errc::store_corrupt);
    EXPECT_EQ(error_of(store.compact()), Errc::store_corrupt);
    Store target = Store::memory().value();
    EXPECT_EQ(error_of(store.copy(view_of("7"), target)), Errc::store_corrupt);
    EXPECT_FALSE(fs::exists(folder.file("s.compact")));
    // The store goes on with the repaired file.
    const Result<RecoverReport> repaired = store.recover();
    ASSERT_TRUE(repaired.ok()) << repaired.error().detail;
    EXPECT_EQ(repaired->entries, 19U);
    EXPECT_EQ(repaired->backup_path, folder.file("s.damaged"));
    EXPECT_EQ(store.generation(), 1U);
    EXPECT_EQ(get(store, "7"), std::nullopt);
    EXPECT_EQ(get(store, "6"), pattern(100, 6));
    put(store, "7", "again");
    EXPECT_TRUE(store.verify()->ok);
  }
  EXPECT_EQ(file_text(folder.file("s.damaged")), bytes);

  bytes = damaged_payload;
  bytes[128 * 12 + 100 + 8] ^= 1;  // a link
  write_text(folder.file("s"), bytes);
  fs::remove(folder.file("s.mark"));
  EXPECT_EQ(error_of(Store::open(folder.file("s"))), Errc::store_corrupt);
  EXPECT_EQ(file_text(folder.file("s")), bytes);
  const Result<RecoverReport> repaired = Store::recover(folder.file("s"));
  ASSERT_TRUE(repaired.ok()) << repaired.error().detail;
  EXPECT_EQ(repaired->entries, 19U);  // the one with the wrong link is whole
  EXPECT_EQ(repaired->backup_path, folder.file("s.damaged-2"));
  EXPECT_EQ(file_text(folder.file("s.damaged-2")), bytes);
  Store store = open_store_at(folder.file("s"));
  EXPECT_EQ(*store.size(), 19U);
  EXPECT_EQ(get(store, "19"), pattern(100, 19));
  EXPECT_TRUE(store.verify()->ok);
  ASSERT_TRUE(store.close().ok());
  const Result<RecoverReport> healthy = Store::recover(folder.file("s"));
  ASSERT_TRUE(healthy.ok());
  EXPECT_TRUE(healthy->backup_path.empty());
  EXPECT_EQ(healthy->entries, 19U);
}

TEST(Store, CompactionTurnsTheOrderRoundAndKeepsTheHandle) {
  SIMDRIVE_NEEDS_RENAMES_OVER_OPEN_FILES();
  const TemporaryFolder folder;
  Store store = open_store_at(folder.file("s"));
  for (int i = 0; i < 1000; ++i) put(store, std::to_string(i), std::to_string(i));
  for (int i = 0; i < 500; ++i) put(store, std::to_string(i), "new");
  for (int i = 500; i < 600; ++i) ASSERT_TRUE(store.erase(view_of(std::to_string(i))).ok());
  write_text(folder.file("s.compact"), "left over by a crash");
  const Contents before = contents_of(store);
  std::uint64_t told = 0;
  const Result<CompactResult> done = store.compact({&told, [](void* context, std::uint64_t now, std::uint64_t total) {
                                                      *static_cast<std::uint64_t*>(context) = now;
                                                      return now <= total;
                                                    }});
  ASSERT_TRUE(done.ok()) << done.error().detail;
  EXPECT_EQ(done->entries, 900U);
  EXPECT_EQ(done->after, store.tail());
  EXPECT_EQ(told, done->before);
  EXPECT_EQ(*store.file_size(), done->after);
  EXPECT_EQ(contents_of(store), before);
  EXPECT_EQ(store.generation(), 1U);
  put(store, "more", "after compaction");
  EXPECT_EQ(text_of((**store.read_last_entry()).payload()), "after compaction");
  ASSERT_TRUE(store.close().ok());
  EXPECT_EQ(contents_of(open_store_at(folder.file("s"))).size(), 901U);
  EXPECT_FALSE(fs::exists(folder.file("s.compact")));
}

TEST(Store, LongCallsCanBeCancelled) {
  const TemporaryFolder folder;
  Store store = open_store_at(folder.file("s"));
  for (int i = 0; i < 100; ++i) put(store, std::to_string(i), pattern(100));
  const std::string before = file_text(folder.file("s"));
  const Progress never{nullptr, [](void*, std::uint64_t, std::uint64_t) { return false; }};
  EXPECT_EQ(error_of(store.compact(never)), Errc::interrupted);
  EXPECT_EQ(error_of(store.compact_to(folder.file("t"), never)), Errc::interrupted);
  EXPECT_EQ(error_of(store.verify(never)), Errc::interrupted);
  EXPECT_EQ(file_text(folder.file("s")), before);
  EXPECT_FALSE(fs::exists(folder.file("t")));
  EXPECT_FALSE(fs::exists(folder.file("s.compact")));
  put(store, "k", "v");
}

TEST(Store, CompactToMakesAnotherStore) {
  const TemporaryFolder folder;
  Store store = open_store_at(folder.file("s"));
  for (int i = 0; i < 100; ++i) put(store, std::to_string(i % 10), pattern(100, static_cast<unsigned>(i)));
  const Result<CompactResult> done = store.compact_to(folder.file("t"));
  ASSERT_TRUE(done.ok()) << done.error().detail;
  EXPECT_EQ(done->entries, 10U);
  EXPECT_EQ(error_of(store.compact_to(folder.file("t"))), Errc::store_error);
  EXPECT_EQ(contents_of(open_store_at(folder.file("t"))), contents_of(store));
  EXPECT_EQ(store.generation(), 0U);
}

TEST(Store, ReadersSeeNewEntriesAfterRefresh) {
  SIMDRIVE_NEEDS_RENAMES_OVER_OPEN_FILES();
  const TemporaryFolder folder;
  Store writer = open_store_at(folder.file("s"));
  put(writer, "a", "1");
  Store reader = open_store_at(folder.file("s"), {.mode = StoreMode::read});
  put(writer, "b", "2");
  put(writer, "a", "3");
  EXPECT_EQ(get(reader, "a"), "1");
  EXPECT_EQ(get(reader, "b"), std::nullopt);
  EXPECT_EQ(*reader.refresh(), writer.tail());
  EXPECT_EQ(contents_of(reader), contents_of(writer));
  ASSERT_TRUE(writer.erase(view_of("a")).ok());
  EXPECT_EQ(*reader.refresh(), writer.tail());
  EXPECT_EQ(get(reader, "a"), std::nullopt);
  EXPECT_EQ(reader.generation(), 0U);
  ASSERT_TRUE(writer.compact().ok());
  EXPECT_EQ(*reader.refresh(), writer.tail());
  EXPECT_EQ(reader.generation(), 1U);
  EXPECT_EQ(contents_of(reader), contents_of(writer));
  // A write that is under way is not seen, and those before it are.
  put(writer, "c", "4");
  const std::uint64_t tail = writer.tail();
  const std::string now = file_text(folder.file("s"));
  std::ofstream(folder.file("s"), std::ios::binary | std::ios::app) << std::string(60, '\0') << "half";
  EXPECT_EQ(*reader.refresh(), tail);
  EXPECT_EQ(get(reader, "c"), "4");
  EXPECT_EQ(*reader.refresh(), tail);
  EXPECT_EQ(reader.generation(), 1U);
  EXPECT_EQ(*writer.refresh(), tail);
}

// The mark is that of a moment before the size, never behind it.
TEST(Store, AReaderOpensWhileTheWriterSyncs) {
  const TemporaryFolder folder;
  const std::string path = folder.file("s");
  Store store = open_store_at(path);
  const std::string no_mark = file_text(path + ".mark");
  put(store, "a", pattern(1000));
  ASSERT_TRUE(store.close().ok());
  const std::string whole = file_text(path);
  const std::string mark = file_text(path + ".mark");
  ASSERT_NE(mark, no_mark);
  write_text(path, std::string_view(whole).substr(0, 700));
  write_text(path + ".mark", no_mark);
  testing_store::FailingFiles files(store::system_files(), {testing_store::Call::open});
  files.watch([&](std::uint64_t, testing_store::Call, const std::string& opened) {
    if (opened != path + ".mark") return;
    write_text(path, whole);  // the writer's next steps
    write_text(path + ".mark", mark);
  });
  const Store reader = open_store_at(path, {.mode = StoreMode::read, .files = &files});
  EXPECT_EQ(get(reader, "a"), pattern(1000));
  EXPECT_EQ(reader.opened().dropped_bytes, 0U);
}

// The mark is that of the file that has taken its place meanwhile.
TEST(Store, AReaderOpensWhileTheFileIsReplaced) {
  const TemporaryFolder folder;
  const std::string path = folder.file("s");
  {
    Store store = open_store_at(path);
    put(store, "a", "first");
  }
  testing_store::FailingFiles files(store::system_files(), {testing_store::Call::open});
  files.watch([&](std::uint64_t, testing_store::Call, const std::string& opened) {
    if (opened != path + ".mark") return;
    Store store = open_store_at(path);
    ASSERT_TRUE(store.compact().ok());
    put(store, "b", pattern(1000));
  });
  Store reader = open_store_at(path, {.mode = StoreMode::read, .files = &files});
  EXPECT_FALSE(reader.opened().damaged);
  EXPECT_EQ(get(reader, "a"), "first");
  files.watch(nullptr);
  ASSERT_TRUE(reader.refresh().ok());
  EXPECT_EQ(get(reader, "b"), pattern(1000));
}

TEST(Store, AClosedStoreSaysSo) {
  Store store = Store::memory().value();
  put(store, "k", "v");
  const Entry entry = **store.read(view_of("k"));
  ASSERT_TRUE(store.close().ok());
  ASSERT_TRUE(store.close().ok());
  EXPECT_TRUE(store.closed());
  EXPECT_EQ(error_of(store.write(view_of("k"), view_of("v"))), Errc::closed);
  EXPECT_EQ(error_of(store.read(view_of("k"))), Errc::closed);
  EXPECT_EQ(error_of(store.exists(view_of("k"))), Errc::closed);
  EXPECT_EQ(error_of(store.iterate()), Errc::closed);
  EXPECT_EQ(error_of(store.size()), Errc::closed);
  EXPECT_EQ(error_of(store.flush()), Errc::closed);
  EXPECT_EQ(error_of(store.compact()), Errc::closed);
  EXPECT_EQ(error_of(store.verify()), Errc::closed);
  EXPECT_EQ(error_of(store.file_size()), Errc::closed);
  EXPECT_EQ(error_of(store.read_last_entry()), Errc::closed);
  EXPECT_EQ(error_of(store.batch_read(std::vector<BytesView>{view_of("k")})), Errc::closed);
  EXPECT_EQ(error_of(store.estimate_compaction_savings()), Errc::closed);
  EXPECT_EQ(text_of(entry.payload()), "v");
}

TEST(Store, MemoryStoresDoEverything) {
  Store store = Store::memory({.sync = StoreSync::always, .verify = true}).value();
  EXPECT_TRUE(store.path().empty());
  for (int i = 0; i < 3000; ++i) put(store, std::to_string(i % 300), pattern(static_cast<std::size_t>(i) + 2));
  const Contents contents = contents_of(store);
  EXPECT_EQ(contents.size(), 300U);
  ASSERT_TRUE(store.compact().ok());
  EXPECT_EQ(contents_of(store), contents);
  ASSERT_TRUE(store.flush().ok());
  EXPECT_EQ(*store.refresh(), store.tail());
  EXPECT_EQ(*store.file_size(), store.tail());
  EXPECT_LT(*store.estimate_compaction_savings(), 300U * 64);
}

TEST(Store, OptionsOutOfRangeAreRefused) {
  const TemporaryFolder folder;
  for (const double interval : {0.0, -1.0, 3601.0, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(error_of(Store::open(folder.file("s"), {.sync_interval = interval})), Errc::configuration);
  }
  EXPECT_EQ(error_of(Store::open("")), Errc::configuration);
  EXPECT_EQ(error_of(Store::open(folder.file("none/s"))), Errc::store_not_found);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Store, BatchReadsGiveOneResultForEachKey) {
  Store store = Store::memory().value();
  put(store, "a", "1");
  put(store, "b", "2");
  const std::vector<BytesView> keys = {view_of("b"), view_of("none"), view_of("a"), view_of("b")};
  const auto entries = store.batch_read(keys);
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 4U);
  EXPECT_EQ(text_of((*entries)[0]->payload()), "2");
  EXPECT_FALSE((*entries)[1]);
  EXPECT_EQ(text_of((*entries)[2]->payload()), "1");
  EXPECT_EQ(text_of((*entries)[3]->payload()), "2");
  EXPECT_TRUE(store.batch_read({})->empty());
  const std::vector<std::uint64_t> hashes = {xxh3_64(view_of("a"))};
  EXPECT_EQ(error_of(store.batch_read_key_hashes(hashes, keys)), Errc::configuration);
}

}  // namespace
}  // namespace simdrive::test
