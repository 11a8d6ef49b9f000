#!/usr/bin/env bash
# Builds tests/interop, the original engine and client as a program for tests and benchmarks, where it is missing.
#   tools/install_interop.sh [--dry-run]
# It is put into
#   ${SIMDRIVE_CACHE:-${XDG_CACHE_HOME:-~/.cache}/simdrive}/interop/<digest of its sources>/bin/simdrive-interop
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/dry_run.sh
cache=${SIMDRIVE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/simdrive}/interop
install() { run cargo install --path tests/interop --locked --root "$cache/$1"; }
if [ -n "$dry_run" ]; then
  install DIGEST
  exit
fi
digest=$(cat tests/interop/Cargo.toml tests/interop/Cargo.lock tests/interop/src/*.rs | sha256sum | cut -c1-16)
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9  # another run may be building the same
[ -x "$cache/$digest/bin/simdrive-interop" ] && exit 0

export PATH="$PATH:$HOME/.cargo/bin"
if ! command -v cargo >/dev/null; then
  echo "cargo is needed to build tests/interop (https://rustup.rs)" >&2
  exit 1
fi
export CARGO_TARGET_DIR=$cache/.build
install "$digest" </dev/null
rm -rf "$CARGO_TARGET_DIR"
