/* Files: read whole or mapped, written so that a reader sees the old or the new content and never half of it. */
#ifndef CG_COMMON_FILE_H
#define CG_COMMON_FILE_H

#include <stddef.h>
#include <stdio.h>

#include "common/status.h"

/* Reads `path` into *data (cg_free it; a 0 byte is put after the last, so text can be used as a string) and *size.
 * CG_ERR_IO when it cannot be read, with errno as it was then; CG_ERR_USER when it is longer than `max` bytes. */
enum cg_status cg_file_read(const char *path, size_t max, char **data, size_t *size);
/* The same of an open stream, up to its end. `name`: for messages. */
enum cg_status cg_stream_read(FILE *f, const char *name, size_t max, char **data, size_t *size);

/* A file mapped read-only. `data` is NULL for an empty file. */
struct cg_map {
    const unsigned char *data;
    size_t size;
};
enum cg_status cg_map_open(const char *path, struct cg_map *map);
void cg_map_close(struct cg_map *map);
/* Lets go of the memory that n bytes at `data`, in the mapping, take (and what the system mapped around them); reading
 * them again brings them back. */
void cg_map_release(const struct cg_map *map, const void *data, size_t n);

/* A file being written beside its place: cg_out_commit flushes, fsyncs and renames it over `path`; cg_out_discard
 * removes it. Writes go through `f`; errors of any of them are reported by the commit. CG_ERR_USER when something that
 * is no regular file is at `path`. */
struct cg_out {
    FILE *f;
    char *path, *tmp;
};
enum cg_status cg_out_open(const char *path, struct cg_out *out);
/* All but the renaming of a commit, for who wants to look around before that; nothing can be written after it. */
enum cg_status cg_out_finish(struct cg_out *out);
enum cg_status cg_out_commit(struct cg_out *out);
/* As cg_out_commit, but where `path` is there already it is left alone: *exists. (A file system that cannot do that
 * replaces it.) */
enum cg_status cg_out_commit_new(struct cg_out *out, int *exists);
void cg_out_discard(struct cg_out *out);

/* Removes what writers of `path` left beside it that were killed: temporary files older than `path` by so many seconds,
 * in the time of the file system that holds both. */
void cg_out_clean(const char *path, double seconds);

/* Makes `path` and its parents, as mkdir -p. */
enum cg_status cg_mkdirs(const char *path);

/* "DIR/NAME" in fresh memory (cg_free); NULL without memory. */
char *cg_path_join(const char *dir, const char *name);

/* The folder that holds `path` ("." without a slash) in fresh memory (cg_free); NULL without memory. */
char *cg_path_folder(const char *path);
/* A descriptor of that folder, to be closed; -1 with errno when it cannot be opened. */
int cg_open_folder_of(const char *path);

int cg_is_dir(const char *path);

/* To be called first thing in main: puts /dev/null where a standard file is closed (program >&-), since the next file
 * that is opened would take its place, and lines for people would be written into it. Writing to one that was closed
 * still fails. */
void cg_hold_standard_files(void);

#endif
