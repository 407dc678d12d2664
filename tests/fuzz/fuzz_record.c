/* Recorded machines.
 *
 * instrument: detect/record_parse.c detect/replay.c detect/caches.c detect/cgroup.c detect/kinds.c detect/machine.c
 * instrument: detect/machine_x86.c detect/machine_arm.c detect/sysfs.c detect/topology.c common/file.c
 * seeds: tests/detect/machines/zen4-vm.record tests/detect/machines/raspberry-pi-4.record
 * seeds: tests/detect/machines/hybrid-laptop.record tests/detect/machines/container-1.5-cores.record */
#include "fuzz.h"

#include "detect/machine.h"
#include "detect/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cg_machine m;
    struct cg_record *record;
    enum cg_status st = cg_record_load(as_file(data, size), &record);
    expect_one_line(st);
    if (st != CG_OK) return 0;
    expect_one_line(cg_record_machine(record, NULL, &m));
    cg_record_free(record);
    return 0;
}
