#!/usr/bin/env bash
# The extension module exports its init function and nothing else.
#   tools/check_symbols.sh [--dry-run] [MODULE.so]     without a file: the module that `python` imports
set -euo pipefail
. "$(dirname "$0")/dry_run.sh"
module=${1:-}
if [ -n "$dry_run" ]; then
  run nm -D --defined-only "${module:-(the module that ${PYTHON:-python} imports)}"
  exit
fi
if [ -z "$module" ]; then
  module=$(cd / && "${PYTHON:-python}" -c 'import simdrive._core as core; print(core.__file__)')
fi
exported=$(nm -D --defined-only "$module" | awk '{ print $NF }')
others=$(grep -v '^PyInit__core$' <<<"$exported" || true)
if [ "$exported" != PyInit__core ]; then
  echo "$module exports other symbols than PyInit__core:" >&2
  echo "${others:-PyInit__core itself is missing}" >&2
  exit 1
fi
echo "symbols: $module exports PyInit__core only"
