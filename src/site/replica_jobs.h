/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replicas as jobs of the site's batch system: each is one job of it, with the chips that it needs, on a node of its choice.
 *
 * The interface is that of engine/serve.h, which runs the other kind, as processes of this machine. A job's command is our own
 * program (engine/outpost.h); it is submitted, looked up, leased and stopped as any job of the site (engine/engine.h), in a work
 * folder of its own (.replicas in that of the site), since the hub's list of jobs does not know of it. Its name follows from
 * deployment, ordinal and epoch alone and its own epoch counts how often it was begun, so a next agent finds it again and a
 * submission that is repeated makes no second one. A job outlives the agent for as long as its lease, which is that of jobs:
 * renewed while the hub is heard.
 *
 * For each beginning a key and a certificate are made, in the job's folder, for our own user alone: who has them is let through the
 * node's port, and the node is believed only with them (tls_pair_new). Runs on the loop that it is given; files are read and
 * written on other threads.
 */
#ifndef BUSBAR_SITE_REPLICA_JOBS_H
#define BUSBAR_SITE_REPLICA_JOBS_H

#include "engine/engine.h"
#include "engine/serve.h"
#include "net/tls.h"
#include "net/tunnel.h"

struct replica_jobs;

struct replica_jobs_config {
    struct loop *loop;
    const struct engine_config *engine; /* the site's; outlives the replicas */
    uint32_t threads;                   /* of each model server */
    /* For how long from now work may go on without another word from the hub, ms; 0: nothing is begun, nothing renewed. */
    uint64_t (*lease_ms)(void *ctx);
    void *lease_ctx;
    /* STOPPED is the last word of a replica, asked for or not. */
    void (*report)(void *ctx, const struct serve_report *report);
    /* What a replica's jobs have drawn, as engine/serve.h tells it: its run is how often it was begun. */
    void (*used)(void *ctx, const struct serve_used *used);
    void *ctx;
};

/* The way to a replica's port. */
struct replica_way {
    struct sockaddr_in addr;
    struct tls_context *tls; /* the replica's: sessions of it may outlive that */
};

/* Opens the engine, which blocks, up to seconds. */
int replica_jobs_new(struct replica_jobs **out, const struct replica_jobs_config *config, struct err *err);
/* Whether what runs here is known; nothing is to be started before. */
bool replica_jobs_listed(const struct replica_jobs *jobs);
/* All that the hub wants here, as of now: what runs of others is ended. */
void replica_jobs_wanted(struct replica_jobs *jobs, const struct tunnel_target *wanted, uint32_t n);
/* Whether a job of it runs or waits already, so that starting it takes no weights. */
bool replica_jobs_has(const struct replica_jobs *jobs, const struct serve_order *order);
void replica_jobs_start(struct replica_jobs *jobs, const struct serve_order *order);
void replica_jobs_stop(struct replica_jobs *jobs, const struct serve_order *order);
/* False: it cannot be asked now. */
bool replica_jobs_way(const struct replica_jobs *jobs, const struct tunnel_target *target,
                      struct replica_way *out);
/* Ends the engine's threads; jobs go on. `done` runs on the loop; once that has run, replica_jobs_free. */
void replica_jobs_shutdown(struct replica_jobs *jobs, void (*done)(void *ctx), void *ctx);
void replica_jobs_free(struct replica_jobs *jobs);

#endif
