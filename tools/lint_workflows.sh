#!/usr/bin/env bash
# Checks .github/workflows with actionlint, which also passes their shell steps to shellcheck where that is installed.
#   tools/lint_workflows.sh [--dry-run]
# Needs Go (1.25 or newer), once: actionlint is built into ${SIMDRIVE_CACHE:-${XDG_CACHE_HOME:-~/.cache}/simdrive}/tools.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/dry_run.sh
version=v1.7.12
bin=${SIMDRIVE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/simdrive}/tools/actionlint-$version
if [ -n "$dry_run" ] || [ ! -x "$bin/actionlint" ]; then
  if [ -z "$dry_run" ] && ! command -v go >/dev/null; then
    echo "lint_workflows: not checked: actionlint $version is not installed, and Go, which builds it, is missing" >&2
    [ -z "${CI:-}" ] || exit 1
    exit 0
  fi
  run env GOBIN="$bin" go install "github.com/rhysd/actionlint/cmd/actionlint@$version"
fi
run "$bin/actionlint" .github/workflows/*.yml
[ -n "$dry_run" ] || echo "workflows: clean by actionlint $version: $(printf '%s ' .github/workflows/*.yml)"
