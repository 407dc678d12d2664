/* cg_model_load: which reader a path is for. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/builtin.h"
#include "runtime/model/internal.h"

enum cg_status cg_model_load(const char *path, uint64_t seed, struct cg_model *m)
{
    memset(m, 0, sizeof *m);
    if (!cg_is_builtin(path)) {
        struct stat st;
        if (stat(path, &st) != 0) return cg_fail(CG_ERR_IO, "cannot open the model %s: %s", path, strerror(errno));
        return cg_fail(CG_ERR_USER, "%s is not a model", path);
    }
    enum cg_status s = cg_builtin_model(path, seed, m);
    if (s == CG_OK && !(m->source = strdup(path))) s = cg_fail(CG_ERR_MEMORY, "out of memory");
    if (s != CG_OK) cg_model_free(m);
    return s;
}
