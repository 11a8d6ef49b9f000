# simdrive::Pipeline as Cython can call it: calls and errors come out through references.

from libc.stddef cimport size_t
from libcpp cimport bool as cbool

from simdrive._cython.libsimdrive.async_client cimport CAsyncCall
from simdrive._cython.libsimdrive.client cimport CReceiver
from simdrive._cython.libsimdrive.pipeline cimport CTaken, CPipeline, CPipelineOptions


cdef extern from *:
    """
    #include <span>

    #include "simdrive/pipeline.hpp"

    namespace {

    using simdrive::Pipeline;
    using simdrive::PipelineOptions;

    // `busy`: another thread is at work, ask again in a way that may wait.
    AsyncCall* sdp_made(simdrive::Result<AsyncCall*> r, bool& busy, simdrive::Error& error) {
      if (!keep_error(r, error)) return nullptr;
      busy = r.value() == nullptr;
      return r.value();
    }
    AsyncCall* sdp_write(Pipeline& p, Flat k, Flat v, const PipelineOptions& o, bool& busy, simdrive::Error& error) {
      return sdp_made(p.write({k.data, k.size}, {v.data, v.size}, o), busy, error);
    }
    AsyncCall* sdp_batch_write(Pipeline& p, const Flat* kv, size_t n, const PipelineOptions& o, bool& busy, simdrive::Error& error) {
      std::vector<simdrive::KeyValue> entries(n);
      for (size_t i = 0; i < n; ++i) {
        entries[i] = {{kv[2 * i].data, kv[2 * i].size}, {kv[2 * i + 1].data, kv[2 * i + 1].size}};
      }
      return sdp_made(p.batch_write(entries, o), busy, error);
    }
    AsyncCall* sdp_read(Pipeline& p, Flat k, const simdrive::Receiver& to, const PipelineOptions& o, bool& busy,
                        simdrive::Error& error) {
      return sdp_made(p.read({k.data, k.size}, to, o), busy, error);
    }
    AsyncCall* sdp_erase(Pipeline& p, Flat k, const PipelineOptions& o, bool& busy, simdrive::Error& error) {
      return sdp_made(p.erase({k.data, k.size}, o), busy, error);
    }
    AsyncCall* sdp_exists(Pipeline& p, Flat k, const PipelineOptions& o, bool& busy, simdrive::Error& error) {
      return sdp_made(p.exists({k.data, k.size}, o), busy, error);
    }
    size_t sdp_take(Pipeline& p, Pipeline::Done* out, size_t n) { return p.take_done({out, n}); }

    }  // namespace
    """
    CAsyncCall* sdp_write(CPipeline&, Flat, Flat, const CPipelineOptions&, cbool&, Error&) except +raise_unexpected nogil
    CAsyncCall* sdp_batch_write(
        CPipeline&, const Flat*, size_t, const CPipelineOptions&, cbool&, Error&
    ) except +raise_unexpected nogil
    CAsyncCall* sdp_read(
        CPipeline&, Flat, const CReceiver&, const CPipelineOptions&, cbool&, Error&
    ) except +raise_unexpected nogil
    CAsyncCall* sdp_erase(CPipeline&, Flat, const CPipelineOptions&, cbool&, Error&) except +raise_unexpected nogil
    CAsyncCall* sdp_exists(CPipeline&, Flat, const CPipelineOptions&, cbool&, Error&) except +raise_unexpected nogil
    size_t sdp_take(CPipeline&, CTaken*, size_t) noexcept nogil
