/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Home: the jobs of the site that is in the hub's own process. What core decides comes as effects, what runs is read from
 * the hub's files, ends are posted as events, and leases are renewed for as long as the process lives.
 */
#ifndef BUSBAR_SITE_HOME_H
#define BUSBAR_SITE_HOME_H

#include "runtime/asks.h"
#include "runtime/runtime.h"
#include "site/jobs.h"

struct site_home_config {
    const struct engine_config *engine; /* outlives the jobs */
    const char *specs;                  /* folder of what jobs run, by id (site/job_file.h) */
    const char *blobs;                  /* a folder of blobs for each tenant (base/blob.h) */
    struct uuid site;                   /* the hub's own */
    struct uuid pool;                   /* what the core places here is placed in this one: one node */
    char chip[CHIP_CAP];                /* its kind */
    uint64_t lease_ms;
};

struct site_home;

/* `box` and `asks` are the site's: replies and effects come in one order. The box is attached already. */
int site_home_new(struct site_home **out, struct runtime *runtime, struct loop *loop, struct mailbox *box,
                  struct asks *asks, const struct site_home_config *config, struct err *err);
/* JOB_START and JOB_STOP; the others are not its business. */
void site_home_effect(struct site_home *home, const struct effect *effect);
/* As site_jobs_shutdown and site_jobs_free. */
void site_home_shutdown(struct site_home *home, void (*done)(void *ctx), void *ctx);
void site_home_free(struct site_home *home);

#endif
