/* A model and its tokenizer written for other programs. */
#ifndef CG_RUNTIME_EXPORT_EXPORT_H
#define CG_RUNTIME_EXPORT_EXPORT_H

#include <stdint.h>

#include "common/status.h"

/* What weights are stored as; Q8_0 (blocks of 32 with one scale) only in GGUF files, vectors always as F32 there. */
enum cg_export_dtype { CG_EXPORT_F32, CG_EXPORT_BF16, CG_EXPORT_Q8_0 };

/* Reads the model and the tokenizer at `path` (`seed`: of a built-in model) and writes them to `to`: a GGUF file where
 * that ends in ".gguf", else a Hugging Face folder. Goes through the weights piece by piece, so that it takes far less
 * memory than the model. CG_ERR_USER for a type that the format does not have, and for `to` being `path`. */
enum cg_status cg_export(const char *path, uint64_t seed, const char *to, enum cg_export_dtype dtype);

#endif
