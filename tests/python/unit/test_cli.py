"""Every command against a peer of ours: results, JSON, key forms, exit codes, messages."""

from __future__ import annotations

import base64
import os
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import simdrive
from simdrive._cli.app import cli
from simdrive._cli.keys import file_name
from simdrive.hashing import NamespaceHasher, xxh3_64
from support import cli_calls, muxio
from support.cli_calls import Run, document, one_line
from support.fault_peer import Behaviour, Call, Connection, FaultPeer
from support.ports import HOST, free_port

ALL_BYTES = bytes(range(256))
COMMANDS = [
    *("get", "put", "del", "exists", "mget", "mput", "len", "size", "info", "ping"),
    *("verify", "recover", "compact", "export", "import", "hash", "completion"),
]
# Arguments with which each command that talks to a server gets as far as the connection.
NETWORK = {
    "get": ["k"],
    "put": ["k"],
    "del": ["k"],
    "exists": ["k"],
    "mget": ["k", "l"],
    "mput": ["."],
    "len": [],
    "size": [],
    "info": [],
    "ping": [],
}


@pytest.fixture
def peer() -> Iterator[FaultPeer]:
    with FaultPeer() as running:
        yield running
        assert running.errors == []


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Calls the program in an empty folder and checks what holds for every call."""
    for name in ("SIMDRIVE_URL", "SIMDRIVE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    return cli_calls.run


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- get, put, del, exists ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [ALL_BYTES, b"no line end", b"\n", b"\0\0", b"\r\n\x1a", b"x" * 300_000])
def test_value_through_standard_streams(run: Run, peer: FaultPeer, value: bytes) -> None:
    assert run("put", "k", url=peer.url, data=value).output == ""
    result = run("get", "k", url=peer.url)
    assert (result.stdout_bytes, result.stderr) == (value, "")
    assert run("get", "k", "-o", "-", url=peer.url).stdout_bytes == value


def test_value_through_files(run: Run, peer: FaultPeer, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(ALL_BYTES)
    run("put", "k", "in", url=peer.url)
    assert run("get", "k", "--output", "out", url=peer.url).output == ""
    assert (tmp_path / "out").read_bytes() == ALL_BYTES
    assert names_in(tmp_path) == ["in", "out"]


def test_bars_are_on_standard_error(run: Run, peer: FaultPeer, tmp_path: Path) -> None:
    """With what the client itself reports; more about bars is in test_cli_parts.py."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "k").write_bytes(ALL_BYTES * 8000)
    assert "mput d" in run("mput", "d", "--progress", "on", url=peer.url).stderr
    assert "put 'k'" in run("put", "k", "d/k", "--progress", "on", url=peer.url).stderr
    got = run("--progress", "on", "get", "k", url=peer.url)
    assert got.stdout_bytes == ALL_BYTES * 8000
    assert "get 'k'" in got.stderr
    assert "mget 1 key" in run("mget", "k", "-o", "out", "--progress", "on", url=peer.url).stderr
    assert "mget 1 key" in run("mget", "k", "--progress", "on", url=peer.url).stderr


def test_get_absent_leaves_the_file(run: Run, peer: FaultPeer, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old")
    assert "'k': no such key" in one_line(run("get", "k", "-o", "out", url=peer.url, code=1))
    assert run("get", "k", "-q", url=peer.url, code=1).output == ""
    assert (tmp_path / "out").read_bytes() == b"old"


def test_get_json(run: Run, peer: FaultPeer, tmp_path: Path) -> None:
    peer.store.entries[b"k"] = ALL_BYTES
    found = document(run("get", "k", "--json", url=peer.url))
    assert base64.b64decode(found.pop("value")) == ALL_BYTES
    assert found == {"key": "k", "key_encoding": "utf-8", "found": True, "size": 256, "value_encoding": "base64"}
    to_file = document(run("get", "k", "--json", "-o", "out", url=peer.url))
    assert (to_file["file"], to_file["size"], "value" in to_file) == ("out", 256, False)
    assert (tmp_path / "out").read_bytes() == ALL_BYTES
    absent = document(run("get", "x", "--json", url=peer.url, code=1))
    assert absent == {"key": "x", "key_encoding": "utf-8", "found": False}


def test_put_json(run: Run, peer: FaultPeer) -> None:
    assert document(run("put", "k", "--json", url=peer.url)) == {"key": "k", "key_encoding": "utf-8", "size": 5}


@pytest.mark.parametrize(("value", "what"), [(b"", "is empty"), (b"\0", "is the single byte 00")])
def test_put_of_what_the_store_refuses(run: Run, peer: FaultPeer, tmp_path: Path, value: bytes, what: str) -> None:
    (tmp_path / "in").write_bytes(value)
    for arguments, source in ((["put", "k"], "standard input"), (["put", "k", "in"], "in")):
        line = one_line(run(*arguments, url=peer.url, code=2, data=value))
        assert line.startswith(f"simdrive: put 'k': {source} {what}")
        assert line.count("byte 00") == what.count("byte 00")
    assert peer.connections == 0


def test_put_of_a_file_that_is_not_there(run: Run, peer: FaultPeer) -> None:
    assert "'nowhere' does not exist" in one_line(run("put", "k", "nowhere", url=peer.url, code=2))


def test_get_into_a_folder_that_is_not_there(run: Run, peer: FaultPeer) -> None:
    assert "there is no folder" in one_line(run("get", "k", "-o", "no/such", url=peer.url, code=2))
    assert peer.connections == 0


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_get_onto_a_link_to_itself(run: Run, peer: FaultPeer, tmp_path: Path) -> None:
    peer.store.entries[b"k"] = b"value"
    (tmp_path / "loop").symlink_to("loop")
    assert "loop (check the path" in one_line(run("get", "k", "-o", "loop", url=peer.url, code=2))
    assert peer.connections == 0
    run("mget", "k", "-o", ".", url=peer.url)
    (tmp_path / "k").unlink()
    (tmp_path / "k").symlink_to("k")
    one_line(run("mget", "k", "-o", ".", url=peer.url, code=2))
    assert (tmp_path / "loop").is_symlink()
    assert (tmp_path / "k").is_symlink()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder that nobody can write to")
def test_get_into_a_folder_that_takes_no_files(run: Run, peer: FaultPeer) -> None:
    peer.store.entries[b"k"] = b"value"
    line = one_line(run("get", "k", "-o", "/proc/a", url=peer.url, code=2))
    assert "/proc/a (check the path" in line
    assert ".part" not in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_get_onto_a_full_device(run: Run, peer: FaultPeer) -> None:
    peer.store.entries[b"k"] = b"x" * 100_000
    assert "No space left" in one_line(run("get", "k", "-o", "/dev/full", url=peer.url, code=2))


def test_del(run: Run, peer: FaultPeer) -> None:
    peer.store.entries |= {b"a": b"1", b"b": b"2", b"c": b"3"}
    assert run("del", "a", "absent", url=peer.url).output == ""
    keys = document(run("del", "b", "--json", url=peer.url))["keys"]
    assert keys == [{"key": "b", "key_encoding": "utf-8"}]
    assert set(peer.store.entries) == {b"c"}


def test_exists(run: Run, peer: FaultPeer) -> None:
    peer.store.entries[b"k"] = b"1"
    assert run("exists", "k", url=peer.url).output == "true\n"
    assert run("exists", "x", url=peer.url, code=1).output == "false\n"
    assert document(run("exists", "x", "--json", url=peer.url, code=1))["exists"] is False


# ---- forms of keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "option", "argument"),
    [
        (b"\x00\xff\x10", "--hex", "00FF10"),
        (b"\x00\xff\x10", "--base64", "AP8Q"),
        (b"\xfb\xef", "--base64", "--8="),
        (b"", "--hex", ""),
        ("\u00e4/\u20ac".encode(), None, "\u00e4/\u20ac"),
        (b"-dash", None, "-dash"),
        (b"", None, ""),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_keys(run: Run, peer: FaultPeer, key: bytes, option: str | None, argument: str, before: bool) -> None:
    options = [] if option is None else [option]
    words = [*options, "put", "--", argument] if before else ["put", *options, "--", argument]
    run(*words, url=peer.url)
    assert peer.store.entries == {key: b"value"}
    assert run("get", *options, "--", argument, url=peer.url).stdout_bytes == b"value"
    shown = document(run("get", "--json", *options, "--", argument, url=peer.url))
    decode = {"hex": bytes.fromhex, "base64": base64.b64decode, "utf-8": str.encode}[shown["key_encoding"]]
    assert decode(shown["key"]) == key
    assert shown["key_encoding"] == {"--hex": "hex", "--base64": "base64", None: "utf-8"}[option]


@pytest.mark.skipif(os.name == "nt", reason="arguments are text on Windows")
def test_a_key_that_is_no_text(run: Run, peer: FaultPeer) -> None:
    run("put", os.fsdecode(b"\xff\xfe"), url=peer.url)
    assert peer.store.entries == {b"\xff\xfe": b"value"}
    shown = document(run("get", "--json", os.fsdecode(b"\xff\xfe"), url=peer.url))
    assert (shown["key"], shown["key_encoding"]) == ("//4=", "base64")
    absent = run("get", os.fsdecode(b"caf\xe9"), url=peer.url, code=1)
    assert absent.stderr == "simdrive: get base64:Y2Fm6Q==: no such key\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["get", "--hex", "0"], "'0' is not hexadecimal (two digits for each byte, without 0x or colons)"),
        (["get", "--hex", "zz"], "'zz' is not hexadecimal (two digits"),
        (["get", "k", "-o", ""], "get: -o needs the name of a file (see"),
        (["mget", "k", "-o", ""], "mget: -o needs the name of a folder (see"),
        (["get", "--base64", "AP8"], "is not base64"),
        (["get", "--base64", "a*b="], "is not base64"),
        (["get", "--hex", "--base64", "00"], "exclude each other"),
        (["--hex", "get", "--base64", "00"], "exclude each other"),
        (["mput", "--hex", "."], "not for mput"),
        (["get"], "Missing argument 'KEY' (see 'simdrive get --help')"),
        (["get", "a", "b"], "unexpected extra argument"),
        (["get", "k", "--colour"], "--colour"),
        (["--timeout", "-1", "len"], "no positive number of seconds"),
        (["len", "--timeout", "nan"], "no positive number of seconds"),
        (["len", "--timeout", "soon"], "no positive number of seconds"),
        (["ping", "-n", "0"], "0 is not in the range"),
        (["fetch"], "No such command 'fetch'"),
        (["hash", "k", "-f", "."], "is a directory"),
        (["completion", "csh"], "'csh' is not one of"),
        (["mput", "nowhere"], "does not exist"),
        (["mput", ".", "--batch-bytes", "0"], "0 is not in the range"),
        (["len", "--url", "http://x/"], "the scheme is not ws://"),
    ],
)
def test_wrong_usage(run: Run, words: list[str], says: str) -> None:
    line = one_line(run(*words, code=2))
    assert says in line
    assert "(" in line


def test_no_command_at_all(run: Run) -> None:
    result = run(code=2)
    assert result.stdout == ""
    assert "Usage: simdrive" in result.stderr


# ---- many keys ------------------------------------------------------------------------------------------------------


def test_mget_json(run: Run, peer: FaultPeer) -> None:
    peer.store.entries |= {b"a": ALL_BYTES, b"b": b"2"}
    result = run("mget", "b", "x", "a", url=peer.url, code=1)
    first, second, third = document(result)["entries"]
    assert (first["key"], first["found"], first["value"], first["value_encoding"]) == ("b", True, "Mg==", "base64")
    assert second == {"key": "x", "key_encoding": "utf-8", "found": False}
    assert base64.b64decode(third["value"]) == ALL_BYTES
    assert "1 key absent" in result.stderr


def test_mget_into_a_folder(run: Run, peer: FaultPeer, tmp_path: Path) -> None:
    keys = [
        b"plain.txt",
        b"../../up",
        b"/etc/passwd",
        b"..",
        b"",
        b"a\\b",
        b"\xff\0",
        b"con.txt",
        b"CON",
        b"dot.",
        b"%",
    ]
    peer.store.entries |= {key: b"value of " + key for key in keys}
    run("mget", "--hex", *(key.hex() for key in keys), "-o", tmp_path / "no" / "values", url=peer.url, code=2)
    run("mget", "--hex", *(key.hex() for key in keys), "-o", tmp_path / "values", url=peer.url)
    assert names_in(tmp_path) == ["values"]
    assert names_in(tmp_path / "values") == sorted(map(file_name, keys))
    for key in keys:
        assert (tmp_path / "values" / file_name(key)).read_bytes() == b"value of " + key
    # And back.
    peer.store.entries.clear()
    run("mput", "--percent", "values", url=peer.url)
    assert peer.store.entries == {key: b"value of " + key for key in keys}


def test_mget_into_a_folder_says_what_is_where(run: Run, peer: FaultPeer, tmp_path: Path) -> None:
    peer.store.entries |= {b"%d" % i: b"v%d" % i for i in range(40)}
    result = run("mget", "--json", "-o", "d", "x/y", *map(str, range(40)), url=peer.url, code=1)
    entries = document(result)["entries"]
    assert entries[0] == {"key": "x/y", "key_encoding": "utf-8", "found": False}
    assert entries[1]["file"] == str(Path("d", "0"))
    assert "40 values written to d" in result.stderr
    assert len(names_in(tmp_path / "d")) == 40
    assert max(len(call.arguments) for call in peer.calls) < 100  # a group of keys at a time


def test_mget_makes_no_folder_for_nothing(run: Run, peer: FaultPeer, tmp_path: Path) -> None:
    run("mget", "x", "-o", "d", url=peer.url, code=1)
    assert names_in(tmp_path) == []
    assert "use get -o FILE" in one_line(run("mget", "x" * 300, "-o", "d", url=peer.url, code=2))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "sub" / "deep").mkdir(parents=True)
    for name in ("a", "b c", "\u00e4", "sub/a", "sub/deep/z"):
        (folder / name).write_bytes(b"file " + name.encode())
    return folder


def test_mput(run: Run, peer: FaultPeer, tree: Path) -> None:
    result = run("mput", tree, url=peer.url)
    names = ["a", "b c", "\u00e4"]
    assert peer.store.entries == {name.encode(): b"file " + name.encode() for name in names}
    assert result.stdout == ""
    assert "3 files stored, 21 bytes in 1 request\n" in result.stderr
    assert "1 folder left out: --recursive takes all but links" in result.stderr
    assert run("mput", "-q", tree, url=peer.url).output == ""


def test_mput_recursive(run: Run, peer: FaultPeer, tree: Path) -> None:
    shown = document(run("mput", "--recursive", "--json", tree, url=peer.url))
    assert shown == {"files": 5, "bytes": 46, "batches": 1, "skipped": 0, "folders": 0}
    names = ["a", "b c", "\u00e4", "sub/a", "sub/deep/z"]
    assert peer.store.entries == {name.encode(): b"file " + name.encode() for name in names}


def test_mput_in_batches(run: Run, peer: FaultPeer, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for name, size in {"a": 400, "b": 500, "c": 200, "d": 5000, "e": 10}.items():
        (folder / name).write_bytes(random.Random(size).randbytes(size))
    shown = document(run("mput", "--batch-bytes", "1000", "--json", folder, url=peer.url))
    assert (shown["files"], shown["bytes"], shown["batches"]) == (5, 6110, 4)
    sizes = [len(call.arguments) for call in peer.calls if call.method == "batch_write"]
    assert [size // 100 for size in sizes] == [9, 2, 50, 0]


def test_mput_sends_nothing_if_a_file_would_be_refused(run: Run, peer: FaultPeer, tree: Path) -> None:
    (tree / "zero").write_bytes(b"\0")
    (tree / "none").write_bytes(b"")
    line = one_line(run("mput", tree, url=peer.url, code=2))
    assert "none is empty" in line
    assert "--skip-empty" in line
    assert peer.connections == 0
    shown = document(run("mput", "--skip-empty", "--json", tree, url=peer.url))
    assert (shown["files"], shown["skipped"]) == (3, 2)


def test_mput_percent_errors(run: Run, peer: FaultPeer, tree: Path) -> None:
    (tree / "50%").write_bytes(b"half")
    assert "not followed by two hexadecimal digits" in one_line(run("mput", "--percent", tree, url=peer.url, code=2))
    (tree / "50%").rename(tree / "%61")
    assert "have the same key" in one_line(run("mput", "--percent", tree, url=peer.url, code=2))
    assert peer.connections == 0


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_mput_and_links(run: Run, peer: FaultPeer, tree: Path) -> None:
    (tree / "loop").symlink_to(tree, target_is_directory=True)
    (tree / "link").symlink_to(tree / "a")
    os.mkfifo(tree / "pipe")
    shown = document(run("mput", "-r", "--json", tree, url=peer.url))
    assert (shown["files"], shown["skipped"], shown["folders"]) == (6, 1, 1)
    assert peer.store.entries[b"link"] == b"file a"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
@pytest.mark.parametrize("target", ["nowhere", "broken"])
def test_mput_sends_nothing_if_a_link_is_broken(run: Run, peer: FaultPeer, tree: Path, target: str) -> None:
    (tree / "broken").symlink_to(tree / target)
    for options in ([], ["--skip-empty"], ["-r"]):
        assert "broken" in one_line(run("mput", *options, tree, url=peer.url, code=2))
    assert peer.connections == 0


def test_mput_says_how_far_it_came(run: Run, tree: Path) -> None:
    def fail(connection: Connection, call: Call) -> None:
        if len(connection.peer.calls) > 2:
            connection.reply(call, b"disk full", status=muxio.SYSTEM_ERROR)
        else:
            connection.answer_well(call)

    with FaultPeer(then=Behaviour(call=fail, methods=frozenset(["batch_write"]), times=None)) as peer:
        line = one_line(run("mput", "-r", "--batch-bytes", "1", tree, url=peer.url, code=5))
        assert "(2 of 5 files stored)" in line
        assert "disk full" in line


# ---- the store, the server, hashes ----------------------------------------------------------------------------------


def test_len_and_size(run: Run, peer: FaultPeer) -> None:
    run("put", "k", url=peer.url)
    assert run("len", url=peer.url).output == "1\n"
    assert document(run("len", "--json", url=peer.url)) == {"entries": 1}
    assert run("size", url=peer.url).output == "25\n"
    assert document(run("size", "--json", url=peer.url)) == {"file_size": 25}


@pytest.mark.parametrize("dialect", ["d13", "d21"])
def test_info(run: Run, dialect: str) -> None:
    with FaultPeer(dialect) as peer:
        run("put", "k", url=peer.url)
        shown = document(run("info", "--json", url=peer.url))
        assert shown == {
            "url": peer.url,
            "version": None,
            "dialect": dialect,
            "extensions": [],
            "max_message": None,
            "backend": None,
            "entries": 1,
            "file_size": 25,
            "client_version": simdrive.__version__,
        }
        lines = run("info", url=peer.url).stdout.splitlines()
        assert f"dialect:        {dialect}" in lines
        assert "version:        -" in lines


def test_ping(run: Run, peer: FaultPeer) -> None:
    shown = document(run("ping", "-n", "3", "--json", url=peer.url))
    assert shown["count"] == len(shown["seconds"]) == 3
    assert 0 < shown["min"] <= shown["median"] <= shown["max"] < 5
    lines = run("ping", "-n", "2", url=peer.url).stdout.splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("2 pings: least ")
    assert run("ping", url=peer.url).stdout.count("\n") == 1
    assert [call.method for call in peer.calls] == ["is_empty"] * 6


def test_hash(run: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(ALL_BYTES * 9000)
    of_key, of_file = f"{xxh3_64(b'key'):016x}", f"{xxh3_64(ALL_BYTES * 9000):016x}"
    assert run("hash", "key").output == of_key + "\n"
    assert run("hash", data=b"key").output == of_key + "\n"
    assert run("hash", "-", data=b"key").output == of_key + "\n"
    assert run("hash", "--hex", b"key".hex()).output == of_key + "\n"
    assert run("hash", "--hex", "-", data=b"key").output == of_key + "\n"
    assert run("hash", "-f", "f").output == of_file + "\n"
    assert run("hash", "--base64", "-f", "-", data=b"key").output == of_key + "\n"
    assert document(run("hash", "key", "--json")) == {"key": "key", "key_encoding": "utf-8", "xxh3_64": of_key}
    assert document(run("hash", "-f", "f", "--json")) == {"file": "f", "xxh3_64": of_file}
    assert "exclude each other" in one_line(run("hash", "key", "-f", "f", code=2))


def test_hash_in_a_namespace(run: Run, peer: FaultPeer) -> None:
    key = NamespaceHasher(b"users").namespace(b"alice")
    assert run("hash", "--namespace", "users", "alice").output == key.hex() + "\n"
    assert run("hash", "--hex", "--namespace", b"users".hex(), b"alice".hex()).output == key.hex() + "\n"
    assert run("hash", "--namespace", "users", data=b"alice").output == key.hex() + "\n"
    shown = document(run("hash", "--namespace", "users", "alice", "--json"))
    assert shown["namespaced_key"] == key.hex()
    assert shown["namespace"] == {"key": "users", "key_encoding": "utf-8"}


# ---- options, help --------------------------------------------------------------------------------------------------


def test_the_url_of_the_environment(run: Run, peer: FaultPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMDRIVE_URL", peer.url)
    assert run("len").output == "0\n"
    assert run("len", url=f"ws://{HOST}:{free_port()}", code=3).exit_code == 3
    # The later of two options counts.
    assert run("len", "--url", peer.url, url=f"ws://{HOST}:{free_port()}").output == "0\n"


def test_timeout_none(run: Run, peer: FaultPeer) -> None:
    assert run("len", "--timeout", "none", url=peer.url).output == "0\n"


@pytest.mark.parametrize(("given", "limit"), [("300", 300.0), ("2", 2.0), ("none", None)])
def test_timeout_is_the_only_limit_of_a_request(
    run: Run, peer: FaultPeer, monkeypatch: pytest.MonkeyPatch, given: str, limit: float | None
) -> None:
    """The option idle_timeout would end a request that takes longer, over and over."""
    connect, given_options = simdrive.connect, []

    def watched(url: str | None, **options: Any) -> simdrive.Client:
        given_options.append(options)
        return connect(url, **options)

    monkeypatch.setattr(simdrive, "connect", watched)
    run("len", "--timeout", given, url=peer.url)
    assert given_options == [{"timeout": limit, "idle_timeout": limit, "connect_timeout": min(5.0, limit or 5.0)}]


def test_verbose(run: Run, peer: FaultPeer) -> None:
    result = run("-v", "len", url=peer.url)
    assert result.stdout == "0\n"
    assert "simdrive: len: done in " in result.stderr


@pytest.mark.parametrize("by_variable", [True, False])
def test_tracebacks_on_demand(run: Run, monkeypatch: pytest.MonkeyPatch, by_variable: bool) -> None:
    monkeypatch.setenv("SIMDRIVE_DEBUG", "1" if by_variable else "0")
    options = [] if by_variable else ["-v", "-v"]
    result = CliRunner().invoke(cli, ["--url", f"ws://{HOST}:{free_port()}", *options, "len"])
    assert result.exit_code == 3
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("simdrive: len: ")


def test_help(run: Run) -> None:
    general = run("-h").stdout
    listed = [line.split()[0] for line in general.split("Commands:")[1].splitlines() if line.startswith("  ")]
    assert [name for name in listed if name in COMMANDS] == COMMANDS
    for number in ("0", "1", "2", "3", "4", "5", "6", "70", "130", "141", "143"):
        assert f"  {number}  " in general
    for name in COMMANDS:
        text = run(name, "--help").stdout
        assert f"simdrive {name}" in text
        assert "Examples:" in text
        assert "Global options:" in text
    assert run("--version").stdout == f"simdrive, version {simdrive.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_the_help_are_right(run: Run, name: str) -> None:
    """Each word after `simdrive` is a command, and each option one of its options."""
    examples = run(name, "--help").stdout.split("Examples:")[1].split("Options:")[0]
    calls = [part.split() for part in examples.split("simdrive ")[1:]]
    assert calls
    for words in calls:
        command = cli.commands[words[0]]
        known = {option for parameter in command.params for option in parameter.opts}
        for word in words[1:]:
            if word in ("|", "&&", ">", "-C"):
                break
            assert not word.startswith("-") or word == "-" or word in known


# ---- exit codes -----------------------------------------------------------------------------------------------------


@pytest.fixture
def one_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"value")


@pytest.mark.parametrize("name", NETWORK)
@pytest.mark.usefixtures("one_file")
def test_nobody_listens(run: Run, name: str) -> None:
    port = free_port()
    line = one_line(run(name, *NETWORK[name], url=f"ws://{HOST}:{port}", code=3))
    assert line.startswith(f"simdrive: {name}")
    assert f":{port}" in line
    assert line.endswith("(check that the server runs and that --url or SIMDRIVE_URL names it)\n")


def server_error(connection: Connection, call: Call) -> None:
    connection.reply(call, b"no\nspace", status=muxio.SYSTEM_ERROR)


def unknown_method(connection: Connection, call: Call) -> None:
    connection.reply(call, b"", status=muxio.METHOD_NOT_FOUND)


def silence(connection: Connection, call: Call) -> None:
    """No reply."""


def reset(connection: Connection, call: Call) -> None:
    connection.reset()


def noise(connection: Connection, call: Call) -> None:
    connection.send(b"\xff" * 40)


def not_found(connection: Connection) -> None:
    connection.send_raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    connection.hold()


def always(act: Callable[[Connection, Call], None]) -> Behaviour:
    return Behaviour(call=act, times=None)


@pytest.mark.parametrize("name", [name for name in NETWORK if name != "ping"])
@pytest.mark.usefixtures("one_file")
def test_server_error(run: Run, name: str) -> None:
    with FaultPeer(then=always(server_error)) as peer:
        line = one_line(run(name, *NETWORK[name], url=peer.url, code=5))
        assert "no space" in line
        assert peer.url in line
        assert "see the server's log" in line


@pytest.mark.parametrize(
    ("behaviour", "code", "says"),
    [
        (always(unknown_method), 5, "use a server that knows the method"),
        (always(noise), 5, "altered"),
        (always(silence), 4, "raise --timeout"),
        (always(reset), 3, "may or may not have been applied"),
        (Behaviour(upgrade=not_found), 3, "port and path of --url"),
        (Behaviour(accepted=lambda connection: connection.hold()), 4, "--timeout"),
    ],
    ids=["unsupported", "noise", "silence", "reset", "404", "mute"],
)
def test_faults(run: Run, behaviour: Behaviour, code: int, says: str) -> None:
    with FaultPeer(then=behaviour) as peer:
        line = one_line(run("put", "k", "--timeout", "0.4", url=peer.url, code=code))
        assert "put 'k': " in line
        assert says in line.replace("nothing alters", "altered")


def test_the_server_stays_away(run: Run) -> None:
    def leave(connection: Connection, call: Call) -> None:
        connection.peer._listener.shutdown(socket.SHUT_RDWR)
        connection.peer._listener.close()
        connection.reset()

    with FaultPeer(then=always(leave)) as peer:
        line = one_line(run("get", "k", "--timeout", "1.5", url=peer.url, code=4))
    what = f"get 'k': read on {peer.url}: no connection for 1.5 s: Connection refused"
    assert line == f"simdrive: {what} (check that the server runs)\n"


@pytest.mark.usefixtures("peer")
def test_a_bug_of_ours_is_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(simdrive, "connect", broken)
    assert "unexpected ZeroDivisionError" in one_line(run("len", code=70))


def test_ctrl_c(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(simdrive, "connect", interrupted)
    assert one_line(run("get", "k", code=130)) == "simdrive: get 'k': interrupted\n"
