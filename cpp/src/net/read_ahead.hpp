// Small reads from few system calls: what a receive brought beyond the read that asked for it stays for the next ones.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <vector>

#include "net/socket.hpp"

namespace simdrive::net {

class ReadAhead {
 public:
  explicit ReadAhead(std::size_t size = kSize) : bytes_(size) {}

  /// Fills `pieces`: with what is here, or by one receive.
  IoResult receive(Socket& socket, std::span<IoPiece> pieces) noexcept {
    if (any()) return take(pieces);
    if (over_.status != IoStatus::ok) return over_;
    const std::size_t space = size_of(pieces);
    // Behind a large read comes the head of the next part of the same value: its body is for the caller's memory.
    const bool small = space <= kSmall;
    const bool more = small && !bulk_;
    bulk_ = !small;
    IoPiece all = io_piece(bytes_.data(), bytes_.size());
    const IoResult r = socket.receive(more ? std::span(&all, 1) : pieces);
    if (r.status != IoStatus::ok) return r;
    drained_ = r.bytes < (more ? bytes_.size() : space);
    if (!more) return r;
    begin_ = 0;
    end_ = r.bytes;
    return take(pieces);
  }

  /// Whether the next receive would be for small reads, and so may come before them.
  [[nodiscard]] bool fits(std::span<const IoPiece> pieces) const noexcept {
    return !any() && !bulk_ && size_of(pieces) <= kSmall;
  }
  /// Waits for bytes for reads to come (Socket::receive_or_wait()). False: none came, and no end either.
  bool receive_or_wait(Socket& socket) noexcept {
    const IoResult r = socket.receive_or_wait(io_piece(bytes_.data(), bytes_.size()));
    if (r.status == IoStatus::would_block) return false;
    if (r.status != IoStatus::ok) over_ = r;
    drained_ = r.bytes < bytes_.size();
    begin_ = 0;
    end_ = r.bytes;
    return true;
  }

  /// Whether bytes are here for reads to come.
  [[nodiscard]] bool any() const noexcept { return begin_ != end_; }
  [[nodiscard]] std::size_t left() const noexcept { return end_ - begin_; }
  /// Whether the last receive left the socket empty.
  [[nodiscard]] bool drained() const noexcept { return drained_; }

  /// For one that was made with no size: receives into `memory` from now on, unless bytes are still here.
  void borrow(std::vector<std::uint8_t>& memory) noexcept {
    if (!any() && !borrowed_) {
      bytes_.swap(memory);
      borrowed_ = true;
    }
  }
  /// Gives back what was borrowed; bytes for reads to come move into memory of their own. Where there is none, the
  /// borrowed memory is kept.
  void give_back(std::vector<std::uint8_t>& memory) noexcept {
    if (!borrowed_) {
      if (!any()) std::vector<std::uint8_t>().swap(bytes_);
      return;
    }
    try {
      std::vector<std::uint8_t> rest(bytes_.data() + begin_, bytes_.data() + end_);
      memory.swap(bytes_);
      bytes_.swap(rest);
    } catch (const std::bad_alloc&) {
      return;
    }
    borrowed_ = false;
    begin_ = 0;
    end_ = bytes_.size();
  }
  /// Bytes that came before the first read, and are for it.
  void keep(std::span<const std::uint8_t> bytes) {
    bytes_.assign(bytes.begin(), bytes.end());
    begin_ = 0;
    end_ = bytes_.size();
  }

 private:
  static constexpr std::size_t kSmall = 4096;
  static constexpr std::size_t kSize = std::size_t{32} << 10;

  static std::size_t size_of(std::span<const IoPiece> pieces) noexcept {
    std::size_t space = 0;
    for (const IoPiece& piece : pieces) space += piece_size(piece);
    return space;
  }

  IoResult take(std::span<IoPiece> pieces) noexcept {
    IoResult r;
    for (const IoPiece& piece : pieces) {
      const std::size_t n = std::min(piece_size(piece), end_ - begin_);
      std::memcpy(piece_data(piece), bytes_.data() + begin_, n);
      begin_ += n;
      r.bytes += n;
    }
    return r;
  }

  std::vector<std::uint8_t> bytes_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool bulk_ = false;  // the last receive was for a large read
  bool drained_ = false;
  bool borrowed_ = false;
  IoResult over_{};  // what receive_or_wait() got instead of bytes
};

}  // namespace simdrive::net
