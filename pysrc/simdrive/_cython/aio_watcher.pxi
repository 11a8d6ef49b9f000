# Loops that cannot watch descriptors, such as Windows' proactor: one thread of the process watches for all of them.
#
# Who keeps what: a client its watcher and its rounds, the rounds their loop. The watcher, whose thread lives as long as
# there are clients, has weak references only: loops and clients that nobody closed can be collected.

import weakref as _weakref
from collections import deque as _deque

from libc.stdint cimport uint64_t

from libcpp.vector cimport vector

from simdrive._cython.libsimdrive.async_watcher cimport CAsyncWatcher


cdef class AsyncCore


cdef extern from *:
    """
    #include "simdrive/async_watcher.hpp"

    namespace {

    simdrive::AsyncWatcher* sda_watcher(simdrive::Error& error) {
      auto r = simdrive::AsyncWatcher::make();
      return keep_error(r, error) ? std::move(r).value().release() : nullptr;
    }

    }  // namespace
    """
    CAsyncWatcher* sda_watcher(Error&) except +raise_unexpected


cdef AsyncWatcher the_watcher = None  # of this process, while it has clients
cdef object watcher_lock = _threading.Lock()  # for making and ending it
cdef object rounds_of_loops = _weakref.WeakValueDictionary()  # by the id of the loop, which they keep


cdef void forget_watcher():
    """After fork(): its thread is the parent's."""
    global the_watcher, watcher_lock, rounds_of_loops
    the_watcher = None
    watcher_lock = _threading.Lock()
    rounds_of_loops = _weakref.WeakValueDictionary()


@cython.final
cdef class LoopRounds:
    """The clients of one loop, and which of them are due. The watcher's thread wakes the loop once for all that are."""

    cdef readonly object loop
    cdef dict cores  # weak references, by number
    cdef object due
    cdef cbool woken
    cdef object __weakref__

    def __cinit__(self, loop):
        self.loop = loop
        self.cores = {}
        self.due = _deque()

    cdef cbool add(self, uint64_t number) except *:
        """For the watcher's thread: whether the loop is to be woken."""
        cdef cbool first
        with cython.critical_section(self):
            self.due.append(number)
            first = not self.woken
            self.woken = True
        return first

    @property
    def pending(self):
        """How many are due."""
        return len(self.due)

    def run(self):
        """In the loop: pumps what is due."""
        cdef AsyncCore core
        with cython.critical_section(self):
            self.woken = False
            count = len(self.due)
        try:
            while count > 0:  # what comes meanwhile has a round of its own
                count -= 1
                found = self.cores.get(self.due.popleft())
                core = None if found is None else found()
                if core is not None:
                    core.handed_out = True
                    core._ready()
        except BaseException:  # such as KeyboardInterrupt
            if count > 0:
                self.loop.call_soon(self.run)
            raise


@cython.final
@cython.no_gc
cdef class AsyncWatcher:
    """Watches clients for their loops. Safe to share between threads."""

    cdef CAsyncWatcher* c_obj
    cdef dict rounds  # weak references, by the number of the client
    cdef uint64_t newest

    def __cinit__(self):
        cdef Error error
        self.rounds = {}
        self.c_obj = sda_watcher(error)
        if self.c_obj == NULL:
            raise_call_error(error, "connect", None, None)

    def __dealloc__(self):
        del self.c_obj

    cdef uint64_t add(self, LoopRounds rounds, AsyncCore core) except 0:
        self.newest += 1
        cdef uint64_t number = self.newest
        self.rounds[number] = _weakref.ref(rounds)
        rounds.cores[number] = _weakref.ref(core)
        self.c_obj.add(number)
        return number

    cdef int forget(self, LoopRounds rounds, uint64_t number) except -1:
        cdef Outside outside
        with nogil:
            self.c_obj.forget(number)
            outside.back()
        rounds.cores.pop(number, None)
        self.rounds.pop(number, None)
        return 0

    cdef int sleep(self, vector[uint64_t]& due) except -1:
        cdef Outside outside
        with nogil:
            self.c_obj.wait(due)
            outside.back()
        return 0

    def wait(self):
        """For the thread: the rounds whose loops are to be woken; None when there are no clients left."""
        cdef vector[uint64_t] due
        cdef LoopRounds rounds
        self.sleep(due)
        if due.empty() and self.ends():
            return None
        woken = []
        for number in due:
            found = self.rounds.get(number)
            rounds = None if found is None else found()
            if rounds is not None and rounds.add(number):
                woken.append(rounds)
        return woken

    cdef cbool ends(self) except *:
        global the_watcher
        with watcher_lock:
            if not self.c_obj.empty():
                return False
            if the_watcher is self:
                the_watcher = None
            return True


cdef int watch_for(AsyncCore core, object make_thread) except -1:
    """Has `core` watched by the watcher of the process."""
    global the_watcher
    cdef AsyncWatcher watcher
    cdef LoopRounds rounds
    cdef uint64_t number
    with watcher_lock:
        rounds = rounds_of_loops.get(id(core.loop))
        if rounds is None:
            rounds = LoopRounds(core.loop)
            rounds_of_loops[id(core.loop)] = rounds
        watcher = AsyncWatcher() if the_watcher is None else the_watcher
        number = watcher.add(rounds, core)
        try:
            if the_watcher is None:
                make_thread(watcher)
        except BaseException as error:
            watcher.forget(rounds, number)
            if isinstance(error, RuntimeError):
                raise _make_error(<int> Errc.connect_failed, f"no thread could be started to watch for it: {error}",
                                  op="connect", endpoint=core.endpoint)
            raise
        the_watcher = watcher
    core.watcher, core.rounds, core.watched_as, core.handed_out = watcher, rounds, number, True
    return 0
