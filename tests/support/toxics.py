"""What may befall the connections of a proxy for a while, drawn at random; `heal` ends each of them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Literal

from .fault_proxy import Admission, Direction, Ending, FaultProxy, Way

Toxic = Callable[[FaultProxy, Random], None]


def _direction(chance: Random) -> Direction:
    directions: list[Direction] = ["up", "down", "both"]
    return chance.choice(directions)


def _latency(proxy: FaultProxy, chance: Random) -> None:
    proxy.set_latency(chance.uniform(0.001, 0.05), _direction(chance))


def _bandwidth(proxy: FaultProxy, chance: Random) -> None:
    proxy.set_bandwidth(chance.choice([500, 5_000, 50_000]), _direction(chance))


def _slices(proxy: FaultProxy, chance: Random) -> None:
    proxy.set_slicing(chance.choice([1, 7, 41]), _direction(chance))


def _silence(proxy: FaultProxy, chance: Random) -> None:
    proxy.silence(_direction(chance))


def _stall(proxy: FaultProxy, chance: Random) -> None:
    proxy.stall(_direction(chance))


def _reset(proxy: FaultProxy, _chance: Random) -> None:
    proxy.reset()


def _half_close(proxy: FaultProxy, chance: Random) -> None:
    sides: list[Literal["client", "server"]] = ["client", "server"]
    proxy.half_close(chance.choice(sides))


def _cut(way: Way, then: Ending) -> Toxic:
    def apply(proxy: FaultProxy, chance: Random) -> None:
        proxy.cut_after(chance.randrange(200), way, then=then)

    return apply


def _every_connection_cut(proxy: FaultProxy, chance: Random) -> None:
    # A handshake is some hundred bytes each way: some connections get through it, some do not.
    proxy.cut_after(chance.randrange(100, 1000), "down", then="reset", later=True)


def _admission(how: Admission) -> Toxic:
    def apply(proxy: FaultProxy, _chance: Random) -> None:
        proxy.admit(how)
        proxy.reset()

    return apply


TOXICS: dict[str, Toxic] = {
    "latency": _latency,
    "bandwidth": _bandwidth,
    "slices": _slices,
    "silence": _silence,
    "stall": _stall,
    "reset": _reset,
    "half-close": _half_close,
    "reset in a request": _cut("up", "reset"),
    "reset in a reply": _cut("down", "reset"),
    "close in a request": _cut("up", "close"),
    "close in a reply": _cut("down", "close"),
    "silence in a request": _cut("up", "silence"),
    "silence in a reply": _cut("down", "silence"),
    "every connection cut": _every_connection_cut,
    "refused": _admission("refuse"),
    "held": _admission("hold"),
}
