"""The asyncio client has what the other has: the same methods with the same parameters, as coroutines."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import simdrive
from simdrive import _core
from simdrive.aio_streams import AsyncStreams
from simdrive.streams import Streams

CLIENTS: dict[str, tuple[Any, Any]] = {
    "client": (simdrive.Client, simdrive.AsyncClient),
    "namespace": (simdrive.NamespacedClient, simdrive.AsyncNamespacedClient),
}

# What is called otherwise where it is awaited. `in` is exists().
RENAMED = {"__len__": "size", "__contains__": None}
# What a coroutine cannot stand for: the operations of a MutableMapping, and a pickle that would have to connect.
ONLY_THERE = {"mapping"}
# These touch no network.
NOT_AWAITED = {"namespace", "pipeline", "read_stream", "options", "closed"}
# Asynchronous forms of what a stream takes and gives.
ASYNC_FORMS = {
    "BinaryIO | AsyncReads | Iterable[Buffer] | AsyncIterable[Buffer]": "BinaryIO | Iterable[Buffer]",
    "BinaryIO | AsyncWrites | Drains": "BinaryIO",
    "AsyncIterator[Value]": "Iterator[Value]",
    "AsyncPipeline": "Pipeline",
}


def public_names(client: type) -> set[str]:
    names = {name for name in dir(client) if not name.startswith("_")}
    return names | {name for name in RENAMED if hasattr(client, name)}


def stub_functions(file: Path, name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions of a class as they are written."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            yield from (item for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef))


def source_of(client: type) -> Path:
    # The compiled class has its annotations in its stub.
    return Path(simdrive.__file__).with_name("_core.pyi") if client is _core.Client else Path(inspect.getfile(client))


def written(client: type, method: str) -> list[tuple[str, str]]:
    """Parameters and result of a method with all its overloads, in one spelling."""
    for base in client.__mro__[:-1]:
        found = [item for item in stub_functions(source_of(base), base.__name__) if item.name == method]
        overloads = [item for item in found if any("overload" in ast.unparse(d) for d in item.decorator_list)]
        if found:
            return sorted((plain(ast.unparse(item.args)), plain(result_of(item))) for item in overloads or found)
    raise LookupError(f"{client.__name__}.{method}")


def result_of(item: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return "" if item.returns is None else ast.unparse(item.returns)


def plain(text: str) -> str:
    for longer, shorter in ASYNC_FORMS.items():
        text = text.replace(longer, shorter)
    # In a stub, `...` is only what is not said there: the true default is compared as such.
    text = re.sub(r"timeout: (_Timeout|float \| EllipsisType \| None|float \| None)=\.\.\.", "timeout=...", text)
    return (
        text.replace("_Progress", "Progress")
        .replace("AsyncNamespacedClient", "NamespacedClient")
        .replace("self: _Calls", "self")
    )


METHODS = [(name, method) for name, (here, _) in CLIENTS.items() for method in sorted(public_names(here) - ONLY_THERE)]


@pytest.mark.parametrize(("which", "method"), METHODS)
def test_same_parameters(which: str, method: str) -> None:
    here, there = CLIENTS[which]
    name = RENAMED.get(method, method)
    if name is None:
        return
    assert hasattr(there, name), f"{there.__name__} has no {name}"
    one, other = getattr(here, method), getattr(there, name)
    if isinstance(inspect.getattr_static(there, name), property):
        assert isinstance(inspect.getattr_static(here, method), property) or not callable(one)
        return
    assert inspect.iscoroutinefunction(other) is (name not in NOT_AWAITED), f"{name} is awaited or not"
    if method == "__len__":  # which cannot take a timeout
        one, method = here.is_empty, "is_empty"
        assert written(there, name) == [(arguments, "int") for arguments, _ in written(here, method)]
    else:
        assert written(there, name) == written(here, method)
    assert shape(inspect.signature(other)) == shape(inspect.signature(one))


def test_the_comparison_sees_a_difference() -> None:
    assert written(simdrive.AsyncClient, "read") != written(simdrive.Client, "batch_read")
    assert written(simdrive.AsyncClient, "exists") != written(simdrive.Client, "delete")
    assert shape(inspect.signature(simdrive.AsyncClient.write)) != shape(inspect.signature(simdrive.Client.read))


def shape(signature: inspect.Signature) -> list[tuple[str, Any, Any]]:
    return [(p.name, p.kind, p.default) for p in signature.parameters.values()]


@pytest.mark.parametrize("which", CLIENTS)
def test_nothing_of_its_own(which: str) -> None:
    here, there = CLIENTS[which]
    assert public_names(there) - public_names(here) == {"size"}
    assert not public_names(there) & ONLY_THERE


@pytest.mark.parametrize("which", CLIENTS)
def test_a_missing_method_would_be_seen(which: str) -> None:
    here, there = CLIENTS[which]
    assert {"write", "read", "batch_read_structured", "read_into", "__len__", "close"} <= public_names(here)
    assert len(public_names(here)) >= 18
    assert not hasattr(there, "__len__")
    assert not hasattr(there, "__contains__")


def test_opening() -> None:
    assert shape(inspect.signature(simdrive.aconnect)) == shape(inspect.signature(simdrive.connect))
    assert inspect.iscoroutinefunction(simdrive.aconnect)
    for client in (simdrive.AsyncClient, simdrive.AsyncNamespacedClient):
        assert issubclass(client, AsyncStreams)
        assert inspect.iscoroutinefunction(client.__aenter__)
        assert inspect.iscoroutinefunction(client.__aexit__)
        assert not hasattr(client, "__enter__")
    assert issubclass(simdrive.Client, Streams)
