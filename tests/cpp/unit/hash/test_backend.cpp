#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "hash/backend.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {
namespace {

constexpr std::string_view kKnown[] = {"scalar", "sse2", "avx2", "avx512", "neon"};

// Puts back the backend that was active.
class HashBackend : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_TRUE(set_hash_backend(before_).ok()); }

 private:
  std::string before_{hash_backend()};
};

TEST_F(HashBackend, BestFirstScalarLast) {
  const auto names = hash_backends();
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names.back(), "scalar");
  for (const std::string_view name : names) {
    EXPECT_NE(std::find(std::begin(kKnown), std::end(kKnown), name), std::end(kKnown)) << name;
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 1) << name;
  }
  ASSERT_TRUE(set_hash_backend("").ok());
  EXPECT_EQ(hash_backend(), names.front());
}

TEST_F(HashBackend, EachCanBeForced) {
  for (const std::string_view name : hash_backends()) {
    ASSERT_TRUE(set_hash_backend(name).ok());
    EXPECT_EQ(hash_backend(), name);
    EXPECT_EQ(hash::active_backend().name, name);
  }
}

TEST_F(HashBackend, AnUnknownNameIsAnErrorAndChangesNothing) {
  ASSERT_TRUE(set_hash_backend("scalar").ok());
  const auto result = set_hash_backend("avx1024");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Errc::configuration);
  EXPECT_EQ(result.error().detail.find("the hash backend \"avx1024\" is no backend; usable here: "), 0U)
      << result.error().detail;
  EXPECT_EQ(hash_backend(), "scalar");
}

TEST_F(HashBackend, ANameThatCannotRunHereIsAnError) {
  const auto usable = hash_backends();
  int refused = 0;
  for (const std::string_view name : kKnown) {
    if (std::find(usable.begin(), usable.end(), name) != usable.end()) continue;
    ++refused;
    const auto result = set_hash_backend(name);
    ASSERT_FALSE(result.ok()) << name;
    EXPECT_NE(result.error().detail.find("cannot run on this CPU"), std::string::npos) << result.error().detail;
  }
  EXPECT_GE(refused, 1);  // no CPU has both NEON and SSE2
}

TEST_F(HashBackend, FeaturesFitTheBackends) {
  const auto features = cpu_features();
  const auto has = [&](std::string_view name) {
    return std::find(features.begin(), features.end(), name) != features.end();
  };
  const auto usable = hash_backends();
  const auto can = [&](std::string_view name) { return std::find(usable.begin(), usable.end(), name) != usable.end(); };
  EXPECT_EQ(has("sse2"), can("sse2"));
  EXPECT_EQ(has("avx2"), can("avx2"));
  EXPECT_EQ(has("avx512f") && has("avx512bw") && has("avx512dq") && has("avx512vl"), can("avx512"));
  EXPECT_EQ(has("neon"), can("neon"));
}

// What a CPU lacks is not tested on it: said here, so that the output of a run tells it.
TEST_F(HashBackend, UntestedOnThisCpu) {
  const auto usable = hash_backends();
  std::string missing;
  for (const std::string_view name : kKnown) {
    if (std::find(usable.begin(), usable.end(), name) == usable.end()) missing.append(" ").append(name);
  }
  if (!missing.empty()) GTEST_SKIP() << "backends that this CPU cannot run:" << missing;
}

}  // namespace
}  // namespace simdrive
