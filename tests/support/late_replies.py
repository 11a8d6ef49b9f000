"""Hooks for a `FaultPeer` that answer right, but not now: held back, in another order, in parts."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable

from .fault_peer import Behaviour, Call, Connection

EVERY_METHOD = frozenset(
    ["write", "batch_write", "read", "batch_read", "delete", "exists", "len", "is_empty", "file_size"]
)


class Holder:
    """Keeps replies until the test lets them go. The calls are carried out at once."""

    def __init__(self, methods: Iterable[str] = EVERY_METHOD) -> None:
        self.behaviour = Behaviour(call=self._hold, methods=frozenset(methods), times=None)
        self._kept: list[tuple[Connection, list[bytes]]] = []
        self._open = False
        self._lock = threading.Lock()
        self.most = 0  # replies held at a time

    @property
    def held(self) -> int:
        return len(self._kept)

    def _hold(self, connection: Connection, call: Call) -> None:
        frames = connection.reply_frames(call, connection.peer.store.run(call))
        with self._lock:
            if not self._open:
                self._kept.append((connection, frames))
                self.most = max(self.most, len(self._kept))
                return
        self._send(connection, frames)

    @staticmethod
    def _send(connection: Connection, frames: list[bytes]) -> None:
        for frame in frames:
            connection.send(frame)

    def send_first_frames(self) -> None:
        """The first frame of each reply; the rest stays."""
        with self._lock:
            for connection, frames in self._kept:
                self._send(connection, frames[:1])
                del frames[:1]

    def let_go(self, count: int | None = None) -> None:
        """Sends what is held, or only the `count` oldest."""
        with self._lock:
            kept = self._kept[:count]
            del self._kept[:count]
            for connection, frames in kept:
                self._send(connection, frames)

    def stop_holding(self) -> None:
        """Sends what is held, and everything that comes from now on at once."""
        with self._lock:
            self._open = True
        self.let_go()


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
