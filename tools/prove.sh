#!/usr/bin/env bash
# Runs the proofs of the wheels: each builds for one kind of system and shows as much as can be shown on Linux.
#   tools/prove.sh [--dry-run] NAME...      the proofs are the files of tools/proofs
#   tools/prove.sh [--dry-run] --all
set -euo pipefail
cd "$(dirname "$0")/.."
dry=()
if [ "${1:-}" = --dry-run ]; then
  dry=(--dry-run)
  shift
fi
all=(manylinux_x86_64 x86_64_baseline manylinux_aarch64 musllinux windows macos)
[ "${1:-}" = --all ] && set -- "${all[@]}"
if [ $# -eq 0 ]; then
  echo "usage: tools/prove.sh [--dry-run] NAME... | --all; the names: ${all[*]}" >&2
  exit 2
fi
for name; do
  if [ ! -f "tools/proofs/$name.sh" ] || [ "$name" = lib ]; then
    echo "prove: there is no proof $name; there are: ${all[*]}" >&2
    exit 2
  fi
done
for name; do
  began=$SECONDS
  bash "tools/proofs/$name.sh" ${dry[@]+"${dry[@]}"}
  [ ${#dry[@]} -ne 0 ] || echo "proof: $name: passed in $((SECONDS - began)) s"
done
