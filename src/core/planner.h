/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planner: makes the plan of the slow loop (core/plan.h) from the state and forecasts.
 *
 * It reads what waits and could wait longer, what runs and until when, and what the network has; the caller forecasts power
 * and carbon by site and hour, the load of ordinary work, and what will arrive that can wait. That is posed as merit order
 * over hours (core/merit.h) and solved. A lot, the place of a slot, is a pool, or where there are more than
 * MERIT_SITES_MAX pools all pools of a site. An hour of waiting costs `wait` thousandths of the mean power of a chip-hour:
 * forecasts err, and a gain below that is none. A job that runs for hours is priced by the mean over as many hours as work
 * that can wait lasts on average; what that adds to the price of the first hour is part of a rent.
 *
 * The threshold of a class is the least cost and rent of the slots in its window, which is what its dearest unit costs
 * where it has any, and falls with the window. It comes out as events to be stepped in order. Nothing is changed and
 * nothing kept; the same state and forecasts give the same plan.
 *
 * Memory: one block from the caller; planner_init on an arena over NULL only counts. Time: jobs x hours, and the pivots that
 * the caller allows. Requests beyond PLANNER_GROUPS_MAX get no class and stay ordinary work.
 */
#ifndef BUSBAR_CORE_PLANNER_H
#define BUSBAR_CORE_PLANNER_H

#include "base/arena.h"
#include "core/core.h"
#include "core/merit.h"

#define PLANNER_GROUPS_MAX 24u
#define PLANNER_HOURS_MAX 96u
#define PLANNER_HOUR_MS INT64_C(3600000)

/* Of a site, hours from now on; the first of them is what holds. */
struct planner_site {
    struct uuid site;
    const int64_t *price;   /* nano-units for a kWh */
    const uint64_t *carbon; /* mg CO2e for a kWh */
    const uint32_t *firm;   /* chips that ordinary work will have */
};

/* Work that can wait, still to come: as it will ask, when, and how many hours it can wait then. */
struct planner_arrival {
    char chip[CHIP_CAP];
    struct uuid site;
    char jurisdiction[CODE_CAP];
    uint32_t hour, window;
    int64_t chip_ms;
};

struct planner_forecast {
    struct uuid plan;
    int64_t until_ms; /* of the plan */
    uint32_t hours;   /* of the plan and of each forecast, at most PLANNER_HOURS_MAX */
    uint32_t nsites, narrivals;
    const struct planner_site *site;
    const struct planner_arrival *arrival;
    uint32_t wait; /* thousandths, see above */
    uint64_t pivots_max;
};

struct planner_scratch;
struct planner {
    struct planner_scratch *scratch;
};

typedef void planner_event_fn(void *ctx, const struct event *event);

/* For cores of these limits. ERR_NO_MEMORY. */
int planner_init(struct planner *planner, struct arena *arena, const struct limits *limits);
/* Gives the events of a plan as of now_ms: none where nothing waits, or is expected, that could wait. *pivots, if not NULL:
 * how many it took. ERR_LIMIT: more lots, classes or pivots than there may be; ERR_INVALID: a forecast out of bounds. */
int planner_make(struct planner *planner, const struct core *core, int64_t now_ms,
                 const struct planner_forecast *forecast, planner_event_fn *fn, void *ctx, uint64_t *pivots);

#endif
