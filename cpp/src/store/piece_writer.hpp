// Walks through the pieces of a write, across calls that take only a part.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "store/file.hpp"

namespace simdrive::store {

class PieceCursor {
 public:
  explicit PieceCursor(std::span<const BytesView> pieces) noexcept : pieces_(pieces) {}

  /// Calls take(run) for the next runs, none empty: at most `runs_max`, of at most `bytes_max` bytes together.
  template <class Take>
  void peek(std::size_t runs_max, std::size_t bytes_max, Take take) const {
    std::size_t within = within_;
    for (std::size_t i = next_; i < pieces_.size() && runs_max != 0 && bytes_max != 0; ++i, within = 0) {
      const BytesView rest = pieces_[i].subspan(within);
      if (rest.empty()) continue;
      const BytesView run = rest.first(std::min(rest.size(), bytes_max));
      take(run);
      bytes_max -= run.size();
      --runs_max;
    }
  }

  /// Goes `bytes` on.
  void skip(std::size_t bytes) noexcept {
    while (next_ < pieces_.size() && bytes >= pieces_[next_].size() - within_) {
      bytes -= pieces_[next_].size() - within_;
      ++next_;
      within_ = 0;
    }
    within_ += bytes;
  }

 private:
  std::span<const BytesView> pieces_;
  std::size_t next_ = 0;
  std::size_t within_ = 0;  // of pieces_[next_]; 0 behind the last
};

/// What one system call wrote, or the errno value of its failure.
struct WriteCall {
  std::size_t bytes = 0;
  int errno_value = 0;
};

/// File::write_at() for systems whose calls take one run: short pieces are joined. `call(run, offset)` gives a
/// WriteCall, perhaps of a part.
template <class Call>
Written write_pieces(const std::string& path, std::uint64_t offset, std::span<const BytesView> pieces, Call call) {
  constexpr std::size_t kJoin = std::size_t{32} << 10;  // a copy of so much is cheaper than a system call
  Written w;
  PieceCursor cursor(pieces);
  Bytes joined;
  while (true) {
    BytesView first;
    std::size_t runs = 0;
    joined.clear();
    cursor.peek(pieces.size(), kJoin, [&](BytesView run) {
      if (runs++ == 0) {
        first = run;
      } else {
        if (runs == 2) joined.assign(first.begin(), first.end());
        joined.insert(joined.end(), run.begin(), run.end());
      }
    });
    if (runs == 0) return w;
    BytesView run = joined;
    if (runs == 1) {  // long, or the last: as it is, to its end
      cursor.peek(1, static_cast<std::size_t>(-1), [&](BytesView whole) { run = whole; });
    }
    const WriteCall done = call(run, offset + w.bytes);
    if (done.errno_value != 0 || done.bytes == 0) {
      w.status = file_error("write", path, done.errno_value != 0 ? done.errno_value : EIO, offset + w.bytes);
      return w;
    }
    w.bytes += done.bytes;
    cursor.skip(done.bytes);
  }
}

}  // namespace simdrive::store
