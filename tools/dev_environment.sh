#!/usr/bin/env bash
# Makes a virtual environment with all that development needs (the group "dev") and this package as an editable install
# that rebuilds on import. `uv venv && uv pip install -e . --group dev` does the same with uv.
#   tools/dev_environment.sh [--dry-run] [FOLDER]     .venv by default
# PYTHON names the interpreter. In GitHub Actions the environment is put on the PATH of the steps that follow.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/dry_run.sh
folder=${1:-.venv}
python=${PYTHON:-python3}
bin=$folder/bin
case $(uname -s) in
  MINGW* | MSYS*)
    bin=$folder/Scripts
    python=${PYTHON:-python} ;;
esac
run "$python" -m venv "$folder"
if [ -z "$dry_run" ]; then
  bin=$(cd "$bin" && pwd)
  export PATH="$bin:$PATH"
fi
run "$bin/python" -m pip install --quiet --upgrade 'pip>=25.1'  # knows dependency groups
run "$bin/python" -m pip install --quiet --group dev
run "$bin/python" -m pip install --no-build-isolation -Ceditable.rebuild=true -e .
if [ -n "${GITHUB_PATH:-}" ] && [ -z "$dry_run" ]; then
  case $(uname -s) in
    MINGW* | MSYS*) cygpath -w "$bin" ;;
    *) echo "$bin" ;;
  esac >>"$GITHUB_PATH"
fi
