/* SPDX-License-Identifier: Apache-2.0 */
/* The network on virtual time. Needs no hub. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/recipes.h"
#include "cli/request.h"
#include "core/kinds.h"
#include "network/decimal.h"
#include "sim/demand.h"
#include "sim/duration.h"
#include "sim/option.h"

#define BAR 40

static void draw_bar(void *ctx, int64_t done, int64_t all)
{
    (void)ctx;
    int filled = (int)(done * BAR / (all > 0 ? all : 1));
    fprintf(stderr, "\r[%.*s%*s] %3lld %%", filled, "########################################", BAR - filled,
            "", (long long)(done * 100 / (all > 0 ? all : 1)));
}

/* "4.2 % by chips, 3.1 % by gflops, 9.2 of 97.5 PFLOPS". */
static void print_share(const struct supply_share *s)
{
    printf("%.1f %% by chips, %.1f %% by gflops, %.1f of %.1f PFLOPS\n", 100 * supply_by_chips(s),
           100 * supply_by_gflops(s), (double)s->own_gflops / 1e6, (double)s->gflops / 1e6);
}

static void print_supply(const struct supply *s)
{
    for (uint32_t i = 0; i < s->ngoals; i++) {
        const struct supply_goal *goal = &s->goal[i];
        const struct supply_group *g = supply_of(s, goal->jurisdiction);
        const char *name = goal->jurisdiction[0] ? goal->jurisdiction : "network";
        char by[25], met[25];
        if (!g)
            continue;
        clock_format(by, goal->by_ms);
        clock_format(met, goal->met_ms);
        printf("self-supply  %s at the start: ", name);
        print_share(&g->first);
        printf("             target %.1f %% by %s until %.10s: ", goal->target / 10.0,
               goal->by_gflops ? "gflops" : "chips", by);
        if (goal->met_ms) {
            printf("met in %.7s with ", met);
            print_share(&goal->met);
        } else {
            printf("not met, in the end ");
            print_share(&g->now);
        }
    }
}

static void print_service(const struct serving_sum *s)
{
    double ran = (double)s->replica_ms / 3.6e6, peak = (double)s->replicas_peak * (double)s->span_ms / 3.6e6;
    printf("service      %s: %llu requests (%llu not answered), %.1f M tokens in, %.1f M out\n", s->name,
           (unsigned long long)s->requests, (unsigned long long)(s->requests - s->answered),
           (double)s->in_tokens / 1e6, (double)s->out_tokens / 1e6);
    printf(
        "  first      median %.2f s, 90 %% %.2f, 99 %% %.2f, worst %.1f; last: median %.1f s, 99 %% %.1f\n",
        (double)s->ttft_p50_us / 1e6, (double)s->ttft_p90_us / 1e6, (double)s->ttft_p99_us / 1e6,
        (double)s->ttft_max_us / 1e6, (double)s->end_p50_us / 1e6, (double)s->end_p99_us / 1e6);
    printf("  waited     %llu came when nothing served, %llu began anew, at most %llu in the queue\n",
           (unsigned long long)s->waited_cold, (unsigned long long)s->restarted,
           (unsigned long long)s->queue_max);
    printf(
        "  replicas   %.1f h, at most %u; always full: %.1f h; always the %u of the busiest minute: %.1f h; "
        "%llu cold starts, %llu of them elsewhere after a stop\n",
        ran, s->replicas_max, (double)s->ideal_ms / 3.6e6, s->replicas_peak, peak,
        (unsigned long long)s->cold_starts, (unsigned long long)s->moved);
}

static void print_after(const char *what, int64_t ms)
{
    if (ms < 0)
        printf(", %s not", what);
    else
        printf(", %s after %.0f s", what, (double)ms / 1e3);
}

static void print_drill(const char *kind, const struct outage_figures *f)
{
    double chips = f->stopped_chips ? (double)f->stopped_chips : 1;
    printf("drill        %s: %llu jobs with %llu chips stopped, %.1f %% of the chips ran again", kind,
           (unsigned long long)f->stopped, (unsigned long long)f->stopped_chips,
           f->stopped_chips ? 100.0 * (double)f->again_chips / chips : 100.0);
    if (f->stopped > 0) {
        print_after("half of them", f->half_ms);
        print_after("95 %", f->most_ms);
        print_after("the last", f->last_ms);
    }
    printf("; %llu jobs wait\n", (unsigned long long)(f->stopped - f->again));
}

static void print_eta(const struct eta_report *e)
{
    double n = e->asked > e->open ? (double)(e->asked - e->open) : 1;
    printf("eta          %.1f %% of %u jobs that waited started within the 80 %% interval (%u before, %u "
           "after; %.1f %% within "
           "that of the runs alone)\n",
           100.0 * e->covered / n, e->asked - e->open, e->below, e->above, 100.0 * e->covered_raw / n);
    printf("             half of the intervals are at most %.0f s wide, nine tenths %.0f s; waits: median "
           "%.0f s, off the middle "
           "by %.0f s\n",
           (double)e->width_ms_p50 / 1e3, (double)e->width_ms_p90 / 1e3, (double)e->wait_ms_p50 / 1e3,
           (double)e->error_ms_p50 / 1e3);
    printf("             of %u jobs drawn at random %u started at once; %.0f ms of CPU each that was asked "
           "for\n",
           e->drawn, e->at_once, e->asked ? (double)e->cpu_ns / 1e6 / e->asked : 0.0);
}

static void print_result(const struct sim_options *o, const struct sim_result *r)
{
    double n = r->jobs ? (double)r->jobs : 1;
    printf("policy       %s\njobs         %u (%u not finished, %u without chips left out)\n", o->policy,
           r->jobs, r->unfinished, r->dropped);
    printf("mean JCT     %.2f s\nmean wait    %.2f s (median %.0f, p99 %.0f, worst %.0f)\n",
           (double)r->jct_ms_sum / n / 1e3, (double)r->wait_ms_sum / n / 1e3, (double)r->wait_ms_p50 / 1e3,
           (double)r->wait_ms_p99 / 1e3, (double)r->wait_ms_max / 1e3);
    double whole = (double)r->capacity * (double)r->span_ms;
    printf("utilisation  %.1f %% of %llu chips over %.1f days\n",
           whole > 0 ? 100.0 * (double)r->chip_ms / whole : 0.0, (unsigned long long)r->capacity,
           (double)r->span_ms / 86400e3);
    printf("power        %.1f MWh for %.0f, %.1f t CO2e\n", (double)r->joules / 3.6e9, (double)r->nano / 1e9,
           (double)r->mg / 1e9);
    if (r->transfers > 0)
        printf("data         %llu transfers, %.1f TB over %u corridors, each counted, for %.0f; %.1f MWh and "
               "%.1f t CO2e, in those above; a job holds chips for %.1f s while it comes\n",
               (unsigned long long)r->transfers, (double)r->flow_sum.bytes / 1e12, r->nflows,
               (double)r->flow_sum.nano / 1e9, (double)r->flow_sum.joules / 3.6e9,
               (double)r->flow_sum.mg / 1e9, (double)r->transfer_ms_sum / n / 1e3);
    if (r->deferrable > 0)
        printf(
            "can wait     %u jobs, plan %s; mean wait %.2f h, %u started early, %u at their latest start\n",
            r->deferrable, r->plan, (double)r->deferrable_wait_ms_sum / (double)r->deferrable / 3600e3,
            r->deferrable - r->started_at_latest, r->started_at_latest);
    if (r->plans.made > 0)
        printf("plans        %llu (%llu failed), %.1f pivots and %.2f ms of CPU each, at most %.2f ms\n",
               (unsigned long long)r->plans.made, (unsigned long long)r->plans.failed,
               (double)r->plans.pivots / (double)r->plans.made,
               (double)r->plans.cpu_ns / (double)r->plans.made / 1e6, (double)r->plans.cpu_ns_most / 1e6);
    print_supply(&r->supply);
    for (uint32_t i = 0; i < r->services; i++)
        print_service(&r->service[i]);
    if (o->drills) {
        print_drill("firm", &r->drill[1]);
        print_drill("interruptible", &r->drill[0]);
    }
    if (o->reserve != RESERVE_OFF)
        printf("contingency  %.1f %% of firm work could be placed again after the worst loss; %.1f h "
               "uncovered, %llu alarms\n",
               r->coverage.worst / 10.0, (double)r->coverage.uncovered_ms / 3600e3,
               (unsigned long long)r->coverage.alarms);
    if (o->etas > 0)
        print_eta(&r->eta);
    printf("decisions    %llu starts, %llu stops; a step takes %.2f us, 99 %% of them less than %.1f us\n",
           (unsigned long long)r->starts, (unsigned long long)r->stops,
           r->events ? (double)r->step_ns_sum / (double)r->events / 1e3 : 0.0, (double)r->step_ns_p99 / 1e3);
    printf("checked      %llu violations%s%s\n", (unsigned long long)r->violations, r->violations ? "; " : "",
           r->violation);
    printf("cost         %.2f s of CPU, %.2f s, %llu MiB\n", (double)r->cpu_us / 1e6,
           (double)r->wall_us / 1e6, (unsigned long long)r->rss_kb / 1024);
}

/* A length of time; a bare number are days. */
static bool read_span(const char *text, int64_t *ms)
{
    uint64_t days;
    if (u64_parse(text, strlen(text), DURATION_MAX_MS / DAY_MS, &days))
        *ms = (int64_t)days * DAY_MS;
    else if (!duration_read(text, strlen(text), ms))
        return false;
    return *ms > 0 && *ms <= TRACE_TIME_MS_MAX;
}

/* False: it is none, or 1970 began with it, which stands for "not given". */
static bool read_date(const char *text, int64_t *ms)
{
    return date_parse(text, strlen(text), ms) && *ms > 0;
}

/* --start DATE, --until SPAN or DATE. */
static int read_period(const struct cli *cli, struct sim_options *o)
{
    const char *start = cli_option(cli, "start"), *until = cli_option(cli, "until");
    if (start && !read_date(start, &o->start_ms)) {
        fprintf(stderr, "busbar: --start: expected a date as 2026-01-01 or 2026-01-01T06:30:00Z, got %s\n",
                start);
        return CLI_USAGE;
    }
    if (until && !read_span(until, &o->until_ms) && !read_date(until, &o->until_at_ms)) {
        fprintf(stderr,
                "busbar: --until: expected a time as 36h, 30d or 3y, or a date as 2029-01-01, got %s\n",
                until);
        return CLI_USAGE;
    }
    return CLI_OK;
}

/* A whole number of days as ms. */
static int read_days(const struct cli *cli, const char *name, int64_t *ms)
{
    uint32_t days = 0;
    int rc = cli_count(cli, name, &days);
    *ms = (int64_t)days * DAY_MS;
    if (rc == CLI_OK && *ms > TRACE_TIME_MS_MAX) {
        fprintf(stderr, "busbar: --%s: at most %u\n", name, (unsigned)(TRACE_TIME_MS_MAX / DAY_MS));
        return CLI_USAGE;
    }
    return rc;
}

/* --plan-every TIME: a quarter of an hour to a day. */
static int read_every(const struct cli *cli, int64_t *ms)
{
    const char *text = cli_option(cli, "plan-every");
    if (!text || (duration_read(text, strlen(text), ms) && *ms >= HOUR_MS / 4 && *ms <= DAY_MS))
        return CLI_OK;
    fprintf(stderr, "busbar: --plan-every: expected a time from 15m to 24h, got %s\n", text);
    return CLI_USAGE;
}

static int read_numbers(const struct cli *cli, struct sim_options *o)
{
    uint32_t ageing = 0, seed = 1, carbon = 0;
    if (cli_count(cli, "chips-per-node", &o->node_chips) != 0 || cli_count(cli, "ageing", &ageing) != 0 ||
        cli_count(cli, "copies", &o->copies) != 0 || cli_count(cli, "seed", &seed) != 0 ||
        cli_count(cli, "eta", &o->etas) != 0 || cli_count(cli, "carbon-price", &carbon) != 0 ||
        read_days(cli, "days", &o->length_ms) != 0 || read_period(cli, o) != 0)
        return CLI_USAGE;
    o->ageing = ageing;
    o->seed = seed;
    o->carbon_price = (int64_t)carbon * 1000000; /* a tonne in units is a kg in thousandths of one */
    if (o->node_chips == 0 || o->node_chips > 16) {
        fprintf(stderr, "busbar: --chips-per-node: 1 to 16\n");
        return CLI_USAGE;
    }
    if (o->etas > ETA_ASKS_MAX) {
        fprintf(stderr, "busbar: --eta: at most %u\n", ETA_ASKS_MAX);
        return CLI_USAGE;
    }
    if (o->copies == 0 || o->copies > DEMAND_COPIES_MAX) {
        fprintf(stderr, "busbar: --copies: 1 to %u\n", DEMAND_COPIES_MAX);
        return CLI_USAGE;
    }
    return CLI_OK;
}

static int read_words(const struct cli *cli, struct sim_options *o)
{
#define WORD(name, number, text) [number] = (text),
    static const char *const preempts[] = {DISPATCH_PREEMPTS(WORD) NULL};
    static const char *const reserves[] = {DISPATCH_RESERVES(WORD) NULL};
#undef WORD
    o->preempt = PREEMPT_FIRM;
    o->reserve = o->network ? RESERVE_TELL : RESERVE_OFF; /* pools that are isolated have nowhere to go */
    struct err err = {0};
    if (option_word("--preempt", cli_option(cli, "preempt"), preempts, &o->preempt, &err) == 0 &&
        option_word("--reserve", cli_option(cli, "reserve"), reserves, &o->reserve, &err) == 0)
        return CLI_OK;
    fprintf(stderr, "busbar: %s\n", err.msg);
    return CLI_USAGE;
}

/* Options that say more of another one: alone they would say nothing. */
static int check_needs(const struct cli *cli)
{
    static const struct {
        const char *option, *needs;
    } all[] = {{"copies", "trace"},        {"traits", "trace"},
               {"durations", "trace"},     {"tenants", "trace"},
               {"eta", "trace"},           {"serve", "requests"},
               {"time-zones", "requests"}, {"chips-per-node", "pools"},
               {"free", "pools"},          {"faults", "network"},
               {"drill", "network"},       {"standing", "network"},
               {"share", "standing"},      {"replicas", "standing"}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (!cli_option(cli, all[i].option) || cli_option(cli, all[i].needs))
            continue;
        fprintf(stderr, "busbar: --%s goes with --%s\n", all[i].option, all[i].needs);
        return CLI_USAGE;
    }
    return CLI_OK;
}

static int read_options(const struct cli *cli, struct sim_options *o)
{
    *o = (struct sim_options){.trace = cli_option(cli, "trace"),
                              .pools = cli_option(cli, "pools"),
                              .network = cli_option(cli, "network"),
                              .policy = cli_option(cli, "policy"),
                              .report = cli_option(cli, "report"),
                              .drills = cli_option(cli, "drill"),
                              .traits = cli_option(cli, "traits"),
                              .rules = cli_option(cli, "rules"),
                              .requests = cli_option(cli, "requests"),
                              .serve = cli_option(cli, "serve"),
                              .zones = cli_option(cli, "time-zones") != NULL,
                              .plan = cli_option(cli, "plan"),
                              .durations = cli_option(cli, "durations"),
                              .tenants = cli_option(cli, "tenants"),
                              .free = cli_option(cli, "free") != NULL,
                              .faults = cli_option(cli, "faults") != NULL,
                              .node_chips = 8,
                              .copies = 1,
                              .ageing_given = cli_option(cli, "ageing") != NULL};
    if (!o->policy)
        o->policy = "busbar";
    if ((!o->trace && !o->requests && !o->network) || !o->pools == !o->network) {
        fprintf(stderr,
                "busbar: sim needs --network FILE, or --pools FILE and --trace FILE or --requests FILE\n");
        return CLI_USAGE;
    }
    if (isatty(STDERR_FILENO) && !cli->json)
        o->progress = draw_bar;
    int rc = check_needs(cli);
    if (rc == CLI_OK)
        rc = read_words(cli, o);
    if (rc == CLI_OK)
        rc = read_every(cli, &o->plan_every_ms);
    return rc == CLI_OK ? read_numbers(cli, o) : rc;
}

/* --standing MODELS: services of the line-up that `busbar model without` has (network/lineup.h). */
static int read_standing(struct recipe_case *rc, const struct cli *cli, struct event_service_set *set,
                         struct sim_options *o)
{
    const char *models = cli_option(cli, "standing");
    if (!models)
        return CLI_OK;
    int status = recipe_open(rc, cli, true);
    if (status == CLI_OK)
        status = recipe_models_of(rc, models);
    if (status == CLI_OK)
        status = recipe_lineup(rc, cli);
    if (status == CLI_OK)
        recipe_services(rc, set, &o->nstanding);
    o->standing = set;
    return status;
}

static int run(const struct cli *cli, struct sim_options *options, struct sim_result *result, struct err *err)
{
    struct recipe_case *rc = calloc(1, sizeof *rc);
    struct event_service_set *set = calloc(LINEUP_MAX, sizeof *set);
    int status = rc && set ? read_standing(rc, cli, set, options) : CLI_FAILED;
    if (status == CLI_OK) {
        int ran = sim_run(options, result, err);
        status = ran == 0               ? CLI_OK
                 : ran == ERR_INVALID   ? CLI_USAGE
                 : ran == ERR_NOT_FOUND ? CLI_NOT_FOUND
                                        : CLI_FAILED;
    }
    if (rc)
        recipe_close(rc);
    free(rc);
    free(set);
    return status;
}

int cli_sim(const struct cli *cli)
{
    struct sim_options options;
    struct sim_result result;
    struct err err = {0};
    int rc = read_options(cli, &options);
    if (rc != CLI_OK)
        return rc;
    rc = run(cli, &options, &result, &err);
    if (options.progress)
        fprintf(stderr, "\r%*s\r", BAR + 10, "");
    if (rc != CLI_OK) {
        if (err.msg[0])
            fprintf(stderr, "busbar: %s\n", err.msg);
        return rc;
    }
    int status = result.violations ? CLI_FAILED : CLI_OK;
    if (options.report)
        fprintf(stderr, "report: %s\n", options.report);
    if (!cli->json) {
        print_result(&options, &result);
        return status;
    }
    struct buf out;
    buf_init(&out, 1 << 20);
    sim_result_json(&options, &result, &out);
    printf("%.*s\n", (int)out.len, out.data);
    buf_fini(&out);
    return status;
}
