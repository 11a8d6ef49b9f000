"""A WebSocket server without a store, on picows and uvloop: each reply has the length that its request asks for.

usage: echo_server.py PORT
A request is the length of its body and that of the reply, 32 bits each, little endian, and the body.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import Any

import uvloop
from picows import WSListener, WSMsgType, ws_create_server

HEADER = struct.Struct("<II")
MAX_MESSAGE = 80 << 20


class Listener(WSListener):  # type: ignore[misc]
    replies: dict[int, bytes] = {}  # noqa: RUF012

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            size = HEADER.unpack_from(frame.get_payload_as_memoryview())[1]
            reply = self.replies.get(size)
            if reply is None:
                reply = self.replies[size] = os.urandom(size)
            transport.send(WSMsgType.BINARY, reply)
        elif frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close()
            transport.disconnect()


async def main() -> None:
    server = await ws_create_server(lambda _: Listener(), "127.0.0.1", int(sys.argv[1]), max_frame_size=MAX_MESSAGE)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.new_event_loop().run_until_complete(main())
