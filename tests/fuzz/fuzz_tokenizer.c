/* tokenizer.json, and text through what it describes.
 *
 * instrument: runtime/tokenizer/?*.c runtime/model/json.c common/file.c
 * seeds: tests/fuzz/seeds/tokenizer/small */
#include "fuzz.h"

#include <sys/stat.h>

#include "common/mem.h"
#include "runtime/tokenizer/tokenizer.h"

static char dir[64], path[96];

static void remove_folder(void)
{
    unlink(path);
    rmdir(dir);
}

static void make_folder(void)
{
    snprintf(dir, sizeof dir, "%s/cg-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(dir)) exit(1);
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    atexit(remove_folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "ab ba, 12345 don't \xc3\xa9\xe2\x82\xac \xff\n\nend";
    struct cg_tokenizer *t;
    if (!*dir) make_folder();
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) exit(1);
    enum cg_status st = cg_tokenizer_load(dir, &t);
    expect_one_line(st);
    if (st != CG_OK) return 0;
    int32_t *ids = NULL;
    size_t n = 0;
    if (cg_tokenizer_encode(t, text, sizeof text - 1, &ids, &n) == CG_OK) {
        for (size_t i = 0; i < n; i++)
            if (ids[i] < 0 || (size_t)ids[i] >= cg_tokenizer_vocab(t)) finding("an id is outside of the vocabulary");
        cg_free(ids);
    }
    cg_tokenizer_free(t);
    return 0;
}
