// What a server asks of a store: the nine methods, and payloads that are read in pieces. One implementation so far, of
// files and memory (store_backend.hpp); others may answer from elsewhere.
// Called from all threads of a server at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"

namespace simdrive::server {

/// Where a payload is, and what it should be.
struct Located {
  bool present = false;
  std::uint32_t checksum = 0;  ///< CRC-32 of the payload, as stored
  std::uint64_t size = 0;
  std::uint64_t start = 0;  ///< for Payloads::read, and for messages
};

/// What one look-up found, as of one moment. It keeps what it needs (a file that was replaced, say) until it is
/// cleared. One thread at a time; kept by a connection and used again, so that looking up costs no allocation.
class Payloads {
 public:
  Payloads() = default;
  Payloads(const Payloads&) = delete;
  Payloads& operator=(const Payloads&) = delete;
  virtual ~Payloads() = default;

  [[nodiscard]] virtual std::span<const Located> all() const noexcept = 0;
  /// Copies bytes `from` .. `from + out.size()` of payload `i`. Never from memory that another process can take away.
  virtual Result<void> read(std::size_t i, std::uint64_t from, MutableBytes out) = 0;
  /// The whole of payload `i` if look_up() has it in memory already, which is so for most small ones, else empty. Not
  /// checked yet. Valid until the next call of anything.
  [[nodiscard]] virtual BytesView at_hand(std::size_t i) noexcept = 0;
  /// Checks the checksum of payload `i` against its bytes: `store_corrupt`, with the offset, if they differ.
  virtual Result<void> check(std::size_t i) = 0;
  virtual void clear() noexcept = 0;
  /// Bytes that it holds.
  [[nodiscard]] virtual std::size_t memory() const noexcept = 0;

  /// Once `*unwanted`, looking up and check() end soon, with any error. Null: they go on.
  void end_when(const std::atomic<bool>* unwanted) noexcept { unwanted_ = unwanted; }
  [[nodiscard]] bool given_up() const noexcept {
    return unwanted_ != nullptr && unwanted_->load(std::memory_order_relaxed);
  }

 private:
  const std::atomic<bool>* unwanted_ = nullptr;
};

class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  /// The right to write next, for threads that must not wait while others write what is long. Empty: it is not to be
  /// had now. Nothing else is done between getting it and giving it to one of the calls below.
  using Turn = std::unique_lock<std::mutex>;
  [[nodiscard]] virtual Turn try_turn() = 0;

  // The new tail. Errors as of Store; `Error::detail` says what was attempted and on what. Without a turn these wait
  // for theirs. `Outcome::unknown`: it is written, but may not stay.
  virtual Result<std::uint64_t> write(BytesView key, BytesView payload, Turn turn = {}) = 0;
  virtual Result<std::uint64_t> batch_write(std::span<const KeyValue> entries, Turn turn = {}) = 0;
  virtual Result<std::uint64_t> erase(BytesView key, Turn turn = {}) = 0;

  virtual Result<bool> exists(BytesView key) const = 0;
  virtual Result<std::uint64_t> size() const = 0;
  /// Bytes of the file that the store's path names now.
  virtual Result<std::uint64_t> file_size() const = 0;
  /// Where the store ends: bytes of the file that it has, wherever its path leads.
  [[nodiscard]] virtual std::uint64_t tail() const noexcept = 0;

  [[nodiscard]] virtual std::unique_ptr<Payloads> make_payloads() const = 0;
  /// Fills `found`, made by make_payloads(), with one result for each key.
  virtual Result<void> look_up(std::span<const BytesView> keys, Payloads& found) const = 0;

  /// Whether a write may wait for a disk before it returns: such must not be made on a thread that serves others.
  [[nodiscard]] virtual bool writes_may_wait() const noexcept = 0;
  /// Forces what was written to the disk.
  virtual Result<void> flush() = 0;
};

}  // namespace simdrive::server
