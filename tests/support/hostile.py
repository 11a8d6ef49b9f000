"""Attacks on a server: one for each limit, with what the server did and what it cost.

`run_attack` makes one against a server that runs, beside a good client; tools/hostile_table.py makes a table of all.
"""

from __future__ import annotations

import contextlib
import os
import resource
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from . import bitcode, muxio, wsraw
from .hostile_peer import NO_MASK, Peer, binary, request_head
from .hostile_watch import GoodClient, ProcessWatch
from .ports import wait_until
from .wsraw import RawClient

KIB, MIB = 1 << 10, 1 << 20
PIECE = 8 * MIB  # of a large request, in a frame and message of its own
ALL_ZERO = b"\x0a"  # header of a byte column that packs eight values of 0 and 1 into a byte


@dataclass(frozen=True)
class Amounts:
    """How much of each attack there is, and how long to wait. Bytes, counts and seconds."""

    patience: float = 3.0  # for an answer that may come at once
    quiet: float = 2.0
    aftermath: float = 0.2  # for which the good client goes on
    fed: int = 384 * MIB
    request: int = (1 << 30) + 4 * MIB
    unfinished: int = 32 * MIB
    unfinished_connections: int = 8
    empty_frames: int = 16 * MIB
    fragments: int = 500_000
    early: int = 64 * MIB
    streams: int = 1025
    frame: int = 16 * MIB + 1
    message: int = 64 * MIB + 1
    replies: int = 400 * MIB
    slow_wait: float = 13.0
    silent_wait: float = 18.0
    handshakes: int = 200
    handshake_wait: float = 8.0
    idle: int = 1000
    connections: int = 1060
    header_bytes: int = 17 * KIB
    headers: int = 65
    keys: int = 1_000_001
    packed: int = MIB  # bytes that stand for eight keys each
    descriptors: int = 64
    descriptor_connections: int = 100
    descriptor_wait: float = 2.0


@dataclass(frozen=True)
class Outcome:
    """What the server did about an attack.

    `action`: "close" (a Close frame with `code`), "cut" (the connection ended without one), "http" (refused with the
    status `code`), "served" (with the connections asked for), "answered", "error reply", or "nothing".
    """

    action: str
    code: int | None = None
    after: float | None = None
    detail: str = ""

    def __str__(self) -> str:
        words = {"close": f"Close {self.code}", "http": f"HTTP {self.code}"}.get(self.action, self.action)
        if self.after is not None:
            words += f" after {self.after:.{1 if self.after >= 1 else 2}f} s"
        return f"{words}; {self.detail}" if self.detail else words


class Lab:
    """A server under attack, and the connections of the attack."""

    def __init__(self, port: int, pid: int, dialect: str, amounts: Amounts, stack: ExitStack) -> None:
        self.port, self.pid, self.dialect, self.amounts = port, pid, dialect, amounts
        self.watch = ProcessWatch(pid)
        self.began = time.monotonic()
        self.stack = stack

    def raw(self, *, pongs: bool = True, receive_buffer: int = 0) -> Peer:
        """A connection without a word said."""
        peer = Peer(self.port, dialect=self.dialect, pongs=pongs, receive_buffer=receive_buffer)
        return self.stack.enter_context(peer)

    def peer(self, *, pongs: bool = True, receive_buffer: int = 0) -> Peer:
        """A connection whose WebSocket is open."""
        peer = self.raw(pongs=pongs, receive_buffer=receive_buffer).upgrade()
        if peer.status != 101:
            raise ConnectionError(f"no WebSocket: {peer.status}")
        return peer

    def known(self) -> Peer:
        """A connection that has made a call: the server knows its dialect, and tries no other on what comes."""
        peer = self.peer()
        if not self.works(peer):
            raise ConnectionError("an ordinary call was not answered")
        peer.replies.clear()
        return peer

    def frame(self, stream: int, seq: int, kind: int, payload: bytes = b"", *, announce: int | None = None) -> bytes:
        return muxio.frame(self.dialect, stream, seq, kind, payload, announce=announce)

    def start(self) -> None:
        """The preparations are over."""
        self.began = time.monotonic()

    def ended(self, peer: Peer) -> Outcome | None:
        """What ended the connection, if it is ended."""
        if peer.status not in (None, 101):
            return Outcome("http", peer.status, time.monotonic() - self.began)
        if peer.end is None:
            return None
        return Outcome(peer.end.how, peer.end.code, peer.end.at - self.began)

    def judge(self, peer: Peer, request_id: int | None = None, *, wait: float | None = None) -> Outcome:
        """Wait for a reply or the end. If nothing comes: whether the connection is of use still."""
        limit = self.amounts.patience if wait is None else wait

        def answered() -> bool:
            return request_id is not None and peer.reply_to(request_id) is not None

        peer.wait(limit, lambda: answered() or peer.closing)
        after = time.monotonic() - self.began
        if request_id is not None and (reply := peer.reply_to(request_id)) is not None:
            if reply.metadata == bytes([muxio.SUCCESS]):
                return Outcome("answered", None, after)
            return Outcome("error reply", None, after, reply.payload[:160].decode("utf-8", "replace"))
        if (outcome := self.ended(peer)) is not None:
            return outcome
        works = self.works(peer)
        return self.ended(peer) or Outcome(
            "nothing", detail=f"connection {'works' if works else 'of no more use'}, {limit:g} s waited"
        )

    def works(self, peer: Peer) -> bool:
        """Whether the connection still answers a call, within a second."""
        number = 0x7000_0001
        peer.push(peer.call("exists", bitcode.byte_strings([b"absent"]), request_id=number), limit=1.0)
        return peer.wait(1.0, lambda: peer.reply_to(number) is not None)

    def opened(self, request_id: int, method: str, arguments: bytes = b"", *, kind: int = muxio.CALL) -> bytes:
        """The beginning of a request, to be the payload of an Open frame."""
        return muxio.Message(kind, request_id, muxio.METHOD_IDS[method], b"", arguments).encode()


Attack = Callable[[Lab], Outcome]
ATTACKS: dict[str, tuple[str, Attack]] = {}


def attack(title: str) -> Callable[[Attack], Attack]:
    """Adds an attack to the list, under the function's name."""

    def add(function: Attack) -> Attack:
        ATTACKS[function.__name__] = (title, function)
        return function

    return add


def feed(peer: Peer, data: bytes, total: int, *, limit: float) -> int:
    """Send messages of these bytes again and again, until so many bytes are sent or the server has had enough."""
    message, sent = binary(data), 0
    deadline = time.monotonic() + limit
    while sent < total and not peer.closing:
        if peer.push(message, limit=deadline - time.monotonic()) < len(message):
            break
        sent += len(data)
    return sent


def feed_frame(lab: Lab, peer: Peer, seq: int, payload: bytes) -> int:
    """One more frame of stream 1, in a message of its own, copied nowhere: the bytes sent of it."""
    head = lab.frame(1, seq, muxio.DATA, announce=len(payload))
    head = wsraw.encode(wsraw.BINARY, head, mask_key=NO_MASK, announce=len(head) + len(payload))
    return peer.push(payload, limit=5) if peer.push(head, limit=5) == len(head) else 0


@attack("nobody attacks")
def quiet(lab: Lab) -> Outcome:
    peer = lab.peer()
    peer.wait(lab.amounts.quiet)
    return lab.ended(peer) or Outcome("nothing")


@attack("a frame announces 4 GiB, {fed} follow")
def false_length(lab: Lab) -> Outcome:
    peer = lab.peer()
    peer.push(binary(lab.frame(1, 0, muxio.OPEN, announce=0xFFFF_FFFF)), limit=5)
    sent = feed(peer, bytes(MIB), lab.amounts.fed, limit=10)
    outcome = lab.judge(peer)
    taken = f"{sent // MIB} MiB taken"
    return Outcome(outcome.action, outcome.code, outcome.after, "; ".join(filter(None, [taken, outcome.detail])))


@attack("one request of {request}")
def long_request(lab: Lab) -> Outcome:
    peer, amount = lab.peer(), lab.amounts.request
    peer.push(binary(lab.frame(1, 0, muxio.OPEN, lab.opened(1, "write"))), limit=5)
    sent, seq, piece = 0, 1, bytes(PIECE)
    while sent < amount and not peer.closing and peer.reply_to(1) is None:
        taken = feed_frame(lab, peer, seq, piece)
        sent, seq = sent + taken, seq + 1
        if taken < PIECE:
            break
    peer.push(binary(lab.frame(1, seq, muxio.END)), limit=1)
    return lab.judge(peer, 1, wait=10)


@attack("stops in the middle of a request, and goes on after {patience}")
def stall(lab: Lab) -> Outcome:
    peer = lab.peer()
    request = peer.call(
        "write", bitcode.byte_strings([b"stalled"]) + bitcode.byte_strings([b"x" * 300_000]), request_id=1
    )
    half = len(request) // 2
    peer.push(request[:half], limit=5)
    peer.wait(lab.amounts.patience)
    peer.push(request[half:], limit=5)
    return lab.judge(peer, 1)


@attack("{unfinished_connections} connections with {unfinished} each of a request without an end")
def unfinished(lab: Lab) -> Outcome:
    peers = [lab.peer() for _ in range(lab.amounts.unfinished_connections)]
    for peer in peers:
        peer.push(binary(lab.frame(1, 0, muxio.OPEN, lab.opened(1, "write"))), limit=5)
        for seq in range(1, 1 + lab.amounts.unfinished // MIB):
            if feed_frame(lab, peer, seq, bytes(MIB)) < MIB:
                break
        for other in peers:
            other.wait(0)  # answers pings, however long the others take
    return of_all(lab, peers, lab.amounts.patience)


def of_all(lab: Lab, peers: Sequence[Peer], wait: float) -> Outcome:
    """What most connections met: those that ended, and when the last of them did."""
    deadline = time.monotonic() + wait
    for peer in peers:
        peer.wait(deadline - time.monotonic())
    outcomes = [outcome for peer in peers if (outcome := lab.ended(peer)) is not None]
    count = f"{len(outcomes)} of {len(peers)}"
    if not outcomes:
        return Outcome("nothing", detail=f"{wait:g} s waited")
    last = max(outcomes, key=lambda outcome: outcome.after or 0)
    return Outcome(last.action, last.code, last.after, count)


@attack("{empty_frames} of empty frames in one message")
def empty_frames(lab: Lab) -> Outcome:
    peer = lab.known()
    count = lab.amounts.empty_frames // muxio.HEADER_SIZES[lab.dialect]
    pad = bytes(muxio.HEADER_SIZES[lab.dialect] - 13)
    message = binary(b"".join(struct.pack("<IIIB", 0, 1, seq, min(seq, 1)) + pad for seq in range(count)))
    lab.start()
    peer.push(message, limit=10)
    peer.push(peer.call("exists", bitcode.byte_strings([b"absent"]), request_id=3), limit=5)
    return lab.judge(peer, 3)


@attack("one message in {fragments} fragments, nearly all of them empty")
def fragments(lab: Lab) -> Outcome:
    peer = lab.peer()
    frames = muxio.stream_frames(lab.dialect, 1, lab.opened(1, "exists", bitcode.byte_strings([b"absent"])))
    data = b"".join(frames)
    empty = wsraw.encode(0, b"", mask_key=NO_MASK, final=False) * (lab.amounts.fragments // len(data))
    pieces = [
        wsraw.encode(0 if at else wsraw.BINARY, data[at : at + 1], mask_key=NO_MASK, final=at + 1 == len(data))
        for at in range(len(data))
    ]
    lab.start()
    peer.push(empty.join(pieces), limit=10)
    return lab.judge(peer, 1)


@attack("{early} behind a gap in a stream")
def gap(lab: Lab) -> Outcome:
    peer = lab.peer()
    peer.push(binary(lab.frame(1, 0, muxio.OPEN, lab.opened(1, "write"))), limit=5)
    for seq in range(2, 2 + lab.amounts.early // muxio.CHUNK):
        if feed_frame(lab, peer, seq, bytes(muxio.CHUNK)) < muxio.CHUNK:
            break
    return lab.judge(peer)


@attack("{streams} requests begun at once")
def streams(lab: Lab) -> Outcome:
    peer = lab.peer()
    begun = [binary(lab.frame(n, 0, muxio.OPEN, lab.opened(n, "exists"))) for n in range(1, 1 + lab.amounts.streams)]
    peer.push(b"".join(begun), limit=5)
    return lab.judge(peer)


@attack("a WebSocket frame of {frame}")
def long_frame(lab: Lab) -> Outcome:
    peer = lab.peer()
    size = lab.amounts.frame - muxio.HEADER_SIZES[lab.dialect]
    data = lab.frame(1, 0, muxio.OPEN, lab.opened(1, "write").ljust(size, b"\0"))
    message = binary(data)
    lab.start()
    peer.push(message, limit=5)
    return lab.judge(peer)


@attack("a WebSocket message of {message} in frames of 16 MiB")
def long_message(lab: Lab) -> Outcome:
    peer, total = lab.peer(), lab.amounts.message
    data, seq = lab.frame(1, 0, muxio.OPEN, lab.opened(1, "write")), 1
    while len(data) < total:
        data += lab.frame(1, seq, muxio.DATA, bytes(min(PIECE, total - len(data))))
        seq += 1
    data = data[:total]
    lab.start()
    for at in range(0, total, 16 * MIB):
        piece = data[at : at + 16 * MIB]
        end = at + len(piece) == total
        peer.push(wsraw.encode(0 if at else wsraw.BINARY, piece, mask_key=NO_MASK, final=end), limit=5)
    return lab.judge(peer)


@attack("asks for {replies} of replies and reads none")
def slow_reader(lab: Lab) -> Outcome:
    value, before = os.urandom(MIB), lab.watch.descriptors()
    with RawClient(lab.port) as writer:
        stored = writer.call(lab.dialect, "write", bitcode.byte_strings([b"large"]) + bitcode.byte_strings([value]))
    if stored.metadata != bytes([muxio.SUCCESS]):
        raise ConnectionError(f"the value was not stored: {stored}")
    with contextlib.suppress(TimeoutError):  # a server may keep the writer's for ever, but must not be late with it
        wait_until(lambda: lab.watch.descriptors() <= before, timeout=2, what="the writer's descriptor is closed")
    peer = lab.peer(receive_buffer=64 * KIB)
    key = bitcode.byte_strings([b"large"])
    calls = [peer.call("read", key, request_id=1 + 2 * n) for n in range(lab.amounts.replies // MIB)]
    held = lab.watch.descriptors()
    lab.start()
    peer.push(b"".join(calls), limit=5, read=False)
    deadline = time.monotonic() + lab.amounts.slow_wait
    while time.monotonic() < deadline and not peer.closing:
        peer.wait(0.1, read=False)  # what has not been read hides the end from this side: the server's is looked at
        if lab.watch.descriptors() < held:
            return Outcome("cut", None, time.monotonic() - lab.began)
    return lab.ended(peer) or Outcome("nothing", detail=f"{lab.amounts.slow_wait:g} s waited")


@attack("says nothing more: idle, in the middle of a message, of a request")
def silent(lab: Lab) -> Outcome:
    peers = [lab.peer(pongs=False) for _ in range(3)]
    call = peers[0].call("exists", bitcode.byte_strings([b"absent"]), request_id=1)
    peers[1].push(call[: len(call) // 4], limit=1)
    peers[2].push(binary(lab.frame(1, 0, muxio.OPEN, lab.opened(1, "exists"))), limit=1)
    return of_all(lab, peers, lab.amounts.silent_wait)


@attack("{handshakes} connections stop in the middle of the handshake")
def half_handshakes(lab: Lab) -> Outcome:
    peers = [lab.raw() for _ in range(lab.amounts.handshakes)]
    for peer in peers:
        peer.push(request_head(lab.port)[:40], limit=1)
    return of_all(lab, peers, lab.amounts.handshake_wait)


@attack("{idle} idle connections")
def idle(lab: Lab) -> Outcome:
    before = lab.watch.growth()
    for _ in range(lab.amounts.idle):
        lab.peer()
    each = (lab.watch.growth() - before) / lab.amounts.idle
    return Outcome("served", detail=f"{each / KIB:.0f} KiB a connection")


@attack("{connections} connections at once")
def connections(lab: Lab) -> Outcome:
    statuses: dict[int | None, int] = {}
    for _ in range(lab.amounts.connections):
        peer = lab.raw().upgrade(limit=1.0)
        statuses[peer.status] = statuses.get(peer.status, 0) + 1
    counts = ", ".join(f"{count} times {status or 'no answer'}" for status, count in statuses.items())
    refusals = [status for status in statuses if status not in (None, 101)]
    return Outcome("http", refusals[0], detail=counts) if refusals else Outcome("served", detail=counts)


def handshake(lab: Lab, *headers: str, host: str | None = None) -> Outcome:
    """What the server makes of such a request."""
    peer = lab.raw().upgrade(*headers, host=host, limit=lab.amounts.patience)
    if peer.status == 101:
        return Outcome("served", detail="101")
    return lab.ended(peer) or Outcome("nothing", detail=f"{lab.amounts.patience:g} s waited")


@attack("a header of {header_bytes}")
def header_bytes(lab: Lab) -> Outcome:
    return handshake(lab, "X-Long: " + "x" * lab.amounts.header_bytes)


@attack("{headers} headers")
def headers(lab: Lab) -> Outcome:
    return handshake(lab, *(f"X-{n}: y" for n in range(lab.amounts.headers - 5)))


@attack("a web page of another site: Origin")
def origin(lab: Lab) -> Outcome:
    return handshake(lab, "Origin: http://attacker.invalid")


@attack("a web page whose name points to this machine: Host")
def host(lab: Lab) -> Outcome:
    return handshake(lab, host=f"attacker.invalid:{lab.port}")


def packed_batch(lab: Lab, columns: bytes, count: int) -> Outcome:
    """A batch of reads whose keys are in columns of our own making."""
    peer = lab.peer()
    request = peer.call("batch_read", bitcode.length_column([count]) + columns, request_id=1)
    lab.start()
    peer.push(request, limit=5)
    return lab.judge(peer, 1)


@attack("a batch of {keys} keys, packed")
def keys(lab: Lab) -> Outcome:
    count = lab.amounts.keys
    size = -(-count // 8)
    return packed_batch(lab, ALL_ZERO + b"\xff" * size + ALL_ZERO + bytes(size), count)


@attack("{packed} of packed zeros: eight empty keys a byte")
def inflation(lab: Lab) -> Outcome:
    return packed_batch(lab, ALL_ZERO + bytes(lab.amounts.packed), 8 * lab.amounts.packed)


@attack("{descriptor_connections} connections, with {descriptors} descriptors for the server")
def descriptors(lab: Lab) -> Outcome:
    resource.prlimit(lab.pid, resource.RLIMIT_NOFILE, (lab.amounts.descriptors, lab.amounts.descriptors))
    with ExitStack() as stack:
        peers = [stack.enter_context(Peer(lab.port)) for _ in range(lab.amounts.descriptor_connections)]
        for peer in peers:
            peer.push(request_head(lab.port), limit=1)
        deadline = time.monotonic() + lab.amounts.descriptor_wait
        for peer in peers:
            peer.answer(deadline - time.monotonic())
        peers[0].wait(deadline - time.monotonic())
        served = sum(peer.status == 101 for peer in peers)
        refused = sum(peer.closing or peer.status not in (None, 101) for peer in peers)
    lab.start()
    while (peer := lab.raw().upgrade(limit=1.0)).status != 101:
        if time.monotonic() > lab.began + lab.amounts.patience:
            return Outcome("nothing", detail=f"{served} served, {refused} refused; serves nobody afterwards")
    again = time.monotonic() - lab.began
    return Outcome("served", detail=f"{served} served, {refused} refused; serves again {again:.2f} s afterwards")


@attack("garbage in place of HTTP")
def garbage_http(lab: Lab) -> Outcome:
    peer = lab.raw()
    peer.push(os.urandom(128 * KIB), limit=1)
    peer.wait(lab.amounts.handshake_wait)
    return lab.ended(peer) or Outcome("nothing", detail=f"{lab.amounts.handshake_wait:g} s waited")


@attack("garbage in place of a WebSocket frame")
def garbage_websocket(lab: Lab) -> Outcome:
    peer = lab.peer()
    peer.push(b"\xff" * 128 * KIB, limit=1)
    return lab.judge(peer)


@attack("garbage in place of a frame")
def garbage_frames(lab: Lab) -> Outcome:
    peer = lab.known()
    peer.push(binary(b"\xff" * 128 * KIB), limit=1)
    return lab.judge(peer)


@attack("a response in place of a call")
def response(lab: Lab) -> Outcome:
    """Whether it is carried out is looked at with another connection."""
    peer = lab.peer()
    arguments = bitcode.byte_strings([b"from a response"]) + bitcode.byte_strings([b"value"])
    peer.push(peer.call("write", arguments, request_id=1, kind=muxio.RESPONSE), limit=1)
    outcome = lab.judge(peer, 1)
    with RawClient(lab.port) as other:
        found = other.call(lab.dialect, "exists", bitcode.byte_strings([b"from a response"])).payload
    detail = "carried out" if found == b"\1" else "not carried out"
    return Outcome(outcome.action, outcome.code, outcome.after, "; ".join(filter(None, [detail, outcome.detail])))


@attack("a frame of a kind that there is not")
def invalid_kind(lab: Lab) -> Outcome:
    peer = lab.known()
    arguments = bitcode.byte_strings([b"absent"])
    frames = [lab.frame(1, 0, 9, lab.opened(1, "exists", arguments)), lab.frame(1, 1, muxio.END)]
    peer.push(b"".join(map(binary, frames)), limit=1)
    return lab.judge(peer, 1)


@attack("a message of a type that there is not")
def invalid_type(lab: Lab) -> Outcome:
    peer = lab.known()
    peer.push(peer.call("exists", bitcode.byte_strings([b"absent"]), request_id=1, kind=9), limit=1)
    return lab.judge(peer, 1)


def amount(value: float, name: str) -> str:
    """An amount as people write it."""
    if name in ("patience", "quiet"):
        return f"{value:g} s"
    if name in ("fed", "request", "unfinished", "empty_frames", "early", "frame", "message", "replies", "packed"):
        whole, rest = divmod(int(value), MIB)
        return f"{whole} MiB" + (f" + {rest}" if rest else "")
    return f"{int(value) // KIB} KiB" if name == "header_bytes" else f"{value:,}".replace(",", " ")


def title(name: str, amounts: Amounts) -> str:
    """What an attack is, in a few words."""
    return ATTACKS[name][0].format(**{field: amount(value, field) for field, value in asdict(amounts).items()})


@dataclass(frozen=True)
class Row:
    """One attack: what was done about it, and what it cost."""

    name: str
    outcome: Outcome
    peak_bytes: int  # memory, at the highest, above that before
    cpu_seconds: float  # with what the good client costs
    descriptors_left: int  # open once everybody is gone, more than before
    good_longest: float  # seconds of the good client's slowest call
    good_calls: int
    alive: bool


def warm_up(port: int, dialect: str) -> None:
    """Make a few connections and calls: what a server sets up for its first ones is no attack's price."""
    with ExitStack() as stack:
        for _ in range(16):
            client = stack.enter_context(RawClient(port))
            client.call(dialect, "exists", bitcode.byte_strings([b"absent"]))


def run_attack(name: str, port: int, pid: int, dialect: str, amounts: Amounts) -> Row:
    """Make one attack on a server that runs, beside a good client. Linux."""
    warm_up(port, dialect)
    with ExitStack() as stack:
        lab = Lab(port, pid, dialect, amounts, stack)
        with GoodClient(port, dialect) as good:
            lab.start()
            outcome = ATTACKS[name][1](lab)
            time.sleep(amounts.aftermath)  # what the server does then is measured, too
        alive = lab.watch.alive()
        peak, cpu = (lab.watch.peak_growth(), lab.watch.cpu_used()) if alive else (0, 0.0)
    left = lab.watch.descriptors_left() if alive else 0
    return Row(name, outcome, peak, cpu, left, good.longest, good.calls, alive)
