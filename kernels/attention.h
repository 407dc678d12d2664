/* Causal attention with grouped queries (Ainslie et al. 2023) of one sequence and one key/value head, on a GEMM
 * micro-kernel and the softmax row operations.
 *
 * A score is one chain over head_dim ascending; softmax runs over exactly the keys a position sees; an output is one
 * chain over the keys ascending; a gradient likewise, over the keys or over the rows that see the key. Results that are
 * zero are stored as +0: tiles let a chain run on over keys or rows whose probability is 0, and such a term changes
 * nothing but the sign of a zero. So a token's output has the same bits whether it is computed alone (generation) or
 * with its whole sequence (training), as long as all operands are finite. Everything runs on the calling thread. */
#ifndef CG_KERNELS_ATTENTION_H
#define CG_KERNELS_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/registry.h"

struct cg_attention {
    const struct cg_variant *gemm; /* an f32 GEMM with nr == pack_nr */
    const struct cg_rowops *rows;
    size_t head_dim, group; /* group: query heads that share the key/value head */
    float scale;            /* 1 / sqrt(head_dim) */
};

/* n rounded up to whole panels. */
size_t cg_attention_pad(const struct cg_attention *at, size_t n);

/* Keys and values of one head as the kernels read them, for up to `cap` positions (a multiple of the panel width):
 * keys in panels of nr positions, [cap/nr][head_dim][nr]; values in panels of nr columns, [pad(head_dim)/nr][cap][nr].
 */
size_t cg_attention_keys_size(const struct cg_attention *at, size_t cap);
size_t cg_attention_values_size(const struct cg_attention *at, size_t cap);
/* Writes positions pos .. pos+n-1 (< cap), row t of k at k[t*ldk]. What was never written may hold anything. */
void cg_attention_put_keys(const struct cg_attention *at, float *keys, size_t pos, size_t n, const float *k,
                           size_t ldk);
void cg_attention_put_values(const struct cg_attention *at, float *values, size_t cap, size_t pos, size_t n,
                             const float *v, size_t ldv);

/* Query rows at positions pos0 .. pos0+tq-1: row t of query head h at q[t*ldq + h*head_dim], out likewise with ldo.
 * scratch: cg_attention_forward_scratch floats. */
size_t cg_attention_forward_scratch(const struct cg_attention *at, size_t tq, size_t tk);
void cg_attention_forward(const struct cg_attention *at, size_t tq, size_t pos0, const float *q, size_t ldq,
                          const float *keys, const float *values, size_t cap, float *out, size_t ldo, float *scratch);

/* What the backward pass reads of keys and values: the keys both ways, the values as if they were keys. */
struct cg_attention_kv {
    const float *keys;     /* K by cg_attention_put_keys */
    const float *keys_t;   /* K by cg_attention_put_values */
    const float *values_t; /* V by cg_attention_put_keys */
    size_t cap;
};

/* Backward of the same rows; tk = pos0 + tq keys. dq is written (row t, head h at dq[t*lddq + h*head_dim]); dk and dv,
 * [tk][pad(head_dim)], are added to: chains over heads, then rows that see the key, ascending. Probabilities are
 * computed again rather than kept. scratch: cg_attention_backward_scratch floats. */
size_t cg_attention_backward_scratch(const struct cg_attention *at, size_t tq, size_t tk);
void cg_attention_backward(const struct cg_attention *at, size_t tq, size_t pos0, const float *q, size_t ldq,
                           struct cg_attention_kv kv, const float *dout, size_t ldo, float *dq, size_t lddq, float *dk,
                           float *dv, float *scratch);

/* ---- Generation: a few new rows of many sequences against all that they have seen ------------------------------- */

#define CG_ATTENTION_MAX_HEAD_DIM 1024 /* of a cache */

/* How a cache stores keys and values. f32 as they are; bf16 rounded to nearest, ties to even, and expanded exactly; s8
 * by quant_s8 with a scale for each position and head, and read as q * scale in f32. All arithmetic is f32. */
enum cg_kv_type { CG_KV_F32, CG_KV_BF16, CG_KV_S8 };

/* Keys and values of one head for up to `cap` positions, a multiple of 16; a view of the caller's memory. Keys in
 * panels of 16 positions, [cap/16][head_dim][16], values in panels of 16 columns, [round16(head_dim)/16][cap][16]. */
struct cg_kv {
    enum cg_kv_type type;
    size_t cap;
    void *keys, *values;
    float *key_scale, *value_scale; /* [cap] of CG_KV_S8, else NULL */
};
size_t cg_kv_bytes(const struct cg_attention *at, enum cg_kv_type type, size_t cap); /* a multiple of 64 */
/* The view of cg_kv_bytes bytes at mem (aligned to 4 bytes, best to 64). */
struct cg_kv cg_kv_at(const struct cg_attention *at, enum cg_kv_type type, size_t cap, void *mem);
/* Writes positions pos .. pos+n-1, row t from k[t*ldk] and v[t*ldv]. */
void cg_kv_put(const struct cg_attention *at, const struct cg_kv *kv, size_t pos, size_t n, const float *k, size_t ldk,
               const float *v, size_t ldv);

/* One sequence: tq >= 1 new rows, q and out as of cg_attention_forward, and its own keys behind the shared ones:
 * own_len of them, at least tq, the new rows' included. Row t sees the shared keys and own_len - tq + t + 1 of its own.
 */
struct cg_decode_seq {
    const float *q;
    float *out;
    size_t ldq, ldo, tq, own_len;
    const struct cg_kv *own;
};

/* The new rows of n sequences that share the first `shared_len` positions (a prompt; 0: none, shared may be NULL). The
 * prompt is read once for all of them. longest_own: the largest own_len. scratch, aligned to 64 bytes:
 * cg_attention_decode_scratch floats. The bits are those of cg_attention_forward on what the caches hold. */
size_t cg_attention_decode_scratch(const struct cg_attention *at, size_t shared_len, size_t longest_own);
void cg_attention_decode(const struct cg_attention *at, const struct cg_kv *shared, size_t shared_len, size_t n,
                         const struct cg_decode_seq *seqs, size_t longest_own, float *scratch);

#endif
