/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Haul: data of the epochs at a site. Brings what they need before they start, and sends what is kept of them when they are over.
 *
 *   asked for its checkpoint -> fetched (site/cache.h) -> laid into its folder -> it may start
 *   over: its folder is looked through -> sent, a file and a piece at a time -> told to the hub -> the folder may go
 *
 * Nothing of it has to be remembered: what was laid and not yet started is removed when the agent starts, and laid again
 * from the cache; what is to be kept of an epoch follows from its folder, which stays until the hub has all of it, and the
 * hub tells how much of a file it has. So it goes on after any end of the agent, the hub, or the link.
 *
 * One call at a time on a link of its own, files on threads. Runs on the loop that it is given.
 */
#ifndef BUSBAR_SITE_HAUL_H
#define BUSBAR_SITE_HAUL_H

#include "site/cache.h"
#include "site/jobs.h"

struct haul_config {
    struct loop *loop;
    const char *hub;         /* HOST:PORT */
    struct tls_context *tls; /* stays the caller's */
    struct gauge *gauge;     /* is told what comes and goes; NULL: nobody is */
    struct cache *cache;
    const char *work; /* of the engine */
    void (*heard)(void *ctx, const struct err *err);
    void *ctx;
};

struct haul;

/* Removes what was laid and not started, which blocks. Before the engine is opened. */
int haul_new(struct haul **out, const struct haul_config *config, struct err *err);

/* What the dispatcher has granted to the data of an epoch that comes, bits a second; 0: nothing is said, and it comes as fast
 * as it can. Before haul_ready. */
void haul_grant(struct haul *haul, const struct job_id *id, uint64_t bits_s);
/* 0: all that the epoch needs is in its folder. ERR_UNAVAILABLE: not yet. Else it cannot be brought. May take the inputs out of
 * the specification. */
int haul_ready(struct haul *haul, const struct job_id *id, struct job_spec *spec, struct err *err);
/* It is not to be started here after all. */
void haul_forget(struct haul *haul, const struct job_id *id);

/* It is over. May be said again. */
void haul_over(struct haul *haul, const struct job_id *id);
/* Whether the hub has all that is to be kept of it: nothing more is under way since haul_over. */
bool haul_settled(const struct haul *haul, const struct job_id *id);

void haul_close(struct haul *haul);
/* After the loop has run, before the cache is freed. */
void haul_free(struct haul *haul);

#endif
