#include "hash/crc32_pclmul.hpp"

namespace simdrive::hash {

constinit const Crc32Kernels kCrc32Pclmul = {
    .update = Crc32Clmul<Vector128>::update,
    .copy = Crc32Clmul<Vector128>::copy,
};

}  // namespace simdrive::hash
