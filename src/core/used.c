/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts of what was used, beside the money: tokens by kind, chip-ms, energy, carbon, bytes.
 *
 * Double entry as well: what a tenant used is a debit of its account in the unit, and a credit of whoever supplied it, in the step
 * that adds to the tenant's lines. So in each unit debits equal credits, and a tenant's account is the sum of its lines. Energy that a site's
 * replicas drew for nobody is a debit of the site's own account of that. Rows are sums
 * of a batch, added to what the store has; the core keeps none of it.
 */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

/* Of an event: each unit, used and supplied; and energy with its carbon for each key that a replica's is shared between. */
#define USES_MAX (18 * BATCH_EVENTS_MAX + 2 * ENERGY_WEIGHTS_MAX)
#define USED_KEY_LEN (sizeof(struct uuid) + 2 * sizeof(uint32_t))

static bool used_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct used *)table)[i].row, key, len) == 0;
}

void used_carve(struct core *core, struct arena *arena)
{
    _Static_assert(offsetof(struct row_used, debits) == USED_KEY_LEN, "key is a prefix");
    CARVE(core, books.uses, books.used, USES_MAX);
    index_init(&core->books.used_map, arena, USES_MAX, used_equal, core->books.used);
}

void used_collect(struct core *core, row_fn *fn, void *ctx)
{
    struct books *b = &core->books;
    for (uint32_t k = 0; k < b->uses.ndirty; k++) {
        bool dead;
        const struct row_used *row = &b->used[table_changed(&b->uses, k, &dead)].row;
        fn(ctx, ROW_KIND_used, ROW_ADD, row);
        map_remove(&b->used_map, row, USED_KEY_LEN);
        table_drop(&b->uses, (uint32_t)((const struct used *)row - b->used));
    }
    table_clean(&b->uses);
}

static struct row_used *cell(struct core *core, const struct uuid *owner, enum usage_side side,
                             enum usage_unit unit)
{
    static const struct uuid network;
    struct books *b = &core->books;
    const struct row_used key = {.owner = owner ? *owner : network, .side = side, .unit = unit};
    uint32_t i = map_get(&b->used_map, &key, USED_KEY_LEN);
    if (i != MAP_NONE)
        return &b->used[i].row;
    i = table_take(&b->uses);
    assert(i != INDEX_NONE);
    b->used[i].row = key;
    map_put(&b->used_map, &key, USED_KEY_LEN, i);
    return &b->used[i].row;
}

static void move(struct core *core, const struct uuid *tenant, const struct uuid *from, enum usage_side side,
                 enum usage_unit unit, uint64_t amount)
{
    if (amount == 0)
        return;
    cell(core, tenant, SIDE_USED, unit)->debits += amount;
    cell(core, from, side, unit)->credits += amount;
}

void used_add(struct core *core, const struct row_bill *more, const struct supply *by)
{
    const struct uuid *const from[] = {
        [USAGE_PROMPT] = by->tokens,    [USAGE_CACHED] = by->tokens, [USAGE_COMPLETION] = by->tokens,
        [USAGE_REASONING] = by->tokens, [USAGE_CHIP_MS] = by->chips, [USAGE_ENERGY] = by->power,
        [USAGE_CARBON] = by->power,     [USAGE_BYTES] = by->bytes};
#define U(name, number, field, text) \
    move(core, &more->tenant, from[number], SIDE_SUPPLIED, USAGE_##name, more->field);
    USAGE_UNITS(U)
#undef U
}

void used_idle(struct core *core, const struct uuid *site, uint64_t energy_mj)
{
    const struct {
        enum usage_unit unit;
        uint64_t amount;
    } drawn[] = {{USAGE_ENERGY, energy_mj}, {USAGE_CARBON, carbon_ng(core, site, energy_mj)}};
    for (uint32_t i = 0; i < sizeof drawn / sizeof drawn[0]; i++) {
        if (drawn[i].amount == 0)
            continue;
        cell(core, site, SIDE_IDLE, drawn[i].unit)->debits += drawn[i].amount;
        cell(core, site, SIDE_SUPPLIED, drawn[i].unit)->credits += drawn[i].amount;
    }
}

/* What was spent before there were lines gets one, of no day, so that it is on no invoice; and what lines came to before there were
 * these accounts is theirs, too. */
int step_books_open(struct core *core, const struct event *event)
{
    const struct event_books_open *e = &event->u.books_open;
    if (core->row.books_ms != 0)
        return ERR_WRONG_STATE;
    if (uuid_zero(&e->tenant) ? !e->done || e->cost != 0 : tenant_by_id(core, &e->tenant).v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (e->cost < 0 || e->cost > MONEY_MAX || e->done > 1)
        return ERR_INVALID;
    if (e->cost > 0)
        bill_opening(core, &e->tenant, e->cost);
#define U(name, number, field, text) move(core, &e->tenant, NULL, SIDE_OPENING, USAGE_##name, e->field);
    USAGE_UNITS(U)
#undef U
    core->row.books_ms = e->done ? event->at_ms : 0;
    return 0;
}
