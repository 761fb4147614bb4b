/* SPDX-License-Identifier: Apache-2.0 */
/* Work that gives way: who is stopped for whom, what is left to run then, and how a site draws less. */
#include "dispatch_support.h"

#include "core/state.h"

enum { POOLS = 2, NODES = 2, CHIPS = 8 };

/* Two sites with a pool of two nodes of eight chips each. */
static struct world *network(uint32_t preempt)
{
    struct limits limits = dispatch_limits(4, POOLS, 100);
    limits.corridors = 1;
    struct world *w = world_dispatch(&limits, 1);
    assert_int_equal(do_chip(w, "chip", "v", 100), 0);
    for (uint64_t i = 1; i <= POOLS; i++) {
        assert_int_equal(do_site(w, i), 0);
        struct event_pool_add pool = pool_request(i, i, NODES, CHIPS);
        pool.price = (int64_t)i * UNIT;
        assert_int_equal(do_pool(w, pool), 0);
    }
    assert_int_equal(do_dispatch(w, (struct event_dispatch_set){.order = ORDER_SIZE,
                                                                .fit = FIT_BACKFILL,
                                                                .ageing = 1000000,
                                                                .preempt = preempt,
                                                                .reserve = RESERVE_OFF}),
                     0);
    return w;
}

static void submit(struct world *w, uint64_t job, uint32_t chips, int64_t duration_ms, int64_t checkpoint_ms,
                   uint32_t flags)
{
    struct event_job_submit request = job_request(job, chips, duration_ms);
    request.checkpoint_ms = checkpoint_ms;
    request.flags = flags;
    assert_int_equal(do_submit(w, request), 0);
}

static bool started(const struct world *w, uint64_t job)
{
    return world_effect(w, EFFECT_JOB_START, job) != NULL;
}

static const struct effect *stopped(const struct world *w, uint64_t job)
{
    return world_effect(w, EFFECT_JOB_STOP, job);
}

static const struct job *job_of(const struct world *w, uint64_t job)
{
    struct uuid id = uid('J', job);
    return &w->core->work.job[job_by_id(w->core, &id).v];
}

/* Four gangs of a node each; the one that loses least goes, and what is left of it is what it has not done. */
static void test_least_is_lost(void **state)
{
    (void)state;
    struct world *w = network(PREEMPT_FIRM);
    submit(w, 1, CHIPS, 60 * MINUTE, 5 * MINUTE, JOB_INTERRUPTIBLE);
    submit(w, 2, CHIPS, 60 * MINUTE, 0, JOB_INTERRUPTIBLE); /* starts anew: it loses what it has run */
    submit(w, 3, CHIPS, 60 * MINUTE, 0, 0);
    submit(w, 4, CHIPS, 60 * MINUTE, 0, 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 4);
    w->now += 20 * MINUTE;
    submit(w, 5, 3, 10 * MINUTE, 0, 0);
    assert_int_equal(do_tick(w), 0);
    assert_true(started(w, 5));
    assert_null(stopped(w, 2));
    assert_int_equal(stopped(w, 1)->code, ERR_PREEMPTED);
    assert_int_equal(stopped(w, 1)->amount, 20 * MINUTE);
    assert_true(stopped(w, 1) < world_effect(w, EFFECT_JOB_START, 5));
    assert_int_equal(world_job(w, 1)->done_ms, 20 * MINUTE);
    assert_int_equal(world_job(w, 1)->state, JOB_QUEUED);
    assert_int_equal(job_run_ms(job_of(w, 1), 1000), 45 * MINUTE);
    assert_int_equal(job_of(w, 1)->in_lane.length, 45 * MINUTE);
    /* It goes on, and is stopped a second time: work is counted once, and starting is no work. */
    w->now += 10 * MINUTE;
    assert_int_equal(do_end(w, 5, 1), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_effect(w, EFFECT_JOB_START, 1)->amount, 20 * MINUTE);
    assert_int_equal(job_of(w, 1)->end_ms, w->now + 45 * MINUTE);
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(job_of(w, 1)->end_ms, w->now + 45 * MINUTE);
    w->now += 15 * MINUTE;
    submit(w, 6, 3, 10 * MINUTE, 0, 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(stopped(w, 1)->amount, 30 * MINUTE);
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(job_run_ms(job_of(w, 1), 1000), 35 * MINUTE);
    world_free(w);
}

/* A gang gives back all its nodes, and is counted once for them. */
static void test_whole_gangs(void **state)
{
    (void)state;
    struct world *w = network(PREEMPT_FIRM);
    submit(w, 1, 2 * CHIPS, 60 * MINUTE, MINUTE, JOB_INTERRUPTIBLE); /* all of the cheaper pool */
    assert_int_equal(do_tick(w), 0);
    for (uint64_t i = 2; i <= 5; i++)
        submit(w, i, CHIPS / 2, 60 * MINUTE, MINUTE, JOB_INTERRUPTIBLE);
    assert_int_equal(do_tick(w), 0);
    w->now += 10 * MINUTE;
    submit(w, 6, CHIPS + 1, MINUTE, 0, 0);
    assert_int_equal(do_tick(w), 0);
    /* 16 chips for a minute of the gang, or 12 of the four at twice the price. */
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 1);
    assert_non_null(stopped(w, 1));
    assert_true(started(w, 6));
    world_free(w);
}

/* Firm work is not stopped, nor anything by who is interruptible, nor anything where nothing is to be. */
static void test_who_does_not(void **state)
{
    (void)state;
    struct world *w = network(PREEMPT_FIRM);
    for (uint64_t i = 1; i <= 4; i++)
        submit(w, i, CHIPS, 60 * MINUTE, 0, i == 1 ? JOB_INTERRUPTIBLE : 0);
    assert_int_equal(do_tick(w), 0);
    w->now += MINUTE;
    submit(w, 5, 1, 1000, 0, JOB_INTERRUPTIBLE);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 0);
    submit(w, 6, CHIPS + 1, 1000, 0, 0); /* two nodes of one pool: one of them has firm work */
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 0);
    world_free(w);
    w = network(PREEMPT_NONE);
    for (uint64_t i = 1; i <= 4; i++)
        submit(w, i, CHIPS, 60 * MINUTE, 0, JOB_INTERRUPTIBLE);
    assert_int_equal(do_tick(w), 0);
    submit(w, 5, 1, 1000, 0, 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 0);
    world_free(w);
}

/* The shorter goes first if that gains more than the stop costs, and not if it does not. */
static void test_shorter(void **state)
{
    (void)state;
    for (uint32_t cheap = 0; cheap < 2; cheap++) {
        struct world *w = network(PREEMPT_SHORTER);
        for (uint64_t i = 1; i <= 4; i++)
            submit(w, i, CHIPS, 60 * MINUTE, cheap ? MINUTE : 58 * MINUTE, JOB_INTERRUPTIBLE);
        assert_int_equal(do_tick(w), 0);
        assert_int_equal(world_count(w, EFFECT_JOB_START), 4);
        w->now += MINUTE;
        submit(w, 5, CHIPS, 5 * MINUTE, MINUTE, JOB_INTERRUPTIBLE);
        assert_int_equal(do_tick(w), 0);
        assert_int_equal(world_count(w, EFFECT_JOB_STOP), cheap);
        assert_int_equal(started(w, 5), cheap);
        w->now += MINUTE;
        submit(w, 6, CHIPS, 57 * MINUTE, MINUTE, JOB_INTERRUPTIBLE); /* hardly shorter */
        assert_int_equal(do_tick(w), 0);
        assert_int_equal(world_count(w, EFFECT_JOB_STOP), 0);
        world_free(w);
    }
}

/* Two of nearly the same length, whose data is as long on its way: each would find the other, whose end that is part of,
 * longer than itself. */
static void test_shorter_with_data(void **state)
{
    (void)state;
    struct world *w = network(PREEMPT_SHORTER);
    struct event corridor = {
        .kind = EVENT_KIND_corridor_add,
        .u.corridor_add = {
            .corridor = uid('C', 1), .a = uid('S', 1), .b = uid('S', 2), .bits_s = 8000000000}};
    assert_int_equal(world_step(w, &corridor), 0);
    assert_int_equal(do_site_state(w, 1, PLACE_CORDONED), 0);
    uint32_t stops = 0;
    for (uint64_t i = 1; i <= 2; i++) {
        struct event_job_submit request = job_request(i, NODES * CHIPS, (62 - (int64_t)i) * MINUTE);
        request.flags = JOB_INTERRUPTIBLE;
        request.data_site = uid('S', 1);
        request.data_bytes = 600000000000;
        assert_int_equal(do_submit(w, request), 0);
        for (uint32_t k = 0; k < 10; k++) {
            assert_int_equal(do_tick(w), 0);
            stops += world_count(w, EFFECT_JOB_STOP);
        }
    }
    assert_true(job_of(w, 1)->row.transit_ms > MINUTE);
    assert_int_equal(stops, 0);
    world_free(w);
}

/* Where the place is lost only what the job wrote by itself is left. */
static void test_lost_place(void **state)
{
    (void)state;
    struct world *w = network(PREEMPT_FIRM);
    struct event_job_submit slow = job_request(1, 4, 60 * MINUTE);
    slow.rate0 = 500; /* half as fast: of 7 minutes the work is 3.5 */
    slow.checkpoint_ms = MINUTE;
    slow.checkpoint_every_ms = 7 * MINUTE;
    slow.flags = JOB_INTERRUPTIBLE;
    assert_int_equal(do_submit(w, slow), 0);
    submit(w, 2, 4, 60 * MINUTE, MINUTE, JOB_INTERRUPTIBLE); /* writes none by itself */
    assert_int_equal(do_tick(w), 0);
    w->now += 20 * MINUTE;
    struct uuid first = uid('p', 1);
    assert_int_equal(do_node_state(w, &first, 0, PLACE_LOST), 0);
    assert_int_equal(stopped(w, 1)->amount, 7 * MINUTE);
    assert_int_equal(stopped(w, 1)->code, 0);
    assert_int_equal(stopped(w, 2)->amount, 0);
    assert_int_equal(job_run_ms(job_of(w, 1), 500), 2 * 53 * MINUTE + MINUTE);
    world_free(w);
}

/* What is held for a gang that waits is not taken by firm work that would stay too long. */
static void test_reservation(void **state)
{
    (void)state;
    struct world *w = network(PREEMPT_FIRM);
    for (uint64_t i = 1; i <= 3; i++)
        submit(w, i, CHIPS, 60 * MINUTE, 0, 0);
    submit(w, 4, CHIPS, 60 * MINUTE, MINUTE, JOB_INTERRUPTIBLE);
    assert_int_equal(do_tick(w), 0);
    struct uuid pool = job_of(w, 4)->row.pool;
    w->now += MINUTE;
    submit(w, 5, 2 * CHIPS, 60 * MINUTE, 0, 0); /* waits for firm work in either pool; it holds one of them */
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 0);
    uint32_t held = w->core->work.lane[job_of(w, 5)->lane].pool;
    submit(w, 6, 1, 1000 * MINUTE, 0, 0);
    assert_int_equal(do_tick(w), 0);
    bool closed = uuid_eq(&w->core->net.pool[held].row.id, &pool);
    assert_int_equal(started(w, 6), !closed);
    submit(w, 7, 1, 10 * MINUTE, 0, 0); /* gone in time */
    assert_int_equal(do_tick(w), 0);
    assert_true(started(w, 7));
    world_free(w);
}

/* ---- power ---- */

static int shed(struct world *w, uint64_t site, uint64_t watts, int64_t until_ms)
{
    struct event e = {.kind = EVENT_KIND_site_shed,
                      .u.site_shed = {.site = uid('S', site), .watts = watts, .until_ms = until_ms}};
    return world_step(w, &e);
}

static uint64_t draw(const struct world *w, uint64_t site)
{
    struct uuid id = uid('S', site);
    return site_watts(&w->core->net.site[site_by_id(w->core, &id).v], 0);
}

/* One site, full: two firm jobs and two interruptible ones of four chips each, one of which has run for longer. */
static struct world *full_site(void)
{
    struct world *w = network(PREEMPT_FIRM);
    assert_int_equal(do_site_state(w, 2, PLACE_CORDONED), 0);
    submit(w, 1, 4, 100 * MINUTE, 0, 0);
    submit(w, 2, 4, 100 * MINUTE, 0, JOB_INTERRUPTIBLE);
    assert_int_equal(do_tick(w), 0);
    w->now += 10 * MINUTE;
    submit(w, 3, 4, 100 * MINUTE, 0, 0);
    submit(w, 4, 4, 100 * MINUTE, 0, JOB_INTERRUPTIBLE);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 2);
    w->now += 10 * MINUTE;
    return w;
}

static void test_shed(void **state)
{
    (void)state;
    struct world *w = full_site();
    uint64_t before = draw(w, 1);
    int64_t until = w->now + 60 * MINUTE;
    assert_int_equal(shed(w, 1, 3 * 1080, w->now), ERR_INVALID);
    assert_int_equal(shed(w, 9, 3 * 1080, until), ERR_NOT_FOUND);
    assert_int_equal(shed(w, 1, 3 * 1080, until), 0); /* three chips' worth, at a PUE of 1.2 */
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 1);
    assert_int_equal(stopped(w, 4)->code, ERR_CURTAILED); /* it has run for less */
    assert_true(draw(w, 1) <= before - 3 * 1080);
    assert_int_equal(shed(w, 1, 5 * 1080, until), 0); /* five more: the other one, and then firm work */
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 2);
    assert_non_null(stopped(w, 2));
    assert_non_null(stopped(w, 3));
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 0); /* it stands */
    assert_true(core_deadline_ms(w->core) == until);
    w->now = until;
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 3);
    assert_int_equal(do_tick(w), 0);
    assert_true(core_deadline_ms(w->core) == INT64_MAX);
    world_free(w);
}

/* A cap below the draw stops work as well; and with 0 and 0 a site sheds no more. */
/* What may be stopped leaves a site that is drained, with what it has done; what is firm stays; nothing comes until it is up. */
static void drain(bool reloaded)
{
    struct world *w = network(PREEMPT_FIRM);
    submit(w, 1, CHIPS, 60 * MINUTE, 5 * MINUTE, JOB_INTERRUPTIBLE); /* at site 1, which costs less */
    submit(w, 2, CHIPS, 60 * MINUTE, 0, 0);
    world_settle(w);
    w->now += 20 * MINUTE;
    assert_int_equal(do_site_state(w, 1, PLACE_DRAINING), 0);
    if (reloaded)
        assert_int_equal(world_reload(w), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(stopped(w, 1)->code, ERR_DRAINED);
    assert_int_equal(stopped(w, 1)->amount, 20 * MINUTE);
    assert_null(stopped(w, 2));
    assert_true(is_uid(&world_effect(w, EFFECT_JOB_START, 1)->pool, 'p', 2));
    submit(w, 3, 2 * CHIPS, MINUTE, 0,
           JOB_INTERRUPTIBLE); /* room for it would only be there, without job 2 */
    assert_int_equal(do_end(w, 2, 1), 0);
    world_settle(w);
    assert_int_equal(world_job(w, 3)->state, JOB_QUEUED);
    assert_int_equal(do_site_state(w, 1, PLACE_UP), 0);
    world_settle(w);
    assert_int_equal(world_job(w, 3)->state, JOB_RUNNING);
    assert_int_equal(do_node_state(w, &(struct uuid){{0}}, 0, PLACE_DRAINING), ERR_NOT_FOUND);
    struct uuid pool = uid('p', 1);
    assert_int_equal(do_node_state(w, &pool, 0, PLACE_DRAINING), ERR_INVALID);
    world_free(w);
}

static void test_drain(void **state)
{
    (void)state;
    drain(false);
    drain(true);
}

static void test_cap(void **state)
{
    (void)state;
    struct world *w = full_site();
    assert_int_equal(do_site_cap(w, 1, draw(w, 1) - 1), 0);
    assert_int_equal(world_reload(w), 0); /* before anything was done about it */
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 1);
    assert_non_null(stopped(w, 4));
    assert_int_equal(do_site_cap(w, 1, 1), 0); /* less than what idles: all stops, and nothing starts */
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 3);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 0);
    assert_int_equal(do_site_cap(w, 1, 0), 0);
    assert_int_equal(shed(w, 1, UINT64_C(1) << 30, w->now + 1000), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 0);
    assert_int_equal(shed(w, 1, 0, 0), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 4);
    world_free(w);
}

/* A gang that would need more stops than fit into a step with its start waits; it does not keep the passes going. */
static void test_too_many_stops(void **state)
{
    (void)state;
    enum { WIDTH = 4096, BUSY = 4080 };
    struct limits limits = dispatch_limits(2, 1, 5000);
    limits.nodes = WIDTH;
    limits.corridors = 1;
    struct world *w = world_dispatch(&limits, 1);
    assert_int_equal(do_chip(w, "chip", "v", 0), 0);
    assert_int_equal(do_site(w, 1), 0);
    assert_int_equal(do_site(w, 2), 0);
    assert_int_equal(do_pool(w, pool_request(1, 1, WIDTH, 1)), 0);
    struct event corridor = {
        .kind = EVENT_KIND_corridor_add,
        .u.corridor_add = {
            .corridor = uid('C', 1), .a = uid('S', 1), .b = uid('S', 2), .bits_s = 1000000000}};
    assert_int_equal(world_step(w, &corridor), 0);
    assert_int_equal(do_dispatch(w, (struct event_dispatch_set){.order = ORDER_FIFO,
                                                                .fit = FIT_BACKFILL,
                                                                .preempt = PREEMPT_FIRM,
                                                                .reserve = RESERVE_OFF}),
                     0);
    for (uint64_t i = 1; i <= BUSY; i++) {
        struct event_job_submit job = job_request(i, 1, HOUR);
        job.flags = JOB_INTERRUPTIBLE;
        assert_int_equal(do_submit(w, job), 0);
    }
    world_settle(w);
    struct event_job_submit gang = job_request(5000, WIDTH, HOUR);
    gang.data_site = uid('S', 2);
    gang.data_bytes = 1000;
    assert_int_equal(do_submit(w, gang), 0);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(do_tick(w), 0);
    assert_true(core_deadline_ms(w->core) > w->now);
    assert_int_equal(do_end(w, 1, 1), 0); /* and others go on */
    assert_int_equal(do_submit(w, job_request(5001, 1, MINUTE)), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_too_many_stops),
                                       cmocka_unit_test(test_least_is_lost),
                                       cmocka_unit_test(test_whole_gangs),
                                       cmocka_unit_test(test_who_does_not),
                                       cmocka_unit_test(test_shorter),
                                       cmocka_unit_test(test_shorter_with_data),
                                       cmocka_unit_test(test_lost_place),
                                       cmocka_unit_test(test_reservation),
                                       cmocka_unit_test(test_shed),
                                       cmocka_unit_test(test_drain),
                                       cmocka_unit_test(test_cap)};
    return cmocka_run_group_tests_name("preempt", tests, NULL, NULL);
}
