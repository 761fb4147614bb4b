/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots: which replica answers a request, and who is next when all are busy. Shared by all workers.
 *
 * A backend is one running replica with so many slots; an engine never gets more requests than it has slots. Taking a
 * slot is a compare-and-swap. A request that finds none joins its model's queue, under a mutex, and a released slot
 * goes to the head of the queue: tenants take turns there, each tenant's requests in order of arrival.
 *
 * Choice: of the backends with a free slot the one of the least cost (gateway/cost.h): what waits there, the way, the price. But
 * the one that holds this prompt's prefix (rendezvous hashing over the first bytes of the messages, among those whose way and price
 * are near the least) goes before it, unless it is much busier.
 */
#ifndef BUSBAR_GATEWAY_SLOTS_H
#define BUSBAR_GATEWAY_SLOTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/str.h"
#include "core/limits.h"
#include "gateway/cost.h"
#include "gateway/demand.h"
#include "net/http_client.h"

struct backend {
    struct uuid deployment;
    uint32_t ordinal;
    uint32_t epoch;
    bool far; /* at another site than the hub's own machine */
    struct uuid variant;
    struct uuid site;
    char chip[CHIP_CAP]; /* empty: it is counted nowhere */
    char version[NAME_CAP];
    uint32_t chips;
    uint32_t role; /* enum replica_role */
    struct http_endpoint endpoint;
    uint32_t slots;
    uint64_t salt; /* for rendezvous hashing */
    _Atomic uint32_t refs;
    _Atomic uint32_t busy;
    _Atomic uint32_t
        own; /* of them, slots that requests of this process have; the others are those of other doors */
    _Atomic uint64_t outstanding; /* tokens that requests in it may still produce */
    _Atomic uint64_t suspect_ns;  /* not tried before this monotonic time: it could not be reached */
    atomic_bool gone;             /* not in the routes any more: finish, take nothing new */
    struct cost_terms terms;
    struct yield yield;
    struct backend *next; /* in the gateway's registry */
};

enum waiting_state { WAITING_NONE, WAITING_QUEUED, WAITING_GRANTED };

/* A request that waits for a slot; part of the request. */
struct slot_waiter {
    struct list in_turn; /* of its tenant */
    struct list in_box;  /* once granted, of its worker's grants */
    struct uuid tenant;
    uint64_t tokens;
    struct backend *backend; /* granted */
    struct grant_box *box;
    enum waiting_state state;
};

/* Where a worker finds the slots that its waiting requests were given. */
struct grant_box {
    pthread_mutex_t lock;
    struct list granted;                 /* of slot_waiter.in_box */
    void (*wake)(struct grant_box *box); /* from any thread */
};

/* Replicas of a model that rules deny to a tenant's requests: bits, in the order of the backends that came with them. */
struct slot_bar {
    struct uuid tenant;
    uint64_t barred;
    uint32_t rule; /* the first that denies; the snapshot's, RULES_NONE: the border is closed */
};

struct turn { /* one tenant's place in the queue */
    struct list node;
    struct list waiters;
    struct uuid tenant;
};

/* One per model; lives as long as the gateway. */
struct slot_queue {
    struct uuid model;
    pthread_mutex_t lock;
    struct list turns;
    uint32_t queue_max;
    _Atomic uint32_t waiting;
    struct backend *backends[REPLICAS_PER_DEPLOYMENT_MAX]; /* as last published; guarded by lock */
    uint32_t nbackends;
    struct slot_bar *bars; /* in the order of tenants, as published; guarded by lock */
    uint32_t nbars;
    struct demand demand;
    struct slot_queue *next;
};

void grant_box_init(struct grant_box *box, void (*wake)(struct grant_box *box));
void slot_queue_init(struct slot_queue *queue, const struct uuid *model, uint32_t queue_max);

/* A slot of this one, whoever waits. The backend is referenced. */
bool slot_take_of(struct backend *backend);
/* Takes a slot at once; NULL when there is none or others wait already. The backend is referenced. */
struct backend *slot_take(struct slot_queue *queue, struct backend *const *backends, uint32_t n,
                          uint64_t prefix_hash, uint64_t tokens);
/* Whether any replica can be tried now, busy or not. */
bool slot_ready(struct slot_queue *queue);
/* Joins the queue; the slot comes through the waiter's grant box, perhaps before this returns. ERR_QUEUE_FULL. */
int slot_wait(struct slot_queue *queue, struct slot_waiter *waiter);
/* Leaves the queue; gives back a slot that was granted meanwhile. On the waiter's thread. */
void slot_cancel(struct slot_queue *queue, struct slot_waiter *waiter);
/* Next granted waiter of this worker, or NULL. */
struct slot_waiter *grant_next(struct grant_box *box);
/* Gives the slot and the reference back; the head of the queue gets it. */
void slot_release(struct slot_queue *queue, struct backend *backend, uint64_t tokens);
/* New routes: hands free slots to whoever waits. `backends` replaces the list, and the queue's copy of `bars` what was denied. */
void slot_publish(struct slot_queue *queue, struct backend *const *backends, uint32_t n,
                  const struct slot_bar *bars, uint32_t nbars);
/* The tenant's in a list in the order of tenants; NULL: nothing is denied. */
const struct slot_bar *slot_bar_of(const struct slot_bar *bars, uint32_t nbars, const struct uuid *tenant);
/* Of n backends those that are not barred; how many. */
uint32_t slot_allowed(struct backend *const *backends, uint32_t n, uint64_t barred,
                      struct backend *allowed[REPLICAS_PER_DEPLOYMENT_MAX]);

/* Hands free slots to whoever waits; now and then, for backends that were suspect. */
void slot_kick(struct slot_queue *queue);
/* It could not be reached: leave it alone for SUSPECT_NS, so that one dead engine does not eat the queue. */
#define SUSPECT_NS UINT64_C(250000000)
void backend_suspect(struct backend *backend);

struct backend *backend_ref(struct backend *backend);
void backend_unref(struct backend *backend);

#endif
