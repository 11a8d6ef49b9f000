#!/usr/bin/env bash
# Runs the suite and the smoke test on an installed simdrive, away from the source tree and without a compiler.
#
#   tools/test_wheel.sh [--dry-run] [OPTION...] WHEEL [PYTHON] [-- PYTEST ARGUMENTS]
#   tools/test_wheel.sh [--dry-run] [OPTION...] --installed PYTHON [-- PYTEST ARGUMENTS]
#
# The first form installs WHEEL with the requirements of its extra "test" into a new, empty environment made by PYTHON
# (python3 by default). The second takes an environment that has simdrive already and installs the requirements there.
# --source DIR      take tests/ and what they read from DIR instead of this tree
# --allow-missing   go on where numpy, pyarrow, xxhash or mypy cannot be installed: the tests that use them are skipped
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
. "$root/tools/dry_run.sh"
usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}" >&2
  exit 2
}
fail() {
  echo "test_wheel: FAILED: $*" >&2
  exit 1
}

source=$root allow_missing= installed= given=() pytest_arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --source) source=${2:?--source needs a folder}; shift ;;
    --installed) installed=1 ;;
    --allow-missing) allow_missing=1 ;;
    --) shift; pytest_arguments=("$@"); break ;;
    -*) usage ;;
    *) given+=("$1") ;;
  esac
  shift
done
if [ -n "$dry_run" ] && [ ${#given[@]} -eq 0 ]; then given=(simdrive.whl); fi
if [ -n "$installed" ]; then
  [ ${#given[@]} -eq 1 ] || usage
  python=${given[0]}
else
  [ ${#given[@]} -ge 1 ] && [ ${#given[@]} -le 2 ] || usage
  wheel=${given[0]}
  python=${given[1]:-python3}
fi

windows=
case $(uname -s) in MINGW* | MSYS* | CYGWIN*) windows=1 ;; esac
if [ -n "$dry_run" ]; then
  work=WORK
else
  work=$(mktemp -d "${TMPDIR:-/tmp}/simdrive-test.XXXXXX")
  work=$(cd "$work" && pwd -P)
  trap 'rm -rf "$work"' EXIT
  source=$(cd "$source" && pwd -P)
fi

# ---- a PATH with what the tests call, and no compiler -------------------------------------------------------------
# Shell and coreutils for the scripts that tests run; git is what a tree of ours may be asked with.
commands=(awk basename bash cat chmod cksum cp cut date dirname env expr false find flock git grep head hostname id ln ls
  mkdir mkfifo mktemp mv nproc ps readlink realpath rm rmdir sed sh sleep sort stat tail tar test touch tr true uname uniq
  wc xargs)
compilers=(cc c++ gcc g++ clang clang++ cl zig as ld make ninja cmake cython)
if [ -n "$dry_run" ]; then
  path=$work/path
elif [ -n "$windows" ]; then
  path=$PATH  # a program there finds its libraries beside it: links to it are of no use
  echo "test_wheel: PATH is left as it is on Windows"
else
  path=$work/path
  mkdir "$path"
  for name in "${commands[@]}"; do
    found=$(type -P "$name" || true)
    [ -z "$found" ] || ln -s "$found" "$path/$name"
  done
  for name in "${compilers[@]}"; do
    if found=$(PATH=$path type -P "$name"); then fail "$name is still on PATH: $found"; fi
  done
  echo "test_wheel: not on PATH: ${compilers[*]}"
fi
# Nothing of the caller's environment that changes what is imported, installed or compiled.
clean=(env -u PYTHONPATH -u PYTHONHOME -u PYTHONSTARTUP -u VIRTUAL_ENV -u CC -u CXX -u CFLAGS -u CXXFLAGS
  PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1)
isolated() {
  if [ -n "$dry_run" ]; then
    run "PATH=$path" "$@"
  else
    "${clean[@]}" "PATH=$path" "$@"
  fi
}

# ---- the environment ----------------------------------------------------------------------------------------------
if [ -z "$installed" ]; then
  if [ -z "$dry_run" ]; then
    [ -f "$wheel" ] || fail "no wheel $wheel: build one with python -m build"
    wheel=$(cd "$(dirname "$wheel")" && pwd -P)/$(basename "$wheel")
    # What `python3` on PATH stands for, which may be a script that needs more of PATH than the tests get.
    python=$("$python" -c 'import sys; print(sys.executable)')
  fi
  run "${clean[@]}" "$python" -m venv "$work/env"
  python=$work/env/bin/python
  if [ -n "$windows" ]; then python=$work/env/Scripts/python.exe; fi
  isolated "$python" -m pip install --quiet --no-index --no-deps --only-binary :all: "$wheel"
elif [ -z "$dry_run" ]; then
  python=$(cd "$(dirname "$python")" && pwd -P)/$(basename "$python")
fi

pip_install=("$python" -m pip install --quiet --only-binary :all:)
# The requirements are the package's own: it must not be taken from an index.
if [ -n "$dry_run" ]; then
  isolated "${pip_install[@]}" "the requirements of simdrive[test]"
else
  requirements=()
  while IFS= read -r requirement; do requirements+=("${requirement%$'\r'}"); done < <(isolated "$python" -I -c '
import re
from importlib.metadata import requires
for requirement in requires("simdrive") or []:
    what, _, condition = requirement.partition(";")
    rest, extra = re.subn(r"(?: *\band)? *extra *== *.test\b.", "", condition)
    if extra:  # what else is asked of the system is for pip to judge
        print(what.strip() + (f"; {rest.strip()}" if rest.strip() else ""))')
  [ ${#requirements[@]} -gt 0 ] || fail "the metadata of simdrive has no extra \"test\""
  if ! isolated "${pip_install[@]}" "${requirements[@]}"; then
    [ -n "$allow_missing" ] || fail "the requirements of simdrive[test] cannot be installed without a compiler"
    for requirement in "${requirements[@]}"; do
      isolated "${pip_install[@]}" "$requirement" && continue
      case $requirement in
        numpy* | pyarrow* | uvloop* | xxhash* | mypy*) echo "test_wheel: goes on without $requirement" ;;
        *) fail "$requirement cannot be installed, and the suite needs it" ;;
      esac
    done
  fi
fi

# ---- the suite, from a copy ---------------------------------------------------------------------------------------
suite=$work/suite
# Tests read more than tests/: the scripts, documents and settings that they check. Never the package's own sources, and
# not .ci: without it, what is said of a checkout is left to a checkout.
parts=(tests tools docs examples README.md CONTRIBUTING.md CHANGELOG.md pyproject.toml cibuildwheel.toml
  CMakeLists.txt CMakePresets.json)
if [ -n "$dry_run" ]; then
  run cp -R "${parts[@]}" "$suite"
else
  mkdir "$suite"
  for part in "${parts[@]}"; do
    if [ -e "$source/$part" ]; then cp -R "$source/$part" "$suite/$part"; fi
  done
  find "$suite" -name __pycache__ -prune -exec rm -rf {} +
  rm -f "$suite/tests/test_readme_blocks.py"
  [ -d "$suite/tests" ] || fail "no tests in $source"
  cd "$suite"
fi
where='
import pathlib, sysconfig, simdrive._core
expected = pathlib.Path(sysconfig.get_path("platlib")).resolve()
for module in simdrive, simdrive._core:
    found = pathlib.Path(module.__file__).resolve()
    if not found.is_relative_to(expected):
        raise SystemExit(f"test_wheel: FAILED: {module.__name__} is imported from {found}, not from {expected}")'
if [ -n "$dry_run" ]; then where="CHECK THAT simdrive COMES FROM $work/env"; fi
isolated "$python" -c "$where"
isolated "$python" -m pytest -q -m "not integration" -p no:cacheprovider ${pytest_arguments[@]+"${pytest_arguments[@]}"}

if [ -z "$dry_run" ]; then
  mkdir "$work/empty"
  cd "$work/empty"
fi
isolated "$python" -I "$root/tools/smoke_wheel.py"
