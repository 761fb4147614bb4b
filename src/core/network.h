/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network as the dispatcher sees it: sites with what power costs there now, chip kinds, pools, corridors.
 *
 * `rate` of a pool is what one chip costs there now, chip, power and carbon, in nano-units for RATE_MS chip-ms, so that
 * a comparison of pools is a multiplication; `hour` is the same for an hour, as plans have it. These and a site's `load` are
 * derived: they follow from rows and shares (core/check.c).
 * Whatever changes which pools a job may use raises `version`; shapes (core/work.h) are then matched anew.
 */
#ifndef BUSBAR_CORE_NETWORK_H
#define BUSBAR_CORE_NETWORK_H

#include "base/arena.h"
#include "base/map.h"
#include "core/pool.h"
#include "core/table.h"

#define SITE_WATTS_MAX (UINT64_C(1) << 40)
#define RATE_SHIFT 20
#define RATE_MS (INT64_C(1) << RATE_SHIFT)

/* Nano-units for a chip's power of an hour, either sign: 1e8 units of a currency. What is added to it and multiplied with it
 * stays within its type. */
#define POWER_HOUR_MAX INT64_C(100000000000000000)

struct core;

struct corridor_id {
    uint32_t v;
};

struct site {
    struct row_site row;
    uint64_t load; /* watts before PUE */
};

struct chip {
    struct row_chip row;
    uint32_t capacity; /* chips of this kind in all pools */
};

struct corridor {
    struct row_corridor row;
    struct site_id a, b;
    uint64_t granted;  /* bits a second, to transfers under way */
    uint32_t transits; /* those */
};

/* Of a new row: what was given is all that is known. */
void corridor_begin(struct row_corridor *row);
/* Sets what is planned by. The rate is what was measured, from a to b if that is known; but no more than was given, unless
 * that was only assumed; and as long as more is granted to transfers under way, that: a measurement takes nothing back. The round trip is the measured one. Whether anything is another than before. */
bool corridor_settle(struct corridor *corridor);
/* The corridor between two sites, the one with the lowest id; INDEX_NONE. */
uint32_t corridor_between(const struct core *core, struct site_id a, struct site_id b);

struct down_node {
    struct row_node row;
};

struct network {
    struct table sites, chips, pools, corridors, down;
    struct site *site;
    struct chip *chip;
    struct pool *pool;
    struct corridor *corridor;
    struct down_node *down_node; /* nodes that are not up, as rows */
    struct node *node;           /* of all pools */
    int64_t *until;              /* as well */
    uint64_t *words;
    uint32_t nodes_used, nodes_max, words_used, words_max;
    struct map site_map, chip_map, pool_map, corridor_map, down_map;
    /* In the order of their ids: what is decided goes by this, since a reload gives other indices. Nothing ever goes. */
    uint32_t *sites_by_id, *pools_by_id;
    uint64_t version;
    int64_t shed_ms; /* when the first limit for a time is over, INT64_MAX: there is none */
};

/* enum place_state: what holds for work there, by what an operator set and by whether the site is heard of. */
uint32_t site_state(const struct row_site *site);
/* Of sites, nodes and corridors. */
bool place_state_valid(uint32_t state);
/* Whether work there is stopped: all, or what is interruptible. */
bool site_gives_up(const struct site *site);
/* Thousandths; a guess until a signal says more. */
uint32_t site_pue(const struct row_site *site);
/* Facility watts that a site draws with `more` watts of load before PUE on top. */
uint64_t site_watts(const struct site *site, uint64_t more);
/* The most that it may draw now, 0: no limit; where nothing at all may run that is 1. */
uint64_t site_limit(const struct site *site);
bool site_takes(const struct site *site, uint64_t more);

#endif
