/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grants: what a sponsor pays of a tenant's work, for the files of this folder only.
 *
 * A grant is money of a sponsor in an account of its own, which only its tenant's work is paid from, before the tenant's wallet, where
 * the work meets the grant's conditions. Of several the one that ends first pays first, but for a request whose hold is on one. When its time is over what is left goes back
 * to the sponsor; what is held for work that was admitted before does so as the holds end.
 *
 * What a job's report brings is paid once it is known where it ran, so conditions are judged then. For a request money is held before that
 * is known: the hold is on a grant without conditions that has enough, which then pays all of it, else on the wallet; when that request has
 * been served, grants whose conditions it met pay, and as much of the hold is free again. So no hold is above what wallet or grant have.
 *
 * Bound: GRANTS_MAX that are not over. Those that are leave memory; their rows stay in the store.
 */
#ifndef BUSBAR_CORE_GRANT_H
#define BUSBAR_CORE_GRANT_H

#include "base/checked.h"
#include "base/list.h"
#include "core/charge.h"

struct tenant_id;

struct grant {
    struct row_grant row;
    struct account_id account;
    struct list in_tenant;
};

struct grants {
    struct table table;
    struct grant *grant;
    struct map map;
    int64_t next_ms; /* when the first of them is over, or is looked at again; INT64_MAX: never */
};

/* Work that is to be paid. */
struct work_done {
    uint32_t kind;            /* enum grant_kind, one of them */
    const struct uuid *site;  /* where it was done */
    const struct uuid *model; /* NULL: of none */
    const struct uuid *pool;  /* zero: on chips that are not known */
};

/* Of one charge at most so many grants pay. */
#define GRANTS_PER_CHARGE 4

void grants_carve(struct core *core, struct arena *arena);
void grants_collect(struct core *core, row_fn *fn, void *ctx);
int load_grant(struct core *core, const struct row_grant *row);
/* At a tick: grants whose time is over. */
void grants_turn(struct core *core);
/* Finds when the next of them is. */
void grants_look(struct core *core);

/* What grants pay of `amount` for the work: up to GRANTS_PER_CHARGE transfers that are like `like` but for the grant's account, the
 * amount and the id, which counts on from there as those of parts do. Their number; *paid: what they come to. Moves nothing. */
uint32_t grants_pay(const struct core *core, struct tenant_id tenant, const struct work_done *work,
                    int64_t amount, const struct transfer_order *like, struct transfer_order *out,
                    int64_t *paid);
/* What the grants that are not over and whose conditions the work meets still have, also what of it is held, in nano-units. */
int128 grants_unspent(const struct core *core, struct tenant_id tenant, const struct work_done *work);
/* The account that a request of so much would be held on: of the first grant without conditions that has as much, by `fn`
 * (ledger_available or ledger_unspent), else the tenant's wallet. */
struct account_id grants_source(const struct core *core, struct tenant_id tenant, int64_t amount,
                                int64_t (*fn)(const struct ledger *, struct account_id));

/* Whether one that is not over has something left, whatever its conditions are. */
bool grants_left(const struct core *core, struct tenant_id tenant);

#endif
