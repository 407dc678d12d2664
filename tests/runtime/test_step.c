/* GRPO steps of a whole session: a small model from random weights. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/rl/session.h"

/* A session of builtin:tiny with these options on top; the test fails when it does not open. */
static void open_session(struct cg_run_config *c, struct cg_session *s, const char *const *set)
{
    static const char *const base[] = {"task=addition-reversed",
                                       "task_max=9",
                                       "task_train_size=40",
                                       "task_eval_size=5",
                                       "per_device_train_batch_size=8",
                                       "num_generations=4",
                                       "max_completion_length=4",
                                       "learning_rate=1e-3",
                                       "threads=2",
                                       NULL};
    setenv("CPU_GRPO_CACHE", "/nonexistent", 1);
    assert_int_equal(cg_config_defaults(c), CG_OK);
    for (size_t i = 0; base[i]; i++) assert_int_equal(cg_config_set(c, base[i]), CG_OK);
    for (size_t i = 0; set && set[i]; i++)
        if (cg_config_set(c, set[i]) != CG_OK) fail_msg("%s: %s", set[i], cg_error());
    if (cg_session_open(c, NULL, s) != CG_OK) fail_msg("%s", cg_error());
    cg_session_begin_stage(s);
}

static void close_session(struct cg_run_config *c, struct cg_session *s)
{
    cg_session_close(s);
    cg_config_free(c);
}

/* A weight that is not a number makes loss and gradient no numbers: nothing changes, and a healthy step follows. */
static void test_not_finite(void **state)
{
    (void)state;
    struct cg_run_config c;
    struct cg_session s;
    struct cg_step_stats st;
    open_session(&c, &s, NULL);
    size_t bytes = s.model.n_params * sizeof(float);
    float *before = malloc(bytes), good = s.model.w[s.model.final_norm];
    assert_non_null(before);
    s.model.w[s.model.final_norm] = NAN;
    memcpy(before, s.model.w, bytes);
    assert_int_equal(cg_session_grpo_step(&s, 0, 1e-3, NULL, NULL, &st), CG_OK);
    assert_true(st.update.skipped);
    assert_memory_equal(before, s.model.w, bytes);
    assert_int_equal(s.opt.step, 0);
    assert_int_equal(s.state.steps, 1);
    s.model.w[s.model.final_norm] = good;
    assert_int_equal(cg_session_grpo_step(&s, 0, 1e-3, NULL, NULL, &st), CG_OK);
    assert_false(st.update.skipped);
    assert_true(isfinite(st.loss) && isfinite(st.update.grad_norm));
    assert_int_equal(s.opt.step, 1);
    free(before);
    close_session(&c, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
