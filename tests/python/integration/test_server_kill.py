"""Our server is killed while clients write, inside large values too: what it had acknowledged is there afterwards."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from pathlib import Path

import pytest

import simdrive
from support.amounts import amount
from support.ports import wait_until
from support.targets import our_server

ROUNDS = amount(30, 300)
KEYS = [b"key %d" % i for i in range(5)]
LARGE = 96 << 20

pytestmark = [
    pytest.mark.amounts,
    pytest.mark.skipif(os.name == "nt", reason="kill is another thing there"),
]


def digest(data: bytes | None) -> bytes | None:
    return None if data is None else hashlib.blake2b(data).digest()


class Writer(threading.Thread):
    """Writes values of random sizes until its connection breaks, and keeps the books."""

    def __init__(self, url: str, seed: int, held: dict[bytes, bytes | None], *, large: bool) -> None:
        super().__init__()
        self.url, self.large = url, large
        self.chance = random.Random(seed)
        self.held = held  # of each key, the digest of what was acknowledged last
        self.begun: dict[bytes, bytes | None] = {}  # by the call that was under way
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with simdrive.connect(self.url, retry=simdrive.Retry.NONE, timeout=60) as client:
                while True:
                    self.step(client)
        except (simdrive.ConnectionError, simdrive.ServerError):
            pass
        except BaseException as error:
            self.failure = error

    def value(self) -> bytes:
        if self.large and self.chance.random() < 0.3:
            return self.chance.randbytes(1 << 20) * (LARGE >> 20)
        return self.chance.randbytes(self.chance.choice([2, 100, 5000, 70_000, 3 << 20]))

    def step(self, client: simdrive.Client) -> None:
        kind = self.chance.choice(["write", "write", "batch", "delete"])
        if kind == "batch":
            items = {key: self.value()[: 1 << 20] for key in self.chance.sample(KEYS, 3)}
            self.begun = {key: digest(value) for key, value in items.items()}
            client.batch_write(items)
        elif kind == "delete":
            key = self.chance.choice(KEYS)
            self.begun = {key: None}
            client.delete(key)
        else:
            key, value = self.chance.choice(KEYS), self.value()
            self.begun = {key: digest(value)}
            client.write(key, value)
        self.held.update(self.begun)
        self.begun = {}


def test_kill(tmp_path: Path) -> None:
    chance = random.Random(9)
    held: dict[bytes, bytes | None] = dict.fromkeys(KEYS)
    path = tmp_path / "store.bin"
    torn = number = 0
    wanted = ROUNDS // 5  # writes cut in the middle, else this would show nothing
    while number < ROUNDS or torn < wanted:
        assert number < 3 * ROUNDS, f"only {torn} of {number} kills hit the middle of a write"
        server = our_server(directory=tmp_path)
        server.start()
        try:
            large = number % 3 == 0
            grown = (path.stat().st_size if path.exists() else 0) + chance.randrange(1, LARGE if large else 8 << 20)
            writer = Writer(server.url, number, held, large=large)
            writer.start()
            wait_until(lambda: path.stat().st_size >= grown, timeout=60, what="the file grows")  # noqa: B023
        finally:
            server.kill()
        writer.join(60)
        assert not writer.is_alive()
        assert writer.failure is None
        with simdrive.Store(path) as store:
            assert store.verify().ok
            torn += store.opened.dropped_bytes > 0
            for key in KEYS:
                found = digest(store.read(key))
                if found != held[key]:
                    assert key in writer.begun, (number, key)
                    assert found == writer.begun[key], (number, key)
                held[key] = found
            if store.file_size() > 1 << 30:
                store.compact()
        number += 1
    path.unlink()  # it is large, and temporary folders are kept for a while
