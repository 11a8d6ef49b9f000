#include "client/message_order.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace simdrive::client {
namespace {

using rpc::Method;

struct Nobody final : Completions {
  void completed(Call&) noexcept override {}
};

class MessageOrderTest : public testing::Test {
 protected:
  // A call that nobody waits for, of one key; of many if it is 0.
  bool started(Method method, std::uint64_t key) {
    Call call(method, Reply::number, args_);
    call.completions = &nobody_;
    call.touches = key == 0 ? Touches::any_key : Touches::one_key;
    call.key_hash = key;
    return order.admit(call);
  }
  bool waited(Method method) { return order.admit(Call(method, Reply::number, args_)); }

  MessageOrder order;

 private:
  Gather args_;
  Nobody nobody_;
};

TEST_F(MessageOrderTest, ReadsOfOneKeyShareAMessageWritesDoNot) {
  order.begin();
  EXPECT_TRUE(started(Method::read, 1));
  EXPECT_TRUE(started(Method::exists, 1));
  EXPECT_TRUE(started(Method::write, 2));
  EXPECT_FALSE(started(Method::erase, 1));
  EXPECT_FALSE(started(Method::read, 2));
  EXPECT_FALSE(started(Method::write, 2));
  EXPECT_TRUE(started(Method::write, 3));
  order.begin();
  EXPECT_TRUE(started(Method::erase, 1));
  EXPECT_TRUE(started(Method::write, 2));
}

TEST_F(MessageOrderTest, WhatTouchesManyKeysMeetsAllOfThem) {
  order.begin();
  EXPECT_TRUE(started(Method::read, 1));
  EXPECT_TRUE(started(Method::batch_read, 0));
  EXPECT_TRUE(started(Method::len, 0));
  EXPECT_FALSE(started(Method::write, 1));
  EXPECT_FALSE(started(Method::batch_write, 0));
  order.begin();
  EXPECT_TRUE(started(Method::batch_write, 0));
  EXPECT_FALSE(started(Method::read, 1));
  EXPECT_FALSE(started(Method::is_empty, 0));
  EXPECT_FALSE(started(Method::batch_write, 0));
  order.begin();
  EXPECT_TRUE(started(Method::write, 1));
  EXPECT_FALSE(started(Method::len, 0));
  EXPECT_FALSE(started(Method::batch_read, 0));
}

TEST_F(MessageOrderTest, CallsThatThreadsWaitForHaveNoOrderAmongThemselves) {
  order.begin();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(waited(Method::write));
    EXPECT_TRUE(waited(Method::read));
  }
  EXPECT_FALSE(started(Method::read, 1));
  EXPECT_FALSE(started(Method::write, 1));
  order.begin();
  EXPECT_TRUE(waited(Method::read));
  EXPECT_TRUE(started(Method::read, 1));
  EXPECT_FALSE(started(Method::write, 1));
}

TEST_F(MessageOrderTest, AThreadThatWaitsComesAfterWhatItHasStarted) {
  order.begin();
  EXPECT_TRUE(started(Method::read, 1));
  EXPECT_TRUE(waited(Method::read));
  EXPECT_FALSE(waited(Method::write));
  order.begin();
  EXPECT_TRUE(started(Method::write, 1));
  EXPECT_FALSE(waited(Method::read));
  EXPECT_FALSE(waited(Method::write));
}

// Keys that share a place in its table, more keys than it takes, and message after message.
TEST_F(MessageOrderTest, RemembersAllKeysOfAMessage) {
  for (int message = 0; message < 20; ++message) {
    order.begin();
    std::uint64_t n = 0;
    while (started(Method::write, 1 + n * 512)) ++n;
    EXPECT_GE(n, 1000U);
    for (std::uint64_t i = 0; i < n; ++i) ASSERT_FALSE(started(Method::read, 1 + i * 512)) << i;
  }
}

}  // namespace
}  // namespace simdrive::client
