#include "simdrive/error.hpp"

namespace simdrive {

std::string_view to_string(Errc code) noexcept {
  switch (code) {
    case Errc::configuration: return "configuration";
    case Errc::invalid_key: return "invalid_key";
    case Errc::invalid_value: return "invalid_value";
    case Errc::buffer_too_small: return "buffer_too_small";
    case Errc::out_of_memory: return "out_of_memory";
    case Errc::connect_failed: return "connect_failed";
    case Errc::connect_timeout: return "connect_timeout";
    case Errc::handshake_failed: return "handshake_failed";
    case Errc::protocol_mismatch: return "protocol_mismatch";
    case Errc::connection_lost: return "connection_lost";
    case Errc::closed: return "closed";
    case Errc::operation_timeout: return "operation_timeout";
    case Errc::protocol_error: return "protocol_error";
    case Errc::server_error: return "server_error";
    case Errc::unsupported: return "unsupported";
    case Errc::overload: return "overload";
    case Errc::interrupted: return "interrupted";
    case Errc::store_not_found: return "store_not_found";
    case Errc::store_locked: return "store_locked";
    case Errc::store_corrupt: return "store_corrupt";
    case Errc::store_format: return "store_format";
    case Errc::storage_full: return "storage_full";
    case Errc::store_error: return "store_error";
    case Errc::store_read_only: return "store_read_only";
    case Errc::key_not_found: return "key_not_found";
    case Errc::bind_failed: return "bind_failed";
    case Errc::internal: return "internal";
  }
  return "unknown";
}

}  // namespace simdrive
