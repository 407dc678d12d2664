/* Batched generation with a key/value cache: sequences that end leave the batch, and those that wait take their places
 * (continuous batching, Yu et al. 2022). */
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
    /* What changes the distribution, as of kernels/sample.h; 0 leaves it alone. */
    size_t top_k;
    float top_p, min_p, repetition_penalty;
    /* What bounds memory, and changes no bit of the result. */
    size_t max_batch;        /* sequences decoded together, 0: 128 */
    size_t max_kv_bytes;     /* of all caches, 0: any. One sequence runs however little is allowed */
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
    float *entropies; /* of the distributions that logprobs are of; NULL: not wanted; needs logprobs */
    size_t len;
    int finished; /* ended with eos */
};

/* Caches and buffers of generation with one net, which must outlive it. They grow to what a call needs and stay: calls
 * that are no larger than one before allocate nothing. */
struct cg_generator;
enum cg_status cg_generator_create(const struct cg_net *net, struct cg_generator **out);
void cg_generator_free(struct cg_generator *g); /* or NULL */
/* From now on with another net, of a model of the same sizes. */
void cg_generator_use(struct cg_generator *g, const struct cg_net *net);

/* Gives all caches and buffers back; the next call takes them again. */
void cg_generator_release(struct cg_generator *g);

/* n_prompts prompts, `completions` (up to 4096) each: out[p * completions + g]. Runs on the net's threads, called from
 * one thread. CG_ERR_USER for prompts that are empty, too long for the net or of another vocabulary. */
enum cg_status cg_generator_run(struct cg_generator *g, const struct cg_gen_options *o, size_t n_prompts,
                                const struct cg_gen_prompt *prompts, size_t completions, struct cg_completion *out);

/* Where the time of the last run went: passes through the layers that began with prompts (with the tokens of other
 * sequences that ran along), and those of decoding alone; the head and the choice of tokens included. */
struct cg_gen_stats {
    double prompt_seconds, decode_seconds;
    size_t prompt_tokens, decoded; /* tokens of prompts; tokens chosen in passes of decoding alone */
    size_t passes;
};
const struct cg_gen_stats *cg_generator_stats(const struct cg_generator *g);

/* The same with a generator of its own, for a single call. */
enum cg_status cg_generate(const struct cg_net *net, const struct cg_gen_options *o, size_t n_prompts,
                           const struct cg_gen_prompt *prompts, size_t completions, struct cg_completion *out);

/* What a call holds at most: sequences and prompts in caches, rows of one pass through the layers, rows of logits;
 * bytes of the caches and of everything, but for the scratch of attention and sampling of each thread. `longest`: most
 * tokens of a prompt. n_prompts, completions > 0. */
struct cg_gen_sizes {
    size_t sequences, prompts, rows, logit_rows;
    size_t kv_bytes, bytes;
};
/* Sets the bytes of *s from its numbers. */
void cg_gen_bytes(const struct cg_config *c, const struct cg_gen_options *o, size_t longest, struct cg_gen_sizes *s);
void cg_gen_sizes(const struct cg_config *c, const struct cg_gen_options *o, size_t n_prompts, size_t longest,
                  size_t completions, struct cg_gen_sizes *out);

#endif
