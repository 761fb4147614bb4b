/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs of a site: carries out the core's starts and stops through the site's engine, and reports how jobs ended.
 *
 * The core knows a job by its terms; what it runs is in a file by the job's id, which whoever submits it writes first
 * (site/job_file.h). The engine's work folder is the truth about what runs here, the core about what should: they are
 * compared once at the start, and an epoch that the core does not run any more is stopped. Everything is by job and
 * epoch and may be done again. A start whose chips are not given back yet, or whose earlier epoch is still ending, is
 * tried again; an end that the hub could not record is reported again.
 *
 * Hub and site are one process here, so leases are renewed for as long as it lives. Jobs outlive it by their leases.
 * Runs on the loop that it is given.
 */
#ifndef BUSBAR_SITE_JOBS_H
#define BUSBAR_SITE_JOBS_H

#include "base/fs.h"
#include "engine/engine.h"
#include "runtime/asks.h"
#include "runtime/runtime.h"

struct site_jobs_config {
    const struct engine_config *engine; /* outlives the jobs */
    const char *specs;                  /* folder of the files by id */
    struct uuid pool;                   /* what the core places here is placed in this one */
    char chip[CHIP_CAP];                /* its kind */
    uint64_t lease_ms;
};

struct site_jobs;

/* `box` and `asks` are the site's: replies and effects come in one order. The box is attached already. */
int site_jobs_new(struct site_jobs **out, struct runtime *runtime, struct loop *loop, struct mailbox *box,
                  struct asks *asks, const struct site_jobs_config *config, struct err *err);
/* JOB_START and JOB_STOP; the others are not its business. */
void site_jobs_effect(struct site_jobs *jobs, const struct effect *effect);
/* Ends the engine's threads; what runs goes on. `done` runs on the loop. */
void site_jobs_shutdown(struct site_jobs *jobs, void (*done)(void *ctx), void *ctx);
/* After done, and after the last reply. */
void site_jobs_free(struct site_jobs *jobs);

#endif
