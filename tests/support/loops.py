"""Event loops of every kind that the asyncio client meets, and a way to run a test in one that notices what is left."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from .ports import wait_until

T = TypeVar("T")


class BlindLoop(asyncio.SelectorEventLoop):
    """A loop that cannot watch descriptors for others, as Windows' proactor loop."""

    def _cannot(self, *_args: Any) -> Any:
        raise NotImplementedError

    add_reader = add_writer = remove_reader = remove_writer = _cannot  # type: ignore[assignment]


LOOPS = ("asyncio", "uvloop", "blind")


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """A loop of one of `LOOPS`; skips the test where there is none."""
    if kind == "asyncio":
        return asyncio.new_event_loop()
    if kind == "blind":
        return BlindLoop()
    loop: asyncio.AbstractEventLoop = pytest.importorskip("uvloop").new_event_loop()
    return loop


def close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """As asyncio.run() ends one."""
    try:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def run_in(kind: str, main: Coroutine[Any, Any, T], *, timeout: float | None = None) -> T:
    """Runs `main` in a new loop. Fails where a callback raised, or where a task or an error was left."""
    try:
        loop = new_loop(kind)
    except pytest.skip.Exception:
        main.close()  # else the next test hears that nobody has awaited it
        raise
    unheard: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: unheard.append(context))
    try:
        result = loop.run_until_complete(main if timeout is None else asyncio.wait_for(main, timeout))
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        assert not left, f"tasks were left: {left}"
        gc.collect()  # futures that hold an error which nobody has seen complain when they are collected
    finally:
        close_loop(loop)
    assert unheard == []
    return result


def open_descriptors() -> int:
    """How many this process has, where the system says so; else 0."""
    return len([*Path("/proc/self/fd").iterdir()]) if sys.platform.startswith("linux") else 0


def tracked(*names: str) -> dict[str, int]:
    """How many objects of these types there are, once what can be collected is."""
    gc.collect()
    counts = dict.fromkeys(names, 0)
    for found in gc.get_objects():
        name = type(found).__name__
        if name in counts:
            counts[name] += 1
    return counts


class Leaks:
    """Compares descriptors and objects of a client before and after a block."""

    KINDS = ("AsyncCall", "AsyncCore", "AsyncClient", "Future", "Task")

    def __init__(self, loop: str) -> None:
        self._loop = loop

    def __enter__(self) -> Leaks:
        run_in(self._loop, turns(1))  # what the first loop of a kind opens stays for the next ones
        self._descriptors = open_descriptors()
        self._objects = tracked(*self.KINDS)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        # The thread that made a connection, or its peer, may still be about to end.
        wait_until(lambda: tracked(*self.KINDS) == self._objects, timeout=5, what="objects are gone")
        wait_until(lambda: open_descriptors() <= self._descriptors, timeout=5, what="descriptors are closed")


async def turns(count: int) -> None:
    """So many rounds of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


class Turns:
    """A task beside the others that counts the turns of the loop that it gets."""

    async def __aenter__(self) -> Turns:
        self.count = 0
        self._over = False
        self._task = asyncio.create_task(self._run())
        return self

    async def _run(self) -> None:
        while not self._over:
            self.count += 1
            await asyncio.sleep(0)

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        await self._task


async def until(condition: Callable[[], bool], *, timeout: float = 10.0, what: str = "the condition holds") -> None:
    """Lets the loop go round until the condition holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while not condition():
        if loop.time() > deadline:
            raise TimeoutError(f"{what}: not within {timeout:g} s")
        await asyncio.sleep(0.001)


async def gathered(calls: Iterable[Awaitable[T]]) -> list[T | BaseException]:
    """What all of them came to."""
    return await asyncio.gather(*calls, return_exceptions=True)
