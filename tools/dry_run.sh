# Sourced by the scripts that people call: takes --dry-run from the front of their arguments. `run COMMAND...` then
# prints the command instead of running it. Works with the bash 3.2 of macOS.
# shellcheck shell=bash
dry_run=
if [ "${1:-}" = --dry-run ]; then
  dry_run=1
  shift
fi
run() {
  if [ -n "$dry_run" ]; then
    local line="+ $*"
    echo "${line//$'\n'/ }"
  else
    "$@"
  fi
}
