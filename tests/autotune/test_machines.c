/* Recorded machines: each record in tests/detect/machines (CG_MACHINES) must give the machine and the default plans in
 * the file of the same name that ends with .json: what grpo-tune detect --replay --json prints, and default_plans
 * beside it. Where a change of detection or of the default plans is meant to change them, CG_MACHINES_WRITE=1 writes
 * them anew, for the difference to be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/detect_report.h"
#include "autotune/fields.h"
#include "autotune/plan.h"
#include "detect/record.h"

static const struct {
    enum cg_op op;
    enum cg_form form;
    size_t m, n, k;
} shapes[] = {
    {CG_OP_gemm_f32, CG_FORM_NT, 8, 576, 576},     {CG_OP_gemm_f32, CG_FORM_NT, 256, 1536, 576},
    {CG_OP_gemm_f32, CG_FORM_NN, 256, 576, 1536},  {CG_OP_gemm_f32, CG_FORM_TN, 1536, 576, 256},
    {CG_OP_gemm_s8, CG_FORM_NT, 32, 576, 576},     {CG_OP_gemm_bf16w, CG_FORM_NT, 256, 1536, 576},
    {CG_OP_gemm_bf16, CG_FORM_NT, 256, 1536, 576},
};

/* "gemm_f32_8x48_avx512, threads 2, prefetch 12": what is not 0. NULL when the machine has no variant. */
static json_t *plan_text(const struct cg_plan *p)
{
    char text[512];
    struct cg_tuned t;
    memset(&t, 0, sizeof t);
    t.plan = *p;
    if (!p->variant) return json_null();
    size_t n_fields, n = 0;
    const struct cg_field *f = cg_fields(&n_fields);
    for (size_t i = 0; i < n_fields; i++) {
        const char *name = f[i].in_plan ? cg_field_name_of(&f[i], &t) : NULL;
        double number = f[i].in_plan && !name ? cg_field_number_of(&f[i], &t) : 0;
        if (name) n += (size_t)snprintf(text + n, sizeof text - n, "%s", name);
        else if (number != 0) n += (size_t)snprintf(text + n, sizeof text - n, ", %s %g", f[i].name, number);
        assert_true(n < sizeof text);
    }
    return json_string(text);
}

static json_t *default_plans(const struct cg_machine *m)
{
    json_t *plans = json_object();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct cg_plan p =
            cg_plan_default(m, shapes[i].op, shapes[i].form, 0, shapes[i].m, shapes[i].n, shapes[i].k, m->cores_usable);
        char name[128];
        snprintf(name, sizeof name, "%s %s %zux%zux%zu", cg_op_name(shapes[i].op), cg_form_name(shapes[i].form),
                 shapes[i].m, shapes[i].n, shapes[i].k);
        if (p.variant && !cg_variant_runs(p.variant, m->isa))
            fail_msg("%s: %s does not run there", name, p.variant->name);
        json_object_set_new(plans, name, plan_text(&p));
    }
    return plans;
}

static json_t *machine_json(const struct cg_machine *m)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    assert_int_equal(cg_detect_report(m, NULL, 1, f), CG_OK);
    fclose(f);
    json_t *root = json_loads(text, 0, NULL);
    free(text);
    assert_non_null(root);
    json_object_set_new(root, "default_plans", default_plans(m));
    return root;
}

static void write_json(const json_t *root, const char *path)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    json_dumpf(root, f, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    fputc('\n', f);
    assert_int_equal(fclose(f), 0);
}

static void print_differences(const json_t *got, json_t *expected)
{
    const char *key;
    json_t *value;
    json_object_foreach(expected, key, value)
    {
        json_t *other = json_object_get(got, key);
        if (json_equal(value, other)) continue;
        char *a = json_dumps(value, JSON_ENCODE_ANY), *b = json_dumps(other, JSON_ENCODE_ANY);
        print_error("%s: expected %s\ngot %s\n", key, a, b ? b : "nothing");
        free(a);
        free(b);
    }
}

static int compare(const char *record)
{
    static struct cg_machine m;
    struct cg_record *r;
    char path[1024];
    json_error_t error;
    snprintf(path, sizeof path, "%.*s.json", (int)(strlen(record) - strlen(".record")), record);
    enum cg_status st = cg_record_load(record, &r);
    if (st == CG_OK) st = cg_record_machine(r, NULL, &m);
    if (st != CG_OK) fail_msg("%s: %s", record, cg_error());
    cg_record_free(r);
    json_t *got = machine_json(&m);
    if (getenv("CG_MACHINES_WRITE")) write_json(got, path);
    json_t *expected = json_load_file(path, 0, &error);
    if (!expected) fail_msg("%s: %s", path, error.text);
    int same = json_equal(got, expected);
    if (!same) {
        print_error("%s is not as %s says:\n", record, path);
        print_differences(got, expected);
    }
    json_decref(got);
    json_decref(expected);
    return same;
}

static void machines(void **state)
{
    (void)state;
    glob_t found;
    char pattern[1024];
    int wrong = 0;
    assert_non_null(getenv("CG_MACHINES"));
    snprintf(pattern, sizeof pattern, "%s/*.record", getenv("CG_MACHINES"));
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 27);
    for (size_t i = 0; i < found.gl_pathc; i++) wrong += !compare(found.gl_pathv[i]);
    globfree(&found);
    assert_int_equal(wrong, 0);
}

/* What CPU_GRPO_ISA does on a machine, it does on its record. */
static void masked(void **state)
{
    (void)state;
    static struct cg_machine m;
    char path[1024];
    snprintf(path, sizeof path, "%s/sapphire-rapids.record", getenv("CG_MACHINES"));
    char *old = getenv("CPU_GRPO_ISA");
    old = old ? strdup(old) : NULL;
    setenv("CPU_GRPO_ISA", "avx-vnni", 1);
    assert_int_equal(cg_machine_replay(path, &m), CG_OK);
    assert_int_equal(m.isa, CG_ISA_BIT(CG_ISA_AVX2) | CG_ISA_BIT(CG_ISA_AVX_VNNI));
    setenv("CPU_GRPO_ISA", "neon", 1);
    assert_int_equal(cg_machine_replay(path, &m), CG_ERR_USER);
    if (old) setenv("CPU_GRPO_ISA", old, 1);
    else unsetenv("CPU_GRPO_ISA");
    free(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(machines), cmocka_unit_test(masked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
