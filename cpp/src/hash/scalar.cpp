#include "hash/scalar.hpp"

#include "hash/backend.hpp"

namespace simdrive::hash {

constinit const Backend kScalarBackend = {
    .name = "scalar",
    .xxh3_stripes = xxh3_stripes_scalar,
    .xxh3_long = xxh3_long_scalar,
    .crc32 = crc32_scalar,
};

}  // namespace simdrive::hash
