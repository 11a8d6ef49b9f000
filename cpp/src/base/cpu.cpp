#include "base/cpu.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#elif defined(__aarch64__) || defined(_M_ARM64)
#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(_WIN32)
#include <windows.h>
#endif
#endif

namespace simdrive {

#if defined(__x86_64__) || defined(_M_X64)

namespace {

struct CpuidWords {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
};

// All zeros for a leaf that the CPU does not have.
CpuidWords cpuid(unsigned leaf) noexcept {
  CpuidWords r;
#if defined(_MSC_VER)
  int words[4];
  __cpuid(words, 0);
  if (static_cast<unsigned>(words[0]) < leaf) return r;
  __cpuidex(words, static_cast<int>(leaf), 0);
  r = {static_cast<unsigned>(words[0]), static_cast<unsigned>(words[1]), static_cast<unsigned>(words[2]),
       static_cast<unsigned>(words[3])};
#else
  (void)__get_cpuid_count(leaf, 0, &r.eax, &r.ebx, &r.ecx, &r.edx);
#endif
  return r;
}

}  // namespace

// Bits: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, CPUID.
CpuExtras detect_cpu_extras() noexcept {
  CpuExtras found;
  found.pclmul = (cpuid(1).ecx >> 1 & 1) != 0;
  found.vpclmulqdq = (cpuid(7).ecx >> 10 & 1) != 0;
  return found;
}

#elif defined(__aarch64__) || defined(_M_ARM64)

CpuExtras detect_cpu_extras() noexcept {
  CpuExtras found;
#if defined(__linux__)
  const unsigned long capabilities = getauxval(AT_HWCAP);
  found.crc32 = (capabilities & HWCAP_CRC32) != 0;
  found.pmull = (capabilities & HWCAP_PMULL) != 0;
#elif defined(_WIN32)
  found.crc32 = IsProcessorFeaturePresent(PF_ARM_V8_CRC32_INSTRUCTIONS_AVAILABLE) != 0;
  found.pmull = IsProcessorFeaturePresent(PF_ARM_V8_CRYPTO_INSTRUCTIONS_AVAILABLE) != 0;
#elif defined(__APPLE__)
  // Every Apple processor that runs 64-bit macOS has both.
  found.crc32 = true;
  found.pmull = true;
#endif
  return found;
}

#else

CpuExtras detect_cpu_extras() noexcept { return {}; }

#endif

}  // namespace simdrive
