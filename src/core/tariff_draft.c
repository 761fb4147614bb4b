/* SPDX-License-Identifier: Apache-2.0 */
/* A tariff arrives in parts, and is put in force as one: all of its prices, or none. */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/state.h"

static void draft_drop(struct core *core)
{
    struct tariff *t = &core->tariff;
    for (uint32_t i = 0; i < t->parts.used; i++) {
        if (table_live(&t->parts, i))
            table_drop(&t->parts, i);
    }
}

/* The draft's part of that number; NULL: there is none. */
static struct row_tariff_part *part_at(const struct core *core, uint32_t part)
{
    const struct tariff *t = &core->tariff;
    for (uint32_t i = 0; i < t->parts.used; i++) {
        uint32_t k = (part + i) % t->parts.used; /* most are near where their number says */
        if (table_live(&t->parts, k) && t->part[k].row.part == part)
            return &t->part[k].row;
    }
    return NULL;
}

static bool has_price(const struct core *core, const struct uuid *price)
{
    const struct tariff *t = &core->tariff;
    for (uint32_t i = 0; i < t->parts.used; i++) {
        if (table_live(&t->parts, i) && t->part[i].row.what == TARIFF_MODEL &&
            uuid_eq(&t->part[i].row.price, price))
            return true;
    }
    return false;
}

#define PART_COPY_(from, type, name, size) memcpy(&row.name, &(from)->name, sizeof row.name);

int step_tariff_put(struct core *core, const struct event *event)
{
    const struct event_tariff_put *e = &event->u.tariff_put;
    struct tariff *t = &core->tariff;
    const struct row_tariff_part *first = e->part > 0 ? part_at(core, 0) : NULL;
    struct row_tariff_part row = {.part = e->part, .tariff = e->tariff};
    if (uuid_zero(&e->tariff) || e->what < TARIFF_MODEL || e->what > TARIFF_TERMS)
        return ERR_INVALID;
    if (e->part > 0 && (!first || !uuid_eq(&first->tariff, &e->tariff) || e->part != t->parts.live))
        return ERR_WRONG_STATE;
    if (e->part >= TARIFF_PARTS_MAX || table_room(&t->parts) == 0)
        return ERR_LIMIT;
    if (e->part > 0 && e->what == TARIFF_MODEL && has_price(core, &e->price))
        return ERR_EXISTS;
    if (e->part == 0)
        draft_drop(core);
    TARIFF_ENTRY(PART_COPY_, e)
    memset(row.chip, 0, sizeof row.chip);
    memcpy(row.chip, e->chip, text_len(e->chip, sizeof e->chip - 1));
    uint32_t i = table_take(&t->parts);
    t->part[i].row = row;
    return 0;
}

/* ---- in force ---- */

static struct row_price price_of(const struct row_tariff_part *p, int64_t from_ms)
{
    return (struct row_price){.id = p->price,
                              .model = p->item,
                              .prompt = p->prompt,
                              .cached = p->cached,
                              .completion = p->completion,
                              .reasoning = p->reasoning,
                              .from_ms = from_ms,
                              .tenant = p->tenant,
                              .flags = p->price_flags};
}

static int terms_check(const struct core *core, const struct row_tariff_part *p, int64_t from_ms)
{
    struct terms terms;
    TERMS_COPY(&terms, p);
    bool all = uuid_zero(&p->tenant);
    if ((!all && tenant_by_id(core, &p->tenant).v == INDEX_NONE) ||
        (!uuid_zero(&p->item) && model_by_id(core, &p->item).v == INDEX_NONE))
        return ERR_NOT_FOUND;
    /* What is free or due at least is a tenant's; how hours count and what is taken off, everybody's. */
    struct row_terms key = {.tenant = p->tenant, .model = p->item, .from_ms = from_ms};
    memcpy(key.chip, p->chip, sizeof key.chip);
    uint32_t same = terms_find(core, &key);
    if (same != INDEX_NONE && core->tariff.term[same].epochs > 0)
        return ERR_WRONG_STATE; /* an epoch has started under them already, in this millisecond */
    bool odd = all ? terms.free > 0 || terms.minimum > 0 || (terms.flags & TERMS_HOUR)
                   : terms.deferrable || terms.interruptible || terms.hours0 || terms.hours1 ||
                         terms.hours2 || terms.hours3 || terms.signal_max || (terms.flags & TERMS_ENERGY);
    return odd || !terms_valid(&terms) ? ERR_INVALID : 0;
}

static int part_check(const struct core *core, const struct row_tariff_part *p, int64_t from_ms)
{
    struct row_price price;
    switch (p->what) {
    case TARIFF_MODEL:
        price = price_of(p, 0);
        return price_check(core, &price);
    case TARIFF_POOL:
    case TARIFF_CORRIDOR:
        if (map_get(p->what == TARIFF_POOL ? &core->net.pool_map : &core->net.corridor_map, &p->item,
                    sizeof p->item) == MAP_NONE)
            return ERR_NOT_FOUND;
        return p->prompt >= 0 && p->prompt <= PRICE_MAX ? 0 : ERR_INVALID;
    default:
        return terms_check(core, p, from_ms);
    }
}

/* Whether every part can be taken, and there is room for all of them. */
static int draft_check(const struct core *core, uint32_t parts, int64_t from_ms)
{
    uint32_t need[TARIFF_TERMS + 1] = {0};
    for (uint32_t i = 0; i < parts; i++) {
        const struct row_tariff_part *p = part_at(core, i);
        int rc = p ? part_check(core, p, from_ms) : ERR_WRONG_STATE;
        if (rc != 0)
            return rc;
        need[p->what]++;
    }
    uint32_t items = from_ms > core->now_ms ? need[TARIFF_POOL] + need[TARIFF_CORRIDOR] : 0;
    return need[TARIFF_MODEL] <= table_room(&core->prices) && items <= table_room(&core->tariff.table) &&
                   need[TARIFF_TERMS] <= table_room(&core->tariff.terms)
               ? 0
               : ERR_LIMIT;
}

static int part_enforce(struct core *core, const struct row_tariff_part *p, int64_t from_ms)
{
    struct row_price price = price_of(p, from_ms);
    struct row_terms terms = {.tenant = p->tenant, .model = p->item, .from_ms = from_ms};
    bool later = from_ms > core->now_ms;
    memcpy(terms.chip, p->chip, sizeof terms.chip);
    TERMS_COPY(&terms, p);
    switch (p->what) {
    case TARIFF_MODEL:
        price_take(core, &price);
        return 0;
    case TARIFF_POOL:
        if (later)
            return item_price_later(core, &p->item, p->prompt, from_ms);
        pool_set_price(core, (struct pool_id){map_get(&core->net.pool_map, &p->item, sizeof p->item)},
                       p->prompt);
        return 0;
    case TARIFF_CORRIDOR:
        if (later)
            return item_price_later(core, &p->item, p->prompt, from_ms);
        corridor_set_price(core, map_get(&core->net.corridor_map, &p->item, sizeof p->item), p->prompt);
        return 0;
    default:
        return terms_take(core, &terms);
    }
}

int step_tariff_set(struct core *core, const struct event *event)
{
    const struct event_tariff_set *e = &event->u.tariff_set;
    const struct row_tariff_part *first = part_at(core, 0);
    int64_t from_ms = e->from_ms > event->at_ms ? e->from_ms : event->at_ms;
    if (uuid_zero(&e->tariff) || e->parts == 0)
        return ERR_INVALID;
    if (!first || !uuid_eq(&first->tariff, &e->tariff) || e->parts != core->tariff.parts.live)
        return ERR_WRONG_STATE;
    int rc = draft_check(core, e->parts, from_ms);
    for (uint32_t i = 0; rc == 0 && i < e->parts; i++) {
        rc = part_enforce(core, part_at(core, i), from_ms);
        assert(rc == 0); /* it was checked */
    }
    if (rc != 0)
        return rc;
    draft_drop(core);
    prices_settle(core);
    return 0;
}

int load_tariff_part(struct core *core, const struct row_tariff_part *row)
{
    uint32_t i = row->part < TARIFF_PARTS_MAX && !part_at(core, row->part) ? table_take(&core->tariff.parts)
                                                                           : INDEX_NONE;
    if (i == INDEX_NONE)
        return ERR_CORRUPT;
    core->tariff.part[i].row = *row;
    return 0;
}

/* Epochs that are not closed name their terms by when those began. */
int load_tariff_done(struct core *core)
{
    for (uint32_t i = 0; i < core->tariff.parts.live; i++) {
        const struct row_tariff_part *part = part_at(core, i);
        if (!part || !uuid_eq(&part->tariff, &part_at(core, 0)->tariff))
            return ERR_CORRUPT;
    }
    for (uint32_t i = 0; i < core->meters.table.used; i++) {
        struct job_usage *u = &core->meters.usage[i];
        struct row_terms key = {.from_ms = u->row.terms_ms};
        uint32_t pool = map_get(&core->net.pool_map, &u->row.pool, sizeof u->row.pool);
        if (!table_live(&core->meters.table, i) || u->row.terms_ms == 0)
            continue;
        if (pool != MAP_NONE)
            memcpy(key.chip, core->net.pool[pool].row.chip, sizeof key.chip);
        u->terms = pool == MAP_NONE ? INDEX_NONE : terms_find(core, &key);
        if (u->terms == INDEX_NONE)
            return ERR_CORRUPT;
        core->tariff.term[u->terms].epochs++;
    }
    return 0;
}
