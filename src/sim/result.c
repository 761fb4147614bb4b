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

static void add_hours(struct buf *out, const char *name, uint64_t ms)
{
    buf_addf(out, ",\"%s\":%.3f", name, (double)ms / 3.6e6);
}

static void add_spread(struct buf *out, const char *name, const uint64_t us[4])
{
    static const char *const of[] = {"p50", "p90", "p99", "max"};
    for (int i = 0; i < 4; i++)
        buf_addf(out, ",\"%s_%s_s\":%.4f", name, of[i], (double)us[i] / 1e6);
}

static void add_services(struct buf *out, const struct sim_result *r)
{
    buf_addf(out, ",\"services\":[");
    for (uint32_t i = 0; i < r->services; i++) {
        const struct serving_sum *s = &r->service[i];
        buf_addf(out, "%s{\"name\":", i > 0 ? "," : "");
        buf_add_json(out, s->name, strlen(s->name));
        buf_addf(out, ",\"requests\":%llu,\"answered\":%llu,\"restarted\":%llu,\"waited_cold\":%llu",
                 (unsigned long long)s->requests, (unsigned long long)s->answered,
                 (unsigned long long)s->restarted, (unsigned long long)s->waited_cold);
        add_spread(out, "ttft", (uint64_t[]){s->ttft_p50_us, s->ttft_p90_us, s->ttft_p99_us, s->ttft_max_us});
        add_spread(out, "end", (uint64_t[]){s->end_p50_us, s->end_p90_us, s->end_p99_us, s->end_max_us});
        buf_addf(out, ",\"queue_max\":%llu,\"cold_starts\":%llu,\"moved\":%llu,\"replicas_max\":%u",
                 (unsigned long long)s->queue_max, (unsigned long long)s->cold_starts,
                 (unsigned long long)s->moved, s->replicas_max);
        buf_addf(out, ",\"tokens_in\":%llu,\"tokens_out\":%llu", (unsigned long long)s->in_tokens,
                 (unsigned long long)s->out_tokens);
        add_hours(out, "replica_hours", s->replica_ms);
        add_hours(out, "warm_hours", s->warm_ms);
        add_hours(out, "ideal_hours", s->ideal_ms);
        buf_addf(out, ",\"replicas_peak\":%u", s->replicas_peak);
        add_hours(out, "peak_hours", s->replicas_peak * (uint64_t)s->span_ms);
        add_seconds(out, "span_s", s->span_ms);
        buf_addf(out, "}");
    }
    buf_addf(out, "]");
}

static void add_flow(struct buf *out, const struct sim_flow *f)
{
    buf_addf(out,
             "\"bytes\":%llu,\"charged\":%.2f,\"energy_kwh\":%.3f,\"energy_cost\":%.2f,\"carbon_kg\":%.3f",
             (unsigned long long)f->bytes, (double)f->nano / 1e9, (double)f->joules / 3.6e6,
             (double)f->power_nano / 1e9, (double)f->mg / 1e6);
}

/* Data that came over corridors. A byte counts at each corridor that it came over. */
static void add_transfers(struct buf *out, const struct sim_result *r)
{
    buf_addf(out, ",\"transfers\":{\"n\":%llu", (unsigned long long)r->transfers);
    add_mean(out, "avg_s_a_job", r->transfer_ms_sum, r->jobs);
    buf_addf(out, ",");
    add_flow(out, &r->flow_sum);
    buf_addf(out, ",\"corridors\":[");
    for (uint32_t i = 0; i < r->nflows; i++) {
        buf_addf(out, "%s{\"a\":\"%s\",\"b\":\"%s\",\"transfers\":%llu,", i ? "," : "", r->flow[i].a,
                 r->flow[i].b, (unsigned long long)r->flow[i].transfers);
        add_flow(out, &r->flow[i]);
        buf_addf(out, "}");
    }
    buf_addf(out, "]}");
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
    buf_addf(out, ",\"cpu_ms_each\":%.1f}", e->asked ? (double)e->cpu_ns / 1e6 / e->asked : 0.0);
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
    if (r->transfers > 0)
        add_transfers(out, r);
    if (options->faults)
        buf_addf(out, ",\"reports\":{\"late\":%llu,\"twice\":%llu,\"lost\":%llu,\"refused\":%llu}",
                 (unsigned long long)r->late, (unsigned long long)r->twice, (unsigned long long)r->lost,
                 (unsigned long long)r->refused);
    buf_addf(out,
             ",\"plan\":\"%s\",\"deferrable\":{\"jobs\":%u,\"started_early\":%u,\"started_at_latest\":%u",
             r->plan, r->deferrable, r->deferrable - r->started_at_latest, r->started_at_latest);
    add_mean(out, "avg_wait_s", r->deferrable_wait_ms_sum, r->deferrable);
    buf_addf(out,
             "},\"plans\":{\"made\":%llu,\"failed\":%llu,\"pivots\":%llu,\"pivots_most\":%llu,\"cpu_ms_"
             "mean\":%.3f,"
             "\"cpu_ms_most\":%.3f}",
             (unsigned long long)r->plans.made, (unsigned long long)r->plans.failed,
             (unsigned long long)r->plans.pivots, (unsigned long long)r->plans.pivots_most,
             r->plans.made ? (double)r->plans.cpu_ns / (double)r->plans.made / 1e6 : 0.0,
             (double)r->plans.cpu_ns_most / 1e6);
    if (options->drills)
        add_drill(out, r);
    if (r->supply.ngroups > 0) {
        buf_add_char(out, ',');
        supply_json(&r->supply, out);
    }
    if (r->services > 0)
        add_services(out, r);
    if (r->standing.n > 0) {
        buf_add_text(out, ",\"models\":");
        standing_json(&r->standing, out);
    }
    if (options->reserve != RESERVE_OFF)
        buf_addf(out, ",\"contingency\":{\"worst_coverage\":%.3f,\"uncovered_h\":%.2f,\"alarms\":%llu}",
                 r->coverage.worst / 1e3, (double)r->coverage.uncovered_ms / 3600e3,
                 (unsigned long long)r->coverage.alarms);
    if (options->etas > 0)
        add_eta(out, &r->eta);
    buf_addf(out, ",\"cpu_s\":%.3f,\"wall_s\":%.3f,\"max_rss_kb\":%llu}", (double)r->cpu_us / 1e6,
             (double)r->wall_us / 1e6, (unsigned long long)r->rss_kb);
}
