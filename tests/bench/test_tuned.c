/* grpo-bench tuned on a store made here. */
#include "../autotune/fixture.h"

#include <jansson.h>
#include <sys/wait.h>

#include "autotune/space.h"
#include "autotune/store.h"
#include "common/mem.h"

static char dir[64];
static char *path;

/* The JSON that the command prints. */
static json_t *tuned(const char *args)
{
    static char out[65536];
    char command[1024];
    snprintf(command, sizeof command, "'%s' tuned --pairs 3 --json %s 2>/dev/null", getenv("CG_GRPO_BENCH"), args);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    out[fread(out, 1, sizeof out - 1, p)] = 0;
    if (pclose(p) != 0) fail_msg("%s fails and says: %s", command, out);
    json_t *root = json_loads(out, 0, NULL);
    assert_non_null(root);
    return root;
}

static void ratios(void **state)
{
    (void)state;
    json_t *root = tuned(""), *plans = json_object_get(root, "plans"), *p;
    size_t i;
    assert_string_equal(json_string_value(json_object_get(root, "against")), "default");
    assert_int_equal(json_array_size(plans), 3);
    json_array_foreach(plans, i, p) assert_true(json_real_value(json_object_get(p, "ratio")) > 0);
    json_decref(root);
    /* Against itself, each plan meets its own. */
    char args[256];
    snprintf(args, sizeof args, "--against '%s' --store '%s'", path, path);
    root = tuned(args);
    assert_string_equal(json_string_value(json_object_get(root, "against")), path);
    json_array_foreach(json_object_get(root, "plans"), i, p) assert_string_equal(
        json_string_value(json_object_get(p, "other")), json_string_value(json_object_get(p, "stored")));
    assert_int_equal(i, 3);
    json_decref(root);
}

/* Three plans, the last of them not the default. */
static int setup(void **state)
{
    (void)state;
    static struct cg_machine m;
    static const struct cg_shape shapes[] = {
        {.op = CG_OP_gemm_f32, .form = CG_FORM_NT, .m = 32, .n = 96, .k = 64},
        {.op = CG_OP_gemm_s8, .form = CG_FORM_NT, .m = 8, .n = 96, .k = 64},
        {.op = CG_OP_gemm_f32, .form = CG_FORM_TN, .m = 96, .n = 64, .k = 64},
    };
    struct cg_tuned e[3];
    size_t total;
    make_dir(dir);
    setenv("CPU_GRPO_CACHE", dir, 1);
    if (cg_machine_detect(&m) != CG_OK) return -1;
    for (size_t i = 0; i < 3; i++) {
        const struct cg_shape *s = &shapes[i];
        e[i] = (struct cg_tuned){.op = s->op, .form = s->form, .m = s->m, .n = s->n, .k = s->k, .threads = 1};
        e[i].plan = cg_space_default(&m, s, NULL, 1);
        e[i].gflops = e[i].gflops_default = 1;
    }
    e[2].plan.kc = 32;
    path = cg_store_path(&m);
    return path && cg_store_merge(path, &m, &(struct cg_store){.e = e, .n = 3}, &total) == CG_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    cg_free(path);
    remove_dir(dir);
    return 0;
}

int main(void)
{
    if (!getenv("CG_GRPO_BENCH")) {
        printf("SKIP tuned: CG_GRPO_BENCH does not name the program\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(ratios)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
