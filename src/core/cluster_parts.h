/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the cluster planner share: a step's time, room to work in, one replica's plan. For these files only. */
#ifndef BUSBAR_CORE_CLUSTER_PARTS_H
#define BUSBAR_CORE_CLUSTER_PARTS_H

#include "base/checked.h"
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

/* A step through a layer: tokens, those before each of them, those whose keys and values are read, and operations for each pair of tokens. */
struct cluster_step {
    uint64_t tokens, before, held, attend_flop;
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
    struct cluster_plan pair;
};

#define CLUSTER_S_PS INT64_C(1000000000000)

/* Picoseconds for so much at so much a second; past what a stage may take, more than that. */
int64_t cluster_ps_for(int128 amount, uint64_t per_s);
int64_t cluster_add_ps(int64_t a, int64_t b);
/* Of the experts of a layer those that `tokens` tokens meet, if each takes any of them as likely, times 2^32. */
int128 cluster_experts_met(const struct cluster_model *model, uint64_t tokens);
/* Two all-reduces of a layer, in a ring. */
int64_t cluster_reduce_ps(const struct cluster_pool *pool, uint32_t chips, int128 bytes);
/* Computing, where `flop` are products with weights. */
int64_t cluster_compute_ps(const struct cluster_pool *pool, uint32_t chips, int128 flop,
                           const struct cluster_step *step);
int64_t cluster_head_ps(const struct cluster_problem *problem, uint32_t pool, uint32_t chips,
                        uint64_t tokens);
/* Requests that each hold `context` tokens, one step further. */
struct cluster_step cluster_step_of(const struct cluster_problem *problem, uint32_t batch);
/* Prompts, all at once. */
struct cluster_step cluster_prompts_of(const struct cluster_problem *problem, uint32_t batch);
int64_t cluster_step_ps(const struct cluster_problem *problem, uint32_t pool, uint32_t chips,
                        const struct cluster_step *step);
/* A layer of a stage that is spread; the step is of one of its attention groups, and so many groups make it. */
int64_t cluster_spread_ps(const struct cluster_problem *problem, const struct cluster_stage *stage,
                          const struct cluster_step *step, uint32_t groups);
/* How long a step may take so that a token takes as long as the goal says, and the time for a token from that of a step. */
int64_t cluster_step_max_ps(const struct cluster_goal *goal);
int64_t cluster_tpot_ps(const struct cluster_goal *goal, int64_t step_ps);
uint64_t cluster_token_s_e3(const struct cluster_goal *goal, uint64_t requests, int64_t step_ps);
bool cluster_better(const struct cluster_problem *problem, const struct cluster_replica *a,
                    const struct cluster_replica *b);
/* All `chips` of a pool as one stage that is spread; *best is replaced if that is better. */
void cluster_spread_plan(const struct cluster_problem *problem, uint32_t pool, uint32_t chips,
                         struct cluster_replica *best);
/* The best replica on these chips of each pool. ERR_NO_CAPACITY: none meets the goal. */
int cluster_replica_plan(struct cluster_work *work, const struct cluster_problem *problem,
                         const uint32_t *chips, struct cluster_replica *best);

#endif
