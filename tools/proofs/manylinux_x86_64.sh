#!/usr/bin/env bash
# The x86-64 Linux wheel for the oldest glibc that it is offered for (2.17: manylinux2014), built with zig and run here.
#   tools/proofs/manylinux_x86_64.sh [--dry-run]
# auditwheel must agree with the tag, the wheel must pass tools/check_wheel.py, and the suite passes with it installed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
proof_start "$@"
need nm binutils
tools_environment
zig x86_64-linux-gnu.2.17
CC=$zig/cc CXX=$zig/c++ build_wheel "-Ccmake.define.CMAKE_AR=$zig/ar" "-Ccmake.define.CMAKE_RANLIB=$zig/ranlib"
run auditwheel repair --plat manylinux2014_x86_64 --wheel-dir "$proof_work/repaired" "$wheel"
run rm -r "$proof_work/dist"
run mv "$proof_work/repaired" "$proof_work/dist"
the_wheel
show_policy manylinux_2_17_x86_64
run python tools/check_wheel.py "$wheel"
say_last '^check_wheel: '
run bash tools/test_wheel.sh "$wheel"
say_last "$passed"
say_last '^smoke: '
