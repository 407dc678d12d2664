/* The tuning store: what grpo-tune found, in one text file per machine. */
#ifndef CG_AUTOTUNE_STORE_H
#define CG_AUTOTUNE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "autotune/plan.h"
#include "common/status.h"
#include "detect/machine.h"

/* One tuned shape: C[m][n] with reduction k. The number of tokens (m; for TN, which reduces over them, k) is a bucket
 * of cg_token_bucket: it changes from call to call, the other two are sizes of the model. */
struct cg_tuned {
    enum cg_op op; /* a GEMM */
    enum cg_form form;
    size_t m, n, k;
    uint32_t threads; /* that the tuner had */
    struct cg_plan plan;
    double gflops, gflops_default; /* measured; for people only */
};

/* Sorted by op, form, sizes of the model, threads, tokens; no two with the same key; all of one (op, form NT, n, k,
 * threads) have one panel width, all of one INT8 or native bf16 shape one variant. */
struct cg_store {
    struct cg_tuned *e;
    size_t n;
    char *rates; /* what was measured of the machine itself: lines "rate ...\n" as they were stored; NULL or "": none */
};

/* Tokens rounded up to a power of two, at most CG_TOKEN_CAP. */
enum { CG_TOKEN_CAP = 1024 };
size_t cg_token_bucket(size_t tokens);

/* "NT", "NN", "TN". */
const char *cg_form_name(enum cg_form form);

/* The store's file for `m`: $CPU_GRPO_CACHE, else $XDG_CACHE_HOME/cpu-grpo, else ~/.cache/cpu-grpo, with the
 * fingerprint in its name. cg_free it. NULL with a message when no place is known or memory is short. */
char *cg_store_path(const struct cg_machine *m);

/* Reads `path`. CG_OK with no entry when the file does not exist; anything wrong with it is an error whose message says
 * what, and leaves `s` empty. */
enum cg_status cg_store_read(const char *path, const struct cg_machine *m, struct cg_store *s);

/* Takes over what `add` has (plans; rates, unless it has none, instead of those that are there) into the store at
 * `path` (what cannot be used there is dropped) and replaces the file under a lock. *total: the entries the file holds
 * now. */
enum cg_status cg_store_merge(const char *path, const struct cg_machine *m, const struct cg_store *add, size_t *total);

void cg_store_free(struct cg_store *s);

/* The entry for a shape with any number of tokens; NULL when there is none. Where the bucket itself was not tuned, the
 * next one serves from 9 tokens on: there, neighbours want the same tile. */
const struct cg_tuned *cg_store_find(const struct cg_store *s, enum cg_op op, enum cg_form form, size_t m, size_t n,
                                     size_t k, uint32_t threads);

/* Any NT entry of weights W[n][k], whatever the tokens; NULL when there is none. */
const struct cg_tuned *cg_store_weight(const struct cg_store *s, enum cg_op op, size_t n, size_t k, uint32_t threads);

#endif
