/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watch: fills a simulation's record with what every report shows, and keeps what else it needs.
 *
 * Series, each sampled as it stands: "vendor", "site", "jurisdiction" (chips in use; the same with " up": chips in service),
 * "network" (jobs waiting and running, facility watts, money and grams CO2e an hour, starts and stops), "own chips", "all
 * chips", "own gflops", "all gflops" (by jurisdiction, "network" the sum). Beside them for each pool the mean of what a chip-hour
 * costs there, and for waits and completion times their distributions. A sample costs one look at each pool and site.
 */
#ifndef BUSBAR_SIM_WATCH_H
#define BUSBAR_SIM_WATCH_H

#include "sim/power.h"
#include "sim/record.h"
#include "sim/stock.h"
#include "sim/supply.h"

#define WATCH_CDF_POINTS 200

struct watch_counts {
    uint64_t waiting, running; /* jobs now */
    uint64_t starts, stops;    /* so far */
};

/* How many of the jobs had to bear at most so much. */
struct watch_cdf {
    uint32_t n;
    double seconds[WATCH_CDF_POINTS], share[WATCH_CDF_POINTS];
    int64_t p50_ms, p90_ms, p99_ms, max_ms;
    uint64_t jobs;
};

struct watch_pool {
    uint32_t power; /* its index there */
    uint32_t busy[3], up[3];
    double cost; /* nano-units of a chip-hour, summed over `n` samples */
    uint64_t n;
};

struct watch {
    struct record *rec;
    const struct stock *stock;
    const struct power *power;
    const struct supply *supply;
    int64_t carbon_price; /* nano-units for a kg */
    struct watch_pool *pool;
    uint32_t npools;
    uint32_t share[SUPPLY_GROUPS_MAX][4]; /* series of each group of the supply */
    uint32_t ngroups;
    uint32_t waiting, running, starts, stops, watts, money, carbon;
    struct watch_counts seen;
    struct watch_cdf wait, jct;
};

/* NULL when out of memory. What it is given outlives it. */
struct watch *watch_new(int64_t start_ms, const struct stock *stock, const struct power *power,
                        const struct supply *supply, int64_t carbon_price);
void watch_free(struct watch *w);
/* Takes the samples that are due until now, now not included; nothing has changed since the last call. */
void watch_until(struct watch *w, int64_t now_ms, const struct watch_counts *counts);
/* Times of jobs in ascending order, ms. */
void watch_distribute(struct watch_cdf *cdf, const int64_t *sorted_ms, uint32_t n);

#endif
