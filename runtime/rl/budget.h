/* A session's memory: what it asks for, and which part has what. */
#ifndef CG_RUNTIME_RL_BUDGET_H
#define CG_RUNTIME_RL_BUDGET_H

#include "runtime/rl/session.h"

/* Makes s->memory from options, data and s->model.cfg, and sets the limit of common/mem.h. */
enum cg_status cg_session_plan_memory(struct cg_session *s);

/* To be called around generation: gives back what does not fit beside it, and then its own memory. */
void cg_session_before_generation(struct cg_session *s);
void cg_session_after_generation(struct cg_session *s);

#endif
