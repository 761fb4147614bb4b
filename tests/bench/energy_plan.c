/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A year of work that can wait, planned anew each hour by core/merit from a forecast, and what it really cost then.
 *
 * usage: energy_plan CARBON.csv[.zst] PRICE.csv[.zst] [NAME=NUMBER]... < SITES (energy_series.h)
 *
 *   power, carbon     what a plan is to make least: power x price + carbon x its price (USD a tonne); carbon=1 power=0
 *   window            hours from its arrival in which work may be done; 1 is the fast loop alone: now, at the cheapest site
 *   ahead             hours of arrivals still to come that a plan provides for
 *   foresight         0: the same hour of the day before. 1: what will be. 2: the means of the year (a static rank).
 *   greedy            1: the greedy merit order, not improved
 *   load, wait, usable  thousandths of capacity: work that cannot move, work that can, what may be used
 *   delay             nano-USD a kWh for each hour that work waits, in plans alone: it decides between equals
 *   priced            1: only sites whose zone has prices too; all others have carbon at least
 *   every             each so many hours the plan's problem is written to `plan-HOUR` here, its cost printed (0: never)
 *
 * The value of the hour that begins is known, as it is to the fast loop. Prints one JSON object: kWh at the
 * machines, kg CO2e and USD of the work that cannot move, of the other where and when it comes (`home`), and as planned.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/merit.h"
#include "energy_series.h"

#define HOURS_MAX 96u                    /* of a plan */
#define WINDOW_MAX 48u                   /* of work */
#define FIRST 24u                        /* the first day is only a forecast */
#define LAST (SERIES_HOURS - HOURS_MAX)  /* so that foresight sees as far from the last hour */
#define ARRIVALS_END (LAST - WINDOW_MAX) /* so that all work is done by then, whatever its window */
#define PIVOTS_MAX 10000000u
#define LATE INT64_C(100000000000) /* above any cost here: 100 USD a kWh */

static int64_t option_power = 0, option_carbon = 1, option_window = 24, option_ahead = 23,
               option_foresight = 0, option_greedy = 0, option_load = 300, option_wait = 300,
               option_usable = 950, option_every = 0, option_delay = 0, option_priced = 0;
static const struct {
    const char *name;
    int64_t *value;
} options[] = {{"power", &option_power}, {"carbon", &option_carbon},       {"window", &option_window},
               {"ahead", &option_ahead}, {"foresight", &option_foresight}, {"greedy", &option_greedy},
               {"load", &option_load},   {"wait", &option_wait},           {"usable", &option_usable},
               {"every", &option_every}, {"delay", &option_delay},         {"priced", &option_priced}};

/* Sums over a year fit: 1e5 kW x 1e4 h x 1e4 g x 2e3 < 2^63. */
struct bill {
    int64_t kwh, carbon, money; /* kWh, mg, units of 1e-8 USD */
};

struct year {
    struct series_site site[SERIES_SITES_MAX];
    uint32_t sites, hours;
    int64_t mean[SERIES_SITES_MAX];
    int64_t pending[WINDOW_MAX + 2]; /* work by the hours that it has left */
    struct merit merit;
    struct merit_problem problem;
    struct merit_class class[HOURS_MAX];
    int64_t capacity[SERIES_SITES_MAX * HOURS_MAX], cost[SERIES_SITES_MAX * HOURS_MAX];
    struct bill fixed, home, plan;
    int128 exact_cost, greedy_cost;
    uint64_t pivots, pivots_most, plans;
    int64_t waited; /* kWh x hours */
    double cpu_s, cpu_most_s;
    struct {
        uint32_t hour;
        int128 cost;
    } written[SERIES_HOURS];
    uint32_t nwritten;
};

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int64_t part(int64_t whole, int64_t thousandths)
{
    return whole * thousandths / 1000;
}

/* Nano-USD for a kWh at the machines: 1e-2 USD a MWh are 1e4 nano-USD a kWh, a gram at 1 USD a tonne is 1e3. */
static int64_t unit_cost(const struct series_site *s, uint32_t hour)
{
    return s->pue * (option_power * s->price[hour] * 10 + option_carbon * s->carbon[hour]);
}

static void add(struct bill *bill, const struct series_site *s, uint32_t hour, int64_t kwh)
{
    bill->kwh += kwh;
    bill->carbon += kwh * s->carbon[hour] * s->pue;
    bill->money += kwh * s->price[hour] * s->pue;
}

static int64_t forecast(const struct year *y, uint32_t site, uint32_t now, uint32_t after)
{
    if (option_foresight == 2)
        return y->mean[site];
    /* The last known value of the same hour of the day. */
    uint32_t back = option_foresight == 1 ? 0 : (after + 23) / 24 * 24;
    return unit_cost(&y->site[site], now + after - back);
}

static void pose(struct year *y, uint32_t now)
{
    uint32_t window = (uint32_t)option_window;
    int64_t arriving = 0;
    struct merit_problem *p = &y->problem;
    *p = (struct merit_problem){
        .sites = y->sites, .hours = y->hours, .capacity = y->capacity, .cost = y->cost, .class = y->class};
    for (uint32_t s = 0; s < y->sites; s++) {
        arriving += part(y->site[s].kw, option_wait);
        for (uint32_t h = 0; h < y->hours; h++) {
            y->capacity[s * y->hours + h] = part(y->site[s].kw, option_usable - option_load);
            y->cost[s * y->hours + h] = forecast(y, s, now, h) + option_delay * h;
        }
    }
    uint64_t all = (UINT64_C(1) << y->sites) - 1;
    struct merit_class class = {.sites = all, .home = MERIT_ANYWHERE, .late = LATE};
    for (uint32_t left = 1; left <= window; left++) {
        class.until = left;
        class.amount = y->pending[left];
        y->class[p->classes++] = class;
    }
    for (uint32_t ahead = 1; ahead <= option_ahead; ahead++) {
        class.from = ahead;
        class.until = ahead + window;
        class.amount = arriving;
        y->class[p->classes++] = class;
    }
}

static void write_problem(struct year *y, uint32_t now)
{
    const struct merit_problem *p = &y->problem;
    char name[32];
    snprintf(name, sizeof name, "plan-%u", now);
    FILE *out = fopen(name, "w");
    if (!out)
        exit(1);
    fprintf(out, "%u %u %u 0\n", p->sites, p->hours, p->classes);
    for (uint32_t i = 0; i < p->sites * p->hours; i++)
        fprintf(out, "%" PRId64 " ", p->capacity[i]);
    for (uint32_t i = 0; i < p->sites * p->hours; i++)
        fprintf(out, "%" PRId64 " ", p->cost[i]);
    for (uint32_t k = 0; k < p->classes; k++)
        fprintf(out, "\n%" PRIu64 " -1 %u %u %" PRId64 " %" PRId64, p->class[k].sites, p->class[k].from,
                p->class[k].until, p->class[k].amount, p->class[k].late);
    fprintf(out, "\n");
    if (fclose(out) != 0)
        exit(1);
    y->written[y->nwritten].hour = now;
    y->written[y->nwritten++].cost = merit_cost(&y->merit);
}

static void plan(struct year *y)
{
    double start = cpu_s();
    int rc = merit_greedy(&y->merit, &y->problem);
    y->greedy_cost += rc == 0 ? merit_cost(&y->merit) : 0;
    if (rc == 0 && !option_greedy)
        rc = merit_improve(&y->merit, PIVOTS_MAX);
    if (rc != 0) {
        fprintf(stderr, "energy_plan: code %d\n", rc);
        exit(1);
    }
    double took = cpu_s() - start;
    y->exact_cost += merit_cost(&y->merit);
    y->pivots += y->merit.pivots;
    y->pivots_most = y->merit.pivots > y->pivots_most ? y->merit.pivots : y->pivots_most;
    y->cpu_s += took;
    y->cpu_most_s = took > y->cpu_most_s ? took : y->cpu_most_s;
    y->plans++;
}

/* The first hour of the plan is done; the rest is planned again in an hour. */
static void commit(struct year *y, uint32_t now)
{
    struct merit_part p;
    for (uint32_t cursor = 0; merit_next(&y->merit, &cursor, &p);) {
        if (p.hour != 0)
            continue;
        y->pending[p.class + 1] -= p.amount;
        y->waited += p.amount * ((int64_t)option_window - 1 - p.class);
        add(&y->plan, &y->site[p.site], now, p.amount);
    }
    if (y->pending[1] != 0) {
        fprintf(stderr, "energy_plan: hour %u: work is late\n", now);
        exit(1);
    }
    memmove(y->pending + 1, y->pending + 2, sizeof y->pending - 2 * sizeof *y->pending);
}

static void hour(struct year *y, uint32_t now)
{
    for (uint32_t s = 0; s < y->sites && now < ARRIVALS_END; s++) {
        const struct series_site *site = &y->site[s];
        add(&y->fixed, site, now, part(site->kw, option_load));
        y->pending[option_window] += part(site->kw, option_wait);
        add(&y->home, site, now, part(site->kw, option_wait));
    }
    pose(y, now);
    plan(y);
    if (option_every && now % option_every == 0)
        write_problem(y, now);
    commit(y, now);
}

static void start(struct year *y)
{
    static _Alignas(ARENA_ALIGN) uint8_t block[64 * (1 + HOURS_MAX + SERIES_SITES_MAX * HOURS_MAX)];
    struct arena arena;
    for (uint32_t s = 0; s < y->sites; s++) {
        for (uint32_t h = 0; h < SERIES_HOURS; h++)
            y->mean[s] += unit_cost(&y->site[s], h);
        y->mean[s] /= SERIES_HOURS;
    }
    y->hours = (uint32_t)(option_window + option_ahead);
    arena_init(&arena, block, sizeof block);
    if (option_window < 1 || option_window > WINDOW_MAX || option_ahead < 0 || y->hours > HOURS_MAX ||
        y->sites == 0 || merit_init(&y->merit, &arena, y->sites, y->hours, y->hours) != 0) {
        fprintf(stderr, "energy_plan: no sites, or hours out of bounds\n");
        exit(2);
    }
}

static void print_bill(const char *name, const struct bill *b)
{
    printf("\"%s\":{\"kwh\":%" PRId64 ",\"kg\":%.3f,\"usd\":%.2f},", name, b->kwh, (double)b->carbon / 1e6,
           (double)b->money / 1e8);
}

static void report(const struct year *y)
{
    bool priced = true;
    printf("{\"sites\":[");
    for (uint32_t i = 0; i < y->sites; i++) {
        printf("%s\"%s\"", i ? "," : "", y->site[i].name);
        priced = priced && y->site[i].has_price;
    }
    printf("],\"priced\":%s,", priced ? "true" : "false");
    print_bill("fixed", &y->fixed);
    print_bill("home", &y->home);
    print_bill("plan", &y->plan);
    printf("\"written\":[");
    for (uint32_t i = 0; i < y->nwritten; i++)
        printf("%s[%u,%.0f]", i ? "," : "", y->written[i].hour, (double)y->written[i].cost);
    printf("],\"greedy_over_exact\":%.6f,\"pivots_mean\":%.1f,\"pivots_most\":%" PRIu64
           ",\"cpu_ms_mean\":%.3f,\"cpu_ms_most\":%.3f,\"wait_h_mean\":%.2f}\n",
           (double)y->greedy_cost / (double)y->exact_cost - 1, (double)y->pivots / (double)y->plans,
           y->pivots_most, 1e3 * y->cpu_s / (double)y->plans, 1e3 * y->cpu_most_s,
           (double)y->waited / (double)y->plan.kwh);
}

int main(int argc, char **argv)
{
    static struct year y;
    for (int i = 3; i < argc; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
            size_t len = strlen(options[k].name);
            if (strncmp(argv[i], options[k].name, len) == 0 && argv[i][len] == '=') {
                *options[k].value = strtoll(argv[i] + len + 1, NULL, 10);
                known = true;
            }
        }
        if (!known)
            argc = 0;
    }
    if (argc < 3) {
        fprintf(stderr, "usage: energy_plan CARBON.csv PRICE.csv [NAME=NUMBER]... < SITES\n");
        return 2;
    }
    y.sites = series_sites(stdin, y.site);
    series_read(y.site, y.sites, argv[1], false);
    series_read(y.site, y.sites, argv[2], true);
    y.sites = series_keep(y.site, y.sites, true, option_priced);
    start(&y);
    for (uint32_t now = FIRST; now < LAST; now++)
        hour(&y, now);
    report(&y);
    return 0;
}
