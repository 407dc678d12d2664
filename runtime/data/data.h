/* The data of a run: its stages, each with what is trained on and what is held out. From a built-in task
 * (runtime/tasks), or from JSON Lines (train_file), which have one stage. */
#ifndef CG_RUNTIME_DATA_DATA_H
#define CG_RUNTIME_DATA_DATA_H

#include "runtime/config/config.h"
#include "runtime/data/dataset.h"
#include "runtime/tasks/task.h"
#include "runtime/tokenizer/tokenizer.h"

struct cg_data_stage {
    char name[64];
    struct cg_dataset train, eval; /* eval may be empty */
};

struct cg_data {
    const char *source;         /* name of the task, or path of the file; of the configuration, or static */
    const struct cg_task *task; /* NULL: from a file */
    struct cg_data_stage *stages;
    size_t n_stages;
    size_t longest_prompt, longest_answer; /* tokens, over all sets */
};

/* What else the sets must satisfy. */
struct cg_data_needs {
    size_t context; /* most tokens of a prompt and its completion: the model's max_position_embeddings */
    int answers;    /* a reward compares with them */
    int fields;     /* items keep the fields of their line */
};

/* cfg must outlive *out. CG_ERR_USER with file and line for what is wrong with a line. */
enum cg_status cg_data_open(const struct cg_run_config *cfg, const struct cg_tokenizer *tok,
                            const struct cg_data_needs *needs, struct cg_data *out);
void cg_data_close(struct cg_data *d);

/* XXH3 of all problems as the model sees them, and of their answers, as 16 hex digits. */
void cg_data_hash(const struct cg_data *d, char out[17]);

/* Problem `i` in the order of training of a stage. */
const struct cg_item *cg_data_item(const struct cg_data *d, uint64_t seed, size_t stage, uint64_t i);

#endif
