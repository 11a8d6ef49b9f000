# simdrive::Client as Cython can call it: values and errors come out through references.

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string

from simdrive._cython.libsimdrive.client cimport CCallOptions, CClient, CInterrupt, COptions, CReadResult, CReceiver


cdef extern from *:
    """
    #include <cstdint>
    #include <memory>
    #include <span>
    #include <vector>

    #include "simdrive/client.hpp"

    namespace {

    // Cython has no place for Result<T> (no default constructor): values and errors come out through pointers.
    using simdrive::BytesView;

    struct Flat {
      const uint8_t* data;
      size_t size;
    };

    template <class R>
    bool keep_error(R& r, simdrive::Error& error) {
      if (r) return true;
      error = std::move(r).error();
      return false;
    }

    simdrive::Client* sd_connect(const simdrive::Options& o, simdrive::Interrupt i, simdrive::Error& error) {
      auto r = simdrive::Client::connect(o, i);
      if (!keep_error(r, error)) return nullptr;
      return new simdrive::Client(std::move(r).value());
    }
    bool sd_write(simdrive::Client& c, Flat k, Flat v, const simdrive::CallOptions& o, simdrive::Error& error) {
      auto r = c.write({k.data, k.size}, {v.data, v.size}, o);
      return keep_error(r, error);
    }
    bool sd_batch_write(simdrive::Client& c, const Flat* kv, size_t n, const simdrive::CallOptions& o,
                        simdrive::Error& error) {
      std::vector<simdrive::KeyValue> entries(n);
      for (size_t i = 0; i < n; ++i) {
        entries[i] = {{kv[2 * i].data, kv[2 * i].size}, {kv[2 * i + 1].data, kv[2 * i + 1].size}};
      }
      auto r = c.batch_write(entries, o);
      return keep_error(r, error);
    }
    bool sd_read(simdrive::Client& c, Flat k, const simdrive::Receiver& to, simdrive::ReadResult& result,
                 const simdrive::CallOptions& o, simdrive::Error& error) {
      auto r = c.read({k.data, k.size}, to, result, o);
      return keep_error(r, error);
    }
    bool sd_batch_read(simdrive::Client& c, const Flat* k, size_t n, const simdrive::Receiver& to,
                       const simdrive::CallOptions& o, simdrive::Error& error) {
      std::vector<BytesView> keys(n);
      for (size_t i = 0; i < n; ++i) keys[i] = {k[i].data, k[i].size};
      auto r = c.batch_read(keys, to, o);
      return keep_error(r, error);
    }
    bool sd_erase(simdrive::Client& c, Flat k, const simdrive::CallOptions& o, simdrive::Error& error) {
      auto r = c.erase({k.data, k.size}, o);
      return keep_error(r, error);
    }
    template <class R, class T>
    bool keep(R r, T& out, simdrive::Error& error) {
      if (!keep_error(r, error)) return false;
      out = static_cast<T>(r.value());
      return true;
    }
    bool sd_exists(simdrive::Client& c, Flat k, const simdrive::CallOptions& o, uint64_t& out,
                   simdrive::Error& error) {
      return keep(c.exists({k.data, k.size}, o), out, error);
    }
    bool sd_size(simdrive::Client& c, const simdrive::CallOptions& o, uint64_t& out, simdrive::Error& error) {
      return keep(c.size(o), out, error);
    }
    bool sd_empty(simdrive::Client& c, const simdrive::CallOptions& o, uint64_t& out, simdrive::Error& error) {
      return keep(c.empty(o), out, error);
    }
    bool sd_file_size(simdrive::Client& c, const simdrive::CallOptions& o, uint64_t& out, simdrive::Error& error) {
      return keep(c.file_size(o), out, error);
    }
    bool sd_ping(simdrive::Client& c, const simdrive::CallOptions& o, double& out, simdrive::Error& error) {
      return keep(c.ping(o), out, error);
    }
    bool sd_dialect(simdrive::Client& c, const simdrive::CallOptions& o, std::string& out, simdrive::Error& error) {
      auto r = c.server_info(o);
      if (!keep_error(r, error)) return false;
      out = r.value().dialect;
      return true;
    }

    }  // namespace
    """
    cdef struct Flat:
        const uint8_t* data
        size_t size

    CClient* sd_connect(const COptions& o, CInterrupt i, Error& e) except +raise_unexpected nogil
    cbool sd_write(CClient&, Flat, Flat, const CCallOptions&, Error&) except +raise_unexpected nogil
    cbool sd_batch_write(CClient&, const Flat*, size_t, const CCallOptions&, Error&) except +raise_unexpected nogil
    cbool sd_read(
        CClient&, Flat, const CReceiver&, CReadResult&, const CCallOptions&, Error&
    ) except +raise_unexpected nogil
    cbool sd_batch_read(
        CClient&, const Flat*, size_t, const CReceiver&, const CCallOptions&, Error&
    ) except +raise_unexpected nogil
    cbool sd_erase(CClient&, Flat, const CCallOptions&, Error&) except +raise_unexpected nogil
    cbool sd_exists(CClient&, Flat, const CCallOptions&, uint64_t&, Error&) except +raise_unexpected nogil
    cbool sd_size(CClient&, const CCallOptions&, uint64_t&, Error&) except +raise_unexpected nogil
    cbool sd_empty(CClient&, const CCallOptions&, uint64_t&, Error&) except +raise_unexpected nogil
    cbool sd_file_size(CClient&, const CCallOptions&, uint64_t&, Error&) except +raise_unexpected nogil
    cbool sd_ping(CClient&, const CCallOptions&, double&, Error&) except +raise_unexpected nogil
    cbool sd_dialect(CClient&, const CCallOptions&, string&, Error&) except +raise_unexpected nogil
