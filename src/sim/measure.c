/* SPDX-License-Identifier: Apache-2.0 */
/* What comes out of a simulation. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/running.h"
#include "sim/times.h"

/* From submission to the end; negative: it is not over. */
static int64_t jct_ms(const struct sim *s, uint32_t i)
{
    return s->fate[i].end_ms == 0 ? -1 : s->fate[i].end_ms - s->start_ms - s->demand.job[i].submit_ms;
}

/* `times` holds the waits in order, and is used up. */
static void distribute(struct sim *s, int64_t *times, uint32_t n)
{
    watch_distribute(&s->watch->wait, times, n);
    n = 0;
    for (uint32_t i = 0; i < s->demand.n; i++) {
        int64_t jct = jct_ms(s, i);
        if (jct >= 0)
            times[n++] = jct;
    }
    times_sort(times, n);
    watch_distribute(&s->watch->jct, times, n);
}

static int64_t add_job(const struct sim *s, uint32_t i, int64_t jct, struct sim_result *r)
{
    const struct demand_job *job = &s->demand.job[i];
    const struct fate *fate = &s->fate[i];
    int64_t wait = jct - job->duration_ms - fate->transit_ms;
    r->transfer_ms_sum += fate->transit_ms;
    if (fate->waits) {
        r->deferrable++;
        r->deferrable_wait_ms_sum += wait;
        r->started_at_latest += wait >= s->traits.defer_ms;
    }
    r->jct_ms_sum += jct;
    r->wait_ms_sum += wait;
    r->chip_ms += (uint64_t)job->duration_ms * job->chips;
    return wait;
}

static int measure_jobs(struct sim *s, struct sim_result *r)
{
    int64_t *waits = calloc(s->demand.n + 1u, sizeof *waits);
    int64_t last = 0;
    uint32_t n = 0;
    if (!waits)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < s->demand.n; i++) {
        int64_t jct = jct_ms(s, i);
        if (jct < 0)
            continue;
        waits[n++] = add_job(s, i, jct, r);
        last = s->fate[i].end_ms > last ? s->fate[i].end_ms : last;
    }
    times_sort(waits, n);
    r->jobs = n;
    r->unfinished = s->demand.n - n;
    r->dropped = s->demand.dropped;
    if (n > 0) {
        r->wait_ms_p50 = times_at(waits, n, 50);
        r->wait_ms_p99 = times_at(waits, n, 99);
        r->wait_ms_max = waits[n - 1];
        r->span_ms = last - s->start_ms - s->demand.job[0].submit_ms;
    }
    if (s->watch)
        distribute(s, waits, n);
    free(waits);
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    const struct sim_flow *x = a, *y = b;
    return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static void keep_flow(struct sim_result *r, const struct sim_flow *flow)
{
    if (r->nflows < SIM_FLOWS_MAX) {
        r->flow[r->nflows++] = *flow;
        return;
    }
    qsort(r->flow, r->nflows, sizeof *r->flow, by_bytes);
    if (flow->bytes > r->flow[SIM_FLOWS_MAX - 1].bytes)
        r->flow[SIM_FLOWS_MAX - 1] = *flow;
}

/* What all corridors carried; their power, money and carbon go into the sums. */
static void measure_flows(struct sim_result *r, struct flows *flows, int64_t now_ms)
{
    struct sim_flow *sum = &r->flow_sum;
    for (uint32_t i = 0; i < flows_count(flows); i++) {
        struct flow f = flows_at(flows, i, now_ms);
        struct sim_flow out = {.transfers = f.transfers,
                               .bytes = f.bytes,
                               .joules = f.joules,
                               .mg = f.mg,
                               .nano = f.nano,
                               .power_nano = f.power_nano};
        if (f.transfers == 0)
            continue;
        (void)snprintf(out.a, sizeof out.a, "%s", f.a);
        (void)snprintf(out.b, sizeof out.b, "%s", f.b);
        keep_flow(r, &out);
        sum->transfers += out.transfers;
        sum->bytes += out.bytes;
        sum->joules += out.joules;
        sum->mg += out.mg;
        sum->nano += out.nano;
        sum->power_nano += out.power_nano;
    }
    r->joules += sum->joules;
    r->nano += sum->power_nano;
    r->mg += sum->mg;
}

static void measure_power(struct sim *s, struct sim_result *r)
{
    struct power_sum power = power_total(s->power, s->now_ms);
    r->joules = power.joules;
    r->nano = power.nano;
    r->mg = power.mg;
    r->capacity = power.capacity;
    measure_flows(r, s->flows, s->now_ms);
}

/* From how many steps took how many bits of ns. */
static void measure_steps(struct sim_result *r, const uint64_t bucket[64])
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < 64 && r->events; i++) {
        seen += bucket[i];
        r->step_ns_p99 = UINT64_C(2) << i; /* its upper bound */
        if (seen * 100 >= r->events * 99)
            break;
    }
}

int sim_measure(struct sim *s, struct sim_result *r, struct err *err)
{
    int rc = measure_jobs(s, r);
    if (rc == 0 && s->eta)
        rc = eta_report(s->eta, &r->eta);
    if (rc != 0)
        return err_set(err, rc, "out of memory");
    r->start_ms = s->start_ms;
    r->end_ms = s->now_ms;
    r->plans = planning_total(s->planning);
    serving_end(s->serving, s->now_ms);
    r->services = serving_count(s->serving);
    for (uint32_t i = 0; i < r->services; i++)
        serving_result(s->serving, i, &r->service[i]);
    standing_result(s->standing, &r->standing);
    measure_power(s, r);
    r->drill[0] = outage_figures(&s->outage, false);
    r->drill[1] = outage_figures(&s->outage, true);
    r->coverage = outage_coverage(&s->outage, s->now_ms);
    checker_hash(s->checker, r->hash);
    r->violations = checker_violations(s->checker);
    (void)snprintf(r->violation, sizeof r->violation, "%s", checker_first(s->checker));
    measure_steps(r, s->bucket);
    return 0;
}
