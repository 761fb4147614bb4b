/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows: what corridors of a simulation carry, and what that costs and emits.
 *
 * It is told of corridors, each transfer that sets out, and each job that ends or is stopped.
 * Data comes evenly over a transfer's time, so what has come by now is known at any time, also of what is cut short. Energy is
 * drawn by halves at the two ends of a corridor, and counts at their power price and carbon of the moment in which the
 * transfer is over. A job that is stopped and starts again somewhere else has its data sent again, and that counts again.
 */
#ifndef BUSBAR_SIM_FLOWS_H
#define BUSBAR_SIM_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/effect.h"
#include "core/schema.h"
#include "sim/stock.h"

struct flow {
    struct uuid corridor;
    const char *a, *b;  /* names of its ends; belong to the stock */
    uint64_t transfers; /* that set out over it */
    uint64_t bytes;     /* that came; a byte over two corridors counts at each */
    uint64_t joules;    /* of what is over, as all that follow */
    int64_t nano;       /* what the corridor charged */
    int64_t power_nano; /* what its power cost */
    uint64_t mg;        /* CO2e */
};

struct flows;

/* `stock` has the sites and their signals, is told of an event first, and outlives the flows. NULL when out of memory. */
struct flows *flows_new(const struct stock *stock, uint32_t corridors);
void flows_free(struct flows *f);
/* Events of other kinds are ignored. The event was accepted by the core. */
void flows_event(struct flows *f, const struct event *event);
/* An EFFECT_TRANSIT. False when out of memory. */
bool flows_begin(struct flows *f, const struct effect *effect, int64_t now_ms);
/* The job is over, or stopped. */
void flows_end(struct flows *f, const struct uuid *job, int64_t now_ms);
uint32_t flows_count(const struct flows *f);
/* Corridor i, up to now; whoever asks each hour has what came in each. */
struct flow flows_at(struct flows *f, uint32_t i, int64_t now_ms);

#endif
