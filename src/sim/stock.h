/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stock: which chips a simulation's network has, of whose making, and how many of them are in service.
 *
 * It is told the events that the core accepted. A chip is in service when its node and its site are up: neither cordoned nor
 * lost. `changed` is set whenever that may have changed and left for the reader to clear. Everything is on the heap and
 * bounded by what stock_init is told; what goes past that is not taken in.
 */
#ifndef BUSBAR_SIM_STOCK_H
#define BUSBAR_SIM_STOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/limits.h"
#include "core/schema.h"

struct stock_kind {
    char name[CHIP_CAP], vendor[NAME_CAP], origin[CODE_CAP];
    uint64_t gflops;
    uint32_t watts;
};

struct stock_site {
    struct uuid id;
    char name[NAME_CAP], jurisdiction[CODE_CAP];
    uint32_t state; /* enum place_state */
    int64_t price;  /* of the moment, as in event_site_signal */
    uint64_t carbon;
    uint32_t pue;
};

struct stock_pool {
    struct uuid id;
    uint32_t site, kind;
    uint32_t nodes, node_chips;
    uint32_t nodes_up;
    int64_t price;  /* of a chip-hour */
    uint8_t *state; /* of each node */
};

struct stock {
    struct stock_kind *kind;
    struct stock_site *site;
    struct stock_pool *pool;
    uint32_t nkinds, nsites, npools;
    uint32_t kinds_max, sites_max, pools_max;
    uint32_t last; /* pool that was found last */
    bool changed;
    bool failed; /* out of memory */
};

/* False when out of memory. */
bool stock_init(struct stock *f, const struct limits *limits);
void stock_fini(struct stock *f);
/* Events of other kinds are ignored. */
void stock_event(struct stock *f, const struct event *event);
/* NULL: there is none. It stays where it is. */
const struct stock_site *stock_find_site(const struct stock *f, const struct uuid *id);
/* Chips of a pool that are in service. */
uint32_t stock_up(const struct stock *f, uint32_t pool);

#endif
