#ifdef _WIN32

#include "net/listener.hpp"

namespace simdrive::net {

Result<Listener> Listener::unix_path(const std::string& path) {
  return Error{Errc::bind_failed, "cannot listen at the path " + path +
                                      ": unix sockets are not supported on Windows; use a host and a port"};
}

bool Listener::is_owner() const noexcept { return true; }  // no fork()

void Listener::close() noexcept { socket_.close(); }

}  // namespace simdrive::net

#endif
