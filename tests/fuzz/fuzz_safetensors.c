/* safetensors files, and the values in them.
 *
 * instrument: runtime/model/safetensors.c runtime/model/json.c runtime/model/dtype.c common/file.c
 * seeds: tests/fuzz/seeds/safetensors/two */
#include "fuzz.h"

#include "runtime/model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_st *f;
    enum cg_status st = cg_st_open(as_file(data, size), &f);
    expect_one_line(st);
    if (st != CG_OK) return 0;
    for (size_t i = 0; i < cg_st_count(f); i++) {
        const struct cg_st_tensor *t = cg_st_tensor(f, i);
        if (cg_st_find(f, t->name) != t) finding("a tensor is not found");
        if (!cg_st_is_float(t)) continue;
        float *values = malloc(t->count * sizeof *values + 1);
        if (!values) continue;
        expect_one_line(cg_st_values(f, t, 0, t->count, values));
        free(values);
    }
    cg_st_close(f);
    return 0;
}
