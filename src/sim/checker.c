/* SPDX-License-Identifier: Apache-2.0 */
/* The checker's life, its violations and its time. */
#include "sim/checker.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/kinds.h"
#include "sim/checker_state.h"

/* ---- life ---- */

static bool site_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct check_site *)table)[i].told.site, key, len) == 0;
}

static bool chip_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    const char *name = ((const struct check_chip *)table)[i].told.chip;
    return text_eq(name, text_len(name, CHIP_CAP), key, len);
}

static bool pool_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct check_pool *)table)[i].id, key, len) == 0;
}

static bool job_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct check_job *)table)[i].id, key, len) == 0;
}

static bool ask_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct check_ask *)table)[i].request, key, len) == 0;
}

static bool tenant_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct check_tenant *)table)[i].id, key, len) == 0;
}

static bool maps_init(struct checker *c)
{
    const struct {
        struct map *map;
        uint32_t entries;
        map_equal_fn *equal;
        const void *table;
    } maps[] = {{&c->site_map, c->limits.sites, site_equal, c->site},
                {&c->chip_map, c->limits.chips, chip_equal, c->chip},
                {&c->pool_map, c->limits.pools, pool_equal, c->pool},
                {&c->job_map, c->limits.jobs, job_equal, c->job},
                {&c->ask_map, c->limits.asks, ask_equal, c->ask},
                {&c->tenant_map, c->limits.tenants, tenant_equal, c->tenant}};
    for (uint32_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
        uint32_t n = map_slots(maps[i].entries);
        c->slots[i] = calloc(n, sizeof(struct map_slot));
        if (!c->slots[i])
            return false;
        map_init(maps[i].map, c->slots[i], n, 0, maps[i].equal, maps[i].table);
    }
    return true;
}

struct checker *checker_new(const struct checker_limits *limits)
{
    struct checker *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->limits = *limits;
    c->site = calloc(limits->sites, sizeof *c->site);
    c->chip = calloc(limits->chips, sizeof *c->chip);
    c->pool = calloc(limits->pools, sizeof *c->pool);
    c->node = calloc(limits->nodes, sizeof *c->node);
    c->job = calloc(limits->jobs, sizeof *c->job);
    c->share = calloc(limits->shares, sizeof *c->share);
    c->ask = calloc(limits->asks, sizeof *c->ask);
    c->tenant = calloc(limits->tenants + 1u, sizeof *c->tenant);
    c->doomed = calloc(limits->nodes, sizeof *c->doomed);
    c->class = calloc(CHECKER_CLASSES_MAX, sizeof *c->class);
    c->mask_words = (limits->pools + 63) / 64;
    c->masks = calloc((size_t)CHECKER_CLASSES_MAX * c->mask_words, sizeof *c->masks);
    c->digest = digest_stream_new();
    c->free_job = c->free_share = c->last_pool = NONE;
    c->now_ms = INT64_MIN;
    bool good = c->site && c->chip && c->pool && c->node && c->job && c->share && c->ask && c->tenant &&
                c->doomed && c->class && c->masks && c->digest && checker_rules_new(c) &&
                checker_services_new(c) && checker_corridors_new(c) && checker_plan_new(c) &&
                checker_follow_new(c) && maps_init(c);
    if (good)
        return c;
    checker_free(c);
    return NULL;
}

void checker_free(struct checker *c)
{
    if (!c)
        return;
    if (c->class)
        checker_order_free(c);
    for (uint32_t i = 0; i < sizeof c->slots / sizeof c->slots[0]; i++)
        free(c->slots[i]);
    checker_rules_free(c);
    checker_services_free(c);
    checker_corridors_free(c);
    checker_plan_free(c);
    checker_follow_free(c);
    digest_stream_free(c->digest);
    free(c->tenant);
    free(c->masks);
    free(c->class);
    free(c->doomed);
    free(c->ask);
    free(c->share);
    free(c->job);
    free(c->node);
    free(c->pool);
    free(c->chip);
    free(c->site);
    free(c);
}

void *checker_grow(struct checker *c, void *list, uint32_t n, uint32_t *cap, size_t size)
{
    if (n < *cap)
        return list;
    uint32_t more = *cap ? 2 * *cap : 64;
    void *larger = realloc(list, more * size);
    if (larger)
        *cap = more;
    else
        checker_violate(c, CHECKER_LIMIT, NULL, NULL, NONE, "out of memory");
    return larger;
}

/* ---- violations ---- */

const char *checker_kind_text(enum checker_kind kind)
{
    static const char *const texts[] = {
#define V(name, text) [CHECKER_##name] = (text),
        CHECKER_KINDS(V)
#undef V
    };
    assert(kind < CHECKER_KINDS_END);
    return texts[kind];
}

void checker_violate(struct checker *c, enum checker_kind kind, const struct uuid *job,
                     const struct uuid *pool, uint32_t node, const char *fmt, ...)
{
    c->of_kind[kind]++;
    if (c->violations++ > 0)
        return;
    char job_text[UUID_TEXT_LEN + 1] = "-";
    char pool_text[UUID_TEXT_LEN + 1] = "-";
    char node_text[16] = "-";
    char more[160];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(more, sizeof more, fmt, ap);
    va_end(ap);
    if (job)
        uuid_format(job_text, job);
    if (pool)
        uuid_format(pool_text, pool);
    if (node != NONE)
        (void)snprintf(node_text, sizeof node_text, "%" PRIu32, node);
    (void)snprintf(c->first, sizeof c->first, "at %" PRId64 " ms: %s: job %s, pool %s, node %s: %s",
                   c->now_ms, checker_kind_text(kind), job_text, pool_text, node_text, more);
}

uint64_t checker_violations(const struct checker *c)
{
    return c->violations;
}

uint64_t checker_violations_of(const struct checker *c, enum checker_kind kind)
{
    assert(kind < CHECKER_KINDS_END);
    return c->of_kind[kind];
}

const char *checker_first(const struct checker *c)
{
    return c->first;
}

uint32_t checker_waiting(const struct checker *c)
{
    return c->waiting;
}

uint32_t checker_running(const struct checker *c)
{
    return c->running;
}

/* ---- time ---- */

void checker_event(struct checker *c, const struct event *event)
{
    int64_t last_ms = c->now_ms;
    c->now_ms = event->at_ms;
    if (event->at_ms < last_ms)
        checker_violate(c, CHECKER_TIME_BACK, NULL, NULL, NONE, "the last event was at %" PRId64 " ms",
                        last_ms);
    checker_transit_time(c);
    checker_plan_time(c);
}

/* Of work on the node a job that a drain should have stopped; NONE: there is none. */
static uint32_t left_by_drain(const struct checker *c, const struct check_node *node)
{
    uint32_t s = node->shares;
    while (s != NONE && c->job[c->share[s].job].firm)
        s = c->share[s].next_on_node;
    return s == NONE ? NONE : c->share[s].job;
}

static void judge_drain(struct checker *c, uint32_t node)
{
    const struct check_pool *pool = &c->pool[c->node[node].pool];
    uint32_t job = c->site[pool->site].state == PLACE_DRAINING ? left_by_drain(c, &c->node[node]) : NONE;
    if (job != NONE)
        checker_violate(c, CHECKER_DRAINED_RUNS, &c->job[job].id, &pool->id, node - pool->first,
                        "no stop came in the instant of the drain");
}

void checker_end_of_time(struct checker *c, int64_t now_ms)
{
    if (now_ms > c->now_ms)
        c->now_ms = now_ms;
    for (uint32_t i = 0; i < c->ndoomed; i++) {
        struct check_node *node = &c->node[c->doomed[i]];
        const struct check_pool *pool = &c->pool[node->pool];
        node->doomed = false;
        judge_drain(c, c->doomed[i]);
        bool lost = c->site[pool->site].state == PLACE_LOST && checker_runs_free(c, c->doomed[i]);
        if (node->shares == NONE || (node->state != PLACE_LOST && !lost))
            continue;
        checker_violate(c, CHECKER_LOST_RUNS, &c->job[c->share[node->shares].job].id, &pool->id,
                        c->doomed[i] - pool->first, "no stop came in the instant of the loss");
    }
    c->ndoomed = 0;
    checker_rules_end_of_time(c);
    checker_services_end_of_time(c);
    checker_corridors_end_of_time(c);
    checker_plan_end_of_time(c);
    checker_follow_end_of_time(c);
    checker_power_end_of_time(c);
}
