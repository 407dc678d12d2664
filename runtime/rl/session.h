/* All that a training run holds: model, kernels' plans, trainer, optimiser, problems. */
#ifndef CG_RUNTIME_RL_SESSION_H
#define CG_RUNTIME_RL_SESSION_H

#include <signal.h>

#include "runtime/config/config.h"
#include "runtime/continual/ewc.h"
#include "runtime/nn/adapters.h"
#include "runtime/nn/generate.h"
#include "runtime/memory/plan.h"
#include "runtime/nn/train.h"
#include "runtime/optim/adamw.h"
#include "runtime/rewards/rewards.h"
#include "runtime/rl/loss.h"

struct cg_step;

/* Where a run stands, beside weights, moments and reference policy: all that a resumed run must be given back. */
struct cg_rl_state {
    uint64_t next_item; /* position in the stage's order of problems that the next rollout begins at */
    uint64_t steps;     /* GRPO steps so far, over all stages, skipped ones too */
    uint64_t draws;     /* rollouts made so far: the `step` of their random numbers */
};

struct cg_session {
    const struct cg_run_config *cfg;   /* not owned */
    const volatile sig_atomic_t *stop; /* not 0: finish the step, save, end; NULL: never */
    struct cg_machine machine;
    struct cg_plans *plans;
    struct cg_model model, ref_model; /* ref_model only with beta > 0 */
    struct cg_tokenizer *tok;
    struct cg_adapters adapters; /* only with use_peft */
    struct cg_params params;     /* what is trained */
    struct cg_net net, ref_net;
    struct cg_generator *generator;
    struct cg_net s8_net;    /* only with generation_weights: int8 */
    enum cg_kv_type kv_type; /* of sampling's caches */
    struct cg_trainer *trainer, *ref_trainer;
    struct cg_optimizer opt;
    struct cg_ewc ewc; /* only with ewc_lambda > 0 */
    struct cg_data data;
    struct cg_rewards *rewards;
    struct cg_grpo_options grpo;
    size_t prompts_per_step;
    struct cg_memory_plan memory;
    size_t memory_budget; /* bytes */
    size_t batch_rows;    /* most rows in one backward pass */
    struct cg_rl_state state;
    int undone; /* the last rollout or evaluation failed, of which nothing is left: weights and state are as before it
                 */
    struct cg_batch batch;
    struct cg_step *step; /* the memory of a GRPO step, made once */
};

enum cg_status cg_session_open(const struct cg_run_config *cfg, const volatile sig_atomic_t *stop,
                               struct cg_session *s);
/* All of that before anything large is allocated: tokenizer, data, s->memory. CG_ERR_USER when the run does not fit the
 * budget. The session can only be closed. */
enum cg_status cg_session_plan(const struct cg_run_config *cfg, const volatile sig_atomic_t *stop,
                               struct cg_session *s);
void cg_session_close(struct cg_session *s);

/* Has Ctrl-C been pressed? */
int cg_session_stopped(const struct cg_session *s);

/* Problem `i` in the order of training of a stage: every epoch is another permutation of its data set. */
const struct cg_item *cg_session_item(const struct cg_session *s, size_t stage, uint64_t i);

/* To be called when the policy's weights are others than before. */
void cg_session_weights_changed(struct cg_session *s);

/* The net that samples completions, made ready from the weights as they are. */
const struct cg_net *cg_session_actor(struct cg_session *s);

/* Finds the scales of the INT8 net's activations, which stay for the whole run. */
enum cg_status cg_session_calibrate(struct cg_session *s);

/* Has what that net says of its samples the bits that a forward pass of training gives? */
int cg_session_acts_as_policy(const struct cg_session *s);

/* The net with the model's own weights, made ready for many small products. */
const struct cg_net *cg_session_model_net(struct cg_session *s);

/* Greedy answers to all held-out problems of a stage: the mean of the first reward function, which is the accuracy when
 * that is a verifier (NAN when nothing is held out), and (unless NULL) the text of the first n. */
enum cg_status cg_session_evaluate(struct cg_session *s, size_t stage, double *accuracy, char **answers, size_t n);

/* One update of the weights from the gradient in the trainer: EWC, clipping, AdamW, packing. */
struct cg_update {
    double lr, grad_norm, ewc_penalty;
    int skipped; /* the loss or the gradient's norm was not finite: weights and optimiser are as they were */
};
enum cg_status cg_session_update(struct cg_session *s, double loss, double lr, struct cg_update *u);

/* One supervised step on the answers of `n` problems, from position `first` of the stage's order; *loss: mean
 * cross-entropy a token. */
enum cg_status cg_session_sft_step(struct cg_session *s, size_t stage, uint64_t first, size_t n, double lr,
                                   double *loss, struct cg_update *u);

/* Adds a stage's diagonal Fisher information, over the model's own samples, and makes its weights the anchor. */
enum cg_status cg_session_consolidate(struct cg_session *s, size_t stage);

/* What a GRPO step tells. */
struct cg_step_stats {
    struct cg_reward_stats reward;
    struct {
        double mean, std;
    } reward_func[CG_MAX_REWARDS]; /* of each function, where it applies */
    struct cg_update update;
    struct cg_loss_stats loss;
    struct cg_sampling_sums sampling; /* of the rollout */
    int corrected;                    /* whether it was drawn from another distribution, and is corrected for that */
    double mean_length, min_length, max_length, clipped_ratio, mean_terminated_length;
    size_t rounds, replaced; /* dynamic sampling: rollouts made, groups that gave their place to another */
    double seconds, generate_seconds;
    size_t tokens; /* prompt and completion tokens of the rollout; 0 where it is used again */
};
/* Told of every completion of the step, for completions.jsonl. */
struct cg_told_completion {
    const struct cg_item *item;
    const char *text;
    float reward, advantage;
    const struct cg_rewards *rewards;
    float each[CG_MAX_REWARDS]; /* what each reward function gave; NAN where it does not apply */
};
typedef void cg_completion_fn(void *ctx, const struct cg_told_completion *x);

/* Log-probabilities of the batch's rows under the reference policy, which there is when beta is not 0. */
enum cg_status cg_session_reference(struct cg_session *s, const struct cg_batch *b, struct cg_row_stats *stats);

/* After a step: moves the reference policy towards the policy where sync_ref_model says so and it is time (TR-DPO,
 * Gorbatovski et al. 2024). */
void cg_session_sync_reference(struct cg_session *s);

/* Between two steps: whether the next one makes a rollout of its own, so that the session's state is all that a resumed
 * run needs. Only num_iterations > 1 uses a rollout again. */
int cg_session_at_rollout(const struct cg_session *s);

/* GRPO steps of a stage begin: at its first problem, with a rollout of their own. */
void cg_session_begin_stage(struct cg_session *s);

/* One GRPO step: one update of the weights, from a new rollout or, with num_iterations > 1, from the last one.
 * st->update.skipped tells of a step whose loss or gradient was not finite: the weights are untouched and the next step
 * goes on; how many of them are too many is the caller's decision. */
enum cg_status cg_session_grpo_step(struct cg_session *s, size_t stage, double lr, cg_completion_fn *each, void *ctx,
                                    struct cg_step_stats *st);

#endif
