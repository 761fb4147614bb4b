/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prices with a date and terms beside them: the part of the state behind core/tariff.c, core/tariff_draft.c and core/terms_table.c, for
 * the files of this folder only.
 *
 * Prices of models are rows from the beginning, those of a tenant's own among them; of pools and corridors only what is not in force
 * yet is kept here. A price in whose place another one is in force stays for PRICE_KEPT_MS, and for as long as there are holds that
 * were opened before, since a request that was admitted under it is billed at it; then only the store has it. Terms stay as long
 * as an epoch runs under them. A tariff comes in parts, which are a draft until the last word puts all of them in force or none.
 */
#ifndef BUSBAR_CORE_TARIFF_H
#define BUSBAR_CORE_TARIFF_H

#include "base/map.h"
#include "core/core.h"
#include "core/money.h"
#include "core/table.h"
#include "core/terms.h"

struct price_entry {
    struct row_price row;
    bool turned; /* it came in force in this turn */
};

struct pool_price {
    struct row_pool_price row;
};

struct terms_entry {
    struct row_terms row;
    uint32_t epochs; /* that run under them, or whose last figures may still come */
};

struct allowance {
    struct row_allowance row;
};

struct tariff_part {
    struct row_tariff_part row;
};

struct site_mean {
    struct row_site_mean row;
};

struct tariff {
    struct table table, terms, allowances, parts, means;
    struct pool_price *price; /* of pools and corridors, not in force yet */
    struct terms_entry *term;
    struct allowance *allowance;
    struct tariff_part *part; /* the draft, in order */
    struct site_mean *mean;
    struct map own;         /* tenants' own prices that are in force, by tenant and model */
    struct map allowed;     /* allowances by tenant, model and chip */
    uint64_t *free_tenants; /* bit i: tenant i may have free use */
    int64_t next_ms;        /* when there is something to do; INT64_MAX: never */
};

/* ---- prices with a date, core/tariff.c ---- */

void tariff_carve(struct core *core, struct arena *arena);
/* After the table of prices was laid out. */
void tariff_index(struct core *core, struct arena *arena);
/* Finds when there is something to do next. */
void tariff_look(struct core *core);
/* At a tick: prices whose time has come, and those that nothing names any more. */
void tariff_turn(struct core *core);
/* What was said of prices is done: those that are in force no more are known as such. */
void prices_settle(struct core *core);
/* What can be known of a price before it is taken. 0, ERR_NOT_FOUND, ERR_OVERFLOW, ERR_EXISTS or ERR_INVALID. */
int price_check(const struct core *core, const struct row_price *row);
/* Takes one that was checked, in force from its time on; there is room. */
void price_take(struct core *core, const struct row_price *row);
/* A pool's or corridor's from then on. ERR_LIMIT. */
int item_price_later(struct core *core, const struct uuid *item, int64_t price, int64_t from_ms);
int load_pool_price(struct core *core, const struct row_pool_price *row);
/* Its place in the table, of one whose row is in force. ERR_CORRUPT. */
int price_load_own(struct core *core, uint32_t price);

struct pool_id;
/* At once: core/network.c and core/corridor.c. */
void pool_set_price(struct core *core, struct pool_id id, int64_t price);
void corridor_set_price(struct core *core, uint32_t corridor, int64_t price);

/* ---- a tariff in parts, core/tariff_draft.c ---- */

int load_tariff_part(struct core *core, const struct row_tariff_part *row);
/* After the last row: epochs find the terms that they run under. ERR_CORRUPT. */
int load_tariff_done(struct core *core);

/* ---- terms, allowances and what power costs on the average: core/terms_table.c ---- */

void terms_carve(struct core *core, struct arena *arena);
/* In force at that time; INDEX_NONE: none. tenant NULL: of all; model NULL: none; chip "": none in particular. */
uint32_t terms_at(const struct core *core, const struct uuid *tenant, const struct uuid *model,
                  const char *chip, int64_t then_ms);
/* Takes valid terms; those of the same time are replaced. ERR_LIMIT. */
int terms_take(struct core *core, const struct row_terms *row);
/* Those of that time exactly; INDEX_NONE: there are none. */
uint32_t terms_find(const struct core *core, const struct row_terms *key);
/* Drops those in whose place others are in force, if no epoch runs under them; when to look again, INT64_MAX: never. */
int64_t terms_turn(struct core *core);
int load_terms(struct core *core, const struct row_terms *row);

/* What is left of the tenant's free tokens of a model, or chip-ms of a kind, this month. */
uint64_t allowance_left(const struct core *core, uint32_t tenant, const struct uuid *model, const char *chip);
/* So much of it is used; at most what is left. */
void allowance_use(struct core *core, uint32_t tenant, const struct uuid *model, const char *chip,
                   uint64_t n);
int load_allowance(struct core *core, const struct row_allowance *row);

/* The site's power costs something else from now on: what it cost until now counts. */
void site_mean_turn(struct core *core, const struct row_site *row);
/* Nano-units a kWh; 0: nothing is known yet. */
int64_t site_mean_price(const struct core *core, const struct row_site *row);
int load_site_mean(struct core *core, const struct row_site_mean *row);

#endif
