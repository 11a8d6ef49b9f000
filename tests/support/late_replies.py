"""Hooks for a `FaultPeer` that answer right, but not now: held back, in another order, in parts."""

from __future__ import annotations

import contextlib
import random
import threading
from collections import deque
from collections.abc import Iterable

from .fault_peer import Behaviour, Call, Connection

EVERY_METHOD = frozenset(
    ["write", "batch_write", "read", "batch_read", "delete", "exists", "len", "is_empty", "file_size"]
)


Reply = tuple[Connection, list[bytes]]


class Holder:
    """Keeps replies until the test lets them go. The calls are carried out at once."""

    def __init__(self, methods: Iterable[str] = EVERY_METHOD) -> None:
        self.behaviour = Behaviour(call=self._hold, methods=frozenset(methods), times=None)
        self.most = 0  # replies held at a time
        self._kept: list[Reply] = []
        self._open = False
        self._lock = threading.Lock()
        self._due: deque[Reply] = deque()
        self._sending = False

    @property
    def held(self) -> int:
        return len(self._kept)

    def _hold(self, connection: Connection, call: Call) -> None:
        reply = (connection, connection.reply_frames(call, connection.peer.store.run(call)))
        with self._lock:
            if not self._open:
                self._kept.append(reply)
                self.most = max(self.most, len(self._kept))
                return
        self._send([reply])

    def _send(self, replies: list[Reply]) -> None:
        """Sends in order; what is large on a thread, since the caller's loop may be what has to receive it."""
        with self._lock:
            self._due.extend(replies)
            if self._sending:
                return
            self._sending = True
        if sum(len(frame) for _, frames in replies for frame in frames) > 1 << 16:
            threading.Thread(target=self._send_due, daemon=True).start()
        else:
            self._send_due()

    def _send_due(self) -> None:
        while True:
            with self._lock:
                if not self._due:
                    self._sending = False
                    return
                connection, frames = self._due.popleft()
            with contextlib.suppress(OSError):  # the client went away
                for frame in frames:
                    connection.send(frame)

    def send_first_frames(self) -> None:
        """The first frame of each reply; the rest stays."""
        with self._lock:
            first = [(connection, [frames.pop(0)]) for connection, frames in self._kept]
        self._send(first)

    def let_go(self, count: int | None = None) -> None:
        """Sends what is held, or only the `count` oldest."""
        with self._lock:
            kept = self._kept[:count]
            del self._kept[:count]
        self._send(kept)

    def stop_holding(self) -> None:
        """Sends what is held, and everything that comes from now on at once."""
        with self._lock:
            self._open = True
            kept, self._kept = self._kept, []
        self._send(kept)


class Shuffler:
    """Delays and reorders the replies of a connection, and mixes the frames of two; `len` gets all there are."""

    def __init__(self, seed: int) -> None:
        self.behaviour = Behaviour(call=self._shuffle, methods=EVERY_METHOD, times=None)
        self._random = random.Random(seed)
        self._kept: dict[Connection, list[list[bytes]]] = {}

    def _shuffle(self, connection: Connection, call: Call) -> None:
        kept = self._kept.setdefault(connection, [])
        kept.append(connection.reply_frames(call, connection.peer.store.run(call)))
        stay = 0 if call.method == "len" else self._random.randrange(40)
        while len(kept) > stay:
            one = self._take(kept)
            two = self._take(kept) if kept and self._random.random() < 0.5 else []
            for i in range(max(len(one), len(two))):
                for frames in (one, two):
                    if i < len(frames):
                        connection.send(frames[i])

    def _take(self, kept: list[list[bytes]]) -> list[bytes]:
        at = self._random.randrange(len(kept))
        kept[at], kept[-1] = kept[-1], kept[at]
        return kept.pop()


class Deaf:
    """Reads nothing more on a connection from the first `exists` on, until it is told to listen."""

    def __init__(self) -> None:
        self.behaviour = Behaviour(call=self._stop_reading, methods=frozenset(["exists"]), times=1)
        self.is_deaf = threading.Event()
        self._listen = threading.Event()

    def _stop_reading(self, connection: Connection, call: Call) -> None:
        self.is_deaf.set()
        while not self._listen.wait(0.05):
            if connection.peer.stopping:
                return
        connection.answer_well(call)

    def listen(self) -> None:
        self._listen.set()
