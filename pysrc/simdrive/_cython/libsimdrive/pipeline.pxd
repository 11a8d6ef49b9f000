from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t
from libcpp cimport bool as cbool
from libcpp.memory cimport shared_ptr

from simdrive._cython.libsimdrive.async_client cimport CAsyncCall, CCallLimit
from simdrive._cython.libsimdrive.client cimport CClient, CInterrupt

cdef extern from "simdrive/pipeline.hpp" namespace "simdrive" nogil:
    cdef cppclass CPipelineOptions "simdrive::PipelineOptions":
        double timeout
        void* tag
        cbool args_stay
        shared_ptr[CCallLimit] limit
        cbool may_wait
        CInterrupt interrupt

    cdef enum class CWaited "simdrive::Pipeline::Waited"(uint8_t):
        done
        timeout
        taken

    cdef cppclass CTaken "simdrive::Pipeline::Done":
        CAsyncCall* call
        cbool over

    cdef cppclass CPipeline "simdrive::Pipeline":
        CPipeline(const CClient&) except +
        cbool withdraw(CAsyncCall*) except +
        cbool any_done() noexcept
        void recycle(CAsyncCall*) noexcept
        CWaited wait(double) except +
        cbool waited_for() noexcept
        void nudge() noexcept
        void attend() noexcept
        void unattend() noexcept
        CWaited wait_behind(double) except +
