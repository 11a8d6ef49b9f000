// What StoreBackend looked up: where the payloads are in a file, and those that were read on the way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "server/backend.hpp"
#include "store/engine.hpp"
#include "store/entry.hpp"

namespace simdrive::server {

/// Keeps the file of the moment open until clear(), and at most 1 MiB of it in memory. A payload that check() read
/// whole (up to 64 KiB) is at hand afterwards, until another one is checked.
class StorePayloads final : public Payloads {
 public:
  explicit StorePayloads(std::shared_ptr<const store::Engine> engine) noexcept : engine_(std::move(engine)) {}

  /// Replaces what was found before; after an error there is nothing. May throw std::bad_alloc.
  Result<void> look_up(std::span<const BytesView> keys);

  [[nodiscard]] std::span<const Located> all() const noexcept override { return found_; }
  Result<void> read(std::size_t i, std::uint64_t from, MutableBytes out) override;
  [[nodiscard]] BytesView at_hand(std::size_t i) noexcept override;
  Result<void> check(std::size_t i) override;
  void clear() noexcept override;
  [[nodiscard]] std::size_t memory() const noexcept override;

 private:
  static constexpr std::size_t kNowhere = std::numeric_limits<std::size_t>::max();

  struct Wanted {
    std::uint64_t offset;  // of the trailer
    std::size_t index;
    friend bool operator<(const Wanted& a, const Wanted& b) noexcept { return a.offset < b.offset; }
  };
  // Bytes of the file, at `at` in windows_.
  struct Window {
    std::uint64_t begin;
    std::uint64_t end;
    std::size_t at;
  };

  [[nodiscard]] Result<void> locate(std::span<const BytesView> keys);
  [[nodiscard]] Result<void> read_one();
  [[nodiscard]] Result<void> read_many();
  [[nodiscard]] Result<Window> read_window(std::uint64_t begin, std::span<const Wanted> wanted);
  [[nodiscard]] bool describe_plain(const Window& window, std::uint64_t offset, std::size_t i) noexcept;
  [[nodiscard]] Result<void> describe(const Window& window, std::uint64_t offset, std::size_t i);
  [[nodiscard]] Result<void> find_start(const Window& window, std::uint8_t last_byte, store::Record& record);
  void keep(const Window& window, std::span<const Wanted> wanted) noexcept;
  [[nodiscard]] Result<void> read_exactly(std::uint64_t from, MutableBytes out, std::uint64_t offset);
  [[nodiscard]] Result<std::uint32_t> checksum(std::uint64_t start, std::uint64_t offset);
  [[nodiscard]] Error misuse(std::size_t i) const;
  static Error unwanted();
  void reserve(std::size_t bytes);
  void forget_keys() noexcept;

  const std::shared_ptr<const store::Engine> engine_;
  std::shared_ptr<store::File> file_;
  store::Layout layout_ = store::Layout::aligned64;
  std::vector<Located> found_;
  std::vector<std::size_t> places_;  // in windows_, or kNowhere
  std::vector<std::uint64_t> hashes_;
  std::vector<std::uint64_t> offsets_;
  std::vector<Wanted> order_;
  std::unique_ptr<std::uint8_t[]> windows_;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
  std::unique_ptr<std::uint8_t[]> piece_;  // kPieceBytes, once it was needed
  std::size_t in_piece_ = kNowhere;        // the payload that is in it whole
};

}  // namespace simdrive::server
