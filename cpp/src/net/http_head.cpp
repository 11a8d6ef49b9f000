#include "net/http_head.hpp"

#include <algorithm>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <limits>

namespace simdrive::net {

namespace http = boost::beast::http;

namespace {

std::string_view view(boost::beast::string_view s) noexcept { return {s.data(), s.size()}; }

constexpr const char* kTooLong = "the head of the request is too long";

std::string lower(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

// 16 bytes in base 64.
bool is_key(std::string_view key) noexcept {
  return key.size() == 24 && key.ends_with("==") && std::all_of(key.begin(), key.end() - 2, [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
         });
}

template <class Fields>
bool asks_for_web_socket(const Fields& fields) {
  return boost::beast::websocket::is_upgrade(fields) && fields.count(http::field::sec_websocket_key) == 1 &&
         is_key(view(fields[http::field::sec_websocket_key])) && fields[http::field::sec_websocket_version] == "13";
}

}  // namespace

HttpHead::HttpHead(const ServerSocketLimits& limits)
    : max_bytes_(limits.max_header_bytes), max_headers_(limits.max_headers) {
  constexpr std::size_t kMost = std::numeric_limits<std::uint32_t>::max();
  parser_.header_limit(static_cast<std::uint32_t>(std::min(limits.max_header_bytes, kMost)));
  parser_.body_limit(boost::none);  // any body is refused
}

HttpHead::State HttpHead::refuse(unsigned status, std::string why) {
  refusal_.status = status;
  refusal_.body = std::move(why) + "\n";
  return State::refused;
}

HttpHead::State HttpHead::add(BytesView bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  boost::system::error_code ec;
  parsed_ += parser_.put({bytes_.data() + parsed_, bytes_.size() - parsed_}, ec);
  if (ec == http::error::header_limit) return refuse(431, kTooLong);
  if (ec && ec != http::error::need_more) return refuse(400, "the request is not valid HTTP: " + ec.message());
  // The parser begins to count anew behind the start line, if that came by itself.
  if ((parser_.is_header_done() ? parsed_ : bytes_.size()) > max_bytes_) return refuse(431, kTooLong);
  if (parser_.is_header_done()) return judge();
  // Of a start line that is too short the parser waits for the rest, even behind the end of the head.
  constexpr std::string_view kEnd = "\r\n\r\n";
  const auto end = std::search(bytes_.end() - static_cast<std::ptrdiff_t>(std::min(bytes_.size(), bytes.size() + 3)),
                               bytes_.end(), kEnd.begin(), kEnd.end());
  if (end != bytes_.end()) return refuse(400, "the request is not valid HTTP: bad start line");
  return State::more;
}

HttpHead::State HttpHead::judge() {
  const auto& message = parser_.get();
  for (const auto& field : message) names_.push_back(lower(view(field.name_string())));
  if (names_.size() > max_headers_) return refuse(431, "the request has too many headers");
  for (const auto& field : message) headers_.emplace_back(names_[headers_.size()], view(field.value()));
  const auto hosts = message.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && message.version() >= 11)) return refuse(400, "one Host header is needed");
  if (parser_.chunked() || parser_.content_length().value_or(0) != 0) {
    return refuse(413, "no request with a body is served here");
  }
  request_ = {view(message.method_string()), view(message.target()), asks_for_web_socket(message), headers_};
  return State::whole;
}

std::string HttpAnswer::summary() const {
  std::string text = "HTTP " + std::to_string(status);
  if (status < 400) return text;
  text.append(": ").append(body);
  if (text.back() == '\n') text.pop_back();
  return text;
}

std::string http_answer_text(const HttpAnswer& answer, bool without_body) {
  const auto reason = http::obsolete_reason(http::int_to_status(answer.status));
  std::string text = "HTTP/1.1 " + std::to_string(answer.status) + " ";
  text.append(reason.data(), reason.size())
      .append("\r\nServer: simdrive\r\nContent-Type: ")
      .append(answer.content_type);
  text += "\r\nContent-Length: " + std::to_string(answer.body.size()) + "\r\nConnection: close\r\n";
  for (const auto& [name, value] : answer.headers) text.append(name).append(": ").append(value).append("\r\n");
  text += "\r\n";
  if (!without_body) text += answer.body;
  return text;
}

}  // namespace simdrive::net
