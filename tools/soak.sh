#!/usr/bin/env bash
# Mixed load against a real server through faults and restarts; fails when memory, descriptors or threads grow.
#   tools/soak.sh [--dry-run] [SECONDS]     600 by default
# PYTHON names the interpreter that has simdrive. Needs the real server (tools/install_servers.sh) and Linux.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/dry_run.sh
run "${PYTHON:-python}" benchmarks/python/soak.py --seconds "${1:-600}"
