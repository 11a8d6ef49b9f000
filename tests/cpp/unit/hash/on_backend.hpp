// Tests that run once on each backend, and are skipped and counted as such on those that this CPU cannot run.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "hash/backend.hpp"
#include "simdrive/hash.hpp"

namespace simdrive::test {

class OnBackend : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const hash::BackendList all = hash::usable_backends();
    for (std::size_t i = 0; i < all.count; ++i) {
      if (std::string_view(all.first[i].name) == GetParam()) backend_ = &all.first[i];
    }
    if (backend_ == nullptr) GTEST_SKIP() << "this CPU cannot run " << GetParam();
    ASSERT_TRUE(set_hash_backend(GetParam()).ok());
  }

  void TearDown() override { EXPECT_TRUE(set_hash_backend(before_).ok()); }

  [[nodiscard]] const hash::Backend& backend() const { return *backend_; }

 private:
  std::string before_{hash_backend()};
  const hash::Backend* backend_ = nullptr;
};

inline std::string backend_of_test(const ::testing::TestParamInfo<const char*>& info) { return info.param; }

}  // namespace simdrive::test

#define SIMDRIVE_ON_EVERY_BACKEND(suite)                                                               \
  INSTANTIATE_TEST_SUITE_P(Each, suite, ::testing::Values("scalar", "sse2", "avx2", "avx512", "neon"), \
                           ::simdrive::test::backend_of_test)
