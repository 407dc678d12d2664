/* Shared by the files of runtime/model only. */
#ifndef CG_RUNTIME_MODEL_INTERNAL_H
#define CG_RUNTIME_MODEL_INTERNAL_H

#include "runtime/model/model.h"

/* The first half of cg_model_create: checks, offsets and n_params; `w` stays NULL. Readers check a file against it
 * before anything as large as the weights is allocated. */
enum cg_status cg_model_layout(const struct cg_config *cfg, struct cg_model *m);

/* The second half: `w`, zeroed. */
enum cg_status cg_model_alloc(struct cg_model *m);

/* Reads DIR/config.json (and eos from DIR/generation_config.json when it has none). */
enum cg_status cg_config_read(const char *dir, struct cg_config *cfg);

/* Reads the weights of a Hugging Face folder into a laid-out model and allocates `w`; tie_word_embeddings must be right. */
enum cg_status cg_hf_weights(const char *dir, struct cg_model *m);

/* Configuration and weights of a GGUF file. */
enum cg_status cg_gguf_model(const char *path, struct cg_model *m);

/* Random weights for "builtin:NAME". */
enum cg_status cg_builtin_model(const char *path, uint64_t seed, struct cg_model *m);

/* CG_ERR_USER naming the tensor when x[0..n) has an infinity or a NaN. */
enum cg_status cg_check_finite(const char *name, const float *x, size_t n);

#endif
