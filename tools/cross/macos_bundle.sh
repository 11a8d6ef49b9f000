#!/usr/bin/env bash
# Links a macOS bundle (an extension module) with LLVM's ld64, which takes what Apple's linker takes: zig's own makes no
# bundles. The compiler wrapper of zig_toolchain.sh calls it when it is given -bundle.
#   macos_bundle.sh ARCHITECTURE MINIMUM-VERSION LIBSYSTEM.tbd COMPILER-ARGUMENT...
# Symbols of Python and of the system's libc++ stay undefined, as they are found at run time.
set -euo pipefail
architecture=$1 minimum=$2 system=$3
shift 3
arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    -Wl,*) IFS=, read -r -a parts <<<"${1#-Wl,}" && arguments+=("${parts[@]}") ;;
    -Xlinker) shift && arguments+=("$1") ;;
    -O* | -D* | -f* | -std=* | -arch) ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
exec "${LD64:-ld64.lld-19}" -arch "$architecture" -platform_version macos "$minimum" "$minimum" "${arguments[@]}" "$system"
