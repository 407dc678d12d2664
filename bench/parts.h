/* grpo-bench parts: whole pieces of a model, timed as the runtime runs them. */
#ifndef CG_BENCH_PARTS_H
#define CG_BENCH_PARTS_H

#include <stddef.h>

#include "autotune/plan.h"
#include "common/status.h"

/* X(enum, "name", what `tokens` means): all have the sizes of SmolLM2-135M. */
#define CG_PARTS(X)                                                                                              \
    X(LAYER, "layer", "sequences, one new token each after --past others: forward through a layer")              \
    X(PREFILL, "prefill", "new tokens of one sequence after --past others: forward through a layer")             \
    X(LAYER_BACKWARD, "layer-backward", "tokens in sequences of --length: forward and backward through a layer") \
    X(HEAD, "head", "rows: final norm, logits, log-softmax and gather")                                          \
    X(HEAD_BACKWARD, "head-backward", "rows: the same with the gradients of hidden states and weights")          \
    X(ATTENTION, "attention", "the length of 32 sequences: causal attention of 9 heads")                         \
    X(ATTENTION_BACKWARD, "attention-backward", "the same, forward and backward")                                \
    X(SOFTMAX, "softmax", "the length of rows that have 65,536 elements together; of a vocabulary's length, 8 million")

enum cg_part_kind {
#define X(id, name, what) CG_PART_##id,
    CG_PARTS(X)
#undef X
        CG_PART_COUNT
};

struct cg_part_case {
    enum cg_part_kind kind;
    size_t tokens, past, length;
};

struct cg_part {
    double work;  /* multiplications and additions of a call; softmax: elements */
    double bytes; /* softmax: bytes read and written; else 0 */
    size_t extra; /* bytes that a call's buffers take beyond those of a single row (head); else 0 */
    enum cg_status (*call)(void *state);
    void (*close)(void *state);
    void *state;
};

const char *cg_part_name(enum cg_part_kind kind);

/* Makes a part ready for p->call(p->state); close it with p->close(p->state). */
enum cg_status cg_part_open(const struct cg_plans *plans, const struct cg_part_case *c, struct cg_part *p);

/* The command: argv begins with the word "parts". */
enum cg_status cg_bench_parts(int argc, char **argv);

#endif
