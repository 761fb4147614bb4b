/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator: the hub's own core on virtual time.
 *
 * It makes events out of a trace and a network, steps the core with them in order of time, and answers the core's effects
 * as sites would: a job that was started ends when its duration has passed. Nothing here decides; a policy is a
 * setting of the dispatcher (core/dispatch.c). The same options and the same seed give the same decisions, byte for
 * byte. Times inside are Unix ms: the trace's origin is put at the start of the simulation.
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
#include "sim/outage.h"
#include "sim/planning.h"
#include "sim/serving.h"
#include "sim/standing.h"
#include "sim/supply.h"

#define SIM_EPOCH_MS INT64_C(1577836800000) /* 2020-01-01 */

struct sim_options {
    const char *trace;   /* jobs: files, separated by commas, sim/demand.h; NULL: none */
    const char *pools;   /* one isolated pool for each queue of the trace; or */
    const char *network; /* a network file; jobs may go anywhere */
    const char *policy;  /* sim_policies */
    uint32_t node_chips; /* of `pools` */
    uint32_t copies;     /* of each trace, shifted in time */
    int64_t length_ms;   /* window of each trace; 0: all of it */
    int64_t start_ms;    /* Unix ms; 0: where the network file says, or SIM_EPOCH_MS */
    int64_t until_ms;    /* of the simulation, after its start; 0: until all is over */
    int64_t until_at_ms; /* the same as Unix ms */
    const char *report;  /* file for the page; NULL: none is written */
    uint64_t seed;
    bool faults;
    const char *drills;
    const char *traits;           /* sim/traits.h */
    const char *rules;            /* a rule file; NULL: none */
    const char *requests, *serve; /* sim/serving.h; NULL: none, the defaults */
    bool zones;
    const char
        *plan; /* off, yesterday or foresight, sim/planning.h; NULL: yesterday if jobs can wait, else off */
    int64_t plan_every_ms; /* 0: an hour */
    uint64_t ageing;       /* thousandths of a ms for a chip-second */
    bool ageing_given;
    int64_t carbon_price; /* nano-units for a kg CO2e */
    uint32_t preempt;     /* enum dispatch_preempt */
    uint32_t reserve;     /* enum dispatch_reserve */
    const char
        *durations; /* what the core is told: exact, predicted (nothing), none (an hour each); NULL: exact */
    const char *tenants; /* sim/demand.h */
    uint32_t etas;       /* how many jobs are to be told when they will start, sim/eta.h */
    bool free;           /* with `pools`: jobs may use any of them, not only that of their queue */
    const struct event_service_set *standing; /* sim/standing.h; the caller's */
    uint32_t nstanding;
    /* At the end, before anything is measured: for who goes on from there on a copy. An error with words ends it. NULL: nobody. */
    int (*ended)(void *ctx, const struct core *core, const struct limits *limits, int64_t now_ms,
                 const struct standing *standing, struct err *err);
    void (*progress)(void *ctx, int64_t done, int64_t all); /* jobs that are over; NULL: nobody asks */
    void *ctx;
};

#define SIM_FLOWS_MAX 256

/* What a corridor carried. */
struct sim_flow {
    char a[NAME_CAP], b[NAME_CAP];
    uint64_t transfers, bytes, joules, mg;
    int64_t nano, power_nano; /* charged; for its power */
};

#define SIM_POLICIES 4u

struct sim_policy {
    const char *name;
    uint32_t order, fit, pack;
    bool singly; /* each event is decided on before the next one at the same time */
};
extern const struct sim_policy sim_policies[SIM_POLICIES];

struct sim_result {
    uint32_t jobs, unfinished, dropped;
    int64_t jct_ms_sum, wait_ms_sum, wait_ms_max, wait_ms_p50, wait_ms_p99;
    int64_t span_ms; /* from the first submission to the last end */
    uint64_t chip_ms, capacity;
    uint64_t joules, mg;      /* of facilities, CO2e */
    int64_t nano;             /* what the power cost */
    int64_t start_ms, end_ms; /* of the simulation, Unix ms */
    struct supply supply;     /* all zero without a network */
    /* Of data that came over corridors: the sum, whose power, money and carbon are in those above as well, and each
     * corridor that carried any, those with most bytes if they are more than SIM_FLOWS_MAX. */
    uint64_t transfers;
    int64_t transfer_ms_sum; /* of jobs that are over: how long they held chips before they ran */
    struct sim_flow flow_sum;
    struct sim_flow flow[SIM_FLOWS_MAX];
    uint32_t nflows;
    uint64_t late, twice, lost;     /* reports of ends, sim/messages.h */
    uint64_t refused;               /* reports that the hub had to refuse, and did */
    struct outage_figures drill[2]; /* what drills stopped: interruptible work, firm work */
    struct coverage_figures coverage;
    struct eta_report eta;
    uint64_t events, starts, stops, passes;
    const char *plan;    /* as the option; what it was */
    uint32_t deferrable; /* jobs that could wait, of those that are over */
    int64_t deferrable_wait_ms_sum;
    uint32_t started_at_latest; /* of them: at their latest start or later; the others before */
    struct planning_sum plans;
    uint64_t step_ns_sum, step_ns_p99, step_ns_max; /* of single steps of the core, by the clock */
    uint8_t hash[DIGEST_LEN];                       /* over all decisions, sim/checker.h */
    uint64_t violations;                            /* that the checker found; the first one in words */
    char violation[256];
    uint64_t cpu_us, wall_us, rss_kb;
    struct serving_sum service[SERVING_MAX];
    uint32_t services;
    struct standing_report standing;
};

/* ERR_INVALID, ERR_IO, ERR_LIMIT, ERR_NO_MEMORY, with words. */
int sim_run(const struct sim_options *options, struct sim_result *result, struct err *err);
void sim_result_json(const struct sim_options *options, const struct sim_result *result, struct buf *out);

#endif
