# The one extension module: a spine that includes a piece for each public layer of the C++ core.
# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
# cython: embedsignature.format=python, freethreading_compatible=True
"""The compiled part of simdrive. Import from `simdrive` instead."""

cimport cython

include "_cython/errors.pxi"
include "_cython/buffers.pxi"
include "_cython/leave.pxi"
include "_cython/memory.pxi"
include "_cython/hash.pxi"
include "_cython/wire.pxi"
include "_cython/value_glue.pxi"
include "_cython/value.pxi"
include "_cython/builder.pxi"
include "_cython/client_glue.pxi"
include "_cython/call.pxi"
include "_cython/options.pxi"
include "_cython/client.pxi"
include "_cython/store_glue.pxi"
include "_cython/entry.pxi"
include "_cython/store_call.pxi"
include "_cython/store.pxi"
include "_cython/server_glue.pxi"
include "_cython/server.pxi"
include "_cython/aio_glue.pxi"
include "_cython/aio_watcher.pxi"
include "_cython/large.pxi"
include "_cython/aio.pxi"
include "_cython/pipeline_glue.pxi"
include "_cython/pipeline.pxi"
include "_cython/build_info.pxi"


cdef extern from "simdrive/version.hpp" namespace "simdrive":
    cdef cppclass _StringView "std::string_view":
        const char* data()
    const _StringView kVersion

__version__ = (<bytes> kVersion.data()).decode("ascii")
