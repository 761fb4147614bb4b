/* SPDX-License-Identifier: Apache-2.0 */
/* Terms in force and to come, what is used of allowances, and what power costs at a site on the average: tables and look-ups. */
#include <string.h>

#include "base/checked.h"
#include "base/err.h"
#include "core/month.h"
#include "core/state.h"
#include "core/view.h"

#define HOUR_MS INT64_C(3600000)
#define DROP_MS HOUR_MS /* between looks at terms that epochs still run under */
#define MEAN_MS \
    (INT64_C(30) * DAY_MS)       /* the mean of the last month or so: what is older counts less and less */
#define ALLOWANCES_MAX TERMS_MAX /* one for each of the terms that allow something */
#define ALLOWANCE_KEY offsetof(struct row_allowance, month)
#define TERMS_KEY offsetof(struct row_terms, from_ms)

static bool allowance_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct allowance *)table)[i].row, key, len) == 0;
}

void terms_carve(struct core *core, struct arena *arena)
{
    struct tariff *t = &core->tariff;
    CARVE(core, tariff.terms, tariff.term, TERMS_MAX);
    CARVE(core, tariff.allowances, tariff.allowance, ALLOWANCES_MAX);
    CARVE(core, tariff.parts, tariff.part,
          2 * TARIFF_PARTS_MAX); /* a draft, and what is left of the one before */
    CARVE(core, tariff.means, tariff.mean, core->limits.sites);
    index_init(&t->allowed, arena, ALLOWANCES_MAX, allowance_equal, t->allowance);
    t->free_tenants = arena_take(arena, (core->limits.tenants / 64 + 1) * sizeof *t->free_tenants);
}

/* ---- terms ---- */

static void chip_set(char dst[CHIP_CAP], const char *chip)
{
    memset(dst, 0, CHIP_CAP);
    memcpy(dst, chip, text_len(chip, CHIP_CAP - 1));
}

uint32_t terms_at(const struct core *core, const struct uuid *tenant, const struct uuid *model,
                  const char *chip, int64_t then_ms)
{
    const struct tariff *t = &core->tariff;
    struct row_terms key = {.from_ms = 0};
    uint32_t found = INDEX_NONE;
    if (tenant)
        key.tenant = *tenant;
    if (model)
        key.model = *model;
    chip_set(key.chip, chip);
    for (uint32_t i = 0; i < t->terms.used; i++) {
        const struct row_terms *row = &t->term[i].row;
        if (table_live(&t->terms, i) && row->from_ms <= then_ms && memcmp(row, &key, TERMS_KEY) == 0 &&
            (found == INDEX_NONE || row->from_ms > t->term[found].row.from_ms))
            found = i;
    }
    return found;
}

uint32_t terms_find(const struct core *core, const struct row_terms *key)
{
    const struct tariff *t = &core->tariff;
    for (uint32_t i = 0; i < t->terms.used; i++) {
        if (table_live(&t->terms, i) && t->term[i].row.from_ms == key->from_ms &&
            memcmp(&t->term[i].row, key, TERMS_KEY) == 0)
            return i;
    }
    return INDEX_NONE;
}

static void note_free(struct core *core, const struct row_terms *row)
{
    struct tenant_id id = tenant_by_id(core, &row->tenant);
    if (row->free > 0 && id.v != INDEX_NONE)
        core->tariff.free_tenants[id.v / 64] |= UINT64_C(1) << id.v % 64;
}

int terms_take(struct core *core, const struct row_terms *row)
{
    struct tariff *t = &core->tariff;
    uint32_t i = terms_find(core, row);
    if (i == INDEX_NONE) {
        i = table_take(&t->terms);
        if (i == INDEX_NONE)
            return ERR_LIMIT;
        t->term[i] = (struct terms_entry){.epochs = 0};
    }
    t->term[i].row = *row;
    table_touch(&t->terms, i);
    note_free(core, row);
    return 0;
}

/* Since when others are in force in their place, INT64_MAX: they are not yet; and when they will be. */
static int64_t followed_ms(const struct core *core, uint32_t i)
{
    const struct tariff *t = &core->tariff;
    const struct row_terms *row = &t->term[i].row;
    int64_t then_ms = INT64_MAX;
    for (uint32_t k = 0; k < t->terms.used; k++) {
        const struct row_terms *other = &t->term[k].row;
        if (k != i && table_live(&t->terms, k) && other->from_ms > row->from_ms && other->from_ms < then_ms &&
            memcmp(row, other, TERMS_KEY) == 0)
            then_ms = other->from_ms;
    }
    return then_ms;
}

/* What was used in a month that is over does not count any more. When the month of the others is. */
static int64_t allowances_turn(struct core *core)
{
    struct tariff *t = &core->tariff;
    uint32_t month = month_of(core->now_ms);
    bool any = false;
    for (uint32_t i = 0; i < t->allowances.used; i++) {
        const struct row_allowance *row = &t->allowance[i].row;
        if (!table_live(&t->allowances, i))
            continue;
        any = any || row->month >= month;
        if (row->month >= month)
            continue;
        map_remove(&t->allowed, row, ALLOWANCE_KEY);
        table_drop(&t->allowances, i);
    }
    return any ? month_begin_ms(month + 1) : INT64_MAX;
}

int64_t terms_turn(struct core *core)
{
    struct tariff *t = &core->tariff;
    int64_t next_ms = allowances_turn(core);
    for (uint32_t i = 0; i < t->terms.used; i++) {
        if (!table_live(&t->terms, i))
            continue;
        int64_t then_ms = followed_ms(core, i);
        if (then_ms <= core->now_ms && t->term[i].epochs == 0) {
            table_drop(&t->terms, i);
            continue;
        }
        if (then_ms <= core->now_ms)
            then_ms = core->now_ms + DROP_MS;
        next_ms = then_ms < next_ms ? then_ms : next_ms;
    }
    return next_ms;
}

int load_terms(struct core *core, const struct row_terms *row)
{
    struct terms terms;
    TERMS_COPY(&terms, row);
    bool known = uuid_zero(&row->tenant) || tenant_by_id(core, &row->tenant).v != INDEX_NONE;
    return known && terms_valid(&terms) && terms_find(core, row) == INDEX_NONE ? terms_take(core, row)
                                                                               : ERR_CORRUPT;
}

/* ---- allowances ---- */

static uint32_t allowance_of(const struct core *core, uint32_t tenant, const struct uuid *model,
                             const char *chip, struct row_allowance *key)
{
    *key = (struct row_allowance){.tenant = core->tenant[tenant].row.id, .month = month_of(core->now_ms)};
    if (model)
        key->model = *model;
    chip_set(key->chip, chip);
    return map_get(&core->tariff.allowed, key, ALLOWANCE_KEY);
}

uint64_t allowance_left(const struct core *core, uint32_t tenant, const struct uuid *model, const char *chip)
{
    const struct tariff *t = &core->tariff;
    struct row_allowance key;
    if (!bit_of(t->free_tenants, tenant))
        return 0;
    uint32_t terms = terms_at(core, &core->tenant[tenant].row.id, model, chip, core->now_ms);
    if (terms == INDEX_NONE)
        return 0;
    uint32_t i = allowance_of(core, tenant, model, chip, &key);
    uint64_t used = i != MAP_NONE && t->allowance[i].row.month == key.month ? t->allowance[i].row.used : 0;
    uint64_t most = t->term[terms].row.free;
    /* Until there is room to count, nothing is free. */
    if (i == MAP_NONE && table_room(&t->allowances) == 0)
        return 0;
    return most > used ? most - used : 0;
}

void allowance_use(struct core *core, uint32_t tenant, const struct uuid *model, const char *chip, uint64_t n)
{
    struct tariff *t = &core->tariff;
    struct row_allowance key;
    if (n == 0)
        return;
    uint32_t i = allowance_of(core, tenant, model, chip, &key);
    if (i == MAP_NONE) {
        i = table_take(&t->allowances); /* there is room: allowance_left */
        t->allowance[i].row = key;
        map_put(&t->allowed, &key, ALLOWANCE_KEY, i);
        int64_t over_ms = month_begin_ms(key.month + 1);
        t->next_ms = over_ms < t->next_ms ? over_ms : t->next_ms;
    }
    struct row_allowance *row = &t->allowance[i].row;
    row->used = row->month == key.month ? row->used + n : n;
    row->month = key.month;
    table_touch(&t->allowances, i);
}

int load_allowance(struct core *core, const struct row_allowance *row)
{
    struct tariff *t = &core->tariff;
    if (tenant_by_id(core, &row->tenant).v == INDEX_NONE ||
        map_get(&t->allowed, row, ALLOWANCE_KEY) != MAP_NONE)
        return ERR_CORRUPT;
    uint32_t i = table_take(&t->allowances);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    t->allowance[i].row = *row;
    map_put(&t->allowed, row, ALLOWANCE_KEY, i);
    return 0;
}

/* ---- what power costs on the average ---- */

static uint32_t mean_of(const struct core *core, const struct uuid *site)
{
    const struct tariff *t = &core->tariff;
    uint32_t i = 0;
    while (i < t->means.used && !uuid_eq(&t->mean[i].row.site, site))
        i++;
    return i < t->means.used ? i : INDEX_NONE;
}

/* The mean by time of what it was and what it cost since then. */
static int64_t mean_with(const struct row_site_mean *mean, int64_t price, int64_t now_ms)
{
    int64_t ms = now_ms > mean->since_ms ? now_ms - mean->since_ms : 0;
    int64_t weight = mean->weight_ms;
    return ms + weight > 0 ? (int64_t)(((int128)mean->price * weight + (int128)price * ms) / (ms + weight))
                           : price;
}

void site_mean_turn(struct core *core, const struct row_site *row)
{
    struct tariff *t = &core->tariff;
    uint32_t i = mean_of(core, &row->id);
    if (i == INDEX_NONE) { /* nobody said before what it costs */
        i = table_take(&t->means);
        t->mean[i].row = (struct row_site_mean){.site = row->id, .since_ms = core->now_ms};
        return;
    }
    struct row_site_mean *mean = &t->mean[i].row;
    int64_t ms = core->now_ms > mean->since_ms ? core->now_ms - mean->since_ms : 0;
    mean->price = mean_with(mean, row->price, core->now_ms);
    mean->weight_ms = mean->weight_ms + ms < MEAN_MS ? mean->weight_ms + ms : MEAN_MS;
    mean->since_ms = core->now_ms;
    table_touch(&t->means, i);
}

int64_t site_mean_price(const struct core *core, const struct row_site *row)
{
    uint32_t i = mean_of(core, &row->id);
    return i == INDEX_NONE ? 0 : mean_with(&core->tariff.mean[i].row, row->price, core->now_ms);
}

int load_site_mean(struct core *core, const struct row_site_mean *row)
{
    struct tariff *t = &core->tariff;
    if (site_by_id(core, &row->site).v == INDEX_NONE || mean_of(core, &row->site) != INDEX_NONE ||
        row->weight_ms < 0 || row->weight_ms > MEAN_MS)
        return ERR_CORRUPT;
    uint32_t i = table_take(&t->means);
    t->mean[i].row = *row;
    return 0;
}

/* ---- views ---- */

const struct row_terms *view_terms_then(const struct core *core, const struct uuid *tenant,
                                        const struct uuid *model, const char *chip, int64_t then_ms)
{
    uint32_t i = terms_at(core, tenant, model, chip, then_ms > core->now_ms ? then_ms : core->now_ms);
    return i == INDEX_NONE ? NULL : &core->tariff.term[i].row;
}

const struct row_terms *view_terms_at(const struct core *core, uint32_t *pos)
{
    while (*pos < core->tariff.terms.used) {
        uint32_t i = (*pos)++;
        if (table_live(&core->tariff.terms, i))
            return &core->tariff.term[i].row;
    }
    return NULL;
}

uint64_t view_allowance_used(const struct core *core, const struct row_terms *terms, int64_t then_ms)
{
    uint32_t i = map_get(&core->tariff.allowed, terms, ALLOWANCE_KEY);
    const struct row_allowance *row = i == MAP_NONE ? NULL : &core->tariff.allowance[i].row;
    return row && row->month == month_of(then_ms) ? row->used : 0;
}

int64_t view_site_mean(const struct core *core, const struct uuid *site)
{
    const struct row_site *row = view_site(core, site);
    return row ? site_mean_price(core, row) : 0;
}
