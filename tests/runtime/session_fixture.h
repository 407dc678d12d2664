/* A whole session on a small model from random weights. Include after <cmocka.h>. */
#ifndef CG_TESTS_RUNTIME_SESSION_FIXTURE_H
#define CG_TESTS_RUNTIME_SESSION_FIXTURE_H

#include "runtime/rl/step.h"

/* A session of builtin:tiny with these options on top; the test fails when it does not open. */
static inline void open_session(struct cg_run_config *c, struct cg_session *s, const char *const *set)
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

static inline void close_session(struct cg_run_config *c, struct cg_session *s)
{
    cg_session_close(s);
    cg_config_free(c);
}

/* Enough supervision that some completions are right and some are not. */
static inline void warm_up(struct cg_session *s)
{
    struct cg_update u;
    double loss;
    for (uint64_t i = 0; i < 80; i++)
        if (cg_session_sft_step(s, 0, i * 20, 20, 3e-3, &loss, &u) != CG_OK) fail_msg("%s", cg_error());
    cg_optimizer_reset(&s->opt);
}

#endif
