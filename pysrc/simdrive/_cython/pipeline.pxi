# simdrive::Pipeline for Python: one for each Client, whose pipelines share it.
#
# Who makes Python's results: whoever waits for one of them, for all that are there. What nobody waits for a thread of
# Python's does, in the background. The C++ thread that sends and receives never takes the GIL: values arrive in blocks of
# C++, also those that become bytes.
#
# Ownership: as in aio.pxi. PipelineCore has each call in a set from before its start until the C++ pipeline has handed it
# out for the last time.

from libc.stdint cimport uint32_t
from libcpp.memory cimport shared_ptr

from simdrive._cython.libsimdrive.async_client cimport CCallLimit, make_call_limit
from simdrive._cython.libsimdrive.pipeline cimport CWaited


cdef enum:
    TAKEN_AT_ONCE = 64


@cython.final
cdef class CallLimit:
    """At most so many calls at once, of those that are given it."""

    cdef shared_ptr[CCallLimit] c_obj

    def __cinit__(self, uint32_t most):
        self.c_obj = make_call_limit(most)


@cython.final
@cython.no_gc_clear
cdef class PipelineCore:
    """The calls of the pipelines of a Client. Safe to share between threads."""

    cdef CPipeline* c_obj
    cdef str endpoint
    cdef set calls  # under way
    cdef object ready  # pairs of a call and whether it is over, handed out by the C++ pipeline
    cdef object lock, new_lock, make_thread
    cdef cbool served  # a thread is in serve()
    cdef unsigned long born  # forks before the lock was made
    cdef object __weakref__

    def __cinit__(self, Client client not None, make_thread):
        self.endpoint = client._endpoint
        self.calls = set()
        self.ready = _deque()
        self.new_lock = _threading.Lock
        self.lock = self.new_lock()
        self.make_thread = make_thread
        self.born = forks
        self.c_obj = new CPipeline(client.c_obj[0])

    def __dealloc__(self):
        cdef Outside outside
        cdef CPipeline* c = self.c_obj
        self.c_obj = NULL
        if c == NULL:
            return
        with nogil:
            del c
            outside.back()

    # ---- starting

    cdef AsyncCall new_call(self, object future, str op, Gives gives, object timeout, CallLimit limit,
                            CPipelineOptions* o):
        if timeout is not ...:
            o.timeout = seconds(timeout, "timeout")
        if limit is not None:
            o.limit = limit.c_obj
        if PyThread_get_thread_ident() == _main_thread:
            o.interrupt.requested = &signal_pending
        cdef AsyncCall call = AsyncCall.__new__(AsyncCall)
        call.future = future
        call.op = op
        call.gives = gives
        o.tag = <void*> call
        o.args_stay = True  # locked by `call`
        o.may_wait = False
        self.calls.add(call)  # before it is started: it may be over at once
        return call

    cdef AsyncCall begun(self, AsyncCall call, CAsyncCall* c, const Error& error):
        if c == NULL:
            self.calls.discard(call)
            raise_call_error(error, call.op, self.endpoint,
                             call.key if call.keys is None else refused_key(error, call.keys))
        with cython.critical_section(call):
            if not call.told:  # else another thread has handed it out already, and settle() is through with it
                call.c_obj = c
        if not self.served or self.born != forks:
            self.be_served()
        return call

    def be_served(self):
        """Starts the thread that hands out what nobody waits for, if there is none."""
        if self.born != forks:  # the parent's thread, or another one of the parent's, may have had it
            self.born = forks
            self.lock = self.new_lock()
            self.served = False
        with self.lock:
            if self.served or not self.calls:
                return
            try:
                self.make_thread(self)
            except RuntimeError:  # Python ends, for one: whoever waits hands out; the next call tries again
                return
            self.served = True

    def write(self, future, key, data, timeout, CallLimit limit=None, shown=None):
        cdef Outside outside
        cdef CPipelineOptions o
        cdef Error error
        cdef CAsyncCall* c
        cdef cbool busy = False
        cdef Flat k, v
        cdef AsyncCall call = self.new_call(future, "write", gives_nothing, timeout, limit, &o)
        try:
            call.borrow_key(key)
            call.show(shown)
            get_buffer(data, &call.v, "data")
        except:  # whatever it is: the call goes, and it is raised again
            self.calls.discard(call)
            raise
        call.has_v = True
        k = call.key_bytes()
        v = Flat(<const uint8_t*> call.v.buf, <size_t> call.v.len)
        c = sdp_write(self.c_obj[0], k, v, o, busy, error)
        if c == NULL and busy:
            with nogil:
                o.may_wait = True
                c = sdp_write(self.c_obj[0], k, v, o, busy, error)
                outside.back()
        return self.begun(call, c, error)

    def batch_write(self, future, pairs, timeout, CallLimit limit=None):
        cdef Outside outside
        cdef CPipelineOptions o
        cdef Error error
        cdef CAsyncCall* c
        cdef cbool busy = False
        cdef AsyncCall call = self.new_call(future, "batch_write", gives_nothing, timeout, limit, &o)
        try:
            call.flat = _Borrowed(2 * len(pairs))
            call.keys = []
            for key, value in pairs:
                call.flat.add(key, "key")
                call.flat.add(value, "value")
                call.keys.append(key)
        except:  # whatever it is: the call goes, and it is raised again
            self.calls.discard(call)
            raise
        with nogil:
            o.may_wait = True
            c = sdp_batch_write(self.c_obj[0], call.flat.flat, <size_t> call.flat.count // 2, o, busy, error)
            outside.back()
        return self.begun(call, c, error)

    def read(self, future, key, default, out, timeout, CallLimit limit=None, shown=None):
        cdef Outside outside
        cdef CPipelineOptions o
        cdef Error error
        cdef CReceiver receiver
        cdef CAsyncCall* c
        cdef Flat k
        cdef cbool busy = False
        cdef AsyncCall call = self.new_call(future, "read", gives_value, timeout, limit, &o)
        try:
            call.default = default
            call.borrow_key(key)
            call.show(shown)
            if isinstance(out, str):
                if out == "view":
                    call.view = True
                elif out == "bytes":
                    call.copies = True
                else:
                    raise _ConfigurationError(f"out must be 'bytes', 'view' or a writable buffer, not {out!r}")
                receiver.context = &call.block
                receiver.allocate = &sd_place_view
            else:
                get_target(out, &call.target)
                call.has_target = True
                receiver.context = &call.target
                receiver.allocate = &place_in_buffer
        except:  # whatever it is: the call goes, and it is raised again
            self.calls.discard(call)
            raise
        k = call.key_bytes()
        c = sdp_read(self.c_obj[0], k, receiver, o, busy, error)
        if c == NULL and busy:
            with nogil:
                o.may_wait = True
                c = sdp_read(self.c_obj[0], k, receiver, o, busy, error)
                outside.back()
        return self.begun(call, c, error)

    def delete(self, future, key, timeout, CallLimit limit=None, shown=None):
        return self.key_call(future, "delete", gives_nothing, key, timeout, limit, shown)

    def exists(self, future, key, timeout, CallLimit limit=None, shown=None):
        return self.key_call(future, "exists", gives_flag, key, timeout, limit, shown)

    cdef AsyncCall key_call(self, object future, str op, Gives gives, object key, object timeout, CallLimit limit,
                            object shown):
        cdef Outside outside
        cdef CPipelineOptions o
        cdef Error error
        cdef CAsyncCall* c
        cdef cbool busy = False
        cdef Flat k
        cdef cbool exists = gives == gives_flag
        cdef AsyncCall call = self.new_call(future, op, gives, timeout, limit, &o)
        try:
            call.borrow_key(key)
            call.show(shown)
        except:  # whatever it is: the call goes, and it is raised again
            self.calls.discard(call)
            raise
        k = call.key_bytes()
        if exists:
            c = sdp_exists(self.c_obj[0], k, o, busy, error)
        else:
            c = sdp_erase(self.c_obj[0], k, o, busy, error)
        if c == NULL and busy:
            with nogil:
                o.may_wait = True
                if exists:
                    c = sdp_exists(self.c_obj[0], k, o, busy, error)
                else:
                    c = sdp_erase(self.c_obj[0], k, o, busy, error)
                outside.back()
        return self.begun(call, c, error)

    def withdraw(self, AsyncCall call not None):
        """Whether nothing of the call was sent, and nothing will be: its future is left alone then."""
        cdef cbool gone = False
        with cython.critical_section(call):
            if call.c_obj != NULL and not call.left:
                gone = self.c_obj.withdraw(call.c_obj)
                call.left = gone
        return gone

    # ---- handing out

    cdef int hand_out(self, object until) except -1:
        """Makes results of all that is done, or until the future `until` is."""
        cdef Outside outside
        cdef CTaken taken[TAKEN_AT_ONCE]
        cdef size_t i, n
        cdef cbool some = False
        ready = self.ready
        while until is None or not until.done():
            try:
                call, over = ready.popleft()
            except IndexError:
                if not self.c_obj.any_done():
                    break
                with nogil:
                    n = sdp_take(self.c_obj[0], taken, TAKEN_AT_ONCE)
                    outside.back()
                for i in range(n):
                    call = <AsyncCall> taken[i].call.tag
                    with cython.critical_section(call):
                        (<AsyncCall> call).c_obj = taken[i].call
                    ready.append((call, <bint> taken[i].over))
                continue
            some = True
            self.settle(call, over)
        if some and self.c_obj.waited_for():
            with nogil:
                self.c_obj.nudge()  # whoever waits for what was handed out here
                outside.back()
        return 0

    cdef int settle(self, AsyncCall call, cbool over) except -1:
        cdef CAsyncCall* c
        error = value = interrupt = None
        with cython.critical_section(call):
            c = call.c_obj
            if c == NULL:
                return 0
            # Before Python code runs, and another thread is through with a call that is handed out twice.
            left, future = call.left, call.future
            told, call.told = call.told, True
            if not told and not left:
                try:
                    if c.failed:
                        error = call.failure(self.endpoint)
                    else:
                        value = call.result(self.endpoint)
                except BaseException as problem:  # of a signal handler, too: the outcome is not to be lost
                    error = problem
                    if not isinstance(problem, Exception):
                        interrupt = problem
            if over:
                call.c_obj = NULL
                call.release()
                call.future = None
        if over:
            self.calls.discard(call)
            self.c_obj.recycle(c)
        if not left and not told:
            try:
                future._settle(value, error)
            except BaseException:  # a signal handler's
                future._settle(value, error)
                raise
        if interrupt is not None:
            raise interrupt
        return 0

    def wait(self, future, timeout):
        """Until `future` is done, `timeout` seconds have passed, or another thread hands out what there is.

        Returns whether it is that.
        """
        cdef Outside outside
        cdef CWaited waited
        cdef double end = -1, left
        if timeout is not None:
            end = _time.monotonic() + timeout
        cdef cbool signals = PyThread_get_thread_ident() == _main_thread
        self.c_obj.attend()
        try:
            while True:
                self.hand_out(future)
                if future.done():
                    return False
                left = 0.1 if signals else 1.0
                if end >= 0:
                    left = min(left, end - _time.monotonic())
                    if left <= 0:
                        return False
                waited = self.sleep(left)
                if waited == CWaited.taken:
                    return True
                if signals:
                    PyErr_CheckSignals()
        finally:
            self.c_obj.unattend()

    cdef CWaited sleep(self, double s) except *:
        cdef Outside outside
        cdef CWaited waited
        with nogil:
            waited = self.c_obj.wait(s)
            outside.back()
        return waited

    cdef CWaited sleep_behind(self, double s) except *:
        cdef Outside outside
        cdef CWaited waited
        with nogil:
            waited = self.c_obj.wait_behind(s)
            outside.back()
        return waited

    cdef int report(self, error) except -1:
        """Logs what a callback raised where `concurrent.futures` reports other exceptions of callbacks."""
        import logging  # slow to import, and loaded with any future

        logging.getLogger("concurrent.futures").critical(
            "a callback of a future of %s raised %r", self.endpoint, error, exc_info=True
        )
        return 0

    def serve(self):
        """Hands out what nobody waits for, until there have been no calls for a while."""
        while True:
            waited = self.sleep_behind(1.0)
            try:
                self.hand_out(None)
            except BaseException as error:  # SystemExit of a callback, for one: others still wait
                self.report(error)
            if waited != CWaited.timeout:
                continue
            with self.lock:
                if not self.calls:
                    self.served = False
                    return

    def waited_for(self):
        """Whether a thread sleeps until there is something to hand out."""
        return self.c_obj.waited_for()

    @property
    def pending(self):
        """Calls under way, those included that nobody waits for any more."""
        return len(self.calls)
