#include "runtime/rl/saved.h"

#include <string.h>

size_t cg_session_blobs(struct cg_session *s, struct cg_blob *out)
{
    float *moving = s->cfg->sync_ref_model ? s->ref_model.w : NULL; /* another one is what `model` says */
    const struct cg_moments *m = &s->opt.moments;
    size_t n = s->params.n, found = 0;
    const struct cg_blob all[] = {
        {"adamw.exp_avg", "F32", m->m, n},
        {"adamw.exp_avg_sq", "F32", m->v, n},
        {"adamw.exp_avg_8bit", "U8", m->m8, n},
        {"adamw.exp_avg_sq_8bit", "U8", m->v8, n},
        {"adamw.exp_avg_scale", "F32", m->m_scale, cg_moments_blocks(n)},
        {"adamw.exp_avg_sq_scale", "F32", m->v_scale, cg_moments_blocks(n)},
        {"ewc.fisher", "F32", s->ewc.fisher, n},
        {"ewc.anchor", "F32", s->ewc.anchor, n},
        {"reference", "F32", moving, s->ref_model.n_params},
        {"int8.smooth", "F32", s->s8_net.smooth, s->s8_net.inputs},
        {"adapters", "F32", s->adapters.w, s->adapters.n},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].data) out[found++] = all[i];
    return found;
}

size_t cg_session_numbers(struct cg_session *s, struct cg_number *out)
{
    const struct cg_number all[] = {
        CG_NUMBER("adamw_step", &s->opt.step),       CG_NUMBER("ewc_stages", &s->ewc.stages),
        CG_NUMBER("next_item", &s->state.next_item), CG_NUMBER("steps", &s->state.steps),
        CG_NUMBER("draws", &s->state.draws),
    };
    memcpy(out, all, sizeof all);
    return sizeof all / sizeof *all;
}

void cg_session_restored(struct cg_session *s)
{
    cg_session_weights_changed(s);
    if (s->ref_model.w && s->cfg->sync_ref_model) cg_net_outdated(&s->ref_net);
}
