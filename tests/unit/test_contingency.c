/* SPDX-License-Identifier: Apache-2.0 */
/* Losses: what could be placed again, when that is told, what is kept for it. */
#include "dispatch_support.h"

#include "core/contingency.h"
#include "core/state.h"

/* `sites` sites with one pool of `nodes` nodes of eight chips; the vendors of the pools take turns between two. */
static struct world *network(uint32_t sites, uint32_t nodes, uint32_t vendors, uint32_t reserve)
{
    struct limits limits = dispatch_limits(8, 8, 200);
    struct world *w = world_dispatch(&limits, 1);
    static const char *const chips[] = {"chip-0", "chip-1"}, *const makers[] = {"vendor-0", "vendor-1"};
    for (uint32_t i = 0; i < vendors; i++)
        assert_int_equal(do_chip(w, chips[i], makers[i], 100), 0);
    for (uint64_t i = 0; i < sites; i++) {
        assert_int_equal(do_site(w, i + 1), 0);
        struct event_pool_add pool = pool_request(i + 1, i + 1, nodes, 8);
        pool.domain = 2;
        memcpy(pool.chip, chips[i % vendors], strlen(chips[i % vendors]) + 1);
        assert_int_equal(do_pool(w, pool), 0);
    }
    assert_int_equal(do_dispatch(w, (struct event_dispatch_set){.order = ORDER_SIZE,
                                                                .fit = FIT_BACKFILL,
                                                                .ageing = 1000,
                                                                .preempt = PREEMPT_FIRM,
                                                                .reserve = reserve}),
                     0);
    return w;
}

static struct event_job_submit job(uint64_t id, uint32_t chips, uint32_t flags)
{
    struct event_job_submit request = job_request(id, chips, 100 * HOUR);
    request.flags = flags;
    return request;
}

static void submit(struct world *w, struct event_job_submit request)
{
    assert_int_equal(do_submit(w, request), 0);
}

static struct contingency now(struct world *w, uint32_t i)
{
    struct contingency c;
    assert_true(contingency_now(w->core, i, &c));
    return c;
}

/* Ticks until every loss has had its turn. Returns how many alarms came; *last: the last one. */
static uint32_t go_round(struct world *w, struct effect *last)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < 10; i++) {
        w->now += CONTINGENCY_EVERY_MS;
        do {
            assert_int_equal(do_tick(w), 0);
            n += world_count(w, EFFECT_ALARM);
            for (uint32_t k = 0; k < w->effects.n; k++)
                *last = w->list[k].kind == EFFECT_ALARM ? w->list[k] : *last;
        } while (core_deadline_ms(w->core) <= w->now);
    }
    return n;
}

static void test_counts(void **state)
{
    (void)state;
    struct world *w = network(2, 2, 2, RESERVE_TELL);
    struct event_job_submit here = job(1, 8, 0);
    here.site = uid('S', 1); /* may run nowhere else */
    submit(w, here);
    submit(w, job(2, 8, 0));
    submit(w, job(3, 12, JOB_INTERRUPTIBLE));
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 3);
    /* Pools are made in the order of sites. */
    uint32_t at = is_uid(&world_job(w, 2)->pool, 'p', 1) ? 0 : 1;
    struct contingency c = now(w, 0);
    assert_true(c.kind == CONTINGENCY_SITE && c.firm_jobs == (at == 0 ? 2 : 1) && c.tied_jobs == 1);
    assert_int_equal(c.placed_jobs, at == 0 ? 1 : 0);
    c = now(w, 1);
    assert_int_equal(c.firm_jobs, at == 1 ? 1 : 0);
    assert_int_equal(c.placed_jobs, c.firm_jobs); /* interruptible work would make room */
    c = now(w, 2);
    assert_true(c.kind == CONTINGENCY_VENDOR && strcmp(c.vendor, "vendor-0") == 0);
    struct contingency none;
    assert_false(contingency_now(w->core, 4, &none));
    world_free(w);
}

/* A gang wants whole nodes: chips that are spread over many do not count, nor a node that is down, nor power that lacks. */
static void test_nodes_and_power(void **state)
{
    (void)state;
    struct world *w = network(2, 2, 1, RESERVE_TELL);
    struct event_job_submit gang = job(1, 16, 0), small = job(2, 1, 0);
    gang.data_site = uid('S', 1);
    assert_int_equal(do_site_state(w, 2, PLACE_CORDONED), 0);
    submit(w, gang);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 1);
    struct contingency c = now(w, 0);
    assert_true(c.firm_chips == 16 && c.placed_chips == 0); /* nothing starts at a site that is cordoned */
    assert_int_equal(do_site_state(w, 2, PLACE_UP), 0);
    c = now(w, 0);
    assert_int_equal(c.placed_chips, 16);
    const uint64_t needed = (16 * 100 + 16 * 900) * 12 / 10;
    assert_int_equal(do_site_cap(w, 2, needed - 1), 0);
    c = now(w, 0);
    assert_int_equal(c.placed_chips, 0);
    assert_int_equal(do_site_cap(w, 2, needed), 0);
    c = now(w, 0);
    assert_int_equal(c.placed_chips, 16);
    submit(w, small); /* one chip of sixteen: a node is not whole */
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 1);
    c = now(w, 0);
    assert_int_equal(c.placed_chips, 0);
    assert_int_equal(do_end(w, 2, 1), 0);
    struct uuid second = uid('p', 2);
    assert_int_equal(do_node_state(w, &second, 0, PLACE_LOST), 0);
    c = now(w, 0);
    assert_int_equal(c.placed_chips, 0);
    world_free(w);
}

static void test_alarm(void **state)
{
    (void)state;
    struct world *w = network(3, 1, 2, RESERVE_TELL);
    struct effect last = {0};
    for (uint64_t i = 1; i <= 2; i++)
        submit(w, job(i, 4, 0));
    assert_int_equal(go_round(w, &last), 0);
    for (uint64_t i = 3; i <= 6; i++)
        submit(w, job(i, 4, JOB_INTERRUPTIBLE)); /* full, but half of it would give way */
    assert_int_equal(go_round(w, &last), 0);
    for (uint64_t i = 7; i <= 10; i++)
        submit(w, job(i, 4, 0));                                          /* and does */
    assert_true(go_round(w, &last) == 5 && last.code == ERR_UNAVAILABLE); /* three sites, two vendors */
    assert_int_equal(w->mirror.count[ROW_KIND_alarm], 5);
    assert_int_equal(contingency_worst(w->core), 0);
    struct contingency c;
    assert_true(core_contingency(w->core, 0, &c) && c.alarm && c.firm_chips == 8);
    assert_int_equal(world_reload(w), 0);
    assert_true(core_contingency(w->core, 4, &c) && c.alarm);
    assert_int_equal(go_round(w, &last), 0); /* it is told once */
    for (uint64_t i = 1; i <= 2; i++)
        assert_int_equal(do_end(w, i, 1), 0);
    assert_true(go_round(w, &last) > 0);
    for (uint64_t i = 7; i <= 10; i++)
        assert_int_equal(do_end(w, i, 1), 0);
    assert_true(go_round(w, &last) > 0 && last.code == 0);
    assert_int_equal(w->mirror.count[ROW_KIND_alarm], 0);
    assert_int_equal(contingency_worst(w->core), 1000);
    assert_true(core_deadline_ms(w->core) == INT64_MAX); /* nothing is left to look after */
    world_free(w);
    w = network(3, 1, 2, RESERVE_OFF);
    for (uint64_t i = 1; i <= 6; i++)
        submit(w, job(i, 4, 0));
    assert_int_equal(go_round(w, &last), 0);
    world_free(w);
}

/* Three sites of sixteen chips: firm work may have 32 of them, spread so that any site's fits into what is left. */
static void test_kept(void **state)
{
    (void)state;
    struct world *w = network(3, 2, 1, RESERVE_KEEP);
    struct effect last = {0};
    for (uint64_t i = 1; i <= 12; i++)
        submit(w, job(i, 4, 0));
    /* All are of one vendor, and nothing can be kept for that: it is told, and the sites are kept for. */
    (void)go_round(w, &last);
    for (uint32_t i = 0; i < 3; i++) {
        struct contingency c = now(w, i);
        assert_int_equal(c.placed_jobs, c.firm_jobs);
    }
    uint32_t firm = w->core->reserve.firm_jobs;
    assert_true(firm >= 6 && firm <= 8);
    struct contingency vendor = now(w, 3);
    assert_int_equal(vendor.tied_jobs, firm);
    submit(w, job(20, 8, JOB_INTERRUPTIBLE)); /* such may use what is kept */
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 1);
    /* A site is lost: what ran there starts again from the reserve, on what interruptible work had. */
    assert_int_equal(do_site_state(w, 1, PLACE_LOST), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(w->core->reserve.firm_jobs, firm);
    world_free(w);
}

/* A pool that others could use as well, as whichever of their sizes, is left to them. */
static void test_leaves_room(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(8, 8, 200);
    struct world *w = world_dispatch(&limits, 1);
    assert_int_equal(do_chip(w, "chip-0", "v", 100), 0);
    assert_int_equal(do_chip(w, "chip-1", "v", 100), 0);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(do_site_in(w, i, i < 3 ? "DE" : "FR"), 0);
    for (uint64_t i = 1; i <= 6; i++) {
        struct event_pool_add pool = pool_request(i, i < 5 ? 1 : i - 3, 1, 8);
        (void)snprintf(pool.chip, CHIP_CAP, "%s", i < 4 ? "chip-0" : "chip-1");
        assert_int_equal(do_pool(w, pool), 0);
    }
    struct event_job_submit here = job(1, 8, 0), anywhere = job(2, 8, 0);
    memcpy(here.chip0, "chip-0", 7);
    memcpy(here.chip1, "chip-1", 7);
    memcpy(here.jurisdiction, "DE", 3);
    here.count1 = 8;
    here.rate1 = 500;
    memcpy(anywhere.chip0, "chip-1", 7);
    submit(w, here);
    submit(w, anywhere);
    assert_int_equal(do_tick(w), 0);
    assert_true(is_uid(&world_job(w, 1)->pool, 'p', 1) && is_uid(&world_job(w, 2)->pool, 'p', 4));
    struct contingency c = now(w, 0);
    assert_int_equal(c.firm_jobs, 2);
    assert_int_equal(c.placed_jobs, 2); /* the second goes to France, the first to the other German one */
    world_free(w);
}

/* Who waits because elsewhere there would be no room after a loss starts once there is, where it has fitted all along. */
static void test_room_elsewhere(void **state)
{
    (void)state;
    struct world *w = network(2, 1, 1, RESERVE_KEEP);
    assert_int_equal(do_dispatch(w, (struct event_dispatch_set){.order = ORDER_FIFO,
                                                                .fit = FIT_BACKFILL,
                                                                .reserve = RESERVE_KEEP}),
                     0);
    struct event_job_submit soft = job(9, 8, JOB_INTERRUPTIBLE);
    soft.site = uid('S', 2);
    submit(w, soft);
    world_settle(w);
    for (uint64_t i = 1; i <= 3; i++)
        submit(w, job(i, 4, 0));
    world_settle(w);
    assert_true(why_of(w, 1).state == JOB_RUNNING && why_of(w, 2).state == JOB_RUNNING);
    assert_int_equal(do_end(w, 1, 1), 0);
    world_settle(w);
    struct why why = why_of(w, 3);
    assert_true(why.state == JOB_QUEUED && why.bar == WHY_RESERVE); /* the last plan is of two jobs */
    struct effect last;
    (void)go_round(w, &last);
    assert_int_equal(why_of(w, 3).state, JOB_RUNNING);
    world_free(w);
}

/* Work that only one site can keep apart as it demands is tied to it: it starts though nothing can be kept for it, and that is told. */
static void test_tied_by_isolation(void **state)
{
    (void)state;
    struct world *w = network(2, 2, 2, RESERVE_KEEP);
    struct event engine = {
        .kind = EVENT_KIND_site_engine,
        .u.site_engine = {.site = uid('S', 1), .engine = "local", .isolation = ISOLATION_CGROUP}};
    assert_int_equal(world_step(w, &engine), 0);
    for (uint64_t i = 1; i <= 2; i++)
        submit(w, job(i, 8, ISOLATION_CGROUP << JOB_ISOLATION_SHIFT));
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 2);
    struct contingency c = now(w, 0);
    assert_true(c.firm_jobs == 2 && c.tied_jobs == 2 && c.placed_jobs == 0);
    struct effect last = {0};
    assert_int_equal(go_round(w, &last), 2); /* the site and its vendor */
    assert_true(last.code == ERR_UNAVAILABLE && last.chips == 16 && last.amount == 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts),
                                       cmocka_unit_test(test_nodes_and_power),
                                       cmocka_unit_test(test_alarm),
                                       cmocka_unit_test(test_kept),
                                       cmocka_unit_test(test_leaves_room),
                                       cmocka_unit_test(test_room_elsewhere),
                                       cmocka_unit_test(test_tied_by_isolation)};
    return cmocka_run_group_tests_name("contingency", tests, NULL, NULL);
}
