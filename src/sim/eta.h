/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eta: when waiting jobs will start, as intervals, and how often the truth lies in them.
 *
 * Asked for when a job was submitted and has to wait. The runs of a forecast (sim/forecast.h) give its waits; the tenth and the
 * ninetieth of a hundred are an interval that should hold four times in five. How far its ends were off is learned from what became
 * of earlier ones: each end is stretched in the proportion that would have been enough for nine in ten of them (split conformal
 * prediction: Papadopoulos et al., ECML 2002; Vovk, Gammerman and Shafer, 2005). Only what was known when an interval is given counts for
 * it; of a job that has waited beyond its interval and not started, so much as it has waited.
 */
#ifndef BUSBAR_SIM_ETA_H
#define BUSBAR_SIM_ETA_H

#include <stdbool.h>

#include "base/err.h"
#include "sim/forecast.h"

#define ETA_ASKS_MAX 100000u
#define ETA_RUNS 40u

#define ETA_PAST_MAX 1024u

struct eta_span {
    int64_t low_ms, high_ms;
};
/* What became of an interval as the runs gave it: how long the job waited, or has waited so far. */
struct eta_outcome {
    struct eta_span raw;
    int64_t wait_ms;
};

/* The interval with its ends stretched by what n earlier ones teach; as it is if they are fewer than ten. `past`: at most
 * ETA_PAST_MAX, in any order. */
struct eta_span eta_stretch(const struct eta_outcome *past, uint32_t n, struct eta_span raw);

struct eta_report {
    uint32_t drawn, at_once; /* jobs drawn at random; of them, those that started when they came */
    uint32_t asked, open;    /* intervals given; of them, those of jobs that had not started at the end */
    uint32_t covered, covered_raw;
    uint32_t below, above; /* started before, after the interval */
    int64_t width_ms_p50, width_ms_p90, wait_ms_p50,
        error_ms_p50; /* of intervals; of waits; of the middle run */
    uint64_t cpu_ns;
};

struct eta;

/* `asks` of `jobs` jobs; of none, none. NULL: out of memory. */
struct eta *eta_new(uint32_t asks, uint32_t jobs, uint64_t seed);
void eta_free(struct eta *eta);
/* The job was submitted and the dispatcher has settled. True: it waits and one is to ask for it. */
bool eta_wants(struct eta *eta, uint32_t job, bool started);
int eta_ask(struct eta *eta, uint32_t job, const struct core *core, const struct limits *limits,
            int64_t now_ms, const struct uuid *id, const struct forecast_past *past);
/* The job starts; at its first start its interval is judged. */
void eta_started(struct eta *eta, uint32_t job, int64_t now_ms);
/* ERR_NO_MEMORY. */
int eta_report(struct eta *eta, struct eta_report *report);

#endif
