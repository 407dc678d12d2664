/* Checkpoints: folders checkpoint-STEP in output_dir (docs/file-formats.md). Each is a Hugging Face folder (of LoRA:
 * adapters as peft has them) that any tool opens, with state.safetensors (moments and whatever else is an array),
 * run.yaml (the options) and state.json (where the run is, and the XXH3 of every file) beside the model.
 *
 * A folder has its name only once it is whole and on the disk: it is made as checkpoint-STEP.tmp, and one that goes is
 * renamed to that before anything in it is removed. A kill or a full disk leaves all others as they are. */
#ifndef CG_RUNTIME_CHECKPOINT_CHECKPOINT_H
#define CG_RUNTIME_CHECKPOINT_CHECKPOINT_H

#include "runtime/checkpoint/blob.h"
#include "runtime/config/config.h"
#include "runtime/model/model.h"
#include "runtime/tokenizer/tokenizer.h"

/* What is saved, none of it owned. */
struct cg_checkpoint {
    const struct cg_run_config *cfg;
    enum cg_status (*save)(const void *ctx, const char *dir); /* writes what is trained into a folder, which it makes */
    const void *ctx;
    const struct cg_tokenizer *tok;
    const struct cg_blob *blobs;
    size_t n_blobs;
    struct json_t *state; /* an object */
};

/* Writes dir/checkpoint-STEP; one that is there is replaced. CG_ERR_IO (a full disk) leaves nothing behind. */
enum cg_status cg_checkpoint_save(const char *dir, size_t step, const struct cg_checkpoint *c);

/* Reads every byte of the checkpoint `path` and compares it with its checksum, holding little of it in memory. *state:
 * what was given as `state` (json_decref). One line that says what is wrong otherwise. */
enum cg_status cg_checkpoint_verify(const char *path, struct json_t **state);

/* Versions of the libraries that take part in the arithmetic, a new object: those of another version might round
 * another way. A checkpoint that was made with others is told of by cg_checkpoint_verify. */
struct json_t *cg_libraries(void);

/* The options it was made with; `c` is filled (cg_config_free). */
enum cg_status cg_checkpoint_config(const char *path, struct cg_run_config *c);

/* Its weights into a model of the same layout. */
enum cg_status cg_checkpoint_weights(const char *path, struct cg_model *model);

/* Its arrays into where the list says. CG_ERR_USER names one that is missing or has another size or type. */
enum cg_status cg_checkpoint_blobs(const char *path, const struct cg_blob *blobs, size_t n);

/* The steps of the checkpoints in `dir` in ascending order, in *steps (free()); none where there is no such folder. */
enum cg_status cg_checkpoint_list(const char *dir, size_t **steps, size_t *n);

/* dir/checkpoint-STEP in fresh memory (free()); NULL without memory. */
char *cg_checkpoint_path(const char *dir, size_t step);

/* Removes one; what cannot be removed stays, under a name that is no checkpoint's. */
void cg_checkpoint_remove(const char *dir, size_t step);

/* Removes all but the last `keep` and that of step `best`, and what killed writers left. */
void cg_checkpoint_prune(const char *dir, size_t keep, size_t best);

#endif
