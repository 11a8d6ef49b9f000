"""The command line as a process: streams, signals, what is loaded, what is missing, completion."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import bitcode
from support.fault_peer import Behaviour, Call, Connection, FaultPeer
from support.ports import wait_until

ALL_BYTES = bytes(range(256))
PROGRAM = [sys.executable, "-m", "simdrive"]
# A background job inherits that SIGINT is ignored.
AT_A_TERMINAL = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
if hasattr(signal, "SIGHUP"):  # ignored where the tests run under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
from simdrive.__main__ import main
main()
"""
HIDDEN = """
import sys
for name in sys.argv.pop(1).split():
    sys.modules[name] = None
from simdrive.__main__ import main
main()
"""
LOADED = """
import sys
sys.argv[1:] = sys.argv[1:]
from simdrive.__main__ import main
try:
    main()
except SystemExit as leaving:
    print(leaving.code, *[name for name in ("numpy", "rich", "asyncio", "logging", "ssl") if name in sys.modules],
          file=sys.stderr)
"""
no_signals = pytest.mark.skipif(os.name == "nt", reason="a process cannot be sent these signals")


@pytest.fixture
def peer() -> Iterator[FaultPeer]:
    with FaultPeer() as running:
        yield running


def environment(peer: FaultPeer | None = None, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SIMDRIVE_", "_SIMDRIVE"))}
    return {**kept, **({} if peer is None else {"SIMDRIVE_URL": peer.url}), **more}


def run(*arguments: str, peer: FaultPeer | None = None, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*PROGRAM, *arguments], input=data, capture_output=True, timeout=30, env=environment(peer))


def test_streams_are_binary(peer: FaultPeer) -> None:
    value = ALL_BYTES * 2000
    assert run("put", "k", peer=peer, data=value).returncode == 0
    got = run("get", "k", peer=peer)
    assert (got.returncode, got.stdout, got.stderr) == (0, value, b"")


def test_errors_are_one_line_on_standard_error() -> None:
    ended = run("get", "k", "--url", "ws://127.0.0.1:1")
    assert (ended.returncode, ended.stdout) == (3, b"")
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize("words", [["--help"], ["get", "k"], ["put", "k"], ["info"], ["hash", "k"], ["get", "absent"]])
def test_what_is_loaded(peer: FaultPeer, words: list[str]) -> None:
    """Each of these would take longer to import than a command takes."""
    peer.store.entries[b"k"] = b"value"
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, *words], input=b"v", capture_output=True, timeout=30, env=environment(peer)
    )
    assert ended.stderr.splitlines()[-1] == (b"1" if "absent" in words else b"0")


@pytest.mark.parametrize("missing", ["click", "rich", "click rich"])
def test_without_the_extra(missing: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HIDDEN, missing, "--help"], capture_output=True, text=True, timeout=30, env=environment()
    )
    needs = missing.replace(" ", " and ")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == f"simdrive: the command line needs {needs}: pip install 'simdrive[cli]'\n"


def test_the_library_needs_no_extra() -> None:
    script = "import sys; sys.modules['click'] = sys.modules['rich'] = None; import simdrive; print(simdrive.connect)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=30).returncode == 0


# ---- while it is being loaded ---------------------------------------------------------------------------------------

LAUNCHER = """
import sys
sys.argv[0] = sys.argv.pop(1)
from simdrive.__main__ import main
main()
"""


def launched(how: str) -> list[str]:
    """As a module, or as the script that an installer makes."""
    return PROGRAM if how == "-m" else [sys.executable, "-c", LAUNCHER, how]


@pytest.mark.parametrize("how", ["-m", "/usr/bin/simdrive", "simdrive.exe"])
def test_a_wrong_setting_is_one_line(how: str) -> None:
    ended = subprocess.run(
        [*launched(how), "len"], capture_output=True, text=True, timeout=30, env=environment(SIMDRIVE_SIMD="mmx")
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith('simdrive: SIMDRIVE_SIMD: "mmx" is no backend; ')
    assert ended.stderr.count("\n") == 1


def test_a_wrong_setting_of_a_program_that_imports_the_library() -> None:
    for words in (["-c", "import simdrive"], ["-c", LAUNCHER, "/usr/bin/other"]):
        ended = subprocess.run(
            [sys.executable, *words], capture_output=True, timeout=30, env=environment(SIMDRIVE_SIMD="mmx")
        )
        assert ended.returncode == 1
        assert b"ConfigurationError" in ended.stderr


@no_signals
@pytest.mark.parametrize("how", ["-m", "/usr/bin/simdrive"])
@pytest.mark.parametrize("module", ["dataclasses", "click"])
def test_ctrl_c_while_it_is_loaded(tmp_path: Path, how: str, module: str) -> None:
    """One of the library's imports, and one of the program's own."""
    (tmp_path / f"{module}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    ended = subprocess.run(
        [*launched(how), "--help"],
        capture_output=True,
        timeout=30,
        env=environment(PYTHONPATH=str(tmp_path)),
        # A background job inherits that it is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")


# ---- ending early ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["get", "k"], ["size", "--json"], ["--help"], ["completion", "bash"]])
def test_standard_output_that_is_full(peer: FaultPeer, words: list[str], unbuffered: str) -> None:
    peer.store.entries[b"k"] = b"value"
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" >/dev/full', "sh", *PROGRAM, *words],
        stderr=subprocess.PIPE,
        timeout=30,
        env=environment(peer, PYTHONUNBUFFERED=unbuffered),
    )
    assert (ended.returncode, ended.stderr.count(b"\n")) == (2, 1), ended.stderr
    assert b"No space left on device" in ended.stderr


@no_signals
@pytest.mark.parametrize("words", [["get", "k"], ["--progress", "on", "get", "k"], ["put", "k"]])
def test_standard_error_that_is_closed(peer: FaultPeer, words: list[str]) -> None:
    peer.store.entries[b"k"] = b"value"
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *PROGRAM, *words],
        input=b"value",
        stdout=subprocess.PIPE,
        timeout=30,
        env=environment(peer),
    )
    assert (ended.returncode, ended.stdout) == (0, b"" if "put" in words else b"value")


@no_signals
def test_output_is_whole_without_buffers_of_python(peer: FaultPeer) -> None:
    """A pipe that does not wait takes a part of what it is given."""
    peer.store.entries[b"k"] = os.urandom(1 << 20)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        ended = subprocess.run(
            [*PROGRAM, "get", "k"],
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=30,
            env=environment(peer, PYTHONUNBUFFERED="1"),
        )
    finally:
        os.close(reading)
        os.close(writing)
    assert (ended.returncode, ended.stderr.count(b"\n")) == (2, 1), ended.stderr


@no_signals
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["get", "k"], ["mget", "k", "k"], ["--help"]])
def test_a_reader_that_has_enough(peer: FaultPeer, words: list[str], unbuffered: str) -> None:
    peer.store.entries[b"k"] = os.urandom(1 << 20)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [*PROGRAM, *words],
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=30,
            env=environment(peer, PYTHONUNBUFFERED=unbuffered),
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="descriptors have no names")
def test_a_pipe_with_a_name(peer: FaultPeer, tmp_path: Path) -> None:
    value = ALL_BYTES * 2000
    peer.store.entries[b"k"] = value
    got = run("get", "k", "-o", "/dev/stdout", peer=peer)
    assert (got.returncode, got.stdout, got.stderr) == (0, value, b"")
    with (tmp_path / "plain").open("wb") as plain:
        ended = subprocess.run(
            [*PROGRAM, "get", "k", "-o", "/dev/stdout"], stdout=plain, timeout=30, env=environment(peer)
        )
    assert (ended.returncode, (tmp_path / "plain").read_bytes()) == (0, value)
    with (tmp_path / "gone").open("w+b") as gone:
        (tmp_path / "gone").unlink()
        ended = subprocess.run(
            [*PROGRAM, "get", "k", "-o", "/dev/stdout"], stdout=gone, timeout=30, env=environment(peer)
        )
        assert (ended.returncode, gone.read()) == (0, value)
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]


@pytest.mark.skipif(shutil.which("bash") is None or os.name == "nt", reason="no bash")
def test_process_substitution(peer: FaultPeer, tmp_path: Path) -> None:
    peer.store.entries[b"k"] = ALL_BYTES
    script = f'"{sys.executable}" -m simdrive get k -o >(cat > copy; echo done) | cat'
    ended = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, timeout=30, env=environment(peer))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"done\n", b"")
    assert (tmp_path / "copy").read_bytes() == ALL_BYTES


def half_a_value(connection: Connection, call: Call) -> None:
    """The first half of the reply, and then nothing."""
    value = bytes(1 << 20)
    reply = bitcode.option(value) if call.method == "read" else bitcode.options([value] * 16)
    frames = connection.reply_frames(call, reply)
    for frame in frames[: len(frames) // 2]:
        connection.send(frame)
    half_sent.append(call.method)


half_sent: list[str] = []


def ended_in_the_middle(
    words: list[str], behaviour: Behaviour, entries: dict[bytes, bytes], number: int
) -> tuple[int, bytes, bytes]:
    """Exit code, output and errors of a command that gets a signal when the peer has sent half of a reply."""
    half_sent.clear()
    with FaultPeer(then=behaviour) as peer:
        peer.store.entries |= entries
        process = subprocess.Popen(
            [sys.executable, "-c", AT_A_TERMINAL, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(peer),
        )
        try:
            wait_until(lambda: bool(half_sent), timeout=20, what="half of the reply is sent")
            process.send_signal(number)
            output, errors = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
        return process.returncode, output, errors


@no_signals
@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_in_a_get_leaves_no_part(tmp_path: Path, name: str, code: int, old: bytes | None) -> None:
    target = tmp_path / "value"
    if old is not None:
        target.write_bytes(old)
    behaviour = Behaviour(call=half_a_value, methods=frozenset(["read"]), times=None)
    ended = ended_in_the_middle(["get", "k", "-o", str(target)], behaviour, {}, getattr(signal, name))
    assert ended == (code, b"", b"simdrive: get 'k': interrupted\n" if name == "SIGINT" else b"")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == ({} if old is None else {"value": old})


@no_signals
def test_ctrl_c_in_an_mget_leaves_whole_files_only(tmp_path: Path) -> None:
    keys = [f"key{i:02d}" for i in range(40)]
    entries = {key.encode(): key.encode() * 1000 for key in keys}

    def second_half(connection: Connection, call: Call) -> None:
        if sum(each.method == "batch_read" for each in connection.peer.calls) > 1:
            half_a_value(connection, call)
        else:
            connection.answer_well(call)

    behaviour = Behaviour(call=second_half, methods=frozenset(["batch_read"]), times=None)
    folder = tmp_path / "values"
    code, output, errors = ended_in_the_middle(["mget", *keys, "-o", str(folder)], behaviour, entries, signal.SIGINT)
    assert (code, output, errors) == (130, b"", b"simdrive: mget 40 keys (after 16 of them): interrupted\n")
    left = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert left == {key: entries[key.encode()] for key in keys[:16]}


@no_signals
def test_ctrl_c_while_the_input_is_read(peer: FaultPeer, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-c", AT_A_TERMINAL, "put", "k", str(pipe)], stderr=subprocess.PIPE, env=environment(peer)
    )
    writer = -1

    def read_from() -> bool:
        # Fails until somebody has the other end open.
        nonlocal writer
        with contextlib.suppress(OSError):
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        return writer >= 0

    try:
        wait_until(read_from, timeout=20, what="the pipe is read")
        errors = None
        for _ in range(20):
            # A signal that comes between the open and the read that follows it does not end that read: as at a
            # terminal, Ctrl-C is pressed again.
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                _, errors = process.communicate(timeout=1)
                break
    finally:
        process.kill()
        process.wait()
        if writer >= 0:
            os.close(writer)
    assert (process.returncode, errors) == (130, b"simdrive: put 'k': interrupted\n")
    assert peer.connections == 0


# ---- completion -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    script = run("completion", shell)
    assert (script.returncode, script.stderr) == (0, b"")
    assert b"_SIMDRIVE_COMPLETE" in script.stdout
    assert b"\r" not in script.stdout
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} to check the script with")
    checked = subprocess.run([program, "-n"], input=script.stdout, capture_output=True, timeout=30)
    assert (checked.returncode, checked.stderr) == (0, b"")


@pytest.fixture
def complete() -> Callable[[str], set[str]]:
    def call(line: str) -> set[str]:
        words = line.split(" ")
        variables = environment(COMP_WORDS=line, COMP_CWORD=str(len(words) - 1), _SIMDRIVE_COMPLETE="bash_complete")
        ended = subprocess.run(PROGRAM, capture_output=True, text=True, timeout=30, env=variables)
        assert ended.stderr == ""
        return set(ended.stdout.split())

    return call


def test_completion(complete: Callable[[str], set[str]]) -> None:
    assert complete("simdrive m") == {"plain,mget", "plain,mput"}
    assert complete("simdrive mput --r") == {"plain,--recursive"}
    assert {"plain,--url", "plain,--hex"} <= complete("simdrive get --")
    assert complete("simdrive completion ") == {"plain,bash", "plain,zsh", "plain,fish"}
    assert complete("simdrive put k pa") == {"file,pa"}
    assert complete("simdrive ex") == {"plain,exists", "plain,export"}
    assert complete("simdrive compact --o") == {"plain,--output"}
    for line in ("verify st", "recover st", "compact st", "info st", "import d st", "get --url st"):
        assert complete(f"simdrive {line}") == {"file,st"}
    for line in ("export s d", "import d"):
        assert complete(f"simdrive {line}") == {"dir,d"}
    assert complete("simdrive len --progress o") == {"plain,on", "plain,off"}


@pytest.mark.skipif(shutil.which("bash") is None or os.name == "nt", reason="no bash")
def test_completion_in_bash(tmp_path: Path) -> None:
    program = tmp_path / "simdrive"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m simdrive "$@"\n')
    program.chmod(0o755)
    script = """
eval "$(simdrive completion bash)"
COMP_WORDS=(simdrive exi) COMP_CWORD=1
_simdrive_completion simdrive
echo "${COMPREPLY[@]}"
"""
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=30, env=environment(PATH=path)
    )
    assert (ended.stdout, ended.stderr) == ("exists\n", "")
