/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/power.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/map.h"
#include "core/kinds.h"

#define PUE_UNTOLD 1200

struct kind {
    char name[CHIP_CAP];
    uint32_t watts, idle_watts;
};
struct place {
    struct uuid id;
    int64_t price;
    uint64_t carbon;
    uint32_t pue;
    uint64_t load; /* watts before PUE */
    uint32_t busy;
    int64_t at_ms; /* up to which the sums go */
    struct power_sum sum;
};
struct group {
    struct uuid id;
    uint32_t site, kind;
    uint32_t chips, busy;
};

struct power {
    struct kind *kind;
    struct place *site;
    struct group *pool;
    uint32_t nkinds, nsites, npools, kinds_max, sites_max, pools_max;
    struct map site_map, pool_map;
    struct map_slot *site_slots, *pool_slots;
};

static bool site_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct place *)table)[i].id, key, len) == 0;
}

static bool pool_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct group *)table)[i].id, key, len) == 0;
}

struct power *power_new(uint32_t sites, uint32_t chips, uint32_t pools)
{
    struct power *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    uint32_t ns = map_slots(sites), np = map_slots(pools);
    p->kind = calloc(chips, sizeof *p->kind);
    p->site = calloc(sites, sizeof *p->site);
    p->pool = calloc(pools, sizeof *p->pool);
    p->site_slots = calloc(ns, sizeof *p->site_slots);
    p->pool_slots = calloc(np, sizeof *p->pool_slots);
    if (!p->kind || !p->site || !p->pool || !p->site_slots || !p->pool_slots) {
        power_free(p);
        return NULL;
    }
    p->kinds_max = chips;
    p->sites_max = sites;
    p->pools_max = pools;
    map_init(&p->site_map, p->site_slots, ns, 0, site_equal, p->site);
    map_init(&p->pool_map, p->pool_slots, np, 0, pool_equal, p->pool);
    return p;
}

void power_free(struct power *p)
{
    if (!p)
        return;
    free(p->kind);
    free(p->site);
    free(p->pool);
    free(p->site_slots);
    free(p->pool_slots);
    free(p);
}

uint32_t power_pue(uint32_t pue)
{
    return pue ? pue : PUE_UNTOLD;
}

static uint64_t facility_watts(const struct place *s)
{
    return s->load * power_pue(s->pue) / 1000;
}

/* Adds what the site drew since the last time. */
static void advance(struct place *s, int64_t now_ms)
{
    int64_t ms = now_ms - s->at_ms;
    if (s->at_ms != 0 && ms > 0) {
        uint64_t joules = (uint64_t)((int128)facility_watts(s) * ms / 1000);
        s->sum.joules += joules;
        s->sum.nano += (int64_t)((int128)s->price * joules / 3600000);
        s->sum.mg += (uint64_t)((int128)s->carbon * joules / 3600000);
        s->sum.chip_ms += (uint64_t)s->busy * (uint64_t)ms;
    }
    s->at_ms = now_ms;
}

static void add_pool(struct power *p, const struct event_pool_add *e, int64_t now_ms)
{
    uint32_t site = map_get(&p->site_map, &e->site, sizeof e->site), kind = 0;
    while (kind < p->nkinds && strcmp(p->kind[kind].name, e->chip) != 0)
        kind++;
    if (site == MAP_NONE || kind == p->nkinds || p->npools == p->pools_max)
        return;
    uint32_t i = p->npools++;
    p->pool[i] = (struct group){.id = e->pool, .site = site, .kind = kind, .chips = e->nodes * e->node_chips};
    map_put(&p->pool_map, &e->pool, sizeof e->pool, i);
    advance(&p->site[site], now_ms);
    p->site[site].load += (uint64_t)p->pool[i].chips * p->kind[kind].idle_watts;
    p->site[site].sum.capacity += p->pool[i].chips;
}

void power_event(struct power *p, const struct event *event)
{
    if (event->kind == EVENT_KIND_chip_add && p->nkinds < p->kinds_max) {
        const struct event_chip_add *e = &event->u.chip_add;
        struct kind *k = &p->kind[p->nkinds++];
        *k = (struct kind){.watts = e->watts, .idle_watts = e->idle_watts};
        memcpy(k->name, e->chip, sizeof k->name);
    } else if (event->kind == EVENT_KIND_site_add && p->nsites < p->sites_max) {
        p->site[p->nsites] = (struct place){.id = event->u.site_add.site, .at_ms = event->at_ms};
        map_put(&p->site_map, &event->u.site_add.site, sizeof(struct uuid), p->nsites++);
    } else if (event->kind == EVENT_KIND_pool_add) {
        add_pool(p, &event->u.pool_add, event->at_ms);
    } else if (event->kind == EVENT_KIND_site_signal) {
        const struct event_site_signal *e = &event->u.site_signal;
        uint32_t i = map_get(&p->site_map, &e->site, sizeof e->site);
        if (i == MAP_NONE)
            return;
        advance(&p->site[i], event->at_ms);
        p->site[i].price = e->price;
        p->site[i].carbon = e->carbon;
        p->site[i].pue = e->pue;
    }
}

uint32_t power_pool(const struct power *p, const struct uuid *id)
{
    return map_get(&p->pool_map, id, sizeof *id);
}

struct uuid power_pool_id(const struct power *p, uint32_t pool)
{
    return p->pool[pool].id;
}

void power_use(struct power *p, uint32_t pool, uint32_t chips, bool take, int64_t now_ms)
{
    const struct kind *k = &p->kind[p->pool[pool].kind];
    struct place *s = &p->site[p->pool[pool].site];
    uint64_t watts = (uint64_t)chips * (k->watts - k->idle_watts);
    advance(s, now_ms);
    s->load = take ? s->load + watts : s->load - watts;
    s->busy = take ? s->busy + chips : s->busy - chips;
    p->pool[pool].busy = take ? p->pool[pool].busy + chips : p->pool[pool].busy - chips;
}

uint32_t power_pool_busy(const struct power *p, uint32_t pool)
{
    return pool < p->npools ? p->pool[pool].busy : 0;
}

struct power_rate power_now(const struct power *p)
{
    struct power_rate r = {0};
    for (uint32_t i = 0; i < p->nsites; i++) {
        uint64_t watts = facility_watts(&p->site[i]);
        r.watts += watts;
        r.nano_h += (int64_t)((int128)p->site[i].price * watts / 1000);
        r.mg_h += (uint64_t)((int128)p->site[i].carbon * watts / 1000);
    }
    return r;
}

struct power_sum power_site(const struct power *p, const struct uuid *id)
{
    uint32_t i = map_get(&p->site_map, id, sizeof *id);
    if (i == MAP_NONE)
        return (struct power_sum){0};
    struct power_sum sum = p->site[i].sum;
    sum.busy = p->site[i].busy;
    sum.watts = facility_watts(&p->site[i]);
    return sum;
}

struct power_sum power_total(struct power *p, int64_t now_ms)
{
    struct power_sum t = {0};
    for (uint32_t i = 0; i < p->nsites; i++) {
        struct place *s = &p->site[i];
        advance(s, now_ms);
        t.joules += s->sum.joules;
        t.nano += s->sum.nano;
        t.mg += s->sum.mg;
        t.chip_ms += s->sum.chip_ms;
        t.capacity += s->sum.capacity;
        t.busy += s->busy;
        t.watts += facility_watts(s);
    }
    return t;
}
