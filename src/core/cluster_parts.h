/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the cluster planner share: a step's time, room to work in, one replica's plan. For these files only. */
#ifndef BUSBAR_CORE_CLUSTER_PARTS_H
#define BUSBAR_CORE_CLUSTER_PARTS_H

#include "core/cluster.h"

/* Units in all the ways to write CLUSTER_NODE_MAX chips as a sum of powers of two: 36 of them. A smaller node has fewer for each chip. */
#define NODE_UNITS 296u
#define UNITS_MAX (NODE_UNITS * (CLUSTER_CHIPS_MAX / CLUSTER_NODE_MAX + CLUSTER_POOLS_MAX))

struct cluster_unit {
    uint32_t pool, chips;
};

/* What is tried: these chips, so many requests in a step, memory for so many steps at once. */
struct cluster_try {
    uint32_t chips[CLUSTER_POOLS_MAX];
    uint32_t batch, in_flight;
    bool far; /* hops are over corridors */
};

/* A step through a layer: tokens, those before each of them, and those whose keys and values are read. */
struct cluster_step {
    uint32_t tokens, before;
    uint64_t held;
};

/* A size of replica: so many chips of each pool, and its tokens a second. */
struct cluster_size {
    uint32_t chips[CLUSTER_POOLS_MAX];
    uint32_t division; /* as a mixed number */
    uint64_t token_s_e3;
};

#define CLUSTER_SIZES_MAX 4096u

struct cluster_work {
    struct stages stages;
    uint32_t nodes, choices, units;
    struct stage_plan plan;
    struct stage_node node[CLUSTER_CHIPS_MAX];
    struct stage_choice choice[UNITS_MAX];
    struct stage_unit unit[UNITS_MAX];
    struct cluster_unit of[UNITS_MAX];
    uint32_t sizes;
    struct cluster_size size[CLUSTER_SIZES_MAX];
    uint64_t best[CLUSTER_DIVISIONS_MAX];  /* tokens a second, in thousandths, of so many chips */
    uint16_t taken[CLUSTER_DIVISIONS_MAX]; /* the size that was added last, + 1; 0: a chip is left idle */
};

int64_t cluster_step_ps(const struct cluster_problem *problem, uint32_t pool, uint32_t chips,
                        const struct cluster_step *step);
/* The best replica on these chips of each pool. ERR_NO_CAPACITY: none meets the goal. */
int cluster_replica_plan(struct cluster_work *work, const struct cluster_problem *problem,
                         const uint32_t *chips, struct cluster_replica *best);

#endif
