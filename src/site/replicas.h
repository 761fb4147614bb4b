/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replicas of a site: models that its hub wants to be served here, by engines of this machine (engine/serve.h) or, where there is a
 * batch system, as jobs of it (site/replica_jobs.h).
 *
 * The hub says all that there should be, under a version (hub/hosting.h); what is not in the list any more is stopped, what is
 * new there has its weights fetched, once a site, and is started. The site tells the states of all until the hub has them. A
 * process of this machine ends with the agent's, and is started again by the next one, as the hub's list says; a job goes on, and
 * is found again. The hub reaches replicas through tunnels (site/bridge.h).
 *
 * Weights come from the site's cache (site/cache.h), and stay there while a replica needs them. Runs on the loop that it is given.
 */
#ifndef BUSBAR_SITE_REPLICAS_H
#define BUSBAR_SITE_REPLICAS_H

#include <yyjson.h>

#include "engine/serve.h"
#include "net/tls.h"
#include "site/cache.h"

struct site_replicas;

struct site_replicas_config {
    struct loop *loop;
    const char *hub;         /* HOST:PORT */
    struct tls_context *tls; /* stays the caller's */
    struct cache *cache;     /* of weights; as well, and outlives the replicas */
    const char *data_dir;
    uint32_t threads;                   /* of each engine */
    const struct engine_config *engine; /* the site's; outlives the replicas */
    struct engine *local; /* where that is local: who knows which chips are free; is shut down after them */
    /* For how long from now jobs may run without another word from the hub, ms; of `ctx`. */
    uint64_t (*lease_ms)(void *ctx);
    void *ctx;
};

/* Reads engines.yaml. ERR_INVALID: the data folder's path is too long for sockets in it. */
int site_replicas_new(struct site_replicas **out, const struct site_replicas_config *config, struct err *err);
/* Of the list that is held; 0: none was given yet. */
uint64_t site_replicas_version(const struct site_replicas *replicas);
/* The hub's list, the member `replicas` of its orders. False: it is not understood, and nothing has changed. */
bool site_replicas_take(struct site_replicas *replicas, yyjson_val *list);
/* The hub has not answered in its time: who is answered through it gets nothing any more. */
void site_replicas_unheard(struct site_replicas *replicas);
/* Ends all, before the cache is closed; `done` runs on the loop when no process is left. Then the loop runs, then site_replicas_free. */
void site_replicas_shutdown(struct site_replicas *replicas, void (*done)(void *ctx), void *ctx);
void site_replicas_free(struct site_replicas *replicas);

#endif
