/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Books and dated prices: the part of the state behind core/books.c and core/tariff.c, for the files of this folder only.
 *
 * Lines of bills and closed bills are kept for the open batch, until they are collected; then only the store has them. Of payments the
 * newest PAYMENTS_KEPT stay, so that an id that comes again is known. Everything lives in the core's block.
 */
#ifndef BUSBAR_CORE_BOOKS_H
#define BUSBAR_CORE_BOOKS_H

#include "base/heap.h"
#include "base/map.h"
#include "core/core.h"
#include "core/grant.h"
#include "core/table.h"

#define TALLIES_MAX 64 /* reasons of a batch */

struct usage_cell {
    struct row_usage row;
};

struct bill {
    struct row_bill row;
};

struct used {
    struct row_used row;
};

struct payment {
    struct row_payment row;
    struct heap_node in_old;
};

struct invoice {
    struct row_invoice row;
};

struct tally_cell {
    struct row_tally row;
};

struct pool_price {
    struct row_pool_price row;
};

/* Prices that are not in force yet, core/tariff.c. Those of models are among all their prices. */
struct tariff {
    struct table table;
    struct pool_price *price;
    int64_t next_ms; /* when the first of them is; INT64_MAX: there is none */
};

/* What tenants are billed and what they paid, core/books.c. */
struct books {
    struct bill *bill; /* of the open batch */
    uint32_t nbills;
    struct table uses; /* of the open batch */
    struct used *used;
    struct map used_map;
    struct table payments; /* the newest PAYMENTS_KEPT */
    struct payment *payment;
    struct map payment_map;
    struct heap old;       /* the one made first comes first */
    struct table invoices; /* of the open batch */
    struct invoice *invoice;
    struct tally_cell tally[TALLIES_MAX]; /* of the open batch */
    uint32_t ntallies;
};

/* ---- prices with a date, core/tariff.c ---- */

void tariff_carve(struct core *core, struct arena *arena);
/* Finds when the next price is in force. */
void tariff_look(struct core *core);
/* At a tick: prices whose time has come. */
void tariff_turn(struct core *core);
/* ERR_LIMIT. */
int pool_price_later(struct core *core, const struct event_pool_price *e);
int load_pool_price(struct core *core, const struct row_pool_price *row);

/* ---- what tenants are billed, core/books.c ---- */

void books_carve(struct core *core, struct arena *arena);
/* What of a charge is told on its line. */
struct charged {
    int64_t tax, granted;
};
/* A record of a request, or what a report of a job's epoch brought that was not known before, and what was paid for it: for its
 * chips, and for its data. */
void bill_request(struct core *core, const struct event_meter *e, int64_t cost,
                  const struct charged *charged);
void bill_job(struct core *core, const struct row_job_usage *before, const struct row_job_usage *now,
              const struct charged *chips, const struct charged *data);
/* What was spent before there were lines, of no day and for nothing that is known. */
void bill_opening(struct core *core, const struct uuid *tenant, int64_t cost);
/* mJ x mg for a kWh of 3.6e9 mJ x PUE in thousandths, as the site's signals are now; ng of CO2e. */
uint64_t carbon_ng(const struct core *core, const struct uuid *site, uint64_t energy_mj);
/* A tenant's line of that day also counts beside the money: it used what was supplied. */
struct supply {
    const struct uuid *tokens, *chips, *power, *bytes;
};
void used_add(struct core *core, const struct row_bill *more, const struct supply *by);
void used_carve(struct core *core, struct arena *arena);
void used_collect(struct core *core, row_fn *fn, void *ctx);
/* One more of today; code: an error, or 0. */
void tally_add(struct core *core, uint32_t what, int code);
void books_collect(struct core *core, row_fn *fn, void *ctx);
int load_payment(struct core *core, const struct row_payment *row);

/* At once: core/model.c and core/network.c. */
struct model_id;
struct pool_id;
void model_set_price(struct core *core, struct model_id model, const struct uuid *price);
void pool_set_price(struct core *core, struct pool_id id, int64_t price);

#endif
