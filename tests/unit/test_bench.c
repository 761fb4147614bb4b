/* SPDX-License-Identifier: Apache-2.0 */
/* Micro-benchmarks: each kernel is right, and one that is not has no figure. */
#include "accept/bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "support.h"

#define MIB ((size_t)1 << 20)

static struct bench_plan small_plan(uint32_t threads)
{
    struct bench_plan plan;
    bench_plan_init(&plan, true);
    plan.threads = threads;
    plan.rounds = 2;
    plan.copy_bytes = MIB;
    plan.reduce_bytes = MIB / 16;
    plan.seed = 7;
    return plan;
}

static struct bench_result run(const struct bench_plan *plan)
{
    struct bench_result result;
    struct err err = {0};
    assert_int_equal(bench_run(&result, plan, &err), 0);
    return result;
}

/* ---- the kernels ---- */

static void fill(float *m, size_t n, uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    for (size_t i = 0; i < n; i++)
        m[i] = (float)(int)rng_below(&rng, 64) - 32;
}

static void naive(float *c, const float *a, const float *b, uint32_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t k = 0; k < n; k++)
                sum += (double)a[i * n + k] * (double)b[k * n + j];
            c[i * n + j] = (float)sum;
        }
    }
}

/* One block and several, of every set of instructions that is here. */
static void test_products(void **state)
{
    (void)state;
    const uint32_t sides[] = {48, 144, 288};
    const size_t most = (size_t)288 * 288;
    float *m = calloc(4 * most + (size_t)288 * BENCH_PANEL, sizeof *m);
    assert_non_null(m);
    for (size_t s = 0; s < sizeof sides / sizeof sides[0]; s++) {
        const uint32_t n = sides[s];
        const char *name = NULL;
        fill(m, 2 * most, s + 1);
        naive(m + 2 * most, m, m + most, n);
        assert_non_null(bench_matrix_kernel(0, &name));
        for (uint32_t i = 0; bench_matrix_kernel(i, &name); i++) {
            memset(m + 3 * most, 0xff, most * sizeof *m);
            bench_matrix_kernel(i, &name)(m + 3 * most, m, m + most, m + 4 * most, n);
            for (size_t k = 0; k < (size_t)n * n; k++) {
                if (m[3 * most + k] != m[2 * most + k])
                    fail_msg("%s, side %u, number %zu: %g, not %g", name, (unsigned)n, k,
                             (double)m[3 * most + k], (double)m[2 * most + k]);
            }
        }
        assert_string_equal(name, bench_matrix_isa());
    }
    free(m);
}

/* The ring, for numbers of threads that divide nothing; each thread compares with the sum. */
static void test_threads(void **state)
{
    (void)state;
    const uint32_t threads[] = {1, 2, 3, 5, 8};
    for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++) {
        struct bench_plan plan = small_plan(threads[i]);
        struct bench_result result = run(&plan);
        assert_int_equal(result.threads, threads[i]);
        for (int k = 0; k < BENCH_END; k++) {
            const struct bench_figure *f = &result.figure[k];
            assert_false(f->wrong);
            if (k == BENCH_REDUCE && threads[i] == 1) {
                assert_int_equal(f->value, 0);
                assert_string_equal(f->why, "not measured: there is one thread only");
            } else {
                assert_in_range(f->rounds, 1, plan.rounds);
                assert_true(f->value > 0);
            }
        }
    }
}

/* The budget bounds the rounds: with none left, one of each. */
static void test_budget(void **state)
{
    (void)state;
    struct bench_plan plan = small_plan(2);
    plan.budget_ms = 0;
    plan.rounds = BENCH_ROUNDS_MAX;
    struct bench_result result = run(&plan);
    for (int k = 0; k < BENCH_END; k++) {
        assert_int_equal(result.figure[k].rounds, 1);
        assert_true(result.figure[k].value > 0);
    }
}

/* ---- planted ---- */

static void one_number_off(float *c, const float *a, const float *b, float *pack, uint32_t n)
{
    bench_matrix(c, a, b, pack, n);
    c[(size_t)n * n - 1] += 1;
}

static void two_numbers_swapped(float *c, const float *a, const float *b, float *pack, uint32_t n)
{
    bench_matrix(c, a, b, pack, n);
    for (uint32_t j = 1; j < n; j++) {
        if (c[0] != c[j]) {
            float first = c[0];
            c[0] = c[j];
            c[j] = first;
            return;
        }
    }
}

static void does_nothing(float *c, const float *a, const float *b, float *pack, uint32_t n)
{
    (void)c, (void)a, (void)b, (void)pack, (void)n;
}

static void *last_byte_missing(void *dst, const void *src, size_t len)
{
    return memcpy(dst, src, len - 1);
}

static void one_sum_missing(float *dst, const float *src, size_t n)
{
    float kept = dst[n / 2];
    bench_add(dst, src, n);
    dst[n / 2] = kept + src[n / 2] + 1;
}

static void check_wrong(const struct bench_plan *plan, unsigned wrong)
{
    struct bench_result result = run(plan);
    for (unsigned k = 0; k < BENCH_END; k++) {
        const struct bench_figure *f = &result.figure[k];
        assert_int_equal(f->wrong, wrong >> k & 1);
        assert_int_equal(f->value == 0, f->wrong);
        if (f->wrong)
            assert_int_equal(strncmp(f->why, "wrong: ", 7), 0);
    }
}

static void test_wrong(void **state)
{
    (void)state;
    bench_matrix_fn *const matrices[] = {one_number_off, two_numbers_swapped, does_nothing};
    struct bench_plan plan = small_plan(3);
    check_wrong(&plan, 0);
    for (size_t i = 0; i < sizeof matrices / sizeof matrices[0]; i++) {
        plan.matrix = matrices[i];
        check_wrong(&plan, 1u << BENCH_MATRIX | 1u << BENCH_MATRIX_ALL);
    }
    plan = small_plan(3);
    plan.copy = last_byte_missing;
    check_wrong(&plan, 1u << BENCH_COPY);
    plan = small_plan(3);
    plan.add = one_sum_missing;
    check_wrong(&plan, 1u << BENCH_REDUCE);
}

/* ---- units ---- */

#define BURNT_NS 20000000u

static void burn(void)
{
    struct timespec t;
    uint64_t begin = 0, now;
    do {
        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
        begin = begin ? begin : now;
    } while (now - begin < BURNT_NS);
}

static void slow_matrix(float *c, const float *a, const float *b, float *pack, uint32_t n)
{
    burn();
    bench_matrix(c, a, b, pack, n);
}

static void *slow_copy(void *dst, const void *src, size_t len)
{
    burn();
    return memcpy(dst, src, len);
}

static void slow_add(float *dst, const float *src, size_t n)
{
    burn();
    bench_add(dst, src, n);
}

/* Kernels that use a known time at least can be no faster than that, and a copy of a MiB not far slower. */
static void test_units(void **state)
{
    (void)state;
    struct bench_plan plan = small_plan(2);
    plan.matrix = slow_matrix;
    plan.copy = slow_copy;
    plan.add = slow_add;
    struct bench_result result = run(&plan);
    const uint64_t side = BENCH_SIDE, copy = 2 * MIB * 1000 / BURNT_NS;
    const uint64_t product = 2 * side * side * side * 1000 / BURNT_NS;
    assert_in_range(result.figure[BENCH_MATRIX].value, 1, product);
    assert_in_range(result.figure[BENCH_MATRIX_ALL].value, 1, 2 * product);
    assert_in_range(result.figure[BENCH_COPY].value, copy / 10, copy);
    assert_true(result.figure[BENCH_REDUCE].value <= plan.reduce_bytes * 1000 / BURNT_NS);
}

/* What is measured is never more than the machine may give: threads, memory. */
static void test_plan(void **state)
{
    (void)state;
    struct bench_plan quick, full;
    bench_plan_init(&quick, true);
    bench_plan_init(&full, false);
    assert_in_range(quick.threads, 1, BENCH_THREADS_MAX);
    assert_true(quick.rounds < full.rounds && full.rounds <= BENCH_ROUNDS_MAX);
    assert_true(quick.budget_ms < 2000 && full.budget_ms < 10000);
    assert_true(quick.copy_bytes <= full.copy_bytes && full.copy_bytes <= 512 * MIB);
    assert_true(full.reduce_bytes * full.threads <= 512 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products), cmocka_unit_test(test_threads), cmocka_unit_test(test_budget),
        cmocka_unit_test(test_wrong),    cmocka_unit_test(test_units),   cmocka_unit_test(test_plan),
    };
    return cmocka_run_group_tests_name("bench", tests, NULL, NULL);
}
