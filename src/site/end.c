/* SPDX-License-Identifier: Apache-2.0 */
#include "site/end.h"

#include <stddef.h>

#include "base/clock.h"
#include "base/err.h"
#include "core/kinds.h"

uint32_t site_end_code(const struct job_exit *exit)
{
    static const struct {
        enum job_end end;
        enum job_ending ending;
    } endings[] = {{JOB_END_OOM, ENDING_OOM},
                   {JOB_END_TIMED_OUT, ENDING_TIMED_OUT},
                   {JOB_END_LEASE_OVER, ENDING_LEASE_OVER},
                   {JOB_END_NOT_STARTED, ENDING_NOT_STARTED},
                   {JOB_END_LOST, ENDING_LOST}};
    const uint32_t most = (1u << JOB_CODE_BITS) - 1;
    if (exit->end == JOB_END_EXITED)
        return exit->code < most ? exit->code : most;
    if (exit->end == JOB_END_SIGNALLED)
        return (uint32_t)ENDING_SIGNALLED << JOB_CODE_BITS | (exit->signal < most ? exit->signal : most);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        if (endings[i].end == exit->end)
            return (uint32_t)endings[i].ending << JOB_CODE_BITS;
    }
    return (uint32_t)ENDING_STOPPED << JOB_CODE_BITS;
}

bool site_end_returns(const struct site_end *end)
{
    switch (end->code >> JOB_CODE_BITS) {
    case ENDING_LEASE_OVER:
    case ENDING_LOST:
        return true;
    case ENDING_NOT_STARTED:
        return !end->exit; /* else its shim could not: nobody could */
    default:
        return false;
    }
}

struct event_job_meter site_meter(const struct job_id *id, const struct uuid *site,
                                  const struct job_usage *usage)
{
    struct event_job_meter meter = {.job = id->job,
                                    .epoch = id->epoch,
                                    .site = *site,
                                    .ms = usage->ms,
                                    .cpu_ms = usage->cpu_ms,
                                    .energy_mj = usage->energy_mj,
                                    .flags = usage->energy == ENERGY_ESTIMATED ? JOB_METER_ESTIMATED : 0};
    for (uint32_t i = 0; i < usage->chips_count; i++)
        meter.chip_ms += usage->chips[i].chip_ms;
    return meter;
}

struct event_replica_meter site_replica_meter(const struct serve_used *used)
{
    return (struct event_replica_meter){.deployment = used->deployment,
                                        .ordinal = used->ordinal,
                                        .epoch = used->epoch,
                                        .run = used->run,
                                        .energy_mj = used->energy_mj,
                                        .flags = (used->estimated ? JOB_METER_ESTIMATED : 0) |
                                                 (used->final ? JOB_METER_FINAL : 0)};
}

struct event_job_meter site_last_meter(const struct job_id *id, const struct uuid *site,
                                       const struct job_exit *exit)
{
    static const struct job_usage nothing;
    struct event_job_meter meter = site_meter(id, site, exit ? &exit->usage : &nothing);
    meter.flags |= JOB_METER_FINAL | (exit && exit->truncated ? JOB_METER_TRUNCATED : 0);
    return meter;
}

uint64_t site_age_ms(uint64_t wall_ms)
{
    const uint64_t now_ms = (uint64_t)clock_wall_ms();
    return wall_ms > 0 && wall_ms < now_ms ? now_ms - wall_ms : 0;
}

enum job_end site_stop_reason(int code)
{
    switch (code) {
    case ERR_PREEMPTED:
        return JOB_END_PREEMPTED;
    case ERR_CURTAILED:
        return JOB_END_CURTAILED;
    case ERR_DRAINED:
        return JOB_END_DRAINED;
    case ERR_FORBIDDEN:
        return JOB_END_EVICTED;
    default:
        return JOB_END_CANCELLED;
    }
}
