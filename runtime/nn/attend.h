/* Attention over the segments of a batch: one task for each group (a prompt and its completions) and key/value head. */
#ifndef CG_RUNTIME_NN_ATTEND_H
#define CG_RUNTIME_NN_ATTEND_H

#include "kernels/attention.h"
#include "runtime/nn/batch.h"
#include "runtime/nn/net.h"

struct cg_attend_scratch {
    float *p; /* one block a thread; cg_free it */
    size_t cap;
};

/* The tallest kernel that reads single panels of the width that suits n columns, a head's: attention packs for one. */
const struct cg_variant *cg_attend_kernel(const struct cg_machine *m, size_t n);
struct cg_attention cg_attend_config(const struct cg_net *net);

/* Makes room for `threads` blocks of `each` floats. */
enum cg_status cg_attend_reserve(struct cg_attend_scratch *s, size_t threads, size_t each);

/* Floats of one thread's block for sequences of at most `longest` tokens in segments of at most `segment`. */
size_t cg_attend_floats(const struct cg_net *net, size_t longest, size_t segment, int backward);

/* att[n][att_dim] from qkv[n][qkv_dim], q and k rotated. */
enum cg_status cg_attend_forward(const struct cg_net *net, struct cg_attend_scratch *s, const struct cg_batch *b,
                                 const float *qkv, float *att);

/* dqkv (every entry written) from datt; gradients of a prompt's keys are chains over the prompt, then its completions
 * in order. */
enum cg_status cg_attend_backward(const struct cg_net *net, struct cg_attend_scratch *s, const struct cg_batch *b,
                                  const float *qkv, const float *datt, float *dqkv);

#endif
