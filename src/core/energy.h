/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Energy of requests: what replicas draw, shared among those whose requests they answer.
 *
 * A replica's site tells totals of what it drew, as it does of jobs: a report that comes twice or late is nothing new, and each beginning
 * of a replica (an agent that died knows nothing of its totals) is a run of its own, of which an earlier one is not heard any more. What a
 * site's replicas of one variant drew is a pot. It is shared out when all of them that run have told something since the last time, or
 * one of them tells for the second time: among the keys whose requests the site answered with that variant since then, by the weight of
 * their tokens, to the last mJ, by largest remainder. A token of output weighs PROMPT_WEIGHT, one of a prompt 1, and one that the engine
 * had in its cache nothing: nothing is computed for it. Where nobody asked, it is the site's own: an account of use of its own.
 *
 * So what was metered is what lines of requests and accounts of what was idle come to, and what still waits. All of it lies in rows; pots
 * are derived. Weights are counted only where a replica of the pot is known to tell. Bounds: ENERGY_KEYS_MAX keys in a pot and
 * ENERGY_WEIGHTS_MAX weights; what goes beyond weighs as nobody's, so its energy falls to the site. Of replicas that are over
 * ENERGY_OVER_MAX may still tell their last figures.
 */
#ifndef BUSBAR_CORE_ENERGY_H
#define BUSBAR_CORE_ENERGY_H

#include "base/arena.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "core/core.h"
#include "core/table.h"

struct core;

struct replica_meter {
    struct row_replica_meter row;
    uint32_t pot;
    struct list in_pot;
    struct heap_node in_over; /* while it is over, and its last figures may come */
};

struct energy_weight {
    struct row_energy_weight row;
    struct list in_pot;
    uint64_t part_mj, rest; /* while the pot is shared out */
};

/* Of a site and a variant. */
struct energy_pot {
    struct uuid site, variant;
    struct list meters, weights;
    uint32_t nmeters, nweights, nruns, ntold; /* ntold: of those that run */
};

struct energy {
    struct table meters, weights, pots;
    struct replica_meter *meter;
    struct energy_weight *weight;
    struct energy_pot *pot;
    struct map meter_map, weight_map, pot_map;
    struct heap over; /* the one that ended first comes first */
    uint32_t nover;
};

void energy_carve(struct core *core, struct arena *arena);
void energy_collect(struct core *core, row_fn *fn, void *ctx);
/* A record of a request. */
void energy_count(struct core *core, const struct event_meter *e);
/* The replica does not run under its epoch any more; `lost`: nobody is left to tell more. */
void energy_end(struct core *core, const struct row_replica *replica, bool lost);
int load_replica_meter(struct core *core, const struct row_replica_meter *row);
int load_energy_weight(struct core *core, const struct row_energy_weight *row);
bool energy_holds(const struct core *core);

#endif
