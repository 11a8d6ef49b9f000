#include "client/url.hpp"

#include <algorithm>
#include <charconv>

namespace simdrive::client {

namespace {

constexpr std::string_view kScheme = "ws://";

Error bad_url(std::string_view url, std::string_view why) {
  std::string shown(url.substr(0, 200));
  std::replace_if(shown.begin(), shown.end(), [](char c) { return c < 0x20 || c == 0x7f; }, '?');
  return {Errc::configuration, "'" + shown + "' is not a usable URL: " + std::string(why) +
                                   "; expected ws://host[:port][/path], for example ws://127.0.0.1:34129/ws"};
}

bool printable(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

std::string Endpoint::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return "ws://" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port) + path;
}

Result<Endpoint> parse_url(std::string_view url) {
  if (url.substr(0, kScheme.size()) != kScheme) {
    if (url.substr(0, 6) == "wss://") return bad_url(url, "this build has no TLS");
    return bad_url(url, "the scheme is not ws://");
  }
  if (!printable(url)) return bad_url(url, "it holds spaces, control or non-ASCII characters");
  std::string_view rest = url.substr(kScheme.size());
  Endpoint e;
  if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
    if (rest.size() > slash + 1) e.path = rest.substr(slash);
    rest = rest.substr(0, slash);
  }
  if (rest.find_first_of("?#") != std::string_view::npos || e.path.find_first_of("?#") != std::string::npos) {
    return bad_url(url, "a query or a fragment is not supported");
  }
  if (rest.find('@') != std::string_view::npos) return bad_url(url, "user names are not supported");
  std::string_view port;
  if (!rest.empty() && rest.front() == '[') {
    const auto close = rest.find(']');
    if (close == std::string_view::npos) return bad_url(url, "the bracket of the address is not closed");
    e.host = rest.substr(1, close - 1);
    port = rest.substr(close + 1);
  } else {
    const auto colon = rest.find(':');
    e.host = rest.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon);
  }
  if (e.host.empty()) return bad_url(url, "the host is missing");
  if (port.empty()) return e;
  const char* last = port.data() + port.size();
  const auto [end, ec] = std::from_chars(port.data() + 1, last, e.port);
  if (port.front() != ':' || ec != std::errc{} || end != last || e.port == 0) {
    return bad_url(url, "the port is not a number from 1 to 65535");
  }
  return e;
}

}  // namespace simdrive::client
