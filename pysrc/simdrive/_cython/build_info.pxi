# What the C++ library says of its build, and what only the module knows.

from libcpp.string cimport string
from libcpp.vector cimport vector
from simdrive._cython.libsimdrive.build_info cimport CBuildInfo, c_build_info


cdef extern from *:
    """
    // Compared as texts, since Python.h has these names from 3.13 on only: there both stand for the same value,
    // before it for the same name. Neither macro is expanded before Cython has defined its own.
    #define SIMDRIVE_TEXT_OF(x) #x
    #define SIMDRIVE_TEXT(x) SIMDRIVE_TEXT_OF(x)
    #define SIMDRIVE_FREE_THREADED \\
      (std::string_view(SIMDRIVE_TEXT(__Pyx_FREETHREADING_COMPATIBLE)) == SIMDRIVE_TEXT(Py_MOD_GIL_NOT_USED))
    """
    bint SIMDRIVE_FREE_THREADED


cdef tuple build_texts(const vector[string]& names):
    cdef size_t i
    return tuple([names[i].decode("ascii") for i in range(names.size())])


def build_facts():
    """The fields of ``simdrive.BuildInfo``, as a dict."""
    cdef CBuildInfo info = c_build_info()
    return {
        "version": info.version.decode("ascii"),
        "compiler": info.compiler.decode("ascii"),
        "standard_library": info.standard_library.decode("ascii"),
        "build_type": info.build_type.decode("ascii"),
        "system": info.system.decode("ascii"),
        "architecture": info.architecture.decode("ascii"),
        "boost": info.boost.decode("ascii"),
        "xsimd": info.xsimd.decode("ascii"),
        "compiled_backends": build_texts(info.compiled_backends),
        "backends": build_texts(info.backends),
        "backend": info.backend.decode("ascii"),
        "tls": info.tls.value().decode("ascii") if info.tls.has_value() else None,
        "dialects": build_texts(info.dialects),
        "free_threaded": bool(SIMDRIVE_FREE_THREADED),
    }
