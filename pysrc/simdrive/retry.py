"""When a client tries again: :class:`Retry`."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from simdrive.errors import ConfigurationError, ConnectError, ConnectionLostError, SimdriveError

__all__ = ["Retry"]

_LIMIT = 1e9  # seconds; far beyond any use, and far from what a clock cannot count


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    return float(value)


@dataclass(frozen=True)
class Retry:
    """When calls are tried again, and how long a client waits before it connects once more.

    The waits are exponential with full jitter ("Exponential Backoff and Jitter", M. Brooker, 2015), but never shorter
    than ``base``. The deadline of a call covers its tries and its waits.

    Attributes:
        retries: further tries of one call after the first; 0: none, and a call that finds no connection fails with the
            error of the next try to connect instead of waiting for one until its deadline.
        base: the first wait in seconds.
        cap: the longest wait in seconds.
        jitter: ``"full"``: a wait is drawn between ``base`` and its limit; ``"none"``: it is the limit.
        retry_writes: writes and deletes whose connection was lost are tried again ``"unsent"``: only if no byte of the
            request left this process; ``"always"``: also if they may have been applied already; ``"never"``. Reads
            always are.
        on: the errors that are tried again: ``ConnectError``, ``ConnectionLostError``, or a base class of theirs.

    Raises:
        ConfigurationError: an impossible value.
        TypeError: a value of another type.
    """

    NONE: ClassVar[Retry]

    retries: int = 3
    base: float = field(default=0.05, kw_only=True)
    cap: float = field(default=2.0, kw_only=True)
    jitter: Literal["full", "none"] = field(default="full", kw_only=True)
    retry_writes: Literal["unsent", "always", "never"] = field(default="unsent", kw_only=True)
    on: tuple[type[SimdriveError], ...] = field(default=(ConnectError, ConnectionLostError), kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.retries, bool) or not isinstance(self.retries, int):
            raise TypeError(f"retries must be an int, not {type(self.retries).__name__}")
        if not 0 <= self.retries < 1 << 31:
            raise ConfigurationError(f"retries must be 0 or more and below 2**31, not {self.retries}")
        base, cap = _number("base", self.base), _number("cap", self.cap)
        if not 0 < base <= cap < _LIMIT:
            raise ConfigurationError(f"base and cap must be seconds with 0 < base <= cap, not {base!r} and {cap!r}")
        if self.jitter not in ("full", "none"):
            raise ConfigurationError(f'jitter must be "full" or "none", not {self.jitter!r}')
        if self.retry_writes not in ("unsent", "always", "never"):
            raise ConfigurationError(f'retry_writes must be "unsent", "always" or "never", not {self.retry_writes!r}')
        if not isinstance(self.on, tuple):
            raise TypeError(f"on must be a tuple of exception classes, not {type(self.on).__name__}")
        kinds: tuple[object, ...] = self.on
        for kind in kinds:
            if not (
                isinstance(kind, type) and (issubclass(ConnectError, kind) or issubclass(ConnectionLostError, kind))
            ):
                raise ConfigurationError(
                    f"on may hold ConnectError, ConnectionLostError and their base classes, not {kind!r}: "
                    "no other failure is tried again"
                )

    def delay(self, attempt: int) -> float:
        """A wait in seconds before the try after `attempt` failures in a row (1: the first), drawn anew each time."""
        if attempt < 1:
            raise ConfigurationError(f"attempt must be at least 1, not {attempt}")
        limit = min(self.cap, self.base * 2.0 ** min(attempt - 1, 1000))
        return limit if self.jitter == "none" else random.uniform(self.base, limit)  # noqa: S311 - no secret

    def handles(self, kind: type[SimdriveError]) -> bool:
        """Whether errors of this class are tried again."""
        return any(issubclass(kind, each) for each in self.on)


Retry.NONE = Retry(0, retry_writes="never", on=())
