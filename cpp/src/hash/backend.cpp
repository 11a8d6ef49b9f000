#include "hash/backend.hpp"

#include <array>
#include <atomic>
#include <string>
#include <string_view>
#include <vector>
#include <xsimd/xsimd.hpp>

#include "base/cpu.hpp"
#include "base/environment.hpp"
#include "base/noinline.hpp"
#include "simdrive/hash.hpp"

#if defined(__AVX__) && !defined(SIMDRIVE_BASELINE_AVX)
#error \
    "AVX flags belong to the files of one instruction set. For a library that needs AVX, define SIMDRIVE_BASELINE_AVX."
#endif

namespace simdrive {

namespace hash {

namespace {

constexpr std::size_t kMaxBackends = 4;
constexpr std::size_t kMaxCrc32 = 4;
constexpr std::size_t kMaxFeatures = 16;
constexpr std::string_view kAllNames[] = {"scalar", "sse2", "avx2", "avx512", "neon"};

/// What the CPU can run. Made once, never changed.
struct Catalogue {
  std::array<Backend, kMaxBackends> backends{};
  std::size_t backend_count = 0;
  std::array<NamedCrc32, kMaxCrc32> crc32s{};
  std::size_t crc32_count = 0;
  std::array<std::string_view, kMaxFeatures> features{};
  std::size_t feature_count = 0;

  void add(const char* name, const Xxh3Kernels& xxh3, const NamedCrc32& crc32) noexcept {
    backends[backend_count++] = {name, crc32.name, xxh3, crc32.kernels};
  }
  const NamedCrc32& add(const char* name, const Crc32Kernels& kernels) noexcept {
    return crc32s[crc32_count++] = {name, kernels};
  }
  void add_feature(bool present, std::string_view name) noexcept {
    if (present) features[feature_count++] = name;
  }
};

[[nodiscard]] Catalogue make_catalogue() noexcept {
  Catalogue all;
  const NamedCrc32* crc32 = &all.add("scalar", kCrc32Scalar);
#if defined(SIMDRIVE_SIMD_X86_64)
  const auto cpu = xsimd::available_architectures();
  const CpuExtras extras = detect_cpu_extras();
  const bool avx512 = cpu.avx512f && cpu.avx512cd && cpu.avx512dq && cpu.avx512bw && cpu.avx512vl;
  all.add_feature(cpu.sse2, "sse2");
  all.add_feature(cpu.ssse3, "ssse3");
  all.add_feature(cpu.sse4_1, "sse4.1");
  all.add_feature(cpu.sse4_2, "sse4.2");
  all.add_feature(cpu.avx, "avx");
  all.add_feature(cpu.avx2, "avx2");
  all.add_feature(cpu.avx512f, "avx512f");
  all.add_feature(cpu.avx512bw, "avx512bw");
  all.add_feature(cpu.avx512dq, "avx512dq");
  all.add_feature(cpu.avx512vl, "avx512vl");
  all.add_feature(extras.pclmul, "pclmul");
  all.add_feature(extras.vpclmulqdq, "vpclmulqdq");

  const Backend scalar = {"scalar", "scalar", kXxh3Scalar, kCrc32Scalar};
  if (extras.pclmul && cpu.sse4_1) crc32 = &all.add("pclmul", kCrc32Pclmul);
  const NamedCrc32* sse2_crc32 = crc32;
  if (extras.vpclmulqdq && cpu.avx2) crc32 = &all.add("vpclmul256", kCrc32Vpclmul256);
  const NamedCrc32* avx2_crc32 = crc32;
  if (extras.vpclmulqdq && avx512) crc32 = &all.add("vpclmul512", kCrc32Vpclmul512);
  if (avx512) all.add("avx512", kXxh3Avx512, *crc32);
  if (cpu.avx2) all.add("avx2", kXxh3Avx2, *avx2_crc32);
  if (cpu.sse2) all.add("sse2", kXxh3Sse2, *sse2_crc32);
#elif defined(SIMDRIVE_SIMD_AARCH64)
  const auto cpu = xsimd::available_architectures();
  const CpuExtras extras = detect_cpu_extras();
  all.add_feature(cpu.neon64, "neon");
  all.add_feature(extras.crc32, "crc32");
  all.add_feature(extras.pmull, "pmull");

  const Backend scalar = {"scalar", "scalar", kXxh3Scalar, kCrc32Scalar};
  if (extras.crc32) crc32 = &all.add("crc", kCrc32Crc);
  if (extras.crc32 && extras.pmull) crc32 = &all.add("pmull", kCrc32Pmull);
  if (cpu.neon64) all.add("neon", kXxh3Neon, *crc32);
#else
  const Backend scalar = {"scalar", crc32->name, kXxh3Scalar, crc32->kernels};
#endif
  all.backends[all.backend_count++] = scalar;
  return all;
}

[[nodiscard]] const Catalogue& catalogue() noexcept {
  static const Catalogue all = make_catalogue();
  return all;
}

constinit std::atomic<const Backend*> g_active{nullptr};

[[nodiscard]] const Backend* find_backend(std::string_view name) noexcept {
  const BackendList all = usable_backends();
  for (std::size_t i = 0; i < all.count; ++i) {
    if (all.first[i].name == name) return &all.first[i];
  }
  return nullptr;
}

// What SIMDRIVE_SIMD says; no backend has a name that is nearly as long.
struct Wanted {
  std::array<char, 64> buffer{};
  std::string_view name = environment_variable("SIMDRIVE_SIMD", buffer);
};

// Apart from active_backend, which every call needs. The first hash of the process chooses. A name that cannot be used
// is left to check_hash_backend to report: every backend gives the same hashes.
[[nodiscard]] SIMDRIVE_NOINLINE const Backend& choose_backend() noexcept {
  const Wanted wanted;
  const Backend* chosen = find_backend(wanted.name);
  if (chosen == nullptr) chosen = usable_backends().first;
  const Backend* before = nullptr;
  return g_active.compare_exchange_strong(before, chosen, std::memory_order_relaxed) ? *chosen : *before;
}

[[nodiscard]] Error no_backend(std::string_view what, std::string_view name) {
  bool known = false;
  for (const std::string_view each : kAllNames) known = known || each == name;
  std::string text(what);
  text.append(" \"").append(name).append("\" ");
  text += known ? "cannot run on this CPU or is not in this build; " : "is no backend; ";
  text += "usable here: ";
  const BackendList all = usable_backends();
  for (std::size_t i = 0; i < all.count; ++i) text.append(i == 0 ? "" : ", ").append(all.first[i].name);
  return {Errc::configuration, std::move(text)};
}

}  // namespace

BackendList usable_backends() noexcept { return {catalogue().backends.data(), catalogue().backend_count}; }

Crc32List usable_crc32() noexcept { return {catalogue().crc32s.data(), catalogue().crc32_count}; }

const Backend& active_backend() noexcept {
  const Backend* active = g_active.load(std::memory_order_relaxed);
  return active != nullptr ? *active : choose_backend();
}

}  // namespace hash

std::string_view hash_backend() noexcept { return hash::active_backend().name; }

std::vector<std::string_view> hash_backends() {
  const hash::BackendList all = hash::usable_backends();
  std::vector<std::string_view> names;
  names.reserve(all.count);
  for (std::size_t i = 0; i < all.count; ++i) names.emplace_back(all.first[i].name);
  return names;
}

Result<void> set_hash_backend(std::string_view name) {
  const hash::Backend* backend = name.empty() ? hash::usable_backends().first : hash::find_backend(name);
  if (backend == nullptr) return hash::no_backend("the hash backend", name);
  hash::g_active.store(backend, std::memory_order_relaxed);
  return {};
}

Result<void> check_hash_backend() {
  // The environment is not safe to read while another thread changes it: once it was good, nobody looks again.
  static constinit std::atomic<bool> good{false};
  if (good.load(std::memory_order_relaxed)) return {};
  const hash::Wanted wanted;
  if (wanted.name.empty() || hash::find_backend(wanted.name) != nullptr) {
    (void)hash::active_backend();
    good.store(true, std::memory_order_relaxed);
    return {};
  }
  return hash::no_backend("SIMDRIVE_SIMD:", wanted.name);
}

std::vector<std::string_view> cpu_features() {
  const hash::Catalogue& all = hash::catalogue();
  return {all.features.begin(), all.features.begin() + static_cast<std::ptrdiff_t>(all.feature_count)};
}

}  // namespace simdrive
