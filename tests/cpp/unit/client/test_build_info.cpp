#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "simdrive/build_info.hpp"
#include "simdrive/client.hpp"
#include "simdrive/hash.hpp"
#include "simdrive/version.hpp"

namespace simdrive {
namespace {

TEST(BuildInfo, VersionIsTheOneOfTheLibrary) {
  EXPECT_EQ(build_info().version, kVersion);
  const std::string numbers =
      std::to_string(kVersionMajor) + "." + std::to_string(kVersionMinor) + "." + std::to_string(kVersionPatch);
  EXPECT_EQ(build_info().version.substr(0, numbers.size()), numbers);
}

TEST(BuildInfo, NamesTheCompilerOfThisTest) {
  const BuildInfo info = build_info();
#if defined(__apple_build_version__)
  EXPECT_EQ(info.compiler.substr(0, 12), "Apple Clang ");
#elif defined(__clang__)
  EXPECT_EQ(info.compiler.substr(0, 6), "Clang ");
#elif defined(__GNUC__)
  EXPECT_EQ(info.compiler.substr(0, 4), "GCC ");
#elif defined(_MSC_VER)
  EXPECT_EQ(info.compiler.substr(0, 5), "MSVC ");
#endif
  EXPECT_NE(info.standard_library.find_last_of("0123456789"), std::string::npos) << info.standard_library;
#if defined(NDEBUG)
  EXPECT_EQ(info.build_type, "release");
#else
  EXPECT_EQ(info.build_type, "debug");
#endif
  EXPECT_NE(info.system, "unknown");
  EXPECT_NE(info.architecture, "unknown");
}

TEST(BuildInfo, HeadersHaveVersionsThatAreSupported) {
  const BuildInfo info = build_info();
  EXPECT_GE(std::stoi(info.xsimd), 13) << info.xsimd;
  ASSERT_EQ(info.boost.substr(0, 2), "1.");
  EXPECT_GE(std::stoi(info.boost.substr(2)), 81) << info.boost;
}

TEST(BuildInfo, BackendsAreThoseOfTheHashes) {
  const std::string before(hash_backend());
  for (const std::string_view name : hash_backends()) {
    ASSERT_TRUE(set_hash_backend(name).ok());
    EXPECT_EQ(build_info().backend, name);
  }
  ASSERT_TRUE(set_hash_backend(before).ok());

  const BuildInfo info = build_info();
  const auto usable = hash_backends();
  EXPECT_TRUE(std::equal(usable.begin(), usable.end(), info.backends.begin(), info.backends.end()));
  EXPECT_EQ(info.compiled_backends.back(), "scalar");
  // What the CPU can run is what was compiled, less some, in the same order.
  auto next = info.compiled_backends.begin();
  for (const std::string& name : info.backends) {
    next = std::find(next, info.compiled_backends.end(), name);
    ASSERT_NE(next, info.compiled_backends.end()) << name;
  }
}

TEST(BuildInfo, DialectsAreWhatOptionsTake) {
  const BuildInfo info = build_info();
  ASSERT_FALSE(info.dialects.empty());
  for (const std::string& name : info.dialects) {
    Options options;
    options.url = "ws://127.0.0.1:1/ws";
    options.wire = name;
    const auto client = Client::connect(options);
    // Nothing listens there; a dialect that is none would be a configuration error, before any connection.
    ASSERT_FALSE(client.ok());
    EXPECT_NE(client.error().code, Errc::configuration) << client.error().detail;
  }
}

TEST(BuildInfo, TlsIsNotThere) { EXPECT_FALSE(build_info().tls.has_value()); }

}  // namespace
}  // namespace simdrive
