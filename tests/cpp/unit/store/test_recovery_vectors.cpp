// Recovery against files of the reference engine, whole and damaged: tests/vectors/storage/README.md.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "store/store_files.hpp"

namespace simdrive {
namespace {

using store::Action;
using store::Layout;
using store::Record;
using store::Refusal;
using test::Json;
using test::Opened;

const store::RecoverOptions kOriginal{.rule = store::Rule::original};

Record record_at(BytesView bytes, std::uint64_t tail, Layout layout = Layout::aligned64) {
  store::MemorySource source(bytes);
  store::Reader reader(source);
  Record record;
  auto found = store::record_at(reader, tail, layout, record);
  EXPECT_TRUE(found.ok() && *found);
  return record;
}

bool is_good(BytesView bytes, const Record& record) {
  store::MemorySource source(bytes);
  store::Reader reader(source);
  auto good = store::verify_record(reader, record);
  return good.ok() && *good;
}

std::string hex(BytesView bytes) {
  std::string out;
  for (const std::uint8_t byte : bytes) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

// Entries of a dump or of a layout file, in iteration order.
void expect_entries(const Json& entries, BytesView bytes, const Opened& opened) {
  const std::vector<store::RecordRef> live = opened.chain.live();
  ASSERT_EQ(live.size(), entries.items.size());
  for (std::size_t i = 0; i < live.size(); ++i) {
    const Json& entry = entries.items[i];
    const Record record = record_at(bytes, live[i].offset + store::kTrailerBytes, opened.plan.layout);
    EXPECT_EQ(live[i].hash, entry.at("h").hex());
    EXPECT_EQ(record.start, entry.at("start").u64());
    EXPECT_EQ(record.offset, entry.at("end").u64());
    EXPECT_EQ(record.trailer.prev, entry.at("prev").u64());
    EXPECT_EQ(record.trailer.checksum, entry.at("crc").hex());
    EXPECT_EQ(is_good(bytes, record), entry.at("crc_ok").is_true());
    const BytesView payload = bytes.subspan(record.start, record.offset - record.start);
    if (const Json* wanted = entry.find("hex")) {  // long payloads have a digest only
      EXPECT_EQ(hex(payload.first(std::min(payload.size(), wanted->text.size() / 2))), wanted->text);
    }
  }
}

TEST(RecoveryVectors, EveryFileOpensToItsContents) {
  std::size_t files = 0;
  std::size_t healthy = 0;
  for (const auto& each : std::filesystem::directory_iterator(test::storage_vectors())) {
    if (each.path().extension() != ".bin") continue;
    auto dump_path = each.path();
    dump_path.replace_extension(".json");
    if (!std::filesystem::exists(dump_path)) continue;
    const std::string dump_text = test::text_file(dump_path);
    const Json dump = test::JsonReader(dump_text).read();
    const Json* contents = dump.find("opened");
    if (contents == nullptr) continue;  // the layout files
    SCOPED_TRACE(each.path().filename().string());
    ++files;
    const Bytes bytes = test::vector_file(each.path().filename().string());
    ASSERT_EQ(bytes.size(), dump.at("bytes").u64());

    const Opened original = test::open_checked(bytes, {}, kOriginal);
    EXPECT_EQ(original.plan.tail, contents->at("tail").u64());
    std::set<std::uint64_t> hashes;
    for (const store::RecordRef& ref : original.chain.refs) hashes.insert(ref.hash);
    EXPECT_EQ(hashes.size(), contents->at("len").u64());
    EXPECT_EQ(original.chain.live().size(), contents->at("live").u64());
    expect_entries(contents->at("entries"), bytes, original);

    const bool all_good = std::all_of(contents->at("entries").items.begin(), contents->at("entries").items.end(),
                                      [](const Json& entry) { return entry.at("crc_ok").is_true(); });
    const Opened safe = test::open_checked(bytes);
    if (!all_good) continue;  // what the reference engine damaged itself
    ++healthy;
    EXPECT_EQ(safe.plan.action, Action::open) << safe.plan.reason;
    EXPECT_EQ(safe.plan.tail, bytes.size());
    EXPECT_EQ(safe.plan.bad_checksums, 0U);
    EXPECT_EQ(safe.chain.offsets(), original.chain.offsets());
    expect_entries(contents->at("entries"), bytes, safe);
  }
  EXPECT_GE(files, 30U);
  EXPECT_GE(healthy, 28U);
}

TEST(RecoveryVectors, OlderLayoutsAreReadAndNeverCut) {
  for (const auto& [name, layout] :
       std::map<std::string, Layout>{{"layout_v12", Layout::unaligned}, {"layout_v14", Layout::aligned16}}) {
    SCOPED_TRACE(name);
    const Bytes bytes = test::vector_file(name + ".bin");
    const Json dump = test::JsonReader(test::text_file(test::storage_vectors() / (name + ".json"))).read();
    const Opened opened = test::open_checked(bytes);
    EXPECT_EQ(opened.plan.action, Action::read_only);
    EXPECT_EQ(opened.plan.layout, layout);
    EXPECT_EQ(opened.plan.tail, bytes.size());
    EXPECT_EQ(opened.plan.bad_checksums, 0U);
    expect_entries(dump.at("entries"), bytes, opened);

    std::vector<std::uint64_t> tails{0};
    for (const store::RecordRef& ref : opened.chain.refs) tails.push_back(ref.offset + store::kTrailerBytes);
    std::sort(tails.begin(), tails.end());
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
      SCOPED_TRACE(cut);
      const std::uint64_t tail = *std::prev(std::upper_bound(tails.begin(), tails.end(), cut));
      const Opened torn = test::open_checked(BytesView(bytes).first(cut));
      EXPECT_EQ(torn.plan.tail, tail);
      // One record alone has every layout at once.
      if (tail > tails[1]) {
        EXPECT_EQ(torn.plan.action, Action::read_only);
      }
      if (tail == 0) {
        EXPECT_EQ(torn.plan.refusal, Refusal::format);
      }
    }
  }
}

Bytes damaged(const Bytes& base, const Json& line) {
  Bytes bytes = base;
  if (const Json* cut = line.find("cut")) bytes.resize(cut->u64());
  if (const Json* flips = line.find("flip")) {
    for (const Json& flip : flips->items) {
      bytes.at(flip.items.at(0).u64()) ^= static_cast<std::uint8_t>(1U << flip.items.at(1).u64());
    }
  }
  if (const Json* set = line.find("set")) {
    const Bytes with = test::json_bytes(set->items.at(1));
    std::copy(with.begin(), with.end(), bytes.begin() + static_cast<std::ptrdiff_t>(set->items.at(0).u64()));
  }
  if (const Json* more = line.find("append")) {
    const Bytes with = test::json_bytes(*more);
    bytes.insert(bytes.end(), with.begin(), with.end());
  }
  EXPECT_EQ(bytes.size(), line.at("bytes").u64());
  return bytes;
}

class DamageTables : public ::testing::TestWithParam<const char*> {
 protected:
  DamageTables() : base(test::vector_file("damage_base.main.bin")) {
    const Opened whole = test::open_bytes(base);
    for (const store::RecordRef& ref : whole.chain.refs) {
      const Record record = record_at(base, ref.offset + store::kTrailerBytes);
      records[record.offset] = record;
      tails.insert(record.tail());
    }
  }

  Bytes base;
  std::map<std::uint64_t, Record> records;
  std::set<std::uint64_t> tails{0};
};

TEST_P(DamageTables, TheOriginalRuleGivesTheTablesOutcome) {
  const std::vector<Json> lines = test::json_lines(GetParam());
  ASSERT_GE(lines.size(), 100U);
  for (const Json& line : lines) {
    const Bytes bytes = damaged(base, line);
    SCOPED_TRACE(&line - lines.data());
    const Opened opened = test::open_checked(bytes, {}, kOriginal);
    const Json& out = line.at("out");
    EXPECT_EQ(opened.plan.tail, out.at("tail").u64());
    std::set<std::uint64_t> hashes;
    for (const store::RecordRef& ref : opened.chain.refs) hashes.insert(ref.hash);
    EXPECT_EQ(hashes.size(), out.at("len").u64());
    const std::vector<store::RecordRef> live = opened.chain.live();
    ASSERT_EQ(live.size(), out.at("live").u64());
    for (std::size_t i = 0; i < live.size(); ++i) {
      const std::vector<Json>& entry = out.at("entries").items.at(i).items;
      const Record record = record_at(bytes, live[i].offset + store::kTrailerBytes);
      EXPECT_EQ(live[i].hash, entry.at(0).hex());
      EXPECT_EQ(record.start, entry.at(1).u64());
      EXPECT_EQ(record.offset, entry.at(2).u64());
      EXPECT_EQ(is_good(bytes, record), entry.at(3).is_true());
    }
  }
}

TEST_P(DamageTables, TheSafeRuleNeverMisreads) {
  for (const Json& line : test::json_lines(GetParam())) {
    const Bytes bytes = damaged(base, line);
    const Json* flip = line.find("flip");
    SCOPED_TRACE(flip != nullptr ? flip->items.at(0).items.at(0).u64() : bytes.size());
    const Opened opened = test::open_checked(bytes);
    std::uint64_t bad = 0;
    for (const store::RecordRef& ref : opened.chain.refs) {
      const Record record = record_at(bytes, ref.offset + store::kTrailerBytes);
      if (!is_good(bytes, record)) {
        ++bad;
        continue;
      }
      ASSERT_TRUE(records.contains(record.offset)) << record.offset;
      EXPECT_EQ(record.start, records[record.offset].start);
      EXPECT_EQ(record.trailer.prev, records[record.offset].trailer.prev);
    }
    EXPECT_EQ(bad, opened.plan.bad_checksums);
    EXPECT_TRUE(opened.plan.tail == 0 || tails.contains(opened.plan.tail));
    if (flip != nullptr) {
      // One bit: at most the newest record is cut, and it is a store for certain.
      EXPECT_NE(opened.plan.refusal, Refusal::format);
      if (opened.plan.action == Action::cut) {
        EXPECT_EQ(opened.plan.tail, records.rbegin()->second.trailer.prev);
      }
    } else {
      const std::uint64_t kept = line.find("cut") != nullptr ? line.at("cut").u64() : base.size();
      EXPECT_EQ(opened.plan.tail, *std::prev(tails.upper_bound(kept)));
      if (opened.plan.tail == 0) {
        EXPECT_TRUE(opened.plan.refusal == Refusal::format || bytes.empty());
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, DamageTables,
                         ::testing::Values("bitflip.damage.jsonl", "garbage_tail.damage.jsonl",
                                           "torn_batch.damage.jsonl", "truncate_all.damage.jsonl"),
                         [](const auto& table) {
                           return std::string(table.param, std::string(table.param).find('.'));
                         });

TEST(RecoveryVectors, SafeTableOfCuts) {
  const Bytes base = test::vector_file("damage_base.main.bin");
  const std::vector<Json> lines = test::json_lines("truncate_all.safe.jsonl");
  ASSERT_EQ(lines.size(), base.size() + 1);
  for (const Json& line : lines) {
    const std::uint64_t cut = line.at("cut").u64();
    SCOPED_TRACE(cut);
    const Opened opened = test::open_checked(BytesView(base).first(cut));
    EXPECT_EQ(opened.plan.tail, line.at("tail").u64());
    if (opened.plan.tail == 0 && cut != 0) {
      EXPECT_EQ(opened.plan.refusal, Refusal::format);
    } else {
      EXPECT_EQ(opened.plan.action, cut == opened.plan.tail ? Action::open : Action::cut);
      EXPECT_EQ(opened.chain.refs.size(), line.at("records").u64());
    }
  }
}

// Every cut of these, without a mark and with one at each of several tails.
TEST(RecoveryVectors, EveryCutKeepsTheRecordsBeforeIt) {
  for (const char* name : {"damage_base.main.bin", "delete.main.bin", "edges_single.main.bin", "all_tails.main.bin",
                           "tombstone_chain.main.bin", "overwrite.main.bin"}) {
    SCOPED_TRACE(name);
    const Bytes bytes = test::vector_file(name);
    std::vector<std::uint64_t> tails{0};
    for (const store::RecordRef& ref : test::open_bytes(bytes).chain.refs) {
      tails.push_back(ref.offset + store::kTrailerBytes);
    }
    std::sort(tails.begin(), tails.end());
    std::vector<store::SyncMark> marks;
    for (const std::size_t i : {std::size_t{0}, std::size_t{1}, tails.size() / 2, tails.size() - 1}) {
      store::SyncMark mark{.tail = tails[i], .trailer = {}};
      if (i > 0) mark.trailer = store::read_trailer(bytes.data() + tails[i] - store::kTrailerBytes);
      marks.push_back(mark);
    }
    const std::size_t step = bytes.size() > 5000 ? 13 : 1;
    for (std::size_t cut = 0; cut <= bytes.size(); cut += step) {
      SCOPED_TRACE(cut);
      const BytesView torn = BytesView(bytes).first(cut);
      const std::uint64_t tail = *std::prev(std::upper_bound(tails.begin(), tails.end(), cut));
      const Opened plain = test::open_checked(torn);
      EXPECT_EQ(plain.plan.tail, tail);
      if (tail == 0 && cut > 0) {
        EXPECT_EQ(plain.plan.refusal, Refusal::format);
      }
      for (const store::SyncMark& mark : marks) {
        const Opened marked = test::open_checked(torn, mark);
        EXPECT_EQ(marked.plan.tail, tail);
        if (cut == 0 || (cut == tail && tail >= mark.tail)) {
          EXPECT_EQ(marked.plan.action, Action::open);
        } else if (tail >= mark.tail) {
          EXPECT_EQ(marked.plan.action, Action::cut);
          EXPECT_EQ(marked.plan.mark, store::MarkState::matched);
        } else {
          EXPECT_EQ(marked.plan.refusal, tail == 0 ? Refusal::format : Refusal::corrupt);
        }
      }
    }
  }
}

TEST(RecoveryVectors, StoresInPayloads) {
  const Bytes bytes = test::vector_file("nested.main.bin");
  const Opened whole = test::open_checked(bytes);
  ASSERT_EQ(whole.plan.action, Action::open);
  std::set<std::uint64_t> tails{0};
  for (const store::RecordRef& ref : whole.chain.refs) tails.insert(ref.offset + store::kTrailerBytes);
  for (std::size_t cut = *std::next(tails.begin()); cut < bytes.size(); ++cut) {
    SCOPED_TRACE(cut);
    const Opened torn = test::open_checked(BytesView(bytes).first(cut));
    EXPECT_EQ(torn.plan.tail, *std::prev(tails.upper_bound(cut)));
  }
}

}  // namespace
}  // namespace simdrive
