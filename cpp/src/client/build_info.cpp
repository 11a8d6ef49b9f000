// Here, because this layer sees all those that have something to tell.
#include "simdrive/build_info.hpp"

#include <initializer_list>
#include <string_view>

#include "hash/build_info.hpp"
#include "net/build_info.hpp"
#include "simdrive/hash.hpp"
#include "simdrive/version.hpp"

namespace simdrive {

namespace {

std::string numbered(std::string text, std::initializer_list<int> numbers) {
  char before = ' ';
  for (const int number : numbers) {
    text.append(1, before).append(std::to_string(number));
    before = '.';
  }
  return text;
}

// Clang calls itself GCC as well, and on Windows MSVC: it is asked first.
std::string compiler() {
#if defined(__apple_build_version__)
  return numbered("Apple Clang", {__clang_major__, __clang_minor__, __clang_patchlevel__});
#elif defined(__clang__)
  return numbered("Clang", {__clang_major__, __clang_minor__, __clang_patchlevel__});
#elif defined(__GNUC__)
  return numbered("GCC", {__GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__});
#elif defined(_MSC_VER)
  return numbered("MSVC", {_MSC_VER / 100, _MSC_VER % 100});
#else
  return "unknown";
#endif
}

std::string standard_library() {
#if defined(_LIBCPP_VERSION)
  // Two digits for each part since release 15, three digits for the first two before.
  return numbered("libc++", {_LIBCPP_VERSION >= 100000 ? _LIBCPP_VERSION / 10000 : _LIBCPP_VERSION / 1000});
#elif defined(_GLIBCXX_RELEASE)
  return numbered("libstdc++", {_GLIBCXX_RELEASE});
#elif defined(_MSVC_STL_VERSION)
  return numbered("MSVC STL", {_MSVC_STL_VERSION});
#else
  return "unknown";
#endif
}

std::string build_type() {
#if defined(NDEBUG)
  return "release";
#else
  return "debug";
#endif
}

std::string target_system() {
#if defined(_WIN32)
  return "Windows";
#elif defined(__APPLE__)
  return "macOS";
#elif defined(__ANDROID__)
  return "Android";
#elif defined(__linux__)
  return "Linux";
#elif defined(__FreeBSD__)
  return "FreeBSD";
#else
  return "unknown";
#endif
}

std::string architecture() {
#if defined(__x86_64__) || defined(_M_X64)
  return "x86_64";
#elif defined(__aarch64__) || defined(_M_ARM64)
  return "aarch64";
#elif defined(__i386__) || defined(_M_IX86)
  return "x86";
#elif defined(__arm__) || defined(_M_ARM)
  return "arm";
#elif defined(__riscv) && __riscv_xlen == 64
  return "riscv64";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
  return "ppc64le";
#elif defined(__s390x__)
  return "s390x";
#else
  return "unknown";
#endif
}

}  // namespace

BuildInfo build_info() {
  BuildInfo info;
  info.version = kVersion;
  info.compiler = compiler();
  info.standard_library = standard_library();
  info.build_type = build_type();
  info.system = target_system();
  info.architecture = architecture();
  info.boost = net::boost_version();
  info.xsimd = hash::xsimd_version();
  info.compiled_backends = hash::compiled_backends();
  for (const std::string_view name : hash_backends()) info.backends.emplace_back(name);
  info.backend = hash_backend();
  info.tls = net::tls_library();
  info.dialects = {"d13", "d21"};
  return info;
}

}  // namespace simdrive
