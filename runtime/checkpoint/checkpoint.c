#include "runtime/checkpoint/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sleef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/file.h"
#include "common/log.h"
#include "runtime/checkpoint/internal.h"
#include "runtime/model/json.h"
#include "runtime/model/safetensors.h"

#define FORMAT "cpu-grpo checkpoint 1"
#define STATE_MAX ((size_t)64 << 20) /* bytes of state.json */
#define CANONICAL (JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17))

/* The files that a checkpoint cannot be without; it has more. */
static const char *const needed[] = {"state.safetensors", "run.yaml"};
/* And one of these pairs. */
static const char *const trained[2][2] = {{"model.safetensors", "config.json"},
                                          {"adapter_model.safetensors", "adapter_config.json"}};
/* ---- checksums --------------------------------------------------------------------------------------------------- */

/* XXH3 and size of a file, read through a small buffer: a mapped one would count as memory of this process. */
static enum cg_status hash_file(const char *path, char hash[17], size_t *bytes)
{
    enum { BUFFER = 1 << 18 };
    XXH3_state_t *x = XXH3_createState();
    unsigned char *buf = malloc(BUFFER);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = -1;
    *bytes = 0;
    enum cg_status s = x && buf ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (s == CG_OK && fd >= 0) {
        XXH3_64bits_reset(x);
        while ((got = read(fd, buf, BUFFER)) > 0) {
            XXH3_64bits_update(x, buf, (size_t)got);
            *bytes += (size_t)got;
        }
        snprintf(hash, 17, "%016llx", (unsigned long long)XXH3_64bits_digest(x));
    }
    if (s == CG_OK && got < 0) s = cg_fail(CG_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    XXH3_freeState(x);
    free(buf);
    return s;
}

/* XXH3 of all of state.json but its own checksum. */
static int hash_state(json_t *j, char hash[17])
{
    char *text = json_dumps(j, CANONICAL);
    if (text) snprintf(hash, 17, "%016llx", (unsigned long long)XXH3_64bits(text, strlen(text)));
    free(text);
    return text != NULL;
}

json_t *cg_libraries(void)
{
    char sleef[32];
    snprintf(sleef, sizeof sleef, "%d.%d.%d", SLEEF_VERSION_MAJOR, SLEEF_VERSION_MINOR, SLEEF_VERSION_PATCHLEVEL);
    return json_pack("{s:s}", "sleef", sleef);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Every file that is in the folder by now, with its checksum, as members of `out`. */
static enum cg_status list_files(const char *dir, json_t *out)
{
    enum cg_status s = CG_OK;
    DIR *d = opendir(dir);
    if (!d) return cg_fail(CG_ERR_IO, "cannot read %s: %s", dir, strerror(errno));
    for (struct dirent *e; s == CG_OK && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        char *path = cg_path_join(dir, e->d_name), hash[17];
        size_t bytes;
        s = path ? hash_file(path, hash, &bytes) : cg_fail(CG_ERR_MEMORY, "out of memory");
        free(path);
        if (s == CG_OK)
            json_object_set_new(out, e->d_name, json_pack("{s:I, s:s}", "bytes", (json_int_t)bytes, "xxh3", hash));
    }
    closedir(d);
    return s;
}

static enum cg_status write_state(const char *dir, json_t *state)
{
    char hash[17];
    json_t *list = json_object(), *j = json_pack("{s:s, s:s, s:o, s:O, s:O}", "format", FORMAT, "version", CG_VERSION,
                                                 "libraries", cg_libraries(), "state", state, "files", list);
    char *path = cg_path_join(dir, "state.json");
    enum cg_status s = j && path ? list_files(dir, list) : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (s == CG_OK && (!hash_state(j, hash) || json_object_set_new(j, "xxh3", json_string(hash)) != 0))
        s = cg_fail(CG_ERR_MEMORY, "out of memory");
    struct cg_out out;
    if (s == CG_OK) s = cg_out_open(path, &out);
    if (s == CG_OK) {
        json_dumpf(j, out.f, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
        fputc('\n', out.f);
        s = cg_out_commit(&out);
    }
    free(path);
    json_decref(list);
    json_decref(j);
    return s;
}

static enum cg_status write_blobs(const char *dir, const struct cg_blob *blobs, size_t n)
{
    struct cg_st_item items[CG_BLOBS_MAX];
    char *path = cg_path_join(dir, "state.safetensors");
    if (!path) return cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++)
        items[i] = (struct cg_st_item){.name = blobs[i].name,
                                       .dtype = blobs[i].dtype,
                                       .n_dims = 1,
                                       .dims = {blobs[i].count},
                                       .raw = blobs[i].data};
    enum cg_status s = cg_st_write(path, items, n);
    free(path);
    return s;
}

static enum cg_status write_config(const char *dir, const struct cg_run_config *c)
{
    struct cg_out out;
    char *path = cg_path_join(dir, "run.yaml");
    enum cg_status s = path ? cg_out_open(path, &out) : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (s == CG_OK) {
        cg_config_dump(c, out.f);
        s = cg_out_commit(&out);
    }
    free(path);
    return s;
}

static enum cg_status write_all(const char *tmp, const struct cg_checkpoint *c)
{
    CG_TRY(c->save(c->ctx, tmp)); /* makes the folder */
    CG_TRY(cg_tokenizer_save(c->tok, tmp));
    CG_TRY(write_blobs(tmp, c->blobs, c->n_blobs));
    CG_TRY(write_config(tmp, c->cfg));
    return write_state(tmp, c->state);
}

/* The names in the folder and its own name have to reach the disk too. */
static void sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd);
    close(fd);
}

enum cg_status cg_checkpoint_save(const char *dir, size_t step, const struct cg_checkpoint *c)
{
    char *path = cg_checkpoint_path(dir, step), *tmp = cg_checkpoint_temporary(dir, step);
    enum cg_status s = path && tmp ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (s == CG_OK) {
        cg_remove_folder(tmp);
        s = write_all(tmp, c);
        if (s == CG_OK) sync_folder(tmp);
        /* A folder with files in it cannot be renamed over another. One of this name is there only when the run came
         * here before: it was damaged, or another went on from an earlier step. */
        if (s == CG_OK && cg_is_dir(path)) cg_remove_folder(path);
        if (s == CG_OK && rename(tmp, path) != 0)
            s = cg_fail(CG_ERR_IO, "cannot rename %s to %s: %s", tmp, path, strerror(errno));
        if (s == CG_OK) sync_folder(dir);
        else cg_remove_folder(tmp);
    }
    free(path);
    free(tmp);
    return s;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static enum cg_status verify_file(const char *dir, const char *name, const json_t *listed)
{
    char hash[17], shown[64];
    size_t bytes;
    const char *want = json_string_value(json_object_get(listed, "xxh3"));
    if (!want || strchr(name, '/'))
        return cg_fail(CG_ERR_USER, "state.json lists '%s' in no usable way", cg_printable(name, strlen(name), shown));
    char *path = cg_path_join(dir, name);
    if (!path) return cg_fail(CG_ERR_MEMORY, "out of memory");
    enum cg_status s = hash_file(path, hash, &bytes);
    free(path);
    CG_TRY(s);
    if ((json_int_t)bytes != json_integer_value(json_object_get(listed, "bytes")))
        return cg_fail(CG_ERR_USER, "%s has %zu bytes, not the %lld that were written", name, bytes,
                       (long long)json_integer_value(json_object_get(listed, "bytes")));
    if (strcmp(hash, want) != 0) return cg_fail(CG_ERR_USER, "%s does not have the checksum it was written with", name);
    return CG_OK;
}

static enum cg_status verify_all(const char *dir, json_t *j)
{
    char hash[17] = "";
    json_t *list = json_object_get(j, "files"), *sum = json_incref(json_object_get(j, "xxh3"));
    const char *format = json_string_value(json_object_get(j, "format"));
    json_object_del(j, "xxh3");
    int same = hash_state(j, hash) && json_is_string(sum) && strcmp(json_string_value(sum), hash) == 0;
    json_decref(sum);
    if (!format || strcmp(format, FORMAT) != 0)
        return cg_fail(CG_ERR_USER, "its state.json is not of the format '%s'", FORMAT);
    if (!same) return cg_fail(CG_ERR_USER, "state.json does not have the checksum it was written with");
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!json_object_get(list, needed[i])) return cg_fail(CG_ERR_USER, "it lacks %s", needed[i]);
    const char *const *pair = trained[json_object_get(list, trained[1][0]) != NULL];
    for (int i = 0; i < 2; i++)
        if (!json_object_get(list, pair[i])) return cg_fail(CG_ERR_USER, "it lacks %s", pair[i]);
    const char *name;
    json_t *listed;
    json_object_foreach(list, name, listed) CG_TRY(verify_file(dir, name, listed));
    if (!json_is_object(json_object_get(j, "state"))) return cg_fail(CG_ERR_USER, "its state.json holds no state");
    json_t *mine = cg_libraries();
    if (mine && !json_equal(mine, json_object_get(j, "libraries")))
        cg_warn(
            "%s was made with other versions of libraries than this program has: results may differ in the last bits",
            dir);
    json_decref(mine);
    return CG_OK;
}

enum cg_status cg_checkpoint_verify(const char *path, json_t **state)
{
    json_t *j = NULL;
    char *file = cg_path_join(path, "state.json");
    enum cg_status s = file ? cg_json_read(file, STATE_MAX, &j) : cg_fail(CG_ERR_MEMORY, "out of memory");
    free(file);
    *state = NULL;
    CG_TRY(s);
    s = verify_all(path, j);
    if (s == CG_OK) *state = json_incref(json_object_get(j, "state"));
    json_decref(j);
    return s;
}

enum cg_status cg_checkpoint_config(const char *path, struct cg_run_config *c)
{
    char *file = cg_path_join(path, "run.yaml");
    if (!file) return cg_fail(CG_ERR_MEMORY, "out of memory");
    enum cg_status s = cg_config_defaults(c);
    if (s == CG_OK) {
        s = cg_config_load(file, c);
        if (s != CG_OK) cg_config_free(c);
    }
    free(file);
    return s;
}

enum cg_status cg_checkpoint_weights(const char *path, struct cg_model *model)
{
    return cg_model_reload(path, model);
}

static enum cg_status read_blob(const struct cg_st *st, const struct cg_blob *b)
{
    const struct cg_st_tensor *t = cg_st_find(st, b->name);
    if (!t) return cg_fail(CG_ERR_USER, "%s lacks '%s'; was it made with other options?", cg_st_path(st), b->name);
    if (strcmp(t->dtype, b->dtype) != 0 || t->count != b->count)
        return cg_fail(CG_ERR_USER, "%s: '%s' has %zu values of %.16s, this run needs %zu of %s", cg_st_path(st),
                       b->name, t->count, t->dtype, b->count, b->dtype);
    cg_st_copy(st, t, b->data);
    return CG_OK;
}

enum cg_status cg_checkpoint_blobs(const char *path, const struct cg_blob *blobs, size_t n)
{
    struct cg_st *st;
    char *file = cg_path_join(path, "state.safetensors");
    enum cg_status s = file ? cg_st_open(file, &st) : cg_fail(CG_ERR_MEMORY, "out of memory");
    free(file);
    CG_TRY(s);
    for (size_t i = 0; i < n && s == CG_OK; i++) s = read_blob(st, &blobs[i]);
    cg_st_close(st);
    return s;
}
