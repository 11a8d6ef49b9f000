// What clients may make a server spend, and what happens to those that ask for more.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "service_fixture.hpp"
#include "support/temporary_folder.hpp"

namespace simdrive::testing_server {
namespace {

using rpc::Method;
using rpc::Status;
using server::Limit;

class ServerLimitsTest : public ServiceFixture {
 protected:
  ServerLimitsTest() : ServiceFixture(2) {}
  void expect_breach(Limit limit) {
    EXPECT_TRUE(log_.wait_for("limit", name_of(limit)).has_value());
    EXPECT_GE(breaches(limit), 1U);
  }
  // A frame by itself, with a header of our own.
  static Bytes frame(std::uint32_t len, std::uint32_t stream, std::uint32_t seq, rpc::Kind kind, BytesView payload) {
    Bytes out(rpc::header_size(rpc::Dialect::d13));
    rpc::store_frame_header(out.data(), rpc::Dialect::d13, len, stream, seq, kind, 0);
    out.insert(out.end(), payload.begin(), payload.end());
    return out;
  }
  // The beginning of a request: its header and, as far as they are there, its arguments.
  static Bytes begun(std::uint32_t stream, Method method, BytesView args = {}) {
    Bytes call(rpc::kRpcHeader);
    rpc::store_rpc_header(call.data(), rpc::MessageType::call, stream, static_cast<std::uint64_t>(method), 0);
    call.insert(call.end(), args.begin(), args.end());
    return frame(static_cast<std::uint32_t>(call.size()), stream, 0, rpc::Kind::open, call);
  }
};

TEST_F(ServerLimitsTest, AnswersRequestsThatAreTooLong) {
  serve([](ServerOptions& o) {
    o.limits.max_request = 100'000;
    o.limits.max_batch_items = 10;
  });
  RawClient client = raw();
  client.upgrade();
  client.request(Method::write, 1, write_args(view("k"), payload_of(300'000)));
  auto reply = client.reply();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->status, Status::system_error);
  EXPECT_EQ(reply->text(),
            "write, key 6b: the arguments are longer than the server's limit for one request, 100000 bytes (its option "
            "max_request)");
  expect_breach(Limit::request);

  std::vector<BytesView> keys(11, view("k"));
  Gather args;
  codec::encode_batch_read_request(keys, args);
  client.request(Method::batch_read, 2, flat(args));
  reply = client.reply();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->text(), "batch_read, 11 keys: the batch has more than 10 items, the server's limit for one");
  EXPECT_EQ(breaches(Limit::request), 2U);
  RawClient other = raw();
  other.upgrade();
  other.request(Method::batch_read, 1, flat(args));
  EXPECT_EQ(other.reply()->status, Status::system_error);
  EXPECT_TRUE(log_.wait_for("limit", "request: batch_read, 11 keys: the batch has more than 10 items"));

  client.request(Method::exists, 3, key_args(view("k")));
  EXPECT_EQ(client.reply()->status, Status::success);
}

// As far as it shows in the beginning of the arguments.
TEST_F(ServerLimitsTest, NamesOperationAndKeyOfRequestsThatAreTooLong) {
  serve([](ServerOptions& o) {
    o.limits.max_request = 1000;
    o.limits.max_batch_items = 10;
  });
  RawClient client = raw();
  client.upgrade();
  std::uint32_t id = 0;
  const auto said = [&](Method method, BytesView args) {
    client.request(method, ++id, args);
    const auto reply = client.reply();
    return reply && reply->status == Status::system_error ? reply->text() : "no error";
  };
  const auto too_long = [](const std::string& named) {
    return named +
           "the arguments are longer than the server's limit for one request, 1000 bytes (its option max_request)";
  };
  EXPECT_EQ(said(Method::write, write_args(view("0123456789abcdef and more"), payload_of(70'000))),
            too_long("write, key 30313233343536373839616263646566... (25 bytes): "));
  EXPECT_EQ(said(Method::write, write_args({}, payload_of(70'000))), too_long("write, the empty key: "));
  // Equal bytes come packed.
  EXPECT_EQ(said(Method::write, write_args(Bytes(40, 0x61), payload_of(2000))),
            too_long("write, key 61616161616161616161616161616161... (40 bytes): "));
  EXPECT_EQ(said(Method::read, key_args(payload_of(100'000))), too_long("read: "));  // too long a key to be at hand
  EXPECT_EQ(said(static_cast<Method>(12345), Bytes(2000)), too_long(""));
  Gather batch;
  const Bytes payload = payload_of(500);
  codec::encode_batch_write_request(std::vector<KeyValue>(5, {view("k"), payload}), batch);
  EXPECT_EQ(said(Method::batch_write, flat(batch)), too_long("batch_write, 5 entries: "));
  Gather many;
  codec::encode_batch_write_request(std::vector<KeyValue>(11, {view("k"), view("v")}), many);
  EXPECT_EQ(said(Method::batch_write, flat(many)),
            "batch_write, 11 entries: the batch has more than 10 items, the server's limit for one");
  // It stands for more than it is.
  EXPECT_EQ(said(Method::write, write_args(view("ab"), Bytes(5000))),
            "write, key 6162: the request stands for more than 1000 bytes, the server's limit for one");
  EXPECT_EQ(breaches(Limit::request), 8U);
}

TEST_F(ServerLimitsTest, EndsConnectionsWithTheFittingCode) {
  serve([](ServerOptions& o) {
    o.limits.max_frame = 1000;
    o.limits.max_streams = 3;
    o.limits.max_unfinished = 200'000;
    o.limits.max_early_bytes = 1000;
  });
  {
    RawClient client = raw();
    client.upgrade();
    client.send(testing_net::frame_text({.payload = {}}, 1001));
    EXPECT_EQ(client.close_code(), 1009U);
    expect_breach(Limit::message);
  }
  {
    RawClient client = raw();
    client.upgrade();
    for (std::uint32_t i = 0; i < 4; ++i) client.message(begun(i, Method::read));
    EXPECT_EQ(client.close_code(), 1008U);
    expect_breach(Limit::policy);
  }
  {
    RawClient client = raw();
    client.upgrade();
    Bytes junk(900, 0xee);
    for (int i = 0; i < 200 && client.try_send(testing_net::frame_text({.payload = testing_net::text_of(junk)})); ++i) {
    }
    EXPECT_EQ(client.close_code(), 1002U);
    expect_breach(Limit::protocol);
  }
  {
    RawClient client = raw();
    client.upgrade();
    client.message(begun(1, Method::write));
    const Bytes piece(900);
    for (std::uint32_t seq = 1; seq < 400; ++seq) {
      if (!client.try_send(
              testing_net::frame_text({.payload = testing_net::text_of(frame(900, 1, seq, rpc::Kind::data, piece))}))) {
        break;
      }
    }
    EXPECT_EQ(client.close_code(), 1013U);
    expect_breach(Limit::unfinished);
  }
  EXPECT_EQ(service_->status().stats.cut, 4U);
}

TEST_F(ServerLimitsTest, CarriesOutNothingButCalls) {
  serve([](ServerOptions&) {});
  for (const rpc::MessageType type : {rpc::MessageType::response, rpc::MessageType::event}) {
    RawClient client = raw();
    client.upgrade();
    client.request(Method::exists, 1, key_args(view("k")));
    EXPECT_TRUE(client.reply().has_value());
    const Bytes args = write_args(view("k"), view("v"));
    Bytes message(rpc::kRpcHeader);
    rpc::store_rpc_header(message.data(), type, 7, static_cast<std::uint64_t>(Method::write), 0);
    message.insert(message.end(), args.begin(), args.end());
    client.message(frame(static_cast<std::uint32_t>(message.size()), 7, 0, rpc::Kind::open, message));
    client.message(frame(0, 7, 1, rpc::Kind::end, {}));
    EXPECT_EQ(client.close_code(), 1002U);
    EXPECT_FALSE(value_of(backend_.exists(view("k"))));
  }
  EXPECT_EQ(breaches(Limit::protocol), 2U);
}

TEST_F(ServerLimitsTest, HoldsBackWhatAllConnectionsKeepTogether) {
  serve([](ServerOptions& o) {
    o.limits.max_unfinished_total = 300'000;
    o.limits.stall_timeout = 0.2;
  });
  RawClient client = raw();
  client.upgrade();
  client.message(begun(1, Method::write, Bytes(50'000)));
  for (std::uint32_t seq = 1; seq < 10; ++seq) {
    client.message(frame(60'000, 1, seq, rpc::Kind::data, Bytes(60'000)));
  }
  Client small = connect_to(service_->url());
  EXPECT_TRUE(small.write(view("k"), view("small ones go on")).ok());
  EXPECT_EQ(client.close_code(), 1013U);
  expect_breach(Limit::unfinished_total);
}

// What was received of all of them when the first was given up: beyond the limit, each brings no more than one turn.
TEST_F(ServerLimitsTest, KeepsLittleMoreThanItsShareOfRequestsThatDoNotEnd) {
  constexpr std::size_t kClients = 8;
  constexpr std::uint64_t kTotal = std::uint64_t{4} << 20;
  constexpr std::uint64_t kTurn = (std::uint64_t{1} << 20) + (std::uint64_t{64} << 10);
  constexpr std::uint32_t kFrame = 65536;
  constexpr std::uint32_t kFrames = 256;  // 16 MiB
  std::uint64_t kept = 0;
  serve([&](ServerOptions& o) {
    o.limits.max_unfinished_total = kTotal;
    o.limits.stall_timeout = 1;
    o.log = [&, sink = log_.sink()](const LogRecord& record) {
      if (kept == 0 && record.event == "limit") kept = service_->unfinished.load();
      sink(record);
    };
  });
  std::vector<std::thread> senders;
  for (std::size_t i = 0; i < kClients; ++i) {
    senders.emplace_back([this] {
      RawClient client = raw();
      client.upgrade();
      client.message(begun(1, Method::write));
      const Bytes piece(kFrame);
      for (std::uint32_t seq = 1; seq <= kFrames; ++seq) {
        const Bytes data = frame(kFrame, 1, seq, rpc::Kind::data, piece);
        if (!client.try_send(testing_net::frame_text({.payload = testing_net::text_of(data)}))) break;
      }
      EXPECT_TRUE(client.ends());
    });
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_GE(breaches(Limit::unfinished_total), 1U);
  Client small = connect_to(service_->url());
  EXPECT_TRUE(small.write(view("k"), view("there is room again")).ok());
  EXPECT_TRUE(service_->stop(30).ok());
  EXPECT_GT(kept, kTotal);
  EXPECT_LE(kept, kTotal + kClients * kTurn);
  EXPECT_EQ(service_->unfinished.load(), 0U);
}

// The dialect is not known yet, and both have no such frame.
TEST_F(ServerLimitsTest, SaysAtOnceThatAFirstFrameIsOfUnknownKind) {
  serve([](ServerOptions&) {});
  for (const std::size_t size : {13U, 21U, 40U}) {
    for (const bool whole_message : {true, false}) {
      RawClient client = raw();
      client.upgrade();
      Bytes bytes = frame(0, 1, 0, static_cast<rpc::Kind>(rpc::kKindMax + 1), {});
      bytes.resize(size);
      std::string message = testing_net::frame_text({.payload = testing_net::text_of(bytes), .fin = whole_message});
      client.send(message);
      EXPECT_EQ(client.close_code(), 1002U) << size;
      EXPECT_EQ(client.close_reason(), "a frame of unknown kind");
    }
  }
  EXPECT_TRUE(log_.wait_for("limit", "a frame of unknown kind, at byte 0").has_value());
  EXPECT_EQ(breaches(Limit::protocol), 6U);
}

TEST_F(ServerLimitsTest, IgnoresTextBeforeAndAfterItKnowsTheDialect) {
  serve([](ServerOptions&) {});
  RawClient client = raw();
  client.upgrade();
  for (std::uint32_t id = 1; id <= 2; ++id) {
    client.message(view("no request"), 1);
    client.request(Method::exists, id, key_args(view("k")));
    const auto reply = client.reply();
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->request_id, id);
  }
}

TEST_F(ServerLimitsTest, CutsClientsThatTakeNoReplies) {
  serve([](ServerOptions& o) {
    o.limits.reply_queue_soft = 1 << 20;
    o.limits.stall_timeout = 0.3;
  });
  ASSERT_TRUE(backend_.write(view("k"), payload_of(60'000)).ok());
  ASSERT_TRUE(backend_.write(view("large"), payload_of(std::size_t{64} << 20)).ok());
  RawClient many = raw();
  RawClient large = raw();
  many.upgrade();
  large.upgrade();
  large.request(Method::read, 1, key_args(view("large")));
  std::thread sender([&] {
    std::string all;
    for (std::uint32_t i = 1; i <= 1000; ++i) all += RawClient::request_text(Method::read, i, key_args(view("k")));
    many.try_send(all);
  });
  EXPECT_TRUE(log_.wait_for_count("limit", 2));
  sender.join();
  EXPECT_TRUE(many.ends());
  EXPECT_TRUE(large.ends());
  EXPECT_EQ(breaches(Limit::stall), 2U);
}

// No more is made than reply_queue_soft, a reply and what pings are answered with: the other limit counts where it is
// about the same.
TEST_F(ServerLimitsTest, CutsAtOnceWhoIsTooFarBehind) {
  serve([](ServerOptions& o) {
    o.limits.reply_queue_soft = 1 << 20;
    o.limits.reply_queue_hard = 1 << 20;
    o.limits.stall_timeout = 3600;
  });
  ASSERT_TRUE(backend_.write(view("k"), payload_of(60'000)).ok());
  RawClient client = raw();
  client.upgrade();
  std::string all;
  for (std::uint32_t i = 1; i <= 1000; ++i) all += RawClient::request_text(Method::read, i, key_args(view("k")));
  std::thread sender([&] { client.try_send(all); });
  EXPECT_TRUE(log_.wait_for("limit", "replies: more replies wait than reply_queue_hard allows"));
  sender.join();
  EXPECT_TRUE(client.ends());
  EXPECT_EQ(breaches(Limit::replies), 1U);
  EXPECT_EQ(breaches(Limit::stall), 0U);
  EXPECT_EQ(service_->status().stats.cut, 1U);
}

TEST_F(ServerLimitsTest, HoldsBackRatherThanCutWhereThereIsRoom) {
  serve([](ServerOptions& o) {
    o.limits.reply_queue_soft = 1 << 20;
    o.limits.reply_queue_hard = 3 << 20;
    o.limits.stall_timeout = 3600;
  });
  constexpr std::uint32_t kReplies = 1000;
  ASSERT_TRUE(backend_.write(view("k"), payload_of(60'000)).ok());
  RawClient client = raw();
  client.upgrade();
  std::string all;
  for (std::uint32_t i = 1; i <= kReplies; ++i) all += RawClient::request_text(Method::read, i, key_args(view("k")));
  for (int i = 0; i < 1000; ++i) all += testing_net::frame_text({.opcode = 9, .payload = std::string(125, 'p')});
  client.send(all);
  for (std::uint32_t i = 1; i <= kReplies; ++i) {
    const auto reply = client.reply();
    ASSERT_TRUE(reply.has_value()) << i;
    EXPECT_EQ(reply->request_id, i);
  }
  EXPECT_EQ(service_->status().stats.cut, 0U);
}

TEST_F(ServerLimitsTest, PingsAndCutsTheSilent) {
  serve([](ServerOptions& o) {
    o.limits.ping_interval = 0.3;
    o.limits.silence_timeout = 1.0;
  });
  RawClient client = raw();
  client.upgrade();
  const auto first = client.next();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->opcode, 9U);
  EXPECT_EQ(client.close_code(), 1011U);
  EXPECT_TRUE(client.ends());
  expect_breach(Limit::silence);
}

TEST_F(ServerLimitsTest, EndsHandshakesThatTakeTooLong) {
  serve([](ServerOptions& o) {
    o.limits.handshake_timeout = 0.1;
    o.limits.max_headers = 5;
  });
  RawClient client = raw();
  client.send("GET /ws HTTP/1.1\r\nHost: ");
  EXPECT_TRUE(client.ends());
  expect_breach(Limit::handshake);
  std::string headers = "Host: localhost\r\n";
  for (int i = 0; i < 6; ++i) headers += "X-" + std::to_string(i) + ": 1\r\n";
  EXPECT_TRUE(raw().http("/ws", headers).starts_with("HTTP/1.1 431"));
  expect_breach(Limit::headers);
}

TEST_F(ServerLimitsTest, RefusesConnectionsBeyondTheLimit) {
  serve([](ServerOptions& o) { o.limits.max_connections = 1; });
  Client client = connect_to(service_->url());
  RawClient second = raw();
  second.send(testing_net::kUpgrade);
  const std::string answer = second.receive_http();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503")) << answer;
  EXPECT_NE(answer.find("Retry-After: 1\r\n"), std::string::npos) << answer;
  expect_breach(Limit::connections);
  EXPECT_TRUE(raw().http("/healthz").starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(client.ping().ok());
}

TEST_F(ServerLimitsTest, CountsConnectionsThatGetNoAnswer) {
  serve([](ServerOptions& o) {
    o.threads = 1;
    o.limits.max_connections = 1;
  });
  std::vector<RawClient> clients;
  for (int i = 0; i < 66; ++i) clients.push_back(raw());  // 64 of them beyond the limit would be told
  EXPECT_TRUE(log_.wait_for("limit", "connections: 1 closed without an answer"));
  EXPECT_TRUE(clients.back().ends());
  EXPECT_EQ(breaches(Limit::connections), 1U);
  EXPECT_EQ(service_->status().stats.refused, 1U);
  for (int i = 0; i < 3; ++i) clients.push_back(raw());
  EXPECT_TRUE(log_.wait_for_count("limit", 2));  // the others together
  EXPECT_TRUE(clients.back().ends());
  EXPECT_EQ(breaches(Limit::connections), 4U);
}

TEST_F(ServerLimitsTest, TakesPathsThatCanBeAskedFor) {
  ServerOptions options;
  for (const char* path : {"/", "/a/b", "/%20", "/~x!$&'()*+,;=:@"}) {
    options.path = path;
    EXPECT_TRUE(server::check(options).ok()) << path;
  }
  for (const char* path : {"", "ws", "/a?b", "/a#b", "/a b", "/a\tb", "/a\r\nb", "/\xc3\xa4", "/\x7f"}) {
    options.path = path;
    const Result<void> checked = server::check(options);
    ASSERT_FALSE(checked.ok()) << path;
    EXPECT_EQ(checked.error().code, Errc::configuration);
  }
}

#ifndef _WIN32
TEST_F(ServerLimitsTest, ItsUrlLeadsToItsPath) {
  testing_store::TemporaryFolder folder;
  const std::string path = folder.file("a %41 b@c?d#e");
  serve([&](ServerOptions& o) { o.unix_path = std::filesystem::relative(path).string(); });
  Client client = connect_to(service_->url());
  EXPECT_TRUE(value_of(client.empty()));
  EXPECT_TRUE(service_->url().starts_with("ws+unix:///")) << service_->url();
}

TEST_F(ServerLimitsTest, ListensAtAPath) {
  testing_store::TemporaryFolder folder;
  const std::string path = folder.file("socket");
  serve([&](ServerOptions& o) { o.unix_path = path; });
  EXPECT_EQ(service_->url(), "ws+unix://" + path);
  RawClient client(value_of(net::connect_unix(path, net::after(net::Clock::now(), 30), {})));
  client.upgrade();
  client.request(Method::len, 1, {});
  EXPECT_EQ(value_of(codec::decode_number_response(client.reply()->body)), 0U);
  Client other = connect_to(service_->url());
  EXPECT_TRUE(value_of(other.empty()));
}
#endif

// ---- HTTP ----

TEST_F(ServerLimitsTest, LetsOnlyInWhoMayCome) {
  serve([](ServerOptions& o) {
    o.origins = {"https://good.example"};
    o.hosts = {"store.example"};
  });
  const auto answer = [&](const std::string& path, const std::string& headers, const std::string& method = "GET") {
    return raw().http(path, headers, method).substr(9, 3);
  };
  const std::string upgrade =
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
      "Sec-WebSocket-Version: 13\r\n";
  const std::string local = "Host: localhost:1\r\n";
  EXPECT_EQ(answer("/ws", local + upgrade), "101");
  EXPECT_EQ(answer("/ws?who=me", local + upgrade), "101");
  EXPECT_EQ(answer("/ws", local + upgrade + "Origin: https://good.example\r\n"), "101");
  EXPECT_EQ(answer("/ws", local + upgrade + "Origin: https://evil.example\r\n"), "403");
  EXPECT_EQ(answer("/ws", local + upgrade + "Origin: null\r\n"), "403");
  EXPECT_EQ(answer("/status", local + "Origin: https://evil.example\r\n"), "403");
  for (const char* host : {"127.0.0.1", "127.1.2.3:80", "[::1]:34129", "LOCALHOST.", "store.example:99"}) {
    EXPECT_EQ(answer("/ws", "Host: " + std::string(host) + "\r\n" + upgrade), "101") << host;
  }
  for (const char* host : {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "128.0.0.1", "127.0.0",
                           "[::1", "localhost:x", "0.0.0.0"}) {
    EXPECT_EQ(answer("/ws", "Host: " + std::string(host) + "\r\n" + upgrade), "403") << host;
  }
  EXPECT_EQ(answer("/ws", local + upgrade, "POST"), "405");
  EXPECT_EQ(answer("/", local + upgrade), "404");
  EXPECT_EQ(answer("/ws/", local + upgrade), "404");
  EXPECT_EQ(answer("/ws", local), "426");
  EXPECT_TRUE(log_.wait_for("refused", "HTTP 403").has_value());
  EXPECT_GE(service_->status().stats.refused, 15U);
}

TEST_F(ServerLimitsTest, TakesOrdinaryRefusalsForNoBreach) {
  serve([](ServerOptions&) {});
  const std::string local = "Host: localhost\r\n";
  const std::string old = local +
                          "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                          "Sec-WebSocket-Version: 8\r\n";
  const std::string refused[][2] = {
      {local, "426"}, {old, "426"}, {"", "400"}, {local + "Content-Length: 5\r\n", "413"}};
  for (const auto& [headers, status] : refused) {
    EXPECT_EQ(raw().http("/ws", headers).substr(9, 3), status) << headers;
    EXPECT_TRUE(log_.wait_for("refused", "HTTP " + status + ": ").has_value()) << headers;
  }
  EXPECT_TRUE(log_.wait_for_count("refused", 4));
  EXPECT_EQ(service_->status().stats.refused, 4U);
  EXPECT_EQ(log_.count("limit"), 0U);
  EXPECT_EQ(breaches(Limit::headers), 0U);
  EXPECT_TRUE(raw().http("/ws", "X: " + std::string(17'000, 'x') + "\r\n").starts_with("HTTP/1.1 431"));
  EXPECT_TRUE(log_.wait_for("limit", "headers: HTTP 431: the head of the request is too long").has_value());
  EXPECT_EQ(breaches(Limit::headers), 1U);
}

TEST_F(ServerLimitsTest, TellsHowItIs) {
  serve([](ServerOptions&) {});
  Client client = connect_to(service_->url());
  ASSERT_TRUE(client.write(view("secret key"), view("secret value")).ok());
  ASSERT_TRUE(client.exists(view("secret key")).ok());
  const std::string health = raw().http("/healthz");
  EXPECT_TRUE(health.starts_with("HTTP/1.1 200")) << health;
  EXPECT_TRUE(health.ends_with("\r\n\r\nok\n")) << health;
  const std::string status = raw().http("/status");
  EXPECT_TRUE(status.starts_with("HTTP/1.1 200")) << status;
  EXPECT_NE(status.find("Content-Type: application/json"), std::string::npos) << status;
  for (const char* part : {"\"state\":\"serving\"", "\"write\":{\"calls\":1,\"errors\":0}", "\"exists\":{\"calls\":1",
                           "\"entries\":1", "\"latency_seconds\":{\"p50\":", "\"limits\":{\"connections\":0"}) {
    EXPECT_NE(status.find(part), std::string::npos) << part << " in " << status;
  }
  EXPECT_EQ(status.find("secret"), std::string::npos);
  const ServerStats stats = service_->status().stats;
  EXPECT_EQ(stats.requests, 2U);
  EXPECT_GT(stats.latency_p50, 0.0);
  EXPECT_GE(stats.latency_p99, stats.latency_p50);
  EXPECT_GT(stats.bytes_received, 100U);
}

TEST_F(ServerLimitsTest, KeepsItsStatusToItselfIfAsked) {
  serve([](ServerOptions& o) { o.status = false; });
  EXPECT_TRUE(raw().http("/healthz").starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(raw().http("/status").starts_with("HTTP/1.1 404"));
}

TEST(ServerOptionsTest, AreChecked) {
  const Store store = value_of(Store::memory());
  const auto code = [&](const std::function<void(ServerOptions&)>& change) {
    ServerOptions options;
    change(options);
    const Result<Server> server = Server::start(store, options);
    return server.ok() ? Errc{} : server.error().code;
  };
  EXPECT_EQ(code([](ServerOptions& o) { o.host = "0.0.0.0"; }), Errc::configuration);
  EXPECT_EQ(code([](ServerOptions& o) {
              o.host = "0.0.0.0";
              o.insecure_bind = true;
            }),
            Errc{});
  EXPECT_EQ(code([](ServerOptions& o) { o.host = ""; }), Errc::configuration);
  EXPECT_EQ(code([](ServerOptions& o) { o.path = "ws"; }), Errc::configuration);
  EXPECT_EQ(code([](ServerOptions& o) { o.threads = 1000; }), Errc::configuration);
  EXPECT_EQ(code([](ServerOptions& o) { o.limits.max_frame = 0; }), Errc::configuration);
  EXPECT_EQ(code([](ServerOptions& o) { o.limits.stall_timeout = -1; }), Errc::configuration);
  const Server server = value_of(Server::start(store));
  EXPECT_TRUE(server.running());
  EXPECT_FALSE(server.wait(0));
  EXPECT_EQ(code([&](ServerOptions& o) { o.port = server.port(); }), Errc::bind_failed);
}

TEST(LatencyHistogramTest, NamesPercentilesWithinAnEighth) {
  server::LatencyHistogram histogram;
  server::LatencyHistogram::Buckets counts{};
  histogram.add_to(counts);
  EXPECT_EQ(server::LatencyHistogram::percentile(counts, 0.5), 0.0);
  for (std::uint64_t us = 1; us <= 1000; ++us) histogram.add(us * 1000);
  histogram.add_to(counts);
  EXPECT_NEAR(server::LatencyHistogram::percentile(counts, 0.5), 500e-6, 500e-6 / 8);
  EXPECT_NEAR(server::LatencyHistogram::percentile(counts, 0.99), 990e-6, 990e-6 / 8);
  for (std::size_t i = 0; i < server::LatencyHistogram::kSlots; ++i) histogram.advance();
  counts = {};
  histogram.add_to(counts);
  EXPECT_EQ(server::LatencyHistogram::percentile(counts, 0.5), 0.0);
  for (const std::uint64_t ns : {0ULL, 3ULL, 4ULL, 1ULL << 40, ~0ULL}) {
    EXPECT_LT(server::LatencyHistogram::bucket(ns), server::LatencyHistogram::kBuckets);
  }
}

}  // namespace
}  // namespace simdrive::testing_server
