/* What the parts of a run take, whatever is chosen; for the files of runtime/memory. */
#ifndef CG_RUNTIME_MEMORY_MEASURE_H
#define CG_RUNTIME_MEMORY_MEASURE_H

#include "runtime/memory/plan.h"
#include "runtime/nn/adapters.h"

/* A model and nets without contents, to count on. */
struct cg_rehearsal {
    const struct cg_memory_request *r;
    struct cg_model model;
    struct cg_adapters adapters;
    struct cg_params params;
    struct cg_net net, lending;
    size_t weights, gradient, packed, packed_lending, int8, moments, ewc; /* bytes */
    size_t group, all_tokens, longest, least_micro;                       /* tokens */
    size_t limit;                                                         /* of common/mem.h before */
};

/* cg_rehearsal_close is to be called whatever it returns. */
enum cg_status cg_rehearsal_open(const struct cg_memory_request *r, struct cg_rehearsal *out);
void cg_rehearsal_close(struct cg_rehearsal *h);

/* Bytes of the room for packing on the way, which stays with a net: for any of the trainers rehearsed so far. */
size_t cg_rehearsed_room(const struct cg_rehearsal *h);

/* Bytes of a trainer's activations; SIZE_MAX: more than can be asked for. */
size_t cg_rehearse_trainer(const struct cg_rehearsal *h, size_t micro_tokens, enum cg_recompute recompute,
                           int with_grad);

/* Bytes of caches and buffers that serve n kinds of generation, `sequences` at a time. */
size_t cg_rehearse_rollouts(const struct cg_rehearsal *h, const struct cg_memory_rollout *o, size_t n,
                            size_t sequences);

#endif
