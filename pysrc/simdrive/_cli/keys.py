"""Keys as people type them, as JSON shows them, and as names of files."""

from __future__ import annotations

import base64
import binascii
import os
import re
import sys

_SAFE = re.compile(rb"[A-Za-z0-9._-]")
_ESCAPE = re.compile(rb"%(?:([0-9A-Fa-f]{2})|)")
# Names that Windows takes for devices, whatever follows the first dot.
_DEVICE = re.compile(rb"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)")
_LONGEST_NAME = 255


def parse_key(text: str, form: str) -> bytes:
    """The key that an argument stands for.

    Args:
        text: the argument.
        form: ``"text"``, ``"hex"`` or ``"base64"`` (standard or URL-safe alphabet).

    Raises:
        ValueError: the argument is not in that form.
    """
    if form == "hex":
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise ValueError(f"{text!r} is not hexadecimal (two digits for each byte, without 0x or colons)") from None
    if form == "base64":
        try:
            return base64.b64decode(os.fsencode(text).replace(b"-", b"+").replace(b"_", b"/"), validate=True)
        except binascii.Error:
            raise ValueError(f"{text!r} is not base64 (padding with = is needed)") from None
    return os.fsencode(text)


def key_fields(key: bytes, form: str) -> dict[str, str]:
    """The two JSON fields of a key: it in the form it was given in, or base64 where that is no text."""
    if form == "hex":
        return {"key": key.hex(), "key_encoding": "hex"}
    if form == "text":
        try:
            return {"key": key.decode(), "key_encoding": "utf-8"}
        except UnicodeDecodeError:
            pass
    return {"key": base64.b64encode(key).decode(), "key_encoding": "base64"}


def show_key(key: bytes, form: str) -> str:
    """A key for a message, cut to one short line that standard error can show."""
    fields = key_fields(key, form)
    text = fields["key"] if len(fields["key"]) <= 60 else fields["key"][:57] + "..."
    if fields["key_encoding"] == "base64" and form != "base64":
        return f"base64:{text}"
    encoding = getattr(sys.stderr, "encoding", None) or "ascii"
    return repr(text).encode(encoding, "backslashreplace").decode(encoding)


def file_name(key: bytes) -> str:
    """A file name of this key's own: letters, digits and ``._-`` stay, each other byte becomes ``%XX``.

    No name has a separator, is ``.`` or ``..``, a device of Windows, or ends in a dot; the empty key is ``%``.

    Raises:
        ValueError: the name would be longer than file systems take.
    """
    if not key:
        return "%"
    escaped = bytearray(b"".join(byte if _SAFE.match(byte) else b"%%%02X" % byte[0] for byte in _bytes_of(key)))
    if _DEVICE.match(escaped) or key == b"." * len(key):
        escaped[:1] = b"%%%02X" % escaped[0]
    if escaped.endswith(b"."):
        escaped[-1:] = b"%2E"
    if len(escaped) > _LONGEST_NAME:
        raise ValueError(f"its file name would have {len(escaped)} characters, more than {_LONGEST_NAME}")
    return escaped.decode()


def key_of_name(name: bytes) -> bytes:
    """The key whose ``file_name`` this is.

    Raises:
        ValueError: a ``%`` without two hexadecimal digits after it.
    """
    if name == b"%":
        return b""

    def plain(match: re.Match[bytes]) -> bytes:
        if match[1] is None:
            raise ValueError("a % is not followed by two hexadecimal digits")
        return bytes.fromhex(match[1].decode())

    return _ESCAPE.sub(plain, name)


def same_file(names: list[str], *, folds_case: bool = sys.platform in ("win32", "darwin")) -> str | None:
    """A name that on this system means the same file as another, different one of the list."""
    seen: dict[str, str] = {}
    for name in names:
        if seen.setdefault(name.lower() if folds_case else name, name) != name:
            return name
    return None


def _bytes_of(key: bytes) -> list[bytes]:
    return [key[i : i + 1] for i in range(len(key))]
