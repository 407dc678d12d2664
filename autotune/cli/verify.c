#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "autotune/cli/cli.h"
#include "autotune/verify.h"
#include "common/log.h"

static void say_mismatch(void *ctx, const struct cg_variant *v, const char *what)
{
    (void)ctx;
    cg_warn("%s differs from the scalar truth: %s", v->name, what);
}

static enum cg_status print_verify(const struct cg_cli_options *o, const struct cg_verify *v, json_t *skipped)
{
    if (o->json) {
        json_t *root =
            json_pack("{s:I,s:I,s:I,s:O,s:I}", "variants", (json_int_t)v->variants, "checked", (json_int_t)v->checked,
                      "mismatches", (json_int_t)v->mismatches, "skipped", skipped, "seed", (json_int_t)v->seed);
        char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
        if (text) puts(text);
        free(text);
        json_decref(root);
        return text ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    }
    size_t i;
    json_t *s;
    if (!o->quiet)
        json_array_foreach(skipped, i, s) printf("skipped %s: %s\n", json_string_value(json_object_get(s, "name")),
                                                 json_string_value(json_object_get(s, "reason")));
    printf(
        "%zu variants, %zu cases checked bit for bit against the scalar truth: %zu mismatch%s; %zu variants skipped\n",
        v->variants, v->checked, v->mismatches, v->mismatches == 1 ? "" : "es", json_array_size(skipped));
    return CG_OK;
}

enum cg_status cg_cli_verify(const struct cg_cli_options *o, const struct cg_machine *m)
{
    size_t count;
    const struct cg_variant *all = cg_variants(&count);
    struct cg_verify v = {.machine = m, .seed = 1, .cases = 60, .mismatch = say_mismatch};
    json_t *skipped = json_array();
    enum cg_status st = skipped ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    cg_cli_catch_signals();
    for (size_t i = 0; i < count && st == CG_OK; i++) {
        char why[512];
        cg_progress("checking %zu/%zu: %s", i + 1, count, all[i].name);
        if (cg_cli_stop) {
            st = cg_fail(CG_ERR_INTERRUPTED, "stopped before all variants were checked");
        } else if (!all[i].isa && !cg_op_is_gemm(all[i].op)) {
            continue; /* the scalar truth of a row operation: what the others are held against */
        } else if (cg_variant_runs(&all[i], m->isa)) {
            st = cg_verify_variant(&v, &all[i]);
        } else {
            cg_verify_why(m, &all[i], why, sizeof why);
            json_array_append_new(skipped, json_pack("{s:s,s:s}", "name", all[i].name, "reason", why));
        }
    }
    cg_progress_end();
    if (st == CG_OK) st = print_verify(o, &v, skipped);
    if (st == CG_OK && v.mismatches)
        st = cg_fail(CG_ERR_INTERNAL, "this machine does not compute what the contract says; please report it with the "
                                      "output of grpo-tune detect");
    json_decref(skipped);
    return st;
}
