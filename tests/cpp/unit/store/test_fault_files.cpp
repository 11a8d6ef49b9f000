// The doubles that the store's fault tests stand on: do they fail, and crash, as they say?
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "store/file_bytes.hpp"
#include "support/crash_images.hpp"
#include "support/failing_files.hpp"
#include "support/recording_files.hpp"

namespace simdrive::testing_store {
namespace {

using store::Create;
using store::fault_of;
using store::FileFault;

// ---- Failing ----

TEST(FailingFilesTest, TheNthCallFailsAndThenItHeals) {
  store::MemoryFiles under;
  FailingFiles files(under);
  files.fail(2, FaultKind::io_error, 2);
  const auto file = opened(files, "s", kReadWrite);
  EXPECT_EQ(write(*file, 0, {"abc"}).bytes, 3U);
  const store::Written w = write(*file, 3, {"def"});
  EXPECT_EQ(w.bytes, 0U);
  EXPECT_EQ(fault_of(w.status.error()), FileFault::io);
  EXPECT_EQ(fault_of(file->sync_data().error()), FileFault::io);
  EXPECT_TRUE(file->sync_data().ok());
  EXPECT_EQ(files.calls(), 5U);
  EXPECT_EQ(files.failed(), (std::vector<std::string>{"write 's'", "sync 's'"}));
  EXPECT_EQ(under.get("s"), bytes_of("abc"));
}

TEST(FailingFilesTest, EveryKindOfCallFailsUntilHealed) {
  store::MemoryFiles under;
  FailingFiles files(under);
  const auto file = opened(files, "s", kReadWrite);
  ASSERT_EQ(write(*file, 0, {"abcd"}).bytes, 4U);
  for (const FaultKind kind : kFaultKinds) {
    ASSERT_TRUE(under.put("t", view_of("t")).ok());
    files.fail(0, kind, FailingFiles::kUntilHealed);
    Bytes out(4);
    EXPECT_FALSE(files.open("s", kReadOnly).ok());
    EXPECT_FALSE(files.stat("s").ok());
    EXPECT_FALSE(store::exists(files, "s").ok());
    EXPECT_FALSE(files.rename_over("t", "u").ok());
    EXPECT_FALSE(files.remove("t").ok());
    EXPECT_FALSE(files.sync_directory("s").ok());
    EXPECT_FALSE(read_exactly(*file, 0, out).ok());
    EXPECT_FALSE(write(*file, 0, {"abcd"}).status.ok());
    EXPECT_FALSE(file->size().ok());
    EXPECT_FALSE(file->truncate(4).ok());
    EXPECT_FALSE(file->sync_data().ok());
    EXPECT_FALSE(file->sync_all().ok());
    EXPECT_FALSE(file->try_lock_exclusive().ok());
    EXPECT_FALSE(file->map(4).ok());
    EXPECT_EQ(files.failed().size(), 14U);
    files.heal();
    EXPECT_TRUE(read_exactly(*file, 0, out).ok());
    EXPECT_EQ(out, bytes_of("abcd"));
    EXPECT_TRUE(file->try_lock_exclusive().ok());
    file->unlock();
    EXPECT_TRUE(files.failed().empty());
  }
}

TEST(FailingFilesTest, WritesThatGetPartOfTheWay) {
  const std::map<FaultKind, std::string> left = {{FaultKind::io_error, "abcd"},
                                                 {FaultKind::no_space, "abcd"},
                                                 {FaultKind::short_transfer, "abcd123"},
                                                 {FaultKind::done_and_failed, "abcd12345"}};
  for (const auto& [kind, expected] : left) {
    store::MemoryFiles under;
    FailingFiles files(under, {Call::write, Call::truncate});
    const auto file = opened(files, "s", kReadWrite);
    ASSERT_EQ(write(*file, 0, {"abcd"}).bytes, 4U);
    files.fail(0, kind);
    const store::Written w = write(*file, 4, {"12", "3456"});
    EXPECT_EQ(w.bytes, expected.size() - 4);
    const bool full = kind == FaultKind::no_space || kind == FaultKind::short_transfer;
    EXPECT_EQ(fault_of(w.status.error()), full ? FileFault::no_room : FileFault::io) << to_string(kind);
    EXPECT_EQ(under.get("s"), bytes_of(expected));
    files.fail(0, kind);
    EXPECT_FALSE(file->truncate(2).ok());
    EXPECT_EQ(under.get("s")->size(), kind == FaultKind::done_and_failed ? 2U : expected.size());
  }
}

TEST(FailingFilesTest, CountsOnlyWhatItIsToldTo) {
  store::MemoryFiles under;
  FailingFiles files(under, {Call::sync});
  std::vector<std::string> seen;
  files.watch([&](std::uint64_t n, Call call, const std::string& path) {
    seen.push_back(std::to_string(n) + std::string(to_string(call)) + path);
  });
  files.fail(1, FaultKind::no_space);
  const auto file = opened(files, "s", kReadWrite);
  EXPECT_TRUE(file->sync_all().ok());
  EXPECT_EQ(write(*file, 0, {"abc"}).bytes, 3U);
  EXPECT_EQ(fault_of(file->sync_all().error()), FileFault::io);
  EXPECT_EQ(seen, (std::vector<std::string>{"0syncs", "1syncs"}));
}

// ---- Recording ----

TEST(RecordingFilesTest, RecordsWhatChangedAndWhatWasSynced) {
  RecordingFiles files({{"old", bytes_of("o")}});
  const auto file = opened(files, "s", kReadWrite);
  EXPECT_FALSE(opened(files, "s", kReadWrite)->created());
  EXPECT_EQ(write(*file, 0, {"ab", "", "cde"}).bytes, 5U);
  EXPECT_EQ(write(*file, 5, {""}).bytes, 0U);
  EXPECT_FALSE(file->truncate(9).ok());
  EXPECT_TRUE(file->truncate(3).ok());
  EXPECT_EQ(read(*file, 0, 9), "abc");
  EXPECT_TRUE(file->sync_data().ok());
  EXPECT_TRUE(files.rename_over("s", "old").ok());
  EXPECT_FALSE(files.remove("s").ok());
  EXPECT_TRUE(files.sync_directory("old").ok());
  EXPECT_TRUE(files.remove("old").ok());
  const Recording recording = files.recording();
  std::vector<std::string> events;
  for (const Event& event : recording.events) events.push_back(to_string(event));
  EXPECT_EQ(events, (std::vector<std::string>{"create 's'", "write 5 at 0 of 's'", "truncate 's' to 3", "sync 's'",
                                              "rename 's' to 'old'", "sync the folder of 'old'", "remove 'old'"}));
  EXPECT_EQ(files.event_count(), 7U);
  EXPECT_EQ(recording.events[1].piece_ends, (std::vector<std::size_t>{2, 2, 5}));
  EXPECT_EQ(recording.events[1].bytes, bytes_of("abcde"));
  EXPECT_NE(recording.events[1].file, recording.start_files.at("old"));
}

// ---- Crash images ----

/// The images as path and text, by number of complete events; and the number of all.
struct Images {
  std::set<FileContents> died;
  std::set<FileContents> lost;
  std::size_t count = 0;
};

Images images_of(const Recording& recording, CrashOptions options, std::size_t events) {
  Images images;
  images.count = for_each_crash_image(recording, options, [&](const CrashImage& image) {
    EXPECT_FALSE(image.what.empty());
    if (image.events == events) (image.power_loss ? images.lost : images.died).insert(image.files);
    return true;
  });
  return images;
}

TEST(CrashImagesTest, ADyingProcessLeavesAPrefix) {
  RecordingFiles files;
  const auto file = opened(files, "s", kReadWrite);
  ASSERT_EQ(write(*file, 0, {"abcdefgh"}).bytes, 8U);
  ASSERT_TRUE(file->truncate(2).ok());
  ASSERT_EQ(write(*file, 2, {"XY", "Z"}).bytes, 3U);
  const auto died = [&](std::size_t events) { return images_of(files.recording(), {}, events).died; };
  const auto with = [](const std::string& text) { return FileContents{{"s", bytes_of(text)}}; };
  EXPECT_EQ(died(0), std::set<FileContents>({{}}));
  EXPECT_EQ(died(1), (std::set<FileContents>{with(""), with("a"), with("abcd"), with("abcdefg")}));
  EXPECT_EQ(died(2), std::set<FileContents>{with("abcdefgh")});
  EXPECT_EQ(died(3), (std::set<FileContents>{with("ab"), with("abX"), with("abXY")}));
  EXPECT_EQ(died(4), std::set<FileContents>{with("abXYZ")});
}

TEST(CrashImagesTest, WritesAreCutInPadsTrailersSectorsAndPages) {
  Event event{.kind = Event::Kind::write, .offset = 500, .bytes = Bytes(10'000), .piece_ends = {12, 9980, 10'000}};
  const std::vector<std::size_t> cuts = cut_points(event, {});
  for (const std::size_t cut : {1U, 6U, 11U, 13U, 64U, 524U, 3596U, 7692U, 9979U, 9981U, 9990U, 9996U, 9999U}) {
    EXPECT_TRUE(std::find(cuts.begin(), cuts.end(), cut) != cuts.end()) << cut;
  }
  EXPECT_TRUE(std::is_sorted(cuts.begin(), cuts.end()));
  EXPECT_EQ(cuts.front(), 1U);
  EXPECT_EQ(cuts.back(), 9999U);
  event.bytes.resize(1);
  event.piece_ends = {1};
  EXPECT_TRUE(cut_points(event, {}).empty());
  event.bytes.resize(1'000'000);
  event.piece_ends = {1'000'000};
  EXPECT_LT(cut_points(event, {.sector_cuts_max = 4}).size(), 40U);
}

/// A file of pages "a", "b", ...: one letter for each, in capitals once rewritten; '0' for a page of zeros.
std::string letters(const Bytes& content, std::size_t page) {
  std::string text;
  for (std::size_t at = 0; at < content.size(); at += page)
    text += content[at] == 0 ? '0' : static_cast<char>(content[at]);
  return text;
}

TEST(CrashImagesTest, ALossOfPowerLosesZeroesAndReordersPages) {
  RecordingFiles files;
  const auto file = opened(files, "s", kReadWrite);
  ASSERT_TRUE(files.sync_directory("s").ok());
  const auto page = [](char c) { return std::string(512, c); };
  ASSERT_EQ(write(*file, 0, {page('a'), page('b')}).bytes, 1024U);
  ASSERT_TRUE(file->sync_data().ok());
  ASSERT_EQ(write(*file, 1024, {page('c'), page('d')}).bytes, 1024U);
  ASSERT_EQ(write(*file, 2048, {page('e')}).bytes, 512U);
  std::set<std::string> lost;
  for (const FileContents& image : images_of(files.recording(), {.page = 512, .random_images = 50}, 6).lost) {
    ASSERT_EQ(image.size(), 1U);
    lost.insert(letters(image.at("s"), 512));
  }
  for (const std::string& text : lost) {
    EXPECT_EQ(text.substr(0, 2), "ab") << "synced";
    for (std::size_t i = 2; i < text.size(); ++i) {
      EXPECT_TRUE(text[i] == '0' || text[i] == "abcde"[i]) << text;
    }
  }
  // Nothing, the length alone, the first write, a later one without an earlier, single pages, everything.
  for (const std::string expected :
       {"ab", "ab000", "abcd", "ab00", "ab00e", "abc00", "ab0d0", "ab0de", "abc0e", "abcde"}) {
    EXPECT_EQ(lost.count(expected), 1U) << expected;
  }
  // Once synced, nothing is lost.
  ASSERT_TRUE(file->sync_all().ok());
  const Images after = images_of(files.recording(), {.page = 512, .random_images = 50}, 7);
  ASSERT_EQ(after.lost.size(), 1U);
  EXPECT_EQ(letters(after.lost.begin()->at("s"), 512), "abcde");
}

TEST(CrashImagesTest, WhatWasCutOffDoesNotComeBack) {
  RecordingFiles files({{"s", bytes_of("synced")}});
  const auto file = opened(files, "s", kReadWrite);
  ASSERT_EQ(write(*file, 6, {"refused"}).bytes, 7U);
  ASSERT_TRUE(file->truncate(6).ok());
  ASSERT_EQ(write(*file, 6, {"stored"}).bytes, 6U);
  const auto texts = [&](bool stale) {
    std::set<std::string> all;
    for (const FileContents& image :
         images_of(files.recording(), {.random_images = 50, .stale_after_truncate = stale}, 3).lost) {
      all.insert(std::string(image.at("s").begin(), image.at("s").end()));
    }
    return all;
  };
  const std::string zeros(6, '\0');
  const std::string more_zeros(7, '\0');
  // The second and third calls may be lost: then the refused bytes are there. But never with the length of the third.
  for (const std::string& text : {std::string("synced"), "synced" + zeros, "synced" + more_zeros,
                                  std::string("syncedrefused"), std::string("syncedstored")}) {
    EXPECT_EQ(texts(false).count(text), 1U) << text;
  }
  EXPECT_EQ(texts(false).count("syncedrefuse"), 0U);
  EXPECT_EQ(texts(true).count("syncedrefuse"), 1U);
}

TEST(CrashImagesTest, UnsyncedNamesAreLostOrKept) {
  RecordingFiles files({{"s", bytes_of("old")}});
  const auto made = opened(files, "s.new", {.write = true, .create = Create::exclusive});
  ASSERT_EQ(write(*made, 0, {"new"}).bytes, 3U);
  ASSERT_TRUE(made->sync_all().ok());
  ASSERT_TRUE(files.rename_over("s.new", "s").ok());
  const FileContents before = {{"s", bytes_of("old")}};
  const FileContents between = {{"s", bytes_of("old")}, {"s.new", bytes_of("new")}};
  const FileContents after = {{"s", bytes_of("new")}};
  EXPECT_EQ(images_of(files.recording(), {}, 4).died, std::set<FileContents>{after});
  EXPECT_EQ(images_of(files.recording(), {}, 4).lost, (std::set<FileContents>{before, between, after}));
  ASSERT_TRUE(files.sync_directory("s").ok());
  EXPECT_EQ(images_of(files.recording(), {}, 5).lost, std::set<FileContents>{after});
}

// The bug that the sync before a rename is there for.
TEST(CrashImagesTest, ARenameMayOutrunTheBytes) {
  RecordingFiles files({{"s", bytes_of("old")}});
  const auto made = opened(files, "s.new", {.write = true, .create = Create::exclusive});
  ASSERT_EQ(write(*made, 0, {"new"}).bytes, 3U);
  ASSERT_TRUE(files.rename_over("s.new", "s").ok());
  ASSERT_TRUE(files.sync_directory("s").ok());
  const std::set<FileContents> lost = images_of(files.recording(), {}, 4).lost;
  EXPECT_EQ(lost.count({{"s", {}}}), 1U);
  EXPECT_EQ(lost.count({{"s", Bytes(3)}}), 1U);
}

TEST(CrashImagesTest, FoldersAreSyncedOneByOne) {
  RecordingFiles files;
  ASSERT_TRUE(opened(files, "a/s", kReadWrite)->created());
  ASSERT_TRUE(opened(files, "b/s", kReadWrite)->created());
  ASSERT_TRUE(files.sync_directory("a/other").ok());
  const FileContents a = {{"a/s", {}}};
  const FileContents both = {{"a/s", {}}, {"b/s", {}}};
  EXPECT_EQ(images_of(files.recording(), {}, 3).lost, (std::set<FileContents>{a, both}));
}

TEST(CrashImagesTest, ManyUnsyncedNames) {
  RecordingFiles files;
  for (const char* const name : {"a", "b", "c", "d", "e", "f"}) {
    ASSERT_TRUE(opened(files, name, kReadWrite)->created());
  }
  const std::set<FileContents> lost = images_of(files.recording(), {}, 6).lost;
  EXPECT_EQ(lost.count({}), 1U);
  EXPECT_EQ(lost.count({{"d", {}}}), 1U);
  EXPECT_EQ(lost.count({{"a", {}}, {"b", {}}, {"c", {}}}), 1U);
  EXPECT_EQ(lost.count({{"a", {}}, {"b", {}}, {"d", {}}, {"e", {}}, {"f", {}}}), 1U);
}

TEST(CrashImagesTest, DependOnTheSeedAloneAndStopWhenTold) {
  RecordingFiles files;
  const auto file = opened(files, "s", kReadWrite);
  std::uint64_t size = 0;
  for (std::size_t i = 1; i < 12; ++i) {
    ASSERT_EQ(write(*file, size, {std::string(i * 777, static_cast<char>('a' + i))}).bytes, i * 777);
    size += i * 777;
  }
  const Recording recording = files.recording();
  const auto all = [&](std::uint64_t seed) {
    std::vector<std::pair<std::string, FileContents>> images;
    for_each_crash_image(recording, {.seed = seed}, [&](const CrashImage& image) {
      images.emplace_back(image.what, image.files);
      return true;
    });
    return images;
  };
  const auto first = all(7);
  EXPECT_GT(first.size(), 300U);
  EXPECT_EQ(first, all(7));
  EXPECT_NE(first, all(8));
  std::size_t left = 10;
  EXPECT_EQ(for_each_crash_image(recording, {}, [&](const CrashImage&) { return --left != 0; }), 10U);
  std::size_t power = 0;
  for_each_crash_image(recording, {.power_loss = false}, [&](const CrashImage& image) {
    power += image.power_loss ? 1 : 0;
    return true;
  });
  EXPECT_EQ(power, 0U);
}

TEST(CrashImagesTest, AnImageCanBeOpened) {
  RecordingFiles recorded;
  const auto file = opened(recorded, "s", kReadWrite);
  ASSERT_EQ(write(*file, 0, {"abc"}).bytes, 3U);
  std::size_t opened_images = 0;
  for_each_crash_image(recorded.recording(), {}, [&](const CrashImage& image) {
    store::MemoryFiles files;
    load(files, image.files);
    EXPECT_EQ(files.paths().size(), image.files.size());
    for (const auto& [path, content] : image.files) EXPECT_EQ(files.get(path), content);
    ++opened_images;
    return true;
  });
  EXPECT_GT(opened_images, 5U);
}

}  // namespace
}  // namespace simdrive::testing_store
