"""Hashes and checksums as SIMD R Drive uses them: XXH3-64 for keys, CRC-32 for payloads.

All functions take any C-contiguous bytes-like object (`bytes`, `bytearray`, `memoryview`, `mmap`, `array`, NumPy
arrays); a `str` is a `TypeError`, since its bytes depend on an encoding. Inputs above 4 KiB are hashed without the
GIL, so threads hash in parallel.

- `xxh3_64(data, seed=0)`: the XXH3-64 hash as an int.
- `xxh3_64_many(items, seed=0)`: the hashes of many inputs in one call, as a list.
- `crc32(data, value=0)`: CRC-32 (IEEE) as an int, the same as `zlib.crc32`.
- `Hasher(seed=0)`: XXH3-64 of bytes that come in pieces.
- `NamespaceHasher(prefix)`: 16-byte keys that keep the users of one store apart.
- `backend()`: the name of the implementation in use.
"""

from simdrive._core import Hasher, NamespaceHasher, crc32, xxh3_64, xxh3_64_many
from simdrive._core import hash_backend as backend

__all__ = ["Hasher", "NamespaceHasher", "backend", "crc32", "xxh3_64", "xxh3_64_many"]
