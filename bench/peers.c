#include "bench/peers.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

enum cg_status cg_peer_parse(const char *text, struct cg_peer *out)
{
    memset(out, 0, sizeof *out);
    const char *equals = strchr(text, '=');
    const char *library = equals ? equals + 1 : "";
    const char *colon = strrchr(library, ':');
    if (colon && strchr(colon, '/')) colon = NULL; /* part of the path */
    size_t n_name = equals ? (size_t)(equals - text) : 0;
    size_t n_library = colon ? (size_t)(colon - library) : strlen(library);
    const char *file = strrchr(library, '/') ? strrchr(library, '/') + 1 : library;
    const char *symbol = colon ? colon + 1 : strncmp(file, "libdnnl", 7) == 0 ? "dnnl" : "cblas_sgemm";
    if (!n_name || !n_library || !symbol[0])
        return cg_fail(CG_ERR_USER,
                       "--peer %.80s: write NAME=LIBRARY:SYMBOL, for example "
                       "openblas=libopenblas.so.0:cblas_sgemm or onednn=libdnnl.so.2:dnnl",
                       text);
    if (n_name >= sizeof out->name || n_library >= sizeof out->library || strlen(symbol) >= sizeof out->symbol)
        return cg_fail(CG_ERR_USER, "--peer %.80s: the name may have %zu characters, the library %zu, the symbol %zu",
                       text, sizeof out->name - 1, sizeof out->library - 1, sizeof out->symbol - 1);
    memcpy(out->name, text, n_name);
    memcpy(out->library, library, n_library);
    memcpy(out->symbol, symbol, strlen(symbol));
    return CG_OK;
}

/* ---- At work -------------------------------------------------------------------------------------------------------
 */

int cg_rivals(const struct cg_peer *peers, int n, enum cg_op op, struct cg_rival out[CG_MAX_RIVALS])
{
    static const char *const names[] = {"f32", "bf16", "s8s8", "u8s8"};
    int count = 0;
    for (int i = 0; i < n; i++) {
        const struct cg_peer *p = &peers[i];
        if (!p->onednn) {
            if (op != CG_OP_gemm_f32) continue;
            out[count] = (struct cg_rival){.peer = p};
            snprintf(out[count++].name, sizeof out->name, "%s", p->name);
            continue;
        }
        for (int type = 0; type < CG_ONEDNN_TYPES; type++) {
            int wanted = op == CG_OP_gemm_f32  ? type == CG_ONEDNN_F32
                         : op == CG_OP_gemm_s8 ? type == CG_ONEDNN_S8S8 || type == CG_ONEDNN_U8S8
                                               : cg_op_is_gemm(op) && type == CG_ONEDNN_BF16;
            if (!wanted || !cg_onednn_has(p->onednn, (enum cg_onednn_type)type)) continue;
            out[count] = (struct cg_rival){.peer = p, .type = (enum cg_onednn_type)type};
            if (type == CG_ONEDNN_F32) snprintf(out[count++].name, sizeof out->name, "%s", p->name);
            else snprintf(out[count++].name, sizeof out->name, "%s %s", p->name, names[type]);
        }
    }
    return count;
}

static void call_sgemm(cg_sgemm_fn *sgemm, const struct cg_bench_case *c, const float *a, const float *b, float *out)
{
    int m = (int)c->m, n = (int)c->n, k = (int)c->k;
    int ta = c->form == CG_FORM_TN ? TRANS : NO_TRANS, tb = c->form == CG_FORM_NT ? TRANS : NO_TRANS;
    sgemm(ROW_MAJOR, ta, tb, m, n, k, 1.0f, a, c->form == CG_FORM_TN ? m : k, b, c->form == CG_FORM_NT ? k : n, 0.0f,
          out, n);
}

enum cg_status cg_rival_open(const struct cg_rival *r, const struct cg_bench_case *c, const struct cg_plain *plain,
                             size_t cold, struct cg_rival_run *out)
{
    *out = (struct cg_rival_run){.rival = r, .c = c, .plain = *plain};
    if (!r->peer->onednn) return CG_OK;
    enum cg_status st = cg_onednn_matmul_open(r->peer->onednn, r->type, c, plain, cold, &out->matmul);
    return st == CG_OK ? st : cg_fail_in(st, "--peer %s", r->peer->name);
}

void cg_rival_call(struct cg_rival_run *run)
{
    if (run->matmul) {
        cg_onednn_matmul_call(run->matmul);
        return;
    }
    size_t *next = run->plain.next;
    const float *b = run->plain.b + *next * run->plain.b_stride;
    *next = *next + 1 == run->plain.copies ? 0 : *next + 1;
    call_sgemm(run->rival->peer->sgemm, run->c, run->plain.a, b, run->plain.c);
}

void cg_rival_close(struct cg_rival_run *run)
{
    cg_onednn_matmul_close(run->matmul);
    run->matmul = NULL;
}

/* ---- Opening -------------------------------------------------------------------------------------------------------
 */

/* A small product of each form, compared with one in double precision. */
static int multiplies(cg_sgemm_fn *sgemm)
{
    enum { M = 5, N = 7, K = 9 };
    float a[M * K], b[N * K], c[M * N];
    for (int i = 0; i < M * K; i++) a[i] = (float)(i * 7 % 13 - 6);
    for (int i = 0; i < N * K; i++) b[i] = (float)(i * 5 % 11 - 5);
    for (int form = 0; form < 3; form++) {
        struct cg_bench_case shape = {.op = CG_OP_gemm_f32, .form = (enum cg_form)form, .m = M, .n = N, .k = K};
        for (int i = 0; i < M * N; i++) c[i] = NAN;
        call_sgemm(sgemm, &shape, a, b, c);
        for (int i = 0; i < M; i++)
            for (int j = 0; j < N; j++) {
                double sum = 0;
                for (int q = 0; q < K; q++)
                    sum += (form == CG_FORM_TN ? a[q * M + i] : a[i * K + q]) *
                           (form == CG_FORM_NT ? b[j * K + q] : b[q * N + j]);
                if (!(fabs(c[i * N + j] - sum) <= 1e-3)) return 0;
            }
    }
    return 1;
}

static void tell_threads(int threads)
{
    static const char *const names[] = {"OPENBLAS_NUM_THREADS",  "BLIS_NUM_THREADS",  "MKL_NUM_THREADS",
                                        "NVPL_BLAS_NUM_THREADS", "ARMPL_NUM_THREADS", "OMP_NUM_THREADS"};
    char text[16];
    snprintf(text, sizeof text, "%d", threads);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) setenv(names[i], text, 1);
    setenv("MKL_THREADING_LAYER", threads == 1 ? "SEQUENTIAL" : "GNU", 0); /* else it looks for Intel's runtime */
}

enum cg_status cg_peer_open(struct cg_peer *p, int threads)
{
    tell_threads(threads);
    int flags = RTLD_NOW | RTLD_LOCAL;
#ifndef __SANITIZE_ADDRESS__ /* which does not allow it */
    flags |= RTLD_DEEPBIND;  /* so that two libraries with the same symbols do not call each other */
#endif
    void *library = dlopen(p->library, flags);
    if (!library) return cg_fail(CG_ERR_USER, "--peer %s: cannot open the library: %s", p->name, dlerror());
    if (strcmp(p->symbol, "dnnl") == 0) {
        enum cg_status st = cg_onednn_open(library, &p->onednn);
        return st == CG_OK ? st : cg_fail_in(st, "--peer %s", p->name);
    }
    void *symbol = dlsym(library, p->symbol);
    if (!symbol) {
        dlclose(library);
        return cg_fail(CG_ERR_USER, "--peer %s: %s has no function %s", p->name, p->library, p->symbol);
    }
    memcpy(&p->sgemm, &symbol, sizeof symbol);
    if (!multiplies(p->sgemm))
        return cg_fail(CG_ERR_USER,
                       "--peer %s: %s is no CBLAS sgemm with 32-bit integers: a small product came out wrong", p->name,
                       p->symbol);
    return CG_OK;
}
