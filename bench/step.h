/* What one GRPO step of the runtime does, as a list of work that a machine can be asked to price: every matrix product,
 * row operation and pass over memory of generation, reference, forward, backward and update, as runtime/rl/step.c and
 * runtime/nn call them. */
#ifndef CG_BENCH_STEP_H
#define CG_BENCH_STEP_H

#include <stddef.h>

#include "autotune/plan.h"
#include "autotune/sizes.h"
#include "common/status.h"

/* What is trained on in a step; sizes are those of the run file's options. */
struct cg_workload {
    size_t prompts, generations; /* prompts of a step, completions of each */
    size_t prompt_length;        /* tokens of a prompt, on average */
    double completion_length;    /* tokens of a completion, on average, its end included: [1, max_completion_length] */
    size_t max_completion_length;
    size_t micro_tokens; /* most tokens of a backward pass */
    size_t iterations;   /* updates with each batch of completions */
    int reference;       /* log-probabilities under a reference model too */
};

/* CG_ERR_USER when a number makes no sense (0, or more than the product of them can be counted). */
enum cg_status cg_workload_check(const struct cg_workload *w);

#define CG_STEP_PHASES(X)                                     \
    X(PREFILL, "prefill", "prompts through the layers")       \
    X(DECODE, "decode", "one token a completion at a time")   \
    X(REFERENCE, "reference", "forward with the first model") \
    X(FORWARD, "forward", "forward, activations kept")        \
    X(BACKWARD, "backward", "gradients")                      \
    X(UPDATE, "update", "norm, AdamW, packing")

#define CG_STEP_PARTS(X)        \
    X(LINEAR, "linear")         \
    X(HEAD, "head")             \
    X(ATTENTION, "attention")   \
    X(ROWS, "row operations")   \
    X(WEIGHTS, "whole weights") \
    X(MEMORY, "buffers")

enum cg_step_phase {
#define X(id, name, what) CG_STEP_##id,
    CG_STEP_PHASES(X)
#undef X
        CG_STEP_PHASE_COUNT
};
enum cg_step_part {
#define X(id, name) CG_PART_OF_##id,
    CG_STEP_PARTS(X)
#undef X
        CG_STEP_PART_COUNT
};
const char *cg_step_phase_name(enum cg_step_phase phase);
const char *cg_step_part_name(enum cg_step_part part);

enum cg_work_kind {
    CG_WORK_GEMM,  /* C[m][n], reduction k, in `form`, with the plan of that shape */
    CG_WORK_TILES, /* m calls of attention's kernel for heads of n, k multiply-adds in all, operands in the near caches
                    */
    CG_WORK_ROWS,  /* row operation `op` over m rows of n elements; kv_f32: m rows, n columns, reduction k */
    CG_WORK_PACK,  /* m floats from one layout into another */
    CG_WORK_COPY,  /* m floats */
    CG_WORK_ZERO,  /* m floats */
    CG_WORK_SPLIT, /* a parallel region: its threads begin and wait for each other */
};

struct cg_work {
    enum cg_step_phase phase;
    enum cg_step_part part;
    enum cg_work_kind kind;
    enum cg_form form;
    enum cg_op op;
    size_t m, n, k; /* of one task */
    size_t tasks;   /* alike pieces that the threads share; 1: one thread does all. A GEMM is one whatever its plan */
    double bytes;   /* of all tasks, that go to or come from wherever `footprint` bytes live */
    double footprint;
    double calls, flops; /* flops: multiplications and additions of all tasks that matter to the result */
};

struct cg_step_list {
    struct cg_work *w;
    size_t n, cap;
    double generated, trained; /* tokens: completions', and those of the training batch (a prompt counts once) */
    double params, memory;     /* of the model; bytes that a run holds at its peak */
};

/* The list of a step of `model` with the plans (of any machine). Free it with cg_step_list_free. CG_ERR_MEMORY. */
enum cg_status cg_step_list(const struct cg_sizes *model, const struct cg_workload *w, const struct cg_plans *plans,
                            struct cg_step_list *out);
void cg_step_list_free(struct cg_step_list *s);

#endif
