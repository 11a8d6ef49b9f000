#include "net/poller.hpp"

#include "net/socket_os.hpp"

namespace simdrive::net {

Error poller_failed(int code) {
  Error e{Errc::bind_failed, "there is no descriptor left to wait for connections with: " + error_text(code)};
  e.system_code = code;
  return e;
}

Error not_added(int code) {
  Error e{Errc::out_of_memory, "the system cannot wait for one more connection: " + error_text(code)};
  e.system_code = code;
  return e;
}

}  // namespace simdrive::net
