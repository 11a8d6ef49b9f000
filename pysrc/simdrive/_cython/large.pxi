# Large bytes objects that were given to a loop: freed off it.
#
# A bytes object is freed wherever its last reference goes, and to give 64 MiB back takes the system 5 ms. So the last
# reference is kept here: once there is no other, nobody can look at the object any more, its pages are given back by the
# core's thread, and then freeing it is cheap.

from cpython.ref cimport PyObject

cdef extern from *:
    """
    #include <cstddef>
    #include <exception>
    #include <vector>

    #include "simdrive/page_discard.hpp"

    namespace {

    // To free less takes no millisecond.
    constexpr Py_ssize_t kSlowToFree = 4 << 20;

    // Only where a count of 1 says that nobody else has the object, and the system can discard pages.
    #if defined(__linux__) && !defined(Py_GIL_DISABLED)
    constexpr bool kFreesLater = true;
    #else
    constexpr bool kFreesLater = false;
    #endif

    // Of one loop. With the GIL.
    class sd_LargeResults {
     public:
      // False: it is not kept, and freed as any other.
      bool keep(PyObject* object) noexcept {
        if (!kFreesLater) return false;
        try {
          held_.push_back(object);
        } catch (const std::exception&) {
          return false;
        }
        Py_INCREF(object);
        return true;
      }

      // Lets those go that nobody else has. True: some are left to look at.
      bool look() noexcept {
        for (std::size_t i = 0; i < held_.size();) {
          PyObject* const object = held_[i];
          if (Py_REFCNT(object) != 1) {
            ++i;
            continue;
          }
          held_[i] = held_.back();
          held_.pop_back();
          let_go(object);
        }
        free_discarded();
        return !held_.empty() || !leaving().empty();
      }

      // Whoever has them frees them.
      void release() noexcept {
        for (PyObject* object : held_) Py_DECREF(object);
        held_.clear();
        free_discarded();
      }

     private:
      struct Leaving {
        PyObject* object;
        simdrive::PageDiscard pages;
      };

      // Of the process, since a loop may end before. Never destroyed: the pages may still be at work then.
      static std::vector<Leaving>& leaving() noexcept {
        static auto& all = *new std::vector<Leaving>;
        return all;
      }

      static void let_go(PyObject* object) noexcept {
        try {
          leaving().push_back({object, {}});
        } catch (const std::exception&) {
          Py_DECREF(object);
          return;
        }
        const auto size = static_cast<std::size_t>(PyBytes_GET_SIZE(object));
        leaving().back().pages = simdrive::PageDiscard::begin(PyBytes_AS_STRING(object), size);
      }

      static void free_discarded() noexcept {
        std::vector<Leaving>& all = leaving();
        for (std::size_t i = 0; i < all.size();) {
          if (!all[i].pages.done()) {
            ++i;
            continue;
          }
          PyObject* const object = all[i].object;
          all[i] = all.back();
          all.pop_back();
          Py_DECREF(object);
        }
      }

      std::vector<PyObject*> held_;
    };

    }  // namespace
    """
    const Py_ssize_t kSlowToFree
    cdef cppclass CLargeResults "sd_LargeResults":
        cbool keep(PyObject* value) noexcept
        cbool look() noexcept
        void release() noexcept
