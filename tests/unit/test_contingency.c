/* SPDX-License-Identifier: Apache-2.0 */
/* Losses: what could be placed again, when that is told, what is kept for it. */
#include "support.h"

#include "core/contingency.h"
#include "core/state.h"

#define HOUR INT64_C(3600000)

/* `sites` sites with one pool of `nodes` nodes of eight chips; the vendors of the pools take turns between two. */
static struct world *network(uint32_t sites, uint32_t nodes, uint32_t vendors, uint32_t reserve)
{
    struct limits limits = small_limits();
    limits.sites = 8;
    limits.chips = 2;
    limits.pools = 8;
    limits.nodes = 64;
    limits.jobs = 200;
    limits.shares = 400;
    limits.shapes = 64;
    struct world *w = world_new(&limits);
    assert_int_equal(do_boot(w, 1), 0);
    for (uint32_t i = 0; i < vendors; i++) {
        struct event chip = {.kind = EVENT_KIND_chip_add, .u.chip_add = {.watts = 1000, .idle_watts = 100}};
        (void)snprintf(chip.u.chip_add.chip, CHIP_CAP, "chip-%u", i);
        (void)snprintf(chip.u.chip_add.vendor, NAME_CAP, "vendor-%u", i);
        assert_int_equal(world_step(w, &chip), 0);
    }
    for (uint64_t i = 0; i < sites; i++) {
        assert_int_equal(do_site(w, i + 1), 0);
        struct event pool = {.kind = EVENT_KIND_pool_add,
                             .u.pool_add = {.pool = uid('p', i + 1),
                                            .site = uid('S', i + 1),
                                            .nodes = nodes,
                                            .node_chips = 8,
                                            .domain = 2}};
        (void)snprintf(pool.u.pool_add.chip, CHIP_CAP, "chip-%u", (uint32_t)i % vendors);
        assert_int_equal(world_step(w, &pool), 0);
    }
    assert_int_equal(do_tenant(w, 1, 0), 0);
    struct event set = {.kind = EVENT_KIND_dispatch_set,
                        .u.dispatch_set = {.order = ORDER_SIZE,
                                           .fit = FIT_BACKFILL,
                                           .pack = PACK_BEST_FIT,
                                           .ageing = 1000,
                                           .preempt = PREEMPT_FIRM,
                                           .reserve = reserve}};
    assert_int_equal(world_step(w, &set), 0);
    return w;
}

static struct event_job_submit job(uint64_t id, uint32_t chips, uint32_t flags)
{
    return (struct event_job_submit){.job = uid('J', id),
                                     .tenant = uid('T', 1),
                                     .count0 = chips,
                                     .rate0 = 1000,
                                     .duration_ms = 100 * HOUR,
                                     .flags = flags};
}

static void submit(struct world *w, struct event_job_submit request)
{
    struct event e = {.kind = EVENT_KIND_job_submit, .u.job_submit = request};
    assert_int_equal(world_step(w, &e), 0);
}

static void end(struct world *w, uint64_t id)
{
    struct event e = {.kind = EVENT_KIND_job_end, .u.job_end = {.job = uid('J', id), .epoch = 1}};
    assert_int_equal(world_step(w, &e), 0);
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
    struct uuid two = uid('J', 2);
    uint32_t at =
        w->core->work.job[job_by_id(w->core, &two).v].pool; /* pools are made in the order of sites */
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
    struct event cordon = {.kind = EVENT_KIND_site_state,
                           .u.site_state = {.site = uid('S', 2), .state = PLACE_CORDONED}};
    struct event up = {.kind = EVENT_KIND_site_state,
                       .u.site_state = {.site = uid('S', 2), .state = PLACE_UP}};
    assert_int_equal(world_step(w, &cordon), 0);
    submit(w, gang);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 1);
    struct contingency c = now(w, 0);
    assert_true(c.firm_chips == 16 && c.placed_chips == 0); /* nothing starts at a site that is cordoned */
    assert_int_equal(world_step(w, &up), 0);
    c = now(w, 0);
    assert_int_equal(c.placed_chips, 16);
    struct event cap = {.kind = EVENT_KIND_site_cap,
                        .u.site_cap = {.site = uid('S', 2), .watts = (16 * 100 + 16 * 900) * 12 / 10 - 1}};
    assert_int_equal(world_step(w, &cap), 0);
    c = now(w, 0);
    assert_int_equal(c.placed_chips, 0);
    cap.u.site_cap.watts++;
    assert_int_equal(world_step(w, &cap), 0);
    c = now(w, 0);
    assert_int_equal(c.placed_chips, 16);
    submit(w, small); /* one chip of sixteen: a node is not whole */
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_START), 1);
    c = now(w, 0);
    assert_int_equal(c.placed_chips, 0);
    end(w, 2);
    struct event down = {.kind = EVENT_KIND_node_state,
                         .u.node_state = {.pool = uid('p', 2), .node = 0, .state = PLACE_LOST}};
    assert_int_equal(world_step(w, &down), 0);
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
        end(w, i);
    assert_true(go_round(w, &last) > 0);
    for (uint64_t i = 7; i <= 10; i++)
        end(w, i);
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
    struct event lost = {.kind = EVENT_KIND_site_state,
                         .u.site_state = {.site = uid('S', 1), .state = PLACE_LOST}};
    assert_int_equal(world_step(w, &lost), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(w->core->reserve.firm_jobs, firm);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts), cmocka_unit_test(test_nodes_and_power),
                                       cmocka_unit_test(test_alarm), cmocka_unit_test(test_kept)};
    return cmocka_run_group_tests_name("contingency", tests, NULL, NULL);
}
