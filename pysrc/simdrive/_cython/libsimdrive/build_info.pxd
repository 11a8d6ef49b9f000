from libcpp.optional cimport optional
from libcpp.string cimport string
from libcpp.vector cimport vector

cdef extern from "simdrive/build_info.hpp" namespace "simdrive" nogil:
    cdef cppclass CBuildInfo "simdrive::BuildInfo":
        string version
        string compiler
        string standard_library
        string build_type
        string system
        string architecture
        string boost
        string xsimd
        vector[string] compiled_backends
        vector[string] backends
        string backend
        optional[string] tls
        vector[string] dialects

    CBuildInfo c_build_info "simdrive::build_info"() except +
