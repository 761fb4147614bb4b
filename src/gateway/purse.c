/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/purse.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/map.h"
#include "base/osrandom.h"
#include "gateway/worker.h"

struct purse {
    struct list node;
    struct uuid owner; /* tenant, project, or key with its own budget */
    struct lease_share *current;
    struct list waiters; /* behind the shared ask, in order of arrival */
    bool asking;
    bool tight;
};

void purses_init(struct purses *purses)
{
    for (int i = 0; i < PURSE_BUCKETS; i++)
        list_init(&purses->buckets[i]);
    list_init(&purses->leases);
}

void purses_fini(struct purses *purses)
{
    list_for_each_safe (lease_it, lease_next, &purses->leases) {
        free(list_entry(lease_it, struct lease_share, node));
    }
    for (int i = 0; i < PURSE_BUCKETS; i++) {
        list_for_each_safe (it, next, &purses->buckets[i]) {
            free(list_entry(it, struct purse, node));
        }
    }
}

static struct purse *purse_of(struct purses *purses, const struct uuid *owner)
{
    struct list *bucket = &purses->buckets[map_hash(0, owner, sizeof *owner) % PURSE_BUCKETS];
    list_for_each_safe (it, next, bucket) {
        struct purse *p = list_entry(it, struct purse, node);
        if (uuid_eq(&p->owner, owner))
            return p;
    }
    struct purse *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->owner = *owner;
    list_init(&p->waiters);
    list_push(bucket, &p->node);
    return p;
}

static int64_t lease_free(const struct lease_share *lease)
{
    return lease->amount - lease->posted - lease->drawn;
}

/* Gives back what is free; the whole lease, if nobody draws on it. */
static void lease_return(struct worker *worker, struct lease_share *lease)
{
    struct event event = {.kind = EVENT_KIND_lease_return,
                          .u.lease_return = {.worker = worker->id, .lease = lease->id}};
    int64_t amount = lease_free(lease);
    if (lease->purse->current == lease)
        lease->purse->current = NULL;
    if (lease->users > 0) {
        lease->closing = true;
        if (amount == 0)
            return;
        event.u.lease_return.amount = amount;
        lease->amount -= amount;
        worker_post_sure(worker, &event);
        return;
    }
    event.u.lease_return.close = 1;
    worker_post_sure(worker, &event);
    list_remove(&lease->node);
    worker->purses.nleases--;
    free(lease);
}

static void draw_take(struct lease_share *lease, int64_t want, struct draw *draw)
{
    assert(lease_free(lease) >= want);
    lease->drawn += want;
    lease->users++;
    *draw = (struct draw){.lease = lease, .amount = want};
}

void draw_post(struct draw *draw, int64_t cost)
{
    assert(cost <= draw->amount);
    draw->amount -= cost;
    draw->lease->drawn -= cost;
    draw->lease->posted += cost;
}

void draw_end(struct worker *worker, struct draw *draw)
{
    struct lease_share *lease = draw->lease;
    if (!lease)
        return;
    lease->drawn -= draw->amount;
    lease->users--;
    *draw = (struct draw){0};
    if (lease->users == 0 && (lease->closing || lease->purse->current != lease))
        lease_return(worker, lease);
}

static void on_granted(void *ctx, const struct effect *reply);

struct ask_ctx {
    struct worker *worker;
    struct purse *purse;
    struct purse_waiter *waiter; /* whose own ask this is; NULL when it went away, or the ask is shared */
    struct uuid lease;
    bool alone;
};

/* Asks core for a lease of at least `want`; alone for one waiter, or for all that wait. */
static int ask(struct worker *worker, struct purse *purse, struct purse_waiter *first, bool alone)
{
    struct ask_ctx *ctx = malloc(sizeof *ctx);
    if (!ctx)
        return ERR_NO_MEMORY;
    *ctx = (struct ask_ctx){
        .worker = worker,
        .purse = purse,
        .waiter = alone ? first : NULL,
        .lease = uuid_new(),
        .alone = alone,
    };
    struct event event = {.kind = EVENT_KIND_lease_ask,
                          .u.lease_ask = {.worker = worker->id,
                                          .lease = ctx->lease,
                                          .key_lease = uuid_new(),
                                          .tenant = first->tenant,
                                          .key = first->key,
                                          .want = first->want,
                                          .purse = first->scope}};
    int rc = worker_ask(worker, &event, on_granted, ctx);
    if (rc != 0) {
        free(ctx);
        return rc;
    }
    if (alone)
        first->token = event.token;
    else
        purse->asking = true;
    return 0;
}

static void waiter_done(struct purse_waiter *waiter, int rc)
{
    list_remove(&waiter->node);
    waiter->purse = NULL;
    waiter->token = 0;
    waiter->done(waiter, rc);
}

/* Serves whoever waits from the current lease; asks again for the first that does not fit. */
static void serve(struct worker *worker, struct purse *purse)
{
    struct list *first;
    while (!purse->asking && (first = list_first(&purse->waiters)) != NULL) {
        struct purse_waiter *w = list_entry(first, struct purse_waiter, node);
        if (purse->current && lease_free(purse->current) >= w->want) {
            draw_take(purse->current, w->want, &w->draw);
            waiter_done(w, 0);
            continue;
        }
        if (purse->current)
            lease_return(worker, purse->current);
        if (purse->tight) {
            /* Each for itself: a shared ask would serve them one by one. */
            list_remove(&w->node);
            int rc = ask(worker, purse, w, true);
            if (rc != 0)
                waiter_done(w, rc);
            continue;
        }
        int rc = ask(worker, purse, w, false);
        if (rc != 0)
            waiter_done(w, rc);
    }
}

static struct lease_share *lease_new(struct worker *worker, struct purse *purse, const struct uuid *id,
                                     int64_t amount)
{
    struct lease_share *lease = calloc(1, sizeof *lease);
    if (!lease)
        abort(); /* the hold would be lost until the next restart */
    *lease = (struct lease_share){.id = *id, .purse = purse, .amount = amount};
    list_push(&worker->purses.leases, &lease->node);
    worker->purses.nleases++;
    return lease;
}

static void on_granted(void *ptr, const struct effect *reply)
{
    struct ask_ctx *ctx = ptr;
    struct worker *worker = ctx->worker;
    struct purse *purse = ctx->purse;
    struct purse_waiter *waiter = ctx->waiter;
    bool alone = ctx->alone;
    struct lease_share *lease =
        reply->code == 0 ? lease_new(worker, purse, &ctx->lease, reply->amount) : NULL;
    free(ctx);
    if (!alone) {
        purse->asking = false;
        struct list *first = list_first(&purse->waiters);
        waiter = first ? list_entry(first, struct purse_waiter, node) : NULL;
    }
    if (!lease) {
        /* Whoever is first gets the refusal that its ask got; the others ask for themselves. */
        purse->tight = reply->code == ERR_BUDGET_HELD || reply->code == ERR_BUDGET_SPENT;
        if (waiter) {
            waiter->refusal = reply->amount;
            waiter_done(waiter, reply->code);
        }
        serve(worker, purse);
        return;
    }
    bool exact = waiter && lease->amount < 2 * waiter->want;
    purse->tight = exact || (!waiter && purse->tight);
    if (waiter && lease->amount >= waiter->want) {
        draw_take(lease, waiter->want, &waiter->draw);
        if (!exact && !purse->current)
            purse->current = lease;
        waiter_done(waiter, 0);
    } else if (!purse->current) {
        purse->current = lease; /* its asker went away; the next one may use it */
    } else {
        lease_return(worker, lease);
    }
    serve(worker, purse);
}

int purse_draw(struct worker *worker, struct purse_waiter *w)
{
    struct purse *purse = purse_of(&worker->purses, &w->owner);
    if (!purse)
        return ERR_NO_MEMORY;
    if (list_empty(&purse->waiters) && purse->current && lease_free(purse->current) >= w->want) {
        draw_take(purse->current, w->want, &w->draw);
        return 0;
    }
    w->purse = purse;
    if (purse->tight && !purse->asking) {
        if (purse->current)
            lease_return(worker, purse->current);
        int rc = ask(worker, purse, w, true);
        if (rc != 0)
            w->purse = NULL;
        return rc ? rc : 1;
    }
    list_push(&purse->waiters, &w->node);
    if (!purse->asking) {
        if (purse->current)
            lease_return(worker, purse->current);
        int rc = ask(worker, purse, w, false);
        if (rc != 0) {
            list_remove(&w->node);
            w->purse = NULL;
            return rc;
        }
    }
    return 1;
}

void purse_cancel(struct worker *worker, struct purse_waiter *w)
{
    if (!w->purse)
        return;
    list_remove(&w->node);
    w->purse = NULL;
    if (w->token) {
        /* Its own ask is on the way: the grant will find no waiter and go back. */
        struct ask_ctx *ctx = asks_ctx(&worker->asks, w->token);
        if (ctx)
            ctx->waiter = NULL;
        w->token = 0;
    }
}

void purse_recall(struct worker *worker, const struct uuid *id)
{
    list_for_each_safe (it, next, &worker->purses.leases) {
        struct lease_share *lease = list_entry(it, struct lease_share, node);
        if (!uuid_zero(id) && !uuid_eq(&lease->id, id))
            continue;
        lease->purse->tight = true;
        lease_return(worker, lease);
    }
}

void purses_sweep(struct worker *worker)
{
    list_for_each_safe (it, next, &worker->purses.leases) {
        struct lease_share *lease = list_entry(it, struct lease_share, node);
        if (lease->users == 0)
            lease_return(worker, lease);
    }
}
