/* What writing, reading and replaying a record share. For detect/ and its tests. */
#ifndef CG_DETECT_RECORD_PARTS_H
#define CG_DETECT_RECORD_PARTS_H

#include <stddef.h>

#include "detect/parts.h"
#include "detect/record.h"

#define CG_RECORD_MAGIC "cpu-grpo machine record "
#define CG_RECORD_VERSION "1"
#define CG_RECORD_MAX ((size_t)16 << 20) /* bytes: a machine of a thousand CPUs needs a quarter of it */

struct cg_record_file {
    char *path; /* absolute, without . and .. */
    char *text; /* lines, each with its newline */
    size_t size, line;
};

struct cg_record {
    char *buf; /* the whole file; paths and texts lie in it */
    struct cg_facts facts;
    struct cg_record_file *files; /* by path */
    size_t n_files;
    char *rates;
};

/* Parses `size` bytes of `text` (memory of malloc with a 0 byte after the last, which the record then owns, also when
 * this fails) into *record. `name` is the file's, for messages. */
enum cg_status cg_record_parse(const char *name, char *text, size_t size, struct cg_record **record);

/* ---- Files of a record ------------------------------------------------------------------------------------------- */

enum cg_file_kind {
    CG_FILE_UNKNOWN, /* neither detection nor hwloc reads it: not to be in a record */
    CG_FILE_TEXT,
    CG_FILE_NUMBER, /* one number, perhaps with a unit */
    CG_FILE_LIST,   /* "0-3,8": CPUs or nodes */
    CG_FILE_MASK,   /* "00000000,000001ff": CPUs */
};

/* What a file of this path holds. Only known files are unpacked, so that a record can neither write where it likes nor
 * make hwloc take up memory without limit. */
enum cg_file_kind cg_record_kind(const char *path);

/* Is `text` what a file of this kind may hold? */
int cg_record_fits(enum cg_file_kind kind, const char *text);

/* "0-3,8" into bits of `set` (of CG_MAX_CPUS; may be NULL): 0; -1 when it is no such list. A trailing newline may be
 * there. */
int cg_parse_cpus(const char *text, uint64_t *set);

typedef void cg_put_file(void *ctx, const char *path, const char *text);

/* Calls put(ctx, path, text) for every file of this machine that belongs into a record; paths in order. What could name
 * a person or a machine is left out. CG_ERR_MEMORY. */
enum cg_status cg_record_files(cg_put_file *put, void *ctx);

/* Parts of it. Of control groups, the files that cg_cgroup_quota reads, with numbers for the names of groups, which are
 * often those of users and containers; of a hypervisor, the word that cg_read_hypervisor looks for. */
void cg_cgroup_record(const char *root, cg_put_file *put, void *ctx);
void cg_hypervisor_record(const char *root, cg_put_file *put, void *ctx);

#endif
