// ws:// and ws+unix:// URLs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "simdrive/error.hpp"

namespace simdrive::client {

struct Endpoint {
  std::string socket_path;  // of a unix socket; empty: TCP
  std::string host;         // without brackets
  std::uint16_t port = 34129;
  std::string path = "/ws";

  /// The URL, for messages.
  [[nodiscard]] std::string text() const;
};

/// ws://host[:port][/path], with [v6] addresses in brackets, or ws+unix:///path/of/socket, where %xx is a byte of the
/// path. Error: `configuration`, also where the system has no unix sockets.
Result<Endpoint> parse_url(std::string_view url);

}  // namespace simdrive::client
