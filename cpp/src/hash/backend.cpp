#include "hash/backend.hpp"

#include <string_view>

#include "simdrive/hash.hpp"

namespace simdrive {

namespace hash {

namespace {

constexpr const Backend* kUsable[] = {&kScalarBackend};

}  // namespace

BackendList usable_backends() noexcept { return {kUsable, sizeof kUsable / sizeof kUsable[0]}; }

const Backend& active_backend() noexcept { return *kUsable[0]; }

}  // namespace hash

std::string_view hash_backend() noexcept { return hash::active_backend().name; }

}  // namespace simdrive
