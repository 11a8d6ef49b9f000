// The request that opens a connection: its head, and the answer where that is not an upgrade.
#pragma once

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/server_socket.hpp"
#include "simdrive/bytes.hpp"

namespace simdrive::net {

class HttpHead {
 public:
  enum class State : std::uint8_t { more, whole, refused };

  explicit HttpHead(const ServerSocketLimits& limits);

  /// Takes the next bytes; not after another state than `more`.
  State add(BytesView bytes);
  /// Of a whole head. The views are into this object.
  [[nodiscard]] const HttpRequest& request() const noexcept { return request_; }
  /// The same for Beast.
  [[nodiscard]] const boost::beast::http::request<boost::beast::http::empty_body>& message() const {
    return parser_.get();
  }
  /// What came behind a whole head.
  [[nodiscard]] BytesView rest() const noexcept { return {bytes_.data() + parsed_, bytes_.size() - parsed_}; }
  /// To one that was refused.
  [[nodiscard]] const HttpAnswer& refusal() const noexcept { return refusal_; }

 private:
  State refuse(unsigned status, std::string why);
  State judge();

  boost::beast::http::request_parser<boost::beast::http::empty_body> parser_;
  std::size_t max_bytes_;
  std::size_t max_headers_;
  std::vector<std::uint8_t> bytes_;
  std::size_t parsed_ = 0;
  std::vector<std::string> names_;
  std::vector<std::pair<std::string_view, std::string_view>> headers_;
  HttpRequest request_;
  HttpAnswer refusal_;
};

/// Head and body as they are sent; the body is left out in the answer to a HEAD request.
[[nodiscard]] std::string http_answer_text(const HttpAnswer& answer, bool without_body);

}  // namespace simdrive::net
