#include "client/url.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "net/socket.hpp"

namespace simdrive::client {

namespace {

constexpr std::string_view kScheme = "ws://";
constexpr std::string_view kUnixScheme = "ws+unix://";
constexpr std::string_view kDigits = "0123456789abcdef";

/// In small letters or capitals: schemes are the same.
bool begins_with(std::string_view url, std::string_view scheme) {
  const auto small = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return url.size() >= scheme.size() && std::equal(scheme.begin(), scheme.end(), url.begin(),
                                                   [&](char want, char have) { return want == small(have); });
}

/// The URL on one short line. What stands before an @ may hold a password, wherever that has its slashes and colons.
std::string shown_url(std::string_view url) {
  std::string shown;
  if (const auto at = url.rfind('@'); at != std::string_view::npos) {
    for (const std::string_view scheme : {kScheme, std::string_view("wss://"), kUnixScheme}) {
      if (begins_with(url, scheme)) shown = url.substr(0, scheme.size());
    }
    shown += "***";
    url.remove_prefix(at);
  }
  for (const char c : url.substr(0, 200)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      shown += c;
    } else {
      shown.append("\\x").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
    }
  }
  return shown;
}

Error bad_url(std::string_view url, std::string_view why) {
  const std::string shown = shown_url(url);
  return {Errc::configuration,
          "'" + shown + "' is not a usable URL: " + std::string(why) +
              "; expected ws://host[:port][/path], for example ws://127.0.0.1:34129/ws, or ws+unix:///path/of/socket"};
}

bool printable(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

constexpr std::string_view kUserNames = "user names are not supported (in a path, @ is written %40)";

std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned char byte = static_cast<unsigned char>(text[i]);
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const char* const last = text.data() + i + 3;
      if (std::from_chars(text.data() + i + 1, last, byte, 16).ptr != last || byte == 0) return std::nullopt;
      i += 2;
    }
    out += static_cast<char>(byte);
  }
  return out;
}

Result<Endpoint> parse_unix_url(std::string_view url) {
  const std::size_t most = net::max_unix_path();
  if (most == 0) return bad_url(url, "unix sockets are not supported on this system");
  if (!printable(url)) return bad_url(url, "it holds spaces, control or non-ASCII characters (written %20, and so on)");
  if (url.find('@') != std::string_view::npos) return bad_url(url, kUserNames);
  const std::string_view rest = url.substr(kUnixScheme.size());
  if (rest.find_first_of("?#") != std::string_view::npos) {
    return bad_url(url, "a query or a fragment is not supported (in a path, ? is written %3f and # %23)");
  }
  if (!rest.starts_with('/')) {
    return bad_url(url, "a unix socket has no host: the path follows ws+unix:// and begins with a third slash");
  }
  auto path = decoded(rest);
  if (!path) return bad_url(url, "after % two hexadecimal digits are needed, and not 00");
  if (path->size() > most) return bad_url(url, "the path is longer than " + std::to_string(most) + " bytes");
  if (path->ends_with('/')) return bad_url(url, "the path names a folder");
  Endpoint e;
  e.socket_path = std::move(*path);
  e.host = "localhost";
  return e;
}

}  // namespace

std::string Endpoint::text() const {
  if (!socket_path.empty()) return net::unix_url(socket_path);
  const bool v6 = host.find(':') != std::string::npos;
  return "ws://" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port) + path;
}

Result<Endpoint> parse_url(std::string_view url) {
  if (begins_with(url, kUnixScheme)) return parse_unix_url(url);
  if (!begins_with(url, kScheme)) {
    if (begins_with(url, "wss://")) return bad_url(url, "this build has no TLS");
    return bad_url(url, "the scheme is not ws://");
  }
  if (!printable(url)) return bad_url(url, "it holds spaces, control or non-ASCII characters");
  // Also behind a slash, where it may be that of a password: such a URL must not be taken for another host and a path.
  if (url.find('@') != std::string_view::npos) {
    return bad_url(url, kUserNames);
  }
  std::string_view rest = url.substr(kScheme.size());
  Endpoint e;
  if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
    if (rest.size() > slash + 1) e.path = rest.substr(slash);
    rest = rest.substr(0, slash);
  }
  if (rest.find_first_of("?#") != std::string_view::npos || e.path.find_first_of("?#") != std::string::npos) {
    return bad_url(url, "a query or a fragment is not supported");
  }
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
