# Taking the GIL back while Python ends.
#
# A daemon thread that asks for the GIL then never gets it: before 3.14 it is ended by pthread_exit(), which unwinds
# through C++ frames that are not made for that and can end the process with a signal. So whoever comes back from the
# core says so first, and stops there for good once Python has begun to end; Python waits for those who came earlier.

from libcpp cimport bool as cbool

import atexit as _atexit
import time as _time


cdef extern from *:
    """
    #include <atomic>
    #include <chrono>
    #include <thread>

    namespace {

    std::atomic<long> g_coming_back{0};
    std::atomic<bool> g_leaving{false};
    std::thread::id g_last;  // the thread that ends Python, which goes on

    // In a function that gives the GIL away: back() is called just before the GIL is taken again.
    class Outside {
     public:
      Outside() = default;
      Outside(const Outside&) = delete;
      Outside& operator=(const Outside&) = delete;
      ~Outside() {
        if (coming_back_) g_coming_back.fetch_sub(1);
      }
      void back() noexcept {
        coming_back_ = true;
        g_coming_back.fetch_add(1);
        if (!g_leaving.load() || std::this_thread::get_id() == g_last) return;
        g_coming_back.fetch_sub(1);
        for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
      }

     private:
      bool coming_back_ = false;
    };

    // In a callback of the core that is to run Python: as Outside::back(), but false instead of stopping there, so that
    // the call ends, with the locks it holds, and its own Outside stops the thread. Python waits for who is in one.
    class Visit {
     public:
      Visit() = default;
      Visit(const Visit&) = delete;
      Visit& operator=(const Visit&) = delete;
      ~Visit() {
        if (coming_back_) g_coming_back.fetch_sub(1);
      }
      bool begin() noexcept {
        coming_back_ = true;
        g_coming_back.fetch_add(1);
        return !g_leaving.load() || std::this_thread::get_id() == g_last;
      }

     private:
      bool coming_back_ = false;
    };

    void sd_leave() {
      g_last = std::this_thread::get_id();
      g_leaving.store(true);
    }
    long sd_coming_back() { return g_coming_back.load(); }
    // After fork(): the others are the parent's.
    void sd_nobody_comes_back() { g_coming_back.store(0); }

    }  // namespace
    """
    cppclass Outside:
        void back() noexcept nogil
    cppclass Visit:
        cbool begin() noexcept nogil
    void sd_leave() noexcept
    long sd_coming_back() noexcept
    void sd_nobody_comes_back() noexcept


@_atexit.register
def _leave():
    sd_leave()
    deadline = _time.monotonic() + 2
    while sd_coming_back() > 0 and _time.monotonic() < deadline:
        _time.sleep(0.0005)
