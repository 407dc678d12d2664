/* Shared by the files of runtime/checkpoint. */
#ifndef CG_RUNTIME_CHECKPOINT_INTERNAL_H
#define CG_RUNTIME_CHECKPOINT_INTERNAL_H

#include "runtime/checkpoint/checkpoint.h"

#define CG_CHECKPOINT_TMP ".tmp" /* after the name of a folder that is being written, or removed */

/* dir/checkpoint-STEP.tmp in fresh memory (free()); NULL without memory. */
char *cg_checkpoint_temporary(const char *dir, size_t step);

/* Removes a folder of files. */
void cg_remove_folder(const char *path);

#endif
