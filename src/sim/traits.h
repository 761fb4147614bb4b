/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traits: what a trace does not say of its jobs and a simulation assumes.
 *
 * Written as name=value, separated by commas: interruptible=50 (percent of jobs), checkpoint=5m (what stopping and
 * starting such a job costs; as 5m:1h it also writes a checkpoint each hour by itself), deferrable=30:24h (percent, and how long they may wait for cheap or green power). Which jobs
 * these are is drawn from the seed and the number of the job, so it is the same whatever else a simulation does.
 */
#ifndef BUSBAR_SIM_TRAITS_H
#define BUSBAR_SIM_TRAITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/schema.h"

struct traits {
    uint64_t seed;
    uint32_t interruptible; /* percent of jobs */
    int64_t checkpoint_ms, checkpoint_every_ms;
    uint32_t deferrable; /* percent of jobs */
    int64_t defer_ms;
};

/* `text` NULL: none. ERR_INVALID with words. */
int traits_read(struct traits *traits, const char *text, uint64_t seed, struct err *err);
/* Whether job i is interruptible. */
bool traits_interruptible(const struct traits *traits, uint32_t i);
/* How long job i runs from now, of which so much work, ms, is done and in a checkpoint. */
int64_t traits_run_ms(const struct traits *traits, uint32_t i, int64_t duration_ms, int64_t done_ms);
/* Adds what is assumed of job i, submitted at now_ms, to its request. */
void traits_apply(const struct traits *traits, uint32_t i, int64_t now_ms, struct event_job_submit *request);

#endif
