#!/bin/sh
# common <- detect <- kernels <- autotune <- runtime, never backwards; ISA files include the op table, intrinsics and
# the templates beside them; intrinsics stay in kernels/x86 and kernels/arm.
#   include_rule.sh SOURCE-ROOT
set -eu
cd "$1"

find common detect kernels autotune runtime bench tests -name '*.[ch]' -o -name '*.cc' -o -name '*.cpp' -o \
  -name '*.def' | sort | xargs awk '
  BEGIN { rank["common"] = 1; rank["detect"] = 2; rank["kernels"] = 3; rank["autotune"] = 4; rank["runtime"] = 5 }
  function bad(why) { printf "%s:%d: %s\n", FILENAME, FNR, why; faults++ }
  FNR == 1 { files++; room = FILENAME; sub(/\/.*/, "", room); isa = FILENAME ~ /^kernels\/(x86|arm)\// }
  /^[ \t]*#[ \t]*include[ \t]*"/ {
    what = $0
    sub(/^[^"]*"/, "", what)
    sub(/".*/, "", what)
    from = what
    sub(/\/.*/, "", from)
    seen++
    if (room == "bench" || room == "tests") next
    if (!(from in rank)) bad("includes \"" what "\"; name files from the root, and nothing from bench or tests")
    else if (rank[from] > rank[room]) bad(room " includes \"" what "\": backwards")
    if (isa && what != "kernels/ops.h" && what !~ /^kernels\/(x86|arm)\/[a-z0-9_]*\.h$/ && what !~ /\.inc\.h$/)
      bad("an ISA file includes \"" what "\"; it may have kernels/ops.h and the templates beside it")
  }
  !isa && room != "tests" && room != "bench" && /^[ \t]*#[ \t]*include[ \t]*<([a-z0-9]*intrin|arm_[a-z0-9]*)\.h>/ {
    bad("intrinsics outside kernels/x86 and kernels/arm")
  }
  END {
    printf "%d files, %d includes, %d faults\n", files, seen, faults
    if (files < 20 || seen < 20) { print "too few: is this the source root?"; exit 1 }
    exit faults > 0
  }'
