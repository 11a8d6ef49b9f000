#!/usr/bin/env bash
# Makes a compiler for another system out of the ziglang package.
#   zig_toolchain.sh TARGET DIR     e.g. x86_64-linux-gnu.2.17, aarch64-linux-gnu.2.17, x86_64-linux-musl,
#                                   aarch64-macos.11.0, x86_64-macos.10.15
# DIR gets the wrappers cc, c++, ar, ranlib and toolchain.cmake. PYTHON: an interpreter that has ziglang (default python).
# For macOS it also wants ld64.lld-19 and llvm-strip-19.
set -euo pipefail
target=${1:?usage: zig_toolchain.sh TARGET DIR}
directory=${2:?usage: zig_toolchain.sh TARGET DIR}
python=$(command -v "${PYTHON:-python}")
here=$(cd "$(dirname "$0")" && pwd)
package=$("$python" -c 'import ziglang; print(ziglang.__path__[0])' 2>/dev/null) ||
  { echo "$python has no ziglang: pip install ziglang" >&2; exit 1; }
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)

processor=${target%%-*}
strip=$(command -v true)
module_flags=-s
case $target in
  *-linux-*) system=Linux ;;
  *-macos*)
    system=Darwin
    strip=$(command -v llvm-strip-19) || { echo "llvm-strip-19 is needed (Debian: llvm-19)" >&2; exit 1; }
    module_flags=
    [ "$processor" = aarch64 ] && processor=arm64
    ;;
  *-windows-*) system=Windows ;;
  *) echo "unknown system in $target" >&2; exit 2 ;;
esac

wrap() {  # wrap NAME ZIG-COMMAND...
  {
    echo '#!/bin/sh'
    if [ "$system$1" = Darwinc++ ]; then
      printf 'for argument; do\n  [ "$argument" = -bundle ] && exec %q %q %q %q "$@"\ndone\n' "$here/macos_bundle.sh" \
        "$processor" "${target##*-macos.}" "$directory/libSystem.tbd"
    fi
    printf 'exec %q -m ziglang %s "$@"\n' "$python" "${*:2}"
  } >"$directory/$1"
  chmod +x "$directory/$1"
}
if [ $system = Darwin ]; then  # LLVM 19 knows the processors of its time only
  sed -zE 's/,[[:space:]]*arm64e\.x1-[a-z]+//g' "$package/lib/libc/darwin/libSystem.tbd" >"$directory/libSystem.tbd"
fi
wrap cc cc -target "$target"
wrap c++ c++ -target "$target"
wrap ar ar
wrap ranlib ranlib

# Stripped by the linker where it can: the system's own strip knows its own format only.
cat >"$directory/toolchain.cmake" <<EOF
set(CMAKE_SYSTEM_NAME $system)
set(CMAKE_SYSTEM_PROCESSOR $processor)
set(CMAKE_C_COMPILER "$directory/cc")
set(CMAKE_CXX_COMPILER "$directory/c++")
set(CMAKE_AR "$directory/ar" CACHE FILEPATH "")
set(CMAKE_RANLIB "$directory/ranlib" CACHE FILEPATH "")
set(CMAKE_STRIP "$strip" CACHE FILEPATH "")
set(CMAKE_MODULE_LINKER_FLAGS_INIT "$module_flags")
set(CMAKE_FIND_ROOT_PATH "\$ENV{SIMDRIVE_TARGET_ROOT}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
EOF
[ $system != Darwin ] ||
  echo "set(CMAKE_INSTALL_NAME_TOOL \"$(command -v llvm-install-name-tool-19)\" CACHE FILEPATH \"\")" >>"$directory/toolchain.cmake"
echo "$directory/toolchain.cmake"
