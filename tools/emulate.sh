#!/usr/bin/env bash
# Runs the hash tests on CPUs that this machine does not have, under QEMU's user-mode emulation.
#   tools/emulate.sh [--dry-run] [BUILD]     BUILD: where the x86-64 tests are built, build/release by default
#   - the x86-64 test program of BUILD, unchanged, on CPUs without AVX2 and without carry-less multiply;
#   - the same tests built for aarch64, with NEON, and with and without its CRC-32 and polynomial multiply.
# Each run must choose the backend that is expected of it, pass, and count what it skipped.
# Needs an x86-64 machine and, by their Debian names, qemu-user-static, g++-aarch64-linux-gnu and libgtest-dev.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/dry_run.sh
ulimit -c 0
release=${1:-build/release}
out=build/emulation
arm_root=${SIMDRIVE_AARCH64_ROOT:-/usr/aarch64-linux-gnu}
gtest=${SIMDRIVE_GTEST_SOURCE:-/usr/src/googletest/googletest}

if [ -n "$dry_run" ]; then
  run cmake -S tests/cpp/emulation -B $out/aarch64
  run cmake --build $out/aarch64
  run tools/check_isa_objects.sh $out/aarch64
  run cmake --build "$release" --target simdrive_unit
  for cpu in Nehalem Westmere SandyBridge Haswell; do
    run qemu-x86_64-static -cpu $cpu "$release/tests/cpp/simdrive_unit"
  done
  run qemu-aarch64-static -L "$arm_root" $out/aarch64/hash_tests
  exit
fi

missing=()
for tool in qemu-x86_64-static qemu-aarch64-static aarch64-linux-gnu-g++ cmake ninja; do
  command -v "$tool" >/dev/null || missing+=("$tool")
done
for path in "$gtest/src/gtest-all.cc" "$arm_root/lib"; do
  [ -e "$path" ] || missing+=("$path")
done
[ "$(uname -m)" = x86_64 ] || missing+=("an x86-64 machine")
if [ ${#missing[@]} -ne 0 ]; then
  printf 'emulate: missing: %s\n' "${missing[@]}" >&2
  exit 1
fi

mkdir -p $out/logs
cmake -S tests/cpp/emulation -B $out/aarch64 -G Ninja -DCMAKE_BUILD_TYPE=Release -DSIMDRIVE_GTEST_SOURCE="$gtest" \
  -DSIMDRIVE_WERROR=ON -DCMAKE_TOOLCHAIN_FILE="$PWD/tests/cpp/emulation/aarch64.cmake" >$out/logs/configure
cmake --build $out/aarch64
NM=aarch64-linux-gnu-nm OBJDUMP=aarch64-linux-gnu-objdump SIZE=aarch64-linux-gnu-size \
  tools/check_isa_objects.sh $out/aarch64
[ -f "$release/build.ninja" ] || cmake --preset release -B "$release" >/dev/null
cmake --build "$release" --target simdrive_unit
"${CXX:-c++}" -std=c++20 -O1 -Icpp/include -Icpp/src tests/cpp/emulation/probe.cpp "$release/libsimdrive.a" \
  -o $out/probe -pthread

# The suites of tests/cpp/unit/hash; parameterised ones carry a prefix and a suffix.
suites=$(sed -nE 's/^(TYPED_)?TEST(_F|_P)?\((\w+),.*/\3/p' tests/cpp/unit/hash/test_*.cpp | sort -u)
filter=$(for suite in $suites; do printf '%s.*:%s/*.*:*/%s.*:*/%s/*.*:' "$suite" "$suite" "$suite" "$suite"; done)

fail() {
  echo "emulate: FAILED: $*" >&2
  exit 1
}

# run NAME BACKEND CHECKSUM PROBE TESTS EMULATOR...: both programs on one CPU; exits 1 unless all is as expected.
run() {
  local name=$1 backend=$2 checksum=$3 probe=$4 tests=$5 log="$out/logs/$1" began=$SECONDS found ran skipped
  shift 5
  found=$("$@" "$probe" 2>"$log.stderr") || fail "$name: the probe failed: $found $(cat "$log.stderr")"
  case $found in
    "backend=$backend checksum=$checksum "*) ;;
    *) fail "$name: expected backend=$backend checksum=$checksum, found $found" ;;
  esac
  if ! "$@" "$tests" --gtest_color=no --gtest_filter="$filter" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    fail "$name: $found"
  fi
  ran=$(sed -nE 's/^\[  PASSED  \] ([0-9]+) tests?\.$/\1/p' "$log")
  skipped=$(sed -nE 's/^\[  SKIPPED \] ([0-9]+) tests?, listed below:$/\1/p' "$log")
  [ "${ran:-0}" -gt 0 ] || fail "$name: no test ran"
  echo "emulate: $name: $found: $ran tests passed, ${skipped:-0} skipped, $((SECONDS - began)) s"
}

x86() {  # x86 CPU BACKEND CHECKSUM
  run "x86-64 $1" "$2" "$3" $out/probe "$release/tests/cpp/simdrive_unit" qemu-x86_64-static -cpu "$1"
}

# aarch64 HIDDEN CHECKSUM USED: also looks at the instructions that ran. USED must be among them, hidden ones must not.
aarch64() {
  local hidden=$1 checksum=$2 used=$3 trace=$out/logs/aarch64-$2.trace absent
  run "aarch64${hidden:+ without $hidden}" neon "$checksum" $out/aarch64/probe $out/aarch64/hash_tests \
    qemu-aarch64-static -L "$arm_root" -d in_asm -D "$trace" \
    -E LD_PRELOAD="$PWD/$out/aarch64/libhide_features.so" -E SIMDRIVE_HIDE="$hidden"
  case $hidden in
    crc) absent='crc32[bhwx]|pmull2?' ;;
    pmull) absent='pmull2?' ;;
    *) absent= ;;
  esac
  if [ -n "$used" ]; then
    grep -qE "  ($used) " "$trace" || fail "aarch64: $checksum was chosen, but no $used ran"
  fi
  if [ -n "$absent" ] && grep -E "  ($absent) " "$trace" >&2; then
    fail "aarch64 without $hidden: these instructions ran"
  fi
  rm -f "$trace"
}

# What keeps this honest: the emulator does refuse instructions that its CPU lacks.
refused() {
  local status=0
  (qemu-x86_64-static -cpu "$1" $out/probe "$2" || exit $?) >/dev/null 2>&1 || status=$?
  [ $status -eq 132 ] || fail "the emulated $1 ran an instruction of $2 (status $status)"  # 128 + SIGILL
  echo "emulate: x86-64 $1: the emulator ends a program that runs an instruction of $2"
}

not_usable() {  # not_usable CPU BACKEND: forcing it is an error
  local answer
  if answer=$(SIMDRIVE_SIMD=$2 qemu-x86_64-static -cpu "$1" $out/probe 2>/dev/null); then
    fail "$1: SIMDRIVE_SIMD=$2 was accepted: $answer"
  fi
  grep -q "cannot run on this CPU" <<<"$answer" || fail "$1: SIMDRIVE_SIMD=$2: $answer"
  echo "emulate: x86-64 $1: SIMDRIVE_SIMD=$2 is refused: $answer"
}

refused Nehalem pclmul
refused Westmere avx2
refused SandyBridge avx2
not_usable Nehalem avx2
not_usable SandyBridge avx2
not_usable Haswell avx512

pids=()
x86 Nehalem sse2 scalar & pids+=($!)
x86 Westmere sse2 pclmul & pids+=($!)
x86 SandyBridge sse2 pclmul & pids+=($!)
x86 Haswell avx2 pclmul & pids+=($!)
aarch64 "" pmull 'pmull2?' & pids+=($!)
aarch64 pmull crc crc32x & pids+=($!)
aarch64 crc scalar "" & pids+=($!)
status=0
for pid in "${pids[@]}"; do wait "$pid" || status=1; done
[ $status -eq 0 ] && echo "emulate: ${#pids[@]} CPUs, all passed"
exit $status
