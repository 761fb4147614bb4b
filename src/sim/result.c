/* SPDX-License-Identifier: Apache-2.0 */
/* A simulation's result as JSON. */
#include <string.h>

#include "base/str.h"
#include "core/kinds.h"
#include "sim/sim.h"

/* `sum` ms over n jobs as seconds with six decimals, rounded half up. */
static void add_mean(struct buf *out, const char *name, int64_t sum, uint32_t n)
{
    int64_t us = n ? (sum * 1000 + n / 2) / n : 0;
    buf_addf(out, ",\"%s\":%lld.%06lld", name, (long long)(us / 1000000), (long long)(us % 1000000));
}

static void add_seconds(struct buf *out, const char *name, int64_t ms)
{
    buf_addf(out, ",\"%s\":%lld.%03lld", name, (long long)(ms / 1000), (long long)(ms % 1000));
}

/* -1: so much did not run again. */
static void add_when(struct buf *out, const char *name, int64_t ms)
{
    if (ms < 0)
        buf_addf(out, ",\"%s\":null", name);
    else
        add_seconds(out, name, ms);
}

static void add_outage(struct buf *out, const char *name, const struct outage_figures *f)
{
    buf_addf(out, ",\"%s\":{\"stopped\":%llu,\"stopped_chips\":%llu,\"placed_again\":%llu", name,
             (unsigned long long)f->stopped, (unsigned long long)f->stopped_chips,
             (unsigned long long)f->again);
    buf_addf(out, ",\"placed_again_chips\":%llu,\"waits\":%llu,\"waits_chips\":%llu",
             (unsigned long long)f->again_chips, (unsigned long long)(f->stopped - f->again),
             (unsigned long long)(f->stopped_chips - f->again_chips));
    add_when(out, "half_after_s", f->half_ms);
    add_when(out, "most_after_s", f->most_ms);
    add_when(out, "last_after_s", f->last_ms);
    buf_addf(out, "}");
}

static void add_drill(struct buf *out, const struct sim_result *r)
{
    int64_t last = r->drill[0].last_ms > r->drill[1].last_ms ? r->drill[0].last_ms : r->drill[1].last_ms;
    buf_addf(out, ",\"drill\":{\"stopped\":%llu,\"placed_again\":%llu,\"last_after_s\":%lld",
             (unsigned long long)(r->drill[0].stopped + r->drill[1].stopped),
             (unsigned long long)(r->drill[0].again + r->drill[1].again),
             (long long)(last > 0 ? last / 1000 : 0));
    add_outage(out, "firm", &r->drill[1]);
    add_outage(out, "interruptible", &r->drill[0]);
    buf_addf(out, "}");
}

void sim_result_json(const struct sim_options *options, const struct sim_result *r, struct buf *out)
{
    buf_addf(out, "{\"policy\":\"%s\",\"jobs\":%u,\"unfinished\":%u,\"dropped\":%u", options->policy, r->jobs,
             r->unfinished, r->dropped);
    add_mean(out, "avg_jct_s", r->jct_ms_sum, r->jobs);
    add_mean(out, "avg_queue_s", r->wait_ms_sum, r->jobs);
    add_seconds(out, "queue_p50_s", r->wait_ms_p50);
    add_seconds(out, "queue_p99_s", r->wait_ms_p99);
    add_seconds(out, "queue_max_s", r->wait_ms_max);
    add_seconds(out, "span_s", r->span_ms);
    char hash[2 * DIGEST_LEN + 1];
    hex_encode(hash, r->hash, DIGEST_LEN);
    buf_addf(out, ",\"decisions_sha256\":\"%s\",\"violations\":%llu,\"violation\":", hash,
             (unsigned long long)r->violations);
    buf_add_json(out, r->violation, strlen(r->violation));
    uint64_t whole = r->capacity * (uint64_t)(r->span_ms > 0 ? r->span_ms : 1);
    buf_addf(out, ",\"utilisation\":%.4f", whole ? (double)r->chip_ms / (double)whole : 0.0);
    buf_addf(out, ",\"events\":%llu,\"passes\":%llu,\"starts\":%llu,\"stops\":%llu",
             (unsigned long long)r->events, (unsigned long long)r->passes, (unsigned long long)r->starts,
             (unsigned long long)r->stops);
    buf_addf(out, ",\"step_ns_mean\":%llu,\"step_ns_p99\":%llu,\"step_ns_max\":%llu",
             (unsigned long long)(r->events ? r->step_ns_sum / r->events : 0),
             (unsigned long long)r->step_ns_p99, (unsigned long long)r->step_ns_max);
    buf_addf(out, ",\"energy_kwh\":%llu,\"energy_cost\":%.2f,\"carbon_kg\":%llu",
             (unsigned long long)(r->joules / 3600000), (double)r->nano / 1e9,
             (unsigned long long)(r->mg / 1000000));
    if (options->drills)
        add_drill(out, r);
    if (options->reserve != RESERVE_OFF)
        buf_addf(out, ",\"contingency\":{\"worst_coverage\":%.3f,\"uncovered_h\":%.2f,\"alarms\":%llu}",
                 r->coverage.worst / 1e3, (double)r->coverage.uncovered_ms / 3600e3,
                 (unsigned long long)r->coverage.alarms);
    buf_addf(out, ",\"cpu_s\":%.3f,\"wall_s\":%.3f,\"max_rss_kb\":%llu}", (double)r->cpu_us / 1e6,
             (double)r->wall_us / 1e6, (unsigned long long)r->rss_kb);
}
