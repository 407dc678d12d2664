/* Run files.
 *
 * instrument: runtime/config/config.c runtime/config/table.c runtime/config/value.c runtime/config/yaml.c common/file.c
 * seeds: examples/tiny-addition.yaml examples/smollm2-addition.yaml */
#include "fuzz.h"

#include "runtime/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_run_config c;
    if (cg_config_defaults(&c) != CG_OK) exit(1);
    enum cg_status st = cg_config_load(as_file(data, size), &c);
    if (st == CG_OK) st = cg_config_check(&c);
    expect_one_line(st);
    cg_config_free(&c);
    return 0;
}
