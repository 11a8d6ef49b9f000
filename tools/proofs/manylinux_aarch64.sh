#!/usr/bin/env bash
# The aarch64 Linux wheel, built with zig for glibc 2.17 and run under QEMU with Debian's arm64 Python: NEON must be
# chosen, and the suite passes.
#   tools/proofs/manylinux_aarch64.sh [--dry-run]
# Debian's arm64 packages are unpacked into the cache, not installed. PROOF_PYTHON: the version of Python that this
# Debian has (default 3.11).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
proof_start "$@"
version=${PROOF_PYTHON:-3.11}
tag=cp${version/./}
need qemu-aarch64-static qemu-user-static dpkg-deb dpkg apt-get apt
tools_environment
root=$proof_cache/debian-arm64
packages=("python$version-minimal" "libpython$version-minimal" "libpython$version-stdlib" "libpython$version-dev"
  "libpython$version" libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libssl3 libffi8 libbz2-1.0 liblzma5 libsqlite3-0
  libuuid1 libcrypt1 libncursesw6 libtinfo6 libreadline8)
run bash tools/cross/debian_root.sh arm64 "$root" "${packages[@]}"
zig aarch64-linux-gnu.2.17
cross_wheel "$tag" linux_aarch64 ".cpython-${version/./}-aarch64-linux-gnu.so" \
  "-Ccmake.define.CMAKE_TOOLCHAIN_FILE=$zig/toolchain.cmake" \
  "-Ccmake.define.Python_INCLUDE_DIR=$root/usr/include/python$version" \
  "-Ccmake.define.CMAKE_CXX_FLAGS=-isystem $root/usr/include"
show_policy manylinux_2_17_aarch64
# `auditwheel repair` refuses another processor's wheel; with no library to bundle, the tag is all that it would change.
run python -m wheel tags --remove --platform-tag manylinux2014_aarch64.manylinux_2_17_aarch64 "$wheel"
the_wheel
run python tools/check_wheel.py "$wheel"
say_last '^check_wheel: '

site=$proof_work/site
run "$tools/bin/pip" install --quiet --target "$site" --platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64 \
  --python-version "$version" --only-binary=:all: \
  pytest pytest-timeout hypothesis numpy xxhash websockets click rich "$wheel"
copy_suite
if [ -n "$dry_run" ]; then
  echo "+ qemu-aarch64-static -L $root python$version -m pytest tests/python/unit"
  exit
fi
# A wrapper, so that the tests that start sys.executable start the emulator too.
python=$proof_work/python
printf '#!/bin/sh\nexport PYTHONHOME=%q PYTHONPATH=%q PYTHONDONTWRITEBYTECODE=1\nexec qemu-aarch64-static -0 "$0" -L %q %q "$@"\n' \
  "$root/usr" "$site" "$root" "$root/usr/bin/python$version" >"$python"
chmod +x "$python"
found=$("$python" -c 'import platform, simdrive; from simdrive import hashing
print(platform.machine(), hashing.backend(), simdrive.__file__)' 2>>"$proof_log")
[ "${found% *}" = "aarch64 neon" ] && [ "${found##* }" = "$site/simdrive/__init__.py" ] || fail "found $found"
(cd "$suite" && PROOF_TAIL=60 run "$python" -m pytest -q -p no:cacheprovider -m "not integration" tests)
say_last "$passed" "aarch64 under QEMU: backend neon"
run "$python" tools/smoke_wheel.py
say_last '^smoke: '
