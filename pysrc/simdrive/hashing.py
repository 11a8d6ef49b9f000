"""Hashes and checksums as SIMD R Drive uses them: XXH3-64 for keys, CRC-32 for payloads.

All functions take any C-contiguous bytes-like object (`bytes`, `bytearray`, `memoryview`, `mmap`, `array`, NumPy
arrays); a `str` is a `TypeError`, since its bytes depend on an encoding. Inputs above 16 KiB are hashed without the
GIL, so threads hash in parallel.

- `xxh3_64(data, seed=0)`: the XXH3-64 hash as an int.
- `xxh3_64_many(items, seed=0, *, width=None, out=None)`: the hashes of many keys in one call; a NumPy array gives a
  NumPy array, everything else a list.
- `crc32(data, value=0)`: CRC-32 as an int, the same as `zlib.crc32`.
- `Hasher(seed=0)`: XXH3-64 of bytes that come in pieces.
- `NamespaceHasher(prefix)`: 16-byte keys that keep the users of one store apart.

The work is done by vector instructions that are chosen when the program runs. All of them give the same results:

- `cpu_features()`: what the CPU offers, as far as it matters here.
- `backends()`: the names of the implementations that this CPU can run, the best first: some of `"avx512"`, `"avx2"`,
  `"sse2"` (x86-64) and `"neon"` (aarch64), and always `"scalar"`.
- `backend()`: the one in use. It is the best, unless the environment variable `SIMDRIVE_SIMD` names another; a name
  that cannot be used makes the import of simdrive fail with a `ConfigurationError`.
- `set_backend(name)`: takes another, for tests and measurements.

XXH3 was designed by Yann Collet and is specified with xxHash 0.8; the CRC-32 is that of IEEE 802.3. Neither is
cryptographic: whoever chooses the keys can make two of them collide.
"""

from simdrive._core import Hasher, NamespaceHasher, cpu_features, crc32, xxh3_64, xxh3_64_many
from simdrive._core import hash_backend as backend
from simdrive._core import hash_backends as backends
from simdrive._core import set_hash_backend as set_backend

__all__ = [
    "Hasher",
    "NamespaceHasher",
    "backend",
    "backends",
    "cpu_features",
    "crc32",
    "set_backend",
    "xxh3_64",
    "xxh3_64_many",
]
