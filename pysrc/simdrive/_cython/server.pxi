# simdrive::Server for Python. The GIL is given away for whatever waits.

from libc.stdint cimport uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string

from simdrive._cython.libsimdrive.server cimport CServerOptions, CServerStats


cdef CServerOptions core_server_options(object options) except *:
    cdef CServerOptions o
    limits = options.limits
    o.host = options.host.encode()
    o.port = options.port
    o.unix_path = _os.fsencode(options.unix_path or "")
    o.path = options.path.encode()
    o.insecure_bind = options.insecure
    for origin in options.origins:
        o.origins.push_back(<string> origin.encode())
    for host in options.hosts:
        o.hosts.push_back(<string> host.encode())
    o.threads = options.threads or 0
    o.status = options.status
    o.limits.max_frame = limits.max_frame
    o.limits.max_message = limits.max_message
    o.limits.max_request = limits.max_request
    o.limits.max_batch_items = limits.max_batch_items
    o.limits.max_unfinished = limits.max_unfinished
    o.limits.max_unfinished_total = limits.max_unfinished_total or 0
    o.limits.max_streams = limits.max_streams
    o.limits.max_early_bytes = limits.max_early_bytes
    o.limits.max_idle_frames = limits.max_idle_frames
    o.limits.reply_queue_soft = limits.reply_queue_soft
    o.limits.reply_queue_hard = limits.reply_queue_hard
    o.limits.stall_timeout = limits.stall_timeout
    o.limits.max_connections = limits.max_connections
    o.limits.reserved_descriptors = limits.reserved_descriptors
    o.limits.handshake_timeout = limits.handshake_timeout
    o.limits.max_header_bytes = limits.max_header_bytes
    o.limits.max_headers = limits.max_headers
    o.limits.ping_interval = limits.ping_interval
    o.limits.silence_timeout = limits.silence_timeout
    return o


@cython.final
cdef class Server:
    """The compiled part of :class:`simdrive.Server`: one that runs, or has stopped."""

    cdef RunningServer* c_obj
    cdef object _pid
    cdef str _url
    cdef int _port

    def __cinit__(self, Store store not None, options):
        cdef Outside outside
        cdef Error error
        cdef CServerOptions o = core_server_options(options)
        self._pid = _os.getpid()
        with nogil:
            self.c_obj = sd_server_start(store.c_obj[0], o, error)
            outside.back()
        if self.c_obj == NULL:
            raise_error(error, "serve", options.unix_path or f"{options.host}:{options.port}")
        self._url = self.c_obj.url().decode("utf-8", "surrogateescape")
        self._port = self.c_obj.port()

    def __dealloc__(self):
        cdef Outside outside
        cdef RunningServer* c = self.c_obj
        self.c_obj = NULL
        # In a child of fork() the threads are the parent's: there is nothing to stop, and nothing that could be freed.
        if c != NULL and self._pid == _os.getpid():
            with nogil:
                del c
                outside.back()

    cdef int check_process(self, str op) except -1:
        if self._pid != _os.getpid():
            raise _make_error(<int> Errc.closed, "the server runs in the process that this one was copied from by fork()",
                              op=op, endpoint=self._url)
        return 0

    @property
    def url(self):
        return self._url

    @property
    def port(self):
        return self._port

    def stats(self):
        """The fields of :class:`simdrive.ServerStats`, in order."""
        cdef Outside outside
        cdef CServerStats s
        self.check_process("stats")
        with nogil:
            s = self.c_obj.stats()
            outside.back()
        return (s.connections, s.accepted, s.refused, s.cut, s.requests, s.errors, s.bytes_received, s.bytes_sent,
                s.entries, s.file_size, s.uptime, s.latency_p50, s.latency_p99)

    def stop(self, double timeout):
        """Raises ``OperationTimeout`` if connections had to be cut; it has stopped in any case."""
        cdef Outside outside
        cdef Error error
        cdef cbool ok
        self.check_process("stop")
        with nogil:
            ok = self.c_obj.stop(timeout, error)
            outside.back()
        if not ok:
            raise_error(error, "stop", self._url)

    def wait(self, double seconds):
        """Whether it has stopped, within so many seconds."""
        cdef Outside outside
        cdef cbool stopped
        self.check_process("wait")
        with nogil:
            stopped = self.c_obj.wait(seconds)
            outside.back()
        return stopped

    @property
    def running(self):
        return self._pid == _os.getpid() and self.c_obj.running()

    def take_log(self, double seconds):
        """(level, event, message, peer); ``None``: nothing within the time; ``()``: and nothing more will come."""
        cdef Outside outside
        cdef LogLine line
        cdef int got
        with nogil:
            got = self.c_obj.take_log(seconds, line)
            outside.back()
        if got <= 0:
            return () if got < 0 else None
        return (line.level, line.event.decode("utf-8", "replace"), line.message.decode("utf-8", "replace"),
                line.peer.decode("utf-8", "replace"))
