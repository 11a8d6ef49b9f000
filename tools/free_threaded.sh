#!/usr/bin/env bash
# Runs the threaded tests on a Python without the GIL: builds and installs this tree into build/free-threaded, checks
# that the lock stays off when simdrive is imported, and runs the unit tests and the integration test of threads.
#   tools/free_threaded.sh [--dry-run] [--obtain] [PYTEST ARGUMENTS]
# The interpreter is FREE_THREADED_PYTHON, or python3.15t, 3.14t or 3.13t from PATH, pyenv or the cache. Without one it
# says so and does nothing; --obtain then builds one from Debian's source package of Python 3.13, with apt and in about
# five minutes, into ${SIMDRIVE_CACHE:-${XDG_CACHE_HOME:-~/.cache}/simdrive}/python, and fails if that fails. Only where
# there is no apt-get, or no Debian mirror for it, does it do nothing then, too. Needs a C++ compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/dry_run.sh
obtain=
if [ "${1:-}" = --obtain ]; then
  obtain=1
  shift
fi
apt_lists=${APT_LISTS:-/etc/apt}
cache=${SIMDRIVE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/simdrive}/python
folder=build/free-threaded
why="no free-threaded Python: none is on PATH, in pyenv or in $cache, and FREE_THREADED_PYTHON names none"

free_threaded() {
  "$1" -c 'import sys, sysconfig; sys.exit(not sysconfig.get_config_var("Py_GIL_DISABLED"))' 2>/dev/null
}

find_python() {  # sets `python`
  local each
  if [ -n "${FREE_THREADED_PYTHON:-}" ]; then
    python=$FREE_THREADED_PYTHON
    free_threaded "$python" && return
    echo "free_threaded: $python has the GIL" >&2
    exit 1
  fi
  for each in python3.15t python3.14t python3.13t "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*t/bin/python3.*t \
    "$cache"/*t/bin/python3.*t; do
    if command -v "$each" >/dev/null && free_threaded "$each"; then
      python=$(command -v "$each")
      return
    fi
  done
  return 1
}

can_build() {  # sets `mirror`
  command -v apt-get >/dev/null || { why+="; --obtain needs apt-get"; return 1; }
  mirror=$(cat "$apt_lists/sources.list" "$apt_lists"/sources.list.d/*.sources 2>/dev/null |
    grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1) || true
  [ -n "$mirror" ] || { why+="; --obtain needs a Debian mirror in $apt_lists"; return 1; }
}

# Suite and package are named here: the system's own lists are neither read for this nor changed.
build_python() {
  local apt work
  work=$cache/work
  rm -rf "$work"
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/source"
  echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/sources.list"
  apt=(apt-get -q -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=$(id -un)")
  if ! (cd "$work" && "${apt[@]}" update && "${apt[@]}" source --download-only python3.13) >"$work/log" 2>&1; then
    why+="; apt did not get the source of python3.13: $(tail -n 1 "$work/log")"
    return 1
  fi
  tar -xf "$work"/python3.13_*.orig.tar.xz -C "$work/source" --strip-components=1
  if ! (cd "$work/source" && ./configure -q --disable-gil --prefix="$cache/3.13t" && nice make -s -j "$(nproc)" &&
    make -s install) >"$work/log" 2>&1; then
    why+="; its build failed: $work/log"
    return 1
  fi
  python=$cache/3.13t/bin/python3.13t
  "$python" -c 'import ctypes, ssl, zlib' || { why+="; it lacks libffi-dev, libssl-dev or zlib1g-dev"; return 1; }
  rm -rf "$work"
}

python=python3.14t
if [ -z "$dry_run" ]; then
  if ! find_python; then
    if [ -z "$obtain" ] || ! can_build; then
      echo "free_threaded: skipped: $why"
      exit 0
    fi
    build_python || { echo "free_threaded: FAILED: $why" >&2; exit 1; }
  fi
  "$python" -VV
elif [ -n "$obtain" ]; then
  run apt-get source python3.13
  run ./configure -q --disable-gil --prefix="$cache/3.13t"
fi

run "$python" -m venv --clear "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install -q --disable-pip-version-check)
# The newest of each that is ready made: some packages want another compiler otherwise.
run "${pip[@]}" --only-binary :all: click hypothesis numpy pytest pytest-timeout rich websockets xxhash
if [ -n "$dry_run" ]; then
  run "${pip[@]}" --only-binary :all: uvloop
elif ! said=$("${pip[@]}" --only-binary :all: uvloop 2>&1); then
  grep -q "No matching distribution found for uvloop" <<<"$said" || { echo "$said" >&2; exit 1; }
  echo "free_threaded: there is no wheel of uvloop for it: the tests on its loop are skipped"
fi
# A folder of its own: by its cache tag it would be that of the same Python with the GIL.
run "${pip[@]}" "-Cbuild-dir=$folder/build" .
run env -u PYTHON_GIL "$folder/venv/bin/python" -W error -c 'import sys, simdrive
assert not sys._is_gil_enabled(), "importing simdrive turned the GIL on"
assert simdrive.build_info().free_threaded
print("the GIL stays off")'
# Left out: what runs other programs than simdrive, and the types.
left_out=(contributing typing check_wheel smoke_wheel release_script integration_script)
arguments=("$@")
if [ $# -eq 0 ]; then
  arguments=(-q tests/python/integration/test_threads.py tests/python/unit)
  for name in "${left_out[@]}"; do arguments+=("--ignore=tests/python/unit/test_$name.py"); done
fi
run env PYTHON_GIL=0 "$folder/venv/bin/python" -X faulthandler -m pytest -p no:cacheprovider "${arguments[@]}"
