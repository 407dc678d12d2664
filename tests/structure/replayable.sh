#!/bin/sh
# Detection can be replayed: what concludes from facts asks neither the CPU nor the system itself. It has struct
# cg_facts, the files below their root by cg_read_text, and hwloc, which is led to the same root.
#   replayable.sh SOURCE-ROOT
set -eu
cd "$1/detect"

# Those that read facts, write records or lay them out, and what is no part of a machine: counters, and where this
# process's threads run.
askers='bind\.c|counters.*\.c|facts\.c|machine_arm\.c|machine_x86\.c|probe\.c|record_files\.c|replay\.c|sysfs\.c'
files=$(ls *.c | grep -Ev "^($askers)$")
[ "$(echo "$files" | wc -w)" -ge 8 ] || { echo "too few files: is this the source root?"; exit 1; }
if grep -nE '(^|[^a-z_])((f?open|openat|opendir|access|stat|glob|popen|sysconf|uname|getauxval|prctl|syscall)|sched_getaffinity|hwloc_get_cpubind|get_nprocs|__cpuid(_count)?) *\(|__asm__' $files
then
  echo "detection asks the system beside its facts: a record could not replay this"
  exit 1
fi
echo "$(echo "$files" | wc -w) files ask nothing beside their facts"
