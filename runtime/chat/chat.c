#include "runtime/chat/chat.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/chat/run.h"
#include "runtime/tokenizer/utf8.h"

#define MAX_TEMPLATE ((size_t)4 << 20)
#define MAX_MEMORY ((size_t)256 << 20) /* of the tree, and of one rendering */
#define MAX_STEPS 20000000             /* expressions and statements of one rendering */

struct cg_chat {
    char *name;
    struct cg_jarena arena;
    struct cg_jnode *first;
};

static enum cg_status compile(struct cg_chat *c, const char *source, size_t n)
{
    if (n > MAX_TEMPLATE) return cg_fail(CG_ERR_USER, "the template has more than %zu MiB", MAX_TEMPLATE >> 20);
    if (cg_utf8_valid(source, n) != n) return cg_fail(CG_ERR_USER, "the template is not valid UTF-8");
    c->arena.limit = MAX_MEMORY;
    return cg_jparse(&c->arena, source, n, &c->first);
}

enum cg_status cg_chat_compile(const char *source, size_t n, const char *name, struct cg_chat **out)
{
    struct cg_chat *c = *out = calloc(1, sizeof *c);
    if (!c) return cg_fail(CG_ERR_MEMORY, "out of memory for the chat template");
    c->name = strdup(name);
    enum cg_status s = c->name ? compile(c, source, n) : cg_fail(CG_ERR_MEMORY, "out of memory for the chat template");
    if (s == CG_OK) return CG_OK;
    cg_chat_free(c);
    *out = NULL;
    return cg_fail_in(s, "%s", name);
}

void cg_chat_free(struct cg_chat *c)
{
    if (!c) return;
    cg_jarena_free(&c->arena);
    free(c->name);
    free(c);
}

static enum cg_status run(struct cg_jrun *r, const struct cg_chat *c, const json_t *vars)
{
    const char *key;
    json_t *value;
    struct cg_jv v;
    json_object_foreach((json_t *)(uintptr_t)vars, key, value)
    {
        CG_TRY(cg_jfrom_json(r->arena, value, 0, &v));
        CG_TRY(cg_jdict_set(r->arena, &r->scope->vars, (struct cg_jstr){key, strlen(key)}, v));
    }
    return cg_jexec(r, c->first);
}

enum cg_status cg_chat_render(const struct cg_chat *c, const json_t *vars, char **text, size_t *n)
{
    struct cg_jarena arena = {.limit = MAX_MEMORY};
    struct cg_jscope global = {0};
    struct cg_jrun r = {.arena = &arena, .scope = &global, .steps = MAX_STEPS};
    *text = NULL;
    *n = 0;
    enum cg_status s = run(&r, c, vars);
    if (s == CG_OK && !r.out && !(r.out = calloc(1, 1)))
        s = cg_fail(CG_ERR_MEMORY, "out of memory for the chat template");
    cg_jarena_free(&arena);
    if (s != CG_OK) {
        free(r.out);
        return r.line ? cg_fail_in(s, "%s: line %d", c->name, r.line) : cg_fail_in(s, "%s", c->name);
    }
    *text = r.out;
    *n = r.out_n;
    return CG_OK;
}
