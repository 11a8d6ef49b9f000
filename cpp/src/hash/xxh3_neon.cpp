#include "hash/xxh3_kernel.hpp"

namespace simdrive::hash {

// Two lanes do not make up for multiplying in 32-bit steps: short items one by one are faster.
constinit const Xxh3Kernels kXxh3Neon = {
    .stripes = Xxh3Kernel<xsimd::neon64>::stripes,
    .whole = Xxh3Kernel<xsimd::neon64>::whole,
    .equal_sized = xxh3_equal_sized_scalar,
};

}  // namespace simdrive::hash
