# The one place where a C++ error becomes a Python exception.

from libcpp.string cimport string
from simdrive._cython.libsimdrive.error cimport Errc, Error, Outcome

from simdrive.errors import SimdriveError as _SimdriveError, make_error as _make_error


cdef int raise_error(const Error& e, str op, str endpoint=None, object key=None) except -1:
    """Raises the exception for `e`. Needs the GIL."""
    raise error_object(e, op, endpoint, key)


cdef object error_object(const Error& e, str op, str endpoint, object key):
    detail = e.detail.decode("utf-8", "replace")
    return _make_error(
        <int> e.code,
        detail,
        op=op,
        endpoint=endpoint,
        key=key,
        outcome_unknown=e.outcome == Outcome.unknown,
        elapsed=e.elapsed,
        attempts=e.attempts,
        system_code=e.system_code,
        offset=e.offset,
        cause=None if e.cause.empty() else _make_error(
            <int> e.cause_code, e.cause.decode("utf-8", "replace"), op=op, endpoint=endpoint
        ),
    )


cdef extern from *:
    """
    #include <exception>
    #include <new>
    #include <string>

    // What a caught C++ exception says; called from within a catch block.
    static std::string simdrive_current_exception() {
      try {
        throw;
      } catch (const std::bad_alloc&) {
        return "out of memory";
      } catch (const std::exception& e) {
        return e.what();
      } catch (...) {
        return "an unknown C++ exception";
      }
    }
    """
    string simdrive_current_exception() noexcept


# For what should not happen: no exception is meant to leave the core but for want of memory.
cdef int raise_unexpected() except *:
    cdef string text = simdrive_current_exception()
    what = text.decode("utf-8", "replace")
    if what == "out of memory":
        raise _make_error(<int> Errc.out_of_memory, what)
    raise _make_error(<int> Errc.internal, what)
