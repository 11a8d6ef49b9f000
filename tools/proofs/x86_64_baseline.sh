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

# The emulator runs a program, not a script that looks one up. A wrapper, so that the tests that start sys.executable
# start the emulator, too.
facts=$("$proof_work/venv/bin/python" -c 'import os, sys, sysconfig
print(os.path.realpath(sys.executable), sys.base_prefix, sysconfig.get_path("purelib"), sep="\n")')
mapfile -t facts <<<"$facts"
for cpu in Nehalem Westmere; do  # the second has carry-less multiply
  python=$proof_work/python-$cpu
  printf '#!/bin/sh\nexport PYTHONHOME=%q PYTHONPATH=%q\nexec qemu-x86_64-static -cpu %s -0 "$0" %q "$@"\n' \
    "${facts[1]}" "${facts[2]}" $cpu "${facts[0]}" >"$python"
  chmod +x "$python"
  found=$("$python" -c 'from simdrive import hashing; print(hashing.backend(), *sorted(hashing.backends()))' 2>>"$proof_log")
  [ "$found" = "sse2 scalar sse2" ] || fail "$cpu: backends: $found"
  (cd "$suite" && PROOF_TAIL=60 run "$python" -m pytest -q -p no:cacheprovider tests/python/unit/test_hashing*.py)
  say_last "$passed" "$cpu: backend ${found%% *}"
done
