/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remote: the hub at the other end of a link, for the jobs of a site (site/jobs.h).
 *
 * Two links: one waits for orders all the time, the other carries what the site has to say (site/outbox.h). Orders come in
 * sessions with sequence numbers (hub/desk.h); a session that either side has forgotten is begun anew, with all that
 * should run here. The leases of jobs hold for as long as the hub says past the moment at which the last call was sent
 * that it answered, on a clock that never goes back.
 */
#ifndef BUSBAR_SITE_REMOTE_H
#define BUSBAR_SITE_REMOTE_H

#include "site/outbox.h"
#include "site/replicas.h"

struct remote_config {
    const struct engine_config *engine; /* outlives it */
    struct outbox_config outbox;        /* and what it says */
    const char *blobs;                  /* folder of the cache (site/cache.h) */
    const char *chips;                  /* file of what is known of this machine's (site/chips.h) */
};

struct remote;

/* Opens the engine, which blocks, up to seconds. */
int remote_new(struct remote **out, const struct remote_config *config, struct err *err);
/* From now on the site serves models, too. */
void remote_serve(struct remote *remote, struct site_replicas *replicas);
/* As outbox_call. */
bool remote_call(struct remote *remote, const char *path, const struct buf *body, link_fn *fn, void *ctx);
/* For how long from now work may go on without another word from the hub, ms; 0: it has not been heard for too long. */
uint64_t remote_lease_ms(void *remote);
/* What the site runs jobs on. */
struct engine *remote_engine(struct remote *remote);
/* Blobs of the hub, for whoever else needs some. */
struct cache *remote_cache(struct remote *remote);
/* Ends the links and the engine's threads; what runs goes on. `done` runs on the loop; then remote_free. */
void remote_shutdown(struct remote *remote, void (*done)(void *ctx), void *ctx);
void remote_free(struct remote *remote);

#endif
