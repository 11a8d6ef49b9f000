"""Read by mypy, never run: the types of pipelines and of what they raise."""

from __future__ import annotations

import asyncio
import concurrent.futures

from typing_extensions import assert_type

import simdrive
from simdrive import AsyncPipeline, BatchError, Pipeline, PipelineFuture, Value


def pipelines(client: simdrive.Client) -> None:
    with client.pipeline(max_inflight=5) as p:
        assert_type(p, Pipeline)
        assert_type(p.write(b"key", bytearray(b"value"), timeout=None), PipelineFuture[None])
        assert_type(p.read(b"key"), PipelineFuture[bytes | None])
        assert_type(p.read(b"key", default=0).result(timeout=1.0), bytes | int)
        assert_type(p.read(b"key", out="view").result(), Value | None)
        assert_type(p.read(b"key", out=bytearray(5)).result(), int | None)
        assert_type(p.exists(b"key").result(), bool)
        assert_type(p.delete(b"key").result(), None)
        future: concurrent.futures.Future[bytes | None] = p.read(b"key")
        future.add_done_callback(print)
        p.read("key")  # type: ignore[call-overload]
        p.write(b"key", b"value", out="view")  # type: ignore[call-arg]
    assert_type(client.namespace(b"users").pipeline(), Pipeline)
    client.pipeline(5)  # type: ignore[call-arg]
    client.batch_delete([b"a", bytearray(b"b")], timeout=1.0, progress=print)
    client.batch_write({b"a": b"1"}, max_bytes=1000, progress=print)


async def async_pipelines(client: simdrive.AsyncClient) -> None:
    async with client.pipeline() as p:
        assert_type(p, AsyncPipeline)
        assert_type(p.write(b"key", b"value"), asyncio.Future[None])
        assert_type(await p.read(b"key", default=0), bytes | int)
        assert_type(await p.read(b"key", out="view"), Value | None)
        assert_type(await p.exists(b"key"), bool)
    assert_type(client.namespace(b"users").pipeline(max_inflight=1), AsyncPipeline)
    await client.batch_delete([b"a"], progress=print)
    await client.batch_write({b"a": b"1"}, max_bytes=1000)


def failures(error: BatchError) -> None:
    assert_type(error.done, int)
    assert_type(error.failed, dict[int, Exception])
    assert_type(error.outcome, str)
    for each in error.exceptions:
        print(each)
