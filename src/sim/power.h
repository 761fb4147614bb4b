/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power: what the sites of a simulation draw, and what that costs and emits, added up over time.
 *
 * It is told the events that make and change the network, and each time chips are taken or given back. A site draws its
 * nodes' idle watts and more for each chip in use, times its PUE; money and carbon follow the site's signal of the
 * moment. Sums are kept in joules, nano-units and mg.
 */
#ifndef BUSBAR_SIM_POWER_H
#define BUSBAR_SIM_POWER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/schema.h"

struct power;

struct power_sum {
    uint64_t joules;
    int64_t nano;      /* of the network's currency */
    uint64_t mg;       /* CO2e */
    uint64_t chip_ms;  /* in use */
    uint64_t capacity; /* chips now */
    uint64_t busy;     /* chips in use now */
    uint64_t watts;    /* facility, now */
};

/* What all sites together draw, pay and emit at this moment. */
struct power_rate {
    uint64_t watts;
    int64_t nano_h;
    uint64_t mg_h;
};

/* NULL when out of memory. */
struct power *power_new(uint32_t sites, uint32_t chips, uint32_t pools);
void power_free(struct power *p);
/* Events of other kinds are ignored. The event was accepted by the core. */
void power_event(struct power *p, const struct event *event);
/* The index of a pool; UINT32_MAX: no such pool. */
uint32_t power_pool(const struct power *p, const struct uuid *id);
struct uuid power_pool_id(const struct power *p, uint32_t pool);
/* Chips of a pool are taken into use (or given back). */
void power_use(struct power *p, uint32_t pool, uint32_t chips, bool take, int64_t now_ms);
/* Chips of a pool that are in use. */
uint32_t power_pool_busy(const struct power *p, uint32_t pool);
/* Sums over all sites up to now. */
struct power_sum power_total(struct power *p, int64_t now_ms);
/* Of one site, as of the last power_total; all zero when there is no such site. */
struct power_sum power_site(const struct power *p, const struct uuid *id);
struct power_rate power_now(const struct power *p);
/* Thousandths; what is assumed where a site has not told it (0). */
uint32_t power_pue(uint32_t pue);

#endif
