#include "hash/build_info.hpp"

#include <xsimd/config/xsimd_config.hpp>

namespace simdrive::hash {

std::vector<std::string> compiled_backends() {
  return {
#if defined(SIMDRIVE_SIMD_X86_64)
      "avx512", "avx2", "sse2",
#elif defined(SIMDRIVE_SIMD_AARCH64)
      "neon",
#endif
      "scalar"};
}

std::string xsimd_version() {
  return std::to_string(XSIMD_VERSION_MAJOR) + "." + std::to_string(XSIMD_VERSION_MINOR) + "." +
         std::to_string(XSIMD_VERSION_PATCH);
}

}  // namespace simdrive::hash
