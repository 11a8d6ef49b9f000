"""What our server keeps of the memory that large requests took."""

from __future__ import annotations

import sys
import threading

import pytest

import simdrive
from support.hostile_watch import ProcessWatch
from support.ports import wait_until
from support.resident import MIB, data_of
from support.targets import our_server

if sys.platform != "linux":
    pytest.skip("reads /proc of the server", allow_module_level=True)

WRITERS = 4
KEPT = 128 * MIB
BESIDE = 24 * MIB  # what the heap and the threads of the first large requests keep


@pytest.mark.timeout(150)
def test_large_requests_give_their_memory_back() -> None:
    value = data_of(40 * MIB)
    with our_server() as server:
        url = f"ws://127.0.0.1:{server.port}"

        def write() -> None:
            with simdrive.connect(url, timeout=60) as client:
                for _ in range(2):
                    client.write(b"large", value)

        with simdrive.connect(url) as client:
            client.write(b"small", b"first")
        watch = ProcessWatch(server.pid)
        writers = [threading.Thread(target=write) for _ in range(WRITERS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(120)
        with simdrive.connect(url) as client:
            assert client.read(b"large") == value
        wait_until(lambda: watch.growth() <= KEPT + BESIDE, timeout=60, what="what is beyond the limit goes")
        wait_until(lambda: watch.growth() <= BESIDE, timeout=60, what="an idle server gives its memory back")
