/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Micro-benchmarks of the processors of this machine: a product of matrices, a copy of memory, a sum over threads.
 *
 * Each is run several times and the median counts. What runs on one thread is measured in that thread's CPU time, so that other work on
 * the machine does not count; what runs on all of them is measured by the wall clock. Every round's result is checked, outside of what is measured: the
 * operands are small whole numbers, so each sum is exact in a float in whatever order it is added up, and one wrong number is a wrong
 * round. A kernel that computes wrong has no figure.
 *
 * Bounds: BENCH_THREADS_MAX threads, no more than this process may run on; `budget_ms` of all, looked at between rounds; an eighth of the free memory a buffer.
 */
#ifndef BUSBAR_ACCEPT_BENCH_H
#define BUSBAR_ACCEPT_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define BENCH_THREADS_MAX 64u
#define BENCH_ROUNDS_MAX 9u
#define BENCH_SIDE 480u /* of a matrix: a multiple of BENCH_PANEL, and of 4, 6 and 8 rows */
#define BENCH_PANEL 16u

/* c = a * b, n by n; `pack`: n * BENCH_PANEL floats of the kernel's own. */
typedef void bench_matrix_fn(float *c, const float *a, const float *b, float *pack, uint32_t n);
typedef void *bench_copy_fn(void *dst, const void *src, size_t len);
/* One thread's step: dst[i] += src[i]. */
typedef void bench_add_fn(float *dst, const float *src, size_t n);

struct bench_plan {
    uint32_t threads, rounds, budget_ms;
    size_t copy_bytes, reduce_bytes; /* a buffer; the second a thread's */
    uint64_t seed;
    bench_matrix_fn *matrix; /* the kernels, so that a test can plant wrong ones */
    bench_copy_fn *copy;
    bench_add_fn *add;
};

enum bench_what { BENCH_MATRIX, BENCH_MATRIX_ALL, BENCH_COPY, BENCH_REDUCE, BENCH_END };

struct bench_figure {
    uint64_t value; /* median; MFLOP/s or MB/s (10^6); 0: see `why` */
    uint32_t rounds;
    bool wrong; /* a result was not what it must be */
    char why[96];
};

struct bench_result {
    struct bench_figure figure[BENCH_END];
    uint32_t threads;
    uint64_t copy_bytes, reduce_bytes, cache_bytes; /* the last: 0 where the system does not tell */
    uint64_t wall_ms;
};

/* For this machine. */
void bench_plan_init(struct bench_plan *plan, bool quick);
/* A wrong result is no error, but told in the figure. ERR_NO_MEMORY, ERR_LIMIT where a thread cannot be had; with words. */
int bench_run(struct bench_result *result, const struct bench_plan *plan, struct err *err);
/* "matrix_mflops" and so on: the member's name in JSON. */
const char *bench_name(enum bench_what what);

/* ---- the kernels (bench_kernel.c) ---- */

bench_matrix_fn bench_matrix;
bench_add_fn bench_add;
/* The i-th product that this processor can run, the fastest last, and its name; NULL past them. bench_matrix is the last. */
bench_matrix_fn *bench_matrix_kernel(uint32_t i, const char **name);
/* "avx512", "avx2", "plain": that of bench_matrix. */
const char *bench_matrix_isa(void);

#endif
