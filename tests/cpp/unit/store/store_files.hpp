// Store files for tests: those of tests/vectors/storage, and ones made record by record.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "hash/generated_bytes.hpp"
#include "simdrive/hash.hpp"
#include "store/byte_source.hpp"
#include "store/format.hpp"
#include "store/json.hpp"
#include "store/recovery.hpp"
#include "store/walk.hpp"

namespace simdrive::test {

inline std::filesystem::path storage_vectors() { return std::filesystem::path(SIMDRIVE_TEST_VECTORS) / "storage"; }

inline std::string text_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline Bytes vector_file(const std::string& name) {
  const std::string text = text_file(storage_vectors() / name);
  return {text.begin(), text.end()};
}

inline std::vector<Json> json_lines(const std::string& name) {
  const std::string text = text_file(storage_vectors() / name);
  std::vector<Json> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) lines.push_back(JsonReader(std::string_view(text).substr(at, end - at)).read());
    at = end + 1;
  }
  return lines;
}

/// The forms in which the vectors write bytes.
inline Bytes json_bytes(const Json& value) {
  if (value.kind == Json::Kind::string) return {value.text.begin(), value.text.end()};
  if (const Json* seed = value.find("gen")) return generated_bytes(seed->u64(), value.at("len").u64());
  const auto from_hex = [](const std::string& hex) {
    Bytes out;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
      out.push_back(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    }
    return out;
  };
  if (const Json* hex = value.find("hex")) return from_hex(hex->text);
  return Bytes(value.at("len").u64(), from_hex(value.at("rep").text).at(0));
}

/// A source without a view, which counts what it is asked for.
class CopySource final : public store::ByteSource {
 public:
  explicit CopySource(BytesView bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return bytes_.size(); }
  [[nodiscard]] Result<void> read_at(std::uint64_t offset, MutableBytes out) override {
    if (++reads >= fail_at && fail_at != 0) return Error{.code = Errc::internal, .detail = "no more"};
    bytes_read += out.size();
    return store::MemorySource(bytes_).read_at(offset, out);
  }

  std::uint64_t bytes_read = 0;
  std::uint64_t reads = 0;
  std::uint64_t fail_at = 0;

 private:
  BytesView bytes_;
};

/// The records of a chain, newest first.
struct Chain {
  [[nodiscard]] std::vector<std::uint64_t> offsets() const {
    std::vector<std::uint64_t> out;
    for (const store::RecordRef& ref : refs) out.push_back(ref.offset);
    return out;
  }
  /// The newest record of each hash, deletions left out: what the store holds.
  [[nodiscard]] std::vector<store::RecordRef> live() const {
    std::vector<store::RecordRef> out;
    std::unordered_set<std::uint64_t> seen;
    for (const store::RecordRef& ref : refs) {
      if (seen.insert(ref.hash).second && ref.tombstone == 0) out.push_back(ref);
    }
    return out;
  }

  std::vector<store::RecordRef> refs;
};

/// Keeps everything it is given.
class Collector final : public store::RecordVisitor, public Chain {
 public:
  void restart() override { refs.clear(); }
  [[nodiscard]] Result<void> records(std::span<const store::RecordRef> batch) override {
    EXPECT_FALSE(batch.empty());
    refs.insert(refs.end(), batch.begin(), batch.end());
    return {};
  }
};

/// Appends records as an engine does.
class StoreBuilder {
 public:
  explicit StoreBuilder(store::Layout layout = store::Layout::aligned64) : layout_(layout) {}

  StoreBuilder& value(std::uint64_t hash, BytesView payload) {
    const std::uint64_t tail = bytes.size();
    bytes.resize(store::align_up(tail, store::alignment_of(layout_)));
    return append(hash, tail, payload);
  }
  StoreBuilder& value(std::uint64_t hash, std::size_t size) { return value(hash, generated_bytes(hash, size)); }
  StoreBuilder& tombstone(std::uint64_t hash) { return append(hash, bytes.size(), Bytes{0}); }
  /// Whatever is appended from here on has this layout.
  StoreBuilder& as(store::Layout layout) {
    layout_ = layout;
    return *this;
  }

  [[nodiscard]] std::uint64_t tail() const { return bytes.size(); }
  [[nodiscard]] store::SyncMark mark(std::size_t records) const { return mark_at(tails.at(records)); }
  [[nodiscard]] store::SyncMark mark_at(std::uint64_t tail) const {
    store::SyncMark mark{.tail = tail, .trailer = {}};
    if (tail != 0) mark.trailer = store::read_trailer(bytes.data() + tail - store::kTrailerBytes);
    return mark;
  }

  Bytes bytes;
  std::vector<std::uint64_t> tails{0};  // tails[n]: with n records
  std::vector<std::uint64_t> starts;    // of payloads

 private:
  StoreBuilder& append(std::uint64_t hash, std::uint64_t tail, BytesView payload) {
    starts.push_back(bytes.size());
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    store::TrailerBytes trailer;
    store::write_trailer(trailer.data(), {.hash = hash, .prev = tail, .checksum = crc32(payload)});
    bytes.insert(bytes.end(), trailer.begin(), trailer.end());
    tails.push_back(bytes.size());
    return *this;
  }

  store::Layout layout_;
};

inline StoreBuilder build_store(std::size_t records, std::size_t payload = 30) {
  StoreBuilder store;
  for (std::size_t i = 0; i < records; ++i) store.value(1000 + i, payload + i % 50);
  return store;
}

struct Opened {
  store::Plan plan;
  Chain chain;
};

inline Opened open_bytes(BytesView bytes, const std::optional<store::SyncMark>& mark = {},
                         const store::RecoverOptions& options = {}) {
  Opened opened;
  Collector collector;
  store::MemorySource source(bytes);
  auto plan = store::recover(source, mark, collector, options);
  EXPECT_TRUE(plan.ok());
  if (plan.ok()) opened.plan = std::move(*plan);
  opened.chain = collector;
  return opened;
}

/// What holds for every plan, whatever the bytes are. Returns the plan.
inline Opened open_checked(BytesView bytes, const std::optional<store::SyncMark>& mark = {},
                           const store::RecoverOptions& options = {}) {
  using store::Action;
  Opened opened = open_bytes(bytes, mark, options);
  const store::Plan& plan = opened.plan;
  EXPECT_EQ(plan.size, bytes.size());
  EXPECT_LE(plan.tail, plan.size);
  EXPECT_EQ(plan.action == Action::refuse, plan.refusal != store::Refusal::none);
  EXPECT_EQ(plan.action == Action::read_only, plan.layout != store::Layout::aligned64 && plan.action != Action::refuse);
  if (plan.action == Action::open) {
    EXPECT_EQ(plan.tail, plan.size);
  }
  if (plan.action == Action::cut) {
    EXPECT_LT(plan.tail, plan.size);
  }
  if (plan.action != Action::open) {
    EXPECT_FALSE(plan.reason.empty() && options.rule == store::Rule::safe);
  }
  if (plan.action == Action::refuse) {
    EXPECT_TRUE(opened.chain.refs.empty());
  } else {
    EXPECT_EQ(opened.chain.refs.size(), plan.records);
    std::uint64_t above = plan.tail;
    for (const store::RecordRef& ref : opened.chain.refs) {
      EXPECT_LE(ref.offset + store::kTrailerBytes, above);
      above = ref.offset;
    }
  }
  // Pieces of a file say the same as a mapping.
  CopySource pieces(bytes);
  Collector again;
  auto copied = store::recover(pieces, mark, again, options);
  EXPECT_TRUE(copied.ok());
  if (copied.ok()) {
    EXPECT_EQ(copied->action, plan.action);
    EXPECT_EQ(copied->tail, plan.tail);
    EXPECT_EQ(copied->bad_checksums, plan.bad_checksums);
    EXPECT_EQ(again.offsets(), opened.chain.offsets());
  }
  // What was cut opens without a cut, and with the same records.
  if (plan.action == Action::cut) {
    const Opened second = open_bytes(bytes.first(plan.tail), mark, options);
    EXPECT_EQ(second.plan.action, Action::open) << second.plan.reason;
    EXPECT_EQ(second.plan.tail, plan.tail);
    EXPECT_EQ(second.chain.offsets(), opened.chain.offsets());
  }
  return opened;
}

}  // namespace simdrive::test
