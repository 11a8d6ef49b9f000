#!/usr/bin/env bash
# Format, lint, types and layers, with the tools of the dependency group "dev" (on PATH: an activated
# environment, or `uv run --no-sync tools/check.sh`). Everything is checked, also after a failure.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()
check() {
  local name=$1
  shift
  if "$@"; then
    echo "ok: $name"
  else
    echo "FAILED: $name" >&2
    failed+=("$name")
  fi
}

wheel_matrix() {  # A selector that matches nothing is no error to cibuildwheel: count what it would build.
  local platform count
  for platform in linux:20 macos:10 windows:5; do
    count=$(cibuildwheel --print-build-identifiers --platform "${platform%:*}" --config-file cibuildwheel.toml . | wc -l)
    if [ "$count" -ne "${platform#*:}" ]; then
      echo "cibuildwheel.toml: $count wheels for ${platform%:*}, expected ${platform#*:}" >&2
      return 1
    fi
  done
}

ascii_only() {  # docs/design/wire.md is the protocol's own document and is kept as it is.
  local status=0
  LC_ALL=C grep -rnIP '[^\x00-\x7F]' --exclude-dir={.git,.venv,venv,build,dist,third_party,vectors,'.*_cache',.hypothesis} \
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

mapfile -t cpp_files < <(find cpp/include cpp/src tests/cpp examples benchmarks -name '*.[ch]pp' -o -name '*.[ch]' | sort)
check "ruff check" ruff check --quiet .
check "ruff format" ruff format --check --quiet .
check "mypy" mypy
check "clang-format" clang-format --dry-run -Werror "${cpp_files[@]}"
check "layers" python tools/check_layers.py
check "ascii" ascii_only
check "wheel matrix" wheel_matrix
check "clang-tidy" tidy

if [ ${#failed[@]} -ne 0 ]; then
  printf 'check failed: %s\n' "${failed[*]}" >&2
  exit 1
fi
