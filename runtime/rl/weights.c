/* The weights of a session: what of them is trained, the nets that read them, how they are saved. */
#include "runtime/rl/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/file.h"
#include "common/mem.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/model/source.h"

struct cg_adapter_options cg_session_adapter_options(const struct cg_run_config *c)
{
    return (struct cg_adapter_options){.r = (size_t)c->lora_r,
                                       .alpha = c->lora_alpha,
                                       .targets = (const char *const *)c->lora_target_modules.v,
                                       .n_targets = c->lora_target_modules.n,
                                       .seed = (uint64_t)c->seed};
}

static enum cg_status open_trained(struct cg_session *s)
{
    struct cg_adapter_options o = cg_session_adapter_options(s->cfg);
    if (!s->cfg->use_peft) return cg_params_create(&s->model, s->cfg->trainable_layers, &s->params);
    CG_TRY(cg_adapters_create(&s->model, s->plans, &o, &s->adapters));
    return cg_params_of(s->adapters.w, s->adapters.n, &s->params);
}

enum cg_status cg_session_open_nets(struct cg_session *s)
{
    const struct cg_run_config *c = s->cfg;
    struct cg_net_options o = {.max_len = s->memory.longest,
                               .params = &s->params,
                               .adapters = c->use_peft ? &s->adapters : NULL,
                               .lends = s->memory.choice.lends};
    cg_mem_part(cg_memory_part_names[CG_MEMORY_PACKED]);
    CG_TRY(open_trained(s));
    CG_TRY(cg_net_open(&s->model, s->plans, &o, &s->net));
    if (strcmp(c->generation_weights, "int8") != 0) return CG_OK;
    o.lends = 0;
    o.weights = CG_WEIGHTS_S8;
    cg_mem_part(cg_memory_part_names[CG_MEMORY_INT8]);
    return cg_net_open(&s->model, s->plans, &o, &s->s8_net);
}

enum cg_status cg_session_open_reference(struct cg_session *s)
{
    struct cg_net_options o = {.max_len = s->net.rope_len};
    cg_mem_part(cg_memory_part_names[CG_MEMORY_REFERENCE]);
    if (s->cfg->use_peft) {
        o.base = &s->net;
        return cg_net_open(&s->model, s->plans, &o, &s->ref_net);
    }
    o.unpacked = s->memory.choice.ref_unpacked;
    CG_TRY(cg_model_create(&s->model.cfg, &s->ref_model));
    memcpy(s->ref_model.w, s->model.w, s->model.n_params * sizeof(float));
    return cg_net_open(&s->ref_model, s->plans, &o, &s->ref_net);
}

void cg_session_weights_changed(struct cg_session *s)
{
    cg_net_outdated(&s->net);
    if (s->s8_net.model) cg_net_outdated(&s->s8_net);
}

const struct cg_net *cg_session_actor(struct cg_session *s)
{
    if (!s->s8_net.model) return cg_session_model_net(s);
    cg_net_refresh(&s->s8_net);
    return &s->s8_net;
}

int cg_session_acts_as_policy(const struct cg_session *s)
{
    return !s->s8_net.model && s->kv_type == CG_KV_F32;
}

const struct cg_net *cg_session_model_net(struct cg_session *s)
{
    cg_net_refresh(&s->net);
    return &s->net;
}

enum cg_status cg_session_save_model(const struct cg_session *s, const char *dir)
{
    if (!s->cfg->use_peft) return cg_model_save(&s->model, dir);
    struct cg_source merged;
    CG_TRY(cg_adapters_merged(&s->net, &merged));
    enum cg_status r = cg_source_save(&merged, dir, 0);
    cg_source_close(&merged);
    char *beside = cg_path_join(dir, "adapter");
    if (r == CG_OK && !beside) r = cg_fail(CG_ERR_MEMORY, "out of memory");
    if (r == CG_OK) r = cg_adapters_save(&s->adapters, &s->model, s->cfg->model, beside);
    free(beside);
    return r;
}

enum cg_status cg_session_save_trained(const void *session, const char *dir)
{
    const struct cg_session *s = session;
    return s->cfg->use_peft ? cg_adapters_save(&s->adapters, &s->model, s->cfg->model, dir)
                            : cg_model_save(&s->model, dir);
}

enum cg_status cg_session_load_trained(struct cg_session *s, const char *checkpoint)
{
    if (!s->cfg->use_peft) return cg_checkpoint_weights(checkpoint, &s->model);
    struct cg_blob blob = {"adapters", "F32", s->adapters.w, s->adapters.n};
    return cg_checkpoint_blobs(checkpoint, &blob, 1);
}

void cg_session_hash(const struct cg_session *s, char out[17])
{
    const struct cg_adapters *a = &s->adapters;
    if (!s->cfg->use_peft) cg_model_hash(&s->model, out);
    else snprintf(out, 17, "%016llx", (unsigned long long)XXH3_64bits(a->w, a->n * sizeof *a->w));
}
