/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eta: when waiting jobs will start, as intervals, and how often the truth lies in them.
 *
 * Asked for when a job was submitted and has to wait. The runs of a forecast (sim/forecast.h) give its waits; the tenth and the
 * ninetieth of a hundred are an interval that should hold four times in five. Whether it does is learned from what became
 * of earlier ones: each end of the interval is stretched by a factor that grows when the truth lay beyond it and shrinks when it
 * did not, by steps whose balance is at one in ten (quantile tracking: Gibbs and Candes, NeurIPS 2021; Angelopoulos,
 * Candes and Tibshirani, NeurIPS 2023). Only outcomes that were known when an interval was given count for it.
 */
#ifndef BUSBAR_SIM_ETA_H
#define BUSBAR_SIM_ETA_H

#include <stdbool.h>

#include "base/err.h"
#include "sim/forecast.h"

#define ETA_ASKS_MAX 100000u
#define ETA_RUNS 40u

/* The ends of an interval, stretched by what was learned: factors in 2^16. */
struct eta_fit {
    uint32_t low, high;
    uint32_t outcomes;
};
struct eta_span {
    int64_t low_ms, high_ms;
};

void eta_fit_init(struct eta_fit *fit);
/* What an interval would be made into, and what its outcome teaches. */
struct eta_span eta_fit_apply(const struct eta_fit *fit, struct eta_span raw);
void eta_fit_learn(struct eta_fit *fit, struct eta_span raw, int64_t wait_ms);

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
