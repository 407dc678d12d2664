/* The state of a run and the numbers of its session as JSON: what state.json of a checkpoint holds. */
#ifndef CG_RUNTIME_CURRICULUM_STATE_JSON_H
#define CG_RUNTIME_CURRICULUM_STATE_JSON_H

#include "runtime/curriculum/state.h"

struct json_t;

/* A new object (json_decref) in *out. */
enum cg_status cg_run_state_to_json(struct cg_session *s, struct cg_run_state *state, struct json_t **out);
/* Into a state that cg_run_state_create has made. CG_ERR_USER says what does not fit. */
enum cg_status cg_run_state_from_json(const struct json_t *j, struct cg_session *s, struct cg_run_state *state);

/* Whether the problems are those that the state was saved with. */
int cg_run_state_same_data(const struct json_t *j, const struct cg_session *s);

#endif
