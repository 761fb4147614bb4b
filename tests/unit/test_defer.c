/* SPDX-License-Identifier: Apache-2.0 */
/* Work that waits by choice: when it starts, what wakes it, that it is in nobody's way; plans good and bad; reloads. */
#include "dispatch_support.h"

#include "base/arena.h"
#include "core/planner.h"
#include "core/work.h"

static int signal_price(struct world *w, uint64_t site, int64_t price)
{
    struct event e = {.kind = EVENT_KIND_site_signal,
                      .u.site_signal = {.site = uid('S', site), .price = price, .pue = 1000}};
    return world_step(w, &e);
}

/* Two sites with a pool of two nodes each, chips of 1 kW: a chip-hour costs what a kWh does, 100 and 200. */
static struct world *network(uint32_t fit)
{
    struct limits limits = dispatch_limits(4, 2, 400);
    struct world *w = world_dispatch(&limits, 1);
    assert_int_equal(do_chip(w, "chip", "v", 0), 0);
    for (uint64_t i = 1; i <= 2; i++) {
        assert_int_equal(do_site(w, i), 0);
        assert_int_equal(signal_price(w, i, (int64_t)i * 100), 0);
        assert_int_equal(do_pool(w, pool_request(i, i, 2, 8)), 0);
    }
    assert_int_equal(
        do_dispatch(w, (struct event_dispatch_set){.order = ORDER_FIFO, .fit = fit, .reserve = RESERVE_OFF}),
        0);
    w->now = 1000 * HOUR;
    return w;
}

static struct event_job_submit job(uint64_t id, uint32_t chips, int64_t start_by_ms)
{
    struct event_job_submit request = job_request(id, chips, HOUR);
    request.start_by_ms = start_by_ms;
    return request;
}

static void submit(struct world *w, uint64_t id, uint32_t chips, int64_t start_by_ms)
{
    assert_int_equal(do_submit(w, job(id, chips, start_by_ms)), 0);
}

static int put_class(struct world *w, uint32_t part, int64_t start_by_ms, int64_t threshold)
{
    struct event e = {
        .kind = EVENT_KIND_plan_class,
        .u.plan_class = {
            .plan = uid('P', 1), .part = part, .start_by_ms = start_by_ms, .threshold = threshold}};
    return world_step(w, &e);
}

static int put_rent(struct world *w, uint32_t part, uint64_t pool, int64_t rent)
{
    struct event e = {
        .kind = EVENT_KIND_plan_rent,
        .u.plan_rent = {.plan = uid('P', 1), .part = part, .pool = uid('p', pool), .rent = rent}};
    return world_step(w, &e);
}

static int set_plan(struct world *w, uint32_t parts, int64_t until_ms)
{
    struct event e = {.kind = EVENT_KIND_plan_set,
                      .u.plan_set = {.plan = uid('P', 1), .parts = parts, .until_ms = until_ms}};
    return world_step(w, &e);
}

/* One class for all, until then. */
static void plan(struct world *w, int64_t threshold, int64_t until_ms)
{
    assert_int_equal(put_class(w, 0, w->now + 100 * HOUR, threshold), 0);
    assert_int_equal(set_plan(w, 1, until_ms), 0);
}

/* The passes that are due; returns how many starts. */
static uint32_t settle(struct world *w)
{
    uint32_t starts = 0;
    while (core_deadline_ms(w->core) <= w->now) {
        assert_int_equal(do_tick(w), 0);
        starts += world_count(w, EFFECT_JOB_START);
    }
    return starts;
}

static void runs_in(const struct world *w, uint64_t id, uint64_t pool)
{
    struct why why = why_of(w, id);
    assert_true(why.state == JOB_RUNNING && is_uid(&why.pool, 'p', pool));
}

static void test_latest_start(void **state)
{
    (void)state;
    struct world *w = network(FIT_BACKFILL);
    int64_t begin = w->now;
    plan(w, 99, begin + 50 * HOUR);
    submit(w, 1, 1, begin + 5 * HOUR);
    struct event_job_submit late = job(2, 1, begin + 5 * HOUR); /* the earlier of both: it lasts an hour */
    late.deadline_ms = begin + 4 * HOUR;
    assert_int_equal(do_submit(w, late), 0);
    struct event_job_submit slow = job(3, 1, 0); /* by the slowest of its sizes */
    slow.deadline_ms = begin + 9 * HOUR;
    slow.count1 = 2;
    slow.rate1 = 500;
    assert_int_equal(do_submit(w, slow), 0);
    struct event_job_submit gone = job(4, 1, 0); /* there was never a choice */
    gone.deadline_ms = begin;
    assert_int_equal(do_submit(w, gone), 0);
    assert_int_equal(settle(w), 1);
    runs_in(w, 4, 1);
    const int64_t at[] = {3 * HOUR, 5 * HOUR, 7 * HOUR};
    const uint64_t id[] = {2, 1, 3};
    for (int i = 0; i < 3; i++) {
        assert_true(core_deadline_ms(w->core) == begin + at[i]);
        w->now = begin + at[i] - 1;
        assert_int_equal(do_tick(w), 0);
        assert_int_equal(world_count(w, EFFECT_JOB_START), 0);
        w->now = begin + at[i];
        assert_int_equal(settle(w), 1);
        runs_in(w, id[i], 1);
    }
    assert_true(core_deadline_ms(w->core) == INT64_MAX);
    world_free(w);
}

static void test_without_plan(void **state)
{
    (void)state;
    struct world *w = network(FIT_BACKFILL);
    submit(w, 1, 1, w->now + HOUR);
    assert_int_equal(settle(w), 1); /* ordinary work */
    plan(w, 50, w->now + HOUR / 2);
    submit(w, 2, 1, w->now + HOUR);
    assert_int_equal(settle(w), 0);
    assert_true(core_deadline_ms(w->core) == w->now + HOUR / 2);
    w->now += HOUR / 2;
    assert_int_equal(settle(w), 1); /* the plan is over */
    plan(w, 50, w->now + HOUR);
    submit(w, 3, 1, w->now + 2 * HOUR);
    assert_int_equal(settle(w), 0);
    assert_int_equal(set_plan(w, 0, 0), 0);
    assert_int_equal(settle(w), 1); /* it is taken away */
    world_free(w);
}

/* At or below the threshold, with the rent; a price that falls, chips that come free and another plan wake it. */
static void test_what_wakes(void **state)
{
    (void)state;
    struct world *w = network(FIT_BACKFILL);
    int64_t until = w->now + 90 * HOUR;
    plan(w, 100, until);
    submit(w, 1, 16, w->now + 80 * HOUR);
    assert_int_equal(settle(w), 1); /* exactly the threshold */
    runs_in(w, 1, 1);
    submit(w, 2, 1, w->now + 80 * HOUR);
    assert_int_equal(settle(w), 0); /* the other site costs more */
    struct why why = why_of(w, 2);
    assert_true(why.bar == WHY_CHOICE && why.alone && is_uid(&why.pool, 'p', 2));
    assert_true(why.threshold == 100 && why.hour == 200 && why.latest_ms == w->now + 80 * HOUR &&
                why.until_ms == until);
    assert_int_equal(signal_price(w, 2, 101), 0);
    assert_int_equal(settle(w), 0);
    assert_int_equal(signal_price(w, 2, 100), 0);
    assert_int_equal(settle(w), 1);
    runs_in(w, 2, 2);
    assert_int_equal(signal_price(w, 2, 200), 0);
    submit(w, 3, 16, w->now + 80 * HOUR);
    assert_int_equal(settle(w), 0);
    assert_int_equal(do_end(w, 1, 1), 0);
    assert_int_equal(settle(w), 1);
    runs_in(w, 3, 1);
    assert_int_equal(do_pool_price(w, 2, 40), 0);
    assert_int_equal(signal_price(w, 2, 61), 0);
    submit(w, 5, 1, w->now + 80 * HOUR);
    assert_int_equal(settle(w), 0);
    assert_int_equal(do_pool_price(w, 2, 39), 0);
    assert_int_equal(settle(w), 1); /* chip and power together */
    runs_in(w, 5, 2);
    assert_int_equal(do_end(w, 5, 1), 0);
    assert_int_equal(do_pool_price(w, 2, 0), 0);
    assert_int_equal(signal_price(w, 2, 200), 0);
    submit(w, 4, 1, w->now + 80 * HOUR);
    assert_int_equal(put_class(w, 0, until, 230), 0);
    assert_int_equal(put_rent(w, 1, 2, 31), 0);
    assert_int_equal(set_plan(w, 2, until), 0);
    assert_int_equal(settle(w), 0);
    assert_int_equal(put_class(w, 0, until, 230), 0);
    assert_int_equal(put_rent(w, 1, 2, 30), 0);
    assert_int_equal(set_plan(w, 2, until), 0);
    assert_int_equal(settle(w), 1);
    runs_in(w, 4, 2);
    world_free(w);
}

/* Another size is counted by what the same work costs with it: two chips at half the rate are four chip-hours for what a
 * thousand, of which there are not so many, would do in one. */
static void test_sizes(void **state)
{
    (void)state;
    struct world *w = network(FIT_BACKFILL);
    struct event_job_submit e = job(1, 1, w->now + 80 * HOUR);
    e.count0 = 1000;
    e.count1 = 2;
    e.rate1 = 500;
    assert_int_equal(signal_price(w, 1, 100000), 0);
    assert_int_equal(signal_price(w, 2, 200000), 0);
    plan(w, 399, w->now + 90 * HOUR); /* 4 x 100,000 / 1,000 */
    assert_int_equal(do_submit(w, e), 0);
    assert_int_equal(settle(w), 0);
    plan(w, 400, w->now + 90 * HOUR);
    assert_int_equal(settle(w), 1);
    world_free(w);
}

/* It neither closes a pool nor has nodes kept for it, and who does not wait by choice comes first. */
static void in_nobodys_way(uint32_t fit)
{
    struct world *w = network(fit);
    plan(w, 100, w->now + 90 * HOUR);
    submit(w, 1, 9, 0);
    assert_int_equal(settle(w), 1);
    runs_in(w, 1, 1);
    submit(w, 2, 16, w->now + 80 * HOUR); /* a gang that waits for the same pool */
    assert_int_equal(settle(w), 0);
    submit(w, 3, 7, 0); /* it is longer than the gang would have to wait */
    assert_int_equal(settle(w), 1);
    runs_in(w, 3, 1);
    submit(w, 4, 16, 0);
    submit(w, 5, 16, 0);
    assert_int_equal(settle(w), 1); /* 4 in the other pool */
    assert_int_equal(do_end(w, 1, 1), 0);
    assert_int_equal(do_end(w, 3, 1), 0);
    assert_int_equal(settle(w), 1);
    runs_in(w, 5, 1);
    assert_int_equal(do_end(w, 5, 1), 0);
    assert_int_equal(settle(w), 1);
    runs_in(w, 2, 1);
    world_free(w);
}

static void test_in_nobodys_way(void **state)
{
    (void)state;
    in_nobodys_way(FIT_BACKFILL);
    in_nobodys_way(FIT_STRICT);
}

/* Whoever can wait longer has the lower threshold; of those that may start the first to have to is first. */
static void test_classes(void **state)
{
    (void)state;
    struct world *w = network(FIT_BACKFILL);
    int64_t now = w->now;
    assert_int_equal(put_class(w, 0, now + HOUR, 200), 0);
    assert_int_equal(put_class(w, 1, now + 10 * HOUR, 100), 0);
    assert_int_equal(put_class(w, 2, now + 20 * HOUR, 90), 0);
    assert_int_equal(set_plan(w, 3, now + 40 * HOUR), 0);
    submit(w, 1, 8, now + 30 * HOUR); /* past the last class: as the last */
    submit(w, 2, 8, now + 20 * HOUR);
    submit(w, 3, 16, now + 10 * HOUR);
    submit(w, 4, 16, now + HOUR);
    assert_int_equal(settle(w), 1);
    runs_in(w, 4, 1);
    const int64_t threshold[] = {90, 90, 100}; /* the site that is left costs 200 */
    for (uint64_t i = 1; i <= 3; i++) {
        struct why why = why_of(w, i);
        assert_true(why.bar == WHY_CHOICE && why.threshold == threshold[i - 1]);
    }
    submit(w, 5, 8, now + 15 * HOUR);
    assert_int_equal(signal_price(w, 2, 90), 0);
    assert_int_equal(settle(w), 1); /* the one with the most haste of those that fit */
    runs_in(w, 3, 2);
    world_free(w);
}

static void test_bad_plans(void **state)
{
    (void)state;
    struct world *w = network(FIT_BACKFILL);
    int64_t now = w->now;
    plan(w, 50, now + 90 * HOUR);
    submit(w, 1, 1, now + 80 * HOUR);
    assert_int_equal(settle(w), 0);
    uint64_t before = mirror_digest(&w->mirror);
    assert_int_equal(set_plan(w, 1, now + HOUR), ERR_WRONG_STATE); /* there is no draft */
    assert_int_equal(put_class(w, 1, now, 1), ERR_WRONG_STATE);
    assert_int_equal(put_class(w, 0, 0, 1), ERR_INVALID);
    assert_int_equal(put_class(w, 0, now, PLAN_NANO_MAX + 1), ERR_INVALID);
    assert_int_equal(put_rent(w, 0, 9, 1), ERR_NOT_FOUND);
    struct event e = {.kind = EVENT_KIND_plan_class,
                      .u.plan_class = {.plan = uid('P', 1), .chip = "nochip", .start_by_ms = now}};
    assert_int_equal(world_step(w, &e), ERR_NOT_FOUND);
    e = (struct event){.kind = EVENT_KIND_plan_class,
                       .u.plan_class = {.plan = uid('P', 1), .site = uid('S', 7), .start_by_ms = now}};
    assert_int_equal(world_step(w, &e), ERR_NOT_FOUND);
    assert_true(mirror_digest(&w->mirror) == before);
    assert_int_equal(put_class(w, 0, now + HOUR, 300), 0);
    assert_int_equal(put_class(w, 1, now + HOUR, 200), 0); /* not later */
    before = mirror_digest(&w->mirror);
    assert_int_equal(set_plan(w, 2, now + HOUR), ERR_INVALID);
    assert_int_equal(set_plan(w, 1, now + HOUR), ERR_WRONG_STATE);
    assert_true(mirror_digest(&w->mirror) == before);
    assert_int_equal(put_class(w, 0, now + HOUR, 300), 0);
    assert_int_equal(put_class(w, 1, now + 2 * HOUR, 301), 0); /* patience costs more */
    assert_int_equal(set_plan(w, 2, now + HOUR), ERR_INVALID);
    assert_int_equal(put_class(w, 0, now + HOUR, 300), 0);
    assert_int_equal(put_rent(w, 1, 1, 1), 0);
    assert_int_equal(put_rent(w, 2, 1, 1), 0); /* twice */
    assert_int_equal(set_plan(w, 3, now + HOUR), ERR_INVALID);
    assert_int_equal(put_class(w, 0, now + HOUR, 300), 0);
    assert_int_equal(set_plan(w, 1, now), ERR_INVALID); /* over before it begins */
    assert_int_equal(settle(w), 0);
    assert_int_equal(why_of(w, 1).threshold, 50); /* the old one holds */
    world_free(w);
}

/* A restart keeps the plan, the draft, and who waits by choice; damaged rows are refused. */
static void test_reload(void **state)
{
    (void)state;
    struct world *w = network(FIT_BACKFILL);
    int64_t now = w->now;
    assert_int_equal(put_class(w, 0, now + 100 * HOUR, 100), 0);
    assert_int_equal(put_rent(w, 1, 1, 1), 0);
    assert_int_equal(set_plan(w, 2, now + 50 * HOUR), 0);
    assert_int_equal(put_class(w, 0, now + 100 * HOUR, 250), 0); /* the next draft */
    submit(w, 1, 1, now + 40 * HOUR);
    submit(w, 2, 1, now + 60 * HOUR);
    assert_int_equal(settle(w), 0);
    uint64_t digest = mirror_digest(&w->mirror);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(world_reload(w), 0);
        assert_int_equal(settle(w), 0);
        struct why why = why_of(w, 1);
        assert_true(why.bar == WHY_CHOICE && why.threshold == 100 && why.hour == 101);
        assert_true(core_deadline_ms(w->core) == now + 40 * HOUR);
        assert_true(mirror_digest(&w->mirror) == digest);
    }
    struct row_plan_part part = {.slot = 0, .part = 1};
    struct row_plan row = {.id = 1};
    part.slot = ((const struct row_plan *)mirror_find(&w->mirror, ROW_KIND_plan, &row))->slot;
    const struct row_plan_part *kept = mirror_find(&w->mirror, ROW_KIND_plan_part, &part);
    assert_non_null(kept);
    part = *kept;
    mirror_apply(&w->mirror, ROW_KIND_plan_part, ROW_DELETE, &part);
    assert_int_equal(world_reload(w), ERR_CORRUPT);
    part.pool = uid('p', 9);
    mirror_apply(&w->mirror, ROW_KIND_plan_part, ROW_PUT, &part);
    assert_int_equal(world_reload(w), ERR_CORRUPT);
    part.pool = uid('p', 1);
    mirror_apply(&w->mirror, ROW_KIND_plan_part, ROW_PUT, &part);
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(set_plan(w, 1, now + 50 * HOUR), 0); /* the draft that was kept */
    assert_int_equal(settle(w), 2);
    submit(w, 3, 32, now + 60 * HOUR);
    w->now = now + 50 * HOUR;
    assert_int_equal(settle(w), 0);
    assert_int_equal(world_reload(w), 0); /* a plan that is over stays so */
    assert_int_equal(settle(w), 0);
    assert_true(why_of(w, 3).bar != WHY_CHOICE);
    world_free(w);
}

/* Two worlds under random work and plans, one of them reloaded before each step: every start is the same. */
static void test_goes_on_the_same(void **state)
{
    (void)state;
    struct world *both[] = {network(FIT_STRICT), network(FIT_STRICT)};
    uint64_t seed = test_seed();
    uint32_t starts = 0;
    for (uint64_t i = 1; i <= 200; i++) {
        int64_t wait = (int64_t)test_below(&seed, 20) * HOUR / 4;
        uint32_t chips = 1 + (uint32_t)test_below(&seed, 4);
        uint64_t what = test_below(&seed, 6);
        int64_t number = (int64_t)test_below(&seed, 300);
        for (int k = 0; k < 2; k++) {
            struct world *w = both[k];
            w->now += HOUR / 4;
            w->token = i * 100;
            if (k == 1)
                assert_int_equal(world_reload(w), 0);
            submit(w, i, chips, test_below(&(uint64_t){i}, 3) ? w->now + wait : 0);
            if (what == 0)
                plan(w, number, w->now + 4 * HOUR);
            if (what == 1)
                assert_int_equal(signal_price(w, 1 + (uint64_t)number % 2, number), 0);
            (void)do_end(w, i / 2, 1); /* it may still wait */
            if (k == 1)
                assert_int_equal(world_reload(w), 0);
            assert_int_equal(do_tick(w), 0);
        }
        assert_same_effects(both[0], both[1]);
        starts += world_count(both[0], EFFECT_JOB_START);
        assert_true(mirror_digest(&both[0]->mirror) == mirror_digest(&both[1]->mirror));
    }
    assert_true(starts > 10);
    world_free(both[0]);
    world_free(both[1]);
}

/* ---- the planner ---- */

struct told {
    struct world *w;
    uint32_t classes, rents, sets;
};

static void step_it(void *ctx, const struct event *event)
{
    struct told *told = ctx;
    struct event e = *event;
    assert_int_equal(world_step(told->w, &e), 0);
    told->classes += e.kind == EVENT_KIND_plan_class;
    told->rents += e.kind == EVENT_KIND_plan_rent;
    told->sets += e.kind == EVENT_KIND_plan_set;
}

/* Power costs 100 and 200 now, 40 at the second site in three hours: whoever can waits for that, with an hour's worth of chips. */
static void test_planner(void **state)
{
    (void)state;
    struct world *w = network(FIT_BACKFILL);
    struct told told = {.w = w};
    struct planner planner;
    struct arena arena;
    arena_init(&arena, NULL, SIZE_MAX);
    assert_int_equal(planner_init(&planner, &arena, &w->limits), 0);
    size_t size = arena.used;
    void *block = calloc(1, size);
    arena_init(&arena, block, size);
    assert_int_equal(planner_init(&planner, &arena, &w->limits), 0);
    const int64_t first[] = {100, 100, 100, 100, 100, 100}, second[] = {200, 200, 200, 40, 200, 200};
    const uint64_t none[6] = {0};
    const uint32_t firm[6] = {0};
    const struct planner_site site[] = {{uid('S', 1), first, none, firm}, {uid('S', 2), second, none, firm}};
    struct planner_forecast f = {.plan = uid('P', 9),
                                 .until_ms = w->now + 2 * HOUR,
                                 .hours = 6,
                                 .nsites = 2,
                                 .site = site,
                                 .pivots_max = 1000};
    assert_int_equal(planner_make(&planner, w->core, w->now, &f, step_it, &told, NULL), 0);
    assert_int_equal(told.sets, 0); /* nothing could wait */
    submit(w, 1, 4, w->now + 2 * HOUR);
    for (uint64_t i = 2; i <= 9; i++)
        submit(w, i, 2, w->now + 5 * HOUR);
    assert_int_equal(planner_make(&planner, w->core, w->now, &f, step_it, &told, NULL), 0);
    /* 95 % of 16 chips are counted on: not all find room in the cheap hour, and the one that is left would pay what now costs. */
    assert_true(told.classes == 1 && told.sets == 1);
    assert_true(settle(w) >= 2);
    world_free(w);
    w = network(FIT_BACKFILL);
    told = (struct told){.w = w};
    submit(w, 1, 4, w->now + 2 * HOUR);
    for (uint64_t i = 2; i <= 7; i++)
        submit(w, i, 2, w->now + 5 * HOUR);
    assert_int_equal(planner_make(&planner, w->core, w->now, &f, step_it, &told, NULL), 0);
    assert_int_equal(settle(w), 1); /* there is room for all in that hour */
    runs_in(w, 1, 1);
    assert_int_equal(why_of(w, 2).threshold, 40);
    /* More than all chips could do in years: those that ask for less have a plan all the same. */
    struct event_job_submit huge = job_request(100, GANG_CHIPS_MAX, JOB_MS_MAX);
    huge.rate0 = 1;
    huge.start_by_ms = w->now + 5 * HOUR;
    for (uint64_t i = 100; i < 106; i++) {
        huge.job = uid('J', i);
        assert_int_equal(do_submit(w, huge), 0);
    }
    told.sets = 0;
    assert_int_equal(planner_make(&planner, w->core, w->now, &f, step_it, &told, NULL), 0);
    assert_int_equal(told.sets, 1);
    f.pivots_max = 0;
    f.hours = PLANNER_HOURS_MAX + 1;
    assert_int_equal(planner_make(&planner, w->core, w->now, &f, step_it, &told, NULL), ERR_INVALID);
    free(block);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latest_start), cmocka_unit_test(test_without_plan),
        cmocka_unit_test(test_what_wakes),   cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_classes),      cmocka_unit_test(test_in_nobodys_way),
        cmocka_unit_test(test_bad_plans),    cmocka_unit_test(test_reload),
        cmocka_unit_test(test_planner),      cmocka_unit_test(test_goes_on_the_same),
    };
    return cmocka_run_group_tests_name("defer", tests, NULL, NULL);
}
