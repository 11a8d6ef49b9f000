#include "simdrive/server.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "raw_client.hpp"
#include "serving.hpp"
#include "support/temporary_folder.hpp"

namespace simdrive::testing_server {
namespace {

using testing_store::TemporaryFolder;

enum class Where { memory, file };

// Every test in both dialects, on both kinds of store.
class ServerTest : public testing::TestWithParam<std::tuple<Where, std::string>> {
 protected:
  void SetUp() override {
    store_.emplace(std::get<0>(GetParam()) == Where::memory ? value_of(Store::memory())
                                                            : value_of(Store::open(folder_.file("store.bin"))));
    ServerOptions options;
    options.threads = 2;
    server_.emplace(value_of(Server::start(*store_, options)));
    client_.emplace(connect_to(url(), std::get<1>(GetParam())));
    EXPECT_EQ(value_of(client_->server_info()).dialect, std::get<1>(GetParam()));
  }
  [[nodiscard]] std::string url() const { return server_->url(); }
  [[nodiscard]] std::uint16_t port() const { return server_->port(); }
  [[nodiscard]] ServerStats stats() const { return server_->stats(); }

  TemporaryFolder folder_;
  std::optional<Store> store_;
  std::optional<Server> server_;
  std::optional<Client> client_;
};

INSTANTIATE_TEST_SUITE_P(Stores, ServerTest,
                         testing::Combine(testing::Values(Where::memory, Where::file), testing::Values("d13", "d21")),
                         [](const auto& each) {
                           return std::string(std::get<0>(each.param) == Where::memory ? "Memory" : "File") +
                                  std::get<1>(each.param);
                         });

TEST_P(ServerTest, CarriesOutTheNineMethods) {
  Client& c = *client_;
  EXPECT_TRUE(value_of(c.empty()));
  ASSERT_TRUE(c.write(view("a"), view("one")).ok());
  EXPECT_EQ(value_of(c.file_size()), store_->tail());
  EXPECT_EQ(text(*value_of(c.read(view("a")))), "one");
  EXPECT_FALSE(value_of(c.read(view("b"))).has_value());
  EXPECT_TRUE(value_of(c.exists(view("a"))));
  EXPECT_FALSE(value_of(c.exists(view("b"))));
  const std::vector<KeyValue> entries = {{view("b"), view("two")}, {view("c"), view("three")}, {view("b"), view("2")}};
  ASSERT_TRUE(c.batch_write(entries).ok());
  EXPECT_EQ(value_of(c.size()), 3U);
  EXPECT_FALSE(value_of(c.empty()));
  const std::vector<BytesView> keys = {view("c"), view("missing"), view("b"), view("c")};
  const auto values = value_of(c.batch_read(keys));
  ASSERT_EQ(values.size(), 4U);
  EXPECT_EQ(text(*values[0]), "three");
  EXPECT_FALSE(values[1].has_value());
  EXPECT_EQ(text(*values[2]), "2");
  EXPECT_EQ(values[3], values[0]);
  ASSERT_TRUE(c.erase(view("c")).ok());
  EXPECT_FALSE(value_of(c.exists(view("c"))));
  EXPECT_EQ(value_of(c.size()), 2U);
  EXPECT_EQ(value_of(store_->size()), 2U);
}

TEST_P(ServerTest, TakesWhatTheExistingServersTake) {
  Client& c = *client_;
  ASSERT_TRUE(c.write(view(""), view("empty key")).ok());
  EXPECT_EQ(text(*value_of(c.read(view("")))), "empty key");
  ASSERT_TRUE(c.write(view("zeros"), Bytes{0, 0}).ok());
  EXPECT_EQ(*value_of(c.read(view("zeros"))), (Bytes{0, 0}));
  EXPECT_TRUE(c.batch_write({}).ok());
  EXPECT_TRUE(value_of(c.batch_read({})).empty());
  EXPECT_TRUE(c.erase(view("missing")).ok());
}

TEST_P(ServerTest, MovesPayloadsOfAllSizes) {
  Client& c = *client_;
  for (const std::size_t n : {1UL, 2UL, 3UL, 15UL, 4095UL, 4096UL, 65000UL, 65500UL, 65521UL, 65536UL, 131072UL,
                              114688UL, 1048576UL, 5000001UL}) {
    for (const bool flat : {false, true}) {
      Bytes payload = payload_of(n, flat);
      if (n == 1) payload[0] = flat ? 1 : 200;
      const std::string key = "k" + std::to_string(n);
      ASSERT_TRUE(c.write(view(key), payload).ok()) << n;
      EXPECT_EQ(*value_of(c.read(view(key))), payload) << n;
    }
  }
}

TEST_P(ServerTest, MovesVeryLargePayloads) {
  Client& c = *client_;
  const Bytes payload = payload_of(std::size_t{64} << 20);
  ASSERT_TRUE(c.write(view("large"), payload).ok());
  EXPECT_TRUE(*value_of(c.read(view("large"))) == payload);
  EXPECT_EQ(stats().errors, 0U);
}

TEST_P(ServerTest, MovesBatches) {
  Client& c = *client_;
  std::vector<std::string> names;
  std::vector<Bytes> payloads;
  for (std::size_t i = 0; i < 3000; ++i) {
    names.push_back("key " + std::to_string(i));
    payloads.push_back(payload_of(i % 700 + 1));
    if (payloads.back() == Bytes{0}) payloads.back()[0] = 9;
  }
  std::vector<KeyValue> entries;
  std::vector<BytesView> keys;
  for (std::size_t i = 0; i < names.size(); ++i) {
    entries.push_back({view(names[i]), payloads[i]});
    keys.push_back(view(names[i]));
    if (i % 7 == 0) keys.push_back(view("missing"));
  }
  ASSERT_TRUE(c.batch_write(entries).ok());
  const auto values = value_of(c.batch_read(keys));
  ASSERT_EQ(values.size(), keys.size());
  std::size_t at = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    ASSERT_TRUE(values[at].has_value()) << i;
    EXPECT_EQ(*values[at], payloads[i]) << i;
    ++at;
    if (i % 7 == 0) {
      EXPECT_FALSE(values[at].has_value()) << i;
      ++at;
    }
  }
}

TEST_P(ServerTest, CarriesOutPipelinedRequestsInOrder) {
  // Long and short writes of one key by turns, each followed by a read of it: the long ones are done by other threads.
  const auto dialect = std::get<1>(GetParam()) == "d13" ? rpc::Dialect::d13 : rpc::Dialect::d21;
  RawClient raw(port());
  raw.upgrade();
  std::string all;
  std::vector<Bytes> payloads;
  std::uint32_t id = 0;
  for (std::size_t i = 0; i < 24; ++i) {
    payloads.push_back(payload_of(i % 3 == 0 ? (std::size_t{3} << 19) + i : 100 + i));
    all += RawClient::request_text(rpc::Method::write, ++id, write_args(view("k"), payloads.back()), dialect);
    all += RawClient::request_text(rpc::Method::read, ++id, key_args(view("k")), dialect);
  }
  std::thread sender([&] { raw.send(all); });
  for (std::uint32_t expected = 1; expected <= id; ++expected) {
    const auto reply = raw.reply(dialect);
    ASSERT_TRUE(reply.has_value()) << expected;
    EXPECT_EQ(reply->request_id, expected);
    EXPECT_EQ(reply->status, rpc::Status::success) << reply->text();
    if (expected % 2 == 0) {
      const auto value = value_of(codec::decode_read_response(reply->body));
      EXPECT_TRUE(value == std::optional(payloads[expected / 2 - 1])) << expected;
    }
  }
  sender.join();
}

TEST_P(ServerTest, ServesManyThreads) {
  constexpr int kThreads = 8;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Client own = connect_to(url(), std::get<1>(GetParam()));
      Client& c = t % 2 == 0 ? own : *client_;
      for (int i = 0; i < 200; ++i) {
        const std::string key = "t" + std::to_string(t);
        const Bytes payload = payload_of(static_cast<std::size_t>(i * 37 % 3000 + 2));
        if (!c.write(view(key), payload).ok()) ++wrong;
        const auto back = c.read(view(key));
        if (!back.ok() || *back != std::optional(payload)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(stats().requests, 2U * 200 * kThreads);
  EXPECT_EQ(stats().errors, 0U);
}

}  // namespace
}  // namespace simdrive::testing_server
