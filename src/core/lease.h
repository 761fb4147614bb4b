/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases of budget and who waits for one: the part of the state behind core/lease.c, for the files of this folder only.
 *
 * A lease is one pending transfer out of the wallet or a grant, one out of its key's own limit if that has one, and as much held of each hard
 * budget that it draws on; the three are linked, so all of it is held or nothing.
 */
#ifndef BUSBAR_CORE_LEASE_H
#define BUSBAR_CORE_LEASE_H

#include "base/list.h"
#include "core/budget.h"
#include "core/core.h"
#include "core/ids.h"
#include "core/ledger.h"

/* A lease of budget to a gateway worker. */
struct lease {
    struct row_lease row;
    struct transfer_id transfer;
    struct transfer_id key_transfer; /* INDEX_NONE: the key has no limit */
    struct draws draws;              /* hard budgets that hold what it holds */
    struct tenant_id tenant;
    struct worker_id worker;
    bool recalled;
    struct list in_tenant;
};

/* A lease_ask that waits for money in flight. Not durable: after a restart its sender asks again. */
struct waiter {
    uint64_t token;
    int64_t deadline_ms;
    struct event_lease_ask ask;
    struct tenant_id tenant;
    struct list in_tenant;
    struct list in_order; /* all waiters, by deadline: the wait is the same for all */
};

/* The workers of a gateway are gone, with their leases and waiters; zero: of the hub's own process, at a boot. */
void lease_end_workers(struct core *core, const struct uuid *gateway);
/* Grants, refuses or keeps waiting whoever waits for this tenant's money. */
void lease_serve_waiters(struct core *core, struct tenant_id tenant, int64_t now_ms);
void lease_expire_waiters(struct core *core, int64_t now_ms);
/* Answers every waiter of the key with a code: it was revoked. */
void lease_refuse_waiters(struct core *core, const struct uuid *key, int code);
/* Recalls what workers hold free of this key's or tenant's budget. */
void lease_recall(struct core *core, struct tenant_id tenant);
struct lease *lease_by_id(const struct core *core, const struct uuid *id);

#endif
