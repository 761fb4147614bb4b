/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traits: what a trace does not say of its jobs and a simulation assumes.
 *
 * Written as name=value, separated by commas: interruptible=50 (percent of jobs), checkpoint=5m (what stopping and
 * starting such a job costs; as 5m:1h it also writes a checkpoint each hour by itself), deferrable=30:24h (percent, and how
 * long they may wait for cheap or green power),
 * data=40:20GB (percent, and how large an input they have; MB, GB or TB, of 10^6 bytes and so on). An input lies at a site,
 * each as likely as it has chips at the start; data=40:20GB@here+there names the sites, each as likely as the other. Which
 * jobs these are is drawn from the seed and the number of the job, so it is the same whatever else a simulation does.
 * tied=firm or tied=all: jobs that cannot wait, or all, must run at the site that their queue has the name of.
 */
#ifndef BUSBAR_SIM_TRAITS_H
#define BUSBAR_SIM_TRAITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/schema.h"
#include "network/netfile.h"
#include "sim/option.h"

#define TRAITS_TEXT_CAP OPTION_ITEM_CAP

struct traits {
    uint64_t seed;
    uint32_t interruptible; /* percent of jobs */
    int64_t checkpoint_ms, checkpoint_every_ms;
    uint32_t deferrable; /* percent of jobs */
    int64_t defer_ms;
    uint32_t data; /* percent of jobs */
    uint64_t data_bytes;
    char data_sites[TRAITS_TEXT_CAP]; /* NAME+NAME..., empty: by chips */
    struct trait_site {
        struct uuid id;
        uint64_t upto; /* the weights of the sites up to this one */
    } * site;
    uint32_t nsites;
    uint32_t tied; /* enum traits_tied */
};

enum traits_tied { TIED_NONE, TIED_FIRM, TIED_ALL };

/* `text` NULL: none. ERR_INVALID with words. */
int traits_read(struct traits *traits, const char *text, uint64_t seed, struct err *err);
/* Finds the sites where data lies; `net` NULL: there are none. ERR_INVALID, ERR_NOT_FOUND, ERR_NO_MEMORY with words. */
int traits_place(struct traits *traits, const struct netfile *net, struct err *err);
void traits_free(struct traits *traits);
/* Whether job i is interruptible. */
bool traits_interruptible(const struct traits *traits, uint32_t i);
/* How long job i runs from now, of which so much work, ms, is done and in a checkpoint. */
int64_t traits_run_ms(const struct traits *traits, uint32_t i, int64_t duration_ms, int64_t done_ms);
/* Adds what is assumed of job i, submitted at now_ms, to its request. */
void traits_apply(const struct traits *traits, uint32_t i, int64_t now_ms, struct event_job_submit *request);
/* Whether job i can wait. */
bool traits_defers(const struct traits *traits, uint32_t i);
/* Whether job i must run at its queue's site. */
bool traits_ties(const struct traits *traits, uint32_t i);

#endif
