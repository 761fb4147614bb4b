/* SPDX-License-Identifier: Apache-2.0 */
#include "core/route.h"

#include <string.h>

#include "core/kinds.h"
#include "core/state.h"

#define GB INT64_C(1000000000)
#define KWH_JOULES 3600000
#define HOP_PRICE_MAX INT64_C(100000000000000000) /* so that WAY_MAX of them can be added */

static bool transit_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct transit *)table)[i].row.job, key, len) == 0;
}

static bool ends_before(const struct heap_node *a, const struct heap_node *b)
{
    const struct row_transit *x = &heap_entry(a, struct transit, by_end)->row;
    const struct row_transit *y = &heap_entry(b, struct transit, by_end)->row;
    return x->ends_ms != y->ends_ms ? x->ends_ms < y->ends_ms : memcmp(&x->job, &y->job, sizeof x->job) < 0;
}

void traffic_carve(struct core *core, struct arena *arena)
{
    struct traffic *t = &core->traffic;
    uint32_t sites = core->limits.sites, n = core->limits.corridors * TRANSITS_A_CORRIDOR;
    t->route = arena_take(arena, (size_t)sites * sites * sizeof *t->route);
    t->made = arena_take(arena, sites * sizeof *t->made);
    t->done = arena_take(arena, sites);
    t->other = arena_take(arena, ROUTES_CLOSED * sizeof *t->other);
    t->next_other = arena_take(arena, sizeof *t->next_other);
    for (uint32_t i = 0; i < ROUTES_CLOSED; i++) {
        struct closed_routes other = {
            .route = arena_take(arena, sites * sizeof *other.route),
            .closed = arena_take(arena, (core->limits.corridors + 63) / 64 * sizeof *other.closed)};
        if (t->other) /* not where it is only counted */
            t->other[i] = other;
    }
    CARVE(core, traffic.transits, traffic.transit, n);
    index_init(&t->transit_map, arena, n, transit_equal, t->transit);
}

void traffic_init(struct core *core)
{
    core->traffic.version = 1;
    heap_init(&core->traffic.ends, ends_before);
}

void traffic_changed(struct core *core)
{
    core->traffic.version++;
}

/* ---- tables ---- */

/* Nano-units for a kWh at a site, with its carbon. */
static int128 power_price(const struct core *core, struct site_id id)
{
    const struct row_site *site = &core->net.site[id.v].row;
    return site->price + carbon_cost(core, site->carbon);
}

/* Nano-units for a GB. */
static int64_t hop_price(const struct core *core, const struct corridor *c)
{
    int128 kwh = (power_price(core, c->a) + power_price(core, c->b)) / 2;
    int128 energy = kwh > 0 ? kwh * (int128)c->row.energy / KWH_JOULES : 0;
    int128 price = c->row.price + energy;
    return price < HOP_PRICE_MAX ? (int64_t)price : HOP_PRICE_MAX;
}

/* Whether way x to a site is better than y; both by their last corridor. */
static bool better(const struct core *core, const struct route *x, const struct route *y)
{
    if (y->hops == 0)
        return true;
    if (x->price != y->price)
        return x->price < y->price;
    if (x->rtt != y->rtt)
        return x->rtt < y->rtt;
    if (x->hops != y->hops)
        return x->hops < y->hops;
    return memcmp(&core->net.corridor[x->corridor].row.id, &core->net.corridor[y->corridor].row.id,
                  sizeof(struct uuid)) < 0;
}

/* Of the sites that a way leads to and that are not done, the nearest. Hops make every way dearer than the one before it,
 * so all that could lead to a site as cheaply are done before it, in whatever order. */
static uint32_t nearest(const struct core *core, const struct route *route, const uint8_t *done)
{
    uint32_t best = INDEX_NONE;
    for (uint32_t i = 0; i < core->net.sites.used; i++) {
        const struct route *x = &route[i], *y = best == INDEX_NONE ? NULL : &route[best];
        if (done[i] || x->hops == 0 || !table_live(&core->net.sites, i))
            continue;
        if (!y || x->price < y->price ||
            (x->price == y->price && (x->rtt < y->rtt || (x->rtt == y->rtt && x->hops < y->hops))))
            best = i;
    }
    return best;
}

/* Ways that go on from a site. */
static void relax(const struct core *core, const uint64_t *closed, struct route *route, const uint8_t *done,
                  uint32_t site)
{
    const struct route here = route[site];
    for (uint32_t i = 0; i < core->net.corridors.used && here.hops < WAY_MAX; i++) {
        const struct corridor *c = &core->net.corridor[i];
        uint32_t to = c->a.v == site ? c->b.v : c->a.v;
        if (!table_live(&core->net.corridors, i) || (c->a.v != site && c->b.v != site) ||
            c->row.state != PLACE_UP || done[to] || (closed && bit_of(closed, i)))
            continue;
        struct route way = {.price = here.price + hop_price(core, c),
                            .rtt = here.rtt + c->row.rtt,
                            .hops = here.hops + 1,
                            .corridor = i,
                            .before = site};
        if (better(core, &way, &route[to]))
            route[to] = way;
    }
}

static void make(const struct core *core, const uint64_t *closed, uint32_t from, struct route *route)
{
    uint8_t *done = core->traffic.done;
    memset(route, 0, core->limits.sites * sizeof *route);
    memset(done, 0, core->limits.sites);
    for (uint32_t site = from; site != INDEX_NONE; site = nearest(core, route, done)) {
        done[site] = 1;
        relax(core, closed, route, done, site);
    }
}

/* Of work to which corridors are closed. */
static const struct route *closed_routes(const struct core *core, const uint64_t *closed, uint32_t from)
{
    const struct traffic *t = &core->traffic;
    size_t bytes = (core->limits.corridors + 63) / 64 * sizeof *closed;
    for (uint32_t i = 0; i < ROUTES_CLOSED; i++) {
        const struct closed_routes *other = &t->other[i];
        if (other->made == t->version && other->from == from && memcmp(other->closed, closed, bytes) == 0)
            return other->route;
    }
    struct closed_routes *other = &t->other[(*t->next_other)++ % ROUTES_CLOSED];
    other->made = t->version;
    other->from = from;
    memcpy(other->closed, closed, bytes);
    make(core, closed, from, other->route);
    return other->route;
}

static const struct route *routes_from(const struct core *core, const uint64_t *closed, uint32_t from)
{
    const struct traffic *t = &core->traffic;
    struct route *route = t->route + (size_t)from * core->limits.sites;
    if (closed)
        return closed_routes(core, closed, from);
    if (t->made[from] == t->version)
        return route;
    t->made[from] = t->version;
    make(core, NULL, from, route);
    return route;
}

bool route_leads(const struct core *core, const uint64_t *closed, uint32_t from, uint32_t to)
{
    return from == to || routes_from(core, closed, from)[to].hops > 0;
}

/* ---- ways ---- */

uint64_t corridor_share(const struct corridor *c)
{
    uint64_t left = c->row.bits_s - c->granted, least = c->row.bits_s / TRANSIT_SHARES;
    if (c->transits == TRANSITS_A_CORRIDOR || left < least || left == 0)
        return 0;
    uint64_t share = left / 2 > least ? left / 2 : least;
    return share > 0 ? share : 1;
}

/* What a window of so many streams lets through. */
static uint64_t window_rate(uint64_t rtt)
{
    return rtt == 0 ? UINT64_MAX : TRANSIT_STREAMS * TRANSIT_WINDOW * 8 * 1000000 / rtt + 1;
}

bool route_way(const struct core *core, const uint64_t *closed, uint32_t from, uint32_t to, uint64_t bytes,
               struct way *out)
{
    *out = (struct way){0};
    if (from == to)
        return true;
    const struct route *route = routes_from(core, closed, from);
    const struct route *last = &route[to];
    if (last->hops == 0)
        return false;
    out->n = last->hops;
    out->cost = (int128)last->price * (int128)bytes / GB;
    out->bits_s = window_rate(last->rtt);
    for (uint32_t k = out->n, site = to; k-- > 0; site = route[site].before) {
        out->corridor[k] = route[site].corridor;
        uint64_t share = corridor_share(&core->net.corridor[route[site].corridor]);
        out->bits_s = share < out->bits_s ? share : out->bits_s;
    }
    if (out->bits_s == 0)
        return true;
    int128 ms = ((int128)last->rtt * TRANSIT_HANDSHAKES + 999) / 1000 +
                ((int128)bytes * 8000 + out->bits_s - 1) / out->bits_s;
    if (ms > JOB_MS_MAX)
        out->bits_s = 0; /* it would take for ever */
    else
        out->ms = (int64_t)ms;
    return true;
}
