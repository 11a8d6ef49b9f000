// Telling the two frame dialects apart (docs/design/wire.md, section 8).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "rpc/frame.hpp"
#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"

namespace simdrive::rpc {

/// The header of the request for an upgrade in which a client says which dialect it wants, should the server speak both
/// ("d13" or "d21"): kProbe is of either. Servers of one dialect do not know it.
inline constexpr std::string_view kWireHeader = "simdrive-wire";

[[nodiscard]] constexpr std::string_view name_of(Dialect d) noexcept { return d == Dialect::d13 ? "d13" : "d21"; }

/// A message that both dialects read to its last byte and in the same way: a call of method 0, stream 2, request 0.
inline constexpr std::array<std::uint8_t, 66> kProbe = {
    0x17, 0, 0, 0,    0x02, 0, 0, 0,    0,    0, 0, 0, 0x00,  // D13: Open, 23 bytes
    0,    0, 0, 0,    0,    0, 0, 0,    0,    0, 0, 0, 0,
    0,    0,                                                  // D13: the RPC header; D21: the time and 7 of its bytes
    0,    0, 0, 0,    0,    0, 0, 0,                          // 8 bytes of payload for D13
    0x11, 0, 0, 0,    0x02, 0, 0, 0,    0x01, 0, 0, 0, 0x02,  // D13: End, 17 bytes; its seq is the length for D21
    0,    0, 0, 0x01, 0,    0, 0, 0x02,                       // D21: End of the same stream
    0,    0, 0, 0,    0,    0, 0, 0,                          // D21: its time
    0,                                                        // D21: its one byte
};

/// The dialect of the peer that answered `kProbe`, from the first binary message it sent. None: no such peer.
std::optional<Dialect> judge_probe_answer(BytesView first_message) noexcept;

/// Finds out, for a server, what a client speaks. Not thread safe.
class DialectDetector {
 public:
  /// More bytes than this without a verdict are a `protocol_error`; the first frame of a first message may bring as
  /// many and its header.
  static constexpr std::size_t kCap = 65536;

  /// `preferred` is the answer to a client that both dialects understand.
  explicit DialectDetector(Dialect preferred = Dialect::d13) : preferred_(preferred) {}

  /// Takes bytes of binary messages as they come, and whether a message ends with them. Returns the dialect once it is
  /// known; of frames that no dialect has, any, whose reader then says what is wrong. Not to be called after that.
  Result<std::optional<Dialect>> feed(BytesView piece, bool message_done);
  /// Takes a whole binary message.
  Result<std::optional<Dialect>> feed(BytesView message) { return feed(message, true); }

  /// Every byte fed so far: to be decoded in the dialect found.
  [[nodiscard]] BytesView collected() const noexcept { return collected_; }

 private:
  enum class Sign : std::uint8_t { none, call, unknown_kind };

  Sign strong(Dialect dialect, std::size_t& frame) const noexcept;
  bool weak(Dialect dialect) const noexcept;

  Dialect preferred_;
  Bytes collected_;
  bool first_done_ = false;  // the first message that is not empty
  // Where the walk of each dialect stands: a frame that is not judged yet.
  std::size_t frame13_ = 0;
  std::size_t frame21_ = 0;
};

}  // namespace simdrive::rpc
