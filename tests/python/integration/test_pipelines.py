"""Pipelines beside the real servers, in both dialects: order and answers."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import simdrive
from support.loops import LOOPS, run_in
from support.real_server import RealServer

LARGE = bytes(range(256)) * 800


@pytest.fixture
def client(server: RealServer) -> Iterator[simdrive.Client]:
    """The synchronous client: pipelines of the other are awaited, and have tests of their own."""
    with simdrive.connect(server.url, close_timeout=0.05) as opened:
        yield opened


def test_many_calls(client: simdrive.Client) -> None:
    with client.pipeline() as p:
        for i in range(3000):
            p.write(b"key %d" % i, b"value %d" % i)
    with client.pipeline() as p:
        values = [p.read(b"key %d" % i) for i in range(3000)]
        there = [p.exists(b"key %d" % i) for i in range(2990, 3010)]
    assert [f.result() for f in values] == [b"value %d" % i for i in range(3000)]
    assert [f.result() for f in there] == [True] * 10 + [False] * 10
    client.batch_delete([b"key %d" % i for i in range(3000)])
    assert not client.exists(b"key 0")


# The server carries the requests of one message out at once, in any order.
def test_writes_of_one_key_keep_their_order(client: simdrive.Client) -> None:
    for round_ in range(20):
        with client.pipeline() as p:
            reads = []
            for i in range(30):
                p.write(b"counter", b"%d %d" % (round_, i))
                reads.append(p.read(b"counter"))
                p.exists(b"something else %d" % i)
            p.delete(b"counter")
            gone = p.exists(b"counter")
            p.write(b"counter", b"last")
            client.write(b"counter", b"by the client")
            last = p.read(b"counter")
        assert [f.result() for f in reads] == [b"%d %d" % (round_, i) for i in range(30)]
        assert gone.result() is False
        assert last.result() == b"by the client"


def test_large_and_small_values(client: simdrive.Client) -> None:
    with client.pipeline(max_inflight=8) as p:
        for i in range(20):
            p.write(b"large %d" % i, LARGE[i:])
            p.write(b"small %d" % i, b"%d" % i)
        buffer = bytearray(len(LARGE))
        large = [p.read(b"large %d" % i, out="view" if i % 2 else "bytes") for i in range(20)]
        small = [p.read(b"small %d" % i) for i in range(20)]
        filled = p.read(b"large 0", out=buffer)
        futures: list[concurrent.futures.Future[Any]] = [*large, *small, filled]
        assert not concurrent.futures.wait(futures, timeout=60).not_done
    assert [bytes(f.result() or b"") for f in large] == [LARGE[i:] for i in range(20)]
    assert [f.result() for f in small] == [b"%d" % i for i in range(20)]
    assert buffer == LARGE


def test_beside_other_threads(client: simdrive.Client) -> None:
    client.write(b"shared", LARGE)
    wrong: list[object] = []

    def work(number: int) -> None:
        try:
            for i in range(100):
                if number % 2:
                    with client.pipeline() as p:
                        p.write(b"%d" % number, b"%d" % i)
                        mine, shared = p.read(b"%d" % number), p.read(b"shared")
                    if (mine.result(), shared.result()) != (b"%d" % i, LARGE):
                        wrong.append((number, i))
                else:
                    client.write(b"%d" % number, b"%d" % i)
                    if (client.read(b"%d" % number), client.read(b"shared")) != (b"%d" % i, LARGE):
                        wrong.append((number, i))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_batch_write_in_parts(client: simdrive.Client) -> None:
    items = {b"part %d" % i: b"v" * (i + 1) for i in range(500)}
    client.batch_write(items, max_bytes=10_000)
    assert client.batch_read(list(items)) == list(items.values())
    with pytest.raises(simdrive.BatchError) as caught:
        client.batch_write([(b"a", b"1"), (b"b", b""), (b"c", b"3")], max_bytes=2)
    assert list(caught.value.failed) == [1]
    assert ": item 1: the value is empty" in str(caught.value.failed[1])


@pytest.mark.parametrize("loop", LOOPS)
def test_asyncio(server: RealServer, loop: str) -> None:
    async def main() -> None:
        async with await simdrive.aconnect(server.url) as client:
            async with client.pipeline() as p:
                for i in range(2000):
                    p.write(b"async %d" % i, b"%d" % i)
                values = [p.read(b"async %d" % i) for i in range(2000)]
            assert [f.result() for f in values] == [b"%d" % i for i in range(2000)]
            async with client.pipeline() as p:
                reads = []
                for i in range(200):
                    p.write(b"counter", b"%d" % i)
                    reads.append(p.read(b"counter"))
            assert [f.result() for f in reads] == [b"%d" % i for i in range(200)]

    run_in(loop, main(), timeout=60)
