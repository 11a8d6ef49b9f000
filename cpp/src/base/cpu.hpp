// What this CPU can do beyond the vector sets that xsimd tells of.
#pragma once

namespace simdrive {

/// Instructions that the processor and the operating system both support. Those of other architectures are false.
struct CpuExtras {
  bool pclmul = false;      ///< x86: carry-less multiply of 64 by 64 bits
  bool vpclmulqdq = false;  ///< x86: the same on each 128 bits of a wider register; needs AVX2 or AVX-512 besides
  bool crc32 = false;       ///< aarch64: CRC-32 of a word
  bool pmull = false;       ///< aarch64: polynomial multiply of 64 by 64 bits
};

/// Asks the CPU anew at each call.
[[nodiscard]] CpuExtras detect_cpu_extras() noexcept;

}  // namespace simdrive
