# simdrive::AsyncClient for asyncio: the event loop watches the connection, its callbacks pump.
#
# Ownership: AsyncCall holds what one call borrows and makes (buffers, the result, its future). The C++ client refers to
# it by its tag; AsyncCore has it in a list from the start of the call until the C++ client has handed it out for the last
# time. The list is Python's to traverse: a loop that was closed with calls under way leaves a cycle of client, calls and
# tasks behind. Neither class is cleared by the collector, which would free buffers that are still in use.

from libc.stdint cimport int64_t

from simdrive._cython.libsimdrive.async_client cimport CAsyncCall, CAsyncCallOptions, CAsyncClient, CAsyncWatch

from simdrive.errors import EventLoopError as _EventLoopError


cdef enum Gives:
    gives_nothing
    gives_flag
    gives_number
    gives_value
    gives_values


cdef cbool tell_async_progress(void* context, uint64_t done, uint64_t total) noexcept nogil:
    cdef Outside outside
    outside.back()
    with gil:
        return (<AsyncCall> context).tell(done, total)


# How often the process is a child of fork(). What a client's loop watches is the parent's then.
cdef unsigned long forks = 0


def _after_fork_of_aio():
    global forks
    forks += 1
    forget_watcher()


if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_after_fork_of_aio)


cdef double kFirstLook = 0.005  # seconds from a large result until it may be freed

cdef enum:
    EPOLLIN = 1
    EPOLLOUT = 4


cdef object own_epoll(loop):
    """For libuv's loops on Linux: they stop watching a descriptor, and tell nobody, when epoll reports an error of it.
    That is how a reset connection shows; an epoll descriptor of ours, which has the socket, never has errors."""
    from asyncio import SelectorEventLoop

    if isinstance(loop, SelectorEventLoop):
        return None
    import select

    return select.epoll() if hasattr(select, "epoll") else None


@cython.final
@cython.freelist(64)
@cython.no_gc_clear
cdef class AsyncCall:
    """One call under way. Its `future` gets the outcome, but for a call that was left."""

    cdef readonly object future
    cdef object key, default, progress, raised
    cdef readonly str op
    cdef Gives gives
    cdef cbool left
    cdef CAsyncCall* c_obj
    cdef Py_buffer k, v, target
    cdef cbool has_k, has_v, has_target
    cdef _Borrowed flat
    cdef list keys
    cdef uint64_t sent
    cdef PyObject* slot
    cdef cbool view
    cdef CBlock block
    cdef vector[View] views
    cdef AsyncCall newer, older  # in its core's list
    cdef cbool copies  # of a pipeline: a value in `block` becomes bytes
    cdef cbool told  # of a pipeline: its future knows
    cdef cbool unapplied  # it failed, and changed nothing

    def __dealloc__(self):
        self.release()

    cdef void release(self) noexcept:
        """Frees what it borrowed and made; an exception's traceback may keep the call for long."""
        if self.has_k:
            self.has_k = False
            PyBuffer_Release(&self.k)
        if self.has_v:
            self.has_v = False
            PyBuffer_Release(&self.v)
        if self.has_target:
            self.has_target = False
            PyBuffer_Release(&self.target)
        Py_DECREF_slot(self.slot)
        self.slot = NULL
        self.block.reset()
        self.views.clear()
        self.flat = None
        self.keys = None
        self.key = None

    cdef cbool tell(self, uint64_t done, uint64_t total) noexcept:
        try:
            self.progress(done, total)
        except BaseException as error:
            self.raised = error
            return False
        return True

    cdef int borrow_key(self, object key) except -1:
        get_buffer(key, &self.k, "key")
        self.has_k = True
        self.key = key
        return 0

    cdef int show(self, object key) except -1:
        """Has errors tell `key`, unless that is None, instead of what is sent."""
        if key is not None:
            self.key = bytes(memoryview(key).cast("B")[:16])
        return 0

    cdef Flat key_bytes(self) noexcept:
        return Flat(<const uint8_t*> self.k.buf, <size_t> self.k.len)

    cdef object result(self, str endpoint):
        cdef CAsyncCall* c = self.c_obj
        if self.gives == gives_nothing:
            return None
        if self.gives == gives_flag:
            return c.number != 0
        if self.gives == gives_number:
            return c.number
        if self.gives == gives_values:
            value = values_of(self.views) if self.view else <object> self.slot
            if self.progress is not None:
                self.sent = sum([len(v) for v in value if v is not None])
            return value
        cdef CReadResult* r = c.result
        self.sent = r.size
        if not r.present:
            return self.default
        if self.has_target:
            if r.in_place:
                if r.size > <uint64_t> self.target.len:
                    raise self.too_small(r.size, endpoint)
                memcpy(self.target.buf, r.small, r.size)
            return r.size
        if self.view:
            return value_of(self.block, r)
        if r.in_place:
            return PyBytes_FromStringAndSize(<const char*> r.small, <Py_ssize_t> r.size)
        if self.copies:
            return bytes_of(self.block.data(), <Py_ssize_t> r.size)
        return <object> self.slot

    cdef object too_small(self, uint64_t size, str endpoint):
        return _make_error(4, f"the value has {size} bytes, the out buffer {self.target.len}", op=self.op,
                           endpoint=endpoint)

    cdef object failure(self, str endpoint):
        cdef CAsyncCall* c = self.c_obj
        if self.raised is not None:
            return self.raised
        if c.error.code == Errc.buffer_too_small:
            size = c.result.size
            if self.has_target:
                return self.too_small(size, endpoint)
            return _make_error(5, f"no memory for a value of {size} bytes", op=self.op, endpoint=endpoint)
        hint = None if self.key is None else bytes(memoryview(self.key).cast("B")[:16])
        return error_object(c.error, self.op, endpoint, hint)


@cython.final
@cython.no_gc_clear
cdef class AsyncCore:
    """What an AsyncClient has in its event loop. All methods belong to that loop's thread."""

    cdef CAsyncClient* c_obj
    cdef object loop, create_future, running_loop
    cdef object bound_ready, bound_flush, bound_again
    cdef object timer, connecting, closing, make_thread
    # In loops that cannot watch descriptors:
    cdef AsyncWatcher watcher
    cdef LoopRounds rounds
    cdef uint64_t watched_as
    cdef cbool handed_out  # by the watcher, which watches nothing of it then
    cdef object epoll  # has the socket, where the loop cannot be trusted with it
    cdef double timer_at
    cdef str endpoint
    cdef uint64_t generation
    cdef int64_t fd, wake_fd
    cdef cbool writing, flush_due, again_due, watching
    cdef cbool pumping  # the C++ client runs, and may call Python
    cdef unsigned long thread, born  # forks before it was made
    cdef AsyncCall newest  # of the calls under way
    cdef CLargeResults large
    cdef object look_timer  # until which `large` is left alone
    cdef double look_in
    cdef object __weakref__

    def __cinit__(self, options, loop, make_thread):
        cdef COptions o = core_options(options)
        cdef Error error
        self.fd = self.wake_fd = -1
        from asyncio import _get_running_loop  # with the first client: importing it is slow
        self.running_loop = _get_running_loop
        self.loop = loop
        self.create_future = loop.create_future
        self.make_thread = make_thread
        self.born = forks
        self.thread = PyThread_get_thread_ident()
        self.endpoint = options.url
        self.c_obj = sda_open(o, error)
        if self.c_obj == NULL:
            raise_call_error(error, "connect", self.endpoint, None)
        self.endpoint = self.c_obj.endpoint().decode("utf-8")

    def __dealloc__(self):
        cdef Outside outside
        cdef CAsyncClient* c = self.c_obj
        self.large.release()
        if c == NULL:
            return
        self.leave_watcher()
        self.c_obj = NULL
        with nogil:
            c.close()
            del c
            outside.back()
        while self.newest is not None:
            self.newest.c_obj = NULL
            self.unlist(self.newest)

    cdef int enlist(self, AsyncCall call) except -1:
        call.older = self.newest
        if self.newest is not None:
            self.newest.newer = call
        self.newest = call
        return 0

    cdef int unlist(self, AsyncCall call) except -1:
        cdef AsyncCall newer = call.newer, older = call.older
        call.newer = call.older = None
        if older is not None:
            older.newer = newer
        if newer is not None:
            newer.older = older
        else:
            self.newest = older
        return 0

    # ---- the loop

    def start(self):
        """Begins to be watched by the loop; the future of the first connection."""
        future = self.connecting = self.create_future()
        self.watching = True  # first: stop() takes back what was done when something raises
        self.wake_fd = self.c_obj.wake_up()
        self.bound_ready = self._ready  # stop() ends these cycles
        self.bound_flush = self._flush
        self.bound_again = self._again
        try:
            self.loop.add_reader(self.wake_fd, self.bound_ready)
        except (AttributeError, NotImplementedError):  # Windows' proactor loop, for one
            watch_for(self, self.make_thread)
        else:
            self.epoll = own_epoll(self.loop)
            if self.epoll is not None:
                self.loop.add_reader(self.epoll.fileno(), self.bound_ready)
        self._ready()
        return future

    def _ready(self):
        """A descriptor is ready, or the time is due."""
        cdef Outside outside
        if not self.is_here() or self.pumping:
            return
        self.pumping = True
        try:
            with nogil:
                self.c_obj.pump()
                outside.back()
        except MemoryError:
            pass  # what there was no memory for is tried again when the loop comes round
        finally:
            self.pumping = False
        try:
            self.settle()
            self.arm()
        except BaseException:  # such as KeyboardInterrupt: what was not done has its turn in the next round
            self.loop.call_soon(self.bound_again)
            raise

    def _flush(self):
        cdef Outside outside
        self.flush_due = False
        if not self.is_here():
            return
        with nogil:
            self.c_obj.flush()
            outside.back()
        self.arm()

    def _again(self):
        self.again_due = False
        self._ready()

    def _on_time(self):
        self.timer = None
        self._ready()

    cdef cbool is_here(self) noexcept:
        """Whether the loop watches the client, and in this process."""
        return self.watching and self.born == forks

    cdef int settle(self) except -1:
        """Hands out what is over."""
        cdef CAsyncCall* c
        cdef AsyncCall call
        cdef Error error
        cdef int state
        while True:
            c = self.c_obj.next_done()
            if c == NULL:
                break
            call = <AsyncCall> c.tag
            try:
                if not call.left and not call.future.done():
                    self.deliver(call, c)
            finally:  # a KeyboardInterrupt comes out of the loop's call_soon(), too
                if c.over:
                    call.c_obj = NULL
                    call.unapplied = c.failed and c.error.outcome != Outcome.unknown
                    self.c_obj.recycle(c)
                    call.release()
                    self.unlist(call)
        if self.connecting is not None:
            state = sda_connected(self.c_obj[0], error)
            if state != 0:
                future, self.connecting = self.connecting, None
                if not future.done():
                    if state > 0:
                        future.set_result(None)
                    else:
                        future.set_exception(error_object(error, "connect", self.endpoint, None))
        if self.closing is not None and self.c_obj.close_ended() and not self.closing.done():
            self.closing.set_result(None)
        return 0

    cdef int deliver(self, AsyncCall call, CAsyncCall* c) except -1:
        error = result = None
        try:
            if c.failed:
                error = call.failure(self.endpoint)
            else:
                result = call.result(self.endpoint)
                if call.progress is not None:
                    call.progress(call.sent, call.sent)
        except BaseException as problem:  # of a signal handler, too: the outcome is not to be lost
            error = problem
        if (error is not None or call.progress is not None) and call.future.done():  # progress has cancelled it
            return 0
        if error is not None:
            if isinstance(error, StopIteration):  # which a future refuses
                error = RuntimeError(f"progress raised {error!r}")
            call.future.set_exception(error)
            return 0
        call.future.set_result(result)
        if <PyObject*> result == call.slot and self.is_here():  # made by the call: no default
            try:
                self.keep_large(result)
            except MemoryError:
                pass  # for a timer, which the next large result sets: this one is delivered
        return 0

    cdef int keep_large(self, object result) except -1:
        cdef cbool kept = False
        if type(result) is bytes:
            kept = len(<bytes> result) >= kSlowToFree and self.large.keep(<PyObject*> result)
        elif type(result) is list:
            for value in <list> result:
                if type(value) is bytes and len(<bytes> value) >= kSlowToFree:
                    kept = self.large.keep(<PyObject*> value) or kept
        if not kept or (self.look_timer is not None and self.look_in == kFirstLook):
            return 0  # a timer that is due soon stays: else results in quick succession would put it off for ever
        timer, self.look_timer = self.look_timer, None
        if timer is not None:
            timer.cancel()
        self.look_in = kFirstLook
        self.look_timer = self.loop.call_later(self.look_in, self._look)
        return 0

    def _look(self):
        """Frees what was read and is not used any more; the longer it is used, the more seldom."""
        self.look_timer = None
        if self.large.look() and self.is_here():
            self.look_in = min(2 * self.look_in, 1.0)
            self.look_timer = self.loop.call_later(self.look_in, self._look)

    cdef int arm(self) except -1:
        """Has the loop watch what the core wants watched."""
        cdef CAsyncWatch w
        if not self.is_here():
            return 0
        w = self.c_obj.watch()
        if self.watcher is not None:
            if self.handed_out:
                if w.generation != self.generation:
                    self.generation = w.generation
                    self.c_obj.unwatched()
                self.writing = w.writable
                self.handed_out = False
                self.watcher.c_obj.watch(self.watched_as, w, self.wake_fd)
            elif w.generation != self.generation or w.writable != self.writing:
                self.c_obj.wake()  # to be handed out
        else:
            if w.generation != self.generation:
                self.unwatch_socket()
                self.c_obj.unwatched()
                if w.socket >= 0:
                    if self.epoll is not None:
                        self.epoll.register(w.socket, EPOLLIN)
                        self.fd = w.socket
                    else:
                        self.fd = w.socket  # first: to forget one that is not watched does no harm
                        self.loop.add_reader(w.socket, self.bound_ready)
                self.generation = w.generation
            if w.writable != self.writing and self.fd >= 0:
                if self.epoll is not None:
                    self.epoll.modify(self.fd, EPOLLIN | EPOLLOUT if w.writable else EPOLLIN)
                elif w.writable:
                    self.loop.add_writer(self.fd, self.bound_ready)
                else:
                    self.loop.remove_writer(self.fd)
                self.writing = w.writable
        if w.again and not self.again_due:
            self.loop.call_soon(self.bound_again)
            self.again_due = True
        if w.seconds != kNoLimit:
            self.arm_timer(w.seconds)
        return 0

    cdef int arm_timer(self, double seconds) except -1:
        # A timer that fires too early costs less than one that is moved with every call.
        cdef double at = self.loop.time() + seconds
        if self.timer is not None:
            if self.timer_at <= at:
                return 0
            self.timer.cancel()
            self.timer = None
        self.timer = self.loop.call_at(at, self._on_time)
        self.timer_at = at
        return 0

    cdef int unwatch_socket(self) except -1:
        if self.fd >= 0:
            if self.epoll is not None:
                self.epoll.unregister(self.fd)
            else:
                if self.writing:
                    self.loop.remove_writer(self.fd)
                self.loop.remove_reader(self.fd)
        self.fd = -1
        self.writing = False
        return 0

    def stop(self):
        """The loop forgets the client; calls that are under way end. Also where the loop is gone, or another's."""
        cdef Outside outside
        self.bound_ready = self.bound_flush = self.bound_again = None
        self.connecting = None  # whoever was to wait for it has gone
        if not self.watching:
            return
        here = self.is_here()
        closed = self.loop.is_closed()
        self.watching = False
        self.large.release()
        timer, self.look_timer = self.look_timer, None
        if timer is not None and here and not closed:
            timer.cancel()
        with nogil:
            self.c_obj.close()
            outside.back()
        # In a child of fork() the loop's selector is the parent's, and so is whoever waits.
        if here:
            if closed:
                self.forsake()
            elif self.timer is not None:
                self.timer.cancel()
            self.settle()
            if self.closing is not None and not self.closing.done() and not closed:
                self.closing.set_result(None)
            if self.watcher is not None:
                self.leave_watcher()
            elif not closed:
                self.unwatch_socket()
                try:
                    self.loop.remove_reader(self.wake_fd)
                except (AttributeError, NotImplementedError):
                    pass  # and no watcher to be had in start()
                if self.epoll is not None:
                    self.loop.remove_reader(self.epoll.fileno())
            if self.epoll is not None:
                self.epoll.close()
            self.c_obj.unwatched()
        self.timer = None

    cdef int leave_watcher(self) except -1:
        watcher, self.watcher = self.watcher, None
        if watcher is not None and self.born == forks:
            watcher.forget(self.rounds, self.watched_as)
        self.rounds = None
        return 0

    cdef int forsake(self) except -1:
        """Nobody waits for a call any more: the loop is closed, and takes no callback of a future."""
        cdef AsyncCall call = self.newest
        while call is not None:
            call.left = True
            call = call.older
        return 0

    def let_go(self):
        """stop(), from any thread, and wherever the collector runs."""
        if self.born != forks:
            return
        if self.loop.is_closed() or (self.is_in_loop() and not self.pumping):
            self.stop()
            return
        try:
            self.loop.call_soon_threadsafe(self.stop)
        except RuntimeError:  # it was closed meanwhile
            self.stop()

    cdef cbool is_in_loop(self) except *:
        """Whether the loop cannot run meanwhile in another thread: it runs in this one, or has stopped in it."""
        if self.loop.is_running():
            return self.running_loop() is self.loop
        return PyThread_get_thread_ident() == self.thread

    def check_loop(self, str op):
        """EventLoopError in another loop than the client's, or in none."""
        if self.running_loop() is not self.loop or self.born != forks:
            error = _EventLoopError(
                f"{op} on {self.endpoint}: the client belongs to another event loop (open a client in each loop)"
            )
            error.op = op
            error.endpoint = self.endpoint
            raise error

    def close(self):
        """Begins to close; a future that ends with the server's side, or None."""
        cdef Outside outside
        if not self.watching:
            return None
        if self.closing is None:
            with nogil:
                self.c_obj.close()
                outside.back()
            self.settle()
            if self.c_obj.close_ended():
                return None
            self.closing = self.create_future()
            self.arm()
        return self.closing

    @property
    def is_watched(self):
        return self.watching

    # ---- calls

    cdef AsyncCall new_call(self, str op, Gives gives, object timeout, object progress, CAsyncCallOptions* o,
                            CallLimit limit=None, object future=None):
        if self.running_loop() is not self.loop or self.born != forks:
            self.check_loop(op)
        if progress is not None:
            if not callable(progress):
                raise TypeError(f"progress must be callable as progress(done, total), not {type(progress).__name__}")
            o.progress.report = &tell_async_progress
        if timeout is not ...:
            o.timeout = seconds(timeout, "timeout")
        if limit is not None:
            o.limit = limit.c_obj
        cdef AsyncCall call = AsyncCall.__new__(AsyncCall)
        # Before the C++ call, which refers to this object: the loop's Python may raise, KeyboardInterrupt for one.
        call.future = self.create_future() if future is None else future
        call.op = op
        call.gives = gives
        call.progress = progress
        o.tag = <void*> call
        o.args_stay = True  # locked by `call`
        o.progress.context = <void*> call
        return call

    cdef object begun(self, AsyncCall call, CAsyncCall* c, const Error& error):
        if c == NULL:
            raise_call_error(error, call.op, self.endpoint,
                             call.key if call.keys is None else refused_key(error, call.keys))
        call.c_obj = c
        self.enlist(call)
        try:
            if self.c_obj.lone():
                self._flush()
            elif not self.flush_due:
                self.loop.call_soon(self.bound_flush)
                self.flush_due = True
        except BaseException as interrupt:
            self.leave(call, interrupt)
            raise
        return call

    def leave(self, AsyncCall call, error):
        """The caller does not wait any more, because of `error`."""
        cdef Outside outside
        cdef Outcome outcome
        future = call.future
        if call.left:
            return
        if future.done() and not future.cancelled():
            failure = future.exception()
            if failure is error:
                return
            # It ended in the round in which its caller was cancelled.
            outcome = Outcome.not_applied if call.unapplied else Outcome.unknown
        elif call.c_obj == NULL:
            outcome = Outcome.not_applied if call.unapplied else Outcome.unknown
        elif not self.is_here():
            outcome = Outcome.unknown
        elif self.loop.is_closed():  # nobody will run the task again
            return
        elif self.pumping or not self.is_in_loop():  # the collector ends the coroutine, wherever it runs
            self.loop.call_soon_threadsafe(self.leave, call, error)
            return
        else:
            with nogil:
                outcome = self.c_obj.cancel(call.c_obj)
                outside.back()
        call.left = True
        if outcome == Outcome.unknown and call.op in ("write", "batch_write", "delete"):
            error.outcome = "unknown"
            if hasattr(error, "add_note"):
                error.add_note(f"simdrive: this {call.op} may or may not have been applied")
        if self.is_here() and not self.loop.is_closed():
            self.settle()
            self.arm()

    def withdraw(self, AsyncCall call not None):
        """Whether nothing of the call was sent, and nothing will be: its future is left alone then."""
        if call.c_obj == NULL or call.left or not self.is_here() or self.pumping:
            return False
        call.left = self.c_obj.withdraw(call.c_obj)
        if call.left:
            self.settle()
            self.arm()
        return call.left

    def write(self, key, data, timeout, progress, CallLimit limit=None, future=None):
        cdef CAsyncCallOptions o
        cdef Error error
        cdef AsyncCall call = self.new_call("write", gives_nothing, timeout, progress, &o, limit, future)
        call.borrow_key(key)
        get_buffer(data, &call.v, "data")
        call.has_v = True
        call.sent = <uint64_t> call.v.len
        return self.begun(call, sda_write(
            self.c_obj[0], call.key_bytes(), Flat(<const uint8_t*> call.v.buf, <size_t> call.v.len), o, error
        ), error)

    def batch_write(self, items, timeout, progress, CallLimit limit=None, future=None):
        cdef Outside outside
        cdef CAsyncCallOptions o
        cdef Error error
        cdef CAsyncCall* c
        cdef AsyncCall call = self.new_call("batch_write", gives_nothing, timeout, progress, &o, limit, future)
        pairs = pairs_of(items)
        call.flat = _Borrowed(2 * len(pairs))
        call.keys = []
        for index, pair in enumerate(pairs):
            key, value = checked_pair(pair, index)
            call.flat.add(key, "key")
            call.flat.add(value, "value")
            call.keys.append(key)
            call.sent += call.flat.flat[call.flat.count - 1].size
        with nogil:
            c = sda_batch_write(self.c_obj[0], call.flat.flat, <size_t> call.flat.count // 2, o, error)
            outside.back()
        return self.begun(call, c, error)

    def read(self, key, default, out, timeout, progress, CallLimit limit=None, future=None):
        cdef CAsyncCallOptions o
        cdef Error error
        cdef CReceiver receiver
        cdef AsyncCall call = self.new_call("read", gives_value, timeout, progress, &o, limit, future)
        call.default = default
        call.borrow_key(key)
        if isinstance(out, str):
            if out == "view":
                call.view = True
                receiver.context = &call.block
                receiver.allocate = &sd_place_view
            elif out == "bytes":
                receiver.context = &call.slot
                receiver.allocate = &place_one
            else:
                raise _ConfigurationError(f"out must be 'bytes', 'view' or a writable buffer, not {out!r}")
        else:
            get_target(out, &call.target)
            call.has_target = True
            receiver.context = &call.target
            receiver.allocate = &place_in_buffer
        return self.begun(call, sda_read(self.c_obj[0], call.key_bytes(), receiver, o, error), error)

    def batch_read(self, keys, out, timeout, progress):
        cdef Outside outside
        cdef CAsyncCallOptions o
        cdef Error error
        cdef CReceiver receiver
        cdef CAsyncCall* c
        cdef AsyncCall call = self.new_call("batch_read", gives_values, timeout, progress, &o)
        if isinstance(keys, (str, bytes, bytearray)):
            raise TypeError(f"keys must be an iterable of keys, not {type(keys).__name__}")
        call.view = is_view(out)
        call.keys = list(keys)
        call.flat = _Borrowed(len(call.keys))
        for key in call.keys:
            call.flat.add(key, "key")
        if call.view:
            receiver.context = &call.views
            receiver.allocate = &sd_place_views
        else:
            receiver.context = &call.slot
            receiver.allocate = &place_many
        with nogil:
            c = sda_batch_read(self.c_obj[0], call.flat.flat, <size_t> call.flat.count, receiver, o, error)
            outside.back()
        return self.begun(call, c, error)

    def delete(self, key, timeout, CallLimit limit=None, future=None):
        cdef CAsyncCallOptions o
        cdef Error error
        cdef AsyncCall call = self.new_call("delete", gives_nothing, timeout, None, &o, limit, future)
        call.borrow_key(key)
        return self.begun(call, sda_erase(self.c_obj[0], call.key_bytes(), o, error), error)

    def exists(self, key, timeout, CallLimit limit=None, future=None):
        cdef CAsyncCallOptions o
        cdef Error error
        cdef AsyncCall call = self.new_call("exists", gives_flag, timeout, None, &o, limit, future)
        call.borrow_key(key)
        return self.begun(call, sda_exists(self.c_obj[0], call.key_bytes(), o, error), error)

    cdef object number(self, str op, Gives gives, int which, object timeout):
        cdef CAsyncCallOptions o
        cdef Error error
        cdef AsyncCall call = self.new_call(op, gives, timeout, None, &o)
        return self.begun(call, sda_number(self.c_obj[0], which, o, error), error)

    def size(self, timeout):
        return self.number("size", gives_number, 0, timeout)

    def is_empty(self, timeout):
        return self.number("is_empty", gives_flag, 1, timeout)

    def file_size(self, timeout):
        return self.number("file_size", gives_number, 2, timeout)

    def server_info(self, timeout):
        """A call that ends when there is a connection, and a dialect with it."""
        return self.number("server_info", gives_flag, 1, timeout)

    def ping(self, timeout):
        return self.number("ping", gives_flag, 1, timeout)

    # ---- what is known

    @property
    def closed(self):
        return self.c_obj.closed()

    @property
    def pending(self):
        """Calls under way, those included that nobody waits for any more."""
        return self.c_obj.pending()

    @property
    def dialect(self):
        return self.c_obj.dialect().decode("ascii")

    def has_events(self):
        return self.c_obj.has_events()

    def take_events(self):
        """Dicts of what became of the connection: kind, detail, attempt, delay."""
        return events_of(self.c_obj.take_events())

    def stats(self):
        cdef CCounters c = self.c_obj.counters()
        return {"calls": c.calls, "sends": c.sends, "connections": c.connections}
