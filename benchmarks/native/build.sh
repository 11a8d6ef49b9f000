#!/bin/sh
# Compiles the native helpers into a folder: build.sh OUTDIR. Uses $CC (default cc); rebuilds what is out of date.
set -eu
out=${1:?usage: build.sh OUTDIR}
here=$(cd "$(dirname "$0")" && pwd)
cc=${CC:-cc}
flags="-std=c11 -O2 -Wall -Wextra -Wshadow -Werror"
mkdir -p "$out"

# compile TARGET SOURCE FLAG...: written beside the target and renamed, so that a broken build leaves nothing usable.
compile() {
  target=$out/$1
  source=$here/$2
  shift 2
  if [ -x "$target" ] && [ -z "$(find "$source" "$here/helper.h" "$here/build.sh" -newer "$target")" ]; then
    return
  fi
  # shellcheck disable=SC2086
  "$cc" $flags "$source" -o "$target.$$" "$@"
  mv "$target.$$" "$target"
}

compile pingpong_server pingpong_server.c -pthread
compile pingpong_client pingpong_client.c
compile replay replay.c
compile nodelay_shim.so nodelay_shim.c -shared -fPIC -ldl
