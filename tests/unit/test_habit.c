/* SPDX-License-Identifier: Apache-2.0 */
/* Habits: quantiles of the histogram against sorted samples, what is forgotten, what fills in, and who teaches. */
#include "dispatch_support.h"

#include "core/habit.h"
#include "core/work.h"

static uint64_t seed = 7;

/* ---- histograms ---- */

static void test_buckets(void **state)
{
    (void)state;
    assert_int_equal(habit_bucket(0), 0);
    assert_int_equal(habit_bucket(JOB_MS_MAX), HABIT_BUCKETS - 1);
    for (uint32_t b = 1; b < HABIT_BUCKETS; b++) {
        assert_int_equal(habit_bucket(habit_bucket_ms(b)), b);
        assert_int_equal(habit_bucket(habit_bucket_ms(b) - 1), b - 1);
    }
    assert_int_equal(habit_group(1), 0);
    assert_int_equal(habit_group(7), 2);
    assert_int_equal(habit_group(8), 3);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void outlook_from(const uint32_t weight[HABIT_BUCKETS], struct outlook *o)
{
    *o = (struct outlook){0};
    for (uint32_t b = 0; b < HABIT_BUCKETS; b++) {
        o->weight[b] = weight[b];
        o->sum += weight[b];
    }
}

/* A bucket is a factor of sqrt(2) wide, and fading takes a little of the oldest. */
static void near(int64_t found, int64_t truth)
{
    if (found * 10 < truth * 7 || found * 7 > truth * 10)
        fail_msg("%lld is not near %lld", (long long)found, (long long)truth);
}

static void test_quantiles(void **state)
{
    (void)state;
    enum { N = 2000 };
    static int64_t sample[N];
    uint32_t weight[HABIT_BUCKETS] = {0};
    for (int i = 0; i < N; i++) {
        /* Over four orders of magnitude, evenly on a log scale. */
        sample[i] = INT64_C(2000) << test_below(&seed, 14);
        sample[i] += (int64_t)test_below(&seed, (uint64_t)sample[i]);
        habit_add(weight, sample[i], 14);
    }
    struct outlook o;
    outlook_from(weight, &o);
    qsort(sample, N, sizeof sample[0], by_size);
    for (uint32_t q = 5; q < 100; q += 5)
        near(outlook_quantile(&o, q * 65536 / 100, 0), sample[N * q / 100]);
    /* Of those that run longer than a time. */
    int64_t past = sample[N / 2];
    near(outlook_quantile(&o, 32768, past), sample[N * 3 / 4]);
    assert_true(outlook_quantile(&o, 0, past) >= past);
    /* Longer than all. */
    assert_true(outlook_quantile(&o, 32768, 400 * 24 * HOUR) > 400 * 24 * HOUR);
}

static void test_forgets(void **state)
{
    (void)state;
    uint32_t weight[HABIT_BUCKETS] = {0};
    struct outlook o;
    for (int i = 0; i < 1000; i++)
        habit_add(weight, 10000, 5);
    uint32_t held = weight[habit_bucket(10000)];
    assert_in_range(held, 31u << 16, 33u << 16); /* a run for each of the last 32, by weight */
    for (int i = 0; i < 23; i++)
        habit_add(weight, HOUR, 5);
    outlook_from(weight, &o);
    near(outlook_quantile(&o, 32768, 0), HOUR); /* half of it is new */
    for (int i = 0; i < 2000; i++)
        habit_add(weight, HOUR, 5);
    assert_int_equal(weight[habit_bucket(10000)], 0); /* and nothing stays for ever */
}

/* ---- jobs ---- */

static struct world *one_pool(void)
{
    struct limits limits = dispatch_limits(4, 1, 400);
    struct world *w = world_dispatch(&limits, 3);
    assert_int_equal(do_chip(w, "chip", "v", 0), 0);
    assert_int_equal(do_site(w, 1), 0);
    assert_int_equal(do_pool(w, pool_request(1, 1, 8, 8)), 0);
    return w;
}

/* The row of a job that was just submitted. */
static struct row_job submit(struct world *w, uint64_t job, uint64_t tenant, uint32_t chips,
                             int64_t duration_ms)
{
    struct event_job_submit request = job_request(job, chips, duration_ms);
    request.tenant = uid('T', tenant);
    assert_int_equal(do_submit(w, request), 0);
    return *world_job(w, job);
}

/* What a job would be thought to last; it goes again. */
static struct row_job asked(struct world *w, uint64_t job, uint64_t tenant, uint32_t chips,
                            int64_t duration_ms)
{
    struct row_job row = submit(w, job, tenant, chips, duration_ms);
    assert_int_equal(do_cancel(w, job), 0);
    return row;
}

enum how { ENDS, CANCELLED, EVICTED };

/* A job that runs so long, and then is over. */
static void ran(struct world *w, uint64_t job, uint64_t tenant, uint32_t chips, int64_t ms, enum how how)
{
    (void)submit(w, job, tenant, chips, 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 1);
    w->now += ms;
    if (how == EVICTED) {
        assert_int_equal(do_site_state(w, 1, PLACE_LOST), 0);
        assert_int_equal(do_tick(w), 0);
        assert_int_equal(world_count(w, EFFECT_JOB_STOP), 1);
        assert_int_equal(do_site_state(w, 1, PLACE_UP), 0);
    }
    assert_int_equal(how == ENDS ? do_end(w, job, 1) : do_cancel(w, job), 0);
}

static void test_backs_off(void **state)
{
    (void)state;
    struct world *w = one_pool();
    struct row_job first = asked(w, 1, 1, 8, 0);
    assert_int_equal(first.estimate_ms, JOB_MS_GUESS); /* nothing is known */
    assert_int_equal(first.bound_ms, JOB_MS_GUESS);
    uint64_t job = 10;
    for (int i = 0; i < 40; i++) {
        ran(w, job++, 1, 8, 24 * HOUR, ENDS);
        ran(w, job++, 1, 1, 60000, ENDS);
    }
    near(asked(w, job++, 1, 8, 0).estimate_ms, 24 * HOUR); /* by size */
    near(asked(w, job++, 1, 15, 0).estimate_ms, 24 * HOUR);
    near(asked(w, job++, 1, 1, 0).estimate_ms, 60000);
    struct row_job other = asked(w, job++, 1, 4, 0); /* a size without a history: as the tenant's others */
    assert_in_range(other.estimate_ms, 60000, 24 * HOUR);
    near(other.bound_ms, 24 * HOUR);
    near(asked(w, job++, 2, 4, 0).bound_ms, 24 * HOUR); /* a tenant without one: as all */
    for (int i = 0; i < 40; i++)
        ran(w, job++, 2, 4, 3 * HOUR, ENDS);
    near(asked(w, job++, 2, 4, 0).estimate_ms, 3 * HOUR);
    near(asked(w, job++, 1, 8, 0).estimate_ms, 24 * HOUR); /* what others do does not matter then */
    struct row_job told = asked(w, job++, 1, 8, 5000);
    assert_int_equal(told.duration_ms, 5000); /* who says how long is believed */
    assert_int_equal(told.estimate_ms, 0);
    world_free(w);
}

static uint32_t runs_seen(const struct world *w)
{
    struct row_habit all = {.group = HABIT_ANY};
    const struct row_habit *row = mirror_find(&w->mirror, ROW_KIND_habit, &all);
    return row ? (uint32_t)row->runs : 0;
}

static void test_who_teaches(void **state)
{
    (void)state;
    struct world *w = one_pool();
    ran(w, 1, 1, 8, HOUR, ENDS);
    assert_int_equal(runs_seen(w), 1);
    ran(w, 2, 1, 8, HOUR, CANCELLED);
    assert_int_equal(runs_seen(w), 1);
    ran(w, 3, 1, 8, HOUR, EVICTED);
    assert_int_equal(runs_seen(w), 1);
    ran(w, 4, 2, 8, HOUR, ENDS);
    assert_int_equal(runs_seen(w), 2);
    assert_int_equal(w->mirror.count[ROW_KIND_habit], 5); /* all; two tenants, with a size each */
    world_free(w);
}

/* The time that its data took to come is no run time: it is counted where the next one's data comes from. */
static void test_data_teaches_nothing(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(4, 1, 400);
    limits.corridors = 1;
    struct world *w = world_dispatch(&limits, 1);
    assert_int_equal(do_chip(w, "chip", "v", 0), 0);
    assert_int_equal(do_site(w, 1), 0);
    assert_int_equal(do_pool(w, pool_request(1, 1, 8, 8)), 0);
    assert_int_equal(do_site(w, 2), 0);
    struct event corridor = {
        .kind = EVENT_KIND_corridor_add,
        .u.corridor_add = {.corridor = uid('C', 1), .a = uid('S', 1), .b = uid('S', 2), .bits_s = 2000000}};
    assert_int_equal(world_step(w, &corridor), 0);
    struct event_job_submit request = job_request(1, 8, 0);
    request.data_site = uid('S', 2);
    request.data_bytes = 10 * 3600 * INT64_C(1000000) / 8; /* half of the corridor for ten hours */
    assert_int_equal(do_submit(w, request), 0);
    assert_int_equal(do_tick(w), 0);
    const struct effect *transit = world_effect(w, EFFECT_TRANSIT, 1);
    assert_true(transit && transit->ms >= 10 * HOUR);
    w->now += transit->ms + 60000;
    assert_int_equal(do_end(w, 1, 1), 0);
    near(asked(w, 2, 1, 8, 0).estimate_ms, 60000);
    world_free(w);
}

static void test_reload(void **state)
{
    (void)state;
    struct world *a = one_pool(), *b = one_pool();
    uint64_t job = 1;
    for (int i = 0; i < 60; i++) {
        uint32_t chips = 1u << test_below(&seed, 5);
        uint64_t tenant = 1 + test_below(&seed, 3);
        int64_t ms = 1000 + (int64_t)test_below(&seed, 100 * HOUR);
        assert_int_equal(world_reload(b), 0);
        ran(a, job, tenant, chips, ms, ENDS);
        ran(b, job++, tenant, chips, ms, ENDS);
        struct row_job x = asked(a, 1000 + job, tenant, chips, 0), y = asked(b, 1000 + job, tenant, chips, 0);
        assert_int_equal(x.estimate_ms, y.estimate_ms);
        assert_int_equal(x.bound_ms, y.bound_ms);
        assert_true(mirror_digest(&a->mirror) == mirror_digest(&b->mirror));
    }
    /* Rows that cannot be. */
    struct row_habit bad = {.tenant = uid('T', 77), .group = 1};
    mirror_apply(&b->mirror, ROW_KIND_habit, ROW_PUT, &bad);
    assert_int_equal(world_reload(b), ERR_CORRUPT);
    world_free(a);
    world_free(b);
}

/* ---- a dump ---- */

static void collect_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    mirror_apply(ctx, kind, op, row);
}

/* Dumped rows are those of the store, but for those that the state has no more. */
static void test_dump(void **state)
{
    (void)state;
    struct world *w = one_pool();
    ran(w, 1, 1, 8, HOUR, ENDS);
    (void)submit(w, 2, 1, 8, 0);
    assert_int_equal(do_tick(w), 0);
    (void)submit(w, 3, 2, 64, 0);
    struct row_job over = {.id = uid('J', 1)};
    mirror_apply(&w->mirror, ROW_KIND_job, ROW_DELETE, &over);
    struct row_job_usage closed = {.job = over.id, .epoch = 1};
    mirror_apply(&w->mirror, ROW_KIND_job_usage, ROW_DELETE, &closed);
    struct mirror dumped;
    mirror_init(&dumped);
    core_dump(w->core, collect_row, &dumped);
    for (int kind = 1; kind < ROW_KIND_END; kind++) {
        if (kind == ROW_KIND_transfer || kind == ROW_KIND_rules)
            continue; /* posted ones are books only; the rules' row is dumped though there are none */
        if (dumped.digest[kind] != w->mirror.digest[kind])
            fail_msg("rows of %s differ", layout_row((uint32_t)kind)->name);
    }
    mirror_fini(&dumped);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets),     cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_forgets),     cmocka_unit_test(test_backs_off),
        cmocka_unit_test(test_who_teaches), cmocka_unit_test(test_data_teaches_nothing),
        cmocka_unit_test(test_reload),      cmocka_unit_test(test_dump)};
    return cmocka_run_group_tests_name("habit", tests, NULL, NULL);
}
