// What this layer adds to BuildInfo.
#pragma once

#include <string>
#include <vector>

namespace simdrive::hash {

/// The backends in this binary, whether the CPU can run them or not, the best first.
[[nodiscard]] std::vector<std::string> compiled_backends();

[[nodiscard]] std::string xsimd_version();

}  // namespace simdrive::hash
