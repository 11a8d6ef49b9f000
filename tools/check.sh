#!/usr/bin/env bash
# Format, lint, types, layers, wheel matrix and workflows, with the tools of the dependency group "dev" (on PATH: an
# activated environment, or `uv run --no-sync tools/check.sh`). Everything is checked, also after a failure.
#   tools/check.sh [--dry-run] [NAME...]     only the checks of these names, as they are printed
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. tools/dry_run.sh
only=("$@")
failed=()
check() {
  local name=$1 each
  shift
  if [ ${#only[@]} -ne 0 ]; then
    for each in "${only[@]}" ""; do [ "$each" = "$name" ] && break; done
    [ -n "$each" ] || return 0
    known+=("$name")
  fi
  if [ -n "$dry_run" ]; then
    echo "+ $*"
  elif "$@"; then
    echo "ok: $name"
  else
    echo "FAILED: $name" >&2
    failed+=("$name")
  fi
}

wheel_matrix() {
  if python -c 'import cibuildwheel' 2>/dev/null; then
    python tools/release.py matrix
  elif python -c 'import sys; sys.exit(sys.version_info >= (3, 11))'; then
    echo "wheel matrix: not compared, cibuildwheel needs Python 3.11"
  else
    echo "wheel matrix: cibuildwheel is missing: install the dependency group dev" >&2
    return 1
  fi
}

shell_scripts() {  # And shellcheck, where there is one; it does not see what a sourced file sets and reads.
  local scripts=(.ci/run tools/*.sh tools/*/*.sh) each
  for each in "${scripts[@]}"; do bash -n "$each" || return; done
  if command -v shellcheck >/dev/null; then shellcheck -S warning -e SC1007,SC2034,SC2154,SC2164 "${scripts[@]}"; fi
}

ascii_only() {  # docs/design/wire.md is the protocol's own document and is kept as it is.
  local status=0
  LC_ALL=C grep -rnIP '[^\x00-\x7F]' --exclude-dir={.git,.venv,venv,build,dist,third_party,vectors,corpus,'.*_cache',.hypothesis} \
    --exclude={wire.md,uv.lock,'*.svg'} . || status=$?
  [ $status -eq 1 ]  # 1: nothing found; 0: found; 2: grep failed
}

tidy() {
  local database=build/release
  [ -f $database/compile_commands.json ] || cmake --preset release >/dev/null || return 1
  # What this system compiles; files for other processors have no flags here. boost_impl.cpp is Boost's own source.
  python -c '
import json, pathlib, sys
files = {pathlib.Path(entry["file"]).resolve() for entry in json.load(open(sys.argv[1]))}
print(*sorted(p for p in files if p.is_relative_to(pathlib.Path("cpp/src").resolve())), sep="\n")
' $database/compile_commands.json | grep -v boost_impl |
    xargs -P "$(nproc)" -n 1 clang-tidy -p $database --quiet --extra-arg=-Wno-unknown-warning-option 2>/dev/null
}

known=()
mapfile -t cpp_files < <(find cpp/include cpp/src tests/cpp examples benchmarks -name '*.[ch]pp' -o -name '*.[ch]' | sort)
[ -z "$dry_run" ] || cpp_files=("(${#cpp_files[@]} files)")
check "ruff check" ruff check --quiet .
check "ruff format" ruff format --check --quiet .
check "mypy" mypy
check "clang-format" clang-format --dry-run -Werror "${cpp_files[@]}"
check "layers" python tools/check_layers.py
check "ascii" ascii_only
check "shell scripts" shell_scripts
check "wheel matrix" wheel_matrix
check "workflows" bash tools/lint_workflows.sh
check "clang-tidy" tidy

if [ ${#known[@]} -ne ${#only[@]} ]; then
  echo "check: of '${only[*]}' there is: ${known[*]:-none}" >&2
  exit 2
fi
if [ ${#failed[@]} -ne 0 ]; then
  printf 'check failed: %s\n' "${failed[*]}" >&2
  exit 1
fi
