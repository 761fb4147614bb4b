/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Purses: a worker's share of budgets, so that admitting a request is an addition in memory.
 *
 * A purse belongs to a tenant, a project, or a key with a budget of its own. It holds leases that core granted. A request
 * draws its worst case from the current lease; while there is plenty that is all. When a grant is no larger than what
 * was asked for, the budget is tight: then each request asks for exactly its own worst case, and that lease ends with
 * it. What is left of a lease goes back when it is recalled, used up or idle.
 *
 * For each lease: posted + drawn <= amount. `posted` was billed, `drawn` may still be billed by requests in flight.
 */
#ifndef BUSBAR_GATEWAY_PURSE_H
#define BUSBAR_GATEWAY_PURSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/str.h"

struct worker;
struct purse;

struct lease_share {
    struct uuid id;
    struct purse *purse;
    int64_t amount; /* nano-units */
    int64_t posted;
    int64_t drawn;
    uint32_t users; /* requests that draw on it */
    bool closing;
    struct list node; /* in the worker's leases */
};

/* What a request holds. */
struct draw {
    struct lease_share *lease; /* NULL: free of charge */
    int64_t amount;            /* still drawn */
};

/* A request that waits for its draw. */
struct purse_waiter {
    struct list node;
    struct purse *purse;            /* NULL: not waiting */
    struct uuid tenant, key, owner; /* owner: of the purse */
    uint32_t scope;                 /* enum budget_scope, what that is */
    int64_t want;
    uint64_t token;   /* of its own ask; 0: it waits for the purse's */
    int64_t refusal;  /* of ERR_BUDGET_SPENT: which budget, as budget_refusal tells */
    struct draw draw; /* result */
    void (*done)(struct purse_waiter *waiter, int rc);
};

#define PURSE_BUCKETS 1024

struct purses {
    struct list buckets[PURSE_BUCKETS];
    struct list leases;
    uint32_t nleases;
};

void purses_init(struct purses *purses);
void purses_fini(struct purses *purses);
/* 0: drawn, waiter->draw is set. 1: waits, done follows. Else an error code. */
int purse_draw(struct worker *worker, struct purse_waiter *waiter);
/* The request went away while it waited. */
void purse_cancel(struct worker *worker, struct purse_waiter *waiter);
/* `cost` of the draw was billed. */
void draw_post(struct draw *draw, int64_t cost);
/* The request is over: what was not billed is free again. */
void draw_end(struct worker *worker, struct draw *draw);
/* Core wants the lease back; zero: all, since some may have been asked for unheard. */
void purse_recall(struct worker *worker, const struct uuid *lease);
/* Gives back every lease that nobody draws on; at a drain and now and then. */
void purses_sweep(struct worker *worker);

#endif
