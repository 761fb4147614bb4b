/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs in the core: what wakes those that wait, and that a core loaded from its rows goes on the same. */
#include "dispatch_support.h"

#define POOLS 4

/* Two sites with two pools of four nodes each; ids descend, so that a load meets them in another order. */
static struct world *network(uint32_t order, uint32_t fit)
{
    struct limits limits = dispatch_limits(4, POOLS, 400);
    struct world *w = world_dispatch(&limits, 3);
    assert_int_equal(do_chip(w, "chip", "v", 100), 0);
    for (uint64_t i = 0; i < POOLS; i++) {
        if (i % 2 == 0)
            assert_int_equal(do_site(w, i / 2 + 1), 0);
        struct event_pool_add pool = pool_request(POOLS - i, i / 2 + 1, 4, 8);
        pool.domain = 2;
        assert_int_equal(do_pool(w, pool), 0);
    }
    assert_int_equal(do_dispatch(w,
                                 (struct event_dispatch_set){
                                     .order = order, .fit = fit, .ageing = 1000, .preempt = PREEMPT_FIRM}),
                     0);
    return w;
}

/* Work that ends in one pool leaves power to the other pools of its site. */
static void test_power_wakes_the_site(void **state)
{
    (void)state;
    struct world *w = network(ORDER_FIFO, FIT_BACKFILL);
    /* 64 chips idle at 100 W, and 32 in use: a PUE of 1.2 is what is taken while nobody told another. */
    assert_int_equal(do_site_cap(w, 1, (64 * 100 + 32 * 900) * 12 / 10), 0);
    for (uint64_t i = 1; i <= 2; i++) {
        struct event_job_submit job = job_request(i, 32, 1000);
        job.site = uid('S', 1);
        assert_int_equal(do_submit(w, job), 0);
    }
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 1); /* the other pool is free, but has no power */
    /* The pool of the first is taken from the network, so that what wakes the second can only be the power. */
    struct uuid pool = world_effect(w, EFFECT_JOB_START, 1)->pool;
    for (uint32_t n = 0; n < 4; n++)
        assert_int_equal(do_node_state(w, &pool, n, PLACE_CORDONED), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 0);
    assert_int_equal(do_end(w, 1, 1), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 1);
    world_free(w);
}

struct running {
    uint64_t job;
    uint32_t epoch;
};

/* The starts and stops among the last step's effects; returns how many starts. */
static uint32_t follow(const struct world *w, struct running *running, uint32_t *n)
{
    uint32_t starts = 0;
    for (uint32_t i = 0; i < w->effects.n; i++) {
        const struct effect *e = &w->list[i];
        uint64_t job = (uint64_t)e->job.b[14] << 8 | e->job.b[15];
        if (e->kind == EFFECT_JOB_START) {
            starts++;
            running[(*n)++] = (struct running){job, e->epoch};
        } else if (e->kind == EFFECT_JOB_STOP) {
            uint32_t k = 0;
            while (running[k].job != job)
                k++;
            running[k] = running[--*n];
        }
    }
    return starts;
}

/* Two worlds, one of them reloaded before each step: every start, every stop, every node, alarm and
 * row is the same. Strict, or of single chips, since a reservation is made anew after a load. */
static void goes_on_the_same(uint32_t order, uint32_t fit, uint64_t seed)
{
    struct world *both[] = {network(order, fit), network(order, fit)};
    struct running running[400];
    uint32_t n = 0, starts = 0, preempted = 0;
    for (uint64_t i = 1; i <= 150; i++) {
        uint32_t chips = 1 + (uint32_t)test_below(&seed, test_below(&seed, 3) ? 8 : 16);
        struct event_job_submit submit = job_request(i, chips, 1000 + (int64_t)test_below(&seed, 100000));
        submit.tenant = uid('T', 1 + test_below(&seed, 3));
        if (fit == FIT_BACKFILL)
            submit.count0 = 1;
        submit.flags = test_below(&seed, 2) ? JOB_INTERRUPTIBLE : 0;
        submit.checkpoint_ms = (int64_t)test_below(&seed, 2) * 700;
        submit.checkpoint_every_ms = (int64_t)test_below(&seed, 3) * 900;
        uint32_t victim = n ? (uint32_t)test_below(&seed, n) : 0;
        bool end = n > 0 && test_below(&seed, 3) > 0;
        struct uuid pool = uid('p', 1 + test_below(&seed, POOLS));
        uint32_t node = (uint32_t)test_below(&seed, 4);
        uint32_t place = test_below(&seed, 4) ? PLACE_UP : PLACE_CORDONED + (uint32_t)test_below(&seed, 2);
        bool fault = test_below(&seed, 5) == 0;
        struct running ended = running[victim];
        for (int k = 0; k < 2; k++) {
            struct world *w = both[k];
            w->now += 500;
            assert_int_equal(do_submit(w, submit), 0);
            struct event_job_submit more = submit;
            more.job = uid('J', 1000 + i);
            more.flags ^= JOB_INTERRUPTIBLE;
            assert_true(fit == FIT_STRICT || do_submit(w, more) == 0); /* so that it fills up */
            assert_true(!end || do_end(w, ended.job, ended.epoch) == 0);
        }
        if (end)
            running[victim] = running[--n];
        for (int k = 0; k < 2 && fault; k++)
            assert_int_equal(do_node_state(both[k], &pool, node, place), 0);
        if (fault) {
            assert_same_effects(both[0], both[1]);
            (void)follow(both[0], running, &n);
        }
        assert_int_equal(world_reload(both[1]), 0);
        assert_int_equal(core_check(both[1]->core), 0);
        for (int k = 0; k < 2; k++)
            assert_int_equal(do_tick(both[k]), 0);
        assert_same_effects(both[0], both[1]);
        for (uint32_t k = 0; k < both[0]->effects.n; k++)
            preempted += both[0]->list[k].kind == EFFECT_JOB_STOP && both[0]->list[k].code == ERR_PREEMPTED;
        starts += follow(both[0], running, &n);
        assert_true(mirror_digest(&both[0]->mirror) == mirror_digest(&both[1]->mirror));
    }
    assert_true(starts > 50 && (preempted > 10) == (fit == FIT_BACKFILL));
    world_free(both[0]);
    world_free(both[1]);
}

static void test_reload(void **state)
{
    (void)state;
    goes_on_the_same(ORDER_FIFO, FIT_STRICT, test_seed());
    goes_on_the_same(ORDER_SJF, FIT_STRICT, test_seed());
    goes_on_the_same(ORDER_SIZE, FIT_STRICT, test_seed());
    goes_on_the_same(ORDER_SIZE, FIT_BACKFILL, test_seed());
    /* The turn of a tenant whose work is stopped while it waits for it; work that is stopped at once for one who was not
     * looked at. */
    goes_on_the_same(ORDER_SIZE, FIT_BACKFILL, 117659441593665);
    goes_on_the_same(ORDER_SIZE, FIT_BACKFILL, 1);
}

/* Rows that do not add up are refused: a share of nobody, a running job that lacks chips, a pool without a site. */
static void test_damaged(void **state)
{
    (void)state;
    struct world *w = network(ORDER_FIFO, FIT_STRICT);
    assert_int_equal(do_submit(w, job_request(1, 12, 1000)), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_reload(w), 0);
    struct row_share share = {.job = uid('J', 9), .node = 0, .chips = 1};
    mirror_apply(&w->mirror, ROW_KIND_share, ROW_PUT, &share);
    assert_int_equal(world_reload(w), ERR_CORRUPT);
    mirror_apply(&w->mirror, ROW_KIND_share, ROW_DELETE, &share);
    assert_int_equal(world_reload(w), 0);
    const void **shares = mirror_sorted(&w->mirror, ROW_KIND_share);
    share = *(const struct row_share *)shares[0];
    free(shares);
    mirror_apply(&w->mirror, ROW_KIND_share, ROW_DELETE, &share);
    assert_int_equal(world_reload(w), ERR_CORRUPT);
    mirror_apply(&w->mirror, ROW_KIND_share, ROW_PUT, &share);
    struct row_pool pool = {
        .id = uid('p', 77), .site = uid('S', 77), .chip = "chip", .nodes = 1, .node_chips = 1, .domain = 1};
    mirror_apply(&w->mirror, ROW_KIND_pool, ROW_PUT, &pool);
    assert_int_equal(world_reload(w), ERR_CORRUPT);
    world_free(w);
}

/* A tenant's share is of what there is: with more of a kind of chip it is less at once, not when its next job starts. */
static void test_capacity_weighs(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(4, POOLS, 400);
    struct world *w = world_dispatch(&limits, 2);
    assert_int_equal(do_chip(w, "chip", "v", 0), 0);
    assert_int_equal(do_chip(w, "other", "v", 0), 0);
    assert_int_equal(do_site(w, 1), 0);
    struct event_pool_add pool = pool_request(1, 1, 1, 8);
    assert_int_equal(do_pool(w, pool), 0);
    pool = pool_request(2, 1, 2, 8);
    memcpy(pool.chip, "other", 6);
    assert_int_equal(do_pool(w, pool), 0);
    assert_int_equal(do_dispatch(w, (struct event_dispatch_set){.order = ORDER_SIZE,
                                                                .fit = FIT_BACKFILL,
                                                                .ageing = 1000,
                                                                .reserve = RESERVE_OFF}),
                     0);
    struct event_job_submit mine = job_request(1, 8, HOUR), theirs = job_request(2, 12, HOUR);
    memcpy(mine.chip0, "chip", 5);
    memcpy(theirs.chip0, "other", 6);
    theirs.tenant = uid('T', 2);
    assert_int_equal(do_submit(w, mine), 0);
    assert_int_equal(do_submit(w, theirs), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 2); /* all of one kind, three quarters of the other */
    pool = pool_request(3, 1, 1, 8);
    assert_int_equal(do_pool(w, pool), 0);
    theirs = job_request(3, 8, HOUR);
    theirs.tenant = uid('T', 2);
    mine = job_request(4, 8, HOUR);
    assert_int_equal(do_submit(w, theirs), 0);
    assert_int_equal(do_submit(w, mine), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 1);
    assert_non_null(world_effect(w, EFFECT_JOB_START, 4)); /* half of one kind, three quarters of the other */
    world_free(w);
}

/* A reservation is for the first of the sizes that may be had; where there is room for another the job does not wait. */
static void test_reserved_in_another_size(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(4, POOLS, 400);
    struct world *w = world_dispatch(&limits, 1);
    assert_int_equal(do_chip(w, "chip", "v", 0), 0);
    assert_int_equal(do_site(w, 1), 0);
    assert_int_equal(do_pool(w, pool_request(1, 1, 3, 8)), 0);
    assert_int_equal(
        do_dispatch(
            w, (struct event_dispatch_set){.order = ORDER_FIFO, .fit = FIT_BACKFILL, .reserve = RESERVE_OFF}),
        0);
    for (uint64_t job = 1; job <= 3; job++)
        assert_int_equal(do_submit(w, job_request(job, 8, HOUR)), 0);
    struct event_job_submit either = job_request(4, 24, 2 * HOUR);
    either.count1 = 16;
    either.rate1 = 1000;
    assert_int_equal(do_submit(w, either), 0);
    world_settle(w);
    for (uint64_t job = 1; job <= 2; job++) {
        assert_int_equal(do_end(w, job, 1), 0);
        world_settle(w);
    }
    struct why why = why_of(w, 4);
    assert_true(why.state == JOB_RUNNING && why.alternative == 1);
    world_free(w);
}

/* Of two pools alike the next job takes the one that costs less by then. */
static void test_price_places(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(4, POOLS, 400);
    struct world *w = world_dispatch(&limits, 1);
    assert_int_equal(do_chip(w, "chip", "v", 0), 0);
    for (uint64_t i = 1; i <= 2; i++) {
        assert_int_equal(do_site(w, i), 0);
        struct event_pool_add pool = pool_request(i, i, 1, 8);
        pool.price = UNIT;
        assert_int_equal(do_pool(w, pool), 0);
    }
    for (uint64_t job = 1; job <= 6; job++) {
        const uint64_t dear = 1 + job % 2;
        assert_int_equal(do_pool_price(w, dear, 2 * UNIT), 0);
        assert_int_equal(do_pool_price(w, 3 - dear, UNIT), 0);
        if (job > 3)
            assert_int_equal(world_reload(w), 0);
        assert_int_equal(do_submit(w, job_request(job, 8, HOUR)), 0);
        assert_int_equal(do_tick(w), 0);
        const struct effect *start = world_effect(w, EFFECT_JOB_START, job);
        assert_true(start && is_uid(&start->pool, 'p', 3 - dear));
        assert_int_equal(do_end(w, job, 1), 0);
    }
    world_free(w);
}

/* Power and carbon at the most that is accepted: dear, and never less than nothing. */
static void test_dearest_power(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(4, POOLS, 400);
    struct world *w = world_dispatch(&limits, 1);
    struct event chip = {.kind = EVENT_KIND_chip_add,
                         .u.chip_add = {.chip = "chip", .vendor = "v", .watts = 1000000}};
    assert_int_equal(world_step(w, &chip), 0);
    for (uint64_t i = 1; i <= 2; i++) {
        assert_int_equal(do_site(w, i), 0);
        struct event_pool_add pool = pool_request(i, i, 1, 8);
        pool.price = UNIT;
        assert_int_equal(do_pool(w, pool), 0);
    }
    assert_int_equal(do_dispatch(w, (struct event_dispatch_set){.order = ORDER_FIFO,
                                                                .fit = FIT_BACKFILL,
                                                                .carbon_price = PRICE_MAX,
                                                                .reserve = RESERVE_OFF}),
                     0);
    uint64_t job = 1;
    for (uint32_t pue = 1000; pue <= 10000; pue += 500) {
        struct event dear = {
            .kind = EVENT_KIND_site_signal,
            .u.site_signal = {
                .site = uid('S', 1), .price = INT64_C(1000000000000), .carbon = 10000000, .pue = pue}};
        assert_int_equal(world_step(w, &dear), 0);
        assert_int_equal(do_submit(w, job_request(job, 8, 400 * 24 * HOUR)), 0);
        assert_int_equal(do_tick(w), 0);
        const struct effect *start = world_effect(w, EFFECT_JOB_START, job);
        assert_true(start && is_uid(&start->pool, 'p', 2));
        struct why why = why_of(w, job);
        assert_int_equal(why.nterms, 2);
        assert_true(why.terms[1].carbon > 0 && why.terms[1].carbon > why.terms[0].chips);
        assert_int_equal(do_end(w, job++, 1), 0);
    }
    world_free(w);
}

/* One of a shape that waits again for other pools than before, with those that wait there already and are longer, passes a
 * reservation as any short one does. */
static void test_short_one_of_another_reach(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(2, 2, 16);
    struct world *w = world_dispatch(&limits, 1);
    assert_int_equal(do_chip(w, "chip", "v", 100), 0);
    struct event_dispatch_set plain = {
        .order = ORDER_SIZE, .fit = FIT_BACKFILL, .ageing = 1000, .reserve = RESERVE_OFF};
    assert_int_equal(do_dispatch(w, plain), 0); /* to assess losses would match all that runs */
    for (uint64_t i = 1; i <= 2; i++) {
        assert_int_equal(do_site(w, i), 0);
        assert_int_equal(do_pool(w, pool_request(i, i, 3 - (uint32_t)i, 8)), 0);
    }
    const int64_t ms[] = {HOUR, 3 * HOUR, 10 * HOUR}; /* the last one, in pool 2, keeps the shape there is */
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(do_submit(w, job_request(i, 8, ms[i - 1])), 0);
        assert_int_equal(do_tick(w), 0);
    }
    assert_true(is_uid(&world_effect(w, EFFECT_JOB_START, 3)->pool, 'p', 2));
    assert_int_equal(do_submit(w, job_request(4, 16, HOUR)), 0); /* has the reservation on pool 1 */
    struct event_job_submit longer = job_request(5, 8, 10 * HOUR), brief = job_request(6, 8, 10 * MINUTE);
    longer.data_class[0] = 'x';
    brief.flags |= JOB_ONE_DOMAIN;
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(do_submit(w, longer), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(do_site_state(w, 2, PLACE_CORDONED), 0);
    assert_int_equal(do_tick(w), 0);
    w->now += HOUR;
    assert_int_equal(do_end(w, 1, 1), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(do_submit(w, brief), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(do_submit(w, job_request(7, 8, HOUR)), 0);
    world_settle(w);
    assert_true(world_job(w, 6)->state == JOB_RUNNING && world_job(w, 7)->state == JOB_QUEUED);
    w->now += 10 * MINUTE;
    assert_int_equal(do_end(w, 6, 1), 0);
    assert_int_equal(do_tick(w), 0);
    assert_non_null(world_effect(w, EFFECT_JOB_START, 7));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_power_wakes_the_site),
                                       cmocka_unit_test(test_capacity_weighs),
                                       cmocka_unit_test(test_reserved_in_another_size),
                                       cmocka_unit_test(test_price_places),
                                       cmocka_unit_test(test_dearest_power),
                                       cmocka_unit_test(test_reload),
                                       cmocka_unit_test(test_short_one_of_another_reach),
                                       cmocka_unit_test(test_damaged)};
    return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
