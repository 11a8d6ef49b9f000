#include "hash/xxh3_kernel.hpp"

namespace simdrive::hash {

constinit const Xxh3Kernels kXxh3Avx2 = {
    .stripes = Xxh3Kernel<xsimd::avx2>::stripes,
    .whole = Xxh3Kernel<xsimd::avx2>::whole,
    .equal_sized = Xxh3Kernel<xsimd::avx2>::equal_sized,
};

}  // namespace simdrive::hash
