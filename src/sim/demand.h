/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Demand: the jobs of a simulation, in order of submission, out of one or more traces.
 *
 * Of each trace a window may be taken, and copies of it shifted evenly around the window: what a copy would submit past the
 * end it submits at the beginning, so load is the same at all times. Each copy of each trace is a tenant of its own; the
 * queues of all traces are numbered on. Jobs that are equal in time stay in order of trace, copy and row. All of it lies
 * on the heap and belongs to the demand.
 */
#ifndef BUSBAR_SIM_DEMAND_H
#define BUSBAR_SIM_DEMAND_H

#include <stdint.h>

#include "base/err.h"
#include "core/limits.h"
#include "sim/trace.h"

#define DEMAND_JOBS_MAX (1u << 24)
#define DEMAND_TRACES_MAX 8
#define DEMAND_COPIES_MAX 1000u

struct demand_job {
    int64_t submit_ms;
    int64_t duration_ms;
    uint32_t chips : 24;
    int32_t priority : 8;
    uint16_t queue;
    uint16_t tenant;
};

_Static_assert(TRACE_CHIPS_MAX < 1u << 24 && JOB_PRIORITY_MAX < 1 << 7, "a job has room for both");

struct demand {
    struct demand_job *job;
    uint32_t n;
    uint32_t dropped;
    char (*queue)[TRACE_NAME_CAP];
    uint32_t nqueues;
    uint32_t ntenants;
};

struct demand_options {
    const char
        *traces; /* FILE or FILE@DAY, separated by commas: the window begins DAY days after the first job */
    uint32_t copies;   /* at least 1 */
    int64_t length_ms; /* of the window; 0: all of the trace */
    /* Whose the jobs are: "trace" or NULL: those of the trace, and each copy has one where it is copied; "vc": each queue. */
    const char *tenants;
};

/* ERR_INVALID, ERR_NOT_FOUND, ERR_IO, ERR_CORRUPT, ERR_LIMIT, ERR_NO_MEMORY, with words. */
int demand_read(struct demand *demand, const struct demand_options *options, struct err *err);
void demand_free(struct demand *demand);

#endif
