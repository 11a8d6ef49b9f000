#if defined(__GNUC__) && !defined(__clang__)
// False alarms about GCC's own definitions of the intrinsics (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include "hash/xxh3_kernel.hpp"

namespace simdrive::hash {

constinit const Xxh3Kernels kXxh3Avx512 = {
    .stripes = Xxh3Kernel<xsimd::avx512bw>::stripes,
    .whole = Xxh3Kernel<xsimd::avx512bw>::whole,
    .equal_sized = Xxh3Kernel<xsimd::avx512bw>::equal_sized,
};

}  // namespace simdrive::hash
