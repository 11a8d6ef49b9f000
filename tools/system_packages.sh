#!/usr/bin/env bash
# Installs what is missing of the system's packages: with apt on Debian and Ubuntu (as root or with sudo), Homebrew on
# macOS, vcpkg on Windows. Does nothing, and needs no rights, when nothing is missing.
#   tools/system_packages.sh [--dry-run] GROUP...
#     build      a C++ compiler, GoogleTest, Python's venv, what makes system calls fail in tests (on macOS and Windows:
#                GoogleTest)
#     clang      clang 19 with the runtime of libFuzzer
#     emulation  what tools/emulate.sh needs
#     proofs     what tools/prove.sh --all needs beside build and emulation
#     bench      what benchmarks/python/store_speed.py needs
#     ccache     ccache, which only saves time: where it cannot be had, this says so and is no failure
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/dry_run.sh
if [ $# -eq 0 ]; then
  echo "usage: tools/system_packages.sh [--dry-run] build|clang|emulation|proofs|bench|ccache ..." >&2
  exit 2
fi

packages=() optional=()
need() {  # need PACKAGE TEST...: the package, unless the test passes
  local package=$1
  shift
  if [ -n "$dry_run" ] || ! "$@" >/dev/null 2>&1; then packages+=("$package"); fi
}
on_path() { command -v "$1"; }
exists() { compgen -G "$1"; }

case $(uname -s) in
  Darwin)
    run brew install --quiet googletest
    exit ;;
  MINGW* | MSYS*)
    run "${VCPKG_INSTALLATION_ROOT:?vcpkg is needed}/vcpkg" install gtest --triplet x64-windows-static-md
    exit ;;
esac
for group; do
  case $group in
    build)
      need g++ on_path c++
      need binutils on_path nm
      need libgtest-dev exists /usr/include/gtest/gtest.h
      need python3-venv python3 -c 'import ensurepip'
      need strace on_path strace
      need fiu-utils on_path fiu-run
      ;;
    clang)
      need clang-19 on_path clang++-19
      need libclang-rt-19-dev exists '/usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.fuzzer*'
      ;;
    bench)
      need liblmdb-dev exists /usr/include/lmdb.h
      ;;
    emulation)
      need qemu-user-static on_path qemu-aarch64-static
      need g++-aarch64-linux-gnu on_path aarch64-linux-gnu-g++
      ;;
    proofs)
      need git on_path git
      need g++-mingw-w64-x86-64-posix on_path x86_64-w64-mingw32-g++-posix
      need wine on_path wine
      need wine64 exists '/usr/lib/wine/wine64'
      need lld-19 on_path ld64.lld-19
      need llvm-19 on_path llvm-strip-19
      need maven on_path mvn
      ;;
    ccache) if [ -n "$dry_run" ] || ! on_path ccache >/dev/null; then optional+=(ccache); fi ;;
    *)
      echo "system_packages: no group '$group'; there are: build, clang, emulation, proofs, ccache" >&2
      exit 2 ;;
  esac
done
[ $((${#packages[@]} + ${#optional[@]})) -eq 0 ] && exit 0
if [ -z "$dry_run" ] && ! command -v apt-get >/dev/null; then
  [ ${#optional[@]} -eq 0 ] || echo "system_packages: without apt, goes on without ${optional[*]}"
  [ ${#packages[@]} -eq 0 ] && exit 0
  echo "system_packages: without apt, please install by hand what these Debian packages hold: ${packages[*]}" >&2
  exit 1
fi
as_root=(env DEBIAN_FRONTEND=noninteractive)
[ "$(id -u)" -eq 0 ] || as_root=(sudo "${as_root[@]}")
install=("${as_root[@]}" apt-get install -y -qq --no-install-recommends)
run "${as_root[@]}" apt-get update -qq || [ ${#packages[@]} -eq 0 ]
[ ${#packages[@]} -eq 0 ] || run "${install[@]}" "${packages[@]}"
if [ ${#optional[@]} -ne 0 ]; then
  run "${install[@]}" "${optional[@]}" || echo "system_packages: goes on without ${optional[*]}"
fi
