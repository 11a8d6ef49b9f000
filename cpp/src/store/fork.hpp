// Tells a process from the one that it is a copy of.
#pragma once

#include <cstdint>

namespace simdrive::store {

/// How many fork() calls lie between the first process and this one, counted from the first call on. Never waits, and
/// costs no system call. Always 0 on Windows.
[[nodiscard]] std::uint64_t fork_count() noexcept;

}  // namespace simdrive::store
