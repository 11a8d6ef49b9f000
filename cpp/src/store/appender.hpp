// Records, one behind the other, at the end of a file: the layout of what is written, and taking back what could not be
// written whole. One thread at a time; nobody else may write the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "simdrive/error.hpp"
#include "simdrive/store.hpp"
#include "store/file.hpp"

namespace simdrive::store {

class Appender {
 public:
  /// Appends to `file` at `tail`, which is its size.
  Appender(std::shared_ptr<File> file, std::uint64_t tail) noexcept : file_(std::move(file)), tail_(tail) {}

  /// One record; a payload that is the single byte 00 is a tombstone. Without a failure `tail()` is behind the record
  /// and the metadata is at `tail() - kTrailerBytes`. Payloads must not be empty.
  [[nodiscard]] Result<void> append(std::uint64_t key_hash, BytesView payload);
  /// The same with a checksum that is known to be right.
  [[nodiscard]] Result<void> append(std::uint64_t key_hash, BytesView payload, std::uint32_t checksum);

  /// All records with few calls of the file. What takes more than one is begun only when there is room for all of it.
  /// Puts the offset of each one's metadata into `offsets`, which must be as long.
  [[nodiscard]] Result<void> append_all(std::span<const HashedPayload> records, std::span<std::uint64_t> offsets);

  /// One record whose payload `source` gives.
  [[nodiscard]] Result<void> append_stream(std::uint64_t key_hash, const StreamSource& source);

  /// Behind the last record.
  [[nodiscard]] std::uint64_t tail() const noexcept { return tail_; }
  /// A record that was written in part could not be taken back: the file has bytes behind `tail()`, and nothing may be
  /// appended any more.
  [[nodiscard]] bool broken() const noexcept { return broken_; }
  [[nodiscard]] const std::shared_ptr<File>& file() const noexcept { return file_; }

 private:
  [[nodiscard]] Result<void> write(std::uint64_t offset, std::span<const BytesView> pieces);
  [[nodiscard]] Result<void> write_large(std::uint64_t key_hash, BytesView payload);
  [[nodiscard]] Error take_back(Error error);

  std::shared_ptr<File> file_;
  std::uint64_t tail_;
  bool broken_ = false;
  std::vector<std::uint8_t> scratch_;  // kept for the next batch, unless it grew large
  std::vector<BytesView> pieces_;
};

/// Whether a payload may be stored: `Errc::invalid_value` for an empty one and, unless tombstones are allowed, for the
/// single byte 00.
[[nodiscard]] Result<void> check_payload(BytesView payload, bool allow_null = false, std::size_t index = 0);

}  // namespace simdrive::store
