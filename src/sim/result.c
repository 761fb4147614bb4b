/* SPDX-License-Identifier: Apache-2.0 */
/* A simulation's result as JSON. */
#include <string.h>

#include "base/str.h"
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

static void add_eta(struct buf *out, const struct eta_report *e)
{
    uint32_t n = e->asked - e->open;
    buf_addf(out, ",\"eta\":{\"drawn\":%u,\"at_once\":%u,\"asked\":%u,\"not_started\":%u,\"covered\":%u",
             e->drawn, e->at_once, e->asked, e->open, e->covered);
    buf_addf(out, ",\"coverage\":%.4f,\"coverage_raw\":%.4f,\"below\":%u,\"above\":%u",
             n ? (double)e->covered / n : 0.0, n ? (double)e->covered_raw / n : 0.0, e->below, e->above);
    add_seconds(out, "width_p50_s", e->width_ms_p50);
    add_seconds(out, "width_p90_s", e->width_ms_p90);
    add_seconds(out, "wait_p50_s", e->wait_ms_p50);
    add_seconds(out, "error_p50_s", e->error_ms_p50);
    buf_addf(out, ",\"cpu_ms_each\":%.1f}", e->asked ? (double)e->cpu_us / 1e3 / e->asked : 0.0);
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
        buf_addf(out, ",\"drill\":{\"stopped\":%llu,\"placed_again\":%llu,\"last_after_s\":%lld}",
                 (unsigned long long)r->drill_stopped, (unsigned long long)r->drill_placed,
                 (long long)(r->drill_placed_ms / 1000));
    if (options->etas > 0)
        add_eta(out, &r->eta);
    buf_addf(out, ",\"cpu_s\":%.3f,\"wall_s\":%.3f,\"max_rss_kb\":%llu}", (double)r->cpu_us / 1e6,
             (double)r->wall_us / 1e6, (unsigned long long)r->rss_kb);
}
