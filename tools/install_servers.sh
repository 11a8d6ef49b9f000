#!/usr/bin/env bash
# Installs the real servers that the integration suite runs against, one per dialect, where they are missing.
#   tools/install_servers.sh [--dry-run]
# They are put into
#   ${SIMDRIVE_CACHE:-${XDG_CACHE_HOME:-~/.cache}/simdrive}/servers/<version>/bin/simd-r-drive-ws-server
set -euo pipefail
. "$(dirname "$0")/dry_run.sh"
servers=${SIMDRIVE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/simdrive}/servers
name=simd-r-drive-ws-server
versions=(0.17.5-alpha 0.16.2-alpha)  # D13, D21
install() { run cargo install "$name" --version "=$1" --locked --root "$servers/$1"; }
if [ -n "$dry_run" ]; then
  for version in "${versions[@]}"; do install "$version"; done
  exit
fi
mkdir -p "$servers"
exec 9>"$servers/.lock"
flock 9  # another run may be installing the same

missing=()
for version in "${versions[@]}"; do
  [ -x "$servers/$version/bin/$name" ] || missing+=("$version")
done
[ ${#missing[@]} -eq 0 ] && exit 0

export PATH="$PATH:$HOME/.cargo/bin"
if ! command -v cargo >/dev/null; then
  echo "cargo is needed to install $name ${missing[*]} (https://rustup.rs)" >&2
  exit 1
fi
export CARGO_TARGET_DIR=$servers/.build  # the two versions share most of what they depend on
for version in "${missing[@]}"; do
  install "$version" </dev/null
  "$servers/$version/bin/$name" --version
done
rm -rf "$CARGO_TARGET_DIR"
