/* SPDX-License-Identifier: Apache-2.0 */
/* What comes out of a simulation. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/running.h"

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* `times` holds the waits in order, and is used up. */
static void distribute(struct sim *s, int64_t *times, uint32_t n)
{
    watch_distribute(&s->watch->wait, times, n);
    n = 0;
    for (uint32_t i = 0; i < s->demand.n; i++) {
        if (s->fate[i].end_ms != 0)
            times[n++] = s->fate[i].end_ms - s->start_ms - s->demand.job[i].submit_ms;
    }
    qsort(times, n, sizeof *times, by_size);
    watch_distribute(&s->watch->jct, times, n);
}

int sim_measure(struct sim *s, struct sim_result *r, struct err *err)
{
    int64_t *waits = calloc(s->demand.n + 1u, sizeof *waits);
    int64_t last = 0;
    uint32_t n = 0;
    if (!waits)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i < s->demand.n; i++) {
        const struct demand_job *job = &s->demand.job[i];
        if (s->fate[i].end_ms == 0)
            continue;
        int64_t jct = s->fate[i].end_ms - s->start_ms - job->submit_ms;
        waits[n] = jct - job->duration_ms - s->fate[i].transit_ms;
        r->transfer_ms_sum += s->fate[i].transit_ms;
        if (s->fate[i].waits) {
            r->deferrable++;
            r->deferrable_wait_ms_sum += waits[n];
            r->started_at_latest += waits[n] >= s->traits.defer_ms;
        }
        r->jct_ms_sum += jct;
        r->wait_ms_sum += waits[n++];
        r->chip_ms += (uint64_t)job->duration_ms * job->chips;
        last = s->fate[i].end_ms > last ? s->fate[i].end_ms : last;
    }
    qsort(waits, n, sizeof *waits, by_size);
    if (n > 0) {
        r->wait_ms_p50 = waits[n / 2];
        r->wait_ms_p99 = waits[(uint64_t)n * 99 / 100];
        r->wait_ms_max = waits[n - 1];
        r->span_ms = last - s->start_ms - s->demand.job[0].submit_ms;
    }
    if (s->watch)
        distribute(s, waits, n);
    free(waits);
    r->start_ms = s->start_ms;
    r->end_ms = s->now_ms;
    struct planning_sum plans = planning_total(s->planning);
    r->plans = plans.plans;
    r->plans_failed = plans.failed;
    r->plan_pivots = plans.pivots;
    r->plan_pivots_most = plans.pivots_most;
    r->plan_cpu_ns = plans.cpu_ns;
    r->plan_cpu_ns_most = plans.cpu_ns_most;
    struct power_sum power = power_total(s->power, s->now_ms);
    serving_end(s->serving, s->now_ms);
    r->services = serving_count(s->serving);
    for (uint32_t i = 0; i < r->services; i++)
        serving_result(s->serving, i, &r->service[i]);
    r->joules = power.joules;
    r->nano = power.nano;
    r->mg = power.mg;
    r->capacity = power.capacity;
    sim_result_flows(r, s->flows, s->now_ms);
    r->drill[0] = outage_figures(&s->outage, false);
    r->drill[1] = outage_figures(&s->outage, true);
    r->coverage = outage_coverage(&s->outage, s->now_ms);
    checker_hash(s->checker, r->hash);
    r->violations = checker_violations(s->checker);
    (void)snprintf(r->violation, sizeof r->violation, "%s", checker_first(s->checker));
    r->jobs = n;
    r->unfinished = s->demand.n - n;
    r->dropped = s->demand.dropped;
    sim_result_steps(r, s->bucket);
    if (s->eta)
        eta_report(s->eta, &r->eta);
    return 0;
}
