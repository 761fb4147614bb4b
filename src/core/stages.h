/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stages: which of a model's layers each unit of a pipeline holds, so that a token is soonest or the slowest stage is fastest.
 *
 * A unit is a chip, or equal chips of one node that split every layer between them (a tensor-parallel group). The chips of a node can
 * be grouped in several ways, its choices; a plan takes one of them, or leaves the node out. A unit that holds k layers takes
 * k x layer_ps + hop_ps for a token, and holds at most layers_max of them; one of those that are used also holds the head, what comes after the
 * last layer. Hops go in a ring, from the last stage back to the first, so each stage has one, and a plan of one stage has none. In
 * which order stages follow each other does not matter then, so nodes are taken one by one.
 *
 * Both answers are exact. The least sum is a shortest path over (nodes so far, layers so far, head placed); as a unit's time is linear in its
 * layers, each step is a minimum over a sliding window (a monotone queue), O(layers) for a unit of any capacity. The least maximum is
 * found by bisection over whole picoseconds: within a bound each unit holds so many layers, and the bound is met if they add up. Weak units
 * that would slow the whole are left out by themselves. Times are ps, so that a layer of a small model on a strong chip is not 0.
 *
 * Memory: one block of the caller's, 4 bytes a unit and layer. Nothing allocates; equal plans are chosen by the order of the input alone.
 */
#ifndef BUSBAR_CORE_STAGES_H
#define BUSBAR_CORE_STAGES_H

#include <stdbool.h>

#include "base/arena.h"

#define STAGES_MAX 512u                        /* of a plan */
#define STAGE_LAYERS_MAX 1024u                 /* of a model */
#define STAGE_PS_MAX INT64_C(1000000000000000) /* of a layer, a hop, a head: 1,000 s */

struct stage_unit {
    int64_t layer_ps, hop_ps, head_ps;
    uint32_t layers_max;
    uint32_t layers_max_head; /* if it holds the head as well; 0: it cannot */
};

/* Units [first, first + units) of the problem: one way to group the chips of a node. */
struct stage_choice {
    uint32_t first, units;
};

/* Choices [first, first + choices). */
struct stage_node {
    uint32_t first, choices;
};

/* Borrowed. */
struct stage_problem {
    uint32_t layers, nodes;
    const struct stage_node *node;
    const struct stage_choice *choice;
    const struct stage_unit *unit;
};

struct stage {
    uint32_t unit, layers;
    bool head;
};

struct stage_plan {
    uint32_t n;
    int64_t sum_ps, most_ps; /* of all stages, and of the slowest */
    struct stage stage[STAGES_MAX];
};

/* Room to work in. The fields are stages.c's. */
struct stages {
    uint32_t layers_max, units_max, nodes_max;
    int64_t *at, *next, *best; /* [head x (layers + 1) + layers] */
    uint32_t *queue;
    uint16_t *pick;   /* of each unit: layers, and a bit for the head */
    uint8_t *grouped; /* of each node: its choice + 1, 0: left out */
};

/* Carves room for problems up to these sizes; with an arena over NULL it only counts. `units`: of all choices. ERR_LIMIT, ERR_NO_MEMORY. */
int stages_init(struct stages *stages, struct arena *arena, uint32_t layers, uint32_t nodes, uint32_t units);
/* The plan of the least sum of which no stage takes longer than `bound_ps`. ERR_LIMIT: larger than the room; ERR_INVALID: a time or an index out
 * of bounds; ERR_NO_CAPACITY: there is none. */
int stages_least_sum(struct stages *stages, const struct stage_problem *problem, int64_t bound_ps,
                     struct stage_plan *plan);
/* The plan of the least maximum whose sum is at most `sum_ps`, and of several the one of the least sum. Errors as above. */
int stages_least_most(struct stages *stages, const struct stage_problem *problem, int64_t sum_ps,
                      struct stage_plan *plan);

#endif
