"""fork and the end of the interpreter with an asyncio client, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.fault_peer import FaultPeer
from support.late_replies import Holder
from support.loops import LOOPS

TESTS = Path(__file__).resolve().parents[2]

START = """
import asyncio, gc, os, sys
sys.path.insert(0, sys.argv[3])
import simdrive
from support.loops import new_loop

kind, url = sys.argv[1:3]
loop = new_loop(kind)
client = loop.run_until_complete(simdrive.aconnect(url, timeout=20))
"""

FORK = """
async def traffic():
    for i in range(20):
        await client.write(b"parent", b"%d" % i)
        assert await client.read(b"parent") == b"%d" % i

async def child_calls():
    try:
        await client.read(b"parent")
    except simdrive.EventLoopError:
        return
    raise SystemExit("no error in the child")

def child(inside):
    code = 1
    try:
        if inside:  # the parent's loop goes on in the child, but its client is the parent's
            call = client.read(b"parent")
            try:
                call.send(None)
            except simdrive.EventLoopError:
                code = 0
        else:
            mine = new_loop(kind)
            mine.run_until_complete(child_calls())

            async def own():
                async with await simdrive.aconnect(url, timeout=20) as other:
                    await other.write(b"child", b"value")
                    assert await other.read(b"child") == b"value"

            mine.run_until_complete(own())
            mine.close()
            code = 0
        gc.collect()
    finally:
        os._exit(code)

async def fork_inside():
    waiting = asyncio.ensure_future(client.read(b"held"))
    await asyncio.sleep(0)
    pid = os.fork()
    if pid == 0:
        child(True)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    await traffic()
    waiting.cancel()

loop.run_until_complete(traffic())
pid = os.fork()
if pid == 0:
    child(False)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
loop.run_until_complete(traffic())
loop.run_until_complete(fork_inside())
loop.run_until_complete(client.close())
loop.close()
print("done")
"""

EXITS = {
    "a loop that stands still": """
async def begin():
    tasks.extend(asyncio.ensure_future(client.read(b"held")) for _ in range(3))
    tasks.append(asyncio.ensure_future(client.write(b"key", bytes(8 << 20) + b"x")))
    await asyncio.sleep(0.05)

tasks = []
loop.run_until_complete(begin())
""",
    "sys.exit in a task": """
async def begin():
    asyncio.ensure_future(client.read(b"held"))
    await asyncio.sleep(0.05)
    sys.exit(0)

loop.run_until_complete(begin())
""",
    "a daemon thread's loop": """
import threading

async def begin():
    mine = await simdrive.aconnect(url)
    ready.set()
    await asyncio.gather(*[mine.read(b"held") for _ in range(3)])

async def busy():
    mine = await simdrive.aconnect(url)
    while True:
        await asyncio.gather(*[mine.write(b"%d" % i, b"value") for i in range(50)])
        ready.set()

for work in (begin, busy):
    ready = threading.Event()
    threading.Thread(target=lambda: new_loop(kind).run_until_complete(work()), daemon=True).start()
    assert ready.wait(20)
loop.run_until_complete(client.close())
""",
}


def run(kind: str, script: str, url: str) -> str:
    command = [sys.executable, "-W", "ignore", "-X", "faulthandler", "-c", START + script, kind, url, str(TESTS)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Fatal" not in ended.stderr
    return ended.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="ASan's allocator does not survive a fork")
@pytest.mark.parametrize("kind", LOOPS)
def test_fork(kind: str) -> None:
    """The child may not use the parent's client, and does not disturb it."""
    if kind == "uvloop":
        pytest.importorskip("uvloop")
    with FaultPeer(then=Holder(["batch_read"]).behaviour) as peer:
        assert run(kind, FORK, peer.url) == "done\n"
    assert peer.errors == []


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("name", EXITS)
def test_exit_with_calls_under_way(kind: str, name: str) -> None:
    if kind == "uvloop":
        pytest.importorskip("uvloop")
    with FaultPeer(then=Holder(["read"]).behaviour) as peer:
        assert run(kind, EXITS[name], peer.url) == ""
