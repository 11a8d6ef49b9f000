// What this library was built from, with what, for what.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace simdrive {

/// Made to be read by people and put into reports. Names no file and no folder of the machine that built it.
struct BuildInfo {
  std::string version;           ///< `kVersion`
  std::string compiler;          ///< its name and version, such as "GCC 12.2.0", "Clang 19.1.7" or "MSVC 19.40"
  std::string standard_library;  ///< of C++, such as "libstdc++ 12"
  std::string build_type;        ///< "release", or "debug" where assertions are compiled in
  std::string system;            ///< "Linux", "macOS", "Windows", another, or "unknown"
  std::string architecture;      ///< that it was compiled for: "x86_64", "aarch64", another, or "unknown"
  std::string boost;             ///< version of the headers
  std::string xsimd;             ///< version of the headers
  std::vector<std::string> compiled_backends;  ///< of the hashes, in this binary, the best first
  std::vector<std::string> backends;           ///< those of them that this CPU can run: `hash_backends()`
  std::string backend;                         ///< the one that runs: `hash_backend()`
  std::optional<std::string> tls;              ///< name and version of the library; none: there is no TLS
  std::vector<std::string> dialects;           ///< the frame dialects, as `Options::wire` and `ServerInfo` name them
};

/// All but `backend` is the same for the whole life of a process.
[[nodiscard]] BuildInfo build_info();

}  // namespace simdrive
