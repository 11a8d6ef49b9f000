"""A gate in front of a peer's replies: a test opens it when it likes."""

from __future__ import annotations

import contextlib
import threading

from .fault_peer import Behaviour, Call, Connection


class Gate:
    """Keeps the replies to some methods until it is opened; then, and afterwards, they are those of a good peer."""

    def __init__(self, *methods: str) -> None:
        self._lock = threading.Lock()
        self._kept: list[tuple[Connection, Call]] = []
        self._open = False
        self.behaviour = Behaviour(call=self._keep, methods=frozenset(methods), times=None)

    def _keep(self, connection: Connection, call: Call) -> None:
        with self._lock:
            if not self._open:
                self._kept.append((connection, call))
                return
        connection.answer_well(call)

    def open(self) -> None:
        with self._lock:
            self._open = True
            kept, self._kept = self._kept, []
        for connection, call in kept:
            with contextlib.suppress(OSError):  # the client has gone
                connection.answer_well(call)
