/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Books: the part of the state behind core/books.c, for the files of this folder only.
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

/* Of a batch: of each record, and of each key that has its part of what replicas drew. */
#define USAGE_CELLS_MAX (BATCH_EVENTS_MAX + ENERGY_WEIGHTS_MAX)
#define TALLIES_MAX 64 /* reasons of a batch */

struct tenant_id;

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

/* ---- what tenants are billed, core/books.c ---- */

void books_carve(struct core *core, struct arena *arena);
/* What of a charge is told on its line. */
struct charged {
    int64_t tax, granted;
};
/* When something was used: its day, the month that bills it where the day's own is closed, else 0, and whether that month was over. */
struct used_at {
    int64_t used_ms;
    uint64_t day, billed;
    bool late;
};
/* Of a record that says so, 0: now. It was not before least_ms, whatever it says. ERR_TOO_OLD, ERR_TOO_NEW. core/event_time.c */
int event_time(const struct core *core, struct tenant_id tenant, int64_t told_ms, int64_t least_ms,
               struct used_at *out);
/* It is booked: whoever sums the lines of months that are over learns that there is another one. */
void event_time_count(struct core *core, struct tenant_id tenant, const struct used_at *at);
/* A record of a request, of whose tokens so many are free, or what a report of a job's epoch brought that was not known before, and
 * what was paid for it. */
void bill_request(struct core *core, const struct event_meter *e, const struct used_at *at, int64_t cost,
                  uint64_t free, const struct charged *charged);
/* How a part of an epoch is billed: what of it is free, at what its energy is passed on, a zero version: it is not, and what was
 * paid for its chips, energy and data. */
struct job_part {
    uint64_t free_chip_ms;
    int64_t energy_rate; /* nano-units a kWh of the chips */
    struct uuid energy_version;
    struct charged chips, energy, data;
    struct used_at at;
};
void bill_job(struct core *core, const struct row_job_usage *before, const struct row_job_usage *now,
              const struct job_part *part);
/* A key's part of what its requests' replicas drew; its CO2e, ng. */
uint64_t bill_energy(struct core *core, const struct row_energy_weight *whose, uint64_t energy_mj);
/* What was spent before there were lines, of no day and for nothing that is known. */
void bill_opening(struct core *core, const struct uuid *tenant, int64_t cost);
/* mJ x mg for a kWh of 3.6e9 mJ x PUE in thousandths, as the site's signals are now; ng of CO2e. */
uint64_t carbon_ng(const struct core *core, const struct uuid *site, uint64_t energy_mj);
/* The same by the hour, core/meter.c. */
void usage_energy(struct core *core, const struct row_energy_weight *whose, uint64_t energy_mj,
                  uint64_t carbon);
/* A tenant's line of that day also counts beside the money: it used what was supplied. */
struct supply {
    const struct uuid *tokens, *chips, *power, *bytes;
};
void used_add(struct core *core, const struct row_bill *more, const struct supply *by);
/* A site supplied energy that nobody asked for. */
void used_idle(struct core *core, const struct uuid *site, uint64_t energy_mj);
void used_carve(struct core *core, struct arena *arena);
void used_collect(struct core *core, row_fn *fn, void *ctx);
/* One more of today; code: an error, or 0. */
void tally_add(struct core *core, uint32_t what, int code);
void books_collect(struct core *core, row_fn *fn, void *ctx);
int load_payment(struct core *core, const struct row_payment *row);

#endif
