/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outbox: what a site has to say to its hub, over a link, one call after the other. Most urgent first:
 *
 *   a call of the agent's own (certificate, inventory), programs that jobs wait for, ends, what jobs have used and
 *   print.
 *
 * Nothing is kept here that the engine's work folder does not hold: an end is told until the hub has it, and what a job
 * printed from where the hub says that it is. So a site that dies, or is cut off for days, forgets nothing; what was used is told
 * with its age by this machine's clock, so that the hub knows when that was, whatever the clock says. An end
 * waits for what the job printed and what is kept of it (site/haul.h), for OUTBOX_FLUSH_MS at most. What the hub has all of is removed from the work folder.
 */
#ifndef BUSBAR_SITE_OUTBOX_H
#define BUSBAR_SITE_OUTBOX_H

#include "net/tls.h"
#include "site/haul.h"
#include "site/jobs.h"
#include "site/link.h"

#define OUTBOX_FLUSH_MS 10000

struct outbox_config {
    struct loop *loop;
    const char *hub;                                 /* HOST:PORT */
    struct tls_context *tls;                         /* stays the caller's */
    const char *programs;                            /* folder of what jobs run, by id (site/job_file.h) */
    void (*heard)(void *ctx, const struct err *err); /* each call's end: whether the hub was reached */
    void *ctx;
};

struct outbox;

int outbox_new(struct outbox **out, const struct outbox_config *config, struct err *err);
/* From now on it looks after the jobs; what is kept of them goes by the haul. */
void outbox_jobs(struct outbox *outbox, struct site_jobs *jobs, struct haul *haul);

/* For struct site_hub. */
int outbox_load(struct outbox *outbox, const struct job_id *id, struct job_spec *spec, struct err *err);
bool outbox_tell(struct outbox *outbox, const struct site_end *end);
void outbox_used(struct outbox *outbox, const struct job_id *id, const struct job_usage *usage);
void outbox_gone(struct outbox *outbox, const struct job_id *id, const struct job_exit *exit);

/* Posts the body, which it copies, before anything else. False: another one of the agent's waits still. */
bool outbox_call(struct outbox *outbox, const char *path, const struct buf *body, link_fn *fn, void *ctx);

/* Ends; the memory goes with outbox_free, once the engine is shut down. */
void outbox_close(struct outbox *outbox);
void outbox_free(struct outbox *outbox);

#endif
