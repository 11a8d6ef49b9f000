"""Reads whose tries are lost half way, in a process of its own, whose memory nobody else takes.

``python -m support.lost_tries read`` (or ``batch_read``) fails if two of the 24 that eight calls lose stay in memory.
"""

from __future__ import annotations

import sys

import simdrive
from simdrive import Retry
from support import bitcode
from support.fault_peer import GOOD, Behaviour, Call, Connection, FaultPeer
from support.ports import wait_until
from support.resident import MIB, data_of, settled_bytes

SIZE = 16 * MIB
CALLS = 8


def lose_half_way(connection: Connection, call: Call) -> None:
    """A reset when half of the reply is there, of other bytes than the right ones."""
    wrong = b"\xee" * SIZE
    frames = connection.reply_frames(call, bitcode.option(wrong) if call.method == "read" else bitcode.options([wrong]))
    for data in frames[: len(frames) // 2]:
        connection.send(data)
    connection.peer.pause(0.2)
    connection.reset()


def main(method: str) -> None:
    data = data_of(SIZE)
    losses = [Behaviour(call=lose_half_way) for _ in range(3)]
    before = 0
    with FaultPeer(script=[*losses, GOOD] * (1 + CALLS)) as peer:
        peer.store.entries[b"key"] = data
        for number in range(1 + CALLS):
            retry = Retry(base=0.001, cap=0.002)
            with simdrive.connect(peer.url, reconnect_spread=0, retry=retry) as client:
                if method == "read":
                    value = client.read(b"key", out="view")
                else:
                    value = client.batch_read([b"key"], out="view")[0]
                assert value == data
                assert client._stats()["connections"] == 4
            del value
            if number == 0:  # the peer, too, keeps memory of its own at first
                before = settled_bytes()
    wait_until(lambda: settled_bytes() - before < 2 * SIZE, timeout=10, what="the memory comes back")


if __name__ == "__main__":
    main(sys.argv[1])
