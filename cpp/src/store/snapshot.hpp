// The records of one moment, while a writer goes on: which of them are live, and the walk over them, newest first.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "simdrive/error.hpp"
#include "store/entry.hpp"
#include "store/format.hpp"
#include "store/mapping.hpp"
#include "store/view.hpp"

namespace simdrive::store {

/// Which records below a tail are live. The index goes on while it is copied, so the keys that change meanwhile are
/// kept apart: for those the walk itself decides, as the newest record comes first.
class LiveRecords {
 public:
  /// Of `generation` as it is below its tail, which is returned in `tail`. `map` gives a mapping up to an offset. The
  /// caller sees to it that the generation lives meanwhile. May throw std::bad_alloc.
  template <class Map>
  static Result<LiveRecords> take(const Generation& generation, std::uint64_t& tail, Map map) {
    LiveRecords live(generation.layout);
    tail = generation.tail.load(std::memory_order_acquire);
    live.copy(generation.index, tail);
    const std::uint64_t written = generation.written.load(std::memory_order_acquire);
    if (written != tail) {
      Result<Mapping> mapping = map(written);
      if (!mapping) return std::move(mapping).error();
      live.add_changed(*mapping, written, tail);
    }
    return live;
  }

  /// Asked for every record, newest first.
  [[nodiscard]] bool is_live(const Record& record);

 private:
  explicit LiveRecords(Layout layout) noexcept : shift_(layout == Layout::aligned64 ? 6 : 4) {}

  void copy(const Index& index, std::uint64_t tail);
  void add_changed(const Mapping& mapping, std::uint64_t from, std::uint64_t to);

  // Two values of the present layout never have their trailers in the same 64 bytes, nor two records of any in 16.
  unsigned shift_;
  bool dense_ = true;
  std::vector<std::uint64_t>
      bits_;  // dense: of each such piece of the file, whether a live record has its trailer there
  std::vector<std::uint64_t> offsets_;  // else: the trailers, ascending; those at the end have been asked for
  std::unordered_map<std::uint64_t, bool> changed_;  // hash -> met
};

/// Walks from a tail to the first record, over those that are live.
class LiveWalk {
 public:
  LiveWalk(Mapping mapping, std::uint64_t tail, Layout layout, LiveRecords live, std::string path)
      : mapping_(std::move(mapping)), at_(tail), layout_(layout), live_(std::move(live)), path_(std::move(path)) {}

  /// False at the end. `Errc::store_corrupt` where the chain of records breaks off, which ends the walk.
  Result<bool> next(Entry& entry);

 private:
  Mapping mapping_;
  std::uint64_t at_;
  Layout layout_;
  LiveRecords live_;
  std::string path_;
};

}  // namespace simdrive::store
