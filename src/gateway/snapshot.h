/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshot: what requests are matched against - keys, models, prices, replicas - as of one commit, immutable.
 *
 * Made on the core thread, published after the commit by swapping a pointer, freed when the last request that began
 * under it has ended. What must outlive a snapshot (rate limits, slots, queues) is in the registry and only
 * referenced here.
 */
#ifndef BUSBAR_GATEWAY_SNAPSHOT_H
#define BUSBAR_GATEWAY_SNAPSHOT_H

#include <stdatomic.h>

#include "base/map.h"
#include "core/core.h"
#include "core/money.h"
#include "engine/spec.h"
#include "gateway/limiter.h"
#include "gateway/slots.h"

struct snap_key {
    char public_id[16];
    uint8_t hash[DIGEST_BYTES];
    struct uuid id;
    struct uuid tenant;
    uint32_t scopes;
    uint32_t rpm, tpm;
    int64_t expires_ms;
    uint32_t purse;          /* enum budget_scope: who shares what its requests draw */
    struct uuid purse_owner; /* that tenant, project or key */
    struct uuid_list models;
    struct limiter *limiter; /* NULL: no rate limit */
};

/* What a model costs, whoever has no price of its own, or one tenant. */
struct snap_price {
    struct uuid model, tenant; /* zero: of all */
    struct uuid id;            /* zero: free */
    struct price price;
};

struct snap_model {
    char name[NAME_CAP];
    char upstream[NAME_CAP]; /* the name that the engine knows it by */
    struct uuid id;
    uint32_t kind;
    uint32_t context; /* tokens a request may use in one slot */
    int64_t created_ms;
    struct snap_price price;
    const struct engine_spec *engine; /* NULL: no variant */
    struct slot_queue *queue;
    struct backend *backends[REPLICAS_PER_DEPLOYMENT_MAX];
    uint32_t nbackends;
    struct slot_bar *bars; /* who may not use which, in the order of tenants */
    uint32_t nbars;
    uint32_t nwanted; /* replicas that shall run */
    uint32_t nhere;   /* of them, on the hub's own machine */
    struct demand_terms demand;
    bool recalled; /* nobody may use its weights */
    bool scales;   /* there may be none, or fewer than are needed: who waits waits for a start */
};

struct registry; /* limiters, queues, backends: shared over snapshots */

struct snapshot {
    _Atomic uint32_t refs;
    struct map keys;
    struct map_slot *key_slots;
    struct snap_key *key;
    uint32_t nkeys;
    struct map models;
    struct map_slot *model_slots;
    struct snap_model *model;
    uint32_t nmodels;
    char (*rule)[NAME_CAP]; /* ids of the rules in force, in their order */
    struct map owns;
    struct map_slot *own_slots;
    struct snap_price *own; /* of single tenants, by tenant and model */
    uint32_t nowns;
};

struct registry *registry_new(const struct engine_specs *engines, uint32_t queue_max);
void registry_free(struct registry *registry);

/* On the core thread. Aborts when out of memory: without routes there is no service. Returned with one reference. */
struct snapshot *snapshot_make(struct registry *registry, const struct core *core);
/* Tells the queues which backends there are now. After the commit, before requests see the snapshot. */
void snapshot_publish(struct registry *registry, const struct snapshot *snapshot);
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot);

const struct snap_key *snapshot_key(const struct snapshot *snapshot, const char *public_id, size_t len);
const struct snap_model *snapshot_model(const struct snapshot *snapshot, const char *name, size_t len);
/* What the model costs the tenant. */
const struct snap_price *snapshot_price(const struct snapshot *snapshot, const struct snap_model *model,
                                        const struct uuid *tenant);
/* It has replicas, or would if it were asked. */
bool snap_model_deployed(const struct snap_model *model);
/* Totals over all queues and backends, for /metrics. */
struct registry_stats {
    uint32_t slots, busy, waiting;
};
struct registry_stats registry_stats(struct registry *registry);
/* slot_kick for every queue. */
void registry_kick(struct registry *registry);
/* Tells what has passed since the last call to each queue that somebody follows; what they have to say goes to `tell`, which is
 * false where it could not be told. Without `served` only who waits counts. One thread. */
typedef bool demand_fn(void *ctx, const struct event_service_demand *demand);
void registry_demand(struct registry *registry, uint64_t ms, bool served, demand_fn *tell, void *ctx);
/* So many requests of this service wait at other gateways now. */
void registry_elsewhere(struct registry *registry, const struct uuid *service, uint32_t waiting);
/* What was told is forgotten by who heard it: all is told again. */
void registry_untell(struct registry *registry);
/* As demand_wakes, of the queue that this service's requests wait in. */
bool registry_wakes(struct registry *registry, const struct uuid *service);
/* The replica, referenced, and the queue for slots of its model; NULL: there is no such in the routes. */
struct backend *registry_replica(struct registry *registry, const struct uuid *deployment, uint32_t ordinal,
                                 uint32_t epoch, struct slot_queue **queue);
/* Requests that this replica still answers, in or out of the routes. */
uint32_t registry_busy(struct registry *registry, const struct uuid *deployment, uint32_t ordinal);

#endif
