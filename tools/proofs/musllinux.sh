#!/usr/bin/env bash
# The musl wheels, built with zig: auditwheel must agree with the tag. No package offers a Python for musl, so the module
# is not imported; the C++ tests of the same sources, linked with musl, run here, for aarch64 under QEMU.
#   tools/proofs/musllinux.sh [--dry-run]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
proof_start "$@"
need qemu-aarch64-static qemu-user-static /usr/src/googletest/googletest libgtest-dev
tools_environment
tag=$(python -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
include=$(python -c 'import sysconfig; print(sysconfig.get_path("include"))')
for processor in x86_64 aarch64; do
  zig "$processor-linux-musl"
  cross_wheel "$tag" "linux_$processor" ".${tag/cp/cpython-}-$processor-linux-musl.so" \
    "-Ccmake.define.CMAKE_TOOLCHAIN_FILE=$zig/toolchain.cmake" "-Ccmake.define.Python_INCLUDE_DIR=$include"
  # zig names musl as its authors do; the images, being Alpine, name it as auditwheel knows it. The loader takes both.
  run python -m wheel unpack --dest "$proof_work/unpacked" "$wheel"
  modules=("$proof_work"/unpacked/*/simdrive/_core.*.so)
  run patchelf --replace-needed libc.so "libc.musl-$processor.so.1" "${modules[0]}"
  run rm "$wheel"
  run python -m wheel pack --dest-dir "$proof_work/dist" "$proof_work"/unpacked/*
  the_wheel
  show_policy "musllinux_1_2_$processor"
  run python -m wheel tags --remove --platform-tag "musllinux_1_2_$processor" "$wheel"
  the_wheel
  run python tools/check_wheel.py "$wheel"
  say_last '^check_wheel: '
  run rm -r "$proof_work/dist" "$proof_work/wheel" "$proof_work/unpacked"
  cross_tests "tests-$processor" "-DCMAKE_TOOLCHAIN_FILE=$zig/toolchain.cmake" -DCMAKE_EXE_LINKER_FLAGS=-static
  emulator=()
  [ $processor = "$(uname -m)" ] || emulator=("qemu-$processor-static")
  run ${emulator[@]+"${emulator[@]}"} "$unit" --gtest_color=no
  say_last '^\[  PASSED  \]' "C++ tests, musl, $processor"
done
