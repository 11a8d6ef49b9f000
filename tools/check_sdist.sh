#!/usr/bin/env bash
# The source distribution builds where nothing but its build requirements is at hand, and what it installs passes the
# suite that it brings along.
#
#   tools/check_sdist.sh [--dry-run] [PYTEST ARGUMENTS]
#
# `python -m build` makes the sdist, and a wheel from it; tools/check_wheel.py looks at both. Then the build requirements
# are fetched, and an empty environment installs the sdist from them alone: without a network where `unshare` can take
# it away. PYTHON (python by default) needs the dependency group "release".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/dry_run.sh
python=${PYTHON:-python}
export PIP_DISABLE_PIP_VERSION_CHECK=1
if [ -n "$dry_run" ]; then
  work=WORK
else
  "$python" -c 'import build, lief, packaging' ||
    { echo "check_sdist: FAILED: $python lacks the dependency group \"release\": pip install --group release" >&2; exit 1; }
  work=$(mktemp -d "${TMPDIR:-/tmp}/simdrive-sdist.XXXXXX")
  work=$(cd "$work" && pwd -P)
  trap 'rm -rf "$work"' EXIT
fi

# What git knows or would take: a build, an editor or a test may have left anything else here.
if [ -n "$dry_run" ]; then
  run cp -R . "$work/source"
else
  mkdir "$work/source"
  if [ -e .git ]; then
    git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$work/source"
  else
    tar -c --exclude=./build --exclude=./dist . | tar -x -C "$work/source"
  fi
fi
run "$python" -m build --outdir "$work/dist" "$work/source"
if [ -n "$dry_run" ]; then
  sdist=$work/dist/simdrive.tar.gz wheel=$work/dist/simdrive.whl
else
  sdist=$(echo "$work"/dist/*.tar.gz) wheel=$(echo "$work"/dist/*.whl)
fi
run "$python" tools/check_wheel.py --forbid "$work" "$sdist" "$wheel"

# ---- again, from the requirements alone -----------------------------------------------------------------------------
if [ -n "$dry_run" ]; then
  requirements=("the build requirements")
else
  # The backend asks for CMake and Ninja only where the system's are too old or missing: both are made available.
  requirements=("cmake>=3.21" "ninja>=1.11")
  while IFS= read -r requirement; do requirements+=("$requirement"); done < <("$python" -c '
import pathlib, re, sys
text = pathlib.Path("pyproject.toml").read_text(encoding="utf-8")
section = text.partition("[build-system]")[2].partition("\n[")[0]
(requires,) = re.findall(r"^requires = \[(.*?)\]", section, re.MULTILINE | re.DOTALL)
print(*re.findall(r"\"([^\"]+)\"", requires), sep="\n")')
fi
run "$python" -m venv "$work/env"
run "$work/env/bin/python" -m pip download --quiet --only-binary :all: --dest "$work/wheelhouse" "${requirements[@]}"
offline=()
if [ -n "$dry_run" ] || unshare -rn true 2>/dev/null; then
  offline=(unshare -rn)
else
  echo "check_sdist: unshare -rn is not to be had here: the network was only not used, not taken away"
fi
run env -u PYTHONPATH -u VIRTUAL_ENV -u CONDA_PREFIX ${offline[@]+"${offline[@]}"} "$work/env/bin/python" -m pip install \
  --no-cache-dir --no-index --find-links "$work/wheelhouse" "$sdist"
if [ -n "$dry_run" ]; then
  run tar -x -f "$sdist" -C "$work/unpacked"
  source=$work/unpacked/simdrive
else
  mkdir "$work/unpacked"
  tar -x -f "$sdist" -C "$work/unpacked"
  source=$(echo "$work"/unpacked/*)
fi
run bash tools/test_wheel.sh --source "$source" --installed "$work/env/bin/python" -- "$@"
if [ -z "$dry_run" ]; then
  echo "check_sdist: ok: $(basename "$sdist") $(($(wc -c <"$sdist") / 1000)) KB, wheel $(($(wc -c <"$wheel") / 1000)) KB;" \
    "installed ${offline[*]+without a network }from the build requirements alone, and the suite passes"
fi
