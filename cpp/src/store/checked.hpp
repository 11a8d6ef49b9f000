// The outermost frame of every public call: nothing is thrown at callers.
#pragma once

#include <exception>

#include "simdrive/error.hpp"

namespace simdrive::store {

/// `call()`, or `Errc::out_of_memory`. What runs out of memory in the store has not touched the file.
template <class Call>
auto checked(Call call) noexcept -> decltype(call()) {
  try {
    return call();
  } catch (const std::exception&) {  // bad_alloc, or length_error for a batch that no memory could hold
    return Error{.code = Errc::out_of_memory, .detail = {}};
  }
}

}  // namespace simdrive::store
