// ws:// URLs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "simdrive/error.hpp"

namespace simdrive::client {

struct Endpoint {
  std::string host;  // without brackets
  std::uint16_t port = 34129;
  std::string path = "/ws";

  /// host:port/path, for messages.
  [[nodiscard]] std::string text() const;
};

/// ws://host[:port][/path], with [v6] addresses in brackets. Error: `configuration`.
Result<Endpoint> parse_url(std::string_view url);

}  // namespace simdrive::client
