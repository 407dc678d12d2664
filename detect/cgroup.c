/* The CPU time that control groups grant. A quota may sit at any level above this process, and inside a container the
 * visible tree may be only a part of the real one: every folder from ours up to the mount point is read. */
#include "detect/record_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_ 2048

struct hierarchy {
    int v2;
    char path[PATH_MAX_];  /* our cgroup, as /proc/self/cgroup names it */
    char mount[PATH_MAX_]; /* where the hierarchy is mounted */
    char top[PATH_MAX_];   /* which of its folders is mounted there */
};

/* Is `word` one of the items of the comma-separated `list` of `len` bytes? */
static int has_item(const char *list, size_t len, const char *word)
{
    size_t w = strlen(word);
    const char *end = list + len;
    while (list < end) {
        const char *comma = memchr(list, ',', (size_t)(end - list));
        size_t n = (size_t)((comma ? comma : end) - list);
        if (n == w && memcmp(list, word, w) == 0) return 1;
        list += n + 1;
    }
    return 0;
}

/* Finds the line of /proc/self/cgroup for the hierarchy: "0::/a/b" or "4:cpu,cpuacct:/a/b". */
static int find_path(const char *text, struct hierarchy *h)
{
    for (const char *line = text; line && *line;) {
        const char *end = strchrnul(line, '\n');
        const char *names = memchr(line, ':', (size_t)(end - line));
        const char *path = names ? memchr(names + 1, ':', (size_t)(end - names - 1)) : NULL;
        if (path) {
            size_t len = (size_t)(path - names - 1);
            int match = h->v2 ? len == 0 && line[0] == '0' : has_item(names + 1, len, "cpu");
            if (match && (size_t)(end - path) <= sizeof h->path) {
                memcpy(h->path, path + 1, (size_t)(end - path - 1));
                h->path[end - path - 1] = 0;
                return 1;
            }
        }
        line = *end ? end + 1 : NULL;
    }
    return 0;
}

/* Copies the next word of a mountinfo line, undoing \040 and its like; returns what follows it, or NULL. */
static const char *next_word(const char *p, const char *end, char *out, size_t size)
{
    while (p < end && *p == ' ') p++;
    if (p == end) return NULL;
    size_t n = 0;
    while (p < end && *p != ' ') {
        char c = *p++;
        if (c == '\\' && end - p >= 3 && p[0] >= '0' && p[0] <= '3') {
            c = (char)((p[0] - '0') * 64 + (p[1] - '0') * 8 + (p[2] - '0'));
            p += 3;
        }
        if (n + 1 >= size) return NULL;
        out[n++] = c;
    }
    out[n] = 0;
    return p;
}

/* "36 35 98:0 ROOT MOUNT options... - cgroup2 source super,options": is it our hierarchy's? */
static int parse_mount(const char *line, const char *end, struct hierarchy *h)
{
    char word[PATH_MAX_], top[PATH_MAX_], mount[PATH_MAX_];
    const char *p = line;
    for (int i = 0; i < 3 && p; i++) p = next_word(p, end, word, sizeof word);
    if (p) p = next_word(p, end, top, sizeof top);
    if (p) p = next_word(p, end, mount, sizeof mount);
    do
        if (p) p = next_word(p, end, word, sizeof word);
    while (p && strcmp(word, "-") != 0);
    if (p) p = next_word(p, end, word, sizeof word);
    if (!p || strcmp(word, h->v2 ? "cgroup2" : "cgroup") != 0) return 0;
    p = next_word(p, end, word, sizeof word);
    if (p) p = next_word(p, end, word, sizeof word);
    if (!h->v2 && (!p || !has_item(word, strlen(word), "cpu"))) return 0;
    strcpy(h->top, top);
    strcpy(h->mount, mount);
    return 1;
}

static int find_mount(const char *root, struct hierarchy *h)
{
    size_t size = 256 * 1024; /* container hosts have long lists of mounts */
    char *text = malloc(size);
    int found = 0;
    if (text && cg_read_text(root, "/proc/self/mountinfo", text, size) > 0) {
        for (const char *line = text; *line && !found;) {
            const char *end = strchrnul(line, '\n');
            found = parse_mount(line, end, h);
            line = *end ? end + 1 : end;
        }
    }
    free(text);
    return found;
}

static double parse_v2(const char *text)
{
    char *end;
    double quota = strtod(text, &end), period = strtod(end, NULL); /* "max 100000" has no number in front */
    return end != text && quota > 0 && period > 0 ? quota / period : 0;
}

/* The quota of one folder in CPUs; 0 when it sets none. */
static double read_quota(const char *root, const struct hierarchy *h, const char *folder)
{
    char path[2 * PATH_MAX_ + 64], text[128];
    if (h->v2) {
        snprintf(path, sizeof path, "%s%s/cpu.max", h->mount, folder);
        return cg_read_text(root, path, text, sizeof text) > 0 ? parse_v2(text) : 0;
    }
    snprintf(path, sizeof path, "%s%s/cpu.cfs_quota_us", h->mount, folder);
    if (cg_read_text(root, path, text, sizeof text) <= 0) return 0;
    double quota = strtod(text, NULL); /* -1: none */
    snprintf(path, sizeof path, "%s%s/cpu.cfs_period_us", h->mount, folder);
    if (cg_read_text(root, path, text, sizeof text) <= 0) return 0;
    double period = strtod(text, NULL);
    return quota > 0 && period > 0 ? quota / period : 0;
}

/* Our folder as the mount shows it: a part of h->path. */
static char *visible_folder(struct hierarchy *h)
{
    char *folder = h->path;
    size_t top = strcmp(h->top, "/") == 0 ? 0 : strlen(h->top);
    if (top && strncmp(folder, h->top, top) == 0 && (folder[top] == '/' || !folder[top]))
        return folder + top; /* the mount shows the hierarchy from `top` down */
    if (top || strncmp(folder, "/..", 3) == 0)
        folder[0] = 0; /* another namespace's name for a place outside of what we see */
    return folder;
}

/* Cuts the last name off; 0 when there was none. */
static int go_up(char *folder)
{
    char *slash = strrchr(folder, '/');
    if (!slash) return 0;
    *slash = 0;
    return 1;
}

static void trim(char *folder)
{
    size_t n = strlen(folder);
    while (n && folder[n - 1] == '/') folder[--n] = 0;
}

/* The smallest quota from our folder up to the mount point. */
static double walk(const char *root, struct hierarchy *h)
{
    char *folder = visible_folder(h);
    double least = 0;
    do {
        trim(folder);
        double q = read_quota(root, h, folder);
        if (q > 0 && (least == 0 || q < least)) least = q;
    } while (go_up(folder));
    return least;
}

/* Calls visit for each hierarchy of this process that has quotas and each place where it may be mounted (the usual ones
 * when /proc hides the mounts) until it returns other than 0. */
static void each_mount(const char *root, const char *groups, int v2,
                       int (*visit)(void *ctx, struct hierarchy *h, int known), void *ctx)
{
    static const char *const usual[2][2] = {{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"},
                                            {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}};
    struct hierarchy h = {.v2 = v2, .top = "/"};
    if (!find_path(groups, &h)) return;
    char path[PATH_MAX_];
    strcpy(path, h.path);
    if (find_mount(root, &h)) {
        visit(ctx, &h, 1);
        return;
    }
    for (int i = 0; i < 2; i++) {
        strcpy(h.path, path);
        strcpy(h.mount, usual[v2][i]);
        if (visit(ctx, &h, 0)) return;
    }
}

struct least {
    const char *root;
    double quota;
};

static int visit_quota(void *ctx, struct hierarchy *h, int known)
{
    struct least *l = ctx;
    (void)known;
    l->quota = walk(l->root, h);
    return l->quota > 0;
}

void cg_cgroup_quota(const char *root, double *quota, char *from, size_t from_size)
{
    *quota = 0;
    from[0] = 0;
    char text[16384];
    if (cg_read_text(root, "/proc/self/cgroup", text, sizeof text) <= 0) return;
    for (int v2 = 0; v2 < 2; v2++) {
        struct least l = {.root = root};
        each_mount(root, text, v2, visit_quota, &l);
        if (l.quota > 0 && (*quota == 0 || l.quota < *quota)) {
            *quota = l.quota;
            snprintf(from, from_size, v2 ? "cgroup v2 cpu.max" : "cgroup v1 cpu.cfs_quota_us");
        }
    }
}

int cg_usable_cores(int cores, double quota)
{
    if (cores < 1) cores = 1;
    if (!(quota > 0)) return cores;
    if (quota < 1) return 1;
    return quota < cores ? (int)quota : cores;
}

/* ---- For records ------------------------------------------------------------------------------------------------- */

struct recorder {
    const char *root;
    cg_put_file *put;
    void *ctx;
    char groups[8 * PATH_MAX_], mounts[8 * PATH_MAX_];
};

/* The shape of a path without its names: "/1/2/../4" for "/user/ada/../job". */
static void number_names(const char *path, char *out, size_t size)
{
    size_t n = 0;
    snprintf(out, size, "/");
    for (int depth = 1;; depth++) {
        path += strspn(path, "/");
        size_t len = strcspn(path, "/");
        if (!len || n + 12 > size) return;
        int up = len == 2 && memcmp(path, "..", 2) == 0;
        n += (size_t)(up ? snprintf(out + n, size - n, "/..") : snprintf(out + n, size - n, "/%d", depth));
        path += len;
    }
}

static int is_usual_mount(const char *mount)
{
    const char *usual = "/sys/fs/cgroup";
    return strncmp(mount, usual, strlen(usual)) == 0 && !strstr(mount, "..") &&
           !mount[strspn(mount, "abcdefghijklmnopqrstuvwxyz/,_-")];
}

static void number_hierarchy(const struct hierarchy *h, struct hierarchy *out)
{
    size_t top = strlen(h->top);
    out->v2 = h->v2;
    number_names(h->path, out->path, sizeof out->path);
    if (strcmp(h->top, "/") == 0 || strncmp(h->path, h->top, top) == 0) number_names(h->top, out->top, sizeof out->top);
    else strcpy(out->top, "/other");
    strcpy(out->mount, is_usual_mount(h->mount) ? h->mount : "/cgroup");
}

static void copy_file(const struct recorder *r, const char *from, const char *to, const char *name)
{
    char path[2 * PATH_MAX_ + 64], text[128];
    snprintf(path, sizeof path, "%s/%s", from, name);
    if (cg_read_text(r->root, path, text, sizeof text) <= 0) return;
    snprintf(path, sizeof path, "%s/%s", to, name);
    r->put(r->ctx, path, text);
}

static int visit_record(void *ctx, struct hierarchy *h, int known)
{
    struct recorder *r = ctx;
    struct hierarchy numbered;
    number_hierarchy(h, &numbered);
    if (!strstr(r->groups, h->v2 ? "0::" : "1:cpu:")) { /* a group has two usual places */
        size_t n = strlen(r->groups);
        snprintf(r->groups + n, sizeof r->groups - n, "%s%s\n", h->v2 ? "0::" : "1:cpu:", numbered.path);
    }
    if (known) {
        size_t n = strlen(r->mounts);
        snprintf(r->mounts + n, sizeof r->mounts - n, "1 1 0:1 %s %s rw - %s\n", numbered.top, numbered.mount,
                 h->v2 ? "cgroup2 cgroup2 rw" : "cgroup cgroup rw,cpu");
    }
    char *folder = visible_folder(h), *to_folder = visible_folder(&numbered);
    int more;
    do {
        char from[2 * PATH_MAX_], to[2 * PATH_MAX_];
        trim(folder);
        trim(to_folder);
        snprintf(from, sizeof from, "%s%s", h->mount, folder);
        snprintf(to, sizeof to, "%s%s", numbered.mount, to_folder);
        if (h->v2) {
            copy_file(r, from, to, "cpu.max");
        } else {
            copy_file(r, from, to, "cpu.cfs_quota_us");
            copy_file(r, from, to, "cpu.cfs_period_us");
        }
        more = go_up(folder);
    } while (go_up(to_folder) && more);
    return 0;
}

void cg_cgroup_record(const char *root, cg_put_file *put, void *ctx)
{
    char text[16384];
    if (cg_read_text(root, "/proc/self/cgroup", text, sizeof text) <= 0) return;
    struct recorder r = {.root = root, .put = put, .ctx = ctx};
    for (int v2 = 0; v2 < 2; v2++) each_mount(root, text, v2, visit_record, &r);
    if (r.groups[0]) put(ctx, "/proc/self/cgroup", r.groups);
    if (r.mounts[0]) put(ctx, "/proc/self/mountinfo", r.mounts);
}
