/* SPDX-License-Identifier: Apache-2.0 */
#include "accept/bench.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"

#define MIB ((size_t)1 << 20)
#define COPY_MIN (64 * MIB)
#define COPY_MAX (512 * MIB)
#define COPY_QUICK_MAX (128 * MIB)
#define CACHES 4u          /* a buffer is so many times the last cache, if it may */
#define ROUND_NS 30000000u /* a product is repeated so long */
#define LINE 64u
#define EXACT 16777216.0f /* whole numbers below it are exact in a float */

struct bench {
    const struct bench_plan *plan;
    struct bench_result *result;
    uint64_t begin_ns;
};

/* What one of several threads does; `barrier` is for all of them. */
struct team {
    pthread_mutex_t gate;
    pthread_barrier_t barrier;
    bool abandoned, stop;
    const struct bench *bench;
    struct member *member;
    uint32_t threads;
    void (*work)(struct team *team, struct member *m);
    struct bench_figure *figure;
    uint64_t taken[BENCH_ROUNDS_MAX];
};

struct member {
    struct team *team;
    uint32_t at;
    pthread_t thread;
    float *data;               /* what it has for itself */
    uint64_t begin_ns, end_ns; /* of its part of this round */
    bool wrong;
};

static const char *const names[BENCH_END] = {"matrix_mflops", "matrix_all_mflops", "copy_mb_s",
                                             "allreduce_mb_s"};

const char *bench_name(enum bench_what what)
{
    return names[what];
}

static uint64_t thread_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Whether the share of the budget that ends with `what` is used. */
static bool is_late(const struct bench *b, enum bench_what what)
{
    uint64_t share = (uint64_t)b->plan->budget_ms * 1000000u * ((uint64_t)what + 1) / BENCH_END;
    return clock_mono_ns() - b->begin_ns > share;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Of `amount` in each round's time, per second, in millions. */
static void settle(struct bench_figure *f, uint64_t *taken, uint64_t amount)
{
    if (f->wrong || f->rounds == 0) {
        f->value = 0;
        return;
    }
    qsort(taken, f->rounds, sizeof *taken, by_size);
    uint64_t ns = taken[f->rounds / 2];
    f->value = (uint64_t)((double)amount * 1000.0 / (double)(ns > 0 ? ns : 1));
}

static void say_wrong(struct bench_figure *f, const char *what)
{
    f->wrong = true;
    (void)snprintf(f->why, sizeof f->why, "wrong: %s", what);
}

static float *take(size_t n)
{
    return aligned_alloc(LINE, (n * sizeof(float) + LINE - 1) / LINE * LINE);
}

/* ---- products ---- */

/* The matrices of a thread lie one behind the other: a, b, c, and the kernel's panel. */
#define MATRIX ((size_t)BENCH_SIDE * BENCH_SIDE)
#define PRODUCT_FLOP (2 * (uint64_t)MATRIX * BENCH_SIDE)
#define ALL_TIMES_MAX 64u
#define MATRICES (3 * MATRIX + (size_t)BENCH_SIDE * BENCH_PANEL)

static void matrix_fill(float *m, uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    for (size_t i = 0; i < 2 * MATRIX; i++)
        m[i] = (float)(int)(rng_next(&rng) & 15) - 8;
    memset(m + 2 * MATRIX, 0xff, MATRIX * sizeof *m); /* no number */
}

/* out = m * x, exactly; false: what is in m is no whole number that is exact. */
static bool apply(int64_t *out, const float *m, const int64_t *x)
{
    for (uint32_t i = 0; i < BENCH_SIDE; i++) {
        out[i] = 0;
        for (uint32_t j = 0; j < BENCH_SIDE; j++) {
            float v = m[(size_t)i * BENCH_SIDE + j];
            if (!(fabsf(v) < EXACT) || v != (float)(int64_t)v)
                return false;
            out[i] += (int64_t)v * x[j];
        }
    }
    return true;
}

/* Freivalds: a (b x) against c x, with an x that the kernel cannot know; in whole numbers, so that one wrong number of c shows unless
 * x is 0 there. */
static bool matrix_is_right(const float *m, uint64_t seed)
{
    static _Thread_local int64_t x[BENCH_SIDE], bx[BENCH_SIDE], abx[BENCH_SIDE], cx[BENCH_SIDE];
    struct rng rng;
    rng_init(&rng, ~seed);
    for (uint32_t i = 0; i < BENCH_SIDE; i++)
        x[i] = (int64_t)(rng_next(&rng) & 0xffff) + 1;
    return apply(bx, m + MATRIX, x) && apply(abx, m, bx) && apply(cx, m + 2 * MATRIX, x) &&
           memcmp(abx, cx, sizeof cx) == 0;
}

static void matrix_once(const struct bench_plan *plan, float *m)
{
    plan->matrix(m + 2 * MATRIX, m, m + MATRIX, m + 3 * MATRIX, BENCH_SIDE);
}

static int run_matrix(struct bench *b, struct err *err)
{
    struct bench_figure *f = &b->result->figure[BENCH_MATRIX];
    uint64_t taken[BENCH_ROUNDS_MAX];
    float *m = take(MATRICES);
    if (!m)
        return err_set(err, ERR_NO_MEMORY, "no memory for matrices");
    while (f->rounds < b->plan->rounds && !f->wrong && !(f->rounds > 0 && is_late(b, BENCH_MATRIX))) {
        const uint64_t seed = b->plan->seed + f->rounds;
        uint64_t times = 0, begin, ns;
        matrix_fill(m, seed);
        begin = thread_ns();
        do {
            matrix_once(b->plan, m);
            times++;
            ns = thread_ns() - begin;
        } while (ns < ROUND_NS);
        taken[f->rounds++] = ns / times;
        if (!matrix_is_right(m, seed))
            say_wrong(f, "a product of matrices");
    }
    settle(f, taken, PRODUCT_FLOP);
    free(m);
    return 0;
}

/* ---- several threads ---- */

static void *member_main(void *ctx)
{
    struct member *m = ctx;
    struct team *team = m->team;
    (void)pthread_mutex_lock(&team->gate);
    bool abandoned = team->abandoned;
    (void)pthread_mutex_unlock(&team->gate);
    if (!abandoned)
        team->work(team, m);
    return NULL;
}

/* From the first that began to the last that ended; and whether one was wrong. */
static uint64_t span(struct team *team)
{
    uint64_t begin = UINT64_MAX, end = 0;
    for (uint32_t i = 0; i < team->threads; i++) {
        const struct member *m = &team->member[i];
        begin = m->begin_ns < begin ? m->begin_ns : begin;
        end = m->end_ns > end ? m->end_ns : end;
        team->stop |= m->wrong;
    }
    return end - begin;
}

/* Rounds of `part`, which every member does at the same time; `fill` before and `check` after are not measured. */
static void rounds(struct team *team, struct member *m, enum bench_what what,
                   void (*fill)(const struct team *, struct member *, uint64_t seed),
                   void (*part)(struct team *, struct member *),
                   bool (*check)(const struct team *, const struct member *, uint64_t seed))
{
    const struct bench_plan *plan = team->bench->plan;
    for (uint32_t round = 0; round < plan->rounds; round++) {
        fill(team, m, plan->seed + round);
        (void)pthread_barrier_wait(&team->barrier);
        m->begin_ns = clock_mono_ns();
        part(team, m);
        m->end_ns = clock_mono_ns();
        m->wrong |= !check(team, m, plan->seed + round);
        (void)pthread_barrier_wait(&team->barrier);
        if (m->at == 0) {
            team->taken[team->figure->rounds++] = span(team);
            team->stop |= is_late(team->bench, what);
        }
        (void)pthread_barrier_wait(&team->barrier);
        if (team->stop)
            break;
    }
}

/* `floats`: of each. */
static int team_run(struct team *team, size_t floats, struct err *err)
{
    struct member members[BENCH_THREADS_MAX] = {0};
    uint32_t started = 0;
    int rc = 0;
    team->member = members;
    if (pthread_mutex_init(&team->gate, NULL) != 0 ||
        pthread_barrier_init(&team->barrier, NULL, team->threads) != 0)
        return err_set(err, ERR_NO_MEMORY, "no memory for threads");
    (void)pthread_mutex_lock(&team->gate);
    for (uint32_t i = 0; rc == 0 && i < team->threads; i++) {
        members[i] = (struct member){.team = team, .at = i, .data = take(floats)};
        if (!members[i].data)
            rc = err_set(err, ERR_NO_MEMORY, "no memory for %u threads", (unsigned)team->threads);
        else if (pthread_create(&members[i].thread, NULL, member_main, &members[i]) != 0)
            rc = err_set(err, ERR_NO_MEMORY, "no more than %u threads can be had", (unsigned)i);
        else
            started++;
    }
    team->abandoned = rc != 0;
    (void)pthread_mutex_unlock(&team->gate);
    for (uint32_t i = 0; i < started; i++)
        (void)pthread_join(members[i].thread, NULL);
    for (uint32_t i = 0; i < team->threads; i++) {
        team->figure->wrong |= members[i].wrong;
        free(members[i].data);
    }
    (void)pthread_barrier_destroy(&team->barrier);
    (void)pthread_mutex_destroy(&team->gate);
    return rc;
}

static void all_fill(const struct team *team, struct member *m, uint64_t seed)
{
    (void)team;
    matrix_fill(m->data, seed + ((uint64_t)m->at << 32));
}

/* So many products that a round takes about as long as one thread's did. */
static uint32_t all_times(const struct bench_result *result)
{
    const uint64_t times = result->figure[BENCH_MATRIX].value * ROUND_NS / 1000 / PRODUCT_FLOP;
    return times < 1 ? 1 : times > ALL_TIMES_MAX ? ALL_TIMES_MAX : (uint32_t)times;
}

static void all_part(struct team *team, struct member *m)
{
    const uint32_t times = all_times(team->bench->result);
    for (uint32_t i = 0; i < times; i++)
        matrix_once(team->bench->plan, m->data);
}

static bool all_check(const struct team *team, const struct member *m, uint64_t seed)
{
    (void)team;
    return matrix_is_right(m->data, seed + ((uint64_t)m->at << 32));
}

static void all_work(struct team *team, struct member *m)
{
    rounds(team, m, BENCH_MATRIX_ALL, all_fill, all_part, all_check);
}

static int run_matrix_all(struct bench *b, struct err *err)
{
    struct bench_figure *f = &b->result->figure[BENCH_MATRIX_ALL];
    struct team team = {.bench = b, .threads = b->plan->threads, .work = all_work, .figure = f};
    int rc = team_run(&team, MATRICES, err);
    if (f->wrong)
        say_wrong(f, "a product of matrices on one of the threads");
    settle(f, team.taken, PRODUCT_FLOP * all_times(b->result) * team.threads);
    return rc;
}

/* ---- the sum over threads: a ring, in which each adds its neighbour's part to its own, and then each takes it over ---- */

static size_t reduce_floats(const struct bench_plan *plan)
{
    const size_t unit = (size_t)plan->threads * BENCH_PANEL;
    size_t n = plan->reduce_bytes / sizeof(float) / unit * unit;
    return n > unit ? n : unit;
}

static float reduce_value(uint32_t at, size_t i, uint64_t seed)
{
    return (float)(int)(((uint32_t)i * 2654435761u ^ (uint32_t)(seed + at * 40503u)) >> 13 & 15) - 8;
}

static void reduce_fill(const struct team *team, struct member *m, uint64_t seed)
{
    const size_t n = reduce_floats(team->bench->plan);
    for (size_t i = 0; i < n; i++)
        m->data[i] = reduce_value(m->at, i, seed);
}

static void reduce_part(struct team *team, struct member *m)
{
    const uint32_t k = team->threads;
    const size_t chunk = reduce_floats(team->bench->plan) / k;
    const float *from = team->member[(m->at + k - 1) % k].data;
    for (uint32_t s = 0; s + 1 < k; s++) {
        size_t at = (m->at + 2 * k - s - 1) % k * chunk;
        team->bench->plan->add(m->data + at, from + at, chunk);
        (void)pthread_barrier_wait(&team->barrier);
    }
    for (uint32_t s = 0; s + 1 < k; s++) {
        size_t at = (m->at + k - s) % k * chunk;
        memcpy(m->data + at, from + at, chunk * sizeof(float));
        (void)pthread_barrier_wait(&team->barrier);
    }
}

static bool reduce_check(const struct team *team, const struct member *m, uint64_t seed)
{
    const size_t n = reduce_floats(team->bench->plan);
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (uint32_t t = 0; t < team->threads; t++)
            sum += reduce_value(t, i, seed);
        if (m->data[i] != sum)
            return false;
    }
    return true;
}

static void reduce_work(struct team *team, struct member *m)
{
    rounds(team, m, BENCH_REDUCE, reduce_fill, reduce_part, reduce_check);
}

/* What passes each thread's link: 2 (k - 1) / k of the buffer. */
static int run_reduce(struct bench *b, struct err *err)
{
    struct bench_figure *f = &b->result->figure[BENCH_REDUCE];
    struct team team = {.bench = b, .threads = b->plan->threads, .work = reduce_work, .figure = f};
    const size_t bytes = reduce_floats(b->plan) * sizeof(float);
    if (team.threads < 2) {
        (void)snprintf(f->why, sizeof f->why, "not measured: there is one thread only");
        return 0;
    }
    int rc = team_run(&team, reduce_floats(b->plan), err);
    if (f->wrong)
        say_wrong(f, "a sum over threads");
    b->result->reduce_bytes = bytes;
    settle(f, team.taken, (uint64_t)bytes / team.threads * 2 * (team.threads - 1));
    return rc;
}

/* ---- the copy ---- */

static int run_copy(struct bench *b, struct err *err)
{
    struct bench_figure *f = &b->result->figure[BENCH_COPY];
    const size_t bytes = b->plan->copy_bytes, words = bytes / sizeof(uint64_t);
    uint64_t taken[BENCH_ROUNDS_MAX], *src = malloc(bytes), *dst = malloc(bytes);
    int rc = src && dst ? 0 : err_set(err, ERR_NO_MEMORY, "no memory for two buffers of %zu bytes", bytes);
    for (size_t i = 0; rc == 0 && i < words; i++)
        src[i] = (i + b->plan->seed) * 0x9e3779b97f4a7c15u;
    while (rc == 0 && f->rounds < b->plan->rounds && !f->wrong &&
           !(f->rounds > 0 && is_late(b, BENCH_COPY))) {
        memset(dst, 0xa5, bytes); /* its pages are there, and nothing of the round before is */
        uint64_t begin = thread_ns();
        (void)b->plan->copy(dst, src, bytes);
        taken[f->rounds++] = thread_ns() - begin;
        if (memcmp(dst, src, bytes) != 0)
            say_wrong(f, "a copy of memory");
    }
    settle(f, taken, 2 * (uint64_t)bytes); /* each is read and written */
    if (rc == 0 && !f->wrong && bytes < 2 * b->result->cache_bytes)
        (void)snprintf(f->why, sizeof f->why, "the last cache may hold much of the buffer");
    b->result->copy_bytes = bytes;
    free(src);
    free(dst);
    return rc;
}

/* ---- all of it ---- */

static size_t last_cache(void)
{
    long most = 0;
#ifdef _SC_LEVEL3_CACHE_SIZE
    const long sizes[] = {sysconf(_SC_LEVEL2_CACHE_SIZE), sysconf(_SC_LEVEL3_CACHE_SIZE)};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        most = sizes[i] > most ? sizes[i] : most;
#endif
    return (size_t)most;
}

void bench_plan_init(struct bench_plan *plan, bool quick)
{
    cpu_set_t set;
    const size_t most = quick ? COPY_QUICK_MAX : COPY_MAX;
    const long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    const size_t eighth = pages > 0 && page > 0 ? (size_t)pages / 8 * (size_t)page : COPY_MIN;
    CPU_ZERO(&set);
    int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    size_t copy = CACHES * last_cache();
    copy = copy < COPY_MIN ? COPY_MIN : copy > most ? most : copy;
    copy = copy > eighth ? eighth : copy;
    *plan = (struct bench_plan){
        .threads = cores < 1                        ? 1
                   : cores > (int)BENCH_THREADS_MAX ? BENCH_THREADS_MAX
                                                    : (uint32_t)cores,
        .rounds = quick ? 3 : BENCH_ROUNDS_MAX,
        .budget_ms = quick ? 1500 : 8000,
        .copy_bytes = copy < MIB ? MIB : copy / MIB * MIB,
        .reduce_bytes = (quick ? 4 : 8) * MIB * 16 / (cores > 16 ? (size_t)cores : 16),
        .seed = clock_mono_ns(),
        .matrix = bench_matrix,
        .copy = memcpy,
        .add = bench_add,
    };
}

int bench_run(struct bench_result *result, const struct bench_plan *plan, struct err *err)
{
    static int (*const parts[BENCH_END])(struct bench *, struct err *) = {run_matrix, run_matrix_all,
                                                                          run_copy, run_reduce};
    *result = (struct bench_result){.threads = plan->threads, .cache_bytes = last_cache()};
    struct bench b = {.plan = plan, .result = result, .begin_ns = clock_mono_ns()};
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < BENCH_END; i++)
        rc = parts[i](&b, err);
    result->wall_ms = (clock_mono_ns() - b.begin_ns) / 1000000u;
    return rc;
}
