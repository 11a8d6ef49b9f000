#include "server/reply_stream.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>

#include "simdrive/hash.hpp"

namespace simdrive::server {
namespace {

std::uint64_t micros_now(rpc::Dialect dialect) noexcept {
  if (dialect == rpc::Dialect::d13) return 0;
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count());
}

}  // namespace

Result<std::size_t> ReplyStream::next(net::ServerSocket& socket) {
  const rpc::ReplyFrame frame = frames_.next();
  std::uint8_t* const room = socket.message_room(frame.size()).data();
  if (auto filled = fill({room + frame.head, frame.body}); !filled) return std::move(filled).error();
  frames_.store_head(room, micros_now(dialect_));
  socket.message_written(frame.size());
  started_ = true;
  return frame.body;
}

Result<void> ReplyStream::fill(MutableBytes out) {
  const auto take = [&out](std::size_t n) {
    const MutableBytes part = out.first(n);
    out = out.subspan(n);
    return part;
  };
  if (const std::size_t n = std::min(out.size(), answer_.head.size() - head_at_); n != 0) {
    std::memcpy(take(n).data(), answer_.head.data() + head_at_, n);
    head_at_ += n;
  }
  while (!out.empty()) {
    const Located& item = payloads_->all()[item_];
    const std::uint64_t left = item.present ? item.size - item_at_ : 0;
    if (left == 0) {
      ++item_;
      item_at_ = 0;
      sum_ = 0;
      continue;
    }
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, out.size()));
    const MutableBytes part = take(n);
    if (const BytesView whole = payloads_->at_hand(item_); !whole.empty()) {
      std::memcpy(part.data(), whole.data() + item_at_, n);
    } else if (auto read = payloads_->read(item_, item_at_, part); !read) {
      return read;
    } else {
      // The file may have been changed since it was checked: at least its end is not sent then.
      sum_ = crc32(part, sum_);
      if (n == left && sum_ != item.checksum) {
        return Error{
            .code = Errc::store_corrupt,
            .detail = "the payload at offset " + std::to_string(item.start) + " was changed while it was being sent",
            .offset = item.start};
      }
    }
    item_at_ += n;
  }
  return {};
}

}  // namespace simdrive::server
