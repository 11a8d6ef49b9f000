#include "store/reader.hpp"

#include <algorithm>

#include "simdrive/hash.hpp"

namespace simdrive::store {
namespace {

constexpr std::size_t kMinWindow = 512;
constexpr std::size_t kFirstWindow = std::size_t{64} << 10;

}  // namespace

Reader::Reader(ByteSource& source) : source_(source), size_(source.size()), ahead_(kFirstWindow) {
  if (const BytesView view = source.view(); view.size() == size_) window_ = view;
}

Result<void> Reader::fill(std::uint64_t from, std::uint64_t to) {
  const auto bytes = static_cast<std::size_t>(to - from);
  if (buffer_.size() < bytes) buffer_.resize(bytes);
  window_ = {};
  if (auto read = source_.read_at(from, MutableBytes(buffer_).first(bytes)); !read.ok()) return read;
  window_ = BytesView(buffer_).first(bytes);
  begin_ = from;
  work_ += bytes;
  return {};
}

Result<void> Reader::load(std::uint64_t from, std::uint64_t to) {
  if (holds(from, to)) return {};
  if (!window_.empty()) {
    const bool near = to <= end() && to + ahead_ / 8 >= begin_;
    ahead_ = near ? std::min(ahead_ * 4, kMaxWindow) : std::max(ahead_ / 4, kMinWindow);
  }
  return fill(std::min(from, to - std::min<std::uint64_t>(to, ahead_)), to);
}

Result<void> Reader::load_all(std::uint64_t from, std::uint64_t to) {
  if (holds(from, to)) return {};
  return fill(std::min(from, to - std::min<std::uint64_t>(to, kMaxWindow)), to);
}

Result<std::uint32_t> Reader::checksum(std::uint64_t from, std::uint64_t to, std::uint32_t value) {
  if (holds(from, to)) return checksum_held(from, to, value);
  work_ += to - from;
  while (from < to) {
    if (from < pieces_begin_ || from >= pieces_end_) {
      // Whoever goes on where the last piece ended will want more.
      const std::uint64_t more = from == pieces_end_ ? 2 * (pieces_end_ - pieces_begin_) : 0;
      const std::uint64_t wanted = std::clamp<std::uint64_t>(std::max(more, to - from), kMinWindow, kMaxWindow);
      const auto bytes = static_cast<std::size_t>(std::min(wanted, size_ - from));
      if (pieces_.size() < bytes) pieces_.resize(bytes);
      pieces_begin_ = pieces_end_ = 0;
      if (auto read = source_.read_at(from, MutableBytes(pieces_).first(bytes)); !read.ok()) return read.error();
      pieces_begin_ = from;
      pieces_end_ = from + bytes;
    }
    const std::uint64_t stop = std::min(to, pieces_end_);
    value = crc32(BytesView(pieces_).subspan(static_cast<std::size_t>(from - pieces_begin_),
                                             static_cast<std::size_t>(stop - from)),
                  value);
    from = stop;
  }
  return value;
}

}  // namespace simdrive::store
