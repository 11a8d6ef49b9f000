// The environment of the process.
#pragma once

#include <span>
#include <string_view>

namespace simdrive {

/// The value of a variable as the process has it now, in `buffer`; cut to its size. Empty where it is not set.
[[nodiscard]] std::string_view environment_variable(const char* name, std::span<char> buffer) noexcept;

}  // namespace simdrive
