#include "runtime/export/export.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "runtime/model/gguf_write.h"
#include "runtime/tokenizer/tokenizer.h"

/* The source is read while the other is written. */
static enum cg_status check_places(const char *path, const char *to)
{
    struct stat a, b;
    if (stat(path, &a) == 0 && stat(to, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return cg_fail(CG_ERR_USER, "%s is the model itself; give another place", to);
    return CG_OK;
}

static enum cg_status export_gguf(const struct cg_source *s, const struct cg_tokenizer *tok, const char *to,
                                  enum cg_export_dtype dtype)
{
    static const enum cg_gguf_dtype types[] = {CG_GGUF_TO_F32, CG_GGUF_TO_BF16, CG_GGUF_TO_Q8_0};
    struct cg_gguf_meta meta;
    char *folder = cg_path_folder(to);
    enum cg_status r = folder ? cg_mkdirs(folder) : cg_fail(CG_ERR_MEMORY, "out of memory");
    free(folder);
    CG_TRY(r);
    CG_TRY(cg_gguf_meta_open(&meta));
    r = cg_tokenizer_put_gguf(tok, &s->model.cfg, &meta);
    if (r == CG_OK) r = cg_gguf_write(to, s, types[dtype], &meta);
    cg_gguf_meta_close(&meta);
    return r;
}

static enum cg_status export_folder(const struct cg_source *s, const struct cg_tokenizer *tok, const char *to,
                                    enum cg_export_dtype dtype)
{
    if (dtype == CG_EXPORT_Q8_0)
        return cg_fail(CG_ERR_USER, "q8_0 is a type of GGUF; for a folder take f32 or bf16, or end %s in .gguf", to);
    CG_TRY(cg_source_save(s, to, dtype == CG_EXPORT_BF16));
    return cg_tokenizer_save(tok, to);
}

enum cg_status cg_export(const char *path, uint64_t seed, const char *to, enum cg_export_dtype dtype)
{
    struct cg_source s;
    struct cg_tokenizer *tok = NULL;
    size_t n = strlen(to);
    int gguf = n > 5 && strcmp(to + n - 5, ".gguf") == 0;
    CG_TRY(check_places(path, to));
    CG_TRY(cg_source_open(path, seed, &s));
    enum cg_status r = cg_tokenizer_load(path, &tok);
    if (r == CG_OK) r = gguf ? export_gguf(&s, tok, to, dtype) : export_folder(&s, tok, to, dtype);
    cg_tokenizer_free(tok);
    cg_source_close(&s);
    return r;
}
