#include "server/gate.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace simdrive::server {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_text(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) noexcept {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// "localhost:80" -> "localhost", "[::1]:80" -> "::1". Nothing: not of that form.
std::optional<std::string_view> host_name(std::string_view host) noexcept {
  host = trimmed(host);
  std::string_view name;
  std::string_view rest;
  if (!host.empty() && host.front() == '[') {
    const auto end = host.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    name = host.substr(1, end - 1);
    rest = host.substr(end + 1);
  } else {
    const auto colon = host.find(':');
    name = host.substr(0, colon);
    rest = colon == std::string_view::npos ? std::string_view() : host.substr(colon);
  }
  if (!rest.empty()) {
    if (rest.front() != ':') return std::nullopt;
    for (const char c : rest.substr(1)) {
      if (c < '0' || c > '9') return std::nullopt;
    }
  }
  if (!name.empty() && name.back() == '.') name.remove_suffix(1);
  if (name.empty()) return std::nullopt;
  return name;
}

// Four decimal numbers below 256, the first one 127.
bool is_loopback_v4(std::string_view text) noexcept {
  unsigned value = 0;
  unsigned digits = 0;
  unsigned dots = 0;
  for (const char c : text) {
    if (c >= '0' && c <= '9') {
      value = value * 10 + static_cast<unsigned>(c - '0');
      if (++digits > 3 || value > 255) return false;
    } else if (c == '.') {
      if (digits == 0 || (dots == 0 && value != 127)) return false;
      ++dots;
      value = 0;
      digits = 0;
    } else {
      return false;
    }
  }
  return dots == 3 && digits != 0;
}

bool is_loopback_name(std::string_view name) noexcept {
  return same_text(name, "localhost") || name == "::1" || is_loopback_v4(name);
}

bool host_allowed(const GateOptions& options, std::string_view value) noexcept {
  const auto name = host_name(value);
  if (!name) return false;
  if (is_loopback_name(*name)) return true;
  return std::any_of(options.hosts.begin(), options.hosts.end(), [&](const std::string& each) {
    const auto allowed = host_name(each);
    return allowed && same_text(*allowed, *name);
  });
}

Decision refuse(unsigned status, std::string_view text) { return {Route::refused, plain_answer(status, text)}; }

}  // namespace

net::HttpAnswer plain_answer(unsigned status, std::string_view text) {
  net::HttpAnswer answer;
  answer.status = status;
  answer.body.assign(text);
  answer.body.push_back('\n');
  return answer;
}

bool is_loopback_host(std::string_view host) noexcept {
  const auto name = host_name(host);
  return name && is_loopback_name(*name);
}

Decision decide(const GateOptions& options, const net::HttpRequest& request) {
  bool has_host = false;
  for (const auto& [name, value] : request.headers) {
    if (name == "origin") {
      if (std::find(options.origins.begin(), options.origins.end(), trimmed(value)) == options.origins.end()) {
        return refuse(403, "This Origin may not use the store; the server's option `origins` lists those that may.");
      }
    } else if (name == "host") {
      has_host = true;
      if (options.check_host && !host_allowed(options, value)) {
        return refuse(403, "Host must name this machine (localhost, 127.0.0.1) or be one of the option `hosts`.");
      }
    }
  }
  if (options.check_host && !has_host) return refuse(400, "The Host header is missing.");

  const std::string_view path = request.target.substr(0, request.target.find('?'));
  const bool is_health = options.status && path == "/healthz";
  const bool is_status = options.status && path == "/status";
  if (path != options.path && !is_health && !is_status) return refuse(404, "There is nothing at this path.");
  const bool may_head = is_health || is_status;
  if (request.method != "GET" && !(may_head && request.method == "HEAD")) {
    Decision decision = refuse(405, "Only GET is answered here.");
    decision.answer.headers.emplace_back("Allow", may_head ? "GET, HEAD" : "GET");
    return decision;
  }
  if (path == options.path) return {Route::upgrade, {}};  // for what is no upgrade, the socket says what is wanted
  return {is_health ? Route::health : Route::status, {}};
}

}  // namespace simdrive::server
