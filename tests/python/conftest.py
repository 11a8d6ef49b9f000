"""Fixtures of the Python tests."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import simdrive
from support.blocking import THREADS, connect_as
from support.real_server import DIALECTS, NEWEST, OURS, RealServer, find_server, how_to_get
from support.targets import NAMES, Target, make_server, make_target


def pytest_configure() -> None:
    """A background job inherits that SIGINT is ignored, and so would the programs that tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    """Say which real servers the integration tests will meet."""
    return [f"simd-r-drive-ws-server {v}: {find_server(v) or 'missing, ' + how_to_get(v)}" for v in DIALECTS]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a real server, by its folder; leave out what is slow, unless it is asked for by `-m`."""
    for item in items:
        if "integration" in item.path.parts:
            item.add_marker("integration")
    if "slow" not in (config.option.markexpr or ""):
        left_out = [item for item in items if item.get_closest_marker("slow")]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if not item.get_closest_marker("slow")]


def pytest_collection_finish() -> None:
    """Many tests collect garbage. The thousands of tests are none, and to look at them takes 0.2 s each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", params=NAMES)
def server(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """A server, real or ours, that many tests share; each test uses keys of its own and leaves it running."""
    with make_server(request.param) as running:
        yield running


@pytest.fixture(params=NAMES)
def own_server(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """A server, real or ours, for one test, which may stop, kill and restart it."""
    with make_server(request.param) as running:
        yield running


@pytest.fixture(params=[NEWEST, OURS])
def one_server(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """A server for one test: the newest real one, and ours. What is tested is not between a client and a dialect."""
    with make_server(request.param) as running:
        yield running


@pytest.fixture(params=list(DIALECTS))
def own_real_server(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """A real server for one test."""
    with make_server(request.param) as running:
        yield running


@pytest.fixture(params=NAMES)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """A server for one test, one of the real ones or ours, with an empty store."""
    made = make_target(request.param)
    with made.process:
        yield made


@pytest.fixture(params=[THREADS, "asyncio", "uvloop"])
def client(server: RealServer, request: pytest.FixtureRequest) -> Iterator[simdrive.Client]:
    """A connection to the shared server, of either client; that of asyncio is used as the other is."""
    with connect_as(request.param, server.url, close_timeout=0.05) as opened:  # the older server never answers a Close
        yield opened


@pytest.fixture
def key(request: pytest.FixtureRequest) -> bytes:
    """A key that no other test uses."""
    return str(request.node.nodeid).encode()
