/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels of the micro-benchmarks: a product in blocks that fit the caches, written once and compiled for what processors have. */
#include <string.h>

#include "accept/bench.h"

#define DEPTH 240u /* of a block: a packed panel of it is 15 KiB, half of a first cache */
#define ROWS_MAX 8u

typedef float panel_row __attribute__((vector_size(BENCH_PANEL * sizeof(float)), aligned(4), may_alias));

/* `rows` rows of c and one panel of its columns, over `depth` of the products. */
static inline __attribute__((always_inline)) void tile(float *c, const float *a, const float *pack,
                                                       uint32_t n, uint32_t depth, uint32_t rows)
{
    panel_row sum[ROWS_MAX];
#pragma GCC unroll 8
    for (uint32_t r = 0; r < rows; r++)
        memcpy(&sum[r], c + (size_t)r * n, sizeof sum[r]);
    for (uint32_t k = 0; k < depth; k++) {
        panel_row b;
        memcpy(&b, pack + (size_t)k * BENCH_PANEL, sizeof b);
#pragma GCC unroll 8
        for (uint32_t r = 0; r < rows; r++)
            sum[r] += a[(size_t)r * n + k] * b;
    }
#pragma GCC unroll 8
    for (uint32_t r = 0; r < rows; r++)
        memcpy(c + (size_t)r * n, &sum[r], sizeof sum[r]);
}

static inline __attribute__((always_inline)) void product(float *c, const float *a, const float *b,
                                                          float *pack, uint32_t n, uint32_t rows)
{
    memset(c, 0, (size_t)n * n * sizeof *c);
    for (uint32_t k = 0; k < n; k += DEPTH) {
        uint32_t depth = n - k < DEPTH ? n - k : DEPTH;
        for (uint32_t j = 0; j < n; j += BENCH_PANEL) {
            for (uint32_t i = 0; i < depth; i++)
                memcpy(pack + (size_t)i * BENCH_PANEL, b + (size_t)(k + i) * n + j, BENCH_PANEL * sizeof *b);
            for (uint32_t i = 0; i < n; i += rows)
                tile(c + (size_t)i * n + j, a + (size_t)i * n + k, pack, n, depth, rows);
        }
    }
}

static void product_plain(float *c, const float *a, const float *b, float *pack, uint32_t n)
{
    product(c, a, b, pack, n, 4);
}

#ifdef __x86_64__
__attribute__((target("avx2,fma"))) static void product_avx2(float *c, const float *a, const float *b,
                                                             float *pack, uint32_t n)
{
    product(c, a, b, pack, n, 6);
}

__attribute__((target("avx512f"))) static void product_avx512(float *c, const float *a, const float *b,
                                                              float *pack, uint32_t n)
{
    product(c, a, b, pack, n, 8);
}
#endif

static const struct {
    const char *name;
    bench_matrix_fn *run;
} kernels[] = {
    {"plain", product_plain},
#ifdef __x86_64__
    {"avx2", product_avx2},
    {"avx512", product_avx512},
#endif
};

static uint32_t which(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return 1;
#endif
    return 0;
}

bench_matrix_fn *bench_matrix_kernel(uint32_t i, const char **name)
{
    if (i > which())
        return NULL;
    *name = kernels[i].name;
    return kernels[i].run;
}

const char *bench_matrix_isa(void)
{
    return kernels[which()].name;
}

void bench_matrix(float *c, const float *a, const float *b, float *pack, uint32_t n)
{
    kernels[which()].run(c, a, b, pack, n);
}

void bench_add(float *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] += src[i];
}
