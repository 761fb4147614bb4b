/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch_support.h"

struct limits dispatch_limits(uint32_t sites, uint32_t pools, uint32_t jobs)
{
    struct limits limits = small_limits();
    limits.sites = sites;
    limits.chips = 2;
    limits.pools = pools;
    limits.nodes = 64;
    limits.jobs = jobs;
    limits.shares = 2 * jobs;
    limits.shapes = jobs;
    return limits;
}

struct limits replica_limits(uint32_t sites)
{
    struct limits limits = small_limits();
    limits.sites = limits.pools = sites;
    limits.chips = 1;
    limits.nodes = 8;
    limits.corridors = 1;
    limits.jobs = limits.shares = 32;
    limits.shapes = 8;
    limits.meters = 32;
    limits.services = 4;
    limits.demands = 4;
    limits.service_replicas = 32;
    return limits;
}

struct world *world_dispatch(const struct limits *limits, uint64_t tenants)
{
    struct world *w = world_new(limits);
    assert_int_equal(do_boot(w, 1), 0);
    for (uint64_t i = 1; i <= tenants; i++)
        assert_int_equal(do_tenant(w, i, 0), 0);
    return w;
}

int do_chip(struct world *w, const char *chip, const char *vendor, uint32_t idle_watts)
{
    struct event e = {.kind = EVENT_KIND_chip_add, .u.chip_add = {.watts = 1000, .idle_watts = idle_watts}};
    assert_true(text_set(e.u.chip_add.chip, CHIP_CAP, chip, strlen(chip)));
    assert_true(text_set(e.u.chip_add.vendor, NAME_CAP, vendor, strlen(vendor)));
    return world_step(w, &e);
}

struct event_pool_add pool_request(uint64_t pool, uint64_t site, uint32_t nodes, uint32_t node_chips)
{
    return (struct event_pool_add){.pool = uid('p', pool),
                                   .site = uid('S', site),
                                   .chip = "chip",
                                   .nodes = nodes,
                                   .node_chips = node_chips,
                                   .domain = 1};
}

int do_pool(struct world *w, struct event_pool_add pool)
{
    struct event e = {.kind = EVENT_KIND_pool_add, .u.pool_add = pool};
    return world_step(w, &e);
}

void do_two_sites(struct world *w, int64_t price)
{
    assert_int_equal(do_chip(w, "chip", "v", 100), 0);
    for (uint64_t i = 1; i <= 2; i++) {
        assert_int_equal(do_site(w, i), 0);
        struct event_pool_add pool = pool_request(i, i, 1, 8);
        pool.price = i == 1 ? price : 0;
        assert_int_equal(do_pool(w, pool), 0);
    }
}

int do_pool_price(struct world *w, uint64_t pool, int64_t price)
{
    struct event e = {.kind = EVENT_KIND_pool_price,
                      .u.pool_price = {.pool = uid('p', pool), .price = price}};
    return world_step(w, &e);
}

int do_dispatch(struct world *w, struct event_dispatch_set set)
{
    set.pack = PACK_BEST_FIT;
    struct event e = {.kind = EVENT_KIND_dispatch_set, .u.dispatch_set = set};
    return world_step(w, &e);
}

int do_site_state(struct world *w, uint64_t site, uint32_t state)
{
    struct event e = {.kind = EVENT_KIND_site_state,
                      .u.site_state = {.site = uid('S', site), .state = state}};
    return world_step(w, &e);
}

int do_site_cap(struct world *w, uint64_t site, uint64_t watts)
{
    struct event e = {.kind = EVENT_KIND_site_cap, .u.site_cap = {.site = uid('S', site), .watts = watts}};
    return world_step(w, &e);
}

int do_node_state(struct world *w, const struct uuid *pool, uint32_t node, uint32_t state)
{
    struct event e = {.kind = EVENT_KIND_node_state,
                      .u.node_state = {.pool = *pool, .node = node, .state = state}};
    return world_step(w, &e);
}

int do_rules(struct world *w, const char *text)
{
    struct event put = {.kind = EVENT_KIND_rules_put, .u.rules_put = {.set = uid('R', 1)}};
    struct event set = {.kind = EVENT_KIND_rules_set, .u.rules_set = {.set = uid('R', 1), .parts = 1}};
    assert_true(text_set(put.u.rules_put.text, RULES_PART_CAP, text, strlen(text)));
    int rc = world_step(w, &put);
    return rc == 0 ? world_step(w, &set) : rc;
}

struct event_job_submit job_request(uint64_t job, uint32_t chips, int64_t duration_ms)
{
    return (struct event_job_submit){.job = uid('J', job),
                                     .tenant = uid('T', 1),
                                     .count0 = chips,
                                     .rate0 = 1000,
                                     .duration_ms = duration_ms};
}

int do_submit(struct world *w, struct event_job_submit job)
{
    struct event e = {.kind = EVENT_KIND_job_submit, .u.job_submit = job};
    return world_step(w, &e);
}

void do_run_at(struct world *w, uint64_t job, uint64_t site)
{
    struct event_job_submit request = job_request(job, 8, HOUR);
    request.site = uid('S', site);
    assert_int_equal(do_submit(w, request), 0);
    world_settle(w);
    assert_int_equal(world_job(w, job)->state, JOB_RUNNING);
}

int do_end(struct world *w, uint64_t job, uint32_t epoch)
{
    struct event e = {.kind = EVENT_KIND_job_end, .u.job_end = {.job = uid('J', job), .epoch = epoch}};
    return world_step(w, &e);
}

int do_cancel(struct world *w, uint64_t job)
{
    struct event e = {.kind = EVENT_KIND_job_cancel, .u.job_cancel.job = uid('J', job)};
    return world_step(w, &e);
}

void world_settle(struct world *w)
{
    while (core_deadline_ms(w->core) <= w->now)
        assert_int_equal(do_tick(w), 0);
}

const struct effect *world_effect(const struct world *w, enum effect_kind kind, uint64_t job)
{
    for (uint32_t i = 0; i < w->effects.n; i++) {
        if (w->list[i].kind == kind && is_uid(&w->list[i].job, 'J', job))
            return &w->list[i];
    }
    return NULL;
}

const struct row_job *world_job(const struct world *w, uint64_t job)
{
    struct row_job key = {.id = uid('J', job)};
    const struct row_job *row = mirror_find(&w->mirror, ROW_KIND_job, &key);
    assert_non_null(row);
    return row;
}

struct why why_of(const struct world *w, uint64_t job)
{
    struct uuid id = uid('J', job);
    struct why why;
    assert_int_equal(why_job(w->core, &id, &why), 0);
    return why;
}

bool is_uid(const struct uuid *id, char space, uint64_t n)
{
    struct uuid want = uid(space, n);
    return uuid_eq(id, &want);
}

void assert_same_effects(const struct world *a, const struct world *b)
{
    assert_int_equal(a->effects.n, b->effects.n);
    for (uint32_t i = 0; i < a->effects.n; i++)
        assert_memory_equal(&a->list[i], &b->list[i], sizeof a->list[i]);
}
