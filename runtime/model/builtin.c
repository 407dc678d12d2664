/* Built-in models: random weights from a seed. */
#include "runtime/model/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/builtin.h"
#include "common/mem.h"
#include "common/rng.h"

#define INIT_STD 0.02f

/* Normal(0, 0.02); what adds to the residual stream is scaled down by the number of such additions (as GPT-2 does), so
 * that the stream's variance does not grow with depth. */
static void init_weights(struct cg_model *m, uint64_t seed)
{
    float residual = INIT_STD / sqrtf(2.0f * (float)m->cfg.num_hidden_layers);
    for (size_t i = 0; i < cg_model_tensor_count(m); i++) {
        struct cg_tensor_ref t = cg_model_tensor(m, i);
        float *x = m->w + t.offset;
        if (t.cols == 0) {
            for (size_t j = 0; j < t.rows; j++) x[j] = 1.0f;
            continue;
        }
        int adds = t.kind == CG_TENSOR_O || t.kind == CG_TENSOR_DOWN;
        cg_rng_normal(seed, CG_RNG_INIT, (uint32_t)i, adds ? residual : INIT_STD, x, t.rows * t.cols);
    }
}

static enum cg_status unknown(const char *path)
{
    char names[256] = "";
    for (size_t i = 0; i < cg_builtin_count; i++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%sbuiltin:%s", i ? ", " : "", cg_builtins[i].name);
    }
    return cg_fail(CG_ERR_USER, "there is no built-in model \"%s\"; there is: %s", path, names);
}

static void builtin_close(struct cg_source *s)
{
    cg_free(s->file);
}

enum cg_status cg_builtin_source(const char *path, uint64_t seed, struct cg_source *s)
{
    const struct cg_builtin *b = cg_builtin_find(path);
    if (!b) return unknown(path);
    const struct cg_config c = {
        .vocab_size = b->vocab_size,
        .hidden_size = b->hidden_size,
        .intermediate_size = b->intermediate_size,
        .num_hidden_layers = b->num_hidden_layers,
        .num_attention_heads = b->num_attention_heads,
        .num_key_value_heads = b->num_key_value_heads,
        .head_dim = b->head_dim,
        .max_position_embeddings = b->max_position_embeddings,
        .rms_norm_eps = b->rms_norm_eps,
        .rope_theta = b->rope_theta,
        .tie_word_embeddings = b->tie_word_embeddings,
        .bos_token_id = b->bos_token_id,
        .eos_token_id = b->eos_token_id,
        .pad_token_id = b->pad_token_id,
    };
    CG_TRY(cg_model_create(&c, &s->model));
    init_weights(&s->model, seed);
    s->file = s->model.w; /* these models are small: made at once and kept */
    s->model.w = NULL;
    s->rows = cg_flat_rows;
    s->close = builtin_close;
    return CG_OK;
}
