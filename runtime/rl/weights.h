/* The weights of a session: what of them is trained, the nets that read them, how they are saved. */
#ifndef CG_RUNTIME_RL_WEIGHTS_H
#define CG_RUNTIME_RL_WEIGHTS_H

#include "runtime/rl/session.h"

/* From the model that is loaded: what is trained (params, adapters), the net that is trained and, with
 * generation_weights: int8, the one that samples. */
struct cg_adapter_options cg_session_adapter_options(const struct cg_run_config *c);
enum cg_status cg_session_open_nets(struct cg_session *s);

/* The reference policy's net: of a copy of the weights as they are, or, under LoRA, of the base without adapters. */
enum cg_status cg_session_open_reference(struct cg_session *s);

/* Writes the trained model as a Hugging Face folder, adapters merged into it and once more, apart, in dir/adapter. */
enum cg_status cg_session_save_model(const struct cg_session *s, const char *dir);

/* What a checkpoint holds of it: the model, or peft's files of the adapters. */
enum cg_status cg_session_save_trained(const void *session, const char *dir);
/* And back, from a checkpoint's folder: nets are told by cg_session_restored. */
enum cg_status cg_session_load_trained(struct cg_session *s, const char *checkpoint);

/* XXH3 of what is trained (all of the model, or the adapters), as 16 hex digits. */
void cg_session_hash(const struct cg_session *s, char out[17]);

#endif
