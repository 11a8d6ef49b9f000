"""Fixtures for tests of programs that use simdrive; pytest finds them by itself.

- ``simdrive_server``: a running :class:`simdrive.Server`, one for the test run, with its store in memory. With
  ``--simdrive-url`` the fixtures talk to that server instead, and this one is not to be had.
- ``simdrive_client``: a :class:`simdrive.Client` of that server. What a test has stored is gone afterwards, unless
  ``--simdrive-keep`` or ``--simdrive-url`` is given: nothing is removed from a server that is not the run's own.
- ``simdrive_store``: an empty :class:`simdrive.Store` in a temporary folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import simdrive


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simdrive")
    group.addoption("--simdrive-url", metavar="URL", help="let simdrive_client talk to this server; nothing is removed")
    group.addoption("--simdrive-keep", action="store_true", help="do not remove what tests have stored")


@pytest.fixture(scope="session")
def _simdrive_memory(pytestconfig: pytest.Config) -> Iterator[simdrive.Store | None]:
    import simdrive

    if pytestconfig.getoption("--simdrive-url"):
        yield None
        return
    with simdrive.MemoryStore() as store:
        yield store


@pytest.fixture(scope="session")
def _simdrive_running(_simdrive_memory: simdrive.Store | None) -> Iterator[simdrive.Server | None]:
    import simdrive

    if _simdrive_memory is None:
        yield None
        return
    with simdrive.Server(_simdrive_memory) as server:
        yield server


@pytest.fixture(scope="session")
def simdrive_server(_simdrive_running: simdrive.Server | None) -> simdrive.Server:
    """A server at a free port of this machine, with its store in memory: one for the whole run."""
    if _simdrive_running is None:
        pytest.skip("--simdrive-url names a server that is not ours to look into")
    return _simdrive_running


@pytest.fixture
def simdrive_client(
    pytestconfig: pytest.Config, _simdrive_running: simdrive.Server | None, _simdrive_memory: simdrive.Store | None
) -> Iterator[simdrive.Client]:
    """A client of the run's server, whose store is empty at first, or of that at --simdrive-url, as it is."""
    import simdrive

    url = _simdrive_running.url if _simdrive_running is not None else pytestconfig.getoption("--simdrive-url")
    with simdrive.connect(url) as client:
        yield client
    if _simdrive_memory is not None and not pytestconfig.getoption("--simdrive-keep"):
        _simdrive_memory.batch_delete([entry.key_hash for entry in _simdrive_memory.iter_entries()])
        _simdrive_memory.compact()


@pytest.fixture
def simdrive_store(tmp_path: Path) -> Iterator[simdrive.Store]:
    """An empty store in a file of the test's own."""
    import simdrive

    with simdrive.Store(tmp_path / "store.bin") as store:
        yield store
