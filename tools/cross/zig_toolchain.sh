#!/usr/bin/env bash
# Makes a compiler for another system out of the ziglang package.
#   zig_toolchain.sh TARGET DIR     e.g. x86_64-linux-gnu.2.17, aarch64-linux-gnu.2.28, x86_64-linux-musl,
#                                   aarch64-macos.11.0, x86_64-macos.10.15
# DIR gets the wrappers cc, c++, ar, ranlib and toolchain.cmake. PYTHON: an interpreter that has ziglang (default python).
set -euo pipefail
target=${1:?usage: zig_toolchain.sh TARGET DIR}
directory=${2:?usage: zig_toolchain.sh TARGET DIR}
python=$(command -v "${PYTHON:-python}")
"$python" -c 'import ziglang' 2>/dev/null || { echo "$python has no ziglang: pip install ziglang" >&2; exit 1; }
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)

wrap() {  # wrap NAME ZIG-COMMAND...
  printf '#!/bin/sh\nexec %q -m ziglang %s "$@"\n' "$python" "${*:2}" >"$directory/$1"
  chmod +x "$directory/$1"
}
wrap cc cc -target "$target"
wrap c++ c++ -target "$target"
wrap ar ar
wrap ranlib ranlib

case $target in
  *-linux-*) system=Linux ;;
  *-macos*) system=Darwin ;;
  *-windows-*) system=Windows ;;
  *) echo "unknown system in $target" >&2; exit 2 ;;
esac
processor=${target%%-*}
[ "$target" != "${target#aarch64-macos}" ] && processor=arm64
cat >"$directory/toolchain.cmake" <<EOF
set(CMAKE_SYSTEM_NAME $system)
set(CMAKE_SYSTEM_PROCESSOR $processor)
set(CMAKE_C_COMPILER "$directory/cc")
set(CMAKE_CXX_COMPILER "$directory/c++")
set(CMAKE_AR "$directory/ar" CACHE FILEPATH "")
set(CMAKE_RANLIB "$directory/ranlib" CACHE FILEPATH "")
set(CMAKE_FIND_ROOT_PATH "\$ENV{SIMDRIVE_TARGET_ROOT}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
EOF
echo "$directory/toolchain.cmake"
