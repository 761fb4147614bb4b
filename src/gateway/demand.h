/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Demand: what requests ask of a deployment that follows it (core/service.h), as the gateway sees it.
 *
 * What is asked for is slots: those in use, in the mean of the window, and one for each request that waits now. Core counts in
 * tokens of output a second, so slots are weighed by what one was measured to yield here, and told is beside it what a replica of so
 * many slots sustains (struct yield of gateway/cost.h).
 *
 * The window is a minute, or `hold` of the deployment where that is shorter, in parts; after each part the demand is told if it
 * is another than before, and in a new run of the hub in any case. The first request that finds nothing ready is told at once.
 * A gateway's own process tells its hub of those that wait there; what it answers goes through the hub, which counts that itself.
 *
 * One thread samples (the first worker's housekeeping), under the registry's lock; the counters are anybody's.
 */
#ifndef BUSBAR_GATEWAY_DEMAND_H
#define BUSBAR_GATEWAY_DEMAND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/schema.h"
#include "gateway/cost.h"

#define DEMAND_WINDOW_MS 60000
#define DEMAND_PARTS 6

struct demand_terms {
    struct uuid service; /* zero: nobody follows the demand */
    uint32_t slots;      /* of a replica */
    uint64_t window_ms;
};

/* Whether core knows that somebody asks: it does not, from a sample, or from the first request by itself. */
enum demand_waking { DEMAND_ASLEEP, DEMAND_SAMPLED, DEMAND_WOKEN };

struct demand {
    struct demand_terms terms;
    struct yield yield;
    atomic_uint woken;     /* enum demand_waking */
    atomic_uint elsewhere; /* requests that wait at other gateways */
    uint64_t part_ms[DEMAND_PARTS], slot_ms[DEMAND_PARTS];
    uint32_t part;
    bool told;
    struct event_service_demand last;
};

/* Another service begins anew. */
void demand_set(struct demand *demand, const struct demand_terms *terms);
/* An answer is complete. From any thread. */
void demand_count(struct demand *demand, uint64_t prompt, uint64_t completion);
/* So much time has passed with so many slots in use. True: *out is to be told, and demand_told then. */
bool demand_sample(struct demand *demand, uint64_t ms, uint32_t busy, uint32_t waiting,
                   struct event_service_demand *out);
void demand_told(struct demand *demand, const struct event_service_demand *said);
/* All that was told is forgotten by who heard it: the next sample is told again. */
void demand_untell(struct demand *demand);
/* From any thread: true for the first request since the last word that finds nothing ready. */
bool demand_wakes(struct demand *demand);

#endif
