#!/usr/bin/env bash
# Installs the existing Python client, which tests/python/integration/test_compat_real.py compares simdrive.compat with,
# into an environment of its own, where it is missing.
#   tools/install_compat.sh [--dry-run]
# It is put into
#   ${SIMDRIVE_CACHE:-${XDG_CACHE_HOME:-~/.cache}/simdrive}/compat/<version>
# PYTHON names the interpreter (default python3); the package has wheels for some only.
set -euo pipefail
. "$(dirname "$0")/dry_run.sh"
name=simd-r-drive-ws-client
version=0.11.1a0
compat=${SIMDRIVE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/simdrive}/compat
python=$compat/$version/bin/python
if [ -z "$dry_run" ]; then
  mkdir -p "$compat"
  exec 9>"$compat/.lock"
  flock 9  # another run may be installing the same
  if [ -x "$python" ] && "$python" -I -c "import ${name//-/_}" 2>/dev/null; then
    exit 0
  fi
fi
run "${PYTHON:-python3}" -m venv --clear "$compat/$version"
run "$python" -m pip install --quiet --only-binary :all: "$name==$version"
