// Any bytes as the request that opens a connection: one answer or none, the same however the bytes are cut, and the
// end of the connection unless it is 101.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "served_session.hpp"

namespace {

using namespace simdrive;
using namespace simdrive::fuzzing;

ServerOptions options_of(bool small) {
  ServerOptions options;
  options.origins = {"https://allowed.example"};
  options.hosts = {"store.example"};
  if (small) {
    options.limits.max_header_bytes = 300;
    options.limits.max_headers = 8;
  }
  return options;
}

// A head that only needs another line to be let in, around what the fuzzer has: most of its bytes get past the parser.
std::string head_around(std::string_view bytes) {
  return "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
         std::string(bytes) + "\r\n\r\n";
}

/// Whether `answer` is one head, with a body of the length that it says.
void check_answer(std::string_view answer, bool to_head_request) {
  const auto end = answer.find("\r\n\r\n");
  require(answer.starts_with("HTTP/1.1 ") && end != std::string_view::npos);
  const std::string_view head = answer.substr(0, end);
  const std::string_view body = answer.substr(end + 4);
  const std::string_view status = answer.substr(9, 3);
  require(std::all_of(status.begin(), status.end(), [](char c) { return c >= '0' && c <= '9'; }));
  // Nothing that the client sent comes back in the head but the answer to its key.
  require(
      std::all_of(head.begin(), head.end(), [](char c) { return c == '\r' || c == '\n' || (c >= ' ' && c <= '~'); }));
  if (status == "101") {
    require(head.find("Sec-WebSocket-Accept: ") != std::string_view::npos);
    return;
  }
  constexpr std::string_view kLength = "\r\nContent-Length: ";
  const auto length = head.find(kLength);
  require(length != std::string_view::npos && head.find("\r\nConnection: close") != std::string_view::npos);
  const std::size_t size = std::stoul(std::string(head.substr(length + kLength.size(), 8)));
  require(body.size() == size || (to_head_request && body.empty()));
}

bool is_refusal(std::string_view answer) {
  return answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 431 ");
}

std::string answer_to(std::string_view head, BytesView sizes, bool small, bool ends) {
  ServedSession session(options_of(small), false);
  BytesView in(reinterpret_cast<const std::uint8_t*>(head.data()), head.size());
  for (std::size_t turn = 0; !in.empty() && !session.dead(); ++turn) {
    const std::size_t size =
        sizes.empty() ? in.size() : std::min<std::size_t>(in.size(), sizes[turn % sizes.size()] + 1U);
    if (!session.say(in.first(size), true)) break;
    in = in.subspan(size);
  }
  session.talk();
  std::string answer(session.heard.begin(), session.heard.end());
  if (!answer.empty()) check_answer(answer, head.starts_with("HEAD "));
  const bool upgraded = answer.starts_with("HTTP/1.1 101");
  require(answer.empty() || upgraded || session.heard_end);
  if (ends) session.end_of_client();
  session.talk();
  session.expect_end(60);
  return upgraded ? answer.substr(0, answer.find("\r\n\r\n")) : answer;  // what follows depends on the time
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const bool small = (data[0] & 1) != 0;
  const bool ends = (data[0] & 2) != 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 3), size - 3);
  const std::string head = (data[0] & 4) != 0 ? head_around(bytes) : std::string(bytes);
  const std::string whole = answer_to(head, {}, small, ends);
  const std::string cut = answer_to(head, BytesView(data + 1, 2), small, ends);
  // Of what is wrong in two ways, either may be found first; and in a head that is not whole, earlier or later.
  const bool both_wrong = is_refusal(whole) && is_refusal(cut);
  const bool either = head.find("\r\n\r\n") == std::string::npos && (whole.empty() || cut.empty());
  require(cut == whole || both_wrong || either);
  return 0;
}
