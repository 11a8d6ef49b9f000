# The wire protocol as functions over bytes. Private: for the package's own tools and tests.

from cpython.bytes cimport PyBytes_FromStringAndSize
from cython.operator cimport dereference as _deref
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libcpp.memory cimport make_unique, unique_ptr
from libcpp.optional cimport optional
from libcpp.utility cimport move
from libcpp.vector cimport vector
from simdrive._cython.libsimdrive cimport wire as cwire

cdef tuple _WIRE_CODES = ("Fail", "System", "NotFound")
cdef dict _WIRE_NUMBERS = {
    "write_response": "tail_offset",
    "batch_write_response": "tail_offset",
    "delete_response": "tail_offset",
    "len_response": "total_entries",
    "file_size_response": "file_size",
}
cdef dict _WIRE_FLAGS = {"exists_response": "exists", "is_empty_response": "is_empty"}


cdef bytes _wire_bytes(const cwire.WireBytes& data):
    return PyBytes_FromStringAndSize(<const char*> data.data(), <Py_ssize_t> data.size())


cdef int _wire_copy(object data, cwire.WireBytes& out, str what) except -1:
    cdef Py_buffer view
    get_buffer(data, &view, what)
    try:
        out.assign(<const uint8_t*> view.buf, <const uint8_t*> view.buf + view.len)
    finally:
        PyBuffer_Release(&view)
    return 0


cdef int _wire_add_key(object key, cwire.CFields& fields) except -1:
    cdef cwire.WireBytes copy
    _wire_copy(key, copy, "key")
    fields.keys.push_back(move(copy))
    return 0


cdef int _wire_add_payload(object payload, cwire.CFields& fields) except -1:
    cdef cwire.WireBytes copy
    cdef optional[cwire.WireBytes] slot
    if payload is not None:
        _wire_copy(payload, copy, "payload")
        slot = move(copy)
    fields.payloads.push_back(move(slot))
    return 0


cdef cwire.CMessageType _wire_type(str type_name) except *:
    cdef bytes name = type_name.encode("utf-8")
    cdef optional[cwire.CMessageType] found = cwire.parse_message_type(cwire.WireName(<const char*> name, len(name)))
    if not found.has_value():
        raise ValueError(f"unknown message type: {type_name}")
    return found.value()


cdef cwire.CDialect _wire_dialect(int dialect) except *:
    if dialect == 13:
        return cwire.CDialect.d13
    if dialect == 21:
        return cwire.CDialect.d21
    raise ValueError(f"dialect must be 13 or 21, not {dialect}")


cdef int _wire_fill(str type_name, dict values, cwire.CFields& fields) except -1:
    cdef bytes text
    if type_name in _WIRE_NUMBERS:
        fields.number = values[_WIRE_NUMBERS[type_name]]
    elif type_name in _WIRE_FLAGS:
        fields.flag = values[_WIRE_FLAGS[type_name]]
    elif type_name == "error_payload":
        fields.code = _WIRE_CODES.index(values["code"])
        text = values["message"].encode("utf-8")
        fields.text.assign(<const char*> text, len(text))
    elif type_name == "read_response":
        _wire_add_payload(values["entry_payload"], fields)
    elif type_name == "batch_read_response":
        for payload in values["entries_payloads"]:
            _wire_add_payload(payload, fields)
    elif type_name == "batch_read_request":
        for key in values["keys"]:
            _wire_add_key(key, fields)
    elif type_name == "batch_write_request":
        for key, payload in values["entries"]:
            _wire_add_key(key, fields)
            _wire_add_payload(payload, fields)
    elif type_name in ("read_request", "delete_request", "exists_request", "write_request"):
        _wire_add_key(values["key"], fields)
        if type_name == "write_request":
            _wire_add_payload(values["payload"], fields)
    return 0


cdef dict _wire_values(str type_name, const cwire.CFields& fields):
    cdef size_t i
    cdef list keys = [_wire_bytes(fields.keys[i]) for i in range(fields.keys.size())]
    cdef list payloads = [
        _wire_bytes(fields.payloads[i].value()) if fields.payloads[i].has_value() else None
        for i in range(fields.payloads.size())
    ]
    if type_name in _WIRE_NUMBERS:
        return {_WIRE_NUMBERS[type_name]: fields.number}
    if type_name in _WIRE_FLAGS:
        return {_WIRE_FLAGS[type_name]: fields.flag}
    if type_name == "error_payload":
        return {"code": _WIRE_CODES[fields.code], "message": (<bytes> fields.text).decode("utf-8")}
    if type_name == "read_response":
        return {"entry_payload": payloads[0]}
    if type_name == "batch_read_response":
        return {"entries_payloads": payloads}
    if type_name == "batch_read_request":
        return {"keys": keys}
    if type_name == "batch_write_request":
        return {"entries": list(zip(keys, payloads))}
    if type_name == "write_request":
        return {"key": keys[0], "payload": payloads[0]}
    return {"key": keys[0]} if keys else {}


def wire_encode(str type_name not None, dict fields not None):
    """The bitcode bytes of a struct."""
    cdef cwire.CMessageType kind = _wire_type(type_name)
    cdef cwire.CFields values
    cdef cwire.WireBytes out
    cdef Error error
    _wire_fill(type_name, fields, values)
    if not cwire.encode(kind, values, out, error):
        raise_error(error, "wire_encode")
    return _wire_bytes(out)


def wire_decode(str type_name not None, data not None):
    """The fields of a struct; raises ProtocolError if `data` is not its bitcode bytes."""
    cdef cwire.CMessageType kind = _wire_type(type_name)
    cdef cwire.CFields values
    cdef Error error
    cdef bint ok
    cdef Py_buffer view
    get_buffer(data, &view, "data")
    try:
        ok = cwire.decode(kind, cwire.WireView(<const uint8_t*> view.buf, <size_t> view.len), values, error)
    finally:
        PyBuffer_Release(&view)
    if not ok:
        raise_error(error, "wire_decode")
    return _wire_values(type_name, values)


def wire_method_id(str name not None):
    """The id of a method."""
    cdef bytes text = name.encode("utf-8")
    cdef optional[uint64_t] found = cwire.method_id(cwire.WireName(<const char*> text, len(text)))
    if not found.has_value():
        raise ValueError(f"unknown method: {name}")
    return found.value()


cdef list _wire_frames(const vector[cwire.WireBytes]& frames):
    cdef size_t i
    return [_wire_bytes(frames[i]) for i in range(frames.size())]


def wire_request_frames(int dialect, uint32_t stream_id, uint32_t request_id, uint64_t method_id, args not None,
                        uint64_t timestamp=0):
    """A request as the frames that a client sends."""
    cdef cwire.CDialect d = _wire_dialect(dialect)
    cdef vector[cwire.WireBytes] frames
    cdef Py_buffer view
    get_buffer(args, &view, "args")
    try:
        frames = cwire.encode_request_frames(
            d, stream_id, request_id, method_id, cwire.WireView(<const uint8_t*> view.buf, <size_t> view.len),
            timestamp)
    finally:
        PyBuffer_Release(&view)
    return _wire_frames(frames)


def wire_response_frames(int dialect, uint32_t stream_id, uint32_t request_id, uint64_t method_id, uint8_t status,
                         body not None, uint64_t timestamp=0):
    """A response as the frames that a server sends."""
    cdef cwire.CDialect d = _wire_dialect(dialect)
    cdef vector[cwire.WireBytes] frames
    cdef Py_buffer view
    get_buffer(body, &view, "body")
    try:
        frames = cwire.encode_response_frames(
            d, stream_id, request_id, method_id, status,
            cwire.WireView(<const uint8_t*> view.buf, <size_t> view.len), timestamp)
    finally:
        PyBuffer_Release(&view)
    return _wire_frames(frames)


cdef tuple _wire_event(const cwire.CEvent& event):
    if event.kind == cwire.CEventKind.header:
        return ("header", event.type, event.request_id, event.method_id, _wire_bytes(event.bytes))
    if event.kind == cwire.CEventKind.payload:
        return ("payload", event.request_id, _wire_bytes(event.bytes))
    if event.kind == cwire.CEventKind.end:
        return ("end", event.request_id)
    if event.kind == cwire.CEventKind.corrupt_frame:
        return ("error", "CorruptFrame")
    if event.kind == cwire.CEventKind.read_after_cancel:
        return ("error", "ReadAfterCancel")
    return ("read_bytes_failed",)


cdef class WireDecoder:
    """Decodes one direction of one connection; `requests=True` keeps the books of a server too.

    Threads may share one: each call is carried out as a whole, in some order.
    """

    cdef unique_ptr[cwire.CFrameDecoder] c_obj

    def __cinit__(self, int dialect, *, bint requests=False):
        cdef cwire.CDialect d = _wire_dialect(dialect)
        self.c_obj = make_unique[cwire.CFrameDecoder](d, requests)

    def feed(self, message not None):
        """The events of one binary message, in order."""
        cdef vector[cwire.CEvent] events
        cdef Error error
        cdef bint ok
        cdef Py_buffer view
        cdef size_t i
        get_buffer(message, &view, "message")
        try:
            with cython.critical_section(self):
                ok = cwire.feed(
                    _deref(self.c_obj), cwire.WireView(<const uint8_t*> view.buf, <size_t> view.len), events, error)
        finally:
            PyBuffer_Release(&view)
        if not ok:
            raise_error(error, "wire_decode")
        return [_wire_event(events[i]) for i in range(events.size())]

    def take_requests(self):
        """Requests completed since the last call: (request_id, method_id, args, "payload" or "metadata")."""
        cdef vector[cwire.CRequest] ready
        cdef size_t i
        with cython.critical_section(self):
            ready = _deref(self.c_obj).take_requests()
        return [
            (
                ready[i].request_id,
                ready[i].method_id,
                _wire_bytes(ready[i].args),
                "payload" if ready[i].from_payload else "metadata",
            )
            for i in range(ready.size())
        ]

    def open_requests(self):
        """The ids of the requests that lack their End, oldest first."""
        cdef vector[uint32_t] ids
        with cython.critical_section(self):
            ids = _deref(self.c_obj).open_requests()
        return list(ids)


def wire_probe():
    """The message that tells a server's dialect."""
    return PyBytes_FromStringAndSize(<const char*> cwire.probe().data(), <Py_ssize_t> cwire.probe().size())


def wire_judge_probe(message not None):
    """13 or 21 from a server's first binary message, or None."""
    cdef optional[cwire.CDialect] found
    cdef Py_buffer view
    get_buffer(message, &view, "message")
    try:
        found = cwire.judge_probe(cwire.WireView(<const uint8_t*> view.buf, <size_t> view.len))
    finally:
        PyBuffer_Release(&view)
    if not found.has_value():
        return None
    return 13 if found.value() == cwire.CDialect.d13 else 21
