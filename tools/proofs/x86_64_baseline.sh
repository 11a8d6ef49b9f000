#!/usr/bin/env bash
# The x86-64 Linux wheel on CPUs without AVX: `sse2` must be chosen, and the hash part of the suite passes.
#   tools/proofs/x86_64_baseline.sh [--dry-run]
# Uses the wheel that tools/proofs/manylinux_x86_64.sh left behind, under QEMU's user-mode emulation.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
proof_start "$@"
need qemu-x86_64-static qemu-user-static
tools_environment
wheels=("$proof_root"/build/proofs/manylinux_x86_64/dist/*.whl)
[ -n "$dry_run" ] || [ -f "${wheels[0]}" ] || run bash tools/proofs/manylinux_x86_64.sh
wheels=("$proof_root"/build/proofs/manylinux_x86_64/dist/*.whl)
run python3 -m venv "$proof_work/venv"
run "$proof_work/venv/bin/pip" install --quiet --only-binary :all: "${wheels[0]}" pytest pytest-timeout hypothesis xxhash
copy_suite
if [ -n "$dry_run" ]; then
  echo "+ qemu-x86_64-static -cpu Nehalem $proof_work/venv/bin/python -m pytest tests/python/unit -k hashing"
  exit
fi

# The emulator runs a program, not a script that looks one up: the interpreter itself, told which environment it is.
interpreter=$("$proof_work/venv/bin/python" -c 'import os, sys; print(os.path.realpath(sys.executable))')
for cpu in Nehalem SandyBridge; do
  emulated=(env "PYTHONPATH=$("$proof_work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    qemu-x86_64-static -cpu "$cpu" "$interpreter")
  found=$("${emulated[@]}" -c 'from simdrive import hashing; print(hashing.backend(), *hashing.backends())' 2>>"$proof_log")
  [ "$found" = "sse2 sse2 scalar" ] || [ "$found" = "sse2 scalar sse2" ] || fail "$cpu: backends: $found"
  (cd "$suite" && PROOF_TAIL=60 run "${emulated[@]}" -m pytest -q -p no:cacheprovider tests/python/unit/test_hashing*.py)
  say_last "$passed" "$cpu: backend ${found%% *}"
done
