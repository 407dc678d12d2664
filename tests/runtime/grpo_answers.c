/* usage: grpo_answers MODEL CASES.json OUT_DIR : loss and gradient norm of every case into OUT_DIR/answers.json, and
 * its gradient as a Hugging Face folder OUT_DIR/NUMBER. scripts/compare-trl writes the cases and reads the answers. */
#include <stdio.h>

#include "common/file.h"
#include "tests/runtime/trl_cases.h"

static enum cg_status save_gradient(struct trl_world *w, const char *dir, size_t i)
{
    struct cg_model grad = w->model;
    char number[24];
    snprintf(number, sizeof number, "%zu", i);
    char *path = cg_path_join(dir, number);
    if (!path) return cg_fail(CG_ERR_MEMORY, "out of memory");
    grad.w = cg_trainer_grad(w->trainer);
    enum cg_status s = cg_mkdirs(path);
    if (s == CG_OK) s = cg_model_save(&grad, path);
    free(path);
    return s;
}

static enum cg_status answer(struct trl_world *w, const char *dir)
{
    json_t *answers = json_array(), *test;
    size_t i;
    enum cg_status s = CG_OK;
    json_array_foreach(json_object_get(w->file, "cases"), i, test)
    {
        struct cg_loss_stats st;
        double norm;
        if (s == CG_OK) s = trl_run(w, test, &st, &norm);
        if (s == CG_OK) s = save_gradient(w, dir, i);
        if (s == CG_OK) json_array_append_new(answers, json_pack("{s:f, s:f}", "loss", st.loss, "scale", trl_scale(w)));
    }
    char *path = cg_path_join(dir, "answers.json");
    if (s == CG_OK && (!path || json_dump_file(answers, path, 0) != 0)) s = cg_fail(CG_ERR_IO, "cannot write %s", dir);
    free(path);
    json_decref(answers);
    return s;
}

static enum cg_status save_model(const char *dir)
{
    struct cg_model m;
    CG_TRY(trl_model(&m));
    enum cg_status s = cg_mkdirs(dir);
    if (s == CG_OK) s = cg_model_save(&m, dir);
    cg_model_free(&m);
    return s;
}

int main(int argc, char **argv)
{
    static struct trl_world w;
    if (argc != 2 && argc != 3) {
        fputs("usage: grpo_answers MODEL_DIR | CASES.json OUT_DIR\n", stderr);
        return 2;
    }
    enum cg_status s = argc == 2 ? save_model(argv[1]) : trl_open(argv[1], &w);
    if (s == CG_OK && argc == 3) s = answer(&w, argv[2]);
    if (s != CG_OK) fprintf(stderr, "grpo_answers: %s\n", cg_error());
    trl_close(&w);
    return cg_exit_code(s);
}
