# What the hash functions need of CPython's C API and Cython has no words for.

from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from simdrive._cython.libsimdrive.hash cimport CBytesView

cdef extern from *:
    """
    #include <cstddef>
    #include <cstdint>
    #include <initializer_list>
    #include <mutex>

    #include "simdrive/hash.hpp"

    namespace {

    // More bytes than these are hashed without the GIL. To give it up and take it again costs as much as to hash 4 KiB,
    // and far more while other threads want it.
    constexpr Py_ssize_t kHashNogilMin = 16384;

    simdrive::BytesView sd_bytes(PyObject* bytes) {
      return {reinterpret_cast<const std::uint8_t*>(PyBytes_AS_STRING(bytes)),
              static_cast<std::size_t>(PyBytes_GET_SIZE(bytes))};
    }

    simdrive::BytesView sd_bytes(const Py_buffer* view) {
      return {static_cast<const std::uint8_t*>(view->buf), static_cast<std::size_t>(view->len)};
    }

    // 1: `view` holds the buffer until sd_give_back; 0: there is none, and get_buffer will say why; -1: an exception is
    // set. Nobody can change bytes, so they skip the buffer protocol, which costs as much as a short hash; the caller
    // holds a reference to them.
    int sd_borrow(PyObject* data, Py_buffer* view) {
      if (PyBytes_CheckExact(data)) {
        view->obj = nullptr;
        view->buf = PyBytes_AS_STRING(data);
        view->len = PyBytes_GET_SIZE(data);
        return 1;
      }
      if (PyUnicode_Check(data)) return 0;
      if (PyObject_GetBuffer(data, view, PyBUF_SIMPLE) == 0) return 1;
      for (PyObject* kind : {PyExc_TypeError, PyExc_BufferError, PyExc_ValueError}) {
        if (PyErr_ExceptionMatches(kind)) {
          PyErr_Clear();
          return 0;
        }
      }
      return -1;
    }

    void sd_give_back(Py_buffer* view) {
      if (view->obj != nullptr) PyBuffer_Release(view);
    }

    std::uint64_t sd_xxh3_64(const Py_buffer* view, std::uint64_t seed) {
      if (view->len <= kHashNogilMin) return simdrive::xxh3_64(sd_bytes(view), seed);
      Outside outside;
      std::uint64_t hash;
      Py_BEGIN_ALLOW_THREADS
      hash = simdrive::xxh3_64(sd_bytes(view), seed);
      outside.back();
      Py_END_ALLOW_THREADS
      return hash;
    }

    // ---- xxh3_64 as Python calls it

    using SdFunction = PyObject* (*)(PyObject* module, PyObject* const* args, Py_ssize_t count, PyObject* names);
    SdFunction g_xxh3_64_any;

    // Calls with one argument are answered without parsing arguments, the others go on to the function that Cython
    // made. Apart from sd_xxh3_64_entry, which then needs no stack frame for short bytes.
    #if defined(__GNUC__)
    [[gnu::noinline]]
    #endif
    PyObject* sd_xxh3_64_call(PyObject* module, PyObject* const* args, Py_ssize_t count, PyObject* names) {
      Py_buffer view;
      const int borrowed = count == 1 && names == nullptr ? sd_borrow(args[0], &view) : 0;
      if (borrowed == 0) return g_xxh3_64_any(module, args, count, names);
      if (borrowed < 0) return nullptr;
      const std::uint64_t hash = sd_xxh3_64(&view, 0);
      sd_give_back(&view);
      return PyLong_FromUnsignedLongLong(hash);
    }

    // Nearly all calls hash short bytes.
    PyObject* sd_xxh3_64_entry(PyObject* module, PyObject* const* args, Py_ssize_t count, PyObject* names) {
      if (count != 1 || names != nullptr || !PyBytes_CheckExact(args[0]) || PyBytes_GET_SIZE(args[0]) > kHashNogilMin) {
        return sd_xxh3_64_call(module, args, count, names);
      }
      return PyLong_FromUnsignedLongLong(simdrive::xxh3_64(sd_bytes(args[0])));
    }

    // The same function behind that entry; the function itself where Cython made it for another calling convention.
    PyObject* sd_with_entry(PyObject* function, PyObject* module_name) {
      if (!PyCFunction_CheckExact(function) || PyCFunction_GET_FLAGS(function) != (METH_FASTCALL | METH_KEYWORDS)) {
        return Py_NewRef(function);
      }
      static PyMethodDef definition;
      definition = *reinterpret_cast<PyCFunctionObject*>(function)->m_ml;
      g_xxh3_64_any = reinterpret_cast<SdFunction>(reinterpret_cast<void (*)()>(definition.ml_meth));
      definition.ml_meth = reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(sd_xxh3_64_entry));
      return PyCFunction_NewEx(&definition, PyCFunction_GET_SELF(function), module_name);
    }

    // ---- Many keys

    // Gathers `bytes` objects of a list or tuple up to the first that is none; the count of them.
    Py_ssize_t sd_gather(PyObject* const* keys, Py_ssize_t count, simdrive::BytesView* views, std::size_t* total) {
      Py_ssize_t i = 0;
      for (*total = 0; i < count && PyBytes_CheckExact(keys[i]); ++i) {
        views[i] = sd_bytes(keys[i]);
        *total += views[i].size();
      }
      return i;
    }

    PyObject* sd_int_list(const std::uint64_t* values, Py_ssize_t count) {
      PyObject* list = PyList_New(count);
      for (Py_ssize_t i = 0; list != nullptr && i < count; ++i) {
        PyObject* value = PyLong_FromUnsignedLongLong(values[i]);
        if (value == nullptr) {
          Py_CLEAR(list);
        } else {
          PyList_SET_ITEM(list, i, value);
        }
      }
      return list;
    }

    // ---- Hasher

    // Python's own lock reads the clock before 3.13, which takes longer than a short hash. Whoever takes the GIL back
    // must not hold it: back() does not return while Python ends, and a later exit handler may want the lock.
    class SdLock {
     public:
      void acquire() {
        while (!mutex_.try_lock()) {
          Outside outside;
          Py_BEGIN_ALLOW_THREADS
          mutex_.lock();
          mutex_.unlock();
          outside.back();
          Py_END_ALLOW_THREADS
        }
      }
      void release() { mutex_.unlock(); }

     private:
      std::mutex mutex_;
    };

    }  // namespace
    """
    const Py_ssize_t kHashNogilMin

    CBytesView sd_bytes(const Py_buffer* view) noexcept nogil
    int sd_borrow(object data, Py_buffer* view) except -1
    void sd_give_back(Py_buffer* view) noexcept
    uint64_t sd_xxh3_64(const Py_buffer* view, uint64_t seed) noexcept
    object sd_with_entry(object function, object module_name)
    Py_ssize_t sd_gather(PyObject** keys, Py_ssize_t count, CBytesView* views, size_t* total) noexcept
    list sd_int_list(const uint64_t* values, Py_ssize_t count)
    PyObject** sd_items "PySequence_Fast_ITEMS"(object sequence) noexcept
    uint64_t sd_uint64 "PyLong_AsUnsignedLongLong"(object value) noexcept  # leaves its exception set
    Py_ssize_t sd_clipped "PyNumber_AsSsize_t"(object value, PyObject* overflow) except? -1

    cdef cppclass SdLock:
        void acquire() noexcept
        void release() noexcept nogil
