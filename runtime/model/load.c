/* cg_model_load: which reader a path is for. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/builtin.h"
#include "runtime/model/internal.h"

static enum cg_status load(const char *path, uint64_t seed, struct cg_model *m)
{
    struct stat st;
    if (cg_is_builtin(path)) return cg_builtin_model(path, seed, m);
    if (stat(path, &st) != 0)
        return cg_fail(CG_ERR_IO, "cannot open the model %s: %s (a Hugging Face folder, a .gguf file or builtin:NAME)",
                       path, strerror(errno));
    return S_ISDIR(st.st_mode) ? cg_hf_model(path, m) : cg_gguf_model(path, m);
}

enum cg_status cg_model_load(const char *path, uint64_t seed, struct cg_model *m)
{
    memset(m, 0, sizeof *m);
    enum cg_status s = load(path, seed, m);
    if (s == CG_OK && !(m->source = strdup(path))) s = cg_fail(CG_ERR_MEMORY, "out of memory");
    if (s != CG_OK) cg_model_free(m);
    return s;
}
