// The incremental decoder of `read` and `batch_read` responses: values land where the caller wants them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codec/column_stream.hpp"
#include "codec/messages.hpp"

namespace simdrive::codec {

/// Decodes a response while it arrives. The owner feeds it, in order, every byte of the response body:
///
///   head      feed() consumes all bytes until every size is known
///   allocate  feed() consumes nothing; the owner looks at sizes() and calls set_targets()
///   body      bytes go through feed(), or, while direct() is not empty, straight into direct() + commit()
///   done      complete; one more byte is an error
///
/// Not thread safe. Never allocates more than a small multiple of the bytes received so far.
class ValuesDecoder {
 public:
  enum class State : std::uint8_t { head, allocate, body, done };

  /// Starts a `read` response: one value at most.
  void start_read(std::uint64_t max_value_bytes) noexcept;
  /// Starts a `batch_read` response that must hold exactly `count` values of at most `max_total_bytes` in all.
  void start_batch(std::uint64_t count, std::uint64_t max_total_bytes);

  [[nodiscard]] State state() const noexcept;

  /// Takes bytes; returns how many were consumed: all, unless the state becomes `allocate`.
  /// Errors: `protocol_error` (malformed, wrong count, surplus bytes, larger than the limit), `out_of_memory`.
  /// They are final until the next start.
  Result<std::size_t> feed(BytesView in);

  /// One size per value in order, `kAbsent` for an absent one. Valid from `allocate` on.
  [[nodiscard]] std::span<const std::uint64_t> sizes() const noexcept;

  /// One pointer per value (ignored for absent and empty ones), each with room for its size.
  /// The array itself must stay valid until `done`.
  void set_targets(std::span<std::uint8_t* const> targets) noexcept;

  /// Where the next bytes may be received directly; empty when the column is packed or the state is not `body`.
  [[nodiscard]] MutableBytes direct() const noexcept;
  /// `n` bytes landed in `direct()`.
  void commit(std::size_t n) noexcept;

  /// The response ended. Error `protocol_error` unless the state is `done`.
  Result<void> finish() const;

 private:
  /// In the order of the bytes.
  enum class Phase : std::uint8_t {
    count_low,      // LENGTH(1): the number of values, or 255
    count_large,    //   and its INT part
    present,        // BOOL(count)
    lengths_low,    // LENGTH(present): small lengths, 255 for a large one
    lengths_large,  //   and their INT part
    body_head,      // BYTES(total): header and minimum
    allocate,
    body,
    done,
  };
  /// What is wrong with the bytes; null: nothing.
  using Fault = const char*;

  void start(Phase first, std::uint64_t count, std::uint64_t max_total_bytes) noexcept;
  /// The size of the `i`-th value; 0 while it is not known.
  [[nodiscard]] std::uint64_t& slot(std::size_t i) noexcept { return batch_ ? batch_sizes_[i] : single_size_; }

  Fault step(BytesView& rest);
  Fault take_count_low(BytesView& rest) noexcept;
  Fault take_count_large(BytesView& rest) noexcept;
  Fault check_count(std::uint64_t n) noexcept;
  Fault take_presence(BytesView& rest);
  Fault take_lengths_low(BytesView& rest) noexcept;
  Fault take_lengths_large(BytesView& rest) noexcept;
  Fault add_length(std::uint64_t length) noexcept;
  Fault take_body_head(BytesView& rest) noexcept;
  void take_body(BytesView& rest) noexcept;
  void deliver(BytesView values) noexcept;
  void settle() noexcept;

  Phase phase_ = Phase::done;
  bool batch_ = false;
  Fault fault_ = nullptr;
  std::uint64_t received_ = 0;
  std::uint64_t count_ = 0;
  std::uint64_t max_total_ = 0;
  std::uint64_t total_ = 0;
  std::uint64_t present_count_ = 0;
  std::uint64_t large_count_ = 0;
  /// The value that the next thing read belongs to, and in the body the next byte of it.
  std::size_t next_ = 0;
  std::uint64_t at_ = 0;
  std::uint64_t single_size_ = 0;
  std::vector<std::uint64_t> batch_sizes_;
  std::span<std::uint8_t* const> targets_;
  ByteStream bytes_;
  IntStream ints_;
};

}  // namespace simdrive::codec
