// What a server does where memory or descriptors are short.
#include <gtest/gtest.h>

#ifndef _WIN32
#include <sys/resource.h>
#include <unistd.h>
#endif

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/listening.hpp"
#include "service_fixture.hpp"

namespace simdrive::testing_server {
namespace {

class ServerShortageTest : public ServiceFixture {
 protected:
  ServerShortageTest() : ServiceFixture(2) {}
};

// A short request may stand for many keys, and what is known of each is kept until the reply is taken.
TEST_F(ServerShortageTest, CountsWhatItKeepsOfManyKeysUntilTheReplyIsTaken) {
  serve([](ServerOptions& o) { o.limits.max_unfinished_total = 25'000'000; });
  ASSERT_TRUE(backend_.write({}, payload_of(1000)).ok());
  Gather gathered;
  codec::encode_batch_read_request(std::vector<BytesView>(200'000), gathered);
  const Bytes args = flat(gathered);
  ASSERT_LT(args.size(), 30'000U);
  RawClient first = raw();
  first.upgrade();
  first.request(rpc::Method::batch_read, 1, args);
  ASSERT_TRUE(first.next().has_value());
  EXPECT_GT(service_->unfinished.load(), 6'000'000U);
  EXPECT_LT(service_->unfinished.load(), 10'000'000U);
  RawClient second = raw();
  second.upgrade();
  second.request(rpc::Method::batch_read, 1, args);
  const auto reply = second.reply();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->text().substr(0, 200),
            "batch_read, 200000 keys: the server has no room for this request beside others (its option "
            "max_unfinished_total)");
  EXPECT_GE(breaches(server::Limit::unfinished_total), 1U);
  second.request(rpc::Method::read, 2, key_args({}));
  EXPECT_EQ(second.reply()->status, rpc::Status::success);
  first.close();
  while (service_->unfinished.load() != 0) std::this_thread::yield();
  second.request(rpc::Method::batch_read, 3, args);
  EXPECT_EQ(second.reply()->status, rpc::Status::success);
}

TEST_F(ServerShortageTest, CountsWhatPackedArgumentsStandFor) {
  serve([](ServerOptions& o) { o.limits.max_unfinished_total = std::uint64_t{8} << 20; });
  RawClient client = raw();
  client.upgrade();
  const Bytes value = payload_of(std::size_t{12} << 20, true);
  const auto packed = [&](std::size_t n) {
    Gather out;
    codec::encode_write_request(view("k"), BytesView(value).first(n), out, codec::Packing::canonical);
    return flat(out);
  };
  ASSERT_LT(packed(value.size()).size(), std::size_t{2} << 20);
  client.request(rpc::Method::write, 1, packed(value.size()));
  EXPECT_TRUE(client.reply()->text().starts_with("write, key 6b: the server has no room for this request"));
  EXPECT_GE(breaches(server::Limit::unfinished_total), 1U);
  client.request(rpc::Method::write, 2, packed(value.size() / 2));
  EXPECT_EQ(client.reply()->status, rpc::Status::success);
  EXPECT_TRUE(service_->stop(30).ok());
  EXPECT_EQ(service_->unfinished.load(), 0U);
}

#ifndef _WIN32  // where descriptors have no limit of their own
// Uses up the descriptors of the process.
class DescriptorLimit {
 public:
  DescriptorLimit() { EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &old_), 0); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;
  ~DescriptorLimit() { lift(); }

  /// All but `n`, until lift().
  void leave(std::size_t n) {
    const int lowest = ::dup(0);
    ::close(lowest);
    const rlimit low{static_cast<rlim_t>(lowest) + 64, old_.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) taken_.push_back(fd);
    ASSERT_GE(taken_.size(), n);
    for (; n != 0; --n, taken_.pop_back()) ::close(taken_.back());
  }
  void lift() {
    for (const int fd : taken_) ::close(fd);
    taken_.clear();
    ::setrlimit(RLIMIT_NOFILE, &old_);
  }

 private:
  rlimit old_{};
  std::vector<int> taken_;
};
TEST_F(ServerShortageTest, LeavesDescriptorsToTheProcess) {
  serve([](ServerOptions& o) { o.limits.reserved_descriptors = 0x7fffffff; });
  if (server::descriptor_limit() > 0x7fffffff) GTEST_SKIP() << "descriptors are not limited here";
  RawClient first = raw();
  first.send(testing_net::kUpgrade);
  const std::string answer = first.receive_http();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503")) << answer;
  EXPECT_NE(answer.find("descriptors"), std::string::npos) << answer;
  EXPECT_TRUE(log_.wait_for("limit", "descriptors: refused"));
  EXPECT_EQ(breaches(server::Limit::connections), 0U);
  EXPECT_GE(breaches(server::Limit::descriptors), 1U);
  // It goes on trying.
  RawClient second = raw();
  second.send(testing_net::kUpgrade);
  EXPECT_TRUE(second.receive_http().starts_with("HTTP/1.1 503"));
}

struct Surroundings final : server::Shared {
  using Shared::Shared;
  std::string status_json() const override { return "{}"; }
};

// Its thread would not sleep until it ends.
TEST_F(ServerShortageTest, WantsNoLookAtTheClockAfterItsEndWhileItPauses) {
  if (server::descriptor_limit() > 0x7fffffff) GTEST_SKIP() << "descriptors are not limited here";
  ServerOptions options;
  options.limits.reserved_descriptors = 0x7fffffff;
  Surroundings shared(backend_, options, 1, 1);
  std::vector<std::unique_ptr<server::Reactor>> reactors;
  reactors.push_back(value_of(server::Reactor::make(shared)));
  net::Listener listener = value_of(net::Listener::tcp("127.0.0.1", 0));
  const RawClient client(listener.port());
  server::Listening listening(shared, std::move(listener), reactors);
  ASSERT_TRUE(listening.begin().ok());
  const net::TimePoint now = net::Clock::now();
  listening.accept(now);
  EXPECT_LT(listening.tick(now), net::TimePoint::max());  // it pauses
  listening.stop();
  EXPECT_EQ(listening.tick(now), net::TimePoint::max());
}

// The first upgrade on a thread takes none: what it needs was taken at the start, which else fails.
TEST_F(ServerShortageTest, HasAllDescriptorsThatServingTakesFromTheStart) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "UBSan opens pipes to find out whether memory can be read";
#endif
  DescriptorLimit limit;
  Result<void> started = Error{};
  for (std::size_t spare = 0; spare < 40; ++spare) {
    ServerOptions options;
    options.threads = 2;
    options.log = log_.sink();
    service_ = std::make_unique<server::Service>(backend_, options);
    limit.leave(spare);
    started = service_->start(options);
    limit.lift();
    if (started) break;
    EXPECT_EQ(started.error().code, Errc::bind_failed) << started.error().detail;
    service_.reset();
  }
  ASSERT_TRUE(started.ok());
  RawClient first = raw();
  RawClient second = raw();
  while (service_->status().stats.accepted != 2) std::this_thread::yield();
  limit.leave(0);
  for (RawClient* each : {&first, &second}) {
    each->send(testing_net::kUpgrade);
    EXPECT_TRUE(each->receive_http().starts_with("HTTP/1.1 101"));
  }
}
#endif

}  // namespace
}  // namespace simdrive::testing_server
