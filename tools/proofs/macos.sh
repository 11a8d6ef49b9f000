#!/usr/bin/env bash
# The macOS wheels and the C++ tests, compiled and linked with zig for arm64 (11.0) and x86-64 (10.15). Nothing of it can
# be run here. Python's headers are those of a macOS build of CPython from Maven's central repository.
#   tools/proofs/macos.sh [--dry-run]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
proof_start "$@"
need mvn maven ld64.lld-19 lld-19 llvm-strip-19 llvm-19 /usr/src/googletest/googletest libgtest-dev
tools_environment
for target in arm64:aarch64-macos.11.0:macosx_11_0_arm64 x86_64:x86_64-macos.10.15:macosx_10_15_x86_64; do
  IFS=: read -r processor zig_target platform <<<"$target"
  maven_jar "org.bytedeco:cpython:3.13.5-1.5.12:jar:macosx-$processor" "cpython-macos-$processor"
  zig "$zig_target"
  cross_wheel cp313 "$platform" .cpython-313-darwin.so "-Ccmake.define.CMAKE_TOOLCHAIN_FILE=$zig/toolchain.cmake" \
    "-Ccmake.define.Python_INCLUDE_DIR=$jar/org/bytedeco/cpython/macosx-$processor/include/python3.13"
  say_wheel "compiled and linked"
  run python tools/check_wheel.py "$wheel"
  say_last '^check_wheel: '
  run rm -r "$proof_work/dist" "$proof_work/wheel"
  cross_tests "tests-$processor" "-DCMAKE_TOOLCHAIN_FILE=$zig/toolchain.cmake"
  say "C++ tests, $processor: compiled and linked"
done
