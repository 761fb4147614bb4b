/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator: the hub's own core on virtual time.
 *
 * It makes events out of a trace and a network, steps the core with them in order of time, and answers the core's effects
 * as sites would: a job that was started ends when its duration has passed. Nothing here decides; a policy is a
 * setting of the dispatcher (core/dispatch.c). The same options and the same seed give the same decisions, byte for
 * byte. Times inside are ms since the trace's origin plus SIM_EPOCH_MS.
 */
#ifndef BUSBAR_SIM_SIM_H
#define BUSBAR_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "core/limits.h"
#include "sim/eta.h"

#define SIM_EPOCH_MS INT64_C(1577836800000) /* 2020-01-01 */

struct sim_options {
    const char *trace;   /* jobs: files, separated by commas, sim/demand.h */
    const char *pools;   /* one isolated pool for each queue of the trace; or */
    const char *network; /* a network file; jobs may go anywhere */
    const char *policy;  /* sim_policies */
    uint32_t node_chips; /* of `pools` */
    uint32_t copies;     /* of each trace, shifted in time */
    int64_t length_ms;   /* window of each trace; 0: all of it */
    int64_t until_ms;    /* of the simulation; 0: until all is over */
    uint64_t seed;
    bool faults;
    const char *drills;
    const char *traits; /* sim/traits.h */
    uint64_t ageing;    /* thousandths of a ms for a chip-second */
    bool ageing_given;
    const char
        *durations; /* what the core is told: exact, predicted (nothing), none (an hour each); NULL: exact */
    const char *tenants;  /* sim/demand.h */
    uint32_t etas;        /* how many jobs are to be told when they will start, sim/eta.h */
    bool free;            /* with `pools`: jobs may use any of them, not only that of their queue */
    int64_t carbon_price; /* nano-units for a kg CO2e */
    void (*progress)(void *ctx, int64_t done, int64_t all); /* jobs that are over; NULL: nobody asks */
    void *ctx;
};

struct sim_policy {
    const char *name, *text;
    uint32_t order, fit, pack;
    bool singly; /* each event is decided on before the next one at the same time */
};
/* Ends with one whose name is NULL. */
extern const struct sim_policy sim_policies[];

struct sim_result {
    uint32_t jobs, unfinished, dropped;
    int64_t jct_ms_sum, wait_ms_sum, wait_ms_max, wait_ms_p50, wait_ms_p99;
    int64_t span_ms; /* from the first submission to the last end */
    uint64_t chip_ms, capacity;
    uint64_t joules, mg; /* of facilities, CO2e */
    int64_t nano;        /* what the power cost */
    uint64_t drill_stopped, drill_placed;
    int64_t drill_placed_ms; /* how long the last one waited */
    struct eta_report eta;
    uint64_t events, starts, stops, passes;
    uint64_t step_ns_sum, step_ns_p99, step_ns_max; /* of single steps of the core, by the clock */
    uint8_t hash[DIGEST_LEN];                       /* over all decisions, sim/checker.h */
    uint64_t violations;                            /* that the checker found; the first one in words */
    char violation[256];
    uint64_t cpu_us, wall_us, rss_kb;
};

/* ERR_INVALID, ERR_IO, ERR_LIMIT, ERR_NO_MEMORY, with words. */
int sim_run(const struct sim_options *options, struct sim_result *result, struct err *err);
void sim_result_json(const struct sim_options *options, const struct sim_result *result, struct buf *out);

#endif
