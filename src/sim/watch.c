/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/watch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/times.h"

struct watch *watch_new(int64_t start_ms, const struct stock *stock, const struct power *power,
                        const struct supply *supply, int64_t carbon_price)
{
    struct watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->rec = record_new(start_ms);
    w->pool = calloc(stock->pools_max + 1u, sizeof *w->pool);
    if (!w->rec || !w->pool) {
        watch_free(w);
        return NULL;
    }
    w->stock = stock;
    w->power = power;
    w->supply = supply;
    w->carbon_price = carbon_price;
    w->waiting = record_series(w->rec, "network", "waiting", "jobs", RECORD_LEVEL);
    w->running = record_series(w->rec, "network", "running", "jobs", RECORD_LEVEL);
    w->starts = record_series(w->rec, "network", "starts", "jobs", RECORD_COUNT);
    w->stops = record_series(w->rec, "network", "stops", "jobs", RECORD_COUNT);
    w->watts = record_series(w->rec, "network", "watts", "W", RECORD_LEVEL);
    w->money = record_series(w->rec, "network", "money", "USD/h", RECORD_LEVEL);
    w->carbon = record_series(w->rec, "network", "carbon", "g/h", RECORD_LEVEL);
    return w;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    record_free(w->rec);
    free(w->pool);
    free(w);
}

/* ---- a sample ---- */

static void meet_pool(struct watch *w, uint32_t i)
{
    const struct stock_pool *p = &w->stock->pool[i];
    const struct stock_site *s = &w->stock->site[p->site];
    const char *group[] = {"vendor", "site", "jurisdiction"};
    const char *name[] = {w->stock->kind[p->kind].vendor, s->name, s->jurisdiction};
    struct watch_pool *pool = &w->pool[i];
    pool->power = power_pool(w->power, &p->id);
    for (int g = 0; g < 3; g++) {
        char up[24];
        (void)snprintf(up, sizeof up, "%s up", group[g]);
        pool->busy[g] = record_series(w->rec, group[g], name[g], "chips", RECORD_LEVEL);
        pool->up[g] = record_series(w->rec, up, name[g], "chips", RECORD_LEVEL);
    }
}

/* Nano-units that a chip in use costs an hour: itself, its power, its carbon. */
static double chip_hour(const struct watch *w, uint32_t i)
{
    const struct stock_pool *p = &w->stock->pool[i];
    const struct stock_site *s = &w->stock->site[p->site];
    double kwh = w->stock->kind[p->kind].watts / 1e3 * power_pue(s->pue) / 1e3;
    return (double)p->price + kwh * ((double)s->price + (double)s->carbon / 1e6 * (double)w->carbon_price);
}

static void sample_pools(struct watch *w)
{
    while (w->npools < w->stock->npools)
        meet_pool(w, w->npools++);
    for (uint32_t i = 0; i < w->npools; i++) {
        for (int g = 0; g < 3; g++) {
            record_set(w->rec, w->pool[i].busy[g], 0);
            record_set(w->rec, w->pool[i].up[g], 0);
        }
    }
    for (uint32_t i = 0; i < w->npools; i++) {
        struct watch_pool *pool = &w->pool[i];
        double busy = power_pool_busy(w->power, pool->power), up = stock_up(w->stock, i);
        for (int g = 0; g < 3; g++) {
            record_add(w->rec, pool->busy[g], busy);
            record_add(w->rec, pool->up[g], up);
        }
        pool->cost += chip_hour(w, i);
        pool->n++;
    }
}

static void meet_group(struct watch *w, uint32_t i)
{
    static const char *const groups[] = {"own chips", "all chips", "own gflops", "all gflops"};
    const char *jurisdiction = w->supply->group[i].jurisdiction;
    for (int k = 0; k < 4; k++)
        w->share[i][k] =
            record_series(w->rec, groups[k], jurisdiction[0] ? jurisdiction : "network", "", RECORD_LEVEL);
}

static void sample_supply(struct watch *w)
{
    while (w->ngroups < w->supply->ngroups)
        meet_group(w, w->ngroups++);
    for (uint32_t i = 0; i < w->ngroups; i++) {
        const struct supply_share *s = &w->supply->group[i].now;
        const uint64_t v[] = {s->own_chips, s->chips, s->own_gflops, s->gflops};
        for (int k = 0; k < 4; k++)
            record_set(w->rec, w->share[i][k], (double)v[k]);
    }
}

void watch_until(struct watch *w, int64_t now_ms, const struct watch_counts *counts)
{
    if (w->rec->next_ms >= now_ms)
        return;
    struct power_rate rate = power_now(w->power);
    record_set(w->rec, w->waiting, (double)counts->waiting);
    record_set(w->rec, w->running, (double)counts->running);
    record_set(w->rec, w->watts, (double)rate.watts);
    record_set(w->rec, w->money, (double)rate.nano_h / 1e9);
    record_set(w->rec, w->carbon, (double)rate.mg_h / 1e3);
    record_add(w->rec, w->starts, (double)(counts->starts - w->seen.starts));
    record_add(w->rec, w->stops, (double)(counts->stops - w->seen.stops));
    w->seen = *counts;
    sample_supply(w);
    while (w->rec->next_ms < now_ms) {
        sample_pools(w);
        record_sample(w->rec);
    }
}

/* ---- how jobs fared ---- */

static uint32_t at_most(const int64_t *sorted, uint32_t n, double ms)
{
    uint32_t low = 0, high = n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if ((double)sorted[mid] <= ms)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void watch_distribute(struct watch_cdf *cdf, const int64_t *sorted_ms, uint32_t n)
{
    *cdf = (struct watch_cdf){.jobs = n};
    if (n == 0)
        return;
    cdf->p50_ms = times_at(sorted_ms, n, 50);
    cdf->p90_ms = times_at(sorted_ms, n, 90);
    cdf->p99_ms = times_at(sorted_ms, n, 99);
    cdf->max_ms = sorted_ms[n - 1];
    double last = log10(cdf->max_ms > 10000 ? (double)cdf->max_ms / 1e3 : 10);
    cdf->n = WATCH_CDF_POINTS;
    for (uint32_t i = 0; i < cdf->n; i++) {
        cdf->seconds[i] = pow(10, last * i / (cdf->n - 1));
        cdf->share[i] = (double)at_most(sorted_ms, n, cdf->seconds[i] * 1e3 + 1e-6) / n;
    }
}
