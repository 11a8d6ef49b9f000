#include "server/service.hpp"

#include <gtest/gtest.h>

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

class ServiceTest : public ServiceFixture {
 protected:
  ServiceTest() : ServiceFixture(1) {}  // whoever keeps the thread keeps everybody waiting
  RawReply call(RawClient& client, Method method, BytesView args) {
    client.request(method, next_id_, args);
    auto reply = client.reply();
    if (!reply) throw std::runtime_error("no reply; close code " + std::to_string(client.close_code()));
    EXPECT_EQ(reply->request_id, next_id_);
    EXPECT_EQ(reply->method_id, static_cast<std::uint64_t>(method));
    ++next_id_;
    return std::move(*reply);
  }

  std::uint32_t next_id_ = 1;
};

// ---- What is answered ----

TEST_F(ServiceTest, SaysWhatTheExistingServersSay) {
  serve();
  RawClient client = raw();
  client.upgrade();
  RawReply reply = call(client, Method::write, write_args(view("k"), {}));
  EXPECT_EQ(reply.status, Status::system_error);
  EXPECT_EQ(reply.text(), "Payload cannot be empty.");
  const Bytes null(1);
  EXPECT_EQ(call(client, Method::write, write_args(view("k"), null)).text(),
            "NULL-byte payloads cannot be written directly.");
  Gather batch;
  const std::vector<KeyValue> entries = {{view("a"), view("1")}, {view("b"), null}};
  codec::encode_batch_write_request(entries, batch);
  EXPECT_EQ(call(client, Method::batch_write, flat(batch)).text(), "NULL-byte payloads cannot be written directly.");
  EXPECT_FALSE(value_of(backend_.exists(view("a"))));
  for (const Method method :
       {Method::read, Method::write, Method::batch_read, Method::batch_write, Method::erase, Method::exists}) {
    reply = call(client, method, Bytes{9});
    EXPECT_EQ(reply.status, Status::system_error);
    EXPECT_EQ(reply.text(), "bitcode error");
  }
  reply = call(client, static_cast<Method>(12345), Bytes{1, 2, 3});
  EXPECT_EQ(reply.status, Status::method_not_found);
  EXPECT_TRUE(reply.body.empty());
  EXPECT_EQ(call(client, Method::len, Bytes{1, 2, 3}).status, Status::success);  // has no parameters to decode
  EXPECT_EQ(service_->status().stats.errors, 10U);
}

TEST_F(ServiceTest, NamesOperationKeyAndCauseOfErrors) {
  serve();
  RawClient client = raw();
  client.upgrade();
  const std::string key = "0123456789abcdef and more";
  backend_.fail_with(Error{Errc::storage_full, "no room on the disk"});
  RawReply reply = call(client, Method::write, write_args(view(key), view("v")));
  EXPECT_EQ(reply.status, Status::system_error);
  EXPECT_EQ(reply.text(), "write, key 30313233343536373839616263646566... (25 bytes): no room on the disk");
  EXPECT_EQ(call(client, Method::erase, key_args(view(""))).text(), "delete, the empty key: no room on the disk");
  EXPECT_EQ(call(client, Method::read, key_args(view("ab"))).text(), "read, key 6162: no room on the disk");
  EXPECT_EQ(call(client, Method::file_size, {}).text(), "file_size: no room on the disk");
  Gather none;
  codec::encode_batch_read_request({}, none);
  EXPECT_EQ(call(client, Method::batch_read, flat(none)).text(), "batch_read, 0 keys: no room on the disk");
  backend_.fail_with(std::nullopt);

  for (const std::size_t size : {std::size_t{100}, std::size_t{5} << 20}) {
    const Bytes payload = payload_of(size);
    ASSERT_TRUE(backend_.write(view("ab"), payload).ok());
    Error damage{Errc::store_corrupt, "the checksum of the payload is wrong"};
    damage.offset = 4096;
    backend_.damage(damage);
    reply = call(client, Method::read, key_args(view("ab")));
    EXPECT_EQ(reply.status, Status::system_error);
    EXPECT_EQ(reply.text(), "read, key 6162: the checksum of the payload is wrong (at offset 4096)");
    backend_.damage(std::nullopt);
    EXPECT_EQ(call(client, Method::read, key_args(view("ab"))).status, Status::success);
  }
}

TEST_F(ServiceTest, ChecksAPayloadOnceHoweverOftenItIsAskedFor) {
  serve();
  const Bytes payload = payload_of(std::size_t{128} << 10);
  ASSERT_TRUE(backend_.write(view("k"), payload).ok());
  ASSERT_TRUE(backend_.write(view("other"), payload).ok());
  std::vector<BytesView> keys(64, view("k"));
  keys.push_back(view("other"));
  Gather args;
  codec::encode_batch_read_request(keys, args);
  RawClient client = raw();
  client.upgrade();
  RawReply reply = call(client, Method::batch_read, flat(args));
  ASSERT_EQ(reply.status, Status::success);
  EXPECT_EQ(reply.body.size() / payload.size(), keys.size());
  EXPECT_EQ(backend_.checks(), 2U);
  backend_.damage(Error{Errc::store_corrupt, "damaged"});
  reply = call(client, Method::batch_read, flat(args));
  EXPECT_EQ(reply.status, Status::system_error);
}

// ---- Order, and who waits for whom ----

TEST_F(ServiceTest, LetsNobodyElseWaitForALongWrite) {
  serve();
  const Bytes payload = payload_of(std::size_t{2} << 20);
  backend_.hold();
  RawClient slow = raw();
  slow.upgrade();
  slow.request(Method::write, 1, write_args(view("k"), payload));
  ASSERT_TRUE(backend_.wait_for_writes(1));
  slow.request(Method::read, 2, key_args(view("k")));
  slow.request(Method::erase, 3, key_args(view("k")));
  slow.request(Method::exists, 4, key_args(view("k")));

  Client quick = connect_to(service_->url());
  EXPECT_FALSE(value_of(quick.exists(view("k"))));
  ASSERT_TRUE(quick.ping().ok());

  backend_.let_go();
  EXPECT_EQ(slow.reply()->request_id, 1U);
  const auto read = slow.reply();
  EXPECT_EQ(read->request_id, 2U);
  EXPECT_TRUE(value_of(codec::decode_read_response(read->body)) == std::optional(payload));
  EXPECT_EQ(slow.reply()->request_id, 3U);
  const auto exists = slow.reply();
  EXPECT_EQ(exists->request_id, 4U);
  EXPECT_FALSE(value_of(codec::decode_bool_response(exists->body)));
}

TEST_F(ServiceTest, LetsNobodyElseWaitForAWriteOfManyItems) {
  serve();
  backend_.hold();
  // Equal keys and payloads pack well: the request is far shorter than what it stands for.
  const std::vector<KeyValue> entries(20'000, {view("a"), view("b")});
  Gather args;
  codec::encode_batch_write_request(entries, args);
  ASSERT_LT(args.size(), std::size_t{64} << 10);
  RawClient slow = raw();
  slow.upgrade();
  slow.request(Method::batch_write, 1, flat(args));
  ASSERT_TRUE(backend_.wait_for_writes(1));
  Client quick = connect_to(service_->url());
  EXPECT_FALSE(value_of(quick.exists(view("a"))));
  backend_.let_go();
  EXPECT_EQ(slow.reply()->status, Status::success);
}

TEST_F(ServiceTest, LetsNobodyElseWaitForAHugeKey) {
  serve();
  const Bytes key = payload_of(std::size_t{2} << 20);
  backend_.hold_reads();
  std::vector<RawClient> slow;
  for (const Method method : {Method::read, Method::exists}) {
    slow.push_back(raw());
    slow.back().upgrade();
    slow.back().request(method, 1, key_args(key));
    ASSERT_TRUE(backend_.wait_for_reads(slow.size()));
    Client quick = connect_to(service_->url(), "auto", [](Options& o) { o.timeout = 5; });
    EXPECT_FALSE(value_of(quick.exists(view("k"))));
  }
  backend_.let_go();
  for (RawClient& each : slow) EXPECT_EQ(each.reply()->status, Status::success);
}

TEST_F(ServiceTest, HandsWritesThatWaitForADiskToOthers) {
  backend_.set_waits(true);
  serve();
  backend_.hold();
  RawClient first = raw();
  RawClient second = raw();
  first.upgrade();
  second.upgrade();
  first.request(Method::write, 1, write_args(view("a"), view("1")));
  second.request(Method::write, 1, write_args(view("b"), view("2")));
  ASSERT_TRUE(backend_.wait_for_writes(2));  // both at once
  backend_.let_go();
  EXPECT_EQ(first.reply()->status, Status::success);
  EXPECT_EQ(second.reply()->status, Status::success);
}

TEST_F(ServiceTest, ServesOthersWhileALargeReplyIsNotTaken) {
  serve();
  const Bytes payload = payload_of(std::size_t{32} << 20);
  ASSERT_TRUE(backend_.write(view("large"), payload).ok());
  RawClient slow = raw();
  slow.upgrade();
  slow.request(Method::read, 1, key_args(view("large")));
  slow.request(Method::exists, 2, key_args(view("large")));
  Client quick = connect_to(service_->url());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(value_of(quick.exists(view("large"))));
  const auto reply = slow.reply();
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(value_of(codec::decode_read_response(reply->body)) == std::optional(payload));
  EXPECT_EQ(slow.reply()->request_id, 2U);
}

TEST_F(ServiceTest, ChecksPayloadsWithoutWaitingForWrites) {
  serve();
  const Bytes payload = payload_of(std::size_t{8} << 20);
  ASSERT_TRUE(backend_.write(view("large"), payload).ok());
  backend_.hold();
  std::vector<RawClient> writers;
  for (int i = 0; i < 6; ++i) {
    writers.push_back(raw());
    writers.back().upgrade();
    writers.back().request(Method::write, 1, write_args(view("k"), payload_of(std::size_t{2} << 20)));
  }
  ASSERT_TRUE(backend_.wait_for_writes(2));
  Client reader = connect_to(service_->url(), "auto", [](Options& o) { o.timeout = 20; });
  EXPECT_TRUE(*value_of(reader.read(view("large"))) == payload);
  backend_.let_go();
  for (RawClient& writer : writers) EXPECT_EQ(writer.reply()->status, Status::success);
}

TEST_F(ServiceTest, DoesNotCompleteAReplyThatIsNotWhatWasChecked) {
  serve();
  ASSERT_TRUE(backend_.write(view("large"), payload_of(std::size_t{5} << 20)).ok());
  ASSERT_TRUE(backend_.write(view("long"), payload_of(std::size_t{1} << 20)).ok());
  backend_.alter();
  for (const char* key : {"large", "long"}) {
    RawClient client = raw();
    client.upgrade();
    client.request(Method::read, 1, key_args(view(key)));
    ASSERT_FALSE(client.reply().has_value());
    EXPECT_EQ(client.close_code(), 1011U);
  }
  EXPECT_TRUE(log_.wait_for("failed", "was changed while it was being sent"));
}

TEST_F(ServiceTest, LosesOneConnectionWhereMemoryRunsOutOrAnythingIsThrown) {
  serve();
  ASSERT_TRUE(backend_.write(view("large"), payload_of(std::size_t{5} << 20)).ok());
  ASSERT_TRUE(backend_.write(view("long"), payload_of(std::size_t{1} << 20)).ok());
  backend_.starve();
  RawClient idle = raw();
  idle.upgrade();
  // What another thread has prepared, and what is answered at once.
  for (const char* key : {"large", "long"}) {
    RawClient client = raw();
    client.upgrade();
    client.request(Method::read, 1, key_args(view(key)));
    EXPECT_FALSE(client.reply().has_value());
  }
  EXPECT_TRUE(log_.wait_for_count("failed", 2));
  EXPECT_NE(log_.wait_for("failed", "out of memory")->peer, "");
  backend_.surprise();
  RawClient client = raw();
  client.upgrade();
  client.request(Method::read, 1, key_args(view("long")));
  EXPECT_FALSE(client.reply().has_value());
  EXPECT_TRUE(log_.wait_for("failed", "a connection is cut: out of luck"));
  EXPECT_EQ(call(idle, Method::exists, key_args(view("large"))).status, Status::success);
  EXPECT_TRUE(service_->stop(30).ok());
}

// ---- The end ----

TEST_F(ServiceTest, CarriesOutWhatHasBegunBeforeItStops) {
  serve();
  const Bytes payload = payload_of(std::size_t{2} << 20);
  backend_.hold();
  RawClient client = raw();
  RawClient idle = raw();
  client.upgrade();
  idle.upgrade();
  client.request(Method::write, 1, write_args(view("k"), payload));
  ASSERT_TRUE(backend_.wait_for_writes(1));
  Result<void> stopped;
  std::thread stopper([&] { stopped = service_->stop(30); });
  EXPECT_EQ(idle.close_code(), 1001U);  // which had nothing to wait for
  backend_.let_go();
  const auto reply = client.reply();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->status, Status::success);
  EXPECT_EQ(client.close_code(), 1001U);
  client.close();
  idle.close();
  stopper.join();
  EXPECT_TRUE(stopped.ok()) << stopped.error().detail;
  EXPECT_TRUE(service_->wait(0));
  EXPECT_EQ(backend_.flushes(), 1U);
  EXPECT_TRUE(value_of(backend_.exists(view("k"))));
  EXPECT_FALSE(net::connect_tcp("127.0.0.1", service_->port(), net::after(net::Clock::now(), 10), {}).ok());
  EXPECT_TRUE(service_->stop(0).ok());
}

TEST_F(ServiceTest, CutsWhatDoesNotEndInTime) {
  serve();
  backend_.hold();
  RawClient client = raw();
  client.upgrade();
  client.request(Method::write, 1, write_args(view("k"), payload_of(std::size_t{2} << 20)));
  ASSERT_TRUE(backend_.wait_for_writes(1));
  Result<void> stopped;
  std::thread stopper([&] { stopped = service_->stop(0.01); });
  EXPECT_FALSE(client.reply().has_value());  // cut while the write is still going on
  backend_.let_go();
  stopper.join();
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, Errc::operation_timeout);
  EXPECT_EQ(backend_.flushes(), 1U);
}

TEST_F(ServiceTest, GivesUpReadsThatNobodyWaitsFor) {
  serve();
  ASSERT_TRUE(backend_.write(view("k"), payload_of(std::size_t{8} << 20)).ok());
  backend_.hold_reads();
  std::vector<RawClient> clients;
  for (std::size_t i = 0; i < 8; ++i) {
    clients.push_back(raw());
    clients.back().upgrade();
    for (std::uint32_t id = 1; id <= 3; ++id) clients.back().request(Method::read, id, key_args(view("k")));
  }
  ASSERT_TRUE(backend_.wait_for_reads(4));  // as many as there are threads for
  for (std::size_t i = 0; i < 4; ++i) clients[i].close();
  ASSERT_TRUE(backend_.wait_for_reads(5));
  while (service_->status().stats.connections > 4) std::this_thread::yield();
  const Result<void> stopped = service_->stop(0);
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, Errc::operation_timeout);
}

TEST_F(ServiceTest, BeginsNoWriteOfAConnectionThatWasCut) {
  serve();
  backend_.hold();
  std::vector<RawClient> clients;
  std::uint64_t sent = 0;
  for (const char* key : {"a", "b", "c"}) {  // one more than there are threads for
    clients.push_back(raw());
    clients.back().upgrade();
    const std::string request =
        RawClient::request_text(Method::write, 1, write_args(view(key), payload_of(std::size_t{2} << 20)));
    clients.back().send(request);
    sent += request.size();
  }
  ASSERT_TRUE(backend_.wait_for_writes(2));
  while (service_->status().stats.bytes_received < sent) std::this_thread::yield();
  std::thread stopper([&] { EXPECT_FALSE(service_->stop(0).ok()); });
  for (RawClient& client : clients) EXPECT_TRUE(client.ends());
  backend_.let_go();
  stopper.join();
  EXPECT_EQ(value_of(backend_.size()), 2U);
}

TEST_F(ServiceTest, IdleConnectionsMayBeCut) {
  serve();
  Client client = connect_to(service_->url());
  ASSERT_TRUE(client.write(view("k"), view("v")).ok());
  RawClient silent = raw();
  silent.upgrade();
  const Result<void> stopped = service_->stop(0);
  EXPECT_TRUE(stopped.ok()) << stopped.error().detail;
  EXPECT_EQ(silent.close_code(), 1001U);
}

TEST_F(ServiceTest, StopsWithTheShortestOfAllTimeouts) {
  serve();
  backend_.hold();
  RawClient client = raw();
  RawClient idle = raw();
  client.upgrade();
  idle.upgrade();
  client.request(Method::write, 1, write_args(view("k"), payload_of(std::size_t{2} << 20)));
  ASSERT_TRUE(backend_.wait_for_writes(1));
  std::vector<Result<void>> results(2);
  std::thread patient([&] { results[0] = service_->stop(3600); });
  EXPECT_EQ(idle.close_code(), 1001U);
  std::thread hasty([&] { results[1] = service_->stop(0); });
  EXPECT_FALSE(client.reply().has_value());  // cut
  backend_.let_go();
  patient.join();
  hasty.join();
  for (const Result<void>& result : results) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, Errc::operation_timeout);
  }
}

TEST_F(ServiceTest, StopsAnyNumberOfTimesFromAnyThread) {
  serve();
  Client client = connect_to(service_->url());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { EXPECT_TRUE(service_->stop(30).ok()); });
  EXPECT_TRUE(service_->wait(30));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(log_.count("stopped"), 1U);
}

// It would wait for the thread that it is called on.
TEST_F(ServiceTest, DoesNotStopFromItsOwnLogFunction) {
  std::vector<Result<void>> results;  // one call at a time
  serve([&](ServerOptions& o) {
    o.log = [&, sink = log_.sink()](const LogRecord& record) {
      if (record.event == "connected" || record.event == "stopped") results.push_back(service_->stop(30));
      sink(record);
    };
  });
  {
    Client client = connect_to(service_->url());
    EXPECT_TRUE(log_.wait_for("connected"));
    EXPECT_TRUE(client.write(view("k"), view("it goes on")).ok());
    EXPECT_FALSE(service_->stopping());
  }
  EXPECT_TRUE(service_->stop(30).ok());
  ASSERT_EQ(results.size(), 2U);
  for (const Result<void>& result : results) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, Errc::configuration);
    EXPECT_NE(result.error().detail.find("another thread"), std::string::npos) << result.error().detail;
  }
}

// Whoever is told to stop the server by the log does so on another thread.
TEST_F(ServiceTest, StopsWhileItsLogFunctionIsCalled) {
  std::thread stopper;
  serve([&](ServerOptions& o) {
    o.log = [&, sink = log_.sink()](const LogRecord& record) {
      if (record.event == "connected") stopper = std::thread([&] { EXPECT_TRUE(service_->stop(30).ok()); });
      sink(record);
    };
  });
  RawClient client = raw();
  client.upgrade();
  EXPECT_EQ(client.close_code(), 1001U);
  client.close();
  EXPECT_TRUE(service_->wait(30));
  stopper.join();
}

}  // namespace
}  // namespace simdrive::testing_server
