#include "server/store_backend.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "hash/generated_bytes.hpp"
#include "store/file_memory.hpp"
#include "store/store_calls.hpp"
#include "store/store_files.hpp"
#include "support/failing_files.hpp"
#include "support/temporary_folder.hpp"

namespace simdrive {
namespace {

using server::Backend;
using server::Located;
using server::Payloads;
using server::StoreBackend;
using store::Layout;
using test::error_of;
using test::generated_bytes;
using test::text_of;
using test::view_of;
using testing_store::Call;
using testing_store::FailingFiles;
using testing_store::FaultKind;

constexpr const char* kPath = "a.store";
constexpr std::size_t kHeldMax = 4096 - store::kTrailerBytes;
constexpr std::size_t kPiece = std::size_t{64} << 10;

std::string key_name(std::size_t i) { return "key " + std::to_string(i); }

/// A store in memory whose reads are counted and can fail.
struct Rig {
  explicit Rig(const StoreOptions& options = {}) : store(open(options)) {}

  Store open(StoreOptions options) {
    options.files = &files;
    return test::open_store_at(kPath, options);
  }
  void put(std::string_view key, BytesView payload) { ASSERT_TRUE(backend.write(view_of(key), payload).ok()); }
  Result<void> find(const std::vector<std::string>& keys) {
    std::vector<BytesView> views;
    for (const std::string& key : keys) views.push_back(view_of(key));
    files.heal();  // counts from here
    return backend.look_up(views, *found);
  }
  [[nodiscard]] std::uint64_t reads() const { return files.calls(); }
  void overwrite(std::uint64_t offset, BytesView bytes) {
    auto file = memory.open(kPath, {.write = true});
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->write_at(offset, {&bytes, 1}).status.ok());
  }
  void cut(std::uint64_t size) {
    auto file = memory.open(kPath, {.write = true});
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->truncate(size).ok());
  }

  store::MemoryFiles memory;
  FailingFiles files{memory, {Call::read}};
  Store store;
  StoreBackend backend{store};
  std::unique_ptr<Payloads> found = backend.make_payloads();
};

/// The bytes of a payload, in pieces of `piece`.
Bytes bytes_of(Payloads& found, std::size_t i, std::size_t piece = 10'000) {
  Bytes bytes(static_cast<std::size_t>(found.all()[i].size));
  for (std::size_t at = 0; at < bytes.size();) {
    const MutableBytes out = MutableBytes(bytes).subspan(at, std::min(piece, bytes.size() - at));
    const Result<void> read = found.read(i, at, out);
    EXPECT_TRUE(read.ok()) << read.error().detail;
    at += out.size();
  }
  return bytes;
}

void expect_payload(Payloads& found, std::size_t i, BytesView payload) {
  ASSERT_LT(i, found.all().size());
  const Located& located = found.all()[i];
  ASSERT_TRUE(located.present);
  EXPECT_EQ(located.size, payload.size());
  EXPECT_EQ(located.checksum, crc32(payload));
  const Result<void> good = found.check(i);
  EXPECT_TRUE(good.ok()) << good.error().detail;
  if (const BytesView whole = found.at_hand(i); !whole.empty()) {
    EXPECT_TRUE(std::ranges::equal(whole, payload));
  }
  EXPECT_TRUE(std::ranges::equal(bytes_of(found, i), payload));
}

const std::vector<std::size_t>& all_sizes() {
  static const std::vector<std::size_t> sizes{1,          2,      15,           16,       63,           64,     65,
                                              100,        1024,   kHeldMax - 1, kHeldMax, kHeldMax + 1, 4096,   5000,
                                              kPiece - 1, kPiece, kPiece + 1,   262'143,  262'144,      700'001};
  return sizes;
}

// ---- What is found ---------------------------------------------------------------------------------------------

TEST(StoreBackend, OneReadBringsASmallPayloadAndTwoMostOthers) {
  Rig rig;
  for (const std::size_t size : all_sizes()) rig.put(key_name(size), generated_bytes(size + 1, size));
  for (const std::size_t size : all_sizes()) {
    SCOPED_TRACE(size);
    ASSERT_TRUE(rig.find({key_name(size)}).ok());
    EXPECT_EQ(rig.reads(), 1U);
    EXPECT_EQ(rig.found->at_hand(0).size(), size <= kHeldMax ? size : 0);
    ASSERT_TRUE(rig.found->check(0).ok());
    EXPECT_EQ(rig.reads(), size <= kHeldMax ? 1 : 1 + (size + kPiece - 1) / kPiece);
    // What was checked in one piece need not be read again.
    EXPECT_EQ(rig.found->at_hand(0).size(), size <= kPiece ? size : 0);
    expect_payload(*rig.found, 0, generated_bytes(size + 1, size));
  }
}

TEST(StoreBackend, EverySizeAroundTheWindow) {
  Rig rig;
  for (std::size_t size = kHeldMax - 150; size < kHeldMax + 150; ++size) {
    const std::string key = key_name(size);
    rig.put(key, generated_bytes(size, size));
    ASSERT_TRUE(rig.find({key}).ok());
    expect_payload(*rig.found, 0, generated_bytes(size, size));
  }
}

TEST(StoreBackend, ABatchComesInTheOrderOfItsKeys) {
  Rig rig;
  std::vector<std::string> keys;
  std::vector<std::size_t> sizes;
  for (std::size_t i = 0; i < 300; ++i) {
    const std::size_t size = i % 15 == 0 ? all_sizes()[i / 15] : 1 + i * 37 % 3000;
    rig.put(key_name(i), generated_bytes(i + 7, size));
    keys.push_back(key_name(i));
    sizes.push_back(size);
  }
  std::vector<std::string> asked;
  for (std::size_t i = 0; i < 900; ++i) asked.push_back(i % 10 == 3 ? "gone" : keys[i * 7919 % keys.size()]);
  ASSERT_TRUE(rig.find(asked).ok());
  ASSERT_EQ(rig.found->all().size(), asked.size());
  for (std::size_t i = 0; i < asked.size(); ++i) {
    SCOPED_TRACE(i);
    if (i % 10 == 3) {
      EXPECT_FALSE(rig.found->all()[i].present);
      EXPECT_TRUE(rig.found->at_hand(i).empty());
    } else {
      const std::size_t n = i * 7919 % keys.size();
      expect_payload(*rig.found, i, generated_bytes(n + 7, sizes[n]));
    }
  }
}

TEST(StoreBackend, NeighboursComeWithOneRead) {
  Rig rig;
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < 1000; ++i) {
    keys.push_back(key_name(i));
    rig.put(keys.back(), generated_bytes(i + 1, 100));
  }
  for (int turn = 0; turn < 2; ++turn) {
    ASSERT_TRUE(rig.find(keys).ok());
    EXPECT_EQ(rig.reads(), 1U);  // 128,000 bytes
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const std::size_t n = turn == 0 ? i : keys.size() - 1 - i;
      EXPECT_EQ(rig.found->at_hand(i).size(), 100U);
      expect_payload(*rig.found, i, generated_bytes(n + 1, 100));
    }
    std::ranges::reverse(keys);
  }
}

TEST(StoreBackend, SmallPayloadsFarApartAreKeptWithoutWhatIsBetween) {
  Rig rig;
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < 1000; ++i) {
    keys.push_back(key_name(i));
    rig.put(keys.back(), generated_bytes(i + 1, 100));
    rig.put("between", generated_bytes(i, 9000));
  }
  ASSERT_TRUE(rig.find(keys).ok());
  EXPECT_EQ(rig.reads(), keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(rig.found->at_hand(i).size(), 100U);
    expect_payload(*rig.found, i, generated_bytes(i + 1, 100));
  }
}

TEST(StoreBackend, WhatDoesNotFitInAMegabyteIsReadLater) {
  Rig rig;
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < 1500; ++i) {
    keys.push_back(key_name(i));
    rig.put(keys.back(), generated_bytes(i + 1, 2000));
  }
  ASSERT_TRUE(rig.find(keys).ok());
  std::size_t held = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) held += rig.found->at_hand(i).size();
  EXPECT_GT(held, 500'000U);
  EXPECT_LE(held, std::size_t{1} << 20);
  EXPECT_LE(rig.reads(), 20U);
  for (std::size_t i = 0; i < keys.size(); ++i) expect_payload(*rig.found, i, generated_bytes(i + 1, 2000));
}

TEST(StoreBackend, AbsentKeysCostNoRead) {
  Rig rig;
  EXPECT_TRUE(rig.find({"a", "b"}).ok());
  EXPECT_EQ(rig.found->all().size(), 2U);
  rig.put("a", view_of("x"));
  ASSERT_TRUE(rig.find({"b"}).ok());
  EXPECT_FALSE(rig.found->all()[0].present);
  ASSERT_TRUE(rig.find({}).ok());
  EXPECT_TRUE(rig.found->all().empty());
  ASSERT_TRUE(rig.backend.erase(view_of("a")).ok());
  ASSERT_TRUE(rig.find({"a"}).ok());
  EXPECT_FALSE(rig.found->all()[0].present);
  EXPECT_EQ(rig.reads(), 0U);
  rig.put("a", view_of("again"));
  ASSERT_TRUE(rig.find({"a"}).ok());
  expect_payload(*rig.found, 0, view_of("again"));
}

TEST(StoreBackend, OnlyWhatWasFoundCanBeRead) {
  Rig rig;
  rig.put("a", view_of("abc"));
  ASSERT_TRUE(rig.find({"a", "b"}).ok());
  Bytes out(2);
  EXPECT_TRUE(rig.found->read(0, 1, out).ok());
  EXPECT_EQ(text_of(out), "bc");
  EXPECT_TRUE(rig.found->read(0, 3, MutableBytes()).ok());
  EXPECT_EQ(error_of(rig.found->read(0, 2, out)), Errc::internal);
  EXPECT_EQ(error_of(rig.found->read(0, UINT64_MAX, out)), Errc::internal);
  EXPECT_EQ(error_of(rig.found->read(1, 0, MutableBytes())), Errc::internal);
  EXPECT_EQ(error_of(rig.found->check(1)), Errc::internal);
  EXPECT_EQ(error_of(rig.found->check(2)), Errc::internal);
  rig.found->clear();
  EXPECT_EQ(error_of(rig.found->check(0)), Errc::internal);
  EXPECT_TRUE(rig.found->at_hand(0).empty());
}

// ---- Layouts ---------------------------------------------------------------------------------------------------

TEST(StoreBackend, OlderLayoutsAndFilesWithSeveral) {
  for (const int kind : {1, 16, 64, 0}) {
    SCOPED_TRACE(kind);
    test::StoreBuilder builder(kind == 0 ? Layout::aligned64 : static_cast<Layout>(kind));
    std::vector<std::string> keys;
    std::vector<Bytes> payloads;
    const auto add = [&](std::size_t size) {
      keys.push_back(key_name(keys.size()));
      payloads.push_back(generated_bytes(keys.size(), size));
      if (size == 1) payloads.back() = {7};
      builder.value(xxh3_64(view_of(keys.back())), payloads.back());
    };
    for (const Layout layout : {Layout::unaligned, Layout::aligned16, Layout::aligned64}) {
      if (kind == 0) builder.as(layout);
      for (const std::size_t size : {1, 3, 64, 100, 4075, 4077, 5000, 70'000, 200'000, 30}) add(size);
      builder.tombstone(xxh3_64(view_of("gone")));
    }
    Rig rig;
    ASSERT_TRUE(rig.memory.put("old", builder.bytes).ok());
    const Store store = test::open_store_at("old", {.mode = StoreMode::read, .files = &rig.files});
    const StoreBackend backend(store);
    const auto found = backend.make_payloads();
    std::vector<BytesView> views;
    for (const std::string& key : keys) views.push_back(view_of(key));
    views.push_back(view_of("gone"));
    const Result<void> done = backend.look_up(views, *found);
    ASSERT_TRUE(done.ok()) << done.error().detail;
    EXPECT_FALSE(found->all().back().present);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      SCOPED_TRACE(i);
      expect_payload(*found, i, payloads[i]);
      const Result<std::optional<Entry>> mapped = store.read(views[i]);
      ASSERT_TRUE(mapped.ok() && mapped->has_value());
      EXPECT_EQ(found->all()[i].start, (*mapped)->offset());
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
      ASSERT_TRUE(backend.look_up({&views[i], 1}, *found).ok());
      expect_payload(*found, 0, payloads[i]);
    }
  }
}

// Whatever the reference engine wrote: this finds what the store finds through its mapping.
TEST(StoreBackend, TheReferenceEnginesFiles) {
  std::size_t files = 0;
  std::size_t present = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::storage_vectors())) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".main.bin")) continue;
    const std::string script = name.substr(0, name.size() - 9) + ".script.jsonl";
    if (!std::filesystem::exists(test::storage_vectors() / script)) continue;
    SCOPED_TRACE(name);
    Rig rig;
    ASSERT_TRUE(rig.memory.put("old", test::vector_file(name)).ok());
    Result<Store> store = Store::open("old", {.mode = StoreMode::read, .files = &rig.files});
    if (!store) continue;  // the damaged ones, which other tests are about
    ++files;
    std::set<std::string> keys;
    for (const test::Json& line : test::json_lines(script)) {
      if (const test::Json* key = line.find("k"); key != nullptr && key->kind == test::Json::Kind::string) {
        keys.insert(key->text);
      }
      for (const char* list : {"ks", "kvs", "items"}) {
        const test::Json* several = line.find(list);
        if (several == nullptr) continue;
        for (const test::Json& one : several->items) {
          if (one.kind == test::Json::Kind::string) keys.insert(one.text);
        }
      }
    }
    std::vector<BytesView> views;
    for (const std::string& key : keys) views.push_back(view_of(key));
    const StoreBackend backend(*store);
    const auto found = backend.make_payloads();
    const Result<void> done = backend.look_up(views, *found);
    ASSERT_TRUE(done.ok()) << done.error().detail;
    for (std::size_t i = 0; i < views.size(); ++i) {
      const Result<std::optional<Entry>> expected = store->read(views[i]);
      ASSERT_TRUE(expected.ok());
      ASSERT_EQ(found->all()[i].present, expected->has_value());
      if (!*expected || !(*expected)->is_valid_checksum()) continue;
      ++present;
      expect_payload(*found, i, (*expected)->payload());
    }
  }
  EXPECT_GE(files, 20U);
  EXPECT_GE(present, 60U);
}

// ---- Between look_up and read ----------------------------------------------------------------------------------

TEST(StoreBackend, WhatWasFoundStaysThroughCompactionRecoveryAndClosing) {
  const Bytes large = generated_bytes(1, 300'000);
  for (const int kind : {0, 1, 2}) {
    SCOPED_TRACE(kind);
    Rig rig;
    rig.put("first", generated_bytes(3, 5000));
    rig.put("first", view_of("x"));
    rig.put("large", large);
    rig.put("small", view_of("small one"));
    ASSERT_TRUE(rig.find({"large", "small"}).ok());
    if (kind == 0) {
      ASSERT_TRUE(rig.store.compact().ok());
      EXPECT_EQ(rig.store.generation(), 1U);
    }
    if (kind == 1) {
      ASSERT_TRUE(rig.store.close().ok());
      EXPECT_EQ(error_of(rig.backend.exists(view_of("large"))), Errc::closed);
    }
    if (kind == 2) {
      rig.overwrite(100, view_of("!"));  // in the first record
      ASSERT_TRUE(rig.store.recover().ok());
      EXPECT_EQ(rig.store.generation(), 1U);
    }
    expect_payload(*rig.found, 0, large);
    expect_payload(*rig.found, 1, view_of("small one"));
    if (kind == 1) continue;
    ASSERT_TRUE(rig.find({"large", "small", "first"}).ok());
    expect_payload(*rig.found, 0, large);
    expect_payload(*rig.found, 1, view_of("small one"));
    expect_payload(*rig.found, 2, view_of("x"));
  }
}

TEST(StoreBackend, OutlivesTheOwnersHandle) {
  store::MemoryFiles memory;
  std::unique_ptr<StoreBackend> backend;
  std::unique_ptr<Payloads> found;
  {
    Store store = test::open_store_at(kPath, {.files = &memory});
    backend = std::make_unique<StoreBackend>(store);
    found = backend->make_payloads();
    ASSERT_TRUE(backend->write(view_of("a"), generated_bytes(1, 9000)).ok());
  }
  const BytesView key = view_of("a");
  ASSERT_TRUE(backend->look_up({&key, 1}, *found).ok());
  backend.reset();
  expect_payload(*found, 0, generated_bytes(1, 9000));
}

TEST(StoreBackend, ClosedByItsOwner) {
  Rig rig;
  rig.put("a", view_of("x"));
  ASSERT_TRUE(rig.find({"a"}).ok());
  ASSERT_TRUE(rig.store.close().ok());
  const Result<void> looked = rig.find({"a"});
  EXPECT_EQ(error_of(looked), Errc::closed);
  EXPECT_TRUE(looked.error().detail.starts_with("read: the store")) << looked.error().detail;
  EXPECT_TRUE(rig.found->all().empty());
  EXPECT_EQ(error_of(rig.find({"a", "b"})), Errc::closed);
  const KeyValue entry{view_of("a"), view_of("b")};
  EXPECT_EQ(error_of(rig.backend.write(entry.key, entry.payload)), Errc::closed);
  EXPECT_EQ(error_of(rig.backend.batch_write({&entry, 1})), Errc::closed);
  EXPECT_EQ(error_of(rig.backend.erase(entry.key)), Errc::closed);
  EXPECT_EQ(error_of(rig.backend.exists(entry.key)), Errc::closed);
  EXPECT_EQ(error_of(rig.backend.size()), Errc::closed);
  EXPECT_EQ(error_of(rig.backend.file_size()), Errc::closed);
  EXPECT_EQ(error_of(rig.backend.flush()), Errc::closed);
}

// ---- Damage ----------------------------------------------------------------------------------------------------

TEST(StoreBackend, AFlippedByteIsFoundByCheck) {
  for (const std::size_t size : {10U, 4000U, 5000U, 70'000U, 200'000U}) {
    SCOPED_TRACE(size);
    Rig rig;
    rig.put("before", generated_bytes(9, 100));
    rig.put("a", generated_bytes(1, size));
    ASSERT_TRUE(rig.find({"before", "a"}).ok());
    const Located good = rig.found->all()[1];
    for (const std::uint64_t at : {good.start, good.start + size / 2, good.start + size - 1}) {
      const Bytes whole = *rig.memory.get(kPath);
      const Bytes flipped{static_cast<std::uint8_t>(whole[at] ^ 0x10)};
      rig.overwrite(at, flipped);
      ASSERT_TRUE(rig.find({"before", "a"}).ok());
      EXPECT_TRUE(rig.found->check(0).ok());
      const Result<void> checked = rig.found->check(1);
      ASSERT_EQ(error_of(checked), Errc::store_corrupt);
      EXPECT_EQ(checked.error().offset, good.start + size);
      EXPECT_NE(checked.error().detail.find("a.store"), std::string::npos);
      EXPECT_NE(checked.error().detail.find(std::to_string(good.start + size)), std::string::npos);
      if (size > 2 * kHeldMax) {
        EXPECT_TRUE(rig.found->at_hand(1).empty());  // what was read and is wrong is not handed out
      }
      rig.overwrite(at, BytesView(whole).subspan(at, 1));
      ASSERT_TRUE(rig.find({"before", "a"}).ok());
      EXPECT_TRUE(rig.found->check(1).ok());
    }
  }
}

TEST(StoreBackend, WhatNobodyWantsAnyMoreEnds) {
  Rig rig;
  rig.put("large", generated_bytes(1, 4 * kPiece));
  rig.put("small", generated_bytes(2, 100));
  ASSERT_TRUE(rig.find({"large"}).ok());
  std::atomic<bool> unwanted{true};
  rig.found->end_when(&unwanted);
  EXPECT_FALSE(rig.found->check(0).ok());
  EXPECT_FALSE(rig.find({"large", "small"}).ok());
  EXPECT_EQ(rig.reads(), 0U);
  rig.found->end_when(nullptr);
  EXPECT_TRUE(rig.find({"large", "small"}).ok());
  EXPECT_TRUE(rig.found->check(0).ok());
}

TEST(StoreBackend, ADamagedTrailerIsAnErrorOrAWrongChecksum) {
  Rig rig;
  rig.put("before", generated_bytes(9, 100));
  rig.put("a", generated_bytes(1, 200));
  ASSERT_TRUE(rig.find({"a"}).ok());
  const std::uint64_t offset = rig.found->all()[0].start + 200;
  const Bytes whole = *rig.memory.get(kPath);
  for (std::uint64_t i = 0; i < store::kTrailerBytes; ++i) {
    for (const std::uint8_t bit : {std::uint8_t{0x01}, std::uint8_t{0x80}}) {
      SCOPED_TRACE(i);
      const Bytes flipped{static_cast<std::uint8_t>(whole[offset + i] ^ bit)};
      rig.overwrite(offset + i, flipped);
      const Result<void> looked = rig.find({"before", "a"});
      if (looked.ok()) {
        // Another link that rounds up to the same start changes nothing that is read here.
        const bool same = rig.found->all()[1].start + 200 == offset && i >= 8 && i < 16;
        EXPECT_EQ(rig.found->check(1).ok(), same);
      } else {
        EXPECT_EQ(looked.error().code, Errc::store_corrupt);
        EXPECT_EQ(looked.error().offset, offset);
        EXPECT_TRUE(rig.found->all().empty());
      }
      EXPECT_TRUE(i >= 8 || !looked.ok());
      rig.overwrite(offset + i, BytesView(whole).subspan(offset + i, 1));
    }
  }
  ASSERT_TRUE(rig.find({"a"}).ok());
  EXPECT_TRUE(rig.found->check(0).ok());
}

TEST(StoreBackend, AFileThatWasCutIsAnError) {
  const testing_store::TemporaryFolder folder;
  for (const bool in_memory : {true, false}) {
    Rig rig;
    const std::string path = folder.file("cut.store");
    Store other = test::open_store_at(path);
    StoreBackend on_disk(other);
    Backend& backend = in_memory ? static_cast<Backend&>(rig.backend) : on_disk;
    const auto found = backend.make_payloads();
    const auto cut = [&](std::uint64_t size) {
      if (in_memory) {
        rig.cut(size);
      } else {
        std::filesystem::resize_file(path, size);
      }
    };
    ASSERT_TRUE(backend.write(view_of("a"), generated_bytes(1, 200'000)).ok());
    ASSERT_TRUE(backend.write(view_of("b"), generated_bytes(2, 50)).ok());
    ASSERT_TRUE(backend.write(view_of("c"), generated_bytes(3, 50)).ok());
    const std::vector<BytesView> keys{view_of("a"), view_of("b"), view_of("c")};
    ASSERT_TRUE(backend.look_up(keys, *found).ok());
    const std::vector<Located> was(found->all().begin(), found->all().end());
    cut(was[2].start + 55);
    Result<void> looked = backend.look_up(keys, *found);
    ASSERT_EQ(error_of(looked), Errc::store_corrupt);
    EXPECT_EQ(looked.error().offset, was[2].start + 50);  // "c", though they were read together
    EXPECT_NE(looked.error().detail.find("end of the file"), std::string::npos);
    ASSERT_TRUE(backend.look_up(std::span(keys).first(2), *found).ok());
    cut(150'000);  // between look_up and check
    const Result<void> checked = found->check(0);
    EXPECT_EQ(error_of(checked), Errc::store_corrupt);
    EXPECT_EQ(checked.error().offset, 200'000U);
    Bytes out(60'000);
    EXPECT_EQ(error_of(found->read(0, 100'000, out)), Errc::store_corrupt);
    EXPECT_TRUE(found->read(0, 10'000, out).ok());
    EXPECT_TRUE(found->check(1).ok());  // at hand
    cut(0);
    for (const BytesView& key : keys) {
      EXPECT_EQ(error_of(backend.look_up({&key, 1}, *found)), Errc::store_corrupt);
    }
  }
}

TEST(StoreBackend, AReadThatFails) {
  for (const FaultKind kind : {FaultKind::io_error, FaultKind::short_transfer}) {
    Rig rig;
    rig.put("a", generated_bytes(1, 100'000));
    rig.put("b", generated_bytes(2, 50));
    ASSERT_TRUE(rig.find({"a", "b"}).ok());
    const Errc expected = kind == FaultKind::io_error ? Errc::store_error : Errc::store_corrupt;
    rig.files.fail(1, kind);
    EXPECT_EQ(error_of(rig.found->check(0)), expected);
    EXPECT_TRUE(rig.found->check(0).ok());
    Bytes out(1000);
    rig.files.fail(0, kind);
    EXPECT_EQ(error_of(rig.found->read(0, 5, out)), expected);
    const std::vector<BytesView> keys{view_of("a"), view_of("b")};
    rig.files.fail(0, kind);
    EXPECT_EQ(error_of(rig.backend.look_up(keys, *rig.found)), expected);
    EXPECT_TRUE(rig.found->all().empty());
    ASSERT_TRUE(rig.backend.look_up(keys, *rig.found).ok());
    expect_payload(*rig.found, 0, generated_bytes(1, 100'000));
    expect_payload(*rig.found, 1, generated_bytes(2, 50));
  }
}

// ---- Writing ---------------------------------------------------------------------------------------------------

TEST(StoreBackend, WritesLikeTheStore) {
  Result<Store> store = Store::memory();
  ASSERT_TRUE(store.ok());
  StoreBackend backend(*store);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < 200; ++i) names.push_back(key_name(i));
  std::vector<KeyValue> entries;
  for (const std::string& name : names) entries.push_back({view_of(name), view_of(name)});
  const Result<std::uint64_t> tail = backend.batch_write(entries);
  ASSERT_TRUE(tail.ok());
  EXPECT_EQ(*tail, store->tail());
  EXPECT_EQ(*backend.size(), names.size());
  EXPECT_EQ(*backend.file_size(), *tail);
  for (const std::string& name : names) EXPECT_EQ(test::get(*store, name), name);
  EXPECT_EQ(*backend.erase(view_of(names[5])), *tail + 21);
  EXPECT_EQ(*backend.erase(view_of(names[5])), *tail + 21);
  EXPECT_FALSE(*backend.exists(view_of(names[5])));
  EXPECT_TRUE(*backend.exists(view_of(names[6])));
  EXPECT_EQ(*backend.batch_write({}), *tail + 21);
  EXPECT_TRUE(backend.flush().ok());
  const auto found = backend.make_payloads();
  const BytesView key = view_of(names[7]);
  ASSERT_TRUE(backend.look_up({&key, 1}, *found).ok());
  expect_payload(*found, 0, key);
}

TEST(StoreBackend, RefusedPayloadsAreNamed) {
  Rig rig;
  const Result<std::uint64_t> empty = rig.backend.write(view_of("a"), {});
  EXPECT_EQ(error_of(empty), Errc::invalid_value);
  EXPECT_TRUE(empty.error().detail.starts_with("write: ")) << empty.error().detail;
  const std::uint8_t null = 0;
  const std::vector<KeyValue> entries{{view_of("a"), view_of("x")}, {view_of("b"), {&null, 1}}};
  const Result<std::uint64_t> batch = rig.backend.batch_write(entries);
  EXPECT_EQ(error_of(batch), Errc::invalid_value);
  EXPECT_EQ(batch.error().offset, 1U);
  EXPECT_TRUE(batch.error().detail.starts_with("batch_write: entry 1: ")) << batch.error().detail;
  EXPECT_EQ(*rig.backend.size(), 0U);
}

TEST(StoreBackend, OnlySyncAlwaysMayWait) {
  for (const StoreSync sync : {StoreSync::none, StoreSync::batch, StoreSync::always}) {
    Rig rig({.sync = sync});
    EXPECT_EQ(rig.backend.writes_may_wait(), sync == StoreSync::always);
  }
}

// ---- Threads ---------------------------------------------------------------------------------------------------

TEST(StoreBackend, ManyThreadsSeeOneMomentEach) {
  Rig rig;
  constexpr std::size_t kPairs = 16;
  const auto payload = [](std::size_t version, std::size_t pair) {
    return generated_bytes(version * kPairs + pair + 1, 1 + (version * 331 + pair * 97) % 6000);
  };
  const auto write = [&](std::size_t version) {
    for (std::size_t pair = 0; pair < kPairs; ++pair) {
      const Bytes bytes = payload(version, pair);
      const std::string left = "left " + std::to_string(pair);
      const std::string right = "right " + std::to_string(pair);
      const std::vector<KeyValue> both{{view_of(left), bytes}, {view_of(right), bytes}};
      ASSERT_TRUE(rig.backend.batch_write(both).ok());
    }
  };
  write(0);
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (std::size_t thread = 0; thread < 3; ++thread) {
    readers.emplace_back([&, thread] {
      const auto found = rig.backend.make_payloads();
      std::vector<std::string> names;
      for (std::size_t pair = 0; pair < kPairs; ++pair) {
        names.push_back("left " + std::to_string(pair));
        names.push_back("right " + std::to_string(pair));
      }
      std::vector<BytesView> keys;
      for (const std::string& name : names) keys.push_back(view_of(name));
      for (std::size_t turn = thread; !done || turn == thread; ++turn) {
        ASSERT_TRUE(rig.backend.look_up(keys, *found).ok());
        for (std::size_t pair = 0; pair < kPairs; ++pair) {
          const Located& left = found->all()[2 * pair];
          const Located& right = found->all()[2 * pair + 1];
          ASSERT_TRUE(left.present && right.present);
          ASSERT_EQ(left.checksum, right.checksum);
          ASSERT_EQ(left.size, right.size);
          ASSERT_TRUE(found->check(2 * pair).ok());
          ASSERT_TRUE(found->check(2 * pair + 1).ok());
        }
        const BytesView one = keys[turn % keys.size()];
        ASSERT_TRUE(rig.backend.look_up({&one, 1}, *found).ok());
        ASSERT_TRUE(found->all()[0].present);
        ASSERT_TRUE(found->check(0).ok());
      }
    });
  }
  for (std::size_t version = 1; version < 60; ++version) {
    write(version);
    EXPECT_TRUE(rig.backend.write(view_of("passing"), view_of("by")).ok());
    EXPECT_TRUE(rig.backend.erase(view_of("passing")).ok());
    if (version % 20 == 0) {
      EXPECT_TRUE(rig.store.compact().ok());
    }
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace simdrive
