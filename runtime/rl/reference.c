/* The reference policy: what the KL term holds the policy to. */
#include <math.h>

#include "runtime/rl/session.h"

enum cg_status cg_session_reference(struct cg_session *s, const struct cg_batch *b, struct cg_row_stats *stats)
{
    cg_net_refresh(&s->ref_net);
    return cg_trainer_forward(s->ref_trainer, b, (float)s->cfg->temperature, stats);
}

/* ref = alpha policy + (1 - alpha) ref, one multiplication and one fused addition a weight. */
void cg_session_sync_reference(struct cg_session *s)
{
    const struct cg_run_config *c = s->cfg;
    if (!c->sync_ref_model || !s->ref_trainer || s->state.steps % (uint64_t)c->ref_model_sync_steps) return;
    float alpha = (float)c->ref_model_mixup_alpha, keep = (float)(1.0 - c->ref_model_mixup_alpha);
    float *ref = s->ref_model.w;
    const float *w = s->model.w;
#pragma omp parallel for num_threads(s->net.threads)
    for (size_t i = 0; i < s->model.n_params; i++) ref[i] = fmaf(alpha, w[i], keep * ref[i]);
    cg_net_outdated(&s->ref_net);
}
