#!/usr/bin/env bash
# Builds the libFuzzer targets and runs each of them.
#   tools/fuzz.sh [--dry-run] [SECONDS]     20 seconds a target by default
# Inputs found are kept in build/fuzz/corpus/<target>; the seeds are the byte strings of tests/vectors and, where there
# is such a folder, tests/cpp/fuzz/corpus/<target>.
# A crash leaves its input in build/fuzz/findings/<target>/ and fails the run.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/dry_run.sh
seconds=${1:-20}
configure=(cmake --preset fuzz -DCMAKE_CXX_COMPILER="${CLANGXX:-clang++-19}")
targets=(tests/cpp/fuzz/fuzz_*.cpp)
if [ -n "$dry_run" ]; then
  run "${configure[@]}"
  run cmake --build --preset fuzz
  for target in "${targets[@]}"; do run "build/fuzz/${target%.cpp}" -max_total_time="$seconds"; done
  exit
fi
"${configure[@]}" >/dev/null
cmake --build --preset fuzz
if [ ! -f "${targets[0]}" ]; then
  echo "no fuzz targets" >&2
  exit 1
fi

seeds=build/fuzz/seeds
python - "$seeds" <<'PY'
import hashlib, json, pathlib, re, sys

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)


def strings(node):
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for child in node.values():
            yield from strings(child)
    elif isinstance(node, list):
        for child in node:
            yield from strings(child)


for path in sorted(pathlib.Path("tests/vectors/wire").glob("*.json")):
    for text in strings(json.loads(path.read_text())):
        if 2 <= len(text) <= 8192 and re.fullmatch(r"(?:[0-9a-fA-F]{2})+", text):
            data = bytes.fromhex(text)
            (out / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
for path in (pathlib.Path("tests/vectors/wire") / name for name in ("frames_decode.json", "server_behaviour.json")):
    # fuzz_request_reader takes nine bytes before the frames: how they are cut, their dialect, and whether they are
    # frames already
    for i, vector in enumerate(json.loads(path.read_text())):
        sent = vector.get("messages") or (vector["sent"] if vector["name"] != "text message" else [])
        for how in (0, 2, 6):
            cuts = bytes([1, 0, 7, 40, 255, 13, 21, 3, how + (vector["dialect"] == 21)])
            (out / f"requests-{path.stem}-{i}-{how}").write_bytes(cuts + bytes.fromhex("".join(sent)))
for path in sorted(pathlib.Path("tests/vectors/storage").glob("*.bin")):
    if path.stat().st_size <= 8000:
        for how in (0x00, 0x12, 0x2A, 0x78):  # fuzz_store_open takes three bytes before the file: how it is opened
            (out / f"store-{path.stem}-{how:02x}").write_bytes(bytes([how, 1, 0]) + path.read_bytes())
PY

run_one() {
  local name=$1 seconds=$2
  local seeds=(build/fuzz/seeds)
  if [ -d "tests/cpp/fuzz/corpus/$name" ]; then seeds+=("tests/cpp/fuzz/corpus/$name"); fi
  mkdir -p "build/fuzz/corpus/$name" "build/fuzz/findings/$name"
  if ! "build/fuzz/tests/cpp/fuzz/$name" -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=1024 -timeout=10 \
    -print_final_stats=1 -artifact_prefix="build/fuzz/findings/$name/" "build/fuzz/corpus/$name" "${seeds[@]}" \
    >"build/fuzz/$name.log" 2>&1; then
    tail -n 60 "build/fuzz/$name.log" >&2
    echo "fuzz: $name FAILED" >&2
    return 1
  fi
  echo "fuzz: $name ok, $(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$name.log") inputs"
}
export -f run_one
printf '%s\n' "${targets[@]}" | sed 's#.*/##; s#\.cpp$##' |
  xargs -P "$(nproc)" -I{} bash -c 'run_one "$1" "$2"' _ {} "$seconds"
