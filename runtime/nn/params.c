#include "runtime/nn/params.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* What a list of layers chooses. */
struct choice {
    unsigned char *layer; /* [layers] */
    int embed, head, norms;
};

static enum cg_status bad_word(const char *word, size_t len, size_t layers)
{
    return cg_fail(
        CG_ERR_USER,
        "trainable_layers: '%.*s' is no layer; there are 0..%zu (-1 is the last), ranges such as -4..-1, embed, "
        "head and norms",
        len > 40 ? 40 : (int)len, word, layers - 1);
}

/* The number of a layer at *s; moves *s behind it. 0: there is none. */
static int parse_layer(const char **s, const char *end, size_t layers, size_t *out)
{
    char *after;
    if (*s == end || (**s != '-' && (**s < '0' || **s > '9'))) return 0;
    long v = strtol(*s, &after, 10);
    if (v < 0) v += (long)layers;
    if (after == *s || after > end || v < 0 || v >= (long)layers) return 0;
    *s = after;
    *out = (size_t)v;
    return 1;
}

static enum cg_status parse_word(const char *word, size_t len, size_t layers, struct choice *c)
{
    static const char *const names[] = {"embed", "head", "norms"};
    int *flags[] = {&c->embed, &c->head, &c->norms};
    for (int i = 0; i < 3; i++)
        if (strlen(names[i]) == len && memcmp(names[i], word, len) == 0) {
            *flags[i] = 1;
            return CG_OK;
        }
    const char *s = word, *end = word + len;
    size_t a, b;
    if (!parse_layer(&s, end, layers, &a)) return bad_word(word, len, layers);
    b = a;
    if (end - s > 2 && s[0] == '.' && s[1] == '.') {
        s += 2;
        if (!parse_layer(&s, end, layers, &b)) return bad_word(word, len, layers);
    }
    if (s != end || b < a) return bad_word(word, len, layers);
    memset(c->layer + a, 1, b - a + 1);
    return CG_OK;
}

static enum cg_status parse(const char *text, size_t layers, struct choice *c)
{
    for (const char *s = text; *s;) {
        s += strspn(s, " ,");
        size_t len = strcspn(s, " ,");
        if (len) CG_TRY(parse_word(s, len, layers, c));
        s += len;
    }
    return CG_OK;
}

static int is_norm(const struct cg_tensor_ref *t)
{
    static const enum cg_tensor_kind norms[] = {CG_TENSOR_INPUT_NORM, CG_TENSOR_POST_NORM, CG_TENSOR_FINAL_NORM,
                                                CG_TENSOR_Q_NORM, CG_TENSOR_K_NORM};
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++)
        if (t->kind == norms[i]) return 1;
    return 0;
}

/* Is tensor t of no layer? */
static int is_apart(const struct cg_tensor_ref *t)
{
    return t->kind == CG_TENSOR_EMBED || t->kind == CG_TENSOR_HEAD || t->kind == CG_TENSOR_FINAL_NORM;
}

/* Is tensor t trained? */
static int chosen(const struct cg_model *m, const struct cg_tensor_ref *t, const struct choice *c)
{
    if (c->norms && is_norm(t)) return 1;
    if (!is_apart(t)) return c->layer[t->layer];
    return (t->offset == m->embed && c->embed) || (t->offset == m->lm_head && c->head);
}

static void add(struct cg_params *p, const struct cg_tensor_ref *t)
{
    size_t n = t->rows * (t->cols ? t->cols : 1), layer = is_apart(t) ? p->first_layer : t->layer;
    if (t->kind == CG_TENSOR_EMBED) layer = 0;
    if (layer < p->first_layer) p->first_layer = layer;
    struct cg_param_span *last = p->n_spans ? &p->spans[p->n_spans - 1] : NULL;
    int decays = t->cols != 0;
    if (last && last->decays == decays && last->from + last->n == t->offset) last->n += n;
    else p->spans[p->n_spans++] = (struct cg_param_span){t->offset, p->n, n, decays};
    p->n += n;
}

static enum cg_status fill(const struct cg_model *model, const char *layers, struct choice *c, struct cg_params *p)
{
    p->first_layer = model->cfg.num_hidden_layers;
    CG_TRY(parse(layers, p->first_layer, c));
    for (size_t i = 0; i < cg_model_tensor_count(model); i++) {
        struct cg_tensor_ref t = cg_model_tensor(model, i);
        if (!*layers || chosen(model, &t, c)) add(p, &t);
    }
    if (p->n == 0) return cg_fail(CG_ERR_USER, "trainable_layers: '%.60s' chooses nothing", layers);
    return CG_OK;
}

enum cg_status cg_params_create(const struct cg_model *model, const char *layers, struct cg_params *out)
{
    struct choice c = {.layer = cg_alloc(model->cfg.num_hidden_layers)};
    *out = (struct cg_params){.w = model->w, .spans = cg_alloc_n(cg_model_tensor_count(model), sizeof *out->spans)};
    enum cg_status s = c.layer && out->spans ? fill(model, layers, &c, out) : cg_fail(CG_ERR_MEMORY, "out of memory");
    cg_free(c.layer);
    if (s != CG_OK) cg_params_free(out);
    return s;
}

enum cg_status cg_params_of(float *w, size_t n, struct cg_params *out)
{
    *out = (struct cg_params){.w = w, .spans = cg_alloc(sizeof *out->spans), .n_spans = 1, .n = n};
    if (!out->spans) return cg_fail(CG_ERR_MEMORY, "out of memory");
    out->spans[0] = (struct cg_param_span){0, 0, n, 1};
    return CG_OK;
}

void cg_params_free(struct cg_params *p)
{
    cg_free(p->spans);
    memset(p, 0, sizeof *p);
}

size_t cg_params_span(const struct cg_params *p, size_t at)
{
    size_t lo = 0, hi = p->n_spans;
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        if (p->spans[mid].at <= at) lo = mid;
        else hi = mid;
    }
    return lo;
}

size_t cg_params_find(const struct cg_params *p, size_t from)
{
    for (size_t i = 0; i < p->n_spans; i++) {
        const struct cg_param_span *s = &p->spans[i];
        if (from >= s->from && from - s->from < s->n) return s->at + (from - s->from);
    }
    return CG_NOT_TRAINED;
}
