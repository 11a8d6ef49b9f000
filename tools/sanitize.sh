#!/usr/bin/env bash
# The C++ tests under the sanitizers.
#   tools/sanitize.sh [--dry-run] asan      AddressSanitizer and UndefinedBehaviorSanitizer, every test
#   tools/sanitize.sh [--dry-run] tsan      ThreadSanitizer, every test
#   tools/sanitize.sh [--dry-run]           both
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/dry_run.sh
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1:die_after_fork=0}
for preset in "${@:-asan tsan}"; do
  for name in $preset; do
    if [ -n "$dry_run" ]; then run cmake --preset "$name"; else cmake --preset "$name" >/dev/null; fi
    run cmake --build --preset "$name"
    # Under a sanitizer an empty run would pass for a clean one.
    run ctest --preset "$name" -j "$(nproc)" --no-tests=error
  done
done
