/* Micro-measurements. Everything that is measured is a probe; rounds go over all probes in turn, so that whatever
 * disturbs the machine for a moment disturbs each of them alike, and each figure is the typical of its samples. */
#include "autotune/rates.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <time.h>

#include "autotune/plan.h"
#include "autotune/rates_probes.h"
#include "common/clock.h"
#include "common/mem.h"
#include "kernels/peak.h"

enum { MAX_PROBES = 1024, PEAK_ROUNDS = 20000, REGIONS = 32, ATTEMPTS = 4 };
#define UNDISTURBED 0.9                 /* share of the processors that a sample must have had */
#define ARENA_BYTES ((size_t)256 << 20) /* beyond all caches but the very largest */
#define ARENA_LEAST ((size_t)8 << 20)
#define TIMED_BYTES ((size_t)8 << 20)   /* of a large working set */
#define ENOUGH_BYTES ((size_t)64 << 20) /* of all threads */
#define ROUGH 1e-9                      /* where the clock has seen nothing */

struct probes {
    struct cg_rates_taken p[MAX_PROBES];
    size_t n;
};

static void add(struct probes *all, struct cg_rates_probe is)
{
    if (all->n < MAX_PROBES) all->p[all->n++] = (struct cg_rates_taken){.is = is};
}

/* ---- What is measured -------------------------------------------------------------------------------------------- */

static int ascending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return a < b ? -1 : a > b;
}

static double take_peak(const struct cg_machine *m, const struct cg_rates_probe *p)
{
    double rate = 0;
#pragma omp parallel num_threads(p->threads) reduction(+ : rate)
    {
        cg_peak_run(p->variant, m->sve_bytes, PEAK_ROUNDS / 10); /* wide units wake up slowly */
        double start = cg_now(), ops = cg_peak_run(p->variant, m->sve_bytes, PEAK_ROUNDS);
        rate += ops / (cg_now() - start);
    }
    return 1 / rate;
}

/* A part of the working set is timed, after all of it has passed by since that part was used last (or as much as no
 * cache holds): short samples are seldom disturbed. */
static double take_pass(const struct cg_rates_bench *b, const struct cg_rates_probe *p)
{
    double rate = 0;
    size_t n = (size_t)p->threads, apart = b->arena_size / n / 4096 * 4096, size = p->size;
    size_t part = size < TIMED_BYTES ? size : TIMED_BYTES, by = size < ENOUGH_BYTES / n ? size : ENOUGH_BYTES / n;
#pragma omp parallel num_threads(p->threads) reduction(+ : rate)
    {
        char *mine = b->arena + apart * (size_t)omp_get_thread_num();
        cg_limit_pass(b->m, mine, part, p->way);
        if (by > part) cg_limit_pass(b->m, mine + part, by - part, CG_READ);
#pragma omp barrier
        rate += 1 / cg_limit_pass(b->m, mine, part, p->way);
    }
    return p->threads / rate;
}

/* The quarter that is fastest: a thread that is waked late says nothing about the region. */
static double take_region(const struct cg_rates_probe *p)
{
    int sum = 0;
    double x[REGIONS];
    for (int i = 0; i < REGIONS; i++) {
        double start = cg_now();
#pragma omp parallel num_threads(p->threads)
        {
#pragma omp atomic
            sum++;
        }
        x[i] = cg_now() - start;
    }
    qsort(x, REGIONS, sizeof *x, ascending);
    return x[REGIONS / 4];
}

static double take_once(struct cg_rates_bench *b, const struct cg_rates_probe *p)
{
    if (p->kind == CG_PROBE_PEAK) return take_peak(b->m, p);
    if (p->kind == CG_PROBE_PASS) return take_pass(b, p);
    if (p->kind == CG_PROBE_REGION) return take_region(p);
    if (p->kind == CG_PROBE_ROW) return cg_rates_row(b, p);
    return cg_rates_gemm(b, p);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Taken again while other programs had the processors, but not for ever, nor after `end`. 0 when the clock has seen
 * nothing. */
static double take(struct cg_rates_bench *b, const struct cg_rates_probe *p, double end)
{
    double best = 0;
    for (int i = 0, disturbed = 1; i < ATTEMPTS && disturbed; i++) {
        double cpu = cpu_seconds(), wall = cg_now(), x = take_once(b, p);
        cpu = cpu_seconds() - cpu;
        wall = cg_now() - wall;
        disturbed = cpu < UNDISTURBED * wall * (p->threads > 1 ? p->threads : 1) && cg_now() < end;
        if (x > 0 && x < INFINITY && (best <= 0 || x < best)) best = x;
    }
    return best;
}

static void add_passes(struct probes *all, const struct cg_rates_bench *b, int threads, int is_all)
{
    static const enum cg_way ways[] = {CG_READ, CG_READ_PREFETCH, CG_READ_ROWS,   CG_WRITE,
                                       CG_COPY, CG_WRITE_TILES,   CG_UPDATE_TILES};
    for (size_t i = 0; i < CG_RATE_SIZES && cg_rate_size(i) <= b->arena_size / (size_t)threads; i++)
        for (size_t w = 0; w < sizeof ways / sizeof *ways; w++)
            add(all,
                (struct cg_rates_probe){
                    .kind = CG_PROBE_PASS, .threads = threads, .all = is_all, .size = cg_rate_size(i), .way = ways[w]});
}

static void add_peak(struct probes *all, const struct cg_variant *v, int threads)
{
    if (cg_peak_level(v) == CG_ISA_SCALAR) return;
    for (size_t i = 0; i < all->n; i++) {
        const struct cg_variant *w = all->p[i].is.variant;
        if (all->p[i].is.kind == CG_PROBE_PEAK && cg_rates_peak_op(w) == cg_rates_peak_op(v) &&
            cg_peak_level(w) == cg_peak_level(v))
            return;
    }
    add(all, (struct cg_rates_probe){.kind = CG_PROBE_PEAK, .variant = v, .threads = 1});
    add(all, (struct cg_rates_probe){.kind = CG_PROBE_PEAK, .variant = v, .threads = threads, .all = 1});
}

/* Every GEMM with each of its numbers of rows. */
static void add_variants(struct probes *all, const struct cg_machine *m, int threads)
{
    size_t count;
    const struct cg_variant *v = cg_variants(&count);
    for (size_t i = 0; i < count; i++) {
        if (!cg_op_is_gemm(v[i].op) || !cg_variant_runs(&v[i], m->isa)) continue;
        add_peak(all, &v[i], threads);
        size_t rows[CG_RATE_ROWS] = {1, (v[i].mr + 1u) / 2, v[i].mr};
        for (size_t r = 0; r < CG_RATE_ROWS; r++) {
            if (r && rows[r] == rows[r - 1]) continue;
            for (int kind = CG_PROBE_LONG; kind <= CG_PROBE_TILES; kind++)
                add(all, (struct cg_rates_probe){.kind = (enum cg_rates_kind)kind, .variant = &v[i], .rows = rows[r]});
        }
    }
}

/* What does not depend on the variant, by that of the default. */
static void add_others(struct probes *all, const struct cg_machine *m, int threads)
{
    const struct cg_variant *v = cg_plan_default(m, CG_OP_gemm_f32, CG_FORM_NT, 0, 64, 960, 576, 1).variant;
    if (threads > 1) add(all, (struct cg_rates_probe){.kind = CG_PROBE_REGION, .threads = threads});
    for (int kind = CG_PROBE_CALL; kind <= CG_PROBE_PACK_FAR; kind++)
        add(all, (struct cg_rates_probe){.kind = (enum cg_rates_kind)kind, .variant = v});
    for (size_t i = 0; i < CG_RATED_ROW_COUNT; i++)
        for (int many = 0; many < 2; many++) {
            struct cg_rates_probe is = {.kind = CG_PROBE_ROW};
            is.size = cg_rates_rated_row(i, many, &is.op);
            add(all, is);
        }
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

/* Samples of everything in turn until `end`. The first of each are taken whatever time it is, but not after `last`. */
static enum cg_status rounds(struct cg_rates_bench *b, struct probes *all, double end, double last,
                             const volatile sig_atomic_t *stop)
{
    for (size_t round = 0; round < CG_RATES_SAMPLES; round++)
        for (size_t i = 0; i < all->n; i++) {
            struct cg_rates_taken *p = &all->p[i];
            if (stop && *stop) return cg_fail(CG_ERR_INTERRUPTED, "stopped while measuring the machine");
            if (round > 0 && cg_now() >= end) return CG_OK;
            if (round == 0 && cg_now() >= last)
                return cg_fail(CG_ERR_CHECK, "measuring them takes too long on a machine this slow or busy");
            double x = take(b, &p->is, end);
            if (x > 0) p->sample[p->n++] = x;
            else if (p->n == 0) p->sample[p->n++] = ROUGH;
        }
    return CG_OK;
}

/* The most memory for working sets that the machine gives. */
static int find_arena(struct cg_rates_bench *b, int threads)
{
    size_t least = (size_t)threads * 2 * cg_rate_size(0);
    for (b->arena_size = ARENA_BYTES; b->arena_size >= ARENA_LEAST && b->arena_size >= least; b->arena_size /= 2)
        if ((b->arena = cg_alloc(b->arena_size))) return 1;
    return 0;
}

enum cg_status cg_rates_measure(const struct cg_machine *m, int threads, double seconds, double most,
                                const volatile sig_atomic_t *stop, struct cg_rates *r)
{
    double start = cg_now();
    struct cg_rates_bench b = {.m = m};
    struct probes *all = cg_alloc(sizeof *all);
    enum cg_status st;
    if (all && find_arena(&b, threads) && cg_rates_bench_open(&b)) {
        add_passes(all, &b, 1, 0);
        add_passes(all, &b, threads, 1);
        add_others(all, m, threads);
        add_variants(all, m, threads);
        st = rounds(&b, all, start + seconds, start + most, stop);
        if (st == CG_OK) cg_rates_collect(all->p, all->n, threads, r);
    } else {
        st = cg_fail(CG_ERR_MEMORY, "not enough memory to measure the machine");
    }
    cg_rates_bench_close(&b);
    cg_free(b.arena);
    cg_free(all);
    return st;
}
