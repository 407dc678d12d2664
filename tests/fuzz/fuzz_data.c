/* JSON Lines to train on.
 *
 * instrument: runtime/data/?*.c common/file.c
 * seeds: tests/fuzz/seeds/data/lines.jsonl */
#include "fuzz.h"

#include "runtime/data/jsonl.h"

static struct cg_run_config config;
static struct cg_tokenizer *tok;

static void prepare(void)
{
    static char template[] = "{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}";
    if (cg_config_defaults(&config) != CG_OK || cg_tokenizer_load("tests/goldens/tokenizer-small", &tok) != CG_OK)
        exit(1);
    free(config.chat_template);
    config.chat_template = strdup(template);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct cg_jsonl_options o = {
        .need_answer = 1, .keep_fields = 1, .max_prompt = 500, .max_sequence = 1000, .completion = 500};
    struct cg_prompter p;
    struct cg_dataset set = {0};
    size_t left_out;
    if (!tok) prepare();
    if (cg_prompter_open(&config, tok, &p) != CG_OK) exit(1);
    enum cg_status st = cg_jsonl_read(as_file(data, size), &o, &p, &set, &left_out);
    expect_one_line(st);
    for (size_t i = 0; i < set.n; i++)
        if (set.items[i].prompt_len == 0 || set.items[i].prompt_len > 500 || !set.items[i].fields || !set.items[i].line)
            finding("an item is not whole");
    cg_dataset_free(&set);
    cg_prompter_close(&p);
    return 0;
}
