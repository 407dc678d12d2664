/* What of a session survives in a checkpoint, besides the model's weights. */
#ifndef CG_RUNTIME_RL_SAVED_H
#define CG_RUNTIME_RL_SAVED_H

#include "runtime/checkpoint/blob.h"
#include "runtime/rl/session.h"

/* The session's arrays, for writing and for reading: out[CG_BLOBS_MAX]; how many. Whatever a step changes and the next
 * one needs has a line in these two. */
size_t cg_session_blobs(struct cg_session *s, struct cg_blob *out);
/* And its numbers: out[CG_NUMBERS_MAX]. */
size_t cg_session_numbers(struct cg_session *s, struct cg_number *out);

/* To be called when weights, arrays and numbers have been read into the session: makes what follows from them. */
void cg_session_restored(struct cg_session *s);

#endif
