#include "autotune/sizes.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "autotune/gguf_sizes.h"
#include "common/builtin.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/words.h"

/* Models that people train on CPUs, by their public sizes. The usual ones share the time of a run without --model: few,
 * so that each gets enough. */
static const struct cg_sizes known[] = {
    {"smollm2-135m", 49152, 576, 30, 9, 3, 64, 1536, 1, 1},
    {"smollm2-360m", 49152, 960, 32, 15, 5, 64, 2560, 1, 0},
    {"qwen2.5-0.5b", 151936, 896, 24, 14, 2, 64, 4864, 1, 0},
    {"llama-3.2-1b", 128256, 2048, 16, 32, 8, 64, 8192, 1, 0},
};

enum { MAX_CONFIG = 1 << 20 };

int cg_sizes_known(size_t i, struct cg_sizes *s)
{
    if (i < cg_builtin_count) {
        const struct cg_builtin *b = &cg_builtins[i];
        *s = (struct cg_sizes){.vocab = b->vocab_size,
                               .hidden = b->hidden_size,
                               .layers = b->num_hidden_layers,
                               .heads = b->num_attention_heads,
                               .kv_heads = b->num_key_value_heads,
                               .head_dim = b->head_dim,
                               .ff = b->intermediate_size,
                               .tied = b->tie_word_embeddings,
                               .usual = 1};
        snprintf(s->name, sizeof s->name, "%s", b->name);
        return 1;
    }
    i -= cg_builtin_count;
    if (i >= sizeof known / sizeof *known) return 0;
    *s = known[i];
    return 1;
}

int cg_sizes_named(const char *name, size_t len, struct cg_sizes *s)
{
    for (size_t i = 0; cg_sizes_known(i, s); i++)
        if (strlen(s->name) == len && strncasecmp(s->name, name, len) == 0) return 1;
    return 0;
}

const char *cg_sizes_names(char *buf, size_t size)
{
    struct cg_sizes s;
    *buf = 0;
    for (size_t i = 0, at = 0; cg_sizes_known(i, &s) && at < size; i++)
        at += (size_t)snprintf(buf + at, size - at, "%s%s", i ? ", " : "", s.name);
    return buf;
}

static enum cg_status find_known(const char *path, struct cg_sizes *s)
{
    const char *name = cg_is_builtin(path) ? strchr(path, ':') + 1 : path;
    char names[256];
    if (cg_sizes_named(name, strlen(name), s)) return CG_OK;
    return cg_fail(CG_ERR_USER, "no built-in model \"%.64s\"; there are %s", name, cg_sizes_names(names, sizeof names));
}

static enum cg_status cannot_open(const char *path)
{
    enum { MOST = 32 };
    struct cg_sizes known_as[MOST];
    const char *names[MOST], *nearest;
    size_t n = 0;
    for (; n < MOST && cg_sizes_known(n, &known_as[n]); n++) names[n] = known_as[n].name;
    nearest = cg_nearest(path, names, n);
    if (nearest) return cg_fail(CG_ERR_USER, "cannot open the model %.200s; did you mean %s?", path, nearest);
    char list[256];
    return cg_fail(CG_ERR_IO, "cannot open the model %.200s: give a folder with config.json, a .gguf file or one of %s",
                   path, cg_sizes_names(list, sizeof list));
}

static size_t json_size(const json_t *root, const char *key)
{
    const json_t *v = json_object_get(root, key);
    json_int_t i = json_is_integer(v) ? json_integer_value(v) : 0;
    return i > 0 ? (size_t)i : 0;
}

static enum cg_status from_config(const char *path, struct cg_sizes *s)
{
    char *text;
    size_t size;
    CG_TRY(cg_file_read(path, MAX_CONFIG, &text, &size));
    json_error_t err;
    json_t *root = json_loadb(text, size, 0, &err);
    cg_free(text);
    if (!json_is_object(root)) {
        json_decref(root);
        return cg_fail(CG_ERR_USER, "%s is not a JSON object (line %d: %.120s)", path, root ? 1 : err.line,
                       root ? "another kind of value" : err.text);
    }
    s->vocab = json_size(root, "vocab_size");
    s->hidden = json_size(root, "hidden_size");
    s->layers = json_size(root, "num_hidden_layers");
    s->heads = json_size(root, "num_attention_heads");
    s->kv_heads = json_size(root, "num_key_value_heads");
    s->head_dim = json_size(root, "head_dim");
    s->ff = json_size(root, "intermediate_size");
    s->tied = json_is_true(json_object_get(root, "tie_word_embeddings"));
    json_decref(root);
    return CG_OK;
}

/* Fills in what files leave out, and refuses sizes that no model has: products of two of them must stay far from
 * overflow. */
static enum cg_status check(const char *path, struct cg_sizes *s)
{
    if (!s->kv_heads) s->kv_heads = s->heads;
    if (!s->head_dim && s->heads) s->head_dim = s->hidden / s->heads;
    const struct {
        const char *name;
        size_t value;
    } all[] = {{"vocabulary", s->vocab},      {"hidden size", s->hidden},       {"layers", s->layers},
               {"attention heads", s->heads}, {"key-value heads", s->kv_heads}, {"head size", s->head_dim},
               {"feed-forward size", s->ff}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!all[i].value) return cg_fail(CG_ERR_USER, "%s does not give the model's %s", path, all[i].name);
        if (all[i].value > (1u << 24))
            return cg_fail(CG_ERR_USER, "%s: %s of %zu is more than this program takes", path, all[i].name,
                           all[i].value);
    }
    if ((uint64_t)(s->heads + 2 * s->kv_heads) * s->head_dim > (1u << 24))
        return cg_fail(CG_ERR_USER, "%s: %zu heads of %zu are more than this program takes", path, s->heads,
                       s->head_dim);
    return CG_OK;
}

enum cg_status cg_sizes_load(const char *path, struct cg_sizes *s)
{
    memset(s, 0, sizeof *s);
    if (cg_is_builtin(path)) return find_known(path, s);
    if (cg_is_dir(path)) {
        char *config = cg_path_join(path, "config.json");
        if (!config) return cg_fail(CG_ERR_MEMORY, "out of memory");
        enum cg_status st = from_config(config, s);
        cg_free(config);
        CG_TRY(st);
    } else {
        FILE *f = fopen(path, "rb");
        if (!f) {
            if (find_known(path, s) == CG_OK) return CG_OK;
            return cannot_open(path);
        }
        fclose(f);
        CG_TRY(cg_gguf_sizes(path, s));
    }
    const char *base = strrchr(path, '/');
    while (base && base > path && !base[1]) { /* a slash at the end */
        size_t len = (size_t)(base - path);
        base = memrchr(path, '/', len);
    }
    base = base ? base + 1 : path;
    snprintf(s->name, sizeof s->name, "%.*s", (int)strcspn(base, "/"), base);
    return check(path, s);
}
