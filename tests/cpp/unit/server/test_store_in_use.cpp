// A server whose store is used by others meanwhile, and whose disk fails.
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "raw_client.hpp"
#include "serving.hpp"
#include "simdrive/server.hpp"
#include "support/failing_files.hpp"
#include "support/temporary_folder.hpp"

namespace simdrive::testing_server {
namespace {

using rpc::Method;
using rpc::Status;

/// A stream into a store that goes on when it is told to: the store takes no other write meanwhile.
class HeldStream {
 public:
  explicit HeldStream(Store& store) : writer_([this, &store] { result_ = store.write_stream(view("s"), source()); }) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(30), [this] { return asked_; });
  }
  HeldStream(const HeldStream&) = delete;
  HeldStream& operator=(const HeldStream&) = delete;
  ~HeldStream() { (void)finish(); }

  bool finish() {
    {
      const std::lock_guard lock(mutex_);
      released_ = true;
      changed_.notify_all();
    }
    if (writer_.joinable()) writer_.join();
    return result_.ok();
  }

 private:
  StreamSource source() {
    return {.context = this, .read = [](void* self, std::uint8_t* buffer, std::size_t) -> std::int64_t {
              return static_cast<HeldStream*>(self)->give(buffer);
            }};
  }
  std::int64_t give(std::uint8_t* buffer) {
    std::unique_lock lock(mutex_);
    asked_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return released_; });
    if (std::exchange(given_, true)) return 0;
    *buffer = 7;
    return 1;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool asked_ = false;
  bool released_ = false;
  bool given_ = false;
  Result<std::uint64_t> result_ = Error{};
  std::thread writer_;
};

TEST(StoreInUseTest, ReadsWaitForNoWriteOfOthers) {
  Store store = value_of(Store::memory());
  ASSERT_TRUE(store.write(view("k"), view("value")).ok());
  ASSERT_TRUE(store.write(view("gone"), view("value")).ok());
  const Bytes large = payload_of(std::size_t{8} << 20);
  ASSERT_TRUE(store.write(view("large"), large).ok());
  Server server = value_of(Server::start(store, {.threads = 1}));
  HeldStream stream(store);

  // Short writes and long ones, more of them than there are threads for such.
  std::vector<RawClient> writers;
  for (int i = 0; i < 8; ++i) writers.emplace_back(server.port()).upgrade();
  writers[0].request(Method::write, 1, write_args(view("q"), view("1")));
  writers[0].request(Method::read, 2, key_args(view("q")));
  writers[1].request(Method::erase, 1, key_args(view("gone")));
  writers[1].request(Method::exists, 2, key_args(view("gone")));
  Gather batch;
  const std::vector<KeyValue> entries = {{view("a"), view("1")}, {view("b"), view("2")}};
  codec::encode_batch_write_request(entries, batch);
  writers[2].request(Method::batch_write, 1, flat(batch));
  writers[2].request(Method::exists, 2, key_args(view("b")));
  for (std::size_t i = 3; i < writers.size(); ++i) {
    writers[i].request(Method::write, 1, write_args(view("long"), payload_of(std::size_t{2} << 20)));
    writers[i].request(Method::exists, 2, key_args(view("long")));
  }

  const std::string wire = "auto";
  Client reader = connect_to(server.url(), wire, [](Options& o) { o.timeout = 20; });
  EXPECT_EQ(text(*value_of(reader.read(view("k")))), "value");
  EXPECT_TRUE(*value_of(reader.read(view("large"))) == large);  // checked by another thread
  EXPECT_TRUE(value_of(reader.exists(view("gone"))));
  EXPECT_FALSE(value_of(reader.exists(view("q"))));
  EXPECT_TRUE(RawClient(server.port()).http("/healthz").starts_with("HTTP/1.1 200"));

  // Each connection hears of its write first, and then what came of it.
  EXPECT_TRUE(stream.finish());
  for (std::size_t i = 0; i < writers.size(); ++i) {
    const auto written = writers[i].reply();
    ASSERT_TRUE(written.has_value()) << i;
    EXPECT_EQ(written->request_id, 1U);
    EXPECT_EQ(written->status, Status::success) << written->text();
    const auto after = writers[i].reply();
    ASSERT_TRUE(after.has_value()) << i;
    EXPECT_EQ(after->request_id, 2U);
    if (i == 0) {
      EXPECT_EQ(text(*value_of(codec::decode_read_response(after->body))), "1");
    } else {
      EXPECT_EQ(value_of(codec::decode_bool_response(after->body)), i != 1) << i;
    }
  }
}

TEST(StoreInUseTest, AFailedSyncLeavesOpenWhetherTheWriteStays) {
  const testing_store::TemporaryFolder folder;
  testing_store::FailingFiles files(store::system_files(), {testing_store::Call::sync});
  Store store =
      value_of(Store::open(folder.file("store.bin"), {.sync = StoreSync::always, .lock = false, .files = &files}));
  Server server = value_of(Server::start(store));
  Client client = connect_to(server.url());
  ASSERT_TRUE(client.write(view("first"), view("v")).ok());
  files.fail(0, testing_store::FaultKind::io_error, 1);
  const auto failed = client.write(view("k"), view("v"));
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, Errc::server_error);
  EXPECT_EQ(failed.error().outcome, Outcome::unknown);
  EXPECT_NE(failed.error().detail.find("may have been applied: write, key 6b: "), std::string::npos)
      << failed.error().detail;
  EXPECT_TRUE(value_of(client.exists(view("k"))));
  // From now on nothing is written any more, and that is known.
  const auto refused = client.write(view("other"), view("v"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().outcome, Outcome::not_applied) << refused.error().detail;
  EXPECT_FALSE(value_of(client.exists(view("other"))));
}

#ifndef _WIN32
TEST(StoreInUseTest, ItsStatusIsOfTheFileThatItHas) {
  const testing_store::TemporaryFolder folder;
  const std::string path = folder.file("store.bin");
  Store store = value_of(Store::open(path));
  Server server = value_of(Server::start(store));
  ASSERT_TRUE(store.write(view("k"), view("v")).ok());
  EXPECT_EQ(server.stats().file_size, value_of(store.file_size()));
  ASSERT_TRUE(std::filesystem::remove(path));
  ASSERT_TRUE(store.write(view("other"), view("v")).ok());
  EXPECT_EQ(server.stats().file_size, store.tail());
  EXPECT_GT(store.tail(), 0U);
  // The call is for the file at the path, as it is of the existing servers.
  Client client = connect_to(server.url());
  const auto size = client.file_size();
  ASSERT_FALSE(size.ok());
  EXPECT_EQ(size.error().code, Errc::server_error);
  ASSERT_TRUE(store.close().ok());
  EXPECT_EQ(server.stats().file_size, 0U);
}
#endif

TEST(StoreInUseTest, AClosedStoreIsNotServed) {
  Store store = value_of(Store::memory());
  ASSERT_TRUE(store.close().ok());
  const Result<Server> server = Server::start(store);
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.error().code, Errc::closed);
}

}  // namespace
}  // namespace simdrive::testing_server
