// The backend of an open Store, be it a file or memory. It shares the store with its owner: after close() there, every
// call here fails with `closed`.
// Reads are look-ups in the index and positional reads of the file, never of its mapping: whatever others do to the
// file ends in an error, not in a signal.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "server/backend.hpp"
#include "simdrive/store.hpp"

namespace simdrive::server {

class StoreBackend final : public Backend {
 public:
  explicit StoreBackend(const Store& store) noexcept : engine_(store.engine()) {}

  [[nodiscard]] Turn try_turn() override;
  Result<std::uint64_t> write(BytesView key, BytesView payload, Turn turn = {}) override;
  Result<std::uint64_t> batch_write(std::span<const KeyValue> entries, Turn turn = {}) override;
  Result<std::uint64_t> erase(BytesView key, Turn turn = {}) override;

  Result<bool> exists(BytesView key) const override;
  Result<std::uint64_t> size() const override;
  Result<std::uint64_t> file_size() const override;
  [[nodiscard]] std::uint64_t tail() const noexcept override;

  [[nodiscard]] std::unique_ptr<Payloads> make_payloads() const override;
  /// One read of the file for a key with a payload up to about 4 KiB; one for up to 256 KiB of neighbours. After an
  /// error, `found` is empty.
  Result<void> look_up(std::span<const BytesView> keys, Payloads& found) const override;

  [[nodiscard]] bool writes_may_wait() const noexcept override;
  Result<void> flush() override;

 private:
  const std::shared_ptr<store::Engine> engine_;
};

}  // namespace simdrive::server
