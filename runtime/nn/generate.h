/* Batched generation with a key/value cache. */
#ifndef CG_RUNTIME_NN_GENERATE_H
#define CG_RUNTIME_NN_GENERATE_H

#include "kernels/attention.h"
#include "runtime/nn/net.h"

#define CG_DECODE_TASK 48 /* sequences that one task of attention decodes, at most */

struct cg_gen_options {
    size_t max_new_tokens;
    float temperature; /* 0: greedy */
    int eos;           /* ends a completion (and is its last token); -1: none */
    uint64_t seed;     /* a token's random number depends on seed, step, the prompt's id, the completion's index and
                        * its position: never on the batch it was drawn in */
    uint32_t step;
    size_t max_batch;        /* sequences decoded together, 0: 128 */
    size_t max_logit_rows;   /* rows of logits that exist at a time, 0: what 16 MiB hold, 16 at least */
    enum cg_kv_type kv_type; /* of the cache; 0: f32. Others are smaller and round what is attended to */
};

struct cg_gen_prompt {
    const int32_t *tokens;
    size_t len;
    uint32_t id;
};

struct cg_completion {
    int32_t *tokens; /* [max_new_tokens], owned by the caller */
    /* Log-probabilities of each token, [max_new_tokens] or NULL: not wanted. Under the model at the temperature (1 when
     * greedy), before any truncation; and in the distribution that it was really drawn from (greedy: 0). */
    float *logprobs, *sampling_logprobs;
    size_t len;
    int finished; /* ended with eos */
};

/* n_prompts prompts, `completions` each: out[p * completions + g]. Called on several threads' net, from one thread. */
enum cg_status cg_generate(const struct cg_net *net, const struct cg_gen_options *o, size_t n_prompts,
                           const struct cg_gen_prompt *prompts, size_t completions, struct cg_completion *out);

/* How cg_generate cuts its work: prompts whose completions are decoded together, and rows of logits that exist at a
 * time, of options as above. completions, vocab > 0. */
size_t cg_generate_wave(size_t n_prompts, size_t completions, size_t max_batch);
size_t cg_generate_logit_rows(size_t vocab, size_t sequences, size_t max_logit_rows);

#endif
