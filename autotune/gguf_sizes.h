/* The sizes of a Llama-family model from the metadata of a GGUF file. */
#ifndef CG_AUTOTUNE_GGUF_SIZES_H
#define CG_AUTOTUNE_GGUF_SIZES_H

#include "autotune/sizes.h"

/* Fills what the metadata gives, other fields stay 0. Every length is checked against the file. */
enum cg_status cg_gguf_sizes(const char *path, struct cg_sizes *s);

#endif
