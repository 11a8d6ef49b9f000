# simdrive::AsyncClient as Cython can call it: calls and errors come out through references.

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t
from libcpp cimport bool as cbool

from simdrive._cython.libsimdrive.async_client cimport CAsyncCall, CAsyncCallOptions, CAsyncClient
from simdrive._cython.libsimdrive.client cimport COptions, CReceiver


cdef extern from *:
    """
    #include "simdrive/async_client.hpp"

    namespace {

    using simdrive::AsyncCall;
    using simdrive::AsyncCallOptions;
    using simdrive::AsyncClient;

    AsyncClient* sda_open(const simdrive::Options& o, simdrive::Error& error) {
      auto r = AsyncClient::open(o);
      if (!keep_error(r, error)) return nullptr;
      return std::move(r).value().release();
    }
    // 1: connected, 0: not yet, -1: it failed.
    int sda_connected(AsyncClient& c, simdrive::Error& error) {
      auto r = c.connected();
      if (!keep_error(r, error)) return -1;
      return r.value() ? 1 : 0;
    }
    AsyncCall* sda_made(simdrive::Result<AsyncCall*> r, simdrive::Error& error) {
      return keep_error(r, error) ? r.value() : nullptr;
    }
    AsyncCall* sda_write(AsyncClient& c, Flat k, Flat v, const AsyncCallOptions& o, simdrive::Error& error) {
      return sda_made(c.write({k.data, k.size}, {v.data, v.size}, o), error);
    }
    AsyncCall* sda_batch_write(AsyncClient& c, const Flat* kv, size_t n, const AsyncCallOptions& o,
                               simdrive::Error& error) {
      std::vector<simdrive::KeyValue> entries(n);
      for (size_t i = 0; i < n; ++i) {
        entries[i] = {{kv[2 * i].data, kv[2 * i].size}, {kv[2 * i + 1].data, kv[2 * i + 1].size}};
      }
      return sda_made(c.batch_write(entries, o), error);
    }
    AsyncCall* sda_read(AsyncClient& c, Flat k, const simdrive::Receiver& to, const AsyncCallOptions& o,
                        simdrive::Error& error) {
      return sda_made(c.read({k.data, k.size}, to, o), error);
    }
    AsyncCall* sda_batch_read(AsyncClient& c, const Flat* k, size_t n, const simdrive::Receiver& to,
                              const AsyncCallOptions& o, simdrive::Error& error) {
      std::vector<BytesView> keys(n);
      for (size_t i = 0; i < n; ++i) keys[i] = {k[i].data, k[i].size};
      return sda_made(c.batch_read(keys, to, o), error);
    }
    AsyncCall* sda_erase(AsyncClient& c, Flat k, const AsyncCallOptions& o, simdrive::Error& error) {
      return sda_made(c.erase({k.data, k.size}, o), error);
    }
    AsyncCall* sda_exists(AsyncClient& c, Flat k, const AsyncCallOptions& o, simdrive::Error& error) {
      return sda_made(c.exists({k.data, k.size}, o), error);
    }
    // 0: len, 1: is_empty, 2: file_size
    AsyncCall* sda_number(AsyncClient& c, int which, const AsyncCallOptions& o, simdrive::Error& error) {
      if (which == 0) return sda_made(c.size(o), error);
      return sda_made(which == 1 ? c.empty(o) : c.file_size(o), error);
    }

    }  // namespace
    """
    CAsyncClient* sda_open(const COptions&, Error&) except +raise_unexpected
    int sda_connected(CAsyncClient&, Error&) except +raise_unexpected
    CAsyncCall* sda_write(CAsyncClient&, Flat, Flat, const CAsyncCallOptions&, Error&) except +raise_unexpected
    CAsyncCall* sda_batch_write(
        CAsyncClient&, const Flat*, size_t, const CAsyncCallOptions&, Error&
    ) except +raise_unexpected nogil
    CAsyncCall* sda_read(
        CAsyncClient&, Flat, const CReceiver&, const CAsyncCallOptions&, Error&
    ) except +raise_unexpected
    CAsyncCall* sda_batch_read(
        CAsyncClient&, const Flat*, size_t, const CReceiver&, const CAsyncCallOptions&, Error&
    ) except +raise_unexpected nogil
    CAsyncCall* sda_erase(CAsyncClient&, Flat, const CAsyncCallOptions&, Error&) except +raise_unexpected
    CAsyncCall* sda_exists(CAsyncClient&, Flat, const CAsyncCallOptions&, Error&) except +raise_unexpected
    CAsyncCall* sda_number(CAsyncClient&, int, const CAsyncCallOptions&, Error&) except +raise_unexpected
