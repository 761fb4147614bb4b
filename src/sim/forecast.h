/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forecast: when a job that waits will start, by running the dispatcher forward on a copy of its core.
 *
 * The copy is made from rows (core_dump, core_load), so it decides what the core would decide. A run gives each job that runs
 * or waits a duration: what was declared of it, or a draw from the habits of its tenant, of those runs that last longer than
 * it has run (core/habit.h). What comes meanwhile is what came before: submissions of the past week, from the same
 * time of an earlier day on, in their order and with their gaps (a block bootstrap: Kuensch, Annals of Statistics
 * 17(3), 1989), since smaller work may pass. Prices, sites and rules stay as they are. Each run has other draws; the seed decides.
 *
 * The core is only read. A forecast owns its memory; it may be asked about several jobs, as long as the core does not move on.
 *
 * Of a core that does not stand still (a hub's) the rows are taken first, on its thread, which is all that this does there
 * (forecast_take); then, on any other, forecast_stand makes a core from them that the forecast has to itself.
 */
#ifndef BUSBAR_SIM_FORECAST_H
#define BUSBAR_SIM_FORECAST_H

#include "base/err.h"
#include "core/core.h"
#include "core/limits.h"

#define FORECAST_RUNS_MAX 1000u
#define FORECAST_ARRIVALS_MAX 65536u
#define FORECAST_PAST_MS (INT64_C(8) * 86400000) /* older submissions tell nothing */

/* Submissions that are known, numbered in order of time. */
struct forecast_past {
    void *ctx;
    uint32_t first, end;
    int64_t since_ms; /* all since then are known, if that is earlier than the first; 0: nobody knows */
    int64_t (*at_ms)(void *ctx, uint32_t i);
    /* What was asked for; *ran_ms: how long it ran at rate 1, 0: nobody knows yet. The job's id does not matter. */
    void (*request)(void *ctx, uint32_t i, struct event_job_submit *out, int64_t *ran_ms);
};

struct forecast_options {
    uint32_t runs;
    uint64_t seed;
    int64_t horizon_ms;    /* no run looks further */
    uint32_t arrivals_max; /* jobs that come in a run, and wait or run at its end; 0: FORECAST_ARRIVALS_MAX */
    /* Asked often while it runs; true: no more of it. NULL: never. */
    bool (*enough)(void *ctx);
    void *ctx;
    /* One that is not there, and is submitted in each run before anything else: what if it were. NULL: none. */
    const struct event_job_submit *also;
};

struct forecast;

/* `limits`: those of the core. now_ms: the time of its last event. NULL: out of memory, or the rows are not what they ought
 * to be. */
struct forecast *forecast_new(const struct core *core, const struct limits *limits, int64_t now_ms);
/* The same without a core to go by yet: the rows of one that moves on, at most so many bytes of them. Then forecast_stand. */
struct forecast *forecast_take(const struct core *core, const struct limits *limits, int64_t now_ms,
                               size_t bytes_max);
/* ERR_LIMIT: there were more bytes of rows. ERR_NO_MEMORY, ERR_CORRUPT. */
int forecast_stand(struct forecast *f);
void forecast_free(struct forecast *f);
/* The core that forecast_stand made, for who wants to try events on it; from then on nothing is to be asked of the forecast. */
struct core *forecast_core(struct forecast *f);
/* How long the job has yet to wait in each of the *n runs that were made, ms, ascending; the horizon: as long as that or longer.
 * ERR_NOT_FOUND: it does not wait. ERR_TIMEOUT: `enough` said so, and *n are fewer. ERR_NO_MEMORY, ERR_LIMIT. */
int forecast_waits(struct forecast *f, const struct uuid *job, const struct forecast_past *past,
                   const struct forecast_options *options, int64_t *waits_ms, uint32_t *n);

#endif
