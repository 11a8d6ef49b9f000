// Who is let in: what is answered to the HTTP request that opens a connection.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/server_socket.hpp"

namespace simdrive::server {

struct GateOptions {
  std::string path = "/ws";
  /// Values of Origin that are let in.
  std::vector<std::string> origins{};
  /// Whether only loopback names, and `hosts`, may stand in Host.
  bool check_host = true;
  std::vector<std::string> hosts{};
  /// Whether /healthz and /status are there.
  bool status = true;
};

enum class Route : std::uint8_t {
  upgrade,  ///< let in
  health,   ///< GET /healthz
  status,   ///< GET /status
  refused,  ///< as the answer says
};

struct Decision {
  Route route = Route::refused;
  net::HttpAnswer answer{};
};

/// What to do with `request`; does not know how many connections there are.
Decision decide(const GateOptions& options, const net::HttpRequest& request);

/// An answer of one line.
net::HttpAnswer plain_answer(unsigned status, std::string_view text);

/// Whether `host`, as in a Host header or a URL ("localhost:80", "[::1]", "127.0.0.1"), can only mean this machine.
[[nodiscard]] bool is_loopback_host(std::string_view host) noexcept;

}  // namespace simdrive::server
