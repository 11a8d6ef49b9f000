"""One asyncio client under test, driven over pipes: run by async_round_trip.py.

usage: async_worker.py KIND asyncio|uvloop PORT
The same lines as of worker.py: a JSON command on stdin, a JSON answer on the original stdout.
"""

from __future__ import annotations

import asyncio
import collections
import importlib
import json
import os
import struct
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from worker import cpu_us, peak_memory_kib

HEADER = struct.Struct("<II")  # of a message to echo_server.py: how long the body is, and how long the reply shall be
CONNECTIONS = 64  # of a client that has one call at a time on each; threads, too
MAX_MESSAGE = 80 << 20


class Client:
    """What is measured. `read` and `exists` give something that `check` compares with what was written."""

    stores = True

    async def open(self, port: int) -> None:
        raise NotImplementedError

    def prepare(self, size: int) -> None:
        """Before a call of that size is watched."""

    def write(self, key: bytes, value: bytes) -> Awaitable[Any]:
        raise NotImplementedError

    def read(self, key: bytes, size: int) -> Awaitable[Any]:
        raise NotImplementedError

    def exists(self, key: bytes) -> Awaitable[Any]:
        raise NotImplementedError


class Simdrive(Client):
    async def open(self, port: int) -> None:
        self.client = await importlib.import_module("simdrive").aconnect(f"ws://127.0.0.1:{port}", timeout=120)
        self.write = self.client.write  # type: ignore[method-assign]
        self.exists = self.client.exists  # type: ignore[method-assign]

    def read(self, key: bytes, _: int) -> Awaitable[Any]:
        return self.client.read(key)  # type: ignore[no-any-return]

    def prepare(self, size: int) -> None:
        self.buffer = bytearray(size)

    def view(self, key: bytes, _: int) -> Awaitable[Any]:
        return self.client.read(key, out="view")  # type: ignore[no-any-return]

    async def into(self, key: bytes, _: int) -> bytearray:
        await self.client.read(key, out=self.buffer)
        return self.buffer

    async def read_stream(self, key: bytes, _: int) -> int:
        return sum([len(piece) async for piece in self.client.read_stream(key)])

    def write_stream(self, key: bytes, value: bytes) -> Awaitable[Any]:
        view = memoryview(value)
        pieces = (view[start : start + (64 << 10)] for start in range(0, len(value), 64 << 10))
        return self.client.write_stream(key, pieces)  # type: ignore[no-any-return]


class RealInThreads(Client):
    """The existing client has no asyncio: calls go to threads."""

    async def open(self, port: int) -> None:
        self.client = importlib.import_module("simd_r_drive_ws_client").DataStoreWsClient("127.0.0.1", port)
        self.run = asyncio.get_running_loop().run_in_executor
        self.threads = ThreadPoolExecutor(CONNECTIONS)

    def write(self, key: bytes, value: bytes) -> Awaitable[Any]:
        return self.run(self.threads, self.client.write, key, value)

    def read(self, key: bytes, _: int) -> Awaitable[Any]:
        return self.run(self.threads, self.client.read, key)

    def exists(self, key: bytes) -> Awaitable[Any]:
        return self.run(self.threads, self.client.exists, key)


class Redis(Client):
    async def open(self, port: int) -> None:
        importlib.import_module("hiredis")  # without it redis-py would quietly parse in Python
        redis = importlib.import_module("redis.asyncio")
        pool = redis.BlockingConnectionPool(
            host="127.0.0.1", port=port, protocol=2, max_connections=CONNECTIONS, timeout=None
        )
        self.client = redis.Redis(connection_pool=pool)
        await self.client.ping()
        self.write = self.client.set  # type: ignore[method-assign]
        self.exists = self.client.exists  # type: ignore[method-assign]

    def read(self, key: bytes, _: int) -> Awaitable[Any]:
        return self.client.get(key)  # type: ignore[no-any-return]


class Glide(Client):
    async def open(self, port: int) -> None:
        glide = importlib.import_module("glide")
        self.client = await glide.GlideClient.create(
            glide.GlideClientConfiguration(
                [glide.NodeAddress("127.0.0.1", port)], request_timeout=60_000, inflight_requests_limit=4096
            )
        )
        self.write = self.client.set  # type: ignore[method-assign]

    def read(self, key: bytes, _: int) -> Awaitable[Any]:
        return self.client.get(key)  # type: ignore[no-any-return]

    def exists(self, key: bytes) -> Awaitable[Any]:
        return self.client.exists([key])  # type: ignore[no-any-return]


class Echo(Client):
    """Messages of the sizes that a store's would have, without a store: the floor of a WebSocket client in Python."""

    stores = False
    waiting: collections.deque[asyncio.Future[bytes]]

    def send(self, message: bytes) -> Any:
        raise NotImplementedError

    async def exchange(self, body: bytes, reply: int) -> bytes:
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        self.send(HEADER.pack(len(body), reply) + body)
        return await future  # type: ignore[no-any-return]

    def write(self, key: bytes, value: bytes) -> Awaitable[Any]:
        return self.exchange(key + value, 8)

    def read(self, key: bytes, size: int) -> Awaitable[Any]:
        return self.exchange(key, size)

    def exists(self, key: bytes) -> Awaitable[Any]:
        return self.exchange(key, 1)


class Picows(Echo):
    async def open(self, port: int) -> None:
        picows = importlib.import_module("picows")
        waiting = self.waiting = collections.deque()

        class Listener(picows.WSListener):  # type: ignore[misc,name-defined]
            def on_ws_frame(self, _: Any, frame: Any) -> None:
                waiting.popleft().set_result(frame.get_payload_as_bytes())

        self.transport, _ = await picows.ws_connect(Listener, f"ws://127.0.0.1:{port}/", max_frame_size=MAX_MESSAGE)
        self.binary = picows.WSMsgType.BINARY
        self.create_future = asyncio.get_running_loop().create_future

    async def exchange(self, body: bytes, reply: int) -> bytes:
        future = self.create_future()
        self.waiting.append(future)
        self.transport.send(self.binary, HEADER.pack(len(body), reply) + body)
        reply_bytes: bytes = await future
        return reply_bytes


class Websockets(Echo):
    async def open(self, port: int) -> None:
        client = importlib.import_module("websockets.asyncio.client")
        self.waiting = collections.deque()
        self.client = await client.connect(
            f"ws://127.0.0.1:{port}/", compression=None, max_size=None, proxy=None, ping_interval=None
        )
        self.receiver = asyncio.create_task(self.receive())

    async def receive(self) -> None:
        async for message in self.client:
            self.waiting.popleft().set_result(message)

    async def exchange(self, body: bytes, reply: int) -> bytes:
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        await self.client.send(HEADER.pack(len(body), reply) + body)
        reply_bytes: bytes = await future
        return reply_bytes


KINDS: dict[str, type[Client]] = {
    "simdrive": Simdrive,
    "real": RealInThreads,
    "redis": Redis,
    "glide": Glide,
    "picows": Picows,
    "websockets": Websockets,
}


class Times(NamedTuple):
    wall: float
    own: float
    cpu: float


class Ticker:
    """A task that runs in each round of the loop, and remembers the longest round: by the clock, by the clock without
    the time in which the thread could run but others had its core, and by the thread's CPU time."""

    async def __aenter__(self) -> Ticker:
        self.longest = Times(0.0, 0.0, 0.0)
        self.over = False
        self.waits = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        self.task = asyncio.create_task(self.tick())
        await asyncio.sleep(0)
        return self

    async def tick(self) -> None:
        last = self.now()
        while not self.over:
            await asyncio.sleep(0)
            now = self.now()
            self.longest = Times(*(max(most, b - a) for most, a, b in zip(self.longest, last, now, strict=True)))
            last = now

    def now(self) -> Times:
        while True:  # both at one moment, or a wait in between would count
            waited = self.waited()
            clock = time.perf_counter()
            if self.waited() == waited:
                return Times(clock, clock - waited / 1e9, time.thread_time())

    def waited(self) -> int:
        """Nanoseconds in which the thread could run, and did not."""
        return int(os.pread(self.waits, 100, 0).split()[1])

    async def __aexit__(self, *_: object) -> None:
        self.over = True
        await self.task
        os.close(self.waits)


class Worker:
    def __init__(self, client: Client) -> None:
        self.client = client
        self.values: dict[str, bytes] = {}

    def call(self, op: str, key: bytes, value: bytes) -> tuple[Callable[..., Awaitable[Any]], tuple[Any, ...]]:
        if op in ("write", "write_stream"):
            return getattr(self.client, op), (key, value)
        if op == "exists":
            return self.client.exists, (key,)
        return getattr(self.client, op), (key, len(value))

    def check(self, op: str, answer: Any, value: bytes) -> None:
        if op == "write":
            return
        if op == "exists":
            right = bool(answer)
        else:
            right = bytes(answer) == value if self.client.stores else len(answer) == len(value)
        if not right:
            raise ValueError(f"{op} gave a wrong answer")

    async def cmd_value(self, key: str, size: int) -> dict[str, Any]:
        """Makes and stores a value of random bytes: the serialiser packs repetitive ones."""
        self.values[key] = os.urandom(size)
        await self.client.write(key.encode(), self.values[key])
        return {}

    async def cmd_load(self, op: str, key: str, inflight: int, secs: float) -> dict[str, Any]:
        """`inflight` tasks, each with one call at a time, for `secs` and at least one call."""
        value = self.values[key]
        over = False

        def end() -> None:
            nonlocal over
            over = True

        async def run(i: int) -> int:
            name = f"{key}-{i}" if op == "write" else key
            call, arguments = self.call(op, name.encode(), value)
            answer = await call(*arguments)
            n = 1
            while not over:
                answer = await call(*arguments)
                n += 1
            self.check(op, answer, value)
            return n

        cpu = cpu_us()
        start = time.perf_counter()
        asyncio.get_running_loop().call_later(secs, end)
        calls = sum(await asyncio.gather(*(run(i) for i in range(inflight))))
        elapsed = time.perf_counter() - start
        return {"calls": calls, "ops_s": calls / elapsed, "cpu_us": (cpu_us() - cpu) / calls}

    async def cmd_hold(self, op: str, key: str) -> dict[str, Any]:
        """The longest that the loop stood still during one call, the end of its result included."""
        value = self.values[key]
        call, arguments = self.call(op, key.encode(), value)
        self.client.prepare(len(value))
        start = time.perf_counter()
        async with Ticker() as ticker:
            answer = await call(*arguments)
            kept = [answer]
            del answer
            took = time.perf_counter() - start
            await asyncio.sleep(0)
            answer = kept.pop()
            del answer
            await asyncio.sleep(0.2)  # memory may be given back later, by a thread
        wall, own, cpu = (1e3 * s for s in ticker.longest)
        return {"hold_ms": own, "wall_ms": wall, "hold_cpu_ms": cpu, "took_ms": took * 1e3}

    async def cmd_memory(self, key: str, size: int) -> dict[str, Any]:
        """For a fresh process only: the peak is the whole life's."""
        before = peak_memory_kib()
        value = os.urandom(size)
        await self.client.write(key.encode(), value)
        answer = await self.client.read(key.encode(), size)
        peak = peak_memory_kib()  # comparing a view would copy it
        self.check("read", answer, value)
        return {"peak_mib": peak / 1024, "before_mib": before / 1024}


async def serve(out: Any) -> None:
    client = KINDS[sys.argv[1]]()
    await client.open(int(sys.argv[3]))
    worker = Worker(client)
    out.write(json.dumps({"ready": True}) + "\n")
    while line := sys.stdin.readline():  # nothing else is to run between two commands
        command = json.loads(line)
        name = command.pop("cmd")
        try:
            answer = await getattr(worker, f"cmd_{name}")(**command)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        out.write(json.dumps(answer) + "\n")


def main() -> None:
    out = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
    os.dup2(2, 1)  # whatever a client prints must not be taken for an answer
    try:
        if sys.argv[2] == "uvloop":
            loop = importlib.import_module("uvloop").new_event_loop()
            loop.run_until_complete(serve(out))
        else:
            asyncio.run(serve(out))
    except BaseException as error:
        traceback.print_exc()
        out.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
        os._exit(1)
    os._exit(0)  # runtime threads of some clients would keep a plain exit waiting


if __name__ == "__main__":
    main()
