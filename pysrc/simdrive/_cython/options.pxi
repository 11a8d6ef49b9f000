# Options of Python as the core takes them, and events of the core as Python is told of them.

from libcpp.vector cimport vector

from simdrive._cython.libsimdrive.client cimport CEvent, CEventKind, COptions, CRetryWrites


cdef COptions core_options(object options) except *:
    cdef COptions o
    o.url = options.url.encode("utf-8")
    o.connect_timeout = seconds(options.connect_timeout, "connect_timeout")
    o.timeout = seconds(options.timeout, "timeout")
    o.idle_timeout = seconds(options.idle_timeout, "idle_timeout")
    o.close_timeout = seconds(options.close_timeout, "close_timeout")
    o.ping_interval = seconds(options.ping_interval, "ping_interval")
    o.ping_timeout = seconds(options.ping_timeout, "ping_timeout")
    o.max_value_size = options.max_value_size
    o.max_key_size = options.max_key_size
    o.max_inflight = options.max_inflight
    o.max_inflight_bytes = options.max_inflight_bytes
    o.wire = options.wire.encode("utf-8")
    retry = options.retry
    o.retry.retries = retry.retries
    o.retry.base = retry.base
    o.retry.cap = retry.cap
    o.retry.jitter = retry.jitter == "full"
    o.retry.writes = (
        CRetryWrites.always if retry.retry_writes == "always"
        else CRetryWrites.never if retry.retry_writes == "never" else CRetryWrites.unsent
    )
    o.retry.on_connect_failed = retry.handles(_ConnectError)
    o.retry.on_connection_lost = retry.handles(_ConnectionLostError)
    o.reconnect_spread = seconds(options.reconnect_spread, "reconnect_spread")
    return o


cdef list events_of(vector[CEvent] events):
    """Dicts with kind, detail, attempt and delay, as Client._log_event takes them."""
    cdef CEvent event
    out = []
    for event in events:
        if event.kind == CEventKind.connected:
            kind = "connected"
        elif event.kind == CEventKind.lost:
            kind = "lost"
        else:
            kind = "retrying"
        out.append({
            "kind": kind, "detail": event.detail.decode("utf-8", "replace"), "attempt": event.attempt,
            "delay": event.delay,
        })
    return out
