#include "common/mem.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define MAX_PARTS 32

#if defined(__SANITIZE_ADDRESS__)
#define MAPS 0 /* the sanitizer only watches what malloc gives */
#else
#define MAPS 1
#endif

/* A counted block. They stand in a table by their address: blocks of malloc come to cg_free as well. */
struct block {
    struct block *next;
    void *p;
    size_t size;
    int part;
};

#define BUCKETS 1024
static struct {
    pthread_mutex_t lock;
    struct block *of[BUCKETS];
    struct cg_mem_use use[MAX_PARTS];
    int parts;
    size_t live, peak, limit;
} books = {.lock = PTHREAD_MUTEX_INITIALIZER, .use = {{"other", 0, 0}}, .parts = 1};

static _Thread_local int current;
static _Thread_local struct {
    size_t asked, live, limit;
    int part;
} refused;

static size_t page(void)
{
    static size_t size;
    if (!size) size = (size_t)sysconf(_SC_PAGESIZE);
    return size;
}

static struct block **bucket(const void *p)
{
    return &books.of[((uintptr_t)p >> 12) * 0x9E3779B97F4A7C15u >> 54];
}

static size_t aligned_to(size_t bytes)
{
    return bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : bytes >= CG_MEM_COUNTED ? page() : 64;
}

/* Whole pages, so that no neighbour shares a huge page with the block's end. Not reserved: a plan of memory asks for
 * blocks that it never writes to. */
static void *map(size_t size, size_t align)
{
    size_t all = size + (align > page() ? align : 0);
    char *p = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
    size_t before = (align - (uintptr_t)p % align) % align;
    if (before) munmap(p, before);
    if (all - before - size) munmap(p + before + size, all - before - size);
    p += before;
    /* Huge pages spare the packed weights most of their TLB misses; refusal does no harm. */
    if (align == HUGE_PAGE) (void)madvise(p, size, MADV_HUGEPAGE);
    return p;
}

static void *fresh(size_t size, size_t align)
{
    if (MAPS && align >= page()) return map(size, align);
    void *p = NULL;
    if (posix_memalign(&p, align, size) != 0) return NULL;
    return memset(p, 0, size);
}

/* Takes a block into the account, or says that the budget does not allow it. */
static int enter(struct block *b)
{
    int ok = 1;
    pthread_mutex_lock(&books.lock);
    if (books.limit && (b->size > books.limit || books.live > books.limit - b->size)) {
        refused.asked = b->size;
        refused.live = books.live;
        refused.limit = books.limit;
        refused.part = b->part;
        ok = 0;
    } else {
        books.live += b->size;
        books.use[b->part].live += b->size;
        if (books.live > books.peak) {
            books.peak = books.live;
            for (int i = 0; i < books.parts; i++) books.use[i].at_peak = books.use[i].live;
        }
    }
    pthread_mutex_unlock(&books.lock);
    return ok;
}

static void leave(const struct block *b)
{
    pthread_mutex_lock(&books.lock);
    books.live -= b->size;
    books.use[b->part].live -= b->size;
    pthread_mutex_unlock(&books.lock);
}

static void *alloc_counted(size_t size, size_t align)
{
    struct block *b = malloc(sizeof *b);
    if (!b) return NULL;
    *b = (struct block){.size = size, .part = current};
    if (!enter(b)) {
        free(b);
        return NULL;
    }
    if (!(b->p = fresh(size, align))) {
        leave(b);
        free(b);
        return NULL;
    }
    void *p = b->p;
    pthread_mutex_lock(&books.lock);
    struct block **at = bucket(p);
    b->next = *at;
    *at = b;
    pthread_mutex_unlock(&books.lock);
    return p;
}

void *cg_alloc(size_t bytes)
{
    size_t align = aligned_to(bytes), unit = align < page() ? align : page();
    refused.asked = 0;
    if (bytes > SIZE_MAX - 2 * HUGE_PAGE) return NULL;
    size_t size = bytes ? (bytes + unit - 1) / unit * unit : unit;
    return align < page() ? fresh(size, align) : alloc_counted(size, align);
}

void *cg_alloc_n(size_t n, size_t size)
{
    if (size != 0 && n > SIZE_MAX / size) return NULL;
    return cg_alloc(n * size);
}

/* Takes the block at p out of the table; NULL: it is not one of those. */
static struct block *take(void *p)
{
    if ((uintptr_t)p % page()) return NULL;
    pthread_mutex_lock(&books.lock);
    struct block **at = bucket(p), *b = NULL;
    while (*at && (*at)->p != p) at = &(*at)->next;
    if ((b = *at)) *at = b->next;
    pthread_mutex_unlock(&books.lock);
    return b;
}

void cg_free(void *p)
{
    struct block *b = p ? take(p) : NULL;
    if (!b) {
        free(p);
        return;
    }
    if (MAPS) munmap(p, b->size);
    else free(p);
    leave(b);
    free(b);
}

const char *cg_mem_part(const char *name)
{
    pthread_mutex_lock(&books.lock);
    const char *before = books.use[current].part;
    int i = 0;
    while (i < books.parts && strcmp(books.use[i].part, name) != 0) i++;
    if (i == books.parts && i < MAX_PARTS) books.use[books.parts++].part = name;
    current = i < MAX_PARTS ? i : 0;
    pthread_mutex_unlock(&books.lock);
    return before;
}

size_t cg_mem_live(void)
{
    pthread_mutex_lock(&books.lock);
    size_t n = books.live;
    pthread_mutex_unlock(&books.lock);
    return n;
}

size_t cg_mem_peak(void)
{
    pthread_mutex_lock(&books.lock);
    size_t n = books.peak;
    pthread_mutex_unlock(&books.lock);
    return n;
}

void cg_mem_restart(void)
{
    pthread_mutex_lock(&books.lock);
    books.peak = books.live;
    for (int i = 0; i < books.parts; i++) books.use[i].at_peak = books.use[i].live;
    pthread_mutex_unlock(&books.lock);
}

size_t cg_mem_uses(struct cg_mem_use *out, size_t max)
{
    pthread_mutex_lock(&books.lock);
    size_t n = (size_t)books.parts;
    memcpy(out, books.use, (n < max ? n : max) * sizeof *out);
    pthread_mutex_unlock(&books.lock);
    return n;
}

size_t cg_mem_limit(size_t bytes)
{
    pthread_mutex_lock(&books.lock);
    size_t before = books.limit;
    books.limit = bytes;
    pthread_mutex_unlock(&books.lock);
    return before;
}

const char *cg_mem_refusal(char *buf, size_t size)
{
    buf[0] = 0;
    if (refused.asked)
        snprintf(buf, size, " (%s: %.1f MiB more would go beyond the memory budget; %.1f of %.1f MiB are in use)",
                 books.use[refused.part].part, (double)refused.asked / 0x1p20, (double)refused.live / 0x1p20,
                 (double)refused.limit / 0x1p20);
    return buf;
}

size_t cg_mem_resident(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    if (f && fscanf(f, "%*u %lu", &pages) != 1) pages = 0;
    if (f) fclose(f);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Not getrusage, which also counts what the program was that called exec. */
size_t cg_mem_resident_peak(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long kib = 0;
    while (f && fgets(line, sizeof line, f) && sscanf(line, "VmHWM: %lu", &kib) != 1)
        ;
    if (f) fclose(f);
    return (size_t)kib * 1024;
}
