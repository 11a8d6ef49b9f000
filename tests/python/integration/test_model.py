"""A client against a dict, with the server killed and started as steps (Hypothesis)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

import simdrive
from support.amounts import amount
from support.fault_proxy_timing import LagMeter
from support.model import Model, Value
from support.real_server import RealServer
from support.targets import NAMES, make_server

KEYS = [b"", b"k", b"key two", b"\0\xff", b"long" * 8]
EXAMPLES = amount(200, 5000)
UP = 10.0  # seconds; long enough for every reconnect
DOWN = 0.01

keys = st.sampled_from(KEYS)
# Around the places where the encoding changes; few values, so that equal ones meet.
values = st.one_of(
    st.binary(min_size=1, max_size=4).filter(lambda data: data != b"\0"),
    st.sampled_from([254, 255, 256, 4096, 70_000]).map(lambda size: (b"value " * size)[:size]),
    st.sampled_from([2, 300]).map(bytes),
)


class ClientMachine(RuleBasedStateMachine):
    """One client, one server of its own, and a model of what the keys may hold."""

    version = "0.17.5-alpha"

    def __init__(self) -> None:
        super().__init__()
        self.model = Model(KEYS)
        self.server = RealServer(self.version)
        self.server.start()
        self.up = True
        self.calls_without_server = 0
        self.meter = LagMeter()
        self.meter.__enter__()
        retry = simdrive.Retry(base=0.005, cap=0.02)
        # The older server never answers a Close.
        options: dict[str, Any] = {"timeout": UP, "reconnect_spread": 0.0, "close_timeout": 0.05}
        self.client = simdrive.connect(self.server.url, retry=retry, **options)

    def teardown(self) -> None:
        self.client.close()
        self.server.close()
        self.meter.__exit__(None, None, None)

    # ---- the server ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self.up)
    @rule()
    def kill(self) -> None:
        self.server.kill()
        self.model.server_gone()
        self.up = False

    @precondition(lambda self: not self.up)
    @rule()
    def start(self) -> None:
        self.server.start()
        self.up = True
        self.calls_without_server = 0

    @precondition(lambda self: self.up)
    @rule()
    def restart(self) -> None:
        self.kill()
        self.start()

    # ---- calls that write ---------------------------------------------------------------------------------------

    def change(self, items: dict[bytes, Value], call: Callable[[float], None]) -> None:
        try:
            self.timed(call)
        except (simdrive.ConnectionLostError, simdrive.OperationTimeout) as error:
            # With a server, only what went out on the connection of the one before may be lost.
            if self.up and isinstance(error, simdrive.OperationTimeout):
                raise
            if error.outcome == "unknown":
                for key, value in items.items():
                    self.model[key].unknown(value)
        else:
            assert self.up, "an answer out of nowhere"
            for key, value in items.items():
                self.model[key].applied(value)

    @rule(key=keys, value=values)
    def write(self, key: bytes, value: bytes) -> None:
        self.change({key: value}, lambda timeout: self.client.write(key, value, timeout=timeout))

    @rule(items=st.dictionaries(keys, values, max_size=5))
    def batch_write(self, items: dict[bytes, bytes]) -> None:
        changes: dict[bytes, Value] = {**items}
        if items or self.up:
            self.change(changes, lambda timeout: self.client.batch_write(items, timeout=timeout))

    @rule(key=keys)
    def delete(self, key: bytes) -> None:
        self.change({key: None}, lambda timeout: self.client.delete(key, timeout=timeout))

    # ---- calls that read ----------------------------------------------------------------------------------------

    def ask(self, call: Callable[[float], Any]) -> tuple[bool, Any]:
        """Whether there was an answer, and the answer: with a server always, without one never."""
        try:
            answer = self.timed(call)
        except simdrive.OperationTimeout:
            if self.up:
                raise
            return False, None
        assert self.up, "an answer out of nowhere"
        return True, answer

    @rule(key=keys)
    def read(self, key: bytes) -> None:
        answered, value = self.ask(lambda timeout: self.client.read(key, timeout=timeout))
        if answered:
            self.model[key].saw(value)

    @rule(key=keys)
    def read_out(self, key: bytes) -> None:
        target = bytearray(b"\xee" * 80_000)
        answered, size = self.ask(lambda timeout: self.client.read(key, out=target, timeout=timeout))
        if answered:
            self.model[key].saw(None if size is None else bytes(target[:size]))
            assert target[size or 0 :] == b"\xee" * (len(target) - (size or 0))

    @rule(wanted=st.lists(keys, min_size=1, max_size=7))
    def batch_read(self, wanted: list[bytes]) -> None:
        answered, found = self.ask(lambda timeout: self.client.batch_read(wanted, timeout=timeout))
        if answered:
            for key, value in zip(wanted, found, strict=True):
                self.model[key].saw(value)

    @rule(key=keys)
    def exists(self, key: bytes) -> None:
        answered, present = self.ask(lambda timeout: self.client.exists(key, timeout=timeout))
        if answered:
            assert isinstance(present, bool)
            self.model[key].saw_presence(present)

    @precondition(lambda self: self.up)
    @rule()
    def count(self) -> None:
        least, most = self.model.count_bounds()
        count = len(self.client)
        assert least <= count <= most, f"len: {count}, possible are {least} to {most}"
        assert self.client.is_empty() in {least == 0, most == 0}

    @rule()
    def ping(self) -> None:
        self.ask(lambda timeout: self.client.ping(timeout=timeout))

    # ---- always -------------------------------------------------------------------------------------------------

    def timed(self, call: Callable[[float], Any]) -> Any:
        timeout = UP if self.up else DOWN
        self.calls_without_server += not self.up
        started = time.monotonic()
        try:
            return call(timeout)
        finally:
            self.meter.check("the call", started, time.monotonic(), timeout)

    @invariant()
    def is_open(self) -> None:
        assert not self.client.closed
        if self.calls_without_server == 3:
            self.start()  # else half of all steps would be spent on calls that can only fail


def run(version: str, examples: int) -> None:
    make_server(version)  # skips or fails where there is none
    machine = type("ClientMachine", (ClientMachine,), {"version": version})
    # The same examples in every run: a failure is found again by running the test again.
    profile = settings(
        max_examples=examples,
        stateful_step_count=60,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=profile)


@pytest.mark.amounts
@pytest.mark.timeout(3 * EXAMPLES)
@pytest.mark.parametrize("version", NAMES)
def test_model(version: str) -> None:
    run(version, EXAMPLES)
