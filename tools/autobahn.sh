#!/usr/bin/env bash
# Runs Autobahn's WebSocket conformance cases against a program that echoes messages, and compares every result with
# what is expected of it (tests/support/autobahn_server.json).
#   tools/autobahn.sh [--dry-run] [--accept] [--expected FILE] [--path /ws] [--reports DIR] -- PROGRAM WORDS...
# {port} in the words stands for the port to listen at. --accept writes the expected results anew.
# The suite needs Python 2.7: PYTHON27 names one, else it is looked for on PATH and among pyenv's. Where there is none,
# nothing is run, and that is a failure only with SIMDRIVE_REQUIRE_AUTOBAHN=1. The suite is put into
#   ${SIMDRIVE_CACHE:-${XDG_CACHE_HOME:-~/.cache}/simdrive}/autobahn/<version>
# PYTHON names the interpreter that drives it (default python3).
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/dry_run.sh
version=0.8.2
cache=${SIMDRIVE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/simdrive}/autobahn
root=$cache/$version
python=${PYTHON:-python3}

find_python27() {
  local each
  for each in ${PYTHON27:+"$PYTHON27"} python2.7 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python2.7; do
    if "$each" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))' 2>/dev/null; then
      echo "$each"
      return
    fi
  done
}

install_suite() {  # The last virtualenv that makes environments of Python 2.7.
  local maker
  maker=$(mktemp -d "${TMPDIR:-/tmp}/simdrive-autobahn-XXXXXX")
  run "$python" -m venv "$maker"
  run "$maker/bin/python" -m pip install --quiet virtualenv==20.21.1
  run "$maker/bin/virtualenv" --quiet --clear --python "$1" "$root"
  run "$root/bin/pip" install --quiet --disable-pip-version-check "autobahntestsuite==$version"
  rm -rf "$maker"
}

if [ -n "$dry_run" ]; then
  run "$python" -m venv MAKER
  run MAKER/bin/python -m pip install --quiet virtualenv==20.21.1
  run MAKER/bin/virtualenv --quiet --clear --python python2.7 "$root"
  run "$root/bin/pip" install --quiet --disable-pip-version-check "autobahntestsuite==$version"
else
  mkdir -p "$cache"
  exec 9>"$cache/.lock"
  flock 9  # another run may be installing the same
  if ! "$root/bin/python" -c 'import autobahntestsuite' 2>/dev/null; then
    python27=$(find_python27)
    if [ -z "$python27" ]; then
      echo "autobahn: not run, there is no Python 2.7 (PYTHON27 may name one)" >&2
      [ "${SIMDRIVE_REQUIRE_AUTOBAHN:-}" != 1 ]
      exit
    fi
    install_suite "$python27" </dev/null
  fi
  exec 9>&-
fi
run "$python" tests/support/autobahn.py --suite "$root/bin/wstest" "$@"
