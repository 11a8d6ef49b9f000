#!/usr/bin/env bash
# Windows: the C++ tests under Wine, then the wheel with a real CPython for Windows, which must pass the unit suite.
#   tools/proofs/windows.sh [--dry-run]
# The compilers are MinGW-w64 and, for the wheel, zig (releases are built with MSVC); the Python is CPython 3.13 from
# Maven's central repository. The library is also compiled for arm64 and 32-bit x86 with zig; these are not run.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
proof_start "$@"
need x86_64-w64-mingw32-g++-posix g++-mingw-w64-x86-64-posix wine wine mvn maven \
  /usr/src/googletest/googletest libgtest-dev
tools_environment
export WINEPREFIX=$proof_cache/wine WINEDEBUG=-all
run wineboot --init

cross_tests tests "-DCMAKE_TOOLCHAIN_FILE=$proof_root/tools/cross/mingw.cmake"
run wine "$unit.exe" --gtest_color=no
say_last '^\[  PASSED  \]' "C++ tests, Wine"

maven_jar org.bytedeco:cpython:3.13.5-1.5.12:jar:windows-x86_64 cpython-windows
python_home=$jar/org/bytedeco/cpython/windows-x86_64
# Not with MinGW: its winpthreads end a thread with a lock held that others that end take inside the loader's lock, so
# that both may wait for ever; and GNU ld leaves nothing out of a DLL.
zig x86_64-windows-gnu
cross_wheel cp313 win_amd64 .cp313-win_amd64.pyd "-Ccmake.define.CMAKE_TOOLCHAIN_FILE=$zig/toolchain.cmake" \
  "-Ccmake.define.Python_INCLUDE_DIR=$python_home/include" "-Ccmake.define.Python_LIBRARY=$python_home/libs/python313.lib"
say_wheel "built with zig"
run python tools/check_wheel.py "$wheel"
say_last '^check_wheel: '
# Without NumPy, for whose start Wine 8 lacks a function (crealf); the tests that want it skip.
site=$proof_work/site
run "$tools/bin/pip" install --quiet --target "$site" --platform win_amd64 --python-version 3.13 --only-binary=:all: \
  pytest pytest-timeout hypothesis xxhash websockets click rich colorama "$wheel"
copy_suite
if [ -n "$dry_run" ]; then
  echo "+ wine python.exe -m pytest tests"
else
  # Wine 8 hangs when platform asks Windows' management service, and has no CopyFile2, which shutil prefers.
  printf 'import sys\nsys.modules["_wmi"] = None\nimport _winapi\ndel _winapi.CopyFile2\n' >"$site/sitecustomize.py"
  python=$proof_work/python
  # Python gives up at its start unless its standard handles are pipes or files that Wine knows.
  printf '#!/bin/bash\nset -o pipefail\nexport PYTHONPATH=%q PYTHONDONTWRITEBYTECODE=1\nwine %q "$@" </dev/null 2>&1 | cat\n' \
    "Z:${site//\//\\}" "$python_home/python.exe" >"$python"
  chmod +x "$python"
  found=$("$python" -c 'import sys, simdrive; print(sys.platform, simdrive.hashing.backend())' | tail -n 1 | tr -d '\r')
  [ "${found% *}" = win32 ] || fail "python.exe says: $found"
  (cd "$suite" && PROOF_TAIL=80 run "$python" -m pytest -q -p no:cacheprovider -m "not integration" tests)
  say_last "$passed" "Windows Python under Wine, backend ${found#* }"
  run "$python" "Z:${proof_root//\//\\}\\tools\\smoke_wheel.py"
  say_last '^smoke: '
fi

for processor in aarch64 x86; do
  zig "$processor-windows-gnu"
  cross_tests "tests-$processor" "-DCMAKE_TOOLCHAIN_FILE=$zig/toolchain.cmake"
  say "C++ library and tests, $processor: compiled and linked"
done
