/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters: models that several members hold together, since no one of them can; for the files of this folder only.
 *
 * A cluster is a deployment whose replicas are members, REPLICA_WORKER, jobs of core's own as all replicas are, and beside them one head,
 * REPLICA_HEAD, that has no job and no chip: it takes the requests and has its workers compute. Which of them hold how many layers is the
 * plan. It is made outside (hub/clusters.h) from what is ready, and comes in as an event with the next generation: whoever made it
 * thought of a state that may be gone, so all of it is compared with what is there, and it is taken whole or not at all.
 *
 * A plan stands while each of its members is at its site under its epoch, and is ready or draining. With the first that is not the plan
 * breaks: a pipeline without one of its parts computes nothing. The head is taken from its site at once, so nobody is sent there any
 * more, and waits for the next plan. It is always at the site of the first member, and so never outlives its site.
 *
 * Without CLUSTER_CORRIDORS all members are at one site, the only one that such a deployment names. Bounds: CLUSTER_MEMBERS_MAX members of
 * a cluster; as many clusters as deployments.
 */
#ifndef BUSBAR_CORE_CLUSTERS_H
#define BUSBAR_CORE_CLUSTERS_H

#include "base/arena.h"
#include "core/schema.h"
#include "core/table.h"

struct core;
struct service;

struct cluster {
    struct row_cluster row;
    uint32_t deployment;
    uint32_t head; /* its row of a replica */
};

struct clusters {
    struct table table;
    struct cluster *cluster;
};

void clusters_carve(struct core *core, struct arena *arena);
/* Whether a deployment can be the cluster that it asks to be, if it does: 0, ERR_INVALID, ERR_NOT_FOUND, ERR_LIMIT. */
int cluster_check(const struct core *core, const struct event_deploy *e);
/* The deployment is one, with a head that waits. There is room. */
void cluster_make(struct core *core, uint32_t deployment, const struct event_deploy *e,
                  const struct uuid *variant);
/* A member is not as it was: the plan breaks if it does not stand any more. */
void cluster_look(struct core *core, uint32_t deployment);
/* The head takes requests, after however long. */
void cluster_ready(struct core *core, uint32_t deployment);
/* No plan is in force any more, since it cannot be: `why`, in words. */
void cluster_break(struct core *core, uint32_t deployment, const char *why);
/* The head's answers are not what they must be: the plan breaks. `barred`: its site is not to be tried again, so its members there go. */
void cluster_reject(struct core *core, uint32_t deployment, bool barred);
/* Nobody is served any more: the head drains, or goes. */
void cluster_stop(struct core *core, uint32_t deployment);
/* The head is gone: its site has told. */
void cluster_head_over(struct core *core, uint32_t deployment);
/* The deployment goes. */
void cluster_drop(struct core *core, uint32_t deployment);
/* Of what kind the next member's chips should be, where kinds were asked for. */
void cluster_kind(const struct core *core, const struct service *service, char chip[CHIP_CAP]);

int load_cluster(struct core *core, const struct row_cluster *row);
/* After the last row: links each with its head. ERR_CORRUPT. */
int load_clusters_done(struct core *core);
/* Every plan that is in force stands, and every head is where it must be. */
bool clusters_hold(const struct core *core);

#endif
