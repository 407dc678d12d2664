/* The inside of a generator, for the files that make it up. */
#ifndef CG_RUNTIME_NN_GENERATOR_IMPL_H
#define CG_RUNTIME_NN_GENERATOR_IMPL_H

#include "runtime/nn/attend.h"
#include "runtime/nn/generate.h"

/* Keys and values of every layer and key/value head for a number of holders: prompts, or sequences. */
struct cg_gen_cache {
    uint8_t *mem; /* [layer][holder][kv head], `each` bytes */
    size_t bytes, holders, cap, each;
};

/* A prompt whose keys and values are in a place of the cache, kept once for all its completions. */
struct cg_gen_place {
    size_t prompt, len, left; /* left: completions that have not ended */
};

/* A sequence that is being decoded. */
struct cg_gen_seq {
    size_t out;   /* the completion: prompt * completions + index */
    size_t slot;  /* of its own keys and values */
    size_t place; /* of its prompt's */
};

/* Sequences [first, first + n), all of one prompt: what one task of attention works on, and what one row of logits is
 * for where they are new. */
struct cg_gen_run {
    size_t first, n, place;
};

struct cg_generator {
    const struct cg_net *net;
    struct cg_attention at;
    struct cg_attend_scratch scratch;
    struct cg_gen_sizes has; /* what the buffers are made for */

    /* The call. */
    const struct cg_gen_options *o;
    const struct cg_gen_prompt *prompts;
    struct cg_completion *out;
    size_t completions, all, next; /* sequences in all; the first that has not begun */
    struct cg_gen_sizes now;
    struct cg_gen_stats stats;

    struct cg_gen_cache shared, own;
    struct cg_gen_place *places;
    size_t *free_slots, *free_places, n_free_slots, n_free_places;
    float *last; /* [places][hidden]: what the prompt's last token left the layers as */

    /* Rows of one pass: a token of each active sequence, then the prompts of `batch`. */
    struct cg_gen_seq *seqs;
    size_t active, fresh; /* sequences in work; behind them those that begin in this pass */
    int32_t *token, *pos;
    struct cg_batch batch;
    size_t *batch_place; /* of each of its prompts */
    struct cg_layer_buf buf;
    float *acts, *xn, *h;
    struct cg_gen_run *runs, *rows; /* [sequences] */
    size_t n_rows;                  /* of logits wanted */
    float *hidden, *logits;         /* [sequences][hidden] in the order of rows; [logit_rows][vocab] */
    char *sample;                   /* scratch of sampling, sample_each bytes a thread, or NULL */
    size_t sample_each, sample_threads;
};

/* All rows of the pass through the layers; g->hidden and g->rows afterwards. */
enum cg_status cg_gen_forward(struct cg_generator *g);

/* The next token of every sequence in g->rows. */
enum cg_status cg_gen_choose(struct cg_generator *g);

#endif
