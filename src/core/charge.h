/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Charges: where money goes that a tenant was charged; for the files of this folder only.
 *
 * A charge is credited to the revenue account of a site or a corridor, and divided in the same step by linked transfers, all of them
 * or none. Prices include everything: from the charge comes first the tenant's tax, then of what is left the network's fee, then
 * what the carbon of the work costs, never more than what is left; the rest is shared between the owners of the site. So what a
 * tenant pays, and what is held for it, does not depend on who gets it.
 *
 * Each part is whole nano-units. Shares are rounded by largest remainder (Hamilton's method), of equal remainders the one that is
 * named first, so that parts add up to the charge exactly. Parties (owners, sponsors of grants, other networks) have a name and
 * accounts; they stay for ever. What is set here is in force from its event on. Everything lives in the core's block; nothing of
 * it grows but by an operator's orders.
 */
#ifndef BUSBAR_CORE_CHARGE_H
#define BUSBAR_CORE_CHARGE_H

#include "core/core.h"
#include "core/ledger.h"

struct party {
    struct row_party row;
};

struct site_owners {
    struct row_site_owners row;
};

struct charging {
    struct row_charging row; /* the network's own terms */
    bool row_touched;
    struct table parties, owners;
    struct party *party;
    struct site_owners *owner; /* of sites that have some */
    struct map party_map, owner_map;
};

/* Of one charge: site, tax, fee, carbon, an owner each. */
#define CHARGE_PARTS_MAX (4 + OWNERS_MAX)

/* A charge, as it comes in. */
struct charge {
    struct account_id from;  /* that is credited with it */
    const struct uuid *site; /* where the work was done; NULL: at none, as data over a corridor */
    uint32_t tax;            /* the tenant's, millionths of what is net */
    int64_t amount;
    int64_t carbon; /* what the carbon of the work costs, nano-units; it may be more than the charge */
    struct uuid id; /* of the first of its transfers; those that follow count on in the eighth byte */
    struct uuid ref;
};

/* How it is divided: transfers that are to be posted together, after that of the charge itself. */
struct parts {
    struct transfer_order order[CHARGE_PARTS_MAX];
    uint32_t n;
    int64_t tax, fee, carbon;
};

void charging_carve(struct core *core, struct arena *arena);
void charging_collect(struct core *core, row_fn *fn, void *ctx);
int load_party(struct core *core, const struct row_party *row);
int load_site_owners(struct core *core, const struct row_site_owners *row);
int load_charging(struct core *core, const struct row_charging *row);
/* INDEX_NONE when there is none. */
uint32_t party_by_id(const struct core *core, const struct uuid *id);

/* Divides a charge of more than 0. Opens accounts that are not there yet: ERR_LIMIT. Moves nothing. */
int charge_divide(struct core *core, const struct charge *charge, struct parts *out);
/* Nano-units for so much CO2e, half to even: at the price in force, for a kg. */
int64_t charge_carbon(const struct core *core, uint64_t carbon_ng);
/* A UUIDv7 of this step; `tag` tells apart those of one step. Steps are numbered for ever, so no two are the same. */
struct uuid charge_id(const struct core *core, uint8_t tag);

/* Tags of charge_id; each charge leaves room for its parts. */
enum charge_tag {
    CHARGE_JOB = 0,
    CHARGE_DATA = 1,
    CHARGE_ENERGY = 2,
    CHARGE_LIMIT_JOB = 3, /* what the key's own limit is less by them */
    CHARGE_LIMIT_DATA = 4,
    CHARGE_LIMIT_ENERGY = 5,
    CHARGE_GRANTS_JOB = 8,
    CHARGE_GRANTS_DATA = 12,
    CHARGE_GRANTS_REQUEST = 16,
    CHARGE_GRANTS_ENERGY = 20,
    CHARGE_PARTS_JOB = 32,
    CHARGE_PARTS_ENERGY = 48,
    CHARGE_PARTS_DATA = 64,
    CHARGE_PARTS_MINIMUM = 80,
    CHARGE_PARTS_REQUEST = 96,
    CHARGE_GRANTS_BACK = 128,
    CHARGE_NOTICES = 192, /* of notices, which are no transfers (core/notice.c) */
};

/* total x part / whole, half to even. part <= whole, whole > 0. */
int64_t share_of(int64_t total, int64_t part, int64_t whole);
/* Divides `total` by largest remainder into out[0..n): weights add up to `whole`, and parts to the total. n <= OWNERS_MAX. */
void shares_divide(int64_t total, const uint32_t *weight, uint32_t n, uint32_t whole, int64_t *out);

#endif
