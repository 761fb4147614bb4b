/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts: when waiting jobs will start, for those who ask (docs/prediction.md).
 *
 * An answer costs many runs of the dispatcher (sim/forecast.h), so it is worked out on one thread of its own, for those jobs
 * that somebody asked about, and serves for STARTS_FRESH_MS. The core's thread only copies its rows, STARTS_ROWS_MAX of
 * them at most, once for all who wait and no oftener than each STARTS_PAUSE_MS. What comes in a run is what was
 * submitted in the last days, as the store has it.
 *
 * The interval is stretched by what became of earlier ones (eta_stretch): of each job the first answer, until it has started.
 * The last STARTS_MAX jobs that were asked about are remembered, in memory; a restart learns anew.
 */
#ifndef BUSBAR_HUB_STARTS_H
#define BUSBAR_HUB_STARTS_H

#include "runtime/runtime.h"

#define STARTS_MAX 512u
#define STARTS_FRESH_MS 30000
#define STARTS_PAUSE_MS 2000
#define STARTS_BUDGET_MS 4000 /* for one answer; what was run by then counts */
#define STARTS_ROWS_MAX ((size_t)32 << 20)

struct starts;

/* Unix ms. In four cases of five it is to start in [low, high]; `start` is the middle run. */
struct starts_answer {
    int64_t start_ms, low_ms, high_ms;
    int64_t as_of_ms;
};

/* `limits`: the runtime's. Starts the thread. */
int starts_open(struct starts **out, struct runtime *rt, const struct limits *limits, struct err *err);
/* From any thread that may block for a moment. `also`: the job is not there, this is what it would be; else NULL. 0 with an answer.
 * ERR_UNAVAILABLE: it is being worked out, ask again. ERR_NOT_FOUND: it does not wait, or none can be told now. */
int starts_ask(struct starts *starts, const struct uuid *job, const struct event_job_submit *also,
               struct starts_answer *out);
/* Ends the thread; before the runtime stops. Then nothing is answered. */
void starts_stop(struct starts *starts);
/* Once the runtime has stopped. NULL is fine. */
void starts_free(struct starts *starts);

#endif
