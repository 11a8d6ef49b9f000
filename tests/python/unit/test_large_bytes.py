"""Bytes objects above 32 MiB on loops: what is beyond those is in huge pages, so that freeing them holds up no loop."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

import simdrive

MIB = 1 << 20
SIZE = 64 * MIB
LITTLE = 32 * MIB

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the advice is Linux's"),
    pytest.mark.skipif(
        not Path("/sys/kernel/mm/transparent_hugepage/enabled").exists(), reason="this kernel has no huge pages"
    ),
]


def flags_at(address: int) -> list[str]:
    """What the system was told of the memory at `address` (proc_pid_smaps(5), VmFlags)."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if area := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(area[1], 16) <= address < int(area[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return line.split()[1:]
    raise AssertionError(f"nothing is mapped at {address:#x}")


def huge(value: bytes) -> tuple[bool, bool]:
    """Whether huge pages are asked for in the middle of the first 32 MiB, and of the rest."""
    start = id(value)
    return "hg" in flags_at(start + LITTLE // 2), "hg" in flags_at(start + (LITTLE + len(value)) // 2)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with simdrive.MemoryStore() as store, simdrive.Server(store) as server:
        with simdrive.connect(server.url) as client:
            client.write(b"large", bytes(SIZE))
            client.write(b"little", bytes(LITTLE))
        yield server.url


def by_client(url: str, key: bytes) -> bytes | None:
    with simdrive.connect(url) as client:
        return client.read(key)


def by_batch(url: str, key: bytes) -> bytes | None:
    with simdrive.connect(url) as client:
        return client.batch_read([key])[0]


def by_pipeline(url: str, key: bytes) -> bytes | None:
    with simdrive.connect(url) as client, client.pipeline() as pipeline:
        return pipeline.read(key).result()


def by_view(url: str, key: bytes) -> bytes | None:
    with simdrive.connect(url) as client:
        view = client.read(key, out="view")
        assert view is not None
        return bytes(view)


def on_loop(url: str, read: Callable[[simdrive.AsyncClient], Awaitable[bytes | None]]) -> bytes | None:
    async def run() -> bytes | None:
        async with await simdrive.aconnect(url) as client:
            return await read(client)

    return asyncio.run(run())


def by_loop(url: str, key: bytes) -> bytes | None:
    return on_loop(url, lambda client: client.read(key))


def by_loops_batch(url: str, key: bytes) -> bytes | None:
    async def read(client: simdrive.AsyncClient) -> bytes | None:
        return (await client.batch_read([key]))[0]

    return on_loop(url, read)


def by_loops_pipeline(url: str, key: bytes) -> bytes | None:
    async def read(client: simdrive.AsyncClient) -> bytes | None:
        async with client.pipeline() as pipeline:
            return await pipeline.read(key)

    return on_loop(url, read)


def by_store(url: str, key: bytes) -> bytes | None:
    with simdrive.MemoryStore() as store, simdrive.connect(url) as client:
        value = client.read(key)
        assert value is not None
        store.write(key, value)
        return store.read(key)


ON_LOOPS = [by_loop, by_loops_batch, by_loops_pipeline]
ELSEWHERE = [by_client, by_batch, by_pipeline, by_view, by_store]


@pytest.mark.parametrize("way", ON_LOOPS)
def test_what_is_beyond_32_mib_is_in_huge_pages(url: str, way: Callable[[str, bytes], bytes | None]) -> None:
    value = way(url, b"large")
    assert value is not None
    assert len(value) == SIZE
    assert huge(value) == (False, True)
    assert value.count(0) == SIZE


@pytest.mark.parametrize(
    ("way", "key"), [*((way, b"little") for way in ON_LOOPS), *((way, b"large") for way in ELSEWHERE)]
)
def test_no_other_value_asks_for_huge_pages(url: str, way: Callable[[str, bytes], bytes | None], key: bytes) -> None:
    value = way(url, key)
    assert value is not None
    assert len(value) == (SIZE if key == b"large" else LITTLE)
    assert "hg" not in flags_at(id(value) + len(value) - 4096)
