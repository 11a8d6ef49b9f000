"""The event loops that the asyncio client is tested on, and a runner that fails when a loop has complaints."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


class LoopWithoutReaders(asyncio.SelectorEventLoop):
    """Cannot watch descriptors, like the proactor loop of Windows."""

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        raise NotImplementedError

    def add_writer(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        raise NotImplementedError


def _uvloop() -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop = importlib.import_module("uvloop").new_event_loop()
    return loop


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": _uvloop,
    "thread": LoopWithoutReaders,
}


@dataclass(frozen=True)
class Runner:
    """Runs coroutines, each on a new loop of one kind."""

    name: str

    @property
    def is_missing(self) -> bool:
        return self.name == "uvloop" and importlib.util.find_spec("uvloop") is None

    def new_loop(self) -> asyncio.AbstractEventLoop:
        return LOOPS[self.name]()

    def __call__(self, main: Coroutine[Any, Any, T], *, timeout: float = 60.0, collect: bool = False) -> T:
        """The result. What the loop would have logged (exceptions that nobody asked for) is raised.

        Args:
            collect: collects garbage first, so that nothing of that is missed.
        """
        loop = self.new_loop()
        complaints: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _loop, context: complaints.append(context))
        try:
            result = loop.run_until_complete(asyncio.wait_for(main, timeout))
            left = asyncio.all_tasks(loop)
            assert not left, f"tasks are left: {left}"
            loop.run_until_complete(loop.shutdown_asyncgens())
            if collect:
                gc.collect()
                loop.run_until_complete(turns(2))
        finally:
            loop.close()
        assert not complaints, complaints
        return result


async def turns(count: int) -> None:
    """Lets the loop go round so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool], what: str, *, timeout: float = 10.0) -> None:
    """Until the condition holds, asked again while the loop goes on; fails by name when the time is up."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout:g} s"
        await asyncio.sleep(0.001)  # the state of other threads and processes sends no event


class HoldMeter:
    """How long the loop is held at most, by a timer that wants to run every `step` seconds."""

    def __init__(self, step: float = 0.001) -> None:
        self._step = step
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self.longest = 0.0

    def __enter__(self) -> HoldMeter:
        self._loop = asyncio.get_running_loop()
        self._arm()
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._timer is not None
        self._timer.cancel()
        self._note()

    def _arm(self) -> None:
        self._due = time.perf_counter() + self._step
        self._timer = self._loop.call_later(self._step, self._run)

    def _note(self) -> None:
        self.longest = max(self.longest, time.perf_counter() - self._due)

    def _run(self) -> None:
        self._note()
        self._arm()


def memory() -> int:
    """Resident bytes of this process; 0 where that cannot be told."""
    if sys.platform != "linux":
        return 0
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * 4096
