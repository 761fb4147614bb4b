/* SPDX-License-Identifier: Apache-2.0 */
/* Sites, chips, pools and corridors: what there is, what it costs now, and what is lost. */
#include "core/network.h"

#include <string.h>

#include "base/checked.h"
#include "base/err.h"
#include "base/str.h"
#include "core/kinds.h"
#include "core/state.h"

#define CHIP_WATTS_MAX 1000000
#define SIGNAL_PRICE_MAX INT64_C(1000000000000) /* nano-units for a kWh: 1,000 units */
#define SIGNAL_CARBON_MAX UINT64_C(10000000)    /* mg CO2e for a kWh: 10 kg */
#define PUE_MIN 1000
#define PUE_MAX 10000

/* What a site is taken to be until a signal says more. */
#define PUE_GUESS 1200

/* ---- laying out ---- */

static bool site_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct site *)table)[i].row.id, key, len) == 0;
}

static bool chip_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    const char *name = ((const struct chip *)table)[i].row.id;
    return text_eq(name, text_len(name, CHIP_CAP), key, len);
}

static bool pool_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct pool *)table)[i].row.id, key, len) == 0;
}

static bool corridor_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct corridor *)table)[i].row.id, key, len) == 0;
}

/* The key is the beginning of the row: pool and node. */
static bool down_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct down_node *)table)[i].row, key, len) == 0;
}

void network_carve(struct core *core, struct arena *arena)
{
    const struct limits *n = &core->limits;
    struct network *net = &core->net;
    CARVE(core, net.sites, net.site, n->sites);
    CARVE(core, net.chips, net.chip, n->chips);
    CARVE(core, net.pools, net.pool, n->pools);
    CARVE(core, net.corridors, net.corridor, n->corridors);
    CARVE(core, net.down, net.down_node, n->nodes);
    net->nodes_max = n->nodes;
    net->words_max = (n->nodes / 64 + n->pools) * (NODE_CHIPS_MAX + 2);
    net->node = arena_take(arena, (size_t)net->nodes_max * sizeof *net->node);
    net->until = arena_take(arena, (size_t)net->nodes_max * sizeof *net->until);
    net->words = arena_take(arena, (size_t)net->words_max * sizeof *net->words);
    net->sites_by_id = arena_take(arena, n->sites * sizeof *net->sites_by_id);
    net->pools_by_id = arena_take(arena, n->pools * sizeof *net->pools_by_id);
    index_init(&net->site_map, arena, n->sites, site_equal, net->site);
    index_init(&net->chip_map, arena, n->chips, chip_equal, net->chip);
    index_init(&net->pool_map, arena, n->pools, pool_equal, net->pool);
    index_init(&net->corridor_map, arena, n->corridors, corridor_equal, net->corridor);
    index_init(&net->down_map, arena, n->nodes, down_equal, net->down_node);
}

struct site_id site_by_id(const struct core *core, const struct uuid *id)
{
    return (struct site_id){map_get(&core->net.site_map, id, sizeof *id)};
}

uint32_t site_first(const struct core *core)
{
    return core->net.sites.live > 0 ? core->net.sites_by_id[0] : INDEX_NONE;
}

void network_changed(struct core *core)
{
    core->net.version++;
    core->work.due = true;
    for (uint32_t i = 0; i < core->net.pools.used; i++)
        pool_changed(core, (struct pool_id){i});
}

void pool_changed(struct core *core, struct pool_id id)
{
    core->work.changed[id.v / 64] |= UINT64_C(1) << id.v % 64;
    core->work.due = true;
}

/* ---- power ---- */

void site_eased(struct core *core, struct site_id id)
{
    if (site_limit(&core->net.site[id.v]) == 0)
        return;
    for (uint32_t i = 0; i < core->net.pools.used; i++) {
        if (core->net.pool[i].site.v == id.v)
            pool_changed(core, (struct pool_id){i});
    }
}

uint32_t site_pue(const struct row_site *site)
{
    return site->pue ? site->pue : PUE_GUESS;
}

uint64_t site_watts(const struct site *site, uint64_t more)
{
    return (site->load + more) * site_pue(&site->row) / 1000;
}

uint64_t site_limit(const struct site *site)
{
    const struct row_site *row = &site->row;
    return row->cap == 0 || (row->shed_cap > 0 && row->shed_cap < row->cap) ? row->shed_cap : row->cap;
}

bool site_takes(const struct site *site, uint64_t more)
{
    uint64_t limit = site_limit(site);
    return limit == 0 || site_watts(site, more) <= limit;
}

uint64_t pool_chip_watts(const struct core *core, const struct pool *pool)
{
    const struct row_chip *chip = &core->net.chip[pool->chip.v].row;
    return chip->watts - chip->idle_watts;
}

int128 carbon_cost(const struct core *core, uint64_t carbon)
{
    return (int128)carbon * core->work.row.carbon_price / 1000000;
}

int64_t pool_power(const struct core *core, const struct pool *pool, int128 kwh)
{
    const struct row_chip *chip = &core->net.chip[pool->chip.v].row;
    /* Watts x PUE/1000 for an hour are watts x PUE / 1e6 kWh. */
    return i64_clamp(kwh * chip->watts * site_pue(&core->net.site[pool->site.v].row) / 1000000,
                     POWER_HOUR_MAX);
}

/* Nano-units for a chip and an hour: the chip's price, and its power at the site's PUE with the carbon it stands for. */
static int64_t pool_hour(const struct core *core, const struct pool *pool)
{
    const struct row_site *site = &core->net.site[pool->site.v].row;
    return pool->row.price + pool_power(core, pool, site->price + carbon_cost(core, site->carbon));
}

static void pool_set_rate(const struct core *core, struct pool *pool)
{
    pool->hour = pool_hour(core, pool);
    pool->rate = (int64_t)((int128)pool->hour * RATE_MS / 3600000);
}

/* What goes into its rate is otherwise. */
static void pool_rate(struct core *core, struct pool_id id)
{
    struct pool *pool = &core->net.pool[id.v];
    int64_t hour = pool->hour;
    pool_set_rate(core, pool);
    if (pool->hour < hour && !list_empty(&core->work.holding))
        pool_changed(core, id); /* who waits by choice may want it now */
}

void site_rate(struct core *core, struct site_id id)
{
    for (uint32_t i = 0; i < core->net.pools.used; i++) {
        if (core->net.pool[i].site.v == id.v)
            pool_rate(core, (struct pool_id){i});
    }
}

/* ---- what there is ---- */

int site_put(struct core *core, const struct row_site *row)
{
    struct network *net = &core->net;
    uint32_t at = net->sites.live, i = table_take(&net->sites);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    net->site[i] = (struct site){.row = *row};
    map_put(&net->site_map, &row->id, sizeof row->id, i);
    for (; at > 0 && memcmp(&row->id, &net->site[net->sites_by_id[at - 1]].row.id, sizeof row->id) < 0; at--)
        net->sites_by_id[at] = net->sites_by_id[at - 1];
    net->sites_by_id[at] = i;
    return 0;
}

int step_site_add(struct core *core, const struct event *event)
{
    const struct event_site_add *e = &event->u.site_add;
    if (!name_valid(e->name, text_len(e->name, sizeof e->name)) || uuid_zero(&e->site))
        return ERR_INVALID;
    if (site_by_id(core, &e->site).v != INDEX_NONE)
        return ERR_EXISTS;
    struct row_site row = {.id = e->site, .lat = e->lat, .lon = e->lon, .state = PLACE_UP};
    memcpy(row.name, e->name, sizeof e->name);
    memcpy(row.jurisdiction, e->jurisdiction, sizeof e->jurisdiction);
    memcpy(row.region, e->region, sizeof e->region);
    memcpy(row.owner, e->owner, sizeof e->owner);
    return site_put(core, &row);
}

int step_chip_add(struct core *core, const struct event *event)
{
    const struct event_chip_add *e = &event->u.chip_add;
    size_t len = text_len(e->chip, sizeof e->chip);
    if (!name_valid(e->chip, len) || e->watts == 0 || e->idle_watts > e->watts || e->watts > CHIP_WATTS_MAX)
        return ERR_INVALID;
    if (map_get(&core->net.chip_map, e->chip, len) != MAP_NONE)
        return ERR_EXISTS;
    uint32_t i = table_take(&core->net.chips);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    struct chip *chip = &core->net.chip[i];
    *chip = (struct chip){.row = {.watts = e->watts,
                                  .idle_watts = e->idle_watts,
                                  .memory_mib = e->memory_mib,
                                  .gflops = e->gflops,
                                  .tpp = e->tpp,
                                  .density = e->density}};
    memcpy(chip->row.id, e->chip, sizeof e->chip);
    memcpy(chip->row.vendor, e->vendor, sizeof e->vendor);
    memcpy(chip->row.origin, e->origin, sizeof e->origin);
    map_put(&core->net.chip_map, e->chip, len, i);
    return 0;
}

int pool_place(struct core *core, uint32_t i)
{
    struct network *net = &core->net;
    struct pool *pool = &net->pool[i];
    uint32_t words = pool_words(pool->row.nodes, pool->row.node_chips);
    if (net->nodes_max - net->nodes_used < pool->row.nodes || net->words_max - net->words_used < words)
        return ERR_LIMIT;
    pool_init(pool, net->node + net->nodes_used, net->until + net->nodes_used, net->words + net->words_used);
    net->nodes_used += pool->row.nodes;
    net->words_used += words;
    struct chip *chip = &net->chip[pool->chip.v];
    uint32_t chips = pool->row.nodes * pool->row.node_chips;
    chip->capacity += chips;
    net->site[pool->site.v].load += (uint64_t)chips * chip->row.idle_watts;
    pool_set_rate(core, pool);
    uint32_t at = net->pools.live - 1;
    for (; at > 0 &&
           memcmp(&pool->row.id, &net->pool[net->pools_by_id[at - 1]].row.id, sizeof pool->row.id) < 0;
         at--)
        net->pools_by_id[at] = net->pools_by_id[at - 1];
    net->pools_by_id[at] = i;
    return 0;
}

int step_pool_add(struct core *core, const struct event *event)
{
    const struct event_pool_add *e = &event->u.pool_add;
    struct network *net = &core->net;
    struct site_id site = site_by_id(core, &e->site);
    uint32_t chip = map_get(&net->chip_map, e->chip, text_len(e->chip, sizeof e->chip));
    if (uuid_zero(&e->pool) || e->nodes == 0 || e->nodes > POOL_NODES_MAX || e->node_chips == 0 ||
        e->node_chips > NODE_CHIPS_MAX || e->domain == 0 || e->price < 0 || e->price > PRICE_MAX)
        return ERR_INVALID;
    if (site.v == INDEX_NONE || chip == MAP_NONE)
        return ERR_NOT_FOUND;
    if (map_get(&net->pool_map, &e->pool, sizeof e->pool) != MAP_NONE)
        return ERR_EXISTS;
    if (net->nodes_max - net->nodes_used < e->nodes ||
        net->words_max - net->words_used < pool_words(e->nodes, e->node_chips))
        return ERR_LIMIT;
    uint32_t i = table_take(&net->pools);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    struct pool *pool = &net->pool[i];
    *pool = (struct pool){.site = site, .chip = {chip}};
    pool->row = (struct row_pool){.id = e->pool,
                                  .site = e->site,
                                  .nodes = e->nodes,
                                  .node_chips = e->node_chips,
                                  .domain = e->domain,
                                  .price = e->price};
    memcpy(pool->row.chip, e->chip, sizeof e->chip);
    map_put(&net->pool_map, &e->pool, sizeof e->pool, i);
    (void)pool_place(core, i); /* there is room: checked above */
    work_weigh(core);
    core->book.version++; /* nobody has judged it yet */
    network_changed(core);
    site_judge(core, site);
    return 0;
}

/* ---- what changes ---- */

int step_site_signal(struct core *core, const struct event *event)
{
    const struct event_site_signal *e = &event->u.site_signal;
    struct site_id id = site_by_id(core, &e->site);
    if (id.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (e->price > SIGNAL_PRICE_MAX || e->price < -SIGNAL_PRICE_MAX || e->carbon > SIGNAL_CARBON_MAX ||
        e->pue < PUE_MIN || e->pue > PUE_MAX || e->renewable > 1000)
        return ERR_INVALID;
    struct row_site *row = &core->net.site[id.v].row;
    bool cooler = e->pue < row->pue; /* the cap lets more in */
    site_mean_turn(core, row);
    row->price = e->price;
    row->carbon = e->carbon;
    row->pue = e->pue;
    row->renewable = e->renewable;
    table_touch(&core->net.sites, id.v);
    site_rate(core, id);
    core->effects->routes_changed = true; /* requests go by what a place costs, too */
    traffic_changed(core);
    if (cooler)
        site_eased(core, id);
    site_judge(core, id);
    return 0;
}

void pool_set_price(struct core *core, struct pool_id id, int64_t price)
{
    core->net.pool[id.v].row.price = price;
    table_touch(&core->net.pools, id.v);
    pool_rate(core, id);
    core->effects->routes_changed = true; /* as with a signal */
}

int step_pool_price(struct core *core, const struct event *event)
{
    const struct event_pool_price *e = &event->u.pool_price;
    struct pool_id id = {map_get(&core->net.pool_map, &e->pool, sizeof e->pool)};
    if (id.v == MAP_NONE)
        return ERR_NOT_FOUND;
    if (e->price < 0 || e->price > PRICE_MAX)
        return ERR_INVALID;
    if (e->from_ms > event->at_ms) {
        int rc = item_price_later(core, &e->pool, e->price, e->from_ms);
        tariff_look(core);
        return rc;
    }
    pool_set_price(core, id, e->price);
    return 0;
}

int step_site_cap(struct core *core, const struct event *event)
{
    const struct event_site_cap *e = &event->u.site_cap;
    struct site_id id = site_by_id(core, &e->site);
    if (id.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (e->watts > SITE_WATTS_MAX)
        return ERR_INVALID;
    core->net.site[id.v].row.cap = e->watts;
    table_touch(&core->net.sites, id.v);
    network_changed(core);
    site_judge(core, id);
    return 0;
}

uint32_t site_state(const struct row_site *site)
{
    return site->away ? PLACE_LOST : site->state;
}

bool place_state_valid(uint32_t state)
{
    return state == PLACE_UP || state == PLACE_CORDONED || state == PLACE_LOST;
}

bool site_gives_up(const struct site *site)
{
    uint32_t state = site_state(&site->row);
    return state == PLACE_LOST || state == PLACE_DRAINING;
}

/* Its state is another than before. */
static void site_turned(struct core *core, struct site_id id)
{
    table_touch(&core->net.sites, id.v);
    core->work.lost |= site_gives_up(&core->net.site[id.v]);
    network_changed(core);
    services_look(core);
}

void site_set_state(struct core *core, struct site_id id, uint32_t state)
{
    core->net.site[id.v].row.state = state;
    site_turned(core, id);
}

int step_site_state(struct core *core, const struct event *event)
{
    const struct event_site_state *e = &event->u.site_state;
    struct site_id id = site_by_id(core, &e->site);
    if (id.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (!place_state_valid(e->state) && e->state != PLACE_DRAINING)
        return ERR_INVALID;
    site_set_state(core, id, e->state);
    return 0;
}

int step_site_contact(struct core *core, const struct event *event)
{
    const struct event_site_contact *e = &event->u.site_contact;
    struct site_id id = site_by_id(core, &e->site);
    if (id.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (e->lost > 1)
        return ERR_INVALID;
    struct row_site *row = &core->net.site[id.v].row;
    if (row->away == e->lost)
        return 0;
    row->away = e->lost;
    site_turned(core, id);
    if (!row->away) { /* what was let run to its end there may be stopped again */
        core->book.changed = true;
        core->work.due = true;
        site_judge(core, id);
    }
    return 0;
}

int step_site_engine(struct core *core, const struct event *event)
{
    const struct event_site_engine *e = &event->u.site_engine;
    struct site_id id = site_by_id(core, &e->site);
    if (id.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (e->isolation > ISOLATION_CGROUP)
        return ERR_INVALID;
    struct row_site *row = &core->net.site[id.v].row;
    bool reaches = row->isolation != e->isolation;
    memcpy(row->engine, e->engine, sizeof row->engine);
    row->isolation = e->isolation;
    table_touch(&core->net.sites, id.v);
    if (reaches)
        network_changed(core);
    return 0;
}

int step_node_state(struct core *core, const struct event *event)
{
    const struct event_node_state *e = &event->u.node_state;
    struct network *net = &core->net;
    struct pool_id id = {map_get(&net->pool_map, &e->pool, sizeof e->pool)};
    struct row_node row = {.pool = e->pool, .node = e->node, .state = e->state};
    if (id.v == MAP_NONE)
        return ERR_NOT_FOUND;
    struct pool *pool = &net->pool[id.v];
    if (!place_state_valid(e->state) || e->node >= pool->row.nodes)
        return ERR_INVALID;
    uint32_t down = map_get(&net->down_map, &row, sizeof row.pool + sizeof row.node);
    if (down == MAP_NONE && e->state != PLACE_UP) {
        down = table_take(&net->down);
        if (down == INDEX_NONE)
            return ERR_LIMIT;
        net->down_node[down].row = row;
        map_put(&net->down_map, &row, sizeof row.pool + sizeof row.node, down);
    } else if (down != MAP_NONE && e->state == PLACE_UP) {
        map_remove(&net->down_map, &row, sizeof row.pool + sizeof row.node);
        table_drop(&net->down, down);
    } else if (down != MAP_NONE) {
        net->down_node[down].row.state = e->state;
        table_touch(&net->down, down);
    }
    if (e->state == PLACE_LOST)
        (void)work_evict(core, id, e->node, NULL, 0); /* few: a node's */
    uint32_t before = pool->nodes_up;
    pool_set_node_power(core, id, e->node, e->state);
    if ((before == 0) != (pool->nodes_up == 0))
        network_changed(core); /* a pool without a node that is up is none */
    pool_changed(core, id);
    site_eased(core, pool->site);
    site_judge(core, pool->site);
    return 0;
}

void pool_set_node_power(struct core *core, struct pool_id id, uint32_t node, uint32_t state)
{
    struct pool *pool = &core->net.pool[id.v];
    struct site *site = &core->net.site[pool->site.v];
    uint64_t idle = (uint64_t)pool->row.node_chips * core->net.chip[pool->chip.v].row.idle_watts;
    uint32_t before = pool->nodes_up;
    pool_set_node(pool, node, state);
    site->load += idle * pool->nodes_up;
    site->load -= idle * before;
}
