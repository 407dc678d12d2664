/* A tuning store in a temporary folder, with plans of every kind. */
#ifndef CG_TESTS_AUTOTUNE_STORE_FIXTURE_H
#define CG_TESTS_AUTOTUNE_STORE_FIXTURE_H

#include "fixture.h"

#include <inttypes.h>
#include <xxhash.h>

#include "autotune/plan.h"
#include "autotune/space.h"
#include "autotune/store_parts.h"
#include "common/file.h"
#include "common/mem.h"

static char dir[64], *path;
static struct cg_machine machine;

static inline const struct cg_variant *variant_of(enum cg_op op, size_t skip)
{
    size_t count;
    const struct cg_variant *v = cg_variants(&count), *last = NULL;
    for (size_t i = 0; i < count; i++)
        if (v[i].op == op && cg_variant_runs(&v[i], machine.isa)) {
            last = &v[i];
            if (!skip--) break;
        }
    return last;
}

/* Another layout of f32 weights than that of the first variant: the first two have the same on some architectures. */
static inline const struct cg_variant *variant_of_other_width(void)
{
    const struct cg_variant *first = variant_of(CG_OP_gemm_f32, 0), *v = first, *last = NULL;
    for (size_t i = 1; v != last && v->pack_nr == first->pack_nr; i++) {
        last = v;
        v = variant_of(CG_OP_gemm_f32, i);
    }
    return v;
}

static inline struct cg_tuned entry(enum cg_form form, size_t m, size_t n, size_t k, const struct cg_variant *v)
{
    return (struct cg_tuned){.op = v->op,
                             .form = form,
                             .m = m,
                             .n = n,
                             .k = k,
                             .threads = 2,
                             .plan = {.variant = v,
                                      .mc = 96,
                                      .nc = 480,
                                      .kc = 0,
                                      .threads = 2,
                                      .by_rows = 1,
                                      .prefetch = 7,
                                      .in_place = CG_IN_PLACE_NEVER},
                             .gflops = 101.25,
                             .gflops_default = 99.5};
}

/* Entries of every kind; those of one weight agree about its layout. */
static inline size_t some(struct cg_tuned *e)
{
    const struct cg_variant *v = variant_of(CG_OP_gemm_f32, 0), *w = variant_of_other_width();
    const struct cg_variant *s8 = variant_of(CG_OP_gemm_s8, 1);
    size_t n = 0;
    e[n++] = entry(CG_FORM_NT, 64, 960, 576, v);
    e[n++] = entry(CG_FORM_NT, 1, 960, 576, v);
    e[n++] = entry(CG_FORM_NT, 1024, 960, 576, v);
    e[n++] = entry(CG_FORM_NT, 64, 576, 1536, w);
    e[n++] = entry(CG_FORM_NN, 256, 576, 960, w);
    e[n++] = entry(CG_FORM_TN, 960, 576, 1024, v);
    e[n++] = entry(CG_FORM_NT, 32, 960, 576, s8);
    e[n++] = entry(CG_FORM_NT, 8, 960, 576, variant_of(CG_OP_gemm_bf16w, 1));
    const struct cg_variant *bf16 = cg_plan_default(&machine, CG_OP_gemm_bf16, CG_FORM_NT, 0, 8, 64, 64, 1).variant;
    if (bf16) e[n++] = entry(CG_FORM_NT, 16, 960, 576, bf16);
    return n;
}

static char some_rates[] = "rate fma f32 2 123.4\nrate read 2  1e9\n";

static inline size_t write_some(void)
{
    struct cg_tuned e[16];
    size_t total, n = some(e);
    struct cg_store add = {.e = e, .n = n, .rates = some_rates};
    assert_int_equal(cg_store_merge(path, &machine, &add, &total), CG_OK);
    assert_int_equal(total, n);
    return n;
}

static inline enum cg_status merge_one(struct cg_tuned *add, size_t *total)
{
    return cg_store_merge(path, &machine, &(struct cg_store){.e = add, .n = 1}, total);
}

static inline int setup(void **state)
{
    (void)state;
    make_dir(dir);
    setenv("CPU_GRPO_CACHE", dir, 1);
    machine = machine_with(~UINT64_C(0), 32, 1024, 32768);
    snprintf(machine.model_name, sizeof machine.model_name, "Testing CPU");
    path = cg_store_path(&machine);
    return path ? 0 : -1;
}

static inline int teardown(void **state)
{
    (void)state;
    cg_free(path);
    remove_dir(dir);
    return 0;
}

/* What cg_plans_open makes of the store. */
static inline struct cg_plans *open_plans(void)
{
    struct cg_plans *p = NULL;
    assert_int_equal(cg_plans_open(&machine, 2, &p), CG_OK);
    return p;
}

static inline void expect_defaults(const char *why)
{
    struct cg_plans *p = open_plans();
    const char *source = cg_plans_source(p);
    if (!strstr(source, "plans: defaults (") || strchr(source, '\n') || !strstr(source, why))
        fail_msg("expected defaults because of \"%s\", got: %s", why, source);
    struct cg_plan got = cg_plan_gemm_f32(p, CG_FORM_NT, 64, 960, 576);
    struct cg_plan want = cg_plan_default(&machine, CG_OP_gemm_f32, CG_FORM_NT, 0, 64, 960, 576, 2);
    assert_true(cg_plan_same(&got, &want));
    cg_plans_close(p);
}

/* The store with `text` up to its checksum, which is made right: what a careful hand could write. */
static inline void write_signed(const char *text)
{
    char *all = cg_alloc(strlen(text) + 64);
    assert_non_null(all);
    sprintf(all, "%schecksum %016" PRIx64 "\n", text, (uint64_t)XXH3_64bits(text, strlen(text)));
    write_file(path, all, strlen(all));
    cg_free(all);
}

/* A sound store as text, without its checksum; its size with it in *size. */
static inline void sound_store(char *text, size_t cap, size_t *size)
{
    write_some();
    char *data;
    assert_int_equal(cg_file_read(path, cap - 1, &data, size), CG_OK);
    memcpy(text, data, *size + 1);
    cg_free(data);
}

static inline void cut_checksum(char *text)
{
    char *sum = strstr(text, "checksum ");
    assert_non_null(sum);
    *sum = 0;
}

#endif
