#include "net/build_info.hpp"

#include <boost/version.hpp>

namespace simdrive::net {

std::string boost_version() {
  return std::to_string(BOOST_VERSION / 100000) + "." + std::to_string(BOOST_VERSION / 100 % 1000) + "." +
         std::to_string(BOOST_VERSION % 100);
}

std::optional<std::string> tls_library() { return std::nullopt; }

}  // namespace simdrive::net
