// Preloaded, it hides instructions from a program on aarch64: SIMDRIVE_HIDE=pmull, or crc for both. No processor that
// QEMU emulates lacks them.
#include <asm/hwcap.h>
#include <dlfcn.h>
#include <sys/auxv.h>

#include <cstdlib>
#include <string_view>

extern "C" [[gnu::visibility("default")]] unsigned long getauxval(unsigned long type) noexcept {
  using Function = unsigned long (*)(unsigned long);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "getauxval"));
  const unsigned long value = real(type);
  const char* wish = std::getenv("SIMDRIVE_HIDE");
  if (type != AT_HWCAP || wish == nullptr) return value;
  const std::string_view hidden = wish;
  if (hidden == "pmull") return value & ~static_cast<unsigned long>(HWCAP_PMULL);
  if (hidden == "crc") return value & ~static_cast<unsigned long>(HWCAP_PMULL | HWCAP_CRC32);
  return value;
}
