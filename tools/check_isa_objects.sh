#!/usr/bin/env bash
# Instructions that not every CPU has are only where the CPU was asked for them: in the object files that are named
# after an instruction set. Such an object must share no function with others, since the linker keeps one copy for all.
#   tools/check_isa_objects.sh [--dry-run] [BUILD]     an optimised build, build/release by default
# Prints the size of these objects. NM, OBJDUMP and SIZE name the tools for another processor's build.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/dry_run.sh
build=${1:-build/release}
nm=${NM:-nm}
objdump=${OBJDUMP:-objdump}
size=${SIZE:-size}
if [ -n "$dry_run" ]; then
  for tool in "$objdump -d" "$nm -C --defined-only" "$size"; do run $tool "$build/**/cpp/src/**/*.cpp.o"; done
  exit
fi

mapfile -t objects < <(find "$build" -path '*cpp/src/*' -name '*.cpp.o' | sort)
[ ${#objects[@]} -gt 0 ] || { echo "isa objects: none below $build" >&2; exit 1; }
case $("$objdump" -f "${objects[0]}") in
  *elf64-x86-64*) sets=(sse2 avx2 avx512 pclmul vpclmul256 vpclmul512) ;;
  *aarch64*) sets=(neon crc pmull) ;;
  *) echo "isa objects: $objdump does not know ${objects[0]}" >&2; exit 1 ;;
esac

# What objdump shows of instructions that a file of the set, or any other, must not have. On x86-64 every instruction
# of AVX begins with v; only AVX-512 has registers 16 to 31, masks and 512 bits.
mnemonic() { printf '[[:space:]](%s)[[:space:]]' "$1"; }
avx512='%zmm|%[xy]mm(1[6-9]|2[0-9]|3[01])|%k[0-7]'
avx="%ymm|$(mnemonic 'v[a-z0-9]+|(mulx|rorx|sarx|shlx|shrx|andn|bextr|bls[ri]|pdep|pext)[lq]?')"
later_sse=$(mnemonic '(pclmul|crc32|aes|popcnt|movbe|pinsr|pextr|pshufb|palignr|pblend|ptest|pmulld)[a-z0-9]*')
arm=$(mnemonic 'crc32[a-z]*|pmull2?|aes[a-z]+|sha[0-9][a-z0-9]+')
declare -A forbidden=(
  [sse2]="$avx|$avx512|$later_sse" [pclmul]="$avx|$avx512" [avx2]=$avx512 [vpclmul256]=$avx512
  [avx512]="" [vpclmul512]="" [neon]=$arm [crc]=$(mnemonic 'pmull2?') [pmull]=""
)
everywhere=${forbidden[${sets[0]}]}  # what the baseline of the processor lacks
# Inline functions of xsimd are made for one of its architectures; an object may hold those of its own.
declare -A arch=([sse2]='xsimd::sse2\b' [avx2]='xsimd::avx2\b' [avx512]='xsimd::avx512' [neon]='xsimd::neon64\b')

failed=0
complain() { echo "isa objects: $*" >&2; failed=1; }
set_of() {
  local name=${1##*/} each
  name=${name%.cpp.o}
  for each in "${sets[@]}"; do
    if [[ $name == *_$each ]]; then
      echo "$each"
      return
    fi
  done
}

declare -A seen=() owner=()
isa_objects=()
for object in "${objects[@]}"; do
  set=$(set_of "$object")
  pattern=${forbidden[${set:-none}]-$everywhere}
  if [ -n "$pattern" ]; then
    found=$("$objdump" -d --no-show-raw-insn "$object" | grep -E "^ *[0-9a-f]+:.*($pattern)" | head -n 3 || true)
    [ -z "$found" ] || complain "${object#"$build"/} has instructions that it must not have:"$'\n'"$found"
  fi
  if [ -n "$set" ]; then
    seen[$set]=1
    isa_objects+=("$object")
  fi
done
for set in "${sets[@]}"; do [ -n "${seen[$set]-}" ] || complain "no object of $set"; done
[ ${#isa_objects[@]} -lt ${#objects[@]} ] || complain "no object but those of an instruction set"

weak() {  # DW.ref. is a pointer for unwinding, no code
  "$nm" -C --defined-only "$1" | sed -nE '/ DW\.ref\./d; s/^[0-9a-f]* [WVu] (.*)/\1/p'
}
for object in "${objects[@]}"; do
  while IFS= read -r symbol; do owner[$symbol]="${owner[$symbol]-} ${object##*/}"; done < <(weak "$object")
done
for object in "${isa_objects[@]}"; do
  own=${arch[$(set_of "$object")]-}
  while IFS= read -r symbol; do
    if [ -z "$own" ] || ! grep -qE "$own" <<<"$symbol"; then
      complain "${object##*/} defines an inline function that other objects could share: $symbol"
    elif [ "${owner[$symbol]}" != " ${object##*/}" ]; then
      complain "an inline function is in several objects (${owner[$symbol]} ): $symbol"
    fi
  done < <(weak "$object")
done

"$size" "${isa_objects[@]}" | awk 'NR > 1 {
  sub(".*/", "", $6); sub("[.]cpp[.]o$", "", $6)
  printf "isa objects: %-20s %6d bytes of code and data\n", $6, $4; total += $4
} END { printf "isa objects: %-20s %6d bytes in %d files\n", "together", total, NR - 1 }'
[ $failed -eq 0 ] && echo "isa objects: ${#objects[@]} objects, special instructions only where they belong"
exit $failed
