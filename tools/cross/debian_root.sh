#!/usr/bin/env bash
# Unpacks Debian packages of another architecture into a folder, without installing anything.
#   debian_root.sh ARCHITECTURE DIR PACKAGE...
# The packages are those of the system's own sources; what they depend on must be named too.
set -euo pipefail
architecture=${1:?usage: debian_root.sh ARCHITECTURE DIR PACKAGE...}
directory=${2:?usage: debian_root.sh ARCHITECTURE DIR PACKAGE...}
shift 2
[ -f "$directory/.complete" ] && [ "$(cat "$directory/.complete")" = "$*" ] && exit 0
rm -rf "$directory"
mkdir -p "$directory/apt/"{lists/partial,cache/archives/partial,dpkg,debs}
directory=$(cd "$directory" && pwd)
: >"$directory/apt/dpkg/status"
options=(-qq -o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture"
  -o "Dir::State::Lists=$directory/apt/lists" -o "Dir::State::status=$directory/apt/dpkg/status"
  -o "Dir::Cache=$directory/apt/cache" -o "APT::Sandbox::User=$(id -un)")
apt-get "${options[@]}" update
(cd "$directory/apt/debs" && apt-get "${options[@]}" download "${@/%/:$architecture}")
for package in "$directory/apt/debs/"*.deb; do dpkg-deb -x "$package" "$directory"; done
rm -rf "$directory/apt"
printf '%s' "$*" >"$directory/.complete"
