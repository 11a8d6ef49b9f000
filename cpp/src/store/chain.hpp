// The loop that follows a chain, inlined into everything that walks one.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "store/format.hpp"
#include "store/reader.hpp"
#include "store/walk.hpp"

namespace simdrive::store {

struct ChainEnd {
  enum class Kind : std::uint8_t { complete, broken, stopped } kind;
  std::uint64_t at;  // broken: the tail without a record; stopped: the tail of the last record given

  [[nodiscard]] bool complete() const noexcept { return kind == Kind::complete; }
};

struct FollowOptions {
  std::uint64_t alignment = kPayloadAlignment;  // of payloads
  bool every_byte = false;                      // the caller checksums payloads: read windows that suit it
  bool zeros = false;                           // a trailer of 20 zero bytes ends a chain as any first record does
};

/// Calls `on_record(const Record&)` for each record from `tail` on, until it returns false.
template <class OnRecord>
[[nodiscard]] Result<ChainEnd> follow(Reader& reader, std::uint64_t tail, const FollowOptions& how,
                                      OnRecord&& on_record) {
  const std::uint64_t alignment = how.alignment;
  const std::uint8_t* data = reader.window().data();
  std::uint64_t begin = reader.begin();
  std::uint64_t end = reader.end();
  for (std::uint64_t t = tail;;) {
    if (t < kMinTail) return ChainEnd{ChainEnd::Kind::broken, t};
    if (t - kMinTail < begin || t > end) {
      if (t > reader.size()) return ChainEnd{ChainEnd::Kind::broken, t};
      auto loaded = how.every_byte ? reader.load_all(t - kMinTail, t) : reader.load(t - kMinTail, t);
      if (!loaded.ok()) return std::move(loaded.error());
      data = reader.window().data();
      begin = reader.begin();
      end = reader.end();
    }
    const std::uint8_t* at = data + (t - kTrailerBytes - begin);
    Record record;
    record.offset = t - kTrailerBytes;
    record.trailer = read_trailer(at);
    record.start = payload_start(record.offset, record.trailer.prev, at[-1], alignment);
    if (record.start == kMalformed) return ChainEnd{ChainEnd::Kind::broken, t};
    if (record.trailer.prev == 0 && !how.zeros && record.trailer.is_zero()) return ChainEnd{ChainEnd::Kind::broken, t};
    record.tombstone = is_tombstone(record.start, record.offset, at[-1]);
    if (!on_record(std::as_const(record))) return ChainEnd{ChainEnd::Kind::stopped, t};
    t = record.trailer.prev;
    if (t == 0) return ChainEnd{ChainEnd::Kind::complete, 0};
  }
}

/// Hands records to a visitor in batches.
class VisitorBatch {
 public:
  explicit VisitorBatch(RecordVisitor& visitor) : visitor_(visitor) {}

  void restart() {
    used_ = 0;
    visitor_.restart();
  }

  /// False once the visitor failed; `finish` says how.
  [[nodiscard]] bool add(const Record& record) {
    batch_[used_++] = {record.trailer.hash, record.offset & kOffsetMask, record.tombstone ? 1U : 0U};
    return used_ < kBatch || flush();
  }

  [[nodiscard]] Result<void> finish() {
    if (result_.ok()) flush();
    return result_;
  }

 private:
  static constexpr std::size_t kBatch = 1024;
  static constexpr std::uint64_t kOffsetMask = ~(std::uint64_t{1} << 63);

  bool flush() {
    if (used_ != 0) result_ = visitor_.records(std::span(batch_).first(used_));
    used_ = 0;
    return result_.ok();
  }

  RecordVisitor& visitor_;
  std::size_t used_ = 0;
  std::array<RecordRef, kBatch> batch_;  // 16 KiB: in the cache together with what the visitor makes of it
  Result<void> result_;
};

/// Calls the caller's progress every 32 MiB.
class Pace {
 public:
  Pace(const Progress& progress, std::uint64_t total) : progress_(progress), total_(total) {}

  /// False if the caller cancelled.
  [[nodiscard]] bool at(std::uint64_t done) {
    if (done < next_ || !progress_) return true;
    next_ = done + kInterval;
    cancelled_ = !progress_(done < total_ ? done : total_, total_);
    return !cancelled_;
  }
  [[nodiscard]] bool cancelled() const noexcept { return cancelled_; }
  [[nodiscard]] static Error error() { return {.code = Errc::interrupted, .detail = "cancelled by the caller"}; }

 private:
  static constexpr std::uint64_t kInterval = std::uint64_t{32} << 20;

  const Progress& progress_;
  std::uint64_t total_;
  std::uint64_t next_ = kInterval;
  bool cancelled_ = false;
};

}  // namespace simdrive::store
