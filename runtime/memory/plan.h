/* What a run will take of memory, and how it is made to fit a budget: docs/memory.md.
 *
 * Sizes are not computed here a second time: the objects of the run are made, counted (common/mem.h) and freed, which
 * costs next to nothing as long as nobody writes to them. */
#ifndef CG_RUNTIME_MEMORY_PLAN_H
#define CG_RUNTIME_MEMORY_PLAN_H

#include <stdio.h>

#include "runtime/nn/generate.h"
#include "runtime/nn/train.h"

/* Generation of one kind that a run does. */
struct cg_memory_rollout {
    size_t prompts, completions; /* completions of each prompt; no prompts: it does not happen */
    enum cg_kv_type kv_type;     /* of its caches */
};

/* What is to be planned. */
struct cg_memory_request {
    const struct cg_config *config;
    const struct cg_plans *plans;
    size_t longest_prompt, longest_answer; /* tokens, over all data */
    size_t max_completion;                 /* tokens that are generated at most */
    struct cg_memory_rollout evaluation, training, fisher;
    size_t max_sequences;                      /* at a time; 0: any */
    size_t sft_batch;                          /* problems in a supervised step; 0: there are none */
    const char *trainable_layers;              /* as the option */
    const struct cg_adapter_options *adapters; /* LoRA; NULL: none */
    int reference, ewc;
    int moments8, int8; /* moments of 8 bits; generation with INT8 weights */
    size_t records;     /* bytes of what is kept about completions */
    size_t base;        /* bytes resident before anything of the model: program, libraries, tokenizer, data */
    size_t budget;
    /* What the user has fixed: 0 or -1 leaves it open. */
    size_t micro_tokens;
    int recompute; /* enum cg_recompute */
};

/* What is open, and may be chosen without changing a bit of the result. */
struct cg_memory_choice {
    size_t micro_tokens; /* of a backward pass: whole groups */
    enum cg_recompute recompute;
    int lends;        /* the gradient in the memory of the packed weights */
    int ref_unpacked; /* the reference model's weights are packed on the way */
    int gives_back;   /* memory of generation and of training is freed while the other works */
    size_t sequences; /* generated at a time */
};

enum cg_memory_part {
    CG_MEMORY_BASE,
    CG_MEMORY_WEIGHTS,
    CG_MEMORY_PACKED,
    CG_MEMORY_INT8,
    CG_MEMORY_GRADIENT,
    CG_MEMORY_MOMENTS,
    CG_MEMORY_REFERENCE,
    CG_MEMORY_EWC,
    CG_MEMORY_ACTIVATIONS,
    CG_MEMORY_GENERATION,
    CG_MEMORY_PARTS
};
/* Also what the account of common/mem.h calls them. */
extern const char *const cg_memory_part_names[CG_MEMORY_PARTS];

enum cg_memory_phase {
    CG_MEMORY_LOADING,
    CG_MEMORY_EVALUATING,
    CG_MEMORY_GENERATING,
    CG_MEMORY_TRAINING,
    CG_MEMORY_PHASES
};

struct cg_memory_plan {
    struct cg_memory_choice choice;
    size_t bytes[CG_MEMORY_PHASES][CG_MEMORY_PARTS];
    size_t peak;                /* the largest sum of a phase */
    size_t least;               /* the smallest budget that anything fits into */
    double cost;                /* of a step, in floating-point operations */
    size_t all_tokens, longest; /* of a step; of a sequence */
};

/* The fastest choice that fits. CG_ERR_USER: none does; the message says what the least budget is. */
enum cg_status cg_memory_plan(const struct cg_memory_request *r, struct cg_memory_plan *out);

/* The options of generation and of the trainers that a choice means. */
struct cg_trainer_options cg_memory_trainer(const struct cg_memory_plan *p, int with_grad);

/* "2.31 GiB of 2.61 GiB: micro-batches of 429 tokens, ..." into buf; returns buf. */
const char *cg_memory_summary(const struct cg_memory_plan *p, size_t budget, char *buf, size_t size);

/* The table of --dry-run: parts and phases. */
void cg_memory_print(const struct cg_memory_plan *p, size_t budget, FILE *f);

#endif
