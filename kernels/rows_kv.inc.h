/* The row operations of attention, part of kernels/rows.inc.h: small products with 16 columns at a time. Sizes of a tile
 * are constants where it is inlined, so that its sums stay in registers. */
#define INLINE static inline __attribute__((always_inline))
#define EACH_ROW _Pragma("GCC unroll 6") for (size_t i = 0; i < rows; i++)
#define EACH_COL _Pragma("GCC unroll 4") for (size_t v = 0; v < cols; v++)

INLINE void dot16(size_t rows, size_t k, const float *a, size_t rs_a, const float *b, size_t rs_b, float *c,
                  size_t rs_c)
{
    v16 acc[6];
    EACH_ROW acc[i] = v_set1(0.0f);
    for (size_t p = 0; p < k; p++) {
        v16 y = v_load(b + p * rs_b, 16);
        EACH_ROW acc[i] = v_fma(v_set1(a[i * rs_a + p]), y, acc[i]);
    }
    EACH_ROW v_store(c + i * rs_c, 16, acc[i]);
}

void CG_ROW(dot16_f32)(size_t m, size_t k, const float *a, size_t rs_a, const float *b, size_t rs_b, float *c,
                       size_t rs_c)
{
    switch (m) {
    case 1: dot16(1, k, a, rs_a, b, rs_b, c, rs_c); break;
    case 2: dot16(2, k, a, rs_a, b, rs_b, c, rs_c); break;
    case 3: dot16(3, k, a, rs_a, b, rs_b, c, rs_c); break;
    case 4: dot16(4, k, a, rs_a, b, rs_b, c, rs_c); break;
    case 5: dot16(5, k, a, rs_a, b, rs_b, c, rs_c); break;
    case 6: dot16(6, k, a, rs_a, b, rs_b, c, rs_c); break;
    }
}

/* What a cache holds; the two of s8 differ in what a scale belongs to. */
enum kv_kind { KV_F32, KV_BF16, KV_COLUMN_S8, KV_ROW_S8 };

struct kv_source {
    const void *b;
    size_t ps, rs;
    const float *scale;
};

/* Panels from column j on. */
INLINE struct kv_source kv_from(enum kv_kind kind, struct kv_source s, size_t j)
{
    size_t at = j / 16 * s.ps;
    if (kind == KV_F32) s.b = (const float *)s.b + at;
    else if (kind == KV_BF16) s.b = (const uint16_t *)s.b + at;
    else s.b = (const int8_t *)s.b + at;
    if (kind == KV_COLUMN_S8) s.scale += j;
    return s;
}

/* Row p of panel v as f32. */
INLINE v16 kv_row(enum kv_kind kind, struct kv_source s, size_t v, size_t p)
{
    size_t at = v * s.ps + p * s.rs;
    if (kind == KV_F32) return v_load((const float *)s.b + at, 16);
    if (kind == KV_BF16) return v_load_bf16((const uint16_t *)s.b + at, 16);
    v16 scale = kind == KV_COLUMN_S8 ? v_load(s.scale + 16 * v, 16) : v_set1(s.scale[p]);
    return v_mul(v_load_s8((const int8_t *)s.b + at, 16), scale);
}

INLINE void kv_tile(enum kv_kind kind, size_t rows, size_t cols, size_t k, const float *a, size_t rs_a,
                    struct kv_source s, float *c, size_t rs_c, int accumulate)
{
    v16 acc[KV_ROWS][KV_COLS];
    EACH_ROW EACH_COL acc[i][v] = accumulate ? v_load(c + i * rs_c + 16 * v, 16) : v_set1(0.0f);
    for (size_t p = 0; p < k; p++) EACH_COL {
            v16 y = kv_row(kind, s, v, p);
            EACH_ROW acc[i][v] = v_fma(v_set1(a[i * rs_a + p]), y, acc[i][v]);
        }
    EACH_ROW EACH_COL v_store(c + i * rs_c + 16 * v, 16, acc[i][v]);
}

INLINE void kv_tile_cols(enum kv_kind kind, size_t rows, size_t cols, size_t k, const float *a, size_t rs_a,
                         struct kv_source s, float *c, size_t rs_c, int accumulate)
{
    /* Few columns at once are few chains, which wait for each other: as many as there are. */
    switch (cols) {
    case 1: kv_tile(kind, rows, 1, k, a, rs_a, s, c, rs_c, accumulate); break;
#if KV_COLS > 2
    case 2: kv_tile(kind, rows, 2, k, a, rs_a, s, c, rs_c, accumulate); break;
    case 3: kv_tile(kind, rows, 3, k, a, rs_a, s, c, rs_c, accumulate); break;
#endif
    default: kv_tile(kind, rows, KV_COLS, k, a, rs_a, s, c, rs_c, accumulate); break;
    }
}

#define KV_CASE(R)                                                                                                     \
    case R: kv_tile_cols(kind, R <= KV_ROWS ? R : KV_ROWS, cols, k, ai, rs_a, sj, ci, rs_c, accumulate); break;

/* A few panels stay in L1 while all rows pass. */
INLINE void kv_product(enum kv_kind kind, size_t m, size_t n, size_t k, const float *a, size_t rs_a,
                       struct kv_source s, float *c, size_t rs_c, int accumulate)
{
    size_t tiles = (m + KV_ROWS - 1) / KV_ROWS;
    for (size_t j = 0; j < n; j += 16 * KV_COLS) {
        size_t cols = (n - j) / 16 < KV_COLS ? (n - j) / 16 : KV_COLS;
        struct kv_source sj = kv_from(kind, s, j);
        for (size_t t = 0, i = 0, rows; t < tiles; t++, i += rows) {
            const float *ai = a + i * rs_a;
            float *ci = c + i * rs_c + j;
            rows = m / tiles + (t < m % tiles);
            switch (rows) {
                KV_CASE(1)
                KV_CASE(2)
                KV_CASE(3)
#if KV_ROWS > 3
                KV_CASE(4)
                KV_CASE(5)
                KV_CASE(6)
#endif
            }
        }
    }
}

void CG_ROW(kv_f32)(size_t m, size_t n, size_t k, const float *a, size_t rs_a, const float *b, size_t ps_b,
                    size_t rs_b, float *c, size_t rs_c, int accumulate)
{
    kv_product(KV_F32, m, n, k, a, rs_a, (struct kv_source){b, ps_b, rs_b, NULL}, c, rs_c, accumulate);
}

void CG_ROW(kv_bf16)(size_t m, size_t n, size_t k, const float *a, size_t rs_a, const uint16_t *b, size_t ps_b,
                     float *c, size_t rs_c, int accumulate)
{
    kv_product(KV_BF16, m, n, k, a, rs_a, (struct kv_source){b, ps_b, 16, NULL}, c, rs_c, accumulate);
}

void CG_ROW(kv_keys_s8)(size_t m, size_t n, size_t k, const float *a, size_t rs_a, const int8_t *b, size_t ps_b,
                        const float *scale, float *c, size_t rs_c, int accumulate)
{
    kv_product(KV_COLUMN_S8, m, n, k, a, rs_a, (struct kv_source){b, ps_b, 16, scale}, c, rs_c, accumulate);
}

void CG_ROW(kv_values_s8)(size_t m, size_t n, size_t k, const float *a, size_t rs_a, const int8_t *b, size_t ps_b,
                          const float *scale, float *c, size_t rs_c, int accumulate)
{
    kv_product(KV_ROW_S8, m, n, k, a, rs_a, (struct kv_source){b, ps_b, 16, scale}, c, rs_c, accumulate);
}
