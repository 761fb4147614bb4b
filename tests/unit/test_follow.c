/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that come after others, arrays of jobs, and priority: what starts, what never does, and that a reload changes nothing. */
#include "support.h"

#include "core/state.h"
#include "core/why.h"

enum { CHIPS = 8, NODES = 4 };

/* One pool of four nodes of eight chips, two tenants. */
static struct world *network(uint32_t order, uint32_t fit)
{
    struct limits limits = small_limits();
    limits.chips = 1;
    limits.pools = 1;
    limits.nodes = NODES;
    limits.jobs = 2000;
    limits.shares = 2000;
    limits.shapes = 64;
    limits.arrays = 8;
    limits.afters = 1100;
    struct world *w = world_new(&limits);
    assert_int_equal(do_boot(w, 1), 0);
    struct event chip = {.kind = EVENT_KIND_chip_add,
                         .u.chip_add = {.chip = "chip", .vendor = "v", .watts = 1000, .idle_watts = 100}};
    assert_int_equal(world_step(w, &chip), 0);
    assert_int_equal(do_site(w, 1), 0);
    struct event pool = {.kind = EVENT_KIND_pool_add,
                         .u.pool_add = {.pool = uid('p', 1),
                                        .site = uid('S', 1),
                                        .chip = "chip",
                                        .nodes = NODES,
                                        .node_chips = CHIPS,
                                        .domain = 1}};
    assert_int_equal(world_step(w, &pool), 0);
    assert_int_equal(do_tenant(w, 1, 0), 0);
    assert_int_equal(do_tenant(w, 2, 0), 0);
    struct event set = {.kind = EVENT_KIND_dispatch_set,
                        .u.dispatch_set = {.order = order,
                                           .fit = fit,
                                           .pack = PACK_BEST_FIT,
                                           .ageing = 1000,
                                           .preempt = PREEMPT_FIRM,
                                           .reserve = RESERVE_OFF}};
    assert_int_equal(world_step(w, &set), 0);
    return w;
}

static struct event job_event(uint64_t job, uint64_t tenant, uint32_t chips)
{
    return (struct event){.kind = EVENT_KIND_job_submit,
                          .u.job_submit = {.job = uid('J', job),
                                           .tenant = uid('T', tenant),
                                           .count0 = chips,
                                           .rate0 = 1000,
                                           .duration_ms = 60000}};
}

static void submit(struct world *w, uint64_t job, uint32_t chips)
{
    struct event e = job_event(job, 1, chips);
    assert_int_equal(world_step(w, &e), 0);
}

/* Of one chip, after another. */
static struct event after_event(uint64_t job, uint64_t target, uint32_t kind)
{
    return (struct event){.kind = EVENT_KIND_job_array,
                          .u.job_array = {.job = uid('J', job),
                                          .tenant = uid('T', 1),
                                          .count0 = 1,
                                          .rate0 = 1000,
                                          .duration_ms = 60000,
                                          .after0 = uid('J', target),
                                          .after_kind0 = kind}};
}

static int submit_after(struct world *w, uint64_t job, uint64_t target, uint32_t kind)
{
    struct event e = after_event(job, target, kind);
    return world_step(w, &e);
}

/* The id of array n, and of its k-th task. */
static uint64_t task(uint64_t n, uint64_t k)
{
    return (n << 16) + k;
}

static struct event array_event(uint64_t n, uint32_t total, uint32_t at_once)
{
    struct event e = after_event(task(n, 0), 0, 0);
    e.u.job_array.after0 = (struct uuid){{0}};
    e.u.job_array.total = e.u.job_array.tasks = total;
    e.u.job_array.at_once = at_once;
    return e;
}

static int end_job(struct world *w, uint64_t job, uint32_t code)
{
    struct event e = {.kind = EVENT_KIND_job_end,
                      .u.job_end = {.job = uid('J', job), .epoch = 1, .code = code}};
    return world_step(w, &e);
}

static int cancel(struct world *w, uint64_t job)
{
    struct event e = {.kind = EVENT_KIND_job_cancel, .u.job_cancel = {.job = uid('J', job)}};
    return world_step(w, &e);
}

static uint32_t state_of(const struct world *w, uint64_t job)
{
    struct row_job key = {.id = uid('J', job)};
    const struct row_job *row = mirror_find(&w->mirror, ROW_KIND_job, &key);
    return row ? row->state : 0;
}

static const struct row_job_array *array_row(const struct world *w, uint64_t n)
{
    struct row_job_array key = {.id = uid('J', task(n, 0))};
    return mirror_find(&w->mirror, ROW_KIND_job_array, &key);
}

/* Until nothing is due. How many ticks that took. */
static uint32_t settle(struct world *w)
{
    uint32_t ticks = 0;
    for (; core_deadline_ms(w->core) <= w->now; ticks++)
        assert_int_equal(do_tick(w), 0);
    return ticks;
}

/* Every step on a core that was loaded from its rows just before. */
static void settle_reloaded(struct world *w)
{
    assert_int_equal(world_reload(w), 0);
    (void)settle(w);
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(core_check(w->core), 0);
}

static void test_after(void **state)
{
    (void)state;
    for (uint32_t kind = AFTER_OK; kind <= AFTER_NOT_OK; kind++) {
        for (uint32_t code = 0; code < 2; code++) {
            struct world *w = network(ORDER_SIZE, FIT_BACKFILL);
            submit(w, 1, 1);
            assert_int_equal(submit_after(w, 2, 1, kind), 0);
            assert_int_equal(submit_after(w, 3, 2, AFTER_OK), 0); /* it follows a follower */
            settle_reloaded(w);
            assert_true(state_of(w, 1) == JOB_RUNNING && state_of(w, 2) == JOB_QUEUED);
            struct why why;
            struct uuid id = uid('J', 2), first = uid('J', 1);
            assert_int_equal(why_job(w->core, &id, &why), 0);
            assert_true(why.bar == WHY_AFTER && why.alone && uuid_eq(&why.job, &first));
            assert_int_equal(end_job(w, 1, code), 0);
            assert_int_equal(world_reload(w), 0); /* how it ended is kept */
            uint32_t ticks = settle(w);
            bool starts = kind == AFTER_ANY || (kind == AFTER_OK) == (code == 0);
            assert_int_equal(state_of(w, 2), starts ? JOB_RUNNING : JOB_UNMET);
            assert_int_equal(state_of(w, 3), starts ? JOB_QUEUED : JOB_UNMET);
            assert_true(starts || (ticks == 1 && world_count(w, EFFECT_JOB_UNMET) == 2));
            assert_int_equal(view_counts(w->core).waiters, 0);
            world_free(w);
        }
    }
}

/* Some that it comes after are over when it comes, and the event tells how they ended. */
static void test_told(void **state)
{
    (void)state;
    struct world *w = network(ORDER_SIZE, FIT_BACKFILL);
    submit(w, 1, 1);
    (void)settle(w);
    struct event e = after_event(2, 99, AFTER_OK);
    assert_int_equal(world_step(w, &e), ERR_NOT_FOUND); /* over since it was looked up, or never there */
    e.token = 0;
    e.u.job_array.outcome0 = OUTCOME_OK;
    e.u.job_array.after1 = uid('J', 1);
    assert_int_equal(world_step(w, &e), 0);
    struct event never = after_event(3, 98, AFTER_NOT_OK);
    never.u.job_array.outcome0 = OUTCOME_OK;
    never.u.job_array.after1 = uid('J', 1);
    assert_int_equal(world_step(w, &never), 0);
    settle_reloaded(w);
    assert_true(state_of(w, 2) == JOB_QUEUED && state_of(w, 3) == JOB_UNMET);
    assert_int_equal(end_job(w, 1, 0), 0);
    settle_reloaded(w);
    assert_int_equal(state_of(w, 2), JOB_RUNNING);
    world_free(w);
}

static void test_refused(void **state)
{
    (void)state;
    struct world *w = network(ORDER_SIZE, FIT_BACKFILL);
    submit(w, 1, 1);
    assert_int_equal(submit_after(w, 2, 2, AFTER_OK), ERR_INVALID); /* itself */
    assert_int_equal(submit_after(w, 2, 1, AFTER_NOT_OK + 1), ERR_INVALID);
    struct event e = after_event(2, 1, AFTER_OK);
    e.u.job_array.tenant = uid('T', 2); /* another's job is none that it could know of */
    assert_int_equal(world_step(w, &e), ERR_NOT_FOUND);
    world_assert_untouched(w);
    struct event bad[] = {array_event(1, 4, 0), array_event(1, 4, 0), array_event(1, 4, 0),
                          array_event(1, 300, 0), array_event(1, 4, 0)};
    bad[0].u.job_array.job = uid('J', task(1, 7)); /* not an array's id */
    bad[1].u.job_array.tasks = 5;
    bad[2].u.job_array.at = 1; /* a part of an array that is not there */
    bad[2].u.job_array.tasks = 3;
    bad[4].u.job_array.priority = 101;
    const int want[] = {ERR_INVALID, ERR_INVALID, ERR_NOT_FOUND, ERR_INVALID, ERR_INVALID};
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(world_step(w, &bad[i]), want[i]);
        world_assert_untouched(w);
    }
    struct event vast =
        array_event(1, 2001, 0); /* the first part is refused where there is no room for all */
    vast.u.job_array.tasks = ARRAY_EVENT_TASKS_MAX;
    assert_int_equal(world_step(w, &vast), ERR_LIMIT);
    world_assert_untouched(w);
    struct event good = array_event(1, 4, 0);
    assert_int_equal(world_step(w, &good), 0);
    good.token = 0;
    assert_int_equal(world_step(w, &good), ERR_EXISTS);
    struct event taken = job_event(task(1, 9), 1, 1); /* could be a task of the array */
    assert_int_equal(world_step(w, &taken), ERR_EXISTS);
    assert_int_equal(cancel(w, task(2, 0)), ERR_NOT_FOUND);
    world_free(w);
}

static uint32_t running(const struct world *w, uint64_t n, uint32_t total)
{
    uint32_t found = 0;
    for (uint32_t k = 1; k <= total; k++)
        found += state_of(w, task(n, k)) == JOB_RUNNING;
    return found;
}

/* In two parts; at most three at a time, in the order of their numbers; what comes after it waits for all. */
static void test_array(void **state)
{
    (void)state;
    for (uint32_t fails = 0; fails < 2; fails++) {
        struct world *w = network(ORDER_SIZE, FIT_BACKFILL);
        struct event e = array_event(1, 7, 3);
        e.u.job_array.tasks = 4;
        assert_int_equal(world_step(w, &e), 0);
        assert_int_equal(submit_after(w, 1, task(1, 0), AFTER_OK), 0);
        e.u.job_array.at = 4;
        e.u.job_array.tasks = 3;
        e.token = 0;
        assert_int_equal(world_step(w, &e), 0);
        for (uint32_t k = 1; k <= 7; k++) {
            settle_reloaded(w);
            assert_int_equal(running(w, 1, 7), k <= 5 ? 3 : 8 - k);
            struct why why;
            struct uuid id = uid('J', task(1, 7)), array = uid('J', task(1, 0));
            assert_int_equal(why_job(w->core, &id, &why), 0);
            assert_true(k >= 5 || (why.bar == WHY_ARRAY && why.alone && uuid_eq(&why.job, &array)));
            assert_int_equal(end_job(w, task(1, k), fails && k == 2 ? 9 : 0), 0);
        }
        settle_reloaded(w);
        assert_true(array_row(w, 1)->state == JOB_ENDED && array_row(w, 1)->failed == fails);
        assert_int_equal(state_of(w, 1), fails ? JOB_UNMET : JOB_RUNNING);
        assert_int_equal(
            w->core->follow.arrays.live + w->core->follow.links.live + w->core->follow.edges.live, 0);
        world_free(w);
    }
}

static void test_array_cancelled(void **state)
{
    (void)state;
    struct world *w = network(ORDER_SIZE, FIT_BACKFILL);
    struct event e = array_event(1, 8, 3);
    assert_int_equal(world_step(w, &e), 0);
    (void)settle(w);
    assert_int_equal(submit_after(w, 1, task(1, 0), AFTER_NOT_OK), 0);
    assert_int_equal(submit_after(w, 2, task(1, 5), AFTER_OK), 0);
    assert_int_equal(cancel(w, task(1, 4)), 0); /* a task alone */
    (void)settle(w);
    assert_int_equal(running(w, 1, 8), 3);
    assert_int_equal(cancel(w, task(1, 0)), 0);
    assert_int_equal(cancel(w, task(1, 6)), ERR_NOT_FOUND);
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 3);
    for (uint32_t k = 1; k <= 8; k++)
        assert_int_equal(state_of(w, task(1, k)), JOB_CANCELLED);
    assert_true(state_of(w, 1) == JOB_RUNNING && state_of(w, 2) == JOB_UNMET);
    assert_int_equal(array_row(w, 1)->state, JOB_CANCELLED);
    assert_int_equal(world_reload(w), 0);
    world_free(w);
}

/* However large an array is, a step moves so many of its tasks; and nobody starts before all is done that is due. */
static void test_slices(void **state)
{
    (void)state;
    struct world *w = network(ORDER_SIZE, FIT_BACKFILL);
    submit(w, 1, 1);
    (void)settle(w);
    struct event e = array_event(1, 4 * ARRAY_EVENT_TASKS_MAX, 0);
    e.u.job_array.after0 = uid('J', 1);
    e.u.job_array.tasks = ARRAY_EVENT_TASKS_MAX;
    for (uint32_t part = 0; part < 4; part++) {
        e.u.job_array.at = part * ARRAY_EVENT_TASKS_MAX;
        e.token = 0;
        assert_int_equal(world_step(w, &e), 0);
        e.u.job_array.after0 = (struct uuid){{0}};
    }
    assert_true(settle(w) <= 2 && running(w, 1, 4 * ARRAY_EVENT_TASKS_MAX) == 0);
    assert_int_equal(end_job(w, 1, 0), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 0); /* some of them are not in their lane yet */
    assert_true(settle(w) >= 4);
    assert_int_equal(running(w, 1, 4 * ARRAY_EVENT_TASKS_MAX), NODES * CHIPS);
    assert_int_equal(cancel(w, task(1, 0)), 0);
    assert_true(settle(w) >= 4 && w->core->work.jobs.live == 0);
    world_free(w);
}

/* More followers than one may have are refused, so that its end is a bounded step. */
static void test_followers(void **state)
{
    (void)state;
    struct world *w = network(ORDER_SIZE, FIT_BACKFILL);
    submit(w, 1, NODES * CHIPS);
    (void)settle(w);
    uint64_t n = 0;
    while (submit_after(w, 2 + n, 1, AFTER_OK) == 0)
        n++;
    assert_true(n > JOB_FOLLOWERS_MAX - 2 * JOB_AFTERS_MAX && n <= JOB_FOLLOWERS_MAX);
    world_assert_untouched(w);
    assert_int_equal(end_job(w, 1, 1), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_UNMET), FOLLOW_TURN_MAX);
    (void)settle(w);
    assert_true(w->core->work.jobs.live == 0 && w->core->follow.edges.live == 0);
    world_free(w);
}

static void submit_ranked(struct world *w, uint64_t job, uint64_t tenant, uint32_t chips, int32_t priority)
{
    struct event e = job_event(job, tenant, chips);
    e.u.job_submit.priority = (uint32_t)priority;
    assert_int_equal(world_step(w, &e), 0);
    w->now += 1000;
}

/* Each job wants all there is, so they run one by one. The order in which they start. */
static void order_is(struct world *w, const uint64_t *jobs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        settle_reloaded(w);
        if (state_of(w, jobs[i]) != JOB_RUNNING)
            fail_msg("job %llu is not the one that runs", (unsigned long long)jobs[i]);
        assert_int_equal(end_job(w, jobs[i], 0), 0);
    }
}

static void test_priority(void **state)
{
    (void)state;
    const uint32_t fits[] = {FIT_STRICT, FIT_BACKFILL};
    for (uint32_t k = 0; k < 2; k++) {
        struct world *w = network(ORDER_SIZE, fits[k]);
        struct event e = job_event(1, 1, 1);
        e.u.job_submit.priority = (uint32_t)-101;
        assert_int_equal(world_step(w, &e), ERR_INVALID);
        uint32_t all = NODES * CHIPS;
        submit_ranked(w, 1, 1, all, 0);
        submit_ranked(w, 2, 1, all, -100);
        submit_ranked(w, 3, 1, all, 5);
        submit_ranked(w, 4, 1, all - 1, 100); /* of another lane */
        submit_ranked(w, 5, 1, all, 5);
        order_is(w, (const uint64_t[]){4, 3, 5, 1, 2}, 5);
        /* Among tenants whose shares are equal it does not count. */
        submit_ranked(w, 11, 1, all, 0);
        submit_ranked(w, 12, 2, all, 0);
        submit_ranked(w, 13, 1, all, 100);
        order_is(w, (const uint64_t[]){12, 13, 11}, 3);
        world_free(w);
        w = network(ORDER_FIFO, fits[k]); /* nor where there are no shares */
        submit_ranked(w, 1, 1, all, 0);
        submit_ranked(w, 2, 1, all, 100);
        order_is(w, (const uint64_t[]){1, 2}, 2);
        world_free(w);
    }
}

/* Who waits only for one that comes first starts when that is cancelled. */
static void test_cancel_wakes(void **state)
{
    (void)state;
    struct world *w = network(ORDER_FIFO, FIT_STRICT);
    submit(w, 1, 1);
    submit(w, 2, NODES * CHIPS);
    submit(w, 3, 1);
    (void)settle(w);
    assert_true(state_of(w, 1) == JOB_RUNNING && state_of(w, 3) == JOB_QUEUED);
    assert_int_equal(cancel(w, 2), 0);
    assert_true(settle(w) > 0 && state_of(w, 3) == JOB_RUNNING);
    world_free(w);
}

static void load_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    (void)op;
    assert_int_equal(core_load(ctx, kind, row), 0);
}

/* A copy knows of one that never will start, before the tick that ends it. */
static void test_copy(void **state)
{
    (void)state;
    struct world *w = network(ORDER_FIFO, FIT_STRICT), *copy = world_new(&w->limits);
    submit(w, 1, 1);
    assert_int_equal(submit_after(w, 2, 1, AFTER_OK), 0);
    (void)settle(w);
    assert_int_equal(end_job(w, 1, 1), 0);
    core_dump(w->core, load_row, copy->core);
    assert_int_equal(core_load_done(copy->core), 0);
    assert_int_equal(do_tick(copy), 0);
    assert_int_equal(world_count(copy, EFFECT_JOB_UNMET), 1);
    assert_int_equal(world_count(copy, EFFECT_JOB_START), 0);
    world_free(w);
    world_free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel_wakes), cmocka_unit_test(test_after),
        cmocka_unit_test(test_told),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_array),        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_followers),    cmocka_unit_test(test_array_cancelled),
        cmocka_unit_test(test_priority),     cmocka_unit_test(test_copy)};
    return cmocka_run_group_tests_name("follow", tests, NULL, NULL);
}
