#!/usr/bin/env bash
# Two builds of one commit, in two folders and two build environments, give the same sdist and the same wheel.
#
#   tools/check_reproducible.sh [--dry-run] [COMMIT]      HEAD by default
#
# SOURCE_DATE_EPOCH is the commit's time, as in a release. Compares the files byte by byte and, where they differ, member
# by member. Takes two full builds. PYTHON (python by default) needs the dependency group "release".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/dry_run.sh
python=${PYTHON:-python}
commit=${1:-HEAD}
export PIP_DISABLE_PIP_VERSION_CHECK=1
if [ -n "$dry_run" ]; then
  work=WORK
else
  "$python" -c 'import build' ||
    { echo "check_reproducible: FAILED: $python has no module \"build\": pip install --group release" >&2; exit 1; }
  work=$(mktemp -d "${TMPDIR:-/tmp}/simdrive-twice.XXXXXX")
  work=$(cd "$work" && pwd -P)
  trap 'rm -rf "$work"' EXIT
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct "$commit")
  # A tree, which git archives as well, has no time of its own.
  export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
fi

# The second folder is longer, and the temporary files, build environment included, are elsewhere.
for folder in one another/folder/with-a-longer-name; do
  if [ -n "$dry_run" ]; then
    run git archive --output "$work/$folder.tar" "$commit"
    run env "TMPDIR=$work/$folder-tmp" "$python" -m build --outdir "$work/$folder-dist" "$work/$folder"
    continue
  fi
  mkdir -p "$work/$folder" "$work/$folder-tmp"
  git archive "$commit" | tar -x -C "$work/$folder"
  if ! TMPDIR="$work/$folder-tmp" "$python" -m build --outdir "$work/$folder-dist" "$work/$folder" \
    >"$work/log" 2>&1 </dev/null; then
    tail -n 40 "$work/log" >&2
    echo "check_reproducible: FAILED: the build of $commit in $folder" >&2
    exit 1
  fi
done
if [ -n "$dry_run" ]; then
  run "$python" - "COMPARE $work/one-dist WITH $work/another/folder/with-a-longer-name-dist"
  exit 0
fi

"$python" - "$work/one-dist" "$work/another/folder/with-a-longer-name-dist" <<'PYTHON'
import hashlib
import sys
import tarfile
import zipfile
from pathlib import Path


def members(path):
    """Name -> (what else is said of the member, its bytes), in the order of the archive."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return {
                i.filename: ((i.date_time, i.external_attr, i.compress_type), archive.read(i)) for i in archive.infolist()
            }
    with tarfile.open(path) as archive:
        return {
            m.name: ((m.mtime, m.mode, m.uid, m.gid, m.uname), archive.extractfile(m).read() if m.isfile() else b"")
            for m in archive
        }


def difference(one, other):
    if len(one) != len(other):
        return f"{len(one)} and {len(other)} bytes"
    places = [i for i, (a, b) in enumerate(zip(one, other)) if a != b]
    at = places[0]
    return f"{len(places)} bytes differ, the first at {at:#x}: {one[at - 16 : at + 32]!r} and {other[at - 16 : at + 32]!r}"


first, second = (sorted(Path(folder).iterdir()) for folder in sys.argv[1:])
if [path.name for path in first] != [path.name for path in second] or len(first) != 2:
    sys.exit(f"check_reproducible: FAILED: different files: {first}, {second}")
failed = False
for one, other in zip(first, second):
    a, b = members(one), members(other)
    if one.read_bytes() == other.read_bytes():
        digest = hashlib.sha256(one.read_bytes()).hexdigest()
        print(f"reproducible: {one.name}: equal to the last byte, {len(a)} members, sha256 {digest}")
        continue
    failed = True
    print(f"reproducible: {one.name}: DIFFERENT")
    for name in sorted(a.keys() ^ b.keys()):
        print(f"  {name}: only in the {'first' if name in a else 'second'}")
    for name in (name for name in a if name in b and a[name] != b[name]):
        (said_a, data_a), (said_b, data_b) = a[name], b[name]
        print(f"  {name}: {difference(data_a, data_b) if data_a != data_b else f'{said_a} and {said_b}'}")
    if list(a) != list(b):
        print("  the members are in another order")
sys.exit(1 if failed else 0)
PYTHON
