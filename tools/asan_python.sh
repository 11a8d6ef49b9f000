#!/usr/bin/env bash
# Builds the extension with AddressSanitizer and UndefinedBehaviorSanitizer, in build/asan-python and beside whatever is
# installed, and runs the Python unit tests on it.
#   tools/asan_python.sh [--dry-run] [PYTEST ARGUMENTS]     tests/python/unit by default
# In an environment with the groups "build" and "test", and GCC (CXX names it). Leaks are left to the C++ tests: Python
# itself keeps memory until its end.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/dry_run.sh
folder=build/asan-python
site=$folder/site
flags='-O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all'
# What these run are other programs, most of them without the extension; under the preloaded runtime they only get slow.
other_programs=(contributing typing check_wheel smoke_wheel release_script integration_script build_info)
ignored=()
for name in "${other_programs[@]}"; do ignored+=("--ignore=tests/python/unit/test_$name.py"); done
# These measure memory, of which a sanitizer takes more, and gives it back when it likes.
ignored+=("--deselect=tests/python/unit/test_client_faults.py::test_memory_stays_bounded")
ignored+=("--deselect=tests/python/unit/test_value.py::test_many_small_values_do_not_grow")
ignored+=("--deselect=tests/python/unit/test_value.py::test_parts_come_back_with_the_last")
ignored+=("--deselect=tests/python/unit/test_store_threads.py::test_memory_stays_flat")
ignored+=("--deselect=tests/python/unit/test_value_reads.py::test_tries_that_fail_leave_nothing_behind")
for name in they_are_freed_when_nobody_has_them results_that_nobody_waits_for many_one_after_the_other; do
  ignored+=("--deselect=tests/python/unit/test_aio_large_bytes.py::test_$name")
done
arguments=("$@")
[ $# -ne 0 ] || arguments=(-q tests/python/unit "${ignored[@]}")

python=python compiler=${CXX:-g++}
if [ -z "$dry_run" ]; then
  # The program itself: a shim is a shell script, and the runtime must come first in the interpreter, not in the shell.
  python=$(python -c 'import sys; print(sys.executable)')
  rm -rf "$site" "$folder/dist"
  mkdir -p "$site"
fi
# A plain copy; the tools come from this environment, so that nothing is downloaded.
run env CXX="$compiler" "$python" -m build --wheel --no-isolation --outdir "$folder/dist" -Cbuild-dir=$folder/build \
  -Ccmake.build-type=None -Cinstall.strip=false "-Ccmake.define.CMAKE_CXX_FLAGS=$flags" .
run "$python" -m zipfile -e "$folder/dist/"*.whl "$site"

# An environment of its own: a path file leads to the packages of this one without starting its editable install.
run "$python" -m venv --without-pip --clear "$folder/venv"
if [ -z "$dry_run" ]; then
  "$folder/venv/bin/python" - "$PWD/$site" "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" <<'END'
import pathlib, sys, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "simdrive_asan.pth").write_text("\n".join(sys.argv[1:]) + "\n")
END
  # Both: with the runtime alone, C++ exceptions of the extension end the process.
  preload="$("$compiler" -print-file-name=libasan.so) $("$compiler" -print-file-name=libstdc++.so)"
else
  preload="libasan.so libstdc++.so"
fi
sanitized=(env "LD_PRELOAD=$preload" PYTHONMALLOC=malloc
  "ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0:allocator_may_return_null=1:strict_string_checks=1}"
  "UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}"
  "SIMDRIVE_TEST_SLACK=${SIMDRIVE_TEST_SLACK:-0.5}"
  "SIMDRIVE_STORE_EXAMPLES=${SIMDRIVE_STORE_EXAMPLES:-40}"
  "$folder/venv/bin/python")
# Memory that cannot be had is an error that tests look at, not the end. No instrumentation would pass everything.
run "${sanitized[@]}" -c 'import pathlib, simdrive._core as core
path = pathlib.Path(core.__file__)
assert path.is_relative_to(pathlib.Path("build/asan-python").resolve()), path
assert b"__asan_init" in path.read_bytes(), f"{path} has no AddressSanitizer in it"
print(f"under test: {path}")'
run "${sanitized[@]}" -m pytest -p no:cacheprovider "${arguments[@]}"
