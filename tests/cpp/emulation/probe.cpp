// What the library chose on this CPU, for tools/emulate.sh.
//   probe          one line: backend, checksum, all backends, features; fails where SIMDRIVE_SIMD names none of them
//   probe avx2     runs one instruction of that set, to see whether an emulator without it notices
#include <cstdio>
#include <cstring>
#include <string>

#include "hash/backend.hpp"
#include "simdrive/hash.hpp"

namespace {

std::string joined(const std::vector<std::string_view>& names) {
  std::string text;
  for (const std::string_view name : names) text.append(text.empty() ? "" : ",").append(name);
  return text;
}

int run_instruction([[maybe_unused]] const char* set) {
#if defined(__x86_64__)
  if (std::strcmp(set, "avx2") == 0) {
    __asm__ volatile("vpaddq %%ymm0, %%ymm0, %%ymm0" ::: "xmm0");
    return 0;
  }
  if (std::strcmp(set, "pclmul") == 0) {
    __asm__ volatile("pclmulqdq $0, %%xmm0, %%xmm0" ::: "xmm0");
    return 0;
  }
#endif
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) return run_instruction(argv[1]);
  if (const auto usable = simdrive::check_hash_backend(); !usable.ok()) {
    std::puts(usable.error().detail.c_str());
    return 1;
  }
  const simdrive::hash::Backend& active = simdrive::hash::active_backend();
  std::printf("backend=%s checksum=%s backends=%s features=%s\n", active.name, active.crc32_name,
              joined(simdrive::hash_backends()).c_str(), joined(simdrive::cpu_features()).c_str());
  return 0;
}
