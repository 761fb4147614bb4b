/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merit order over hours: where and when work that can wait is done at least cost. The slow loop's arithmetic.
 *
 * A power system plans a day ahead what each plant delivers in each hour; here a slot is a site in an hour, with the
 * capacity left there for work that waits and what a unit costs there then, by the forecast: chips, power, carbon. A class
 * is work that came together: how much, in which hours and at which sites it may be done, what moving it costs, and what
 * leaving a unit undone costs. The plan of least cost is Hitchcock's transportation problem (1941); it is solved exactly,
 * in integers, by the simplex method on a spanning tree of classes and slots (Dantzig 1951), kept strongly feasible
 * (Cunningham, A network simplex method, Math. Programming 11, 1976), so that it cannot cycle. The first tree is the
 * greedy merit order: classes by deadline, each into the cheapest slots that are still free; so stopping early leaves a
 * plan that holds, only not the cheapest.
 *
 * The last tree also gives prices. A class has a threshold: what its dearest unit costs, rents included. A slot has a rent:
 * what one more unit of capacity there would save. Work of a class is done in a slot only if cost + rent = threshold, and
 * nowhere is cost + rent below it; who checks this has proved that no plan is cheaper.
 *
 * Memory: one block from the caller, 40 bytes a class and slot; arcs are not stored. Time: the first tree
 * O((classes + slots) x slots of a window); a pivot O(slots of a window + nodes of the subtree that moves). No useful
 * bound on the number of pivots is known, so the caller gives one. Which plan of several with equal cost comes out
 * depends on the input alone.
 */
#ifndef BUSBAR_CORE_MERIT_H
#define BUSBAR_CORE_MERIT_H

#include <stddef.h>

#include "base/arena.h"
#include "base/checked.h"

#define MERIT_SITES_MAX 64u
#define MERIT_HOURS_MAX 168u
#define MERIT_CLASSES_MAX 4096u
#define MERIT_COST_MAX INT64_C(10000000000000)    /* nano-units a unit, either sign: 1e4 of a currency */
#define MERIT_AMOUNT_MAX INT64_C(100000000000000) /* units of one slot or class */
#define MERIT_ANYWHERE UINT32_MAX                 /* a home from which nothing is moved */

struct merit_class {
    uint64_t sites;       /* bit s: may be done at site s */
    uint32_t home;        /* from where it is moved; MERIT_ANYWHERE: that costs nothing */
    uint32_t from, until; /* hours in which it may be done, `until` not */
    int64_t amount;       /* units: watt-hours or chip-ms, as the capacity */
    int64_t late;         /* nano-units for a unit that is not done in time */
};

/* Borrowed until the plan is no longer asked. Costs may be negative, as prices of power are at times. */
struct merit_problem {
    uint32_t sites, hours, classes;
    const int64_t *capacity; /* [site x hours + hour], units */
    const int64_t *cost;     /* the same, nano-units a unit */
    const int64_t *transfer; /* [home x sites + site], nano-units a unit; NULL: nothing is moved at a cost */
    const struct merit_class *class;
};

struct merit_node;

/* A plan. The fields are merit.c's. */
struct merit {
    const struct merit_problem *problem;
    struct merit_node *node; /* the root, then classes, then slots */
    int64_t *potential;      /* of each node */
    uint32_t sites_max, hours_max, classes_max, nodes, turn;
    uint64_t pivots; /* since the greedy plan */
};

struct merit_part {
    uint32_t class, site, hour;
    int64_t amount; /* > 0 */
};

/* Carves a plan for problems up to these sizes; with an arena over NULL it only counts. ERR_LIMIT, ERR_NO_MEMORY. */
int merit_init(struct merit *merit, struct arena *arena, uint32_t sites, uint32_t hours, uint32_t classes);
/* The greedy merit order. ERR_LIMIT: larger than the plan. ERR_INVALID: an amount, cost or window out of bounds. */
int merit_greedy(struct merit *merit, const struct merit_problem *problem);
/* Makes the plan the cheapest one. ERR_LIMIT after `pivots_max` pivots: the plan holds, but a cheaper one may exist. */
int merit_improve(struct merit *merit, uint64_t pivots_max);

/* Calls in turn, with *cursor 0 at first, give the parts of the plan; false: no more. At most classes + slots. */
bool merit_next(const struct merit *merit, uint32_t *cursor, struct merit_part *part);
/* Target shares: `amount` [class x sites + site] gets the units of each class that each site does in all hours. */
void merit_targets(const struct merit *merit, int64_t *amount);
/* Units of a class that the plan leaves undone. */
int64_t merit_late(const struct merit *merit, uint32_t class);
/* Nano-units of the plan, with what is left undone. */
int128 merit_cost(const struct merit *merit);
/* After merit_improve has returned 0; nano-units a unit. The rent of a slot without capacity is above any threshold. */
int64_t merit_threshold(const struct merit *merit, uint32_t class);
int64_t merit_rent(const struct merit *merit, uint32_t site, uint32_t hour);

#endif
