/* SPDX-License-Identifier: Apache-2.0 */
/* The network on virtual time. Needs no hub. */
#include "sim/sim.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/request.h"
#include "sim/demand.h"

#define BAR 40
#define DAY_MS INT64_C(86400000)

static void draw_bar(void *ctx, int64_t done, int64_t all)
{
    (void)ctx;
    int filled = (int)(done * BAR / (all > 0 ? all : 1));
    fprintf(stderr, "\r[%.*s%*s] %3lld %%", filled, "########################################", BAR - filled,
            "", (long long)(done * 100 / (all > 0 ? all : 1)));
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
           e->drawn, e->at_once, e->asked ? (double)e->cpu_us / 1e3 / e->asked : 0.0);
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
    if (o->drills)
        printf("drill        %llu jobs stopped, %llu of them placed again, the last after %.0f s\n",
               (unsigned long long)r->drill_stopped, (unsigned long long)r->drill_placed,
               (double)r->drill_placed_ms / 1e3);
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

/* A whole number of days as ms. */
static int read_days(const struct cli *cli, const char *name, int64_t *ms)
{
    uint32_t days = 0;
    int rc = cli_count(cli, name, &days);
    *ms = (int64_t)days * DAY_MS;
    return rc;
}

static int read_numbers(const struct cli *cli, struct sim_options *o)
{
    uint32_t ageing = 0, seed = 1, carbon = 0;
    if (cli_count(cli, "chips-per-node", &o->node_chips) != 0 || cli_count(cli, "ageing", &ageing) != 0 ||
        cli_count(cli, "copies", &o->copies) != 0 || cli_count(cli, "seed", &seed) != 0 ||
        cli_count(cli, "eta", &o->etas) != 0 || cli_count(cli, "carbon-price", &carbon) != 0 ||
        read_days(cli, "days", &o->length_ms) != 0 || read_days(cli, "until", &o->until_ms) != 0)
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

static int read_options(const struct cli *cli, struct sim_options *o)
{
    *o = (struct sim_options){.trace = cli_option(cli, "trace"),
                              .pools = cli_option(cli, "pools"),
                              .network = cli_option(cli, "network"),
                              .policy = cli_option(cli, "policy"),
                              .drills = cli_option(cli, "drill"),
                              .traits = cli_option(cli, "traits"),
                              .durations = cli_option(cli, "durations"),
                              .tenants = cli_option(cli, "tenants"),
                              .free = cli_option(cli, "free") != NULL,
                              .faults = cli_option(cli, "faults") != NULL,
                              .node_chips = 8,
                              .copies = 1,
                              .ageing_given = cli_option(cli, "ageing") != NULL};
    if (!o->policy)
        o->policy = "busbar";
    if (!o->trace || !o->pools == !o->network) {
        fprintf(stderr, "busbar: sim needs --trace FILE, and --network FILE or --pools FILE\n");
        return CLI_USAGE;
    }
    if (o->free && !o->pools) {
        fprintf(stderr, "busbar: --free goes with --pools; in a network jobs are free already\n");
        return CLI_USAGE;
    }
    if (isatty(STDERR_FILENO) && !cli->json)
        o->progress = draw_bar;
    return read_numbers(cli, o);
}

int cli_sim(const struct cli *cli)
{
    struct sim_options options;
    struct sim_result result;
    struct err err = {0};
    int rc = read_options(cli, &options);
    if (rc != CLI_OK)
        return rc;
    rc = sim_run(&options, &result, &err);
    if (options.progress)
        fprintf(stderr, "\r%*s\r", BAR + 10, "");
    if (rc != 0) {
        fprintf(stderr, "busbar: %s\n", err.msg);
        return rc == ERR_INVALID ? CLI_USAGE : rc == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_FAILED;
    }
    int status = result.violations ? CLI_FAILED : CLI_OK;
    if (!cli->json) {
        print_result(&options, &result);
        return status;
    }
    struct buf out;
    buf_init(&out, 65536);
    sim_result_json(&options, &result, &out);
    printf("%.*s\n", (int)out.len, out.data);
    buf_fini(&out);
    return status;
}
