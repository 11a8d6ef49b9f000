"""The published Python client against any server: published_client.py HOST PORT. A call a line on standard input, its
outcome as a JSON line, in the language of tests/interop/src/calls.rs, which does the same with the Rust client.

It uses nothing but the standard library and the package, since it runs where our tests are not installed. Writes and
deletes give null: this client does not say where the store ends.
"""

import hashlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

HEX_SHOWN = 64


def data(value: Any) -> bytes:
    """The bytes that a call means; generated ones are for the engine's scripts only."""
    if isinstance(value, str):
        return value.encode()
    if "hex" in value:
        return bytes.fromhex(value["hex"])
    if "file" in value:
        return Path(value["file"]).read_bytes()
    return bytes.fromhex(value["rep"]) * int(value["len"])


def shown(value: bytes | None) -> Any:
    """A value as the outcome has it."""
    if value is None:
        return None
    if len(value) <= HEX_SHOWN:
        return {"hex": value.hex()}
    return {"len": len(value), "sha256": hashlib.sha256(value).hexdigest()}


def call(client: Any, line: Any) -> Any:
    """What one call gives."""
    op = line["op"]
    if op == "write":
        return client.write(data(line["k"]), data(line["v"]))
    if op == "batch":
        return client.batch_write([(data(key), data(value)) for key, value in line["items"]])
    if op == "read":
        return shown(client.read(data(line["k"])))
    if op == "batch_read":
        return [shown(value) for value in client.batch_read([data(key) for key in line["ks"]])]
    if op in ("delete", "exists"):
        return getattr(client, op)(data(line["k"]))
    if op == "len":
        return len(client)
    if op in ("is_empty", "file_size"):
        return getattr(client, op)()
    raise ValueError(f"unknown call: {line}")


def main(host: str, port: int) -> None:
    client = importlib.import_module("simd_r_drive_ws_client").DataStoreWsClient(host, port)
    for line in sys.stdin:
        try:
            outcome = {"result": call(client, json.loads(line))}
        except (OSError, RuntimeError) as error:
            outcome = {"error": str(error)}
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
