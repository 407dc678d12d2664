/* From a record to the machine: its files are laid out below a fresh folder, and detection reads them there. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>

#include "common/file.h"
#include "common/mem.h"
#include "detect/record_parts.h"

static enum cg_status refused(const char *path)
{
    return cg_fail(CG_ERR_IO, "cannot lay out the record's files: %s: %s", path, strerror(errno));
}

/* Writes root + path, which must be new. */
static enum cg_status lay(const char *root, const char *path, const char *text, size_t size)
{
    char full[4096 + 256];
    if ((size_t)snprintf(full, sizeof full, "%s%s", root, path) >= sizeof full)
        return cg_fail(CG_ERR_USER, "a path of the record is too long: %.60s", path);
    char *name = strrchr(full, '/');
    *name = 0;
    CG_TRY(cg_mkdirs(full));
    *name = '/';
    FILE *f = fopen(full, "wbx");
    if (!f) return refused(path);
    int bad = fwrite(text, 1, size, f) != size;
    return fclose(f) != 0 || bad ? refused(path) : CG_OK;
}

static int unlink_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

/* hwloc asks this file what it asks of the system when it reads the system itself. */
static enum cg_status lay_system(const char *root, const struct cg_facts *f)
{
    char text[128];
    int n = snprintf(text, sizeof text, "OSName: Linux\nArchitecture: %s\nFallbackNbProcessors: %d\n",
                     f->arch == CG_ARCH_X86_64 ? "x86_64" : "aarch64", f->cpus);
    return lay(root, "/proc/hwloc-nofile-info", text, (size_t)n);
}

enum cg_status cg_record_machine(const struct cg_record *record, const char *mask, struct cg_machine *m)
{
    const char *tmp = getenv("TMPDIR");
    char root[256];
    if (!tmp || tmp[0] != '/' || strlen(tmp) > 200) tmp = "/tmp";
    snprintf(root, sizeof root, "%s/cpu-grpo-record-XXXXXX", tmp);
    if (!mkdtemp(root)) return refused(tmp);
    struct cg_facts f = record->facts;
    f.root = root;
    enum cg_status st = lay_system(root, &f);
    for (size_t i = 0; i < record->n_files && st == CG_OK; i++) {
        const struct cg_record_file *file = &record->files[i];
        st = lay(root, file->path, file->text, file->size);
    }
    if (st == CG_OK) st = cg_machine_from(&f, mask, m);
    nftw(root, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
    return st;
}

enum cg_status cg_record_load(const char *path, struct cg_record **record)
{
    char *text;
    size_t size;
    *record = NULL;
    CG_TRY(cg_file_read(path, CG_RECORD_MAX, &text, &size));
    return cg_record_parse(path, text, size, record);
}

enum cg_status cg_machine_replay(const char *path, struct cg_machine *m)
{
    struct cg_record *record;
    CG_TRY(cg_record_load(path, &record));
    enum cg_status st = cg_record_machine(record, getenv("CPU_GRPO_ISA"), m);
    cg_record_free(record);
    return st == CG_OK ? st : cg_fail_in(st, "%s", path);
}
