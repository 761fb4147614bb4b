/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services: models that are served wherever the dispatcher finds room, with as many replicas as are asked for.
 *
 * A service says what a replica is, and demand says how many there are. A deployment at sites (core/deployment.c) is a service of the
 * same id, each of whose replicas has a row that its site is told of (core/replica.c). Each replica is a firm job of kind inference without an end, submitted by core itself and
 * placed as any job is: caps, rules, prices and fairness hold for it, and on the loss of its site it waits for another place.
 * Its id is that of the service with the replica's ordinal mixed in, and no ordinal is given twice.
 *
 * Demand is one figure, tokens of output a second, in which whoever reports it lets a prompt's token count for what it costs
 * beside one of output. Apart they would weigh a kind of chip anew with each mix of requests, while a job's alternatives,
 * and with them the shapes of work (core/work.h), have to stay what they are.
 *
 * What is due is decided at the next tick, which is due at once, so that what is told of several places at one time is one demand:
 * - Up, without delay: while what the replicas sustain, those that wait or start counted, times `target` is less than the demand.
 * - Down: one is too many if the others would do, whichever it is. When that was so for `hold_ms`, those go that the greatest
 *   demand of that time did not need, by the `target` of now; so one too many goes after twice `hold_ms` at the latest, from the
 *   last change of the two. Who waits for a place goes first, then who is cold, then the youngest.
 * - To none: where `min` is 0 and nothing was asked for during `idle_ms`. Whatever is in flight keeps one.
 *
 * A deployment's replica that goes drains first: its job, and so its chips, stay until its site has told that it has stopped. One
 * at a site that is being drained counts as gone, so that another comes elsewhere, but stays until those that are left are ready.
 *
 * Services take their turns in the order of their ids. A replica is cold until `cold_ms` after its start. All of it lies in rows; what is derived are sums and lists. Bounds:
 * SERVICE_REPLICAS_MAX, and the tables' limits: what does not fit is tried again each second.
 */
#ifndef BUSBAR_CORE_SERVICE_H
#define BUSBAR_CORE_SERVICE_H

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "core/schema.h"
#include "core/table.h"

struct core;

struct service {
    struct row_service row;
    uint32_t model;      /* INDEX_NONE: not in the catalogue */
    uint32_t deployment; /* INDEX_NONE: it is none's */
    struct list replicas, draining, demands;
    uint32_t nreplicas;           /* without those that drain */
    uint64_t tokens_s, in_flight; /* sums of the demands */
    int64_t next_ms;              /* when there is something to decide, INT64_MAX: not before an event */
};

struct service_demand {
    struct row_service_demand row;
    struct list in_service;
};

struct service_replica {
    struct row_service_replica row;
    uint32_t service;
    uint32_t job;
    uint32_t hosted; /* its row of a deployment's replica, INDEX_NONE: it is none's */
    struct list in_service;
};

struct services {
    struct table services, demands, replicas;
    struct service *service;
    uint32_t *by_id; /* those that there are, in the order of their ids */
    struct service_demand *demand;
    struct service_replica *replica;
    struct map service_map, demand_map;
    int64_t next_ms; /* the first of the services' */
};

void services_carve(struct core *core, struct arena *arena);
/* Decides what is due by now. */
void services_turn(struct core *core);
/* The replica starts, or stops where it ran: what it sustains may be another. Returns its service's id. */
struct uuid replica_moved(struct core *core, uint32_t replica, bool starts);
/* The replica's job is over. */
void replica_over(struct core *core, uint32_t replica);
/* There may be something to decide: about one, or about those of deployments since a site is not as it was. */
void service_due(struct core *core, uint32_t service);
/* Its site is being drained: another is asked for in its place. */
bool service_replica_leaves(const struct core *core, const struct service_replica *r);
void services_look(struct core *core);
/* None is wanted any more: those that run drain. */
void service_empty(struct core *core, uint32_t service);
/* INDEX_NONE: there is none. */
uint32_t service_find(const struct core *core, const struct uuid *id);
/* It has no replicas left. */
void service_drop(struct core *core, uint32_t service);
/* The id of a service's replica. */
struct uuid replica_job_id(const struct uuid *service, uint64_t ordinal);

int load_service(struct core *core, const struct row_service *row);
int load_service_demand(struct core *core, const struct row_service_demand *row);
int load_service_replica(struct core *core, const struct row_service_replica *row);
/* After the last row: every job that says so is the replica of a service. ERR_CORRUPT. */
int load_services_done(struct core *core);
/* Whether sums and links are those of the rows. ERR_CORRUPT. */
int services_check(const struct core *core);
/* Takes a row into a table and the map; shared by what is set and what is loaded. INDEX_NONE: no room. */
uint32_t service_put(struct core *core, const struct row_service *row);
uint32_t service_put_demand(struct core *core, uint32_t service, const struct row_service_demand *row);
uint32_t service_put_replica(struct core *core, uint32_t service, const struct row_service_replica *row);

#endif
