/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prices with a date: told now, in force from then on.
 *
 * A model's price is one of its rows of prices from the beginning, with the time from which it holds; at the first tick from then
 * on the model points to it, unless another one came in force later than that. A tenant's own price is such a row too, and says itself
 * whether it is in force. A pool's or corridor's is kept until then and is gone after. What was admitted or started before goes on at
 * its own price, as it does when a price is changed at once.
 */
#include "core/tariff.h"

#include <string.h>

#include "base/err.h"
#include "core/state.h"
#include "core/view.h"

#define HOUR_MS INT64_C(3600000)
/* A door may still admit at a price for so long after another one is in force: until it has the new snapshot. */
#define SNAPSHOT_MS 60000

struct own_key {
    struct uuid model, tenant;
};

static bool own_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    const struct row_price *row = &((const struct price_entry *)table)[i].row;
    const struct own_key *k = key;
    (void)len;
    return uuid_eq(&row->model, &k->model) && uuid_eq(&row->tenant, &k->tenant);
}

void tariff_carve(struct core *core, struct arena *arena)
{
    CARVE(core, tariff.table, tariff.price, POOL_PRICES_MAX);
    terms_carve(core, arena);
}

void tariff_index(struct core *core, struct arena *arena)
{
    index_init(&core->tariff.own, arena, core->limits.prices, own_equal, core->price);
}

static uint32_t own_price(const struct core *core, const struct uuid *model, const struct uuid *tenant)
{
    const struct own_key key = {.model = *model, .tenant = *tenant};
    return map_get(&core->tariff.own, &key, sizeof key);
}

/* ---- which holds ---- */

/* The price in force of the same model and tenant; INDEX_NONE: there is none. */
static uint32_t in_force(const struct core *core, const struct row_price *row)
{
    struct model_id id = model_by_id(core, &row->model);
    if (id.v == INDEX_NONE || !uuid_zero(&row->tenant))
        return id.v == INDEX_NONE ? INDEX_NONE : own_price(core, &row->model, &row->tenant);
    const struct uuid *price = &core->model[id.v].row.price;
    return map_get(&core->price_map, price, sizeof *price);
}

/* It will be in force, or should be since the last turn. */
static bool is_to_come(const struct core *core, const struct row_price *row)
{
    uint32_t now = in_force(core, row);
    return model_by_id(core, &row->model).v != INDEX_NONE &&
           (now == INDEX_NONE || row->from_ms > core->price[now].row.from_ms);
}

/* The price at this place among core's is in force from now on, in place of the one before. */
static void price_enforce(struct core *core, uint32_t price)
{
    struct row_price *row = &core->price[price].row;
    uint32_t before = in_force(core, row);
    if (before != INDEX_NONE && before != price) {
        core->price[before].row.flags &= ~(uint32_t)PRICE_IN_FORCE;
        core->price[before].row.until_ms = core->now_ms;
        table_touch(&core->prices, before);
    }
    if (uuid_zero(&row->tenant)) {
        struct model_id id = model_by_id(core, &row->model);
        core->model[id.v].row.price = row->id;
        table_touch(&core->models, id.v);
    } else {
        const struct own_key key = {.model = row->model, .tenant = row->tenant};
        (void)map_remove(&core->tariff.own, &key, sizeof key);
        map_put(&core->tariff.own, &key, sizeof key, price);
        row->flags |= PRICE_IN_FORCE;
    }
    row->until_ms = 0;
    table_touch(&core->prices, price);
    core->effects->routes_changed = true;
}

/* Of a model that is gone: not in force any more. If it is added again, its time has come again. */
static void own_drop(struct core *core, struct row_price *row)
{
    const struct own_key key = {.model = row->model, .tenant = row->tenant};
    if (!(row->flags & PRICE_IN_FORCE) || model_by_id(core, &row->model).v != INDEX_NONE)
        return;
    row->flags &= ~(uint32_t)PRICE_IN_FORCE;
    map_remove(&core->tariff.own, &key, sizeof key);
}

void prices_settle(struct core *core)
{
    for (uint32_t i = 0; i < core->prices.used; i++) {
        struct row_price *row = &core->price[i].row;
        if (!table_live(&core->prices, i) || row->until_ms != 0 || is_to_come(core, row))
            continue;
        own_drop(core, row);
        if (in_force(core, row) == i)
            continue;
        row->until_ms = core->now_ms;
        table_touch(&core->prices, i);
    }
    tariff_look(core);
}

/* Of prices for the same moment, the one with the greater id holds, unless another one is in force since then. */
static void models_turn(struct core *core)
{
    for (uint32_t i = 0; i < core->prices.used; i++) {
        const struct row_price *row = &core->price[i].row;
        if (!table_live(&core->prices, i) || row->from_ms > core->now_ms)
            continue;
        uint32_t now = in_force(core, row);
        const struct price_entry *best = now == INDEX_NONE ? NULL : &core->price[now];
        bool same = best && best->turned && row->from_ms == best->row.from_ms &&
                    memcmp(&row->id, &best->row.id, sizeof row->id) > 0;
        if (!same && !is_to_come(core, row))
            continue;
        price_enforce(core, i);
        core->price[i].turned = true;
    }
    for (uint32_t i = 0; i < core->prices.used; i++)
        core->price[i].turned = false;
}

static void item_set_price(struct core *core, const struct uuid *item, int64_t price)
{
    uint32_t pool = map_get(&core->net.pool_map, item, sizeof *item);
    if (pool != MAP_NONE)
        pool_set_price(core, (struct pool_id){pool}, price);
    else
        corridor_set_price(core, map_get(&core->net.corridor_map, item, sizeof *item), price);
}

static void items_turn(struct core *core)
{
    struct tariff *t = &core->tariff;
    for (uint32_t i = 0; i < t->table.used; i++) {
        const struct row_pool_price *row = &t->price[i].row;
        if (!table_live(&t->table, i) || row->from_ms > core->now_ms)
            continue;
        bool last = true; /* of those of the item whose time has come */
        for (uint32_t k = 0; k < t->table.used; k++) {
            const struct row_pool_price *other = &t->price[k].row;
            last = last && !(table_live(&t->table, k) && other->from_ms <= core->now_ms &&
                             other->from_ms > row->from_ms && uuid_eq(&other->pool, &row->pool));
        }
        if (last)
            item_set_price(core, &row->pool, row->price);
    }
    for (uint32_t i = 0; i < t->table.used; i++) {
        if (table_live(&t->table, i) && t->price[i].row.from_ms <= core->now_ms)
            table_drop(&t->table, i);
    }
}

/* ---- what nothing names any more ---- */

static int64_t oldest_hold_ms(const struct core *core)
{
    int64_t oldest = INT64_MAX;
    for (uint32_t i = 0; i < core->leases.used; i++) {
        if (table_live(&core->leases, i) && core->lease[i].row.opened_ms < oldest)
            oldest = core->lease[i].row.opened_ms;
    }
    return oldest;
}

/* A record is paid out of a hold that was there when its request was admitted. */
static void prices_close(struct core *core)
{
    int64_t oldest = INT64_MIN;
    for (uint32_t i = 0; i < core->prices.used; i++) {
        struct row_price *row = &core->price[i].row;
        if (!table_live(&core->prices, i) || row->until_ms == 0 ||
            row->until_ms + PRICE_KEPT_MS > core->now_ms)
            continue;
        oldest = oldest == INT64_MIN ? oldest_hold_ms(core) : oldest;
        if (oldest <= row->until_ms + SNAPSHOT_MS)
            continue;
        row->flags |= PRICE_CLOSED;
        map_remove(&core->price_map, &row->id, sizeof row->id);
        table_drop(&core->prices, i);
    }
}

/* ---- when ---- */

void tariff_look(struct core *core)
{
    struct tariff *t = &core->tariff;
    int64_t next_ms = INT64_MAX;
    for (uint32_t i = 0; i < core->prices.used; i++) {
        const struct row_price *row = &core->price[i].row;
        if (!table_live(&core->prices, i))
            continue;
        int64_t close_ms = row->until_ms + PRICE_KEPT_MS;
        if (close_ms <= core->now_ms)
            close_ms = core->now_ms + HOUR_MS; /* something still holds it */
        /* Also one whose time came while nobody was there to turn to it. */
        int64_t due_ms = is_to_come(core, row) ? row->from_ms : row->until_ms ? close_ms : INT64_MAX;
        next_ms = due_ms < next_ms ? due_ms : next_ms;
    }
    for (uint32_t i = 0; i < t->table.used; i++) {
        if (table_live(&t->table, i) && t->price[i].row.from_ms < next_ms)
            next_ms = t->price[i].row.from_ms;
    }
    int64_t terms_ms = terms_turn(core);
    t->next_ms = terms_ms < next_ms ? terms_ms : next_ms;
}

void tariff_turn(struct core *core)
{
    if (core->tariff.next_ms > core->now_ms)
        return;
    models_turn(core);
    items_turn(core);
    prices_close(core);
    prices_settle(core);
}

/* ---- what is told ---- */

static bool price_in_range(int64_t price)
{
    return price >= 0 && price <= PRICE_MAX;
}

int price_check(const struct core *core, const struct row_price *row)
{
    if (model_by_id(core, &row->model).v == INDEX_NONE ||
        (!uuid_zero(&row->tenant) && tenant_by_id(core, &row->tenant).v == INDEX_NONE))
        return ERR_NOT_FOUND;
    if (uuid_zero(&row->id) || !price_in_range(row->prompt) || !price_in_range(row->cached) ||
        !price_in_range(row->completion) || !price_in_range(row->reasoning))
        return ERR_OVERFLOW;
    if ((row->flags & ~(uint32_t)PRICE_GENERAL) || (row->flags && uuid_zero(&row->tenant)))
        return ERR_INVALID;
    return map_get(&core->price_map, &row->id, sizeof row->id) == MAP_NONE ? 0 : ERR_EXISTS;
}

void price_take(struct core *core, const struct row_price *row)
{
    uint32_t i = table_take(&core->prices);
    bool later = row->from_ms > core->now_ms;
    core->price[i] = (struct price_entry){.row = *row};
    core->price[i].row.from_ms = later ? row->from_ms : core->now_ms;
    map_put(&core->price_map, &row->id, sizeof row->id, i);
    if (!later)
        price_enforce(core, i);
}

int step_price_set(struct core *core, const struct event *event)
{
    const struct event_price_set *e = &event->u.price_set;
    const struct row_price row = {.id = e->price,
                                  .model = e->model,
                                  .prompt = e->prompt,
                                  .cached = e->cached,
                                  .completion = e->completion,
                                  .reasoning = e->reasoning,
                                  .from_ms = e->from_ms,
                                  .tenant = e->tenant,
                                  .flags = e->flags};
    int rc = price_check(core, &row);
    if (rc == 0 && table_room(&core->prices) == 0)
        rc = ERR_LIMIT;
    if (rc != 0)
        return rc;
    price_take(core, &row);
    prices_settle(core);
    return 0;
}

int price_load_own(struct core *core, uint32_t price)
{
    const struct row_price *row = &core->price[price].row;
    const struct own_key key = {.model = row->model, .tenant = row->tenant};
    if (!(row->flags & PRICE_IN_FORCE))
        return 0;
    if (uuid_zero(&row->tenant) || own_price(core, &row->model, &row->tenant) != MAP_NONE)
        return ERR_CORRUPT;
    map_put(&core->tariff.own, &key, sizeof key, price);
    return 0;
}

/* One that is there for the same moment is replaced. */
static int put(struct core *core, const struct row_pool_price *row)
{
    struct tariff *t = &core->tariff;
    for (uint32_t i = 0; i < t->table.used; i++) {
        struct row_pool_price *known = &t->price[i].row;
        if (!table_live(&t->table, i) || known->from_ms != row->from_ms || !uuid_eq(&known->pool, &row->pool))
            continue;
        known->price = row->price;
        table_touch(&t->table, i);
        return 0;
    }
    uint32_t i = table_take(&t->table);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    t->price[i].row = *row;
    return 0;
}

int item_price_later(struct core *core, const struct uuid *item, int64_t price, int64_t from_ms)
{
    return put(core, &(struct row_pool_price){.pool = *item, .from_ms = from_ms, .price = price});
}

int load_pool_price(struct core *core, const struct row_pool_price *row)
{
    bool known = map_get(&core->net.pool_map, &row->pool, sizeof row->pool) != MAP_NONE ||
                 map_get(&core->net.corridor_map, &row->pool, sizeof row->pool) != MAP_NONE;
    return known && price_in_range(row->price) ? put(core, row) : ERR_CORRUPT;
}

/* ---- views ---- */

const struct row_price *view_price_of(const struct core *core, const struct uuid *model,
                                      const struct uuid *tenant)
{
    uint32_t own = tenant ? own_price(core, model, tenant) : MAP_NONE;
    if (own != MAP_NONE && !(core->price[own].row.flags & PRICE_GENERAL))
        return &core->price[own].row;
    struct model_id id = model_by_id(core, model);
    return id.v == INDEX_NONE ? NULL : view_price(core, &core->model[id.v].row.price);
}

const struct row_price *view_own_price_at(const struct core *core, uint32_t *pos)
{
    while (*pos < core->prices.used) {
        uint32_t i = (*pos)++;
        const struct row_price *row = &core->price[i].row;
        if (table_live(&core->prices, i) && (row->flags & PRICE_IN_FORCE) && !(row->flags & PRICE_GENERAL))
            return row;
    }
    return NULL;
}

const struct row_price *view_price_at(const struct core *core, uint32_t *pos)
{
    while (*pos < core->prices.used) {
        uint32_t i = (*pos)++;
        if (table_live(&core->prices, i))
            return &core->price[i].row;
    }
    return NULL;
}

const struct row_pool_price *view_item_price_at(const struct core *core, uint32_t *pos)
{
    while (*pos < core->tariff.table.used) {
        uint32_t i = (*pos)++;
        if (table_live(&core->tariff.table, i))
            return &core->tariff.price[i].row;
    }
    return NULL;
}

const struct row_price *view_price_then(const struct core *core, const struct uuid *model,
                                        const struct uuid *tenant, int64_t then_ms)
{
    const struct row_price key = {.model = *model, .tenant = tenant ? *tenant : (struct uuid){{0}}};
    uint32_t now = in_force(core, &key);
    const struct row_price *found = now == INDEX_NONE ? NULL : &core->price[now].row;
    for (uint32_t i = 0; i < core->prices.used; i++) {
        const struct row_price *row = &core->price[i].row;
        if (!table_live(&core->prices, i) || row->from_ms <= core->now_ms || row->from_ms > then_ms ||
            !uuid_eq(&row->model, model) || !uuid_eq(&row->tenant, &key.tenant))
            continue;
        if (!found || row->from_ms > found->from_ms ||
            (row->from_ms == found->from_ms && memcmp(&row->id, &found->id, sizeof row->id) > 0))
            found = row;
    }
    return found && (found->flags & PRICE_GENERAL) ? NULL : found;
}

int64_t view_item_price_then(const struct core *core, const struct uuid *item, int64_t then_ms)
{
    const struct tariff *t = &core->tariff;
    const struct row_pool *pool = view_pool(core, item);
    int64_t price = pool ? pool->price : view_corridor(core, item)->price, since_ms = INT64_MIN;
    for (uint32_t i = 0; i < t->table.used; i++) {
        const struct row_pool_price *row = &t->price[i].row;
        if (!table_live(&t->table, i) || row->from_ms > then_ms || row->from_ms < since_ms ||
            !uuid_eq(&row->pool, item))
            continue;
        price = row->price;
        since_ms = row->from_ms;
    }
    return price;
}
