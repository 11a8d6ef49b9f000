#!/usr/bin/env bash
# Runs pytest, the README's Python blocks included, beside a real server of its own.
#
#   tools/integration.sh [--dry-run] [PYTEST ARGUMENTS]
#
# SERVER_VERSION           version of simd-r-drive-ws-server (default 0.17.5-alpha), looked up as the tests do
# SIMDRIVE_SERVER_CMD      another command instead; it is given STORE --host HOST --port PORT
# PYTHON, PYTEST           the interpreter (default python), the test command (default $PYTHON -m pytest)
# SIMDRIVE_README_BLOCKS   where the README's blocks go (default tests/test_readme_blocks.py)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/dry_run.sh

version=${SERVER_VERSION:-0.17.5-alpha}
python=${PYTHON:-python}
read -r -a pytest <<<"${PYTEST:-$python -m pytest}"
blocks=${SIMDRIVE_README_BLOCKS:-tests/test_readme_blocks.py}
if [ -n "$dry_run" ]; then
  run "${SIMDRIVE_SERVER_CMD:-simd-r-drive-ws-server $version}" STORE --host 127.0.0.1 --port PORT
  run "$python" tools/readme_blocks.py README.md "$blocks"
  run env SIMDRIVE_URL=ws://127.0.0.1:PORT/ws "${pytest[@]}" "$@"
  exit
fi
directory=$(mktemp -d "${TMPDIR:-/tmp}/simdrive-integration.XXXXXX")
guard=

# The guard outlives this script however it ends, SIGKILL included: it reads process ids until the only writer of the
# pipe, this script, is gone; then it stops those processes and removes the files.
run_guard() {
  trap '' INT TERM HUP
  local pid pids=() tries
  while read -r pid; do pids+=("$pid"); done
  for pid in "${pids[@]}"; do
    kill -TERM "$pid" 2>/dev/null || continue
    for ((tries = 0; tries < 40; tries++)); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.05
    done
    kill -KILL "$pid" 2>/dev/null || true
  done
  rm -rf "$directory" "$blocks"
}

finish() {
  trap '' INT TERM HUP
  exec 9>&-
  if [[ -n $guard ]]; then wait "$guard" || true; fi
}

mkfifo "$directory/pids"
exec 8<>"$directory/pids"
run_guard <"$directory/pids" 8>&- &
guard=$!
exec 9>"$directory/pids" 8>&-
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

if [[ -n ${SIMDRIVE_SERVER_CMD:-} ]]; then
  read -r -a server <<<"$SIMDRIVE_SERVER_CMD"
else
  server=("$(PYTHONPATH=tests "$python" -c '
import sys
from support.real_server import find_server, how_to_get
path = find_server(sys.argv[1])
sys.exit(f"no server: {how_to_get(sys.argv[1])}") if path is None else print(path)' "$version")")
fi
port=$(PYTHONPATH=tests "$python" -c 'from support.ports import free_port; print(free_port())')

"${server[@]}" "$directory/store.bin" --host 127.0.0.1 --port "$port" \
  >"$directory/server.log" 2>&1 </dev/null 9>&- &
server_pid=$!
echo "$server_pid" >&9
for ((tries = 0; ; tries++)); do
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null 9>&-; then break; fi
  if ! kill -0 "$server_pid" 2>/dev/null || ((tries >= 200)); then
    echo "the server does not accept connections:" >&2
    cat "$directory/server.log" >&2
    exit 1
  fi
  sleep 0.05
done

"$python" tools/readme_blocks.py README.md "$blocks"
export SIMDRIVE_URL="ws://127.0.0.1:$port/ws"
echo "server $server_pid at $SIMDRIVE_URL"

# In the background with job control, so that a signal to this script is acted on at once, and Ctrl-C is not ignored by
# the tests themselves.
set -m
"${pytest[@]}" "$@" 9>&- &
tests_pid=$!
set +m
echo "$tests_pid" >&9
status=0
wait "$tests_pid" || status=$?
exit "$status"
