/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prices with a date: told now, in force from then on.
 *
 * A model's price is one of its rows of prices from the beginning, with the time from which it holds; at the first tick from then
 * on the model points to it, unless another one came in force later than that. A pool's is kept until then and is gone after. What
 * was admitted or started before goes on at its own price, as it does when a price is changed at once.
 */
#include <string.h>

#include "base/err.h"
#include "core/state.h"
#include "core/view.h"

void tariff_carve(struct core *core, struct arena *arena)
{
    CARVE(core, tariff.table, tariff.price, POOL_PRICES_MAX);
}

/* From when on the model's price in force holds. */
static int64_t in_force_ms(const struct core *core, struct model_id id)
{
    const struct uuid *price = &core->model[id.v].row.price;
    uint32_t i = map_get(&core->price_map, price, sizeof *price);
    return i == MAP_NONE ? INT64_MIN : core->price[i].row.from_ms;
}

void tariff_look(struct core *core)
{
    struct tariff *t = &core->tariff;
    t->next_ms = INT64_MAX;
    for (uint32_t i = 0; i < core->prices.used; i++) {
        const struct row_price *row = &core->price[i].row;
        struct model_id id = model_by_id(core, &row->model);
        /* Also one whose time came while nobody was there to turn to it. */
        if (row->from_ms < t->next_ms && id.v != INDEX_NONE && row->from_ms > in_force_ms(core, id))
            t->next_ms = row->from_ms;
    }
    for (uint32_t i = 0; i < t->table.used; i++) {
        if (table_live(&t->table, i) && t->price[i].row.from_ms < t->next_ms)
            t->next_ms = t->price[i].row.from_ms;
    }
}

/* Of prices for the same moment, the one with the greater id holds, unless another one is in force since then. */
static void models_turn(struct core *core)
{
    for (uint32_t i = 0; i < core->prices.used; i++) {
        const struct row_price *row = &core->price[i].row;
        struct model_id id = model_by_id(core, &row->model);
        if (row->from_ms > core->now_ms || id.v == INDEX_NONE || row->from_ms <= in_force_ms(core, id))
            continue;
        uint32_t *due = &core->model[id.v].price_due;
        const struct row_price *best = *due ? &core->price[*due - 1].row : NULL;
        if (!best || row->from_ms > best->from_ms ||
            (row->from_ms == best->from_ms && memcmp(&row->id, &best->id, sizeof row->id) > 0))
            *due = i + 1;
    }
    for (uint32_t i = 0; i < core->prices.used; i++) {
        struct model_id id = model_by_id(core, &core->price[i].row.model);
        if (id.v == INDEX_NONE || core->model[id.v].price_due != i + 1)
            continue;
        model_set_price(core, id, &core->price[i].row.id);
        core->model[id.v].price_due = 0;
    }
}

static void pools_turn(struct core *core)
{
    struct tariff *t = &core->tariff;
    for (uint32_t i = 0; i < t->table.used; i++) {
        const struct row_pool_price *row = &t->price[i].row;
        if (!table_live(&t->table, i) || row->from_ms > core->now_ms)
            continue;
        bool last = true; /* of those of the pool whose time has come */
        for (uint32_t k = 0; k < t->table.used; k++) {
            const struct row_pool_price *other = &t->price[k].row;
            last = last && !(table_live(&t->table, k) && other->from_ms <= core->now_ms &&
                             other->from_ms > row->from_ms && uuid_eq(&other->pool, &row->pool));
        }
        struct pool_id id = {map_get(&core->net.pool_map, &row->pool, sizeof row->pool)};
        if (last)
            pool_set_price(core, id, row->price);
    }
    for (uint32_t i = 0; i < t->table.used; i++) {
        if (table_live(&t->table, i) && t->price[i].row.from_ms <= core->now_ms)
            table_drop(&t->table, i);
    }
}

void tariff_turn(struct core *core)
{
    if (core->tariff.next_ms > core->now_ms)
        return;
    models_turn(core);
    pools_turn(core);
    tariff_look(core);
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

int pool_price_later(struct core *core, const struct event_pool_price *e)
{
    const struct row_pool_price row = {.pool = e->pool, .from_ms = e->from_ms, .price = e->price};
    int rc = put(core, &row);
    if (rc == 0)
        tariff_look(core);
    return rc;
}

int load_pool_price(struct core *core, const struct row_pool_price *row)
{
    if (map_get(&core->net.pool_map, &row->pool, sizeof row->pool) == MAP_NONE || row->price < 0 ||
        row->price > PRICE_MAX)
        return ERR_CORRUPT;
    return put(core, row);
}

const struct row_price *view_price_then(const struct core *core, const struct uuid *model, int64_t then_ms)
{
    struct model_id id = model_by_id(core, model);
    uint32_t now = map_get(&core->price_map, &core->model[id.v].row.price, sizeof(struct uuid));
    const struct row_price *found = now == MAP_NONE ? NULL : &core->price[now].row;
    for (uint32_t i = 0; i < core->prices.used; i++) {
        const struct row_price *row = &core->price[i].row;
        if (row->from_ms <= core->now_ms || row->from_ms > then_ms || !uuid_eq(&row->model, model))
            continue;
        if (!found || row->from_ms > found->from_ms ||
            (row->from_ms == found->from_ms && memcmp(&row->id, &found->id, sizeof row->id) > 0))
            found = row;
    }
    return found;
}

int64_t view_pool_price_then(const struct core *core, const struct uuid *pool, int64_t then_ms)
{
    const struct tariff *t = &core->tariff;
    int64_t price = view_pool(core, pool)->price, since_ms = INT64_MIN;
    for (uint32_t i = 0; i < t->table.used; i++) {
        const struct row_pool_price *row = &t->price[i].row;
        if (!table_live(&t->table, i) || row->from_ms > then_ms || row->from_ms < since_ms ||
            !uuid_eq(&row->pool, pool))
            continue;
        price = row->price;
        since_ms = row->from_ms;
    }
    return price;
}
