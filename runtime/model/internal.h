/* Shared by the files of runtime/model only. */
#ifndef CG_RUNTIME_MODEL_INTERNAL_H
#define CG_RUNTIME_MODEL_INTERNAL_H

#include "runtime/model/model.h"

/* The first half of cg_model_create: checks, offsets and n_params; `w` stays NULL. Readers check a file against it
 * before anything as large as the weights is allocated. */
enum cg_status cg_model_layout(const struct cg_config *cfg, struct cg_model *m);

/* The second half: `w`, zeroed. */
enum cg_status cg_model_alloc(struct cg_model *m);

/* The configuration of a Hugging Face folder: config.json, the end token from generation_config.json when it has none.
 */
enum cg_status cg_hf_config(const char *dir, struct cg_config *cfg);

/* Configuration and weights of a Hugging Face folder; of a GGUF file. `m` is to be freed whatever they return. */
enum cg_status cg_hf_model(const char *dir, struct cg_model *m);
enum cg_status cg_gguf_model(const char *path, struct cg_model *m);

/* Random weights for "builtin:NAME". */
enum cg_status cg_builtin_model(const char *path, uint64_t seed, struct cg_model *m);

#endif
