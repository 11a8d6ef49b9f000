#include "net/server_socket.hpp"

#include <gtest/gtest.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include <malloc.h>
#if __GLIBC_PREREQ(2, 33)
#define SIMDRIVE_COUNTS_HEAP
#endif
#endif

#include <algorithm>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "net/server_end.hpp"

namespace simdrive::net {
namespace {

using testing_net::close_text;
using testing_net::Frame;
using testing_net::frame_text;
using testing_net::kUpgrade;
using testing_net::reply_text;
using testing_net::ServerEnd;
using Message = ServerEnd::Message;

constexpr MessageKind kBinary = MessageKind::binary;

std::string pattern(std::size_t n) {
  std::string s(n, '\0');
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>(i * 31 + (i >> 8));
  return s;
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const auto at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

// ---- the upgrade

TEST(ServerSocketTest, UpgradesAndTellsWhatWasAsked) {
  ServerEnd e;
  e.say(kUpgrade);
  EXPECT_EQ(e.requests, 1);
  EXPECT_EQ(e.method, "GET");
  EXPECT_EQ(e.target, "/ws?x=1");
  EXPECT_TRUE(e.upgrade);
  EXPECT_EQ(e.headers.front(), (std::pair<std::string, std::string>("host", "localhost")));
  EXPECT_EQ(e.headers.size(), 5U);
  EXPECT_EQ(e.openings, 1);
  EXPECT_TRUE(e.server->upgraded());
  const std::string answer = e.heard();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n")) << answer;
  EXPECT_NE(answer.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
  EXPECT_EQ(answer.find("Extensions"), std::string::npos);
  EXPECT_EQ(answer.find("Beast"), std::string::npos);
  EXPECT_EQ(e.server->bytes_sent(), answer.size());
  EXPECT_EQ(e.ends, 0);
}

TEST(ServerSocketTest, TheRequestMayComeInAnyPieces) {
  ServerEnd e;
  const std::string all = kUpgrade + frame_text({.payload = "early"});
  for (const char c : all) e.say(std::string(1, c));
  EXPECT_EQ(e.openings, 1);
  EXPECT_EQ(e.messages, (std::vector<Message>{{"early", kBinary}}));
}

TEST(ServerSocketTest, WhatComesBehindTheRequestIsServed) {
  ServerEnd e;
  e.say(kUpgrade + frame_text({.payload = "one"}) + frame_text({.payload = pattern(3000)}));
  EXPECT_EQ(e.messages, (std::vector<Message>{{"one", kBinary}, {pattern(3000), kBinary}}));
}

struct Refusal {
  const char* name;
  std::string request;
  unsigned status;
  bool asked;
};

TEST(ServerSocketTest, RefusesWhatIsNoUpgrade) {
  std::string many;
  for (int i = 0; i < 70; ++i) many += "A" + std::to_string(i) + ": b\r\n";
  const Refusal cases[] = {
      {"no HTTP", "hello\r\n\r\n", 400, false},
      {"line feeds alone", "GET / HTTP/1.1\nHost: a\n\n", 400, false},
      {"a short version", "GET / H\r\n\r\n", 400, false},
      {"another version", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 400, false},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400, false},
      {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, false},
      {"a body", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 413, false},
      {"chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413, false},
      {"a bad length", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, false},
      {"a long line", "GET /" + std::string(17000, 'x'), 431, false},
      {"a long header", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(17000, 'x'), 431, false},
      {"many headers", "GET / HTTP/1.1\r\nHost: a\r\n" + many + "\r\n", 431, false},
      {"no upgrade", "GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", 426, true},
      {"an old client", "GET /ws HTTP/1.0\r\n\r\n", 426, true},
      {"an old protocol", replaced(kUpgrade, "Version: 13", "Version: 8"), 426, true},
      {"a short key", replaced(kUpgrade, "dGhlIHNhbXBsZSBub25jZQ==", "dGhl"), 426, true},
  };
  for (const Refusal& c : cases) {
    SCOPED_TRACE(c.name);
    ServerEnd e;
    e.say(c.request);
    EXPECT_EQ(e.requests, c.asked ? 1 : 0);
    EXPECT_FALSE(e.upgrade);
    EXPECT_EQ(e.openings, 0);
    ASSERT_EQ(e.ends, 1);
    EXPECT_EQ(e.end.code, Errc::handshake_failed);
    const std::string answer = e.heard();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + std::to_string(c.status) + " ")) << answer;
    EXPECT_NE(answer.find("\r\nConnection: close\r\n"), std::string::npos);
    const auto body = answer.find("\r\n\r\n") + 4;
    EXPECT_NE(answer.find("\r\nContent-Length: " + std::to_string(answer.size() - body) + "\r\n"), std::string::npos);
    e.expect_finishes();
  }
}

TEST(ServerSocketTest, AHeadInPiecesIsNoLonger) {
  const std::size_t start_line = kUpgrade.find("\r\n") + 2;
  for (const std::size_t first : {kUpgrade.size(), start_line, start_line + 10}) {
    for (const bool fits : {true, false}) {
      ServerEnd e({.max_header_bytes = kUpgrade.size() - (fits ? 0 : 1)});
      e.say(kUpgrade.substr(0, first));
      if (first != kUpgrade.size()) e.say(kUpgrade.substr(first));
      EXPECT_EQ(e.openings, fits ? 1 : 0);
      EXPECT_TRUE(e.heard().starts_with(fits ? "HTTP/1.1 101 " : "HTTP/1.1 431 "));
    }
  }
}

TEST(ServerSocketTest, TheOwnerAnswers) {
  for (const std::string method : {"GET", "HEAD"}) {
    ServerEnd e;
    e.answer = {.status = 404, .content_type = "application/json", .body = "{}\n", .headers = {{"Retry-After", "1"}}};
    e.say(method + " /other HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(e.target, "/other");
    EXPECT_EQ(e.heard(), std::string("HTTP/1.1 404 Not Found\r\nServer: simdrive\r\nContent-Type: application/json\r\n"
                                     "Content-Length: 3\r\nConnection: close\r\nRetry-After: 1\r\n\r\n") +
                             (method == "GET" ? "{}\n" : ""));
    e.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(e.requests, 1);
    EXPECT_EQ(e.server->unsent(), 0U);
    e.expect_finishes();
  }
}

TEST(ServerSocketTest, EndsBeforeTheUpgrade) {
  ServerEnd e;
  e.say("GET /ws HT");
  e.client.finish();
  ASSERT_TRUE(e.readable());
  e.server->receive();
  EXPECT_EQ(e.ends, 1);
  EXPECT_EQ(e.end.code, Errc::connection_lost);
  EXPECT_FALSE(e.server->finished());
  e.server->finish();
  EXPECT_TRUE(e.server->finished());
}

// ---- messages

TEST(ServerSocketTest, MessagesComeSplitAtEveryByte) {
  const std::string text = "gr\xc3\xbc\xc3\x9f";
  const std::string stream = frame_text({.payload = "abc"}) + frame_text({.opcode = 9, .payload = "p"}) +
                             frame_text({.opcode = 1, .payload = text.substr(0, 3), .fin = false}) +
                             frame_text({.opcode = 10}) + frame_text({.opcode = 0, .payload = text.substr(3)}) +
                             frame_text({.payload = pattern(130)}) + frame_text({.payload = ""});
  const std::vector<Message> want = {
      {"abc", kBinary}, {text, MessageKind::text}, {pattern(130), kBinary}, {"", kBinary}};
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    ServerEnd e;
    e.open();
    e.say(stream.substr(0, cut));
    e.say(stream.substr(cut));
    ASSERT_EQ(e.messages, want) << cut;
    EXPECT_EQ(e.heard(), reply_text(10, "p"));
    EXPECT_EQ(e.ends, 0);
  }
  ServerEnd e;
  e.open();
  for (const char c : stream) e.say(std::string(1, c));
  EXPECT_EQ(e.messages, want);
}

TEST(ServerSocketTest, EmptyFramesMakeNoMessageLonger) {
  ServerEnd e;
  e.open();
  std::string stream = frame_text({.payload = "", .fin = false});
  for (int i = 0; i < 1000; ++i) stream += frame_text({.opcode = 0, .payload = "", .fin = false});
  e.say(stream + frame_text({.opcode = 0, .payload = "x"}));
  EXPECT_EQ(e.messages, (std::vector<Message>{{"x", kBinary}}));
}

TEST(ServerSocketTest, ManySmallMessagesComeAndGoTogether) {
  ServerEnd e;
  e.open();
  e.on_message = [&](const Message& m) { e.reply("re: " + m.bytes); };
  std::string stream;
  std::string replies;
  for (int i = 0; i < 500; ++i) {
    stream += frame_text({.payload = std::to_string(i)});
    replies += reply_text(2, "re: " + std::to_string(i));
  }
  e.say(stream);
  EXPECT_EQ(e.server->unsent(), replies.size());
  EXPECT_TRUE(e.server->flush());
  EXPECT_EQ(e.server->unsent(), 0U);
  std::string got;
  while (got.size() < replies.size()) {
    std::vector<std::uint8_t> piece(4096);
    ASSERT_TRUE(wait(e.client.fd(), false, nullptr, after(Clock::now(), 10)).readable);
    got.append(reinterpret_cast<const char*>(piece.data()), testing_net::receive_some(e.client, piece));
  }
  EXPECT_EQ(got, replies);
}

TEST(ServerSocketTest, LargePayloadsLandWhereTheyAreWanted) {
  ServerEnd e;
  e.open();
  const std::string large = pattern(900'000);
  const std::string all = frame_text({.payload = large});
  std::thread sender([&] {
    for (BytesView rest = testing_net::bytes_of(all); !rest.empty();) {
      (void)wait(e.client.fd(), true, nullptr, after(Clock::now(), 10));
      const IoPiece piece = io_piece(rest.data(), rest.size());
      rest = rest.subspan(e.client.send({&piece, 1}).bytes);
    }
  });
  e.said += all.size();
  e.take();
  sender.join();
  ASSERT_EQ(e.messages, (std::vector<Message>{{large, kBinary}}));
  // All but the first pieces were received without a stop in a buffer of ours.
  EXPECT_GT(*std::max_element(e.pieces.begin(), e.pieces.end()), 4096U);
}

TEST(ServerSocketTest, StopsWhereTheOwnerWantsNothing) {
  ServerEnd e;
  e.wanted = 0;
  e.open();
  const std::string stream = frame_text({.payload = "one"}) + frame_text({.payload = "two"});
  ASSERT_TRUE(testing_net::send_all(e.client, testing_net::bytes_of(stream)));
  ASSERT_TRUE(e.readable());
  EXPECT_EQ(e.server->receive(), 0U);
  EXPECT_TRUE(e.server->more_to_receive());
  e.wanted = 2;
  e.on_message = [&](const Message&) { e.wanted = 0; };
  e.server->receive();
  EXPECT_EQ(e.messages, (std::vector<Message>{{"one", kBinary}}));
  EXPECT_TRUE(e.server->more_to_receive());
  e.wanted = 100;
  e.server->receive();
  EXPECT_EQ(e.messages.size(), 2U);
  EXPECT_TRUE(e.server->more_to_receive());
  e.wanted = 1;
  e.server->receive();
  EXPECT_FALSE(e.server->more_to_receive());
  EXPECT_EQ(e.server->bytes_received(), kUpgrade.size() + stream.size());
}

TEST(ServerSocketTest, ReceivesAboutAsMuchAsItIsTold) {
  ServerEnd e;
  e.open();
  std::string stream;
  for (int i = 0; i < 40; ++i) stream += frame_text({.payload = pattern(5000)});
  e.wanted = 5000;
  ASSERT_TRUE(testing_net::send_all(e.client, testing_net::bytes_of(stream)));
  std::size_t rounds = 0;
  while (e.messages.size() < 40) {
    ASSERT_TRUE(e.server->more_to_receive() || e.readable());
    e.server->receive(1);
    ++rounds;
  }
  EXPECT_GE(rounds, 3U);  // of at most 64 KiB
  EXPECT_EQ(e.server->bytes_received(), kUpgrade.size() + stream.size());
}

// ---- what is sent

TEST(ServerSocketTest, FramesHaveTheShortestHeader) {
  for (const std::size_t n : {0U, 1U, 125U, 126U, 65535U, 65536U, 300'000U}) {
    SCOPED_TRACE(n);
    ServerEnd e;
    e.open();
    const std::string payload = pattern(n);
    const BytesView pieces[] = {testing_net::bytes_of(payload).first(n / 3),
                                testing_net::bytes_of(payload).subspan(n / 3)};
    e.server->message(pieces);
    MutableBytes room = e.server->message_room(n);
    ASSERT_EQ(room.size(), n);
    std::copy(payload.begin(), payload.end(), room.begin());
    e.server->message_written(n);
    e.reply("text", MessageKind::text);
    EXPECT_EQ(e.heard(), reply_text(2, payload) + reply_text(2, payload) + reply_text(1, "text"));
  }
}

TEST(ServerSocketTest, RoomNeedNotBeFilled) {
  for (const bool first : {true, false}) {
    for (const std::size_t n : {0U, 5U, 125U, 126U, 70'000U}) {
      ServerEnd e;
      e.open();
      if (!first) e.reply("before");
      MutableBytes room = e.server->message_room(100'000);
      const std::string payload = pattern(n);
      std::copy(payload.begin(), payload.end(), room.begin());
      e.server->message_written(n);
      e.reply("after");
      EXPECT_EQ(e.heard(), (first ? "" : reply_text(2, "before")) + reply_text(2, payload) + reply_text(2, "after"));
    }
  }
}

TEST(ServerSocketTest, WhatTheSocketDoesNotTakeWaits) {
  ServerEnd e;
  e.open();
  std::string all;
  std::uint64_t base = e.server->bytes_sent();
  bool full = false;
  for (int i = 0; i < 200 && !full; ++i) {
    const std::string payload = pattern(100'000 + static_cast<std::size_t>(i));
    e.reply(payload);
    all += reply_text(2, payload);
    full = !e.server->flush();
  }
  ASSERT_TRUE(full);
  e.server->ping();
  e.reply("last");
  all += reply_text(9, "") + reply_text(2, "last");
  EXPECT_EQ(e.server->unsent() + (e.server->bytes_sent() - base), all.size());
  std::string got;
  while (got.size() < all.size()) {
    std::vector<std::uint8_t> piece(100'000);
    ASSERT_TRUE(wait(e.client.fd(), false, nullptr, after(Clock::now(), 10)).readable);
    got.append(reinterpret_cast<const char*>(piece.data()), testing_net::receive_some(e.client, piece));
    e.server->flush();
  }
  EXPECT_EQ(got, all);
  EXPECT_EQ(e.server->unsent(), 0U);
}

// ---- control frames, violations, ends

TEST(ServerSocketTest, PongsTakeTheirPlaceBetweenMessages) {
  ServerEnd e;
  e.open();
  e.on_message = [&](const Message& m) { e.reply(m.bytes); };
  const std::string longest = pattern(125);
  e.say(frame_text({.payload = "a"}) + frame_text({.opcode = 9, .payload = longest}) + frame_text({.payload = "b"}) +
        frame_text({.opcode = 10, .payload = "nobody asked"}));
  e.server->ping();
  EXPECT_EQ(e.heard(), reply_text(2, "a") + reply_text(10, longest) + reply_text(2, "b") + reply_text(9, ""));
}

struct Violation {
  const char* name;
  std::string bytes;
  unsigned code;
};

TEST(ServerSocketTest, ViolationsAreAnsweredWithTheirCode) {
  const Violation cases[] = {
      {"unmasked", frame_text({.payload = "x", .mask = false}), 1002},
      {"RSV1", frame_text({.payload = "x", .rsv = 0x40}), 1002},
      {"RSV2", frame_text({.payload = "x", .rsv = 0x20}), 1002},
      {"RSV3", frame_text({.opcode = 9, .payload = "x", .rsv = 0x10}), 1002},
      {"reserved opcode", frame_text({.opcode = 3}), 1002},
      {"reserved control opcode", frame_text({.opcode = 11}), 1002},
      {"continuation of nothing", frame_text({.opcode = 0}), 1002},
      {"new message within one", frame_text({.payload = "x", .fin = false}) + frame_text({.payload = "x"}), 1002},
      {"fragmented ping", frame_text({.opcode = 9, .fin = false}), 1002},
      {"long ping", frame_text({.opcode = 9, .payload = std::string(126, 'x')}), 1002},
      {"long way to say 5", std::string("\x82\xfe\x00\x05\x01\x02\x03\x04hello", 13), 1002},
      {"close of one byte", frame_text({.opcode = 8, .payload = "x"}), 1002},
      {"close code 1005", frame_text({.opcode = 8, .payload = "\x03\xed"}), 1002},
      {"bad UTF-8", frame_text({.opcode = 1, .payload = "a\xff"}), 1007},
      {"cut UTF-8", frame_text({.opcode = 1, .payload = "a\xc3"}), 1007},
      {"surrogate", frame_text({.opcode = 1, .payload = "\xed\xa0\x80"}), 1007},
      {"frame too large", frame_text({}, 1001), 1009},
      {"frame far too large", frame_text({}, std::uint64_t{1} << 62), 1009},
      {"second frame too large", frame_text({.payload = "x", .fin = false}) + frame_text({.opcode = 0}, 1001), 1009},
      {"message too large",
       frame_text({.payload = pattern(1000), .fin = false}) +
           frame_text({.opcode = 0, .payload = pattern(1000), .fin = false}) + frame_text({.opcode = 0}, 501),
       1009},
  };
  for (const Violation& c : cases) {
    for (const bool bytewise : {false, true}) {
      SCOPED_TRACE(c.name);
      ServerEnd e({.max_frame = 1000, .max_message = 2500});
      e.open();
      e.reply("before");
      if (bytewise) {
        for (const char b : c.bytes) e.say(std::string(1, b));
      } else {
        e.say(c.bytes);
      }
      ASSERT_EQ(e.ends, 1);
      EXPECT_EQ(e.end.code, Errc::protocol_error) << e.end.detail;
      EXPECT_FALSE(e.end.detail.empty());
      EXPECT_EQ(e.server->close_code(), c.code);
      e.reply("after");
      e.server->ping();
      e.server->close(1000, "after");
      EXPECT_EQ(e.heard(), reply_text(2, "before") + close_text(c.code));
      e.say(frame_text({.payload = "late"}));
      EXPECT_TRUE(
          std::none_of(e.messages.begin(), e.messages.end(), [](const Message& m) { return m.bytes == "late"; }));
      e.expect_finishes();
      EXPECT_EQ(e.ends, 1);
    }
  }
}

TEST(ServerSocketTest, LimitsAllowWhatTheySay) {
  ServerEnd e({.max_frame = 1000, .max_message = 2500});
  e.open();
  e.wanted = 700;
  const std::string all = pattern(2500);
  e.say(frame_text({.payload = all.substr(0, 1000), .fin = false}) +
        frame_text({.opcode = 0, .payload = all.substr(1000, 1000), .fin = false}) +
        frame_text({.opcode = 0, .payload = all.substr(2000), .fin = false}) + frame_text({.opcode = 0}));
  e.say(frame_text({.payload = all.substr(0, 1000)}));
  EXPECT_EQ(e.messages, (std::vector<Message>{{all, kBinary}, {all.substr(0, 1000), kBinary}}));
  EXPECT_EQ(e.ends, 0);
}

TEST(ServerSocketTest, ACloseFrameIsAnsweredBehindTheReplies) {
  ServerEnd e;
  e.open();
  e.on_message = [&](const Message& m) { e.reply(m.bytes); };
  e.say(frame_text({.payload = "a"}) + frame_text({.opcode = 8, .payload = "\x03\xe9going"}) +
        frame_text({.payload = "b"}));
  EXPECT_EQ(e.ends, 1);
  EXPECT_EQ(e.end.code, Errc::closed);
  EXPECT_NE(e.end.detail.find("1001"), std::string::npos);
  EXPECT_NE(e.end.detail.find("going"), std::string::npos);
  EXPECT_EQ(e.server->close_code(), 1001);
  EXPECT_EQ(e.heard(), reply_text(2, "a") + close_text(1001));
  EXPECT_EQ(e.messages.size(), 1U);
  e.expect_finishes();
}

TEST(ServerSocketTest, TheReasonOfACloseFrameMakesNoLineOfItsOwn) {
  ServerEnd e;
  e.open();
  e.say(frame_text({.opcode = 8, .payload = "\x03\xe8so\nnew line\x1b[31m\xc2\x9b\x7f"}));
  EXPECT_EQ(e.end.code, Errc::closed);
  EXPECT_EQ(e.end.detail, "the client closed the connection (close code 1000): so?new line?[31m???");
}

TEST(ServerSocketTest, AnEmptyCloseFrameIsAnswered) {
  ServerEnd e;
  e.open();
  e.say(frame_text({.opcode = 8}));
  EXPECT_EQ(e.end.code, Errc::closed);
  EXPECT_EQ(e.heard(), close_text(1000));
}

TEST(ServerSocketTest, TheOwnerCloses) {
  ServerEnd e;
  e.open();
  e.on_message = [&](const Message&) { e.server->close(1008, std::string(200, 'r')); };
  e.reply("x");
  e.say(frame_text({.payload = "a"}) + frame_text({.payload = "b"}) + frame_text({.opcode = 9}));
  e.reply("y");
  EXPECT_EQ(e.messages.size(), 1U);
  EXPECT_EQ(e.server->close_code(), 1008);
  EXPECT_EQ(e.heard(), reply_text(2, "x") + close_text(1008, std::string(123, 'r')));
  e.say(frame_text({.opcode = 8, .payload = "\x03\xf0"}));
  e.expect_finishes();
  EXPECT_EQ(e.ends, 0);
}

TEST(ServerSocketTest, AnEndWithoutCloseStillGetsItsReplies) {
  ServerEnd e;
  e.open();
  e.on_message = [&](const Message& m) { e.reply(m.bytes); };
  e.say(frame_text({.payload = "a"}) + frame_text({.payload = "half"}).substr(0, 8));
  e.client.finish();
  while (e.ends == 0) {
    ASSERT_TRUE(e.readable());
    e.server->receive();
  }
  EXPECT_EQ(e.end.code, Errc::connection_lost);
  EXPECT_EQ(e.server->close_code(), 0);
  EXPECT_EQ(e.heard(), reply_text(2, "a"));
  EXPECT_FALSE(e.server->finished());
  e.server->finish();
  EXPECT_TRUE(e.server->finished());
  EXPECT_EQ(e.ends, 1);
}

TEST(ServerSocketTest, AResetEndsIt) {
  ServerEnd e;
  e.open();
  const linger now{1, 0};
  ASSERT_EQ(::setsockopt(e.client.fd(), SOL_SOCKET, SO_LINGER, reinterpret_cast<const char*>(&now), sizeof now), 0);
  e.client.close();
  ASSERT_TRUE(e.readable());
  e.server->receive();
  EXPECT_EQ(e.ends, 1);
  EXPECT_EQ(e.end.code, Errc::connection_lost);
  if (!e.server->finished()) e.server->finish();  // where a reset looks like an end (Wine)
  EXPECT_TRUE(e.server->finished());
  e.reply("nobody hears it");
  EXPECT_EQ(e.server->unsent(), 0U);
  EXPECT_TRUE(e.server->flush());
}

TEST(ServerSocketTest, AFailedSendEndsIt) {
  ServerEnd e;
  e.open();
  const linger now{1, 0};
  ASSERT_EQ(::setsockopt(e.client.fd(), SOL_SOCKET, SO_LINGER, reinterpret_cast<const char*>(&now), sizeof now), 0);
  e.client.close();
  ASSERT_TRUE(e.readable());
  while (e.ends == 0) {
    e.reply("x");
    e.server->flush();
  }
  EXPECT_EQ(e.end.code, Errc::connection_lost);
  EXPECT_EQ(e.server->unsent(), 0U);
  EXPECT_TRUE(e.server->finished());
}

#ifdef SIMDRIVE_COUNTS_HEAP

TEST(ServerSocketTest, AnIdleConnectionHoldsLittleMemory) {
  const auto in_use = [] {
    const auto m = ::mallinfo2();
    return m.uordblks + m.hblkhd;
  };
  const auto serve = [] {
    auto e = std::make_unique<ServerEnd>(ServerSocketLimits{}, 2000);
    e->on_message = [&end = *e](const Message& m) { end.reply(m.bytes); };
    e->open();
    e->say(frame_text({.payload = pattern(50'000)}) + frame_text({.payload = "x"}));
    EXPECT_EQ(e->heard().size(), reply_text(2, pattern(50'000)).size() + reply_text(2, "x").size());
    e->messages.clear();
    e->messages.shrink_to_fit();
    e->pieces = {};
    return e;
  };
  constexpr std::size_t kConnections = 32;
  std::vector<std::unique_ptr<ServerEnd>> ends;
  ends.reserve(kConnections + 2);
  for (int i = 0; i < 2; ++i) ends.push_back(serve());  // what the thread keeps for all of them
  const std::size_t before = in_use();
  ASSERT_GT(before, 0U);
  for (std::size_t i = 0; i < kConnections; ++i) ends.push_back(serve());
  EXPECT_LT((in_use() - before) / kConnections, 16U << 10);
}

#endif

TEST(ServerSocketTest, DestroyedAtAnyMoment) {
  const std::string stream = frame_text({.payload = pattern(5000)});
  for (const std::size_t cut : {0U, 1U, 10U, 100U, 4000U}) {
    ServerEnd e;
    e.open();
    e.reply("unsent");
    if (cut != 0) e.say(stream.substr(0, cut));
  }
  ServerEnd early;
  early.say("GET ");
}

}  // namespace
}  // namespace simdrive::net
