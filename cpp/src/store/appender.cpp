#include "store/appender.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <string>

#include "simdrive/hash.hpp"
#include "store/format.hpp"

namespace simdrive::store {

namespace {

// Up to this a payload is copied behind its pad and written in one piece; longer ones are written from where they are.
constexpr std::size_t kSmallBytes = 1024;
// What is joined of a batch before it is written.
constexpr std::size_t kScratchBytes = std::size_t{256} << 10;
constexpr std::size_t kPiecesMax = 1024;
// Long payloads are checksummed and written in turns, while the bytes are in the cache.
constexpr std::size_t kTurnBytes = std::size_t{512} << 10;
constexpr std::size_t kStreamBytes = std::size_t{256} << 10;
// Writes of so much are announced to the file. For half of it that costs as much as it saves.
constexpr std::size_t kExpectBytes = std::size_t{192} << 10;
// What the index has room for in an entry.
constexpr std::uint64_t kOffsetMax = (std::uint64_t{1} << 48) - 1;

/// Where nearly every record goes. False: ask place().
inline bool place_quickly(std::uint64_t tail, BytesView payload, Placement& placed) noexcept {
  const std::uint64_t size = payload.size();
  if (size <= 1 || tail >= kOffsetMax / 2 || size >= kOffsetMax / 4) return false;
  const std::uint64_t start = align_up(tail, kPayloadAlignment);
  placed = {.start = start, .offset = start + size, .tail = start + size + kTrailerBytes};
  return true;
}

Result<Placement> place(std::uint64_t tail, BytesView payload) {
  if (Placement placed; place_quickly(tail, payload, placed)) [[likely]]
    return placed;
  if (payload.size() == 1 && payload[0] == kTombstoneByte) return place_tombstone(tail);
  Result<Placement> placed = place_value(tail, payload.size());
  if (placed && placed->tail > kOffsetMax) {
    return Error{.code = Errc::storage_full, .detail = "the store would grow past 256 TiB", .offset = tail};
  }
  return placed;
}

Error out_of_memory(std::string_view what) {
  return Error{.code = Errc::out_of_memory, .detail = "no memory for " + std::string(what)};
}

}  // namespace

Result<void> check_payload(BytesView payload, bool allow_null, std::size_t index) {
  if (payload.empty()) {
    return Error{.code = Errc::invalid_value, .detail = "a value must have at least one byte", .offset = index};
  }
  if (!allow_null && !is_storable(payload)) {
    return Error{.code = Errc::invalid_value,
                 .detail = "a value must not be the single byte 00, which marks a deletion",
                 .offset = index};
  }
  return {};
}

Result<void> Appender::append(std::uint64_t key_hash, BytesView payload) {
  if (payload.size() > kTurnBytes) return write_large(key_hash, payload);
  if (payload.size() > kSmallBytes) return append(key_hash, payload, crc32(payload));
  const Result<Placement> placed = place(tail_, payload);
  if (!placed) return placed.error();
  std::array<std::uint8_t, kPayloadAlignment + kSmallBytes + kTrailerBytes> record;
  const auto pad = static_cast<std::size_t>(placed->start - tail_);
  std::memset(record.data(), 0, kPayloadAlignment);
  const std::uint32_t checksum = copy_crc32({record.data() + pad, payload.size()}, payload);
  write_trailer(record.data() + pad + payload.size(), {.hash = key_hash, .prev = tail_, .checksum = checksum});
  const BytesView whole(record.data(), static_cast<std::size_t>(placed->tail - tail_));
  if (Result<void> done = write(tail_, {&whole, 1}); !done) return done;
  tail_ = placed->tail;
  return {};
}

Result<void> Appender::append(std::uint64_t key_hash, BytesView payload, std::uint32_t checksum) {
  const Result<Placement> placed = place(tail_, payload);
  if (!placed) return placed.error();
  TrailerBytes trailer;
  write_trailer(trailer.data(), {.hash = key_hash, .prev = tail_, .checksum = checksum});
  const std::array<BytesView, 3> pieces = {zero_pad().first(static_cast<std::size_t>(placed->start - tail_)), payload,
                                           trailer};
  if (payload.size() >= kExpectBytes) file_->expect(tail_, placed->tail - tail_);
  if (Result<void> done = write(tail_, pieces); !done) return done;
  tail_ = placed->tail;
  return {};
}

Result<void> Appender::write_large(std::uint64_t key_hash, BytesView payload) {
  const Result<Placement> placed = place(tail_, payload);
  if (!placed) return placed.error();
  TrailerBytes trailer;
  std::uint32_t checksum = 0;
  BytesView before = zero_pad().first(static_cast<std::size_t>(placed->start - tail_));
  std::uint64_t at = tail_;
  file_->expect(tail_, placed->tail - tail_);
  for (BytesView rest = payload; !rest.empty();) {
    const BytesView turn = rest.first(std::min(rest.size(), kTurnBytes));
    rest = rest.subspan(turn.size());
    checksum = crc32(turn, checksum);
    BytesView behind;
    if (rest.empty()) {
      write_trailer(trailer.data(), {.hash = key_hash, .prev = tail_, .checksum = checksum});
      behind = trailer;
    }
    const std::array<BytesView, 3> pieces = {before, turn, behind};
    if (Result<void> done = write(at, pieces); !done) return done;
    at += before.size() + turn.size();
    before = {};
  }
  tail_ = placed->tail;
  return {};
}

Result<void> Appender::append_all(std::span<const HashedPayload> records, std::span<std::uint64_t> offsets) {
  try {
    scratch_.resize(kScratchBytes);
    pieces_.reserve(kPiecesMax + 2);
  } catch (const std::bad_alloc&) {
    return out_of_memory("a batch");
  }
  std::uint64_t tail = tail_;     // behind the records laid out
  std::uint64_t written = tail_;  // behind those that are in the file
  std::size_t used = 0;           // of scratch_
  std::size_t piece_from = 0;     // where in it the piece begins that is being filled
  bool reserved = false;
  pieces_.clear();
  const auto end_piece = [&] {
    if (used != piece_from) pieces_.push_back({scratch_.data() + piece_from, used - piece_from});
    piece_from = used;
  };
  // For all of the batch, of which `next` is not laid out yet. Others see the beginning of what takes several calls of
  // the system, and would lose it again.
  const auto reserve = [&](std::size_t next) -> Result<void> {
    std::uint64_t end = tail;
    for (const HashedPayload& record : records.subspan(next)) {
      Placement placed;
      if (!place_quickly(end, record.payload, placed)) {
        const Result<Placement> slowly = place(end, record.payload);
        if (!slowly) return slowly.error();
        placed = *slowly;
      }
      end = placed.tail;
    }
    reserved = true;
    return file_->reserve(tail_, end - tail_);
  };
  const auto flush = [&](std::size_t next) -> Result<void> {
    end_piece();
    if (pieces_.empty()) return {};
    if (written == tail_ && records.size() > 1 && (next != records.size() || tail - tail_ > kScratchBytes)) {
      if (Result<void> room = reserve(next); !room) return room;
    }
    if (!reserved && tail - written >= kExpectBytes) file_->expect(written, tail - written);
    if (Result<void> done = write(written, pieces_); !done) return done;
    written = tail;
    used = piece_from = 0;
    pieces_.clear();
    return {};
  };
  for (std::size_t i = 0; i < records.size(); ++i) {
    const BytesView payload = records[i].payload;
    Placement placed;
    if (!place_quickly(tail, payload, placed)) {  // what is returned there is dear, for something so small
      const Result<Placement> slowly = place(tail, payload);
      if (!slowly) return slowly.error();  // of what is not reserved: nothing is written
      placed = *slowly;
    }
    const bool copied = payload.size() <= kSmallBytes;
    const std::size_t room = kPayloadAlignment + kTrailerBytes + (copied ? payload.size() : 0);
    if (room > kScratchBytes - used || pieces_.size() >= kPiecesMax) {
      if (Result<void> done = flush(i); !done) return done;
    }
    std::memset(scratch_.data() + used, 0, kPayloadAlignment);  // there is room, and a fixed size takes no call
    used += static_cast<std::size_t>(placed.start - tail);
    std::uint32_t checksum = 0;
    if (copied) {
      checksum = copy_crc32({scratch_.data() + used, payload.size()}, payload);
      used += payload.size();
    } else {
      checksum = crc32(payload);
      end_piece();
      pieces_.push_back(payload);
    }
    write_trailer(scratch_.data() + used, {.hash = records[i].key_hash, .prev = tail, .checksum = checksum});
    used += kTrailerBytes;
    offsets[i] = placed.offset;
    tail = placed.tail;
  }
  if (Result<void> done = flush(records.size()); !done) return done;
  tail_ = tail;
  return {};
}

Result<void> Appender::append_stream(std::uint64_t key_hash, const StreamSource& source) {
  const std::size_t pad = pad_before(tail_);
  const std::unique_ptr<std::uint8_t[]> buffer(new (std::nothrow) std::uint8_t[kStreamBytes + kTrailerBytes]);
  if (!buffer) return out_of_memory("the pieces of a stream");
  std::memset(buffer.get(), 0, pad);
  std::size_t used = pad;
  std::uint64_t at = tail_;
  std::uint64_t payload_bytes = 0;
  std::uint32_t checksum = 0;
  for (bool more = true; more;) {
    const std::size_t from = used;
    while (more && used < kStreamBytes) {
      const std::size_t room = kStreamBytes - used;
      const std::int64_t got = source.read(source.context, buffer.get() + used, room);
      if (got < 0 || static_cast<std::uint64_t>(got) > room) {
        Error error{
            .code = got < 0 ? Errc::interrupted : Errc::internal,
            .detail = got < 0 ? "the source of the stream failed" : "the source gave more than it was asked for"};
        return at == tail_ ? error : take_back(std::move(error));
      }
      more = got != 0;
      used += static_cast<std::size_t>(got);
    }
    const BytesView fresh(buffer.get() + from, used - from);
    checksum = crc32(fresh, checksum);
    payload_bytes += fresh.size();
    if (at == tail_ && !more) {
      if (Result<void> good = check_payload(fresh); !good) return good;
    }
    const Result<Placement> placed = place_value(tail_, payload_bytes);
    if (!placed || placed->tail > kOffsetMax) {
      Error error =
          placed ? Error{.code = Errc::storage_full, .detail = "the store would grow past 256 TiB"} : placed.error();
      return at == tail_ ? error : take_back(std::move(error));
    }
    if (!more) {
      write_trailer(buffer.get() + used, {.hash = key_hash, .prev = tail_, .checksum = checksum});
      used += kTrailerBytes;
    }
    const BytesView piece(buffer.get(), used);
    if (Result<void> done = write(at, {&piece, 1}); !done) return done;
    at += used;
    used = 0;
  }
  tail_ = at;
  return {};
}

Result<void> Appender::write(std::uint64_t offset, std::span<const BytesView> pieces) {
  Written written = file_->write_at(offset, pieces);
  if (written.status) return {};
  // Nothing of this record or batch is in the file: nothing to take back.
  if (offset == tail_ && written.bytes == 0) return std::move(written.status).error();
  return take_back(std::move(written.status).error());
}

Error Appender::take_back(Error error) {
  if (Result<void> cut = file_->truncate(tail_); !cut) {
    broken_ = true;
    error.outcome = Outcome::unknown;  // opening may find a record of it whole
    error.detail += "; and what was written in part could not be cut off again (" + cut.error().detail +
                    "): the store takes no more writes until it is opened anew";
  }
  return error;
}

}  // namespace simdrive::store
