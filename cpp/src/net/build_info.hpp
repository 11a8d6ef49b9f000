// What this layer adds to BuildInfo.
#pragma once

#include <optional>
#include <string>

namespace simdrive::net {

[[nodiscard]] std::string boost_version();

/// Name and version of the TLS library. None: this build has no TLS.
[[nodiscard]] std::optional<std::string> tls_library();

}  // namespace simdrive::net
