/* SPDX-License-Identifier: Apache-2.0 */
/* The foot: everything that this run is made from, to have it again, what it decided and what it cost. */
#include "base/clock.h"
#include "base/str.h"
#include "core/kinds.h"
#include "sim/duration.h"
#include "sim/report_parts.h"

static void foot_line(const struct report *r, const char *name, const char *value)
{
    if (!value)
        return;
    buf_addf(r->out, "<dt>%s</dt><dd><code>", name);
    chart_text(r->out, value);
    buf_add_text(r->out, "</code></dd>\n");
}

static void foot_count(const struct report *r, const char *name, uint64_t value)
{
    buf_addf(r->out, "<dt>%s</dt><dd><data id=\"%s\" value=\"%llu\">", name, name, (unsigned long long)value);
    chart_count(r->out, value);
    buf_add_text(r->out, "</data></dd>\n");
}

/* ---- options ---- */

static void add_words(const struct report *r)
{
#define WORD(name, number, text) [number] = (text),
    static const char *const preempts[] = {DISPATCH_PREEMPTS(WORD)};
    static const char *const reserves[] = {DISPATCH_RESERVES(WORD)};
#undef WORD
    const struct sim_options *o = r->options;
    buf_addf(r->out, "%s, preempt %s, reserve %s, plan %s", o->policy, preempts[o->preempt],
             reserves[o->reserve], r->result->plan);
    buf_addf(r->out, ", durations %s, tenants %s", o->durations ? o->durations : "exact",
             o->tenants ? o->tenants : "trace");
    if (o->faults)
        buf_add_text(r->out, ", with faults");
    if (o->zones)
        buf_add_text(r->out, ", time zones");
    if (o->free)
        buf_add_text(r->out, ", free");
}

/* Those that were given, but for seed and copies. */
static void add_numbers(const struct report *r)
{
    const struct sim_options *o = r->options;
    const struct {
        const char *name;
        uint64_t value;
        bool given;
    } all[] = {{"seed", o->seed, true},
               {"copies", o->copies, true},
               {"days", (uint64_t)(o->length_ms / DAY_MS), o->length_ms > 0},
               {"chips-per-node", o->node_chips, o->pools != NULL},
               {"ageing", o->ageing, o->ageing_given},
               {"carbon-price", (uint64_t)(o->carbon_price / 1000000), o->carbon_price > 0},
               {"plan-every, minutes", (uint64_t)(o->plan_every_ms / 60000), o->plan_every_ms > 0},
               {"eta", o->etas, o->etas > 0}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].given)
            buf_addf(r->out, ", %s %llu", all[i].name, (unsigned long long)all[i].value);
    }
}

static void add_period(const struct report *r)
{
    const struct sim_options *o = r->options;
    char from[25], to[25];
    clock_format(from, r->result->start_ms);
    clock_format(to, r->result->end_ms);
    if (r->calendar)
        buf_addf(r->out, ", from %s", from);
    else
        buf_add_text(r->out, "; times count from the trace's origin");
    if (o->until_ms || o->until_at_ms)
        buf_addf(r->out, ", until %s", to);
}

static void add_options(const struct report *r)
{
    const struct sim_options *o = r->options;
    foot_line(r, "network", o->network);
    foot_line(r, "pools", o->pools);
    foot_line(r, "trace", o->trace);
    foot_line(r, "requests", o->requests);
    buf_add_text(r->out, "<dt>options</dt><dd><code>");
    add_words(r);
    add_numbers(r);
    add_period(r);
    buf_add_text(r->out, "</code></dd>\n");
    foot_line(r, "drills", o->drills);
    foot_line(r, "traits", o->traits);
    foot_line(r, "serve", o->serve);
    foot_line(r, "rules", o->rules);
}

/* ---- all of it ---- */

void report_foot(const struct report *r)
{
    const struct sim_result *s = r->result;
    char hash[2 * DIGEST_LEN + 1];
    hex_encode(hash, s->hash, DIGEST_LEN);
    buf_add_text(r->out, "<footer>\n<p>The same options and the same seed give the same decisions, byte for "
                         "byte.</p>\n<dl>\n");
    foot_line(r, "version", "busbar " BUSBAR_VERSION);
    add_options(r);
    foot_count(r, "starts", s->starts);
    foot_count(r, "stops", s->stops);
    foot_count(r, "events", s->events);
    buf_addf(r->out, "<dt>decisions, SHA-256</dt><dd><code id=\"decisions_sha256\">%s</code></dd>\n", hash);
    buf_addf(r->out,
             "<dt>cost</dt><dd><code>%.2f s of CPU, %llu MiB; a step of the core %.2f us on average"
             "</code></dd>\n",
             (double)s->cpu_us / 1e6, (unsigned long long)s->rss_kb / 1024,
             s->events ? (double)s->step_ns_sum / (double)s->events / 1e3 : 0.0);
    if (r->rec->failed)
        foot_line(r, "incomplete", "there was no memory for some of the series");
    buf_add_text(r->out, "</dl>\n</footer>\n");
}
