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
    const char *symbol = colon ? colon + 1 : "cblas_sgemm";
    if (!n_name || !n_library || !symbol[0])
        return cg_fail(CG_ERR_USER,
                       "--peer %.80s: write NAME=LIBRARY:SYMBOL, for example "
                       "openblas=libopenblas.so.0:cblas_sgemm",
                       text);
    if (n_name >= sizeof out->name || n_library >= sizeof out->library || strlen(symbol) >= sizeof out->symbol)
        return cg_fail(CG_ERR_USER, "--peer %.80s: the name may have %zu characters, the library %zu, the symbol %zu",
                       text, sizeof out->name - 1, sizeof out->library - 1, sizeof out->symbol - 1);
    memcpy(out->name, text, n_name);
    memcpy(out->library, library, n_library);
    memcpy(out->symbol, symbol, strlen(symbol));
    return CG_OK;
}

void cg_peer_call(const struct cg_peer *p, const struct cg_bench_case *c, const float *a, const float *b, float *out)
{
    int m = (int)c->m, n = (int)c->n, k = (int)c->k;
    int ta = c->form == CG_FORM_TN ? TRANS : NO_TRANS, tb = c->form == CG_FORM_NT ? TRANS : NO_TRANS;
    p->sgemm(ROW_MAJOR, ta, tb, m, n, k, 1.0f, a, c->form == CG_FORM_TN ? m : k, b, c->form == CG_FORM_NT ? k : n, 0.0f,
             out, n);
}

/* A small product of each form, compared with one in double precision. */
static int multiplies(const struct cg_peer *p)
{
    enum { M = 5, N = 7, K = 9 };
    float a[M * K], b[N * K], c[M * N];
    for (int i = 0; i < M * K; i++) a[i] = (float)(i * 7 % 13 - 6);
    for (int i = 0; i < N * K; i++) b[i] = (float)(i * 5 % 11 - 5);
    for (int form = 0; form < 3; form++) {
        struct cg_bench_case shape = {.op = CG_OP_gemm_f32, .form = (enum cg_form)form, .m = M, .n = N, .k = K};
        for (int i = 0; i < M * N; i++) c[i] = NAN;
        cg_peer_call(p, &shape, a, b, c);
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
    void *symbol = dlsym(library, p->symbol);
    if (!symbol) {
        dlclose(library);
        return cg_fail(CG_ERR_USER, "--peer %s: %s has no function %s", p->name, p->library, p->symbol);
    }
    memcpy(&p->sgemm, &symbol, sizeof symbol);
    if (!multiplies(p))
        return cg_fail(CG_ERR_USER,
                       "--peer %s: %s is no CBLAS sgemm with 32-bit integers: a small product came out wrong", p->name,
                       p->symbol);
    return CG_OK;
}
