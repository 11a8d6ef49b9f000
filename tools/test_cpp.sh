#!/usr/bin/env bash
# Builds the C++ library with its tests and runs them; warnings are errors with the compilers of Linux.
#   tools/test_cpp.sh [--dry-run] [PRESET]     of CMakePresets.json: release by default, dev for a debug build
# In an environment with the group "build". On Windows with Visual Studio, whose generator needs no developer prompt.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/dry_run.sh
preset=${1:-release}
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
case $(uname -s) in
  Linux) options=(-DSIMDRIVE_WERROR=ON) ;;
  Darwin) options=(-DSIMDRIVE_WERROR=OFF) ;;
  *)
    configuration=Release
    [ "$preset" = dev ] && configuration=Debug
    run cmake -S . -B "build/$preset" "-DCMAKE_PREFIX_PATH=${VCPKG_INSTALLATION_ROOT:-}/installed/x64-windows-static-md"
    run cmake --build "build/$preset" --config $configuration -j "$jobs"
    run ctest --test-dir "build/$preset" -C $configuration -j "$jobs" --output-on-failure --no-tests=error
    exit ;;
esac
run cmake --preset "$preset" "${options[@]}"
run cmake --build --preset "$preset"
run ctest --preset "$preset" -j "$jobs" --no-tests=error
