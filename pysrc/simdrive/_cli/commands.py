"""The commands for one key, and for the shell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.shell_completion import ShellComplete, get_completion_class

from simdrive.hashing import Hasher, NamespaceHasher

from .failures import ABSENT
from .files import STANDARD, Output, read_pieces, read_source, resolve, write_file, write_output
from .program import COMPLETE_VARIABLE, cli, command
from .settings import Settings
from .values import refuse, value_fields


@command("get")
@click.argument("key", metavar="KEY")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=Output(folder=False),
    help="Write the value to this file, which changes only if all of it arrives. '-' is standard output.",
)
def get(settings: Settings, key: str, output: Path | None) -> None:
    """Print the value of KEY.

    The value goes to standard output, or to a file, byte for byte and without a line end of its own. Exit code 1 says
    that the key is absent; 6, that it is absent from a store that lacks entries, since it is damaged.

    \b
    Examples:
      simdrive get greeting
      simdrive get photo -o photo.jpg
      simdrive get --hex 00ff10 | hexdump -C
      simdrive get --json greeting
    """
    name = settings.key(key)
    settings.attempt = f"get {settings.show(name)}"
    to_file = output is not None and output != STANDARD
    if output is not None and to_file:
        check_output(output)
    with settings.connect() as client, settings.bar() as bar:
        value = client.read(name, **bar.arguments())
        if value is None:
            settings.check_whole("there is no such key in what is left")
    fields: dict[str, Any] = {**settings.fields(name), "found": value is not None}
    if value is not None:
        if output is not None and to_file:
            write_file(output, value)
            fields |= {"size": len(value), "file": str(output)}
        else:
            fields |= value_fields(value) if settings.json else {}
            if not settings.json:
                write_output(value)
    settings.emit("", fields)
    if value is None:
        settings.note("no such key")
        click.get_current_context().exit(ABSENT)


@command("put")
@click.argument("key", metavar="KEY")
@click.argument(
    "file",
    metavar="[FILE|-]",
    default="-",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
def put(settings: Settings, key: str, file: Path) -> None:
    """Store a file, or standard input, as the value of KEY.

    An older value is replaced. The store takes neither empty values nor the single byte 00.

    \b
    Examples:
      echo hello | simdrive put greeting
      printf hello | simdrive put greeting -
      simdrive put photo photo.jpg
    """
    name = settings.key(key)
    settings.attempt = f"put {settings.show(name)}"
    if file == STANDARD and sys.stdin is not None and sys.stdin.isatty():
        settings.note("the value is read from the terminal; end it with Ctrl-D (Windows: Ctrl-Z and Enter)")
    value = read_source(file, limit=settings.longest_value)
    refuse(value, "standard input" if file == STANDARD else str(file), limit=settings.longest_value)
    with settings.connect(writes=True, creates=True) as client, settings.bar() as bar:
        client.write(name, value, **bar.arguments())
    settings.emit("", {**settings.fields(name), "size": len(value)})


@command("del")
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
def delete(settings: Settings, keys: tuple[str, ...]) -> None:
    """Delete keys.

    A key that is absent is no error: a server does not say which ones there were.

    \b
    Examples:
      simdrive del greeting
      simdrive del photo notes/today
    """
    names = [settings.key(key) for key in keys]
    with settings.connect(writes=True) as client:
        for done, name in enumerate(names):
            settings.attempt = f"del {settings.show(name)}" + (f" (after {done} of {len(names)})" if done else "")
            client.delete(name)
    settings.emit("", {"keys": [settings.fields(name) for name in names]})


@command("exists")
@click.argument("key", metavar="KEY")
def exists(settings: Settings, key: str) -> None:
    """Say whether KEY is there.

    Prints true or false; the exit code is 0 or 1. Of a store that lacks entries, since it is damaged, it is never said
    that a key is not there (exit code 6).

    \b
    Examples:
      simdrive exists greeting
      simdrive exists greeting > /dev/null && echo "it is there"
    """
    name = settings.key(key)
    settings.attempt = f"exists {settings.show(name)}"
    with settings.connect() as client:
        found = client.exists(name)
        if not found:
            settings.check_whole("there is no such key in what is left")
    settings.emit("true" if found else "false", {**settings.fields(name), "exists": found})
    if not found:
        click.get_current_context().exit(ABSENT)


@command("hash")
@click.argument("key", metavar="[KEY|-]", required=False)
@click.option(
    "-f",
    "--file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Hash the bytes of this file instead of a key.",
)
@click.option("--namespace", metavar="P", help="Print the 16-byte key that stands for this one in the namespace P.")
def hash_(settings: Settings, key: str | None, file: Path | None, namespace: str | None) -> None:
    """Print the XXH3-64 hash of a key, a file or standard input.

    The hash is what the store knows a key by: 16 hexadecimal digits. With --namespace it is the 32 digits of the key
    that NamespaceHasher makes, for use with --hex; P is given in the same form as keys. Without KEY, or with '-',
    standard input is hashed. No server is asked.

    \b
    Examples:
      simdrive hash greeting
      simdrive hash -f photo.jpg
      printf greeting | simdrive hash
      simdrive get --hex "$(simdrive hash --namespace users alice)"
    """
    if key is not None and file is not None:
        raise click.UsageError("KEY and --file exclude each other.")
    if key is None or key == "-":
        source: Path | None = file or STANDARD
    else:
        source = None
    fields: dict[str, Any] = {}
    if source is None:
        data = settings.key(str(key))
        pieces: Iterator[bytes] = iter((data,))
        fields |= settings.fields(data)
    else:
        settings.attempt = f"hash {'standard input' if source == STANDARD else source}"
        pieces = read_pieces(source)
        fields["file"] = str(source)
    if namespace is None:
        hasher = Hasher()
        for piece in pieces:
            hasher.update(piece)
        text = f"{hasher.intdigest():016x}"
    else:
        prefix = settings.key(namespace)
        text = NamespaceHasher(prefix).namespace(b"".join(pieces)).hex()
        fields["namespace"] = settings.fields(prefix)
    settings.emit(text, {**fields, "xxh3_64" if namespace is None else "namespaced_key": text})


@command("completion")
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def completion(_settings: Settings, shell: str) -> None:
    """Print the completion script of a shell.

    It completes commands, options and names of files in SHELL: bash, zsh or fish.

    \b
    Examples:
      eval "$(simdrive completion bash)"                                        in ~/.bashrc
      eval "$(simdrive completion zsh)"                                         in ~/.zshrc
      simdrive completion fish > ~/.config/fish/completions/simdrive.fish       once
    """
    made_by = get_completion_class(shell) or ShellComplete
    # Not the shell's own `source`, which for bash runs whatever bash there is to ask for its version.
    script = ShellComplete.source(made_by(cli, {}, "simdrive", COMPLETE_VARIABLE))
    write_output(script.encode())


def check_output(path: Path) -> None:
    """Fails before a transfer whose result could not be written."""
    if not path.parent.is_dir():
        raise click.ClickException(f"there is no folder {path.parent} for {path.name} (make it, or check the path)")
    resolve(path)
