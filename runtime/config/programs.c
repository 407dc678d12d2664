/* The tables of the programs, read for their words alone. */
#include "runtime/config/programs.h"

/* ---- grpo-tune --------------------------------------------------------------------------------------------------- */

#define COMMAND(name, argument, machine, help) TUNE_##name,
enum {
#include "autotune/cli/commands.def"
};

#define COMMAND(name, argument, machine, help) {#name, argument, help},
static const struct cg_program_command tune_commands[] = {
#include "autotune/cli/commands.def"
};

#define FILE_OFFER CG_OFFER_FILES, NULL
#define MODELS_OFFER CG_OFFER_FILES, NULL
#define SHAPES_OFFER CG_OFFER_NONE, NULL
#define THREADS_OFFER CG_OFFER_NONE, NULL
#define REAL_OFFER CG_OFFER_NONE, NULL
#define FLAG_OFFER CG_OFFER_NONE, NULL
#define OPS_OFFER CG_OFFER_LIST
#define ANY
#define RANGE(a, b)
#define VALUES(names) , names
#define ON(name) (1u << TUNE_##name)
#define EVERY ~0u

static const struct cg_program_option tune_options[] = {
#define OPT(kind, field, name, letter, argument, def, limits, commands, doc) \
    {name, argument, def, doc, letter, kind##_OFFER limits, commands},
#include "autotune/cli/options.def"
};

/* ---- grpo-train, grpo-eval --------------------------------------------------------------------------------------- */

#define NONE CG_OFFER_NONE
#define FILES CG_OFFER_FILES
#define KEYS CG_OFFER_KEYS

static const struct cg_program_option train_options[] = {
#define OPT(name, letter, argument, values, doc) {name, argument, "", doc, 0, values, NULL, ~0u},
#include "runtime/train_options.def"
};

static const struct cg_program_command eval_commands[] = {
#define COMMAND(name, doc) {#name, "", doc},
#include "runtime/eval_options.def"
};

static const struct cg_program_option eval_options[] = {
#define OPT(name, letter, argument, values, doc) {name, argument, "", doc, 0, values, NULL, ~0u},
#include "runtime/eval_options.def"
};

#define COUNT(list) sizeof(list) / sizeof *(list)

const struct cg_program cg_programs[] = {
    {"grpo-tune", tune_commands, COUNT(tune_commands), tune_options, COUNT(tune_options), NULL},
    {"grpo-train", NULL, 0, train_options, COUNT(train_options), "*.yaml"},
    {"grpo-eval", eval_commands, COUNT(eval_commands), eval_options, COUNT(eval_options), "*.yaml"},
};
const size_t cg_program_count = COUNT(cg_programs);

const char *const cg_program_keys[] = {
#define OPT(kind, field, def, limits, doc) #field,
#include "runtime/config/options.def"
};
const size_t cg_program_key_count = COUNT(cg_program_keys);
