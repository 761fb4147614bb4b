/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs of a site: runs through the site's engine what the hub wants to run here, and tells how it ended.
 *
 * The engine's work folder is the truth about what runs here, the hub about what should: they are compared when the site
 * starts and whenever the hub says anew all that it wants, and an epoch that the hub does not want any more is stopped.
 * Everything is by job and epoch and may be done again. A start whose chips are not given back yet, or whose earlier
 * epoch is still ending, is tried again; an end that the hub could not record is told again.
 *
 * The hub is in this process (site/home.h) or at the other end of a link (site/agent.h). Leases are renewed for as long
 * as the hub is heard; jobs outlive this process by their leases. Runs on the loop that it is given.
 */
#ifndef BUSBAR_SITE_JOBS_H
#define BUSBAR_SITE_JOBS_H

#include "core/limits.h"
#include "engine/engine.h"
#include "site/end.h"

/* A job that is to run here. */
struct site_order {
    struct job_id id;
    char chip[CHIP_CAP];
    uint32_t nodes;
    uint32_t chips;       /* of each node */
    uint64_t data_bits_s; /* granted to data that comes for it; 0: nothing is said */
};

/* The hub, as the jobs of a site see it. */
struct site_hub {
    /* What runs here is known: from now on the hub may say what it wants. Once. */
    void (*ready)(void *ctx);
    /* Reads what a job runs into a zeroed specification. ERR_UNAVAILABLE: it is not here yet. */
    int (*load)(void *ctx, const struct job_id *id, struct job_spec *spec, struct err *err);
    /* Takes the end, to answer with site_jobs_recorded, once and later. False: not now. */
    bool (*tell)(void *ctx, const struct site_end *end);
    /* What a running epoch has used so far; told again from time to time. May be NULL. */
    void (*used)(void *ctx, const struct job_id *id, const struct job_usage *usage);
    /* An epoch is over that the hub had taken back, or whose end it knew before the site started (`old`). May be NULL. */
    void (*gone)(void *ctx, const struct job_id *id, const struct job_exit *exit, bool old);
    /* An epoch whose specification was asked for is not to be started here. May be NULL. */
    void (*dropped)(void *ctx, const struct job_id *id);
    /* For how long from now jobs may run without another word from the hub, ms; 0: it has not been heard for too long. */
    uint64_t (*lease_ms)(void *ctx);
    void *ctx;
};

struct site_jobs;

/* Opens the engine, which blocks, up to seconds; its configuration outlives the jobs. */
int site_jobs_new(struct site_jobs **out, struct loop *loop, const struct engine_config *engine,
                  const struct site_hub *hub, struct err *err);

/* All that should run here, as of now. */
void site_jobs_wanted(struct site_jobs *jobs, const struct site_order *orders, uint32_t n);
/* What changed since. Starts that came before site_jobs_wanted did wait for it. */
void site_jobs_start(struct site_jobs *jobs, const struct site_order *order);
void site_jobs_stop(struct site_jobs *jobs, const struct job_id *id, enum job_end why);
/* What it runs is here now. */
void site_jobs_loaded(struct site_jobs *jobs, const struct job_id *id);
/* The hub has recorded the end, or will not have it: ERR_UNAVAILABLE: neither, it is told again. */
void site_jobs_recorded(struct site_jobs *jobs, const struct job_id *id, int code);

/* Calls fn for each epoch that the engine has. */
void site_jobs_each(struct site_jobs *jobs, void (*fn)(void *ctx, const struct job_id *id), void *ctx);
/* For calls about logs and inventory, and to forget what is over. */
struct engine *site_jobs_engine(struct site_jobs *jobs);

/* Ends the engine's threads; what runs goes on. `done` runs on the loop. */
void site_jobs_shutdown(struct site_jobs *jobs, void (*done)(void *ctx), void *ctx);
/* After done, and after the hub's last answer. */
void site_jobs_free(struct site_jobs *jobs);

#endif
