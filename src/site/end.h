/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends: how what an engine says of an epoch's end and use is told to core, and what core calls a stop is told to an engine.
 */
#ifndef BUSBAR_SITE_END_H
#define BUSBAR_SITE_END_H

#include "core/schema.h"
#include "engine/job.h"
#include "engine/serve.h"

/* How an epoch came to its end. */
struct site_end {
    struct job_id id;
    uint32_t code;               /* as core has it: JOB_ENDINGS in core/kinds.h */
    const struct job_exit *exit; /* as its engine recorded it; NULL: it was never begun */
};

/* The totals as core is told them. */
struct event_job_meter site_meter(const struct job_id *id, const struct uuid *site,
                                  const struct job_usage *usage);
/* The same at the end: the last that is told. */
struct event_job_meter site_last_meter(const struct job_id *id, const struct uuid *site,
                                       const struct job_exit *exit);
/* The same of a replica, whose total its supervisor tells; without the site, which who asks knows. */
struct event_replica_meter site_replica_meter(const struct serve_used *used);
/* How long ago that was by the clock of this machine, ms; 0: it was never, or by a clock that is ahead. */
uint64_t site_age_ms(uint64_t wall_ms);
/* Whether the epoch is over and the job is not: its lease ran out, its node was lost, or the engine would not have it. It is
 * placed again. */
bool site_end_returns(const struct site_end *end);
/* The code of an exit record, as core has it: JOB_ENDINGS in core/kinds.h. */
uint32_t site_end_code(const struct job_exit *exit);
/* How an engine calls it, from the code of JOB_STOP. */
enum job_end site_stop_reason(int code);

#endif
