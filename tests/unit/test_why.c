/* SPDX-License-Identifier: Apache-2.0 */
/* Why a job waits or runs where it does: the answers by hand. tests/property/property_why.c proves them at random. */
#include "dispatch_support.h"

#include "core/rules.h"

enum { POOLS = 6 };

/* Six pools of one node of four chips at six sites; pool 1 is added last. Pools 1 and 2 cost the same, the next ones more
 * and more. A chip draws 1 kW at a PUE of 1.5; power costs 0.1 a kWh, and comes with 400 g CO2e at 50 for a ton. */
static struct world *network(void)
{
    struct limits limits = dispatch_limits(POOLS, POOLS, 100);
    struct world *w = world_dispatch(&limits, 1);
    assert_int_equal(do_chip(w, "chip", "", 0), 0);
    assert_int_equal(do_dispatch(w, (struct event_dispatch_set){.order = ORDER_FIFO,
                                                                .fit = FIT_BACKFILL,
                                                                .carbon_price = UNIT / 20}),
                     0);
    for (uint32_t i = POOLS; i > 0; i--) {
        struct event signal = {
            .kind = EVENT_KIND_site_signal,
            .u.site_signal = {.site = uid('S', i), .price = UNIT / 10, .carbon = 400000, .pue = 1500}};
        struct event_pool_add pool = pool_request(i, i, 1, 4);
        pool.price = i < 3 ? UNIT : i * UNIT;
        assert_int_equal(do_site_in(w, i, i < 4 ? "DE" : "FR"), 0);
        assert_int_equal(world_step(w, &signal), 0);
        assert_int_equal(do_pool(w, pool), 0);
    }
    return w;
}

static void submit(struct world *w, uint64_t id, uint32_t chips)
{
    assert_int_equal(do_submit(w, job_request(id, chips, 2 * HOUR)), 0);
}

static void rules(struct world *w, const char *text)
{
    assert_int_equal(do_rules(w, text), 0);
    world_settle(w);
}

static void test_terms(void **state)
{
    (void)state;
    struct world *w = network();
    struct uuid none = uid('J', 9);
    struct why why;
    assert_int_equal(why_job(w->core, &none, &why), ERR_NOT_FOUND);
    submit(w, 1, 2);
    /* Before the pass nothing is in its way, and it is known where it will go: of equals to the lower id. */
    why = why_of(w, 1);
    assert_true(why.state == JOB_QUEUED && why.bar == WHY_NOTHING && why.nterms == 4);
    assert_true(is_uid(&why.terms[0].pool, 'p', 1));
    world_settle(w);
    why = why_of(w, 1);
    assert_true(why.state == JOB_RUNNING && why.nterms == 4);
    for (uint32_t i = 0; i < 4; i++) {
        const struct why_terms *t = &why.terms[i];
        assert_true(is_uid(&t->pool, 'p', i + 1));
        assert_int_equal(t->run_ms, 2 * HOUR);
        /* Four chip-hours, six kWh. */
        assert_true(t->chips == 4 * UNIT * (i < 2 ? 1 : i + 1));
        assert_true(t->energy == 6 * UNIT / 10);
        assert_true(t->carbon == 6 * 4 * UNIT / 10 / 20);
    }
    world_free(w);
}

/* The choice between equals does not turn on where they lie in memory, which a restart changes. */
static void test_equals(void **state)
{
    (void)state;
    struct world *w = network();
    for (uint64_t i = 1; i <= 2; i++) {
        submit(w, i, 4);
        world_settle(w);
        struct why why = why_of(w, i);
        assert_true(is_uid(&why.pool, 'p', i));
        assert_int_equal(world_reload(w), 0);
    }
    world_free(w);
}

static void test_rule(void **state)
{
    (void)state;
    struct world *w = network();
    /* Home is not known, so all is across a border. b denies most; c denies pool 1 alone; all three are needed. */
    rules(w, "deny a when site.name in [site-1, site-2, site-3] because \"b\" cite \"c\"\n"
             "deny b when site.name not-in [site-1, site-2] because \"b\" cite \"c\"\n"
             "deny c when site.name = site-1 because \"b\" cite \"c\"\n");
    submit(w, 1, 4);
    world_settle(w);
    struct why why = why_of(w, 1);
    assert_int_equal(why.bar, WHY_RULE);
    assert_true(why.alone && why.reason == VERDICT_DENIED);
    assert_int_equal(why.rule, 1);
    assert_string_equal(why.denies->id, "b");
    assert_int_equal(why.denied, 4);
    assert_true(is_uid(&why.pool, 'p', 4)); /* the first of those that it alone denies */
    assert_int_equal(why.nterms, 0);
    rules(w, "allow a when data.class = public because \"b\" cite \"c\"\n");
    why = why_of(w, 1);
    assert_true(why.bar == WHY_RULE && why.rule == RULES_NONE && why.reason == VERDICT_REVIEW && !why.denies);
    world_free(w);
}

static int tell_engine(struct world *w, uint64_t site, uint32_t isolation)
{
    struct event e = {.kind = EVENT_KIND_site_engine,
                      .u.site_engine = {.site = uid('S', site), .engine = "local", .isolation = isolation}};
    return world_step(w, &e);
}

/* Who demands to be kept apart waits for a site that does so, and takes a dear one before a cheap one that does not. */
static void test_isolation(void **state)
{
    (void)state;
    struct world *w = network();
    struct event_job_submit request = job_request(1, 1, HOUR);
    request.flags = ISOLATION_NAMESPACE << JOB_ISOLATION_SHIFT;
    assert_int_equal(tell_engine(w, 1, ISOLATION_PROCESS), 0);
    assert_int_equal(tell_engine(w, 9, ISOLATION_PROCESS), ERR_NOT_FOUND);
    assert_int_equal(tell_engine(w, 1, ISOLATION_CGROUP + 1), ERR_INVALID);
    assert_int_equal(do_submit(w, request), 0);
    world_settle(w);
    struct why why = why_of(w, 1);
    assert_true(why.state == JOB_QUEUED && why.bar == WHY_ISOLATION && why.alone);
    assert_int_equal(tell_engine(w, 6, ISOLATION_CGROUP), 0);
    world_settle(w);
    why = why_of(w, 1);
    assert_int_equal(why.state, JOB_RUNNING);
    assert_true(is_uid(&why.terms[0].pool, 'p', 6));
    world_free(w);
}

static void test_one_bar(void **state)
{
    (void)state;
    struct world *w = network();
    submit(w, 1, 5);
    assert_int_equal(why_of(w, 1).bar, WHY_SIZE);
    for (uint64_t i = 2; i <= 7; i++)
        submit(w, i, 4);
    submit(w, 8, 3);
    world_settle(w);
    struct why why = why_of(w, 8);
    assert_true(why.bar == WHY_FULL && why.alone);
    assert_true(is_uid(&why.pool, 'p', 1));
    assert_int_equal(why.terms[0].bars, 1u << WHY_FULL);
    for (uint32_t i = 1; i <= POOLS; i++)
        assert_int_equal(do_site_cap(w, i, 1), 0);
    why = why_of(w, 8);
    assert_true(why.bar == WHY_FULL && !why.alone);
    assert_int_equal(do_end(w, 2, 1), 0);
    world_settle(w);
    why = why_of(w, 8);
    assert_true(why.bar == WHY_POWER && why.alone);
    for (uint32_t i = 0; i < WHYS_N; i++)
        assert_true(strlen(why_bar_word(i)) > 2 && strlen(why_bar_text(i)) > 10);
    world_free(w);
}

/* Strictly in turn, what else is in the way of the second is never all: the first one comes before it. */
static void test_in_turn(void **state)
{
    (void)state;
    struct world *w = network();
    assert_int_equal(do_dispatch(w, (struct event_dispatch_set){.order = ORDER_FIFO, .fit = FIT_STRICT}), 0);
    for (uint32_t i = 1; i <= POOLS; i++)
        assert_int_equal(do_site_cap(w, i, 1), 0);
    submit(w, 1, 4);
    submit(w, 2, 2);
    world_settle(w);
    struct why first = why_of(w, 1), second = why_of(w, 2);
    assert_true(first.bar == WHY_POWER && first.alone);
    assert_true(second.bar == WHY_POWER && !second.alone);
    world_free(w);
}

static struct why foretold(const struct world *w, struct event_job_submit request)
{
    struct why_terms places[POOLS];
    struct why why;
    uint32_t n;
    assert_int_equal(why_request(w->core, &request, &why, places, POOLS, &n), 0);
    return why;
}

/* The reservation of the lane that it would be the first of would be its own. */
static void test_request_of_lane(void **state)
{
    (void)state;
    struct world *w = network();
    assert_int_equal(
        do_dispatch(w, (struct event_dispatch_set){.order = ORDER_SIZE, .fit = FIT_BACKFILL, .ageing = 1000}),
        0);
    assert_int_equal(do_site_cap(w, 1, 1), 0);
    struct event_job_submit waits = job_request(1, 4, 2 * HOUR), request = job_request(2, 4, HOUR);
    waits.site = request.site = uid('S', 1);
    assert_int_equal(do_submit(w, waits), 0);
    world_settle(w);
    struct why before = foretold(w, request);
    assert_int_equal(do_submit(w, request), 0);
    struct why after = why_of(w, 2);
    assert_true(after.bar == WHY_POWER && after.alone);
    assert_true(before.bar == WHY_POWER && before.alone);
    world_free(w);
}

/* A request that is only asked about stands for its tenant as it would if it were there: here as the next of its jobs, by its
 * priority, and so behind what another tenant submitted before. */
static void test_request_of_priority(void **state)
{
    (void)state;
    struct world *w = network();
    assert_int_equal(do_tenant(w, 2, 0), 0);
    assert_int_equal(
        do_dispatch(w, (struct event_dispatch_set){.order = ORDER_SIZE, .fit = FIT_STRICT, .ageing = 1000}),
        0);
    for (uint32_t i = 1; i <= POOLS; i++)
        assert_int_equal(do_site_cap(w, i, 1), 0);
    struct event_job_submit ours = job_request(1, 4, HOUR), theirs = job_request(2, 4, HOUR);
    ours.priority = 50;
    theirs.tenant = uid('T', 2);
    assert_int_equal(do_submit(w, ours), 0);
    w->now += MINUTE;
    assert_int_equal(do_submit(w, theirs), 0);
    w->now += MINUTE;
    world_settle(w);
    struct event_job_submit request = job_request(3, 4, HOUR);
    request.priority = 100;
    struct why before = foretold(w, request);
    assert_int_equal(do_submit(w, request), 0);
    struct why after = why_of(w, 3);
    assert_true(after.bar == WHY_POWER && !after.alone);
    assert_true(before.bar == WHY_POWER && !before.alone);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_terms),
                                       cmocka_unit_test(test_equals),
                                       cmocka_unit_test(test_rule),
                                       cmocka_unit_test(test_isolation),
                                       cmocka_unit_test(test_one_bar),
                                       cmocka_unit_test(test_in_turn),
                                       cmocka_unit_test(test_request_of_lane),
                                       cmocka_unit_test(test_request_of_priority)};
    return cmocka_run_group_tests_name("why", tests, NULL, NULL);
}
