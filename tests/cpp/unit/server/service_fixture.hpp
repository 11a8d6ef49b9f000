// A service over a store in memory that can be held up, for tests to derive from.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "raw_client.hpp"
#include "server/service.hpp"
#include "serving.hpp"

namespace simdrive::testing_server {

class ServiceFixture : public testing::Test {
 protected:
  explicit ServiceFixture(std::uint32_t threads) : threads_(threads) {}

  void TearDown() override { backend_.let_go(); }  // also when the test has failed
  void serve(const std::function<void(ServerOptions&)>& change = {}) {
    ServerOptions options;
    options.threads = threads_;
    options.log = log_.sink();
    if (change) change(options);
    ASSERT_TRUE(server::check(options).ok());
    service_ = std::make_unique<server::Service>(backend_, options);
    const Result<void> started = service_->start(options);
    ASSERT_TRUE(started.ok()) << started.error().detail;
  }
  [[nodiscard]] RawClient raw() const { return RawClient(service_->port()); }
  [[nodiscard]] std::uint64_t breaches(server::Limit limit) const {
    return service_->status().breaches[static_cast<std::size_t>(limit)];
  }

  LogBook log_;
  HeldBackend backend_;
  std::unique_ptr<server::Service> service_;

 private:
  std::uint32_t threads_;
};

}  // namespace simdrive::testing_server
