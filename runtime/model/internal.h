/* Shared by the files of runtime/model only. */
#ifndef CG_RUNTIME_MODEL_INTERNAL_H
#define CG_RUNTIME_MODEL_INTERNAL_H

#include "runtime/model/source.h"

/* The first half of cg_model_create: checks, offsets and n_params; `w` stays NULL. Readers check a file against it
 * before anything as large as the weights is allocated. */
enum cg_status cg_model_layout(const struct cg_config *cfg, struct cg_model *m);

/* The second half: `w`, zeroed. */
enum cg_status cg_model_alloc(struct cg_model *m);

/* The configuration of a Hugging Face folder: config.json, the end token from generation_config.json when it has none.
 */
enum cg_status cg_hf_config(const char *dir, struct cg_config *cfg);

/* Readers, of a Hugging Face folder, of a GGUF file, of random weights for "builtin:NAME". They fill a zeroed source;
 * cg_source_close is to be called whatever they return. */
enum cg_status cg_hf_source(const char *dir, struct cg_source *s);
enum cg_status cg_gguf_source(const char *path, struct cg_source *s);
enum cg_status cg_builtin_source(const char *path, uint64_t seed, struct cg_source *s);

/* `rows` of a source whose `file` is a whole flat block in memory. */
enum cg_status cg_flat_rows(const struct cg_source *s, const struct cg_tensor_ref *t, size_t row, size_t n, float *out);

/* The architecture whose config.json has this class or, where it names none, this model_type; whose GGUF file has this
 * general.architecture. CG_MODEL_COUNT: none. */
enum cg_model_arch cg_model_arch_of_class(const char *causal_lm);
enum cg_model_arch cg_model_arch_of_name(const char *name, size_t n);

/* "Llama, Qwen2, Qwen3" and so on, for messages: the names (or classes) of the table, with commas. */
const char *cg_model_arch_list(int classes, char buf[128]);

#endif
