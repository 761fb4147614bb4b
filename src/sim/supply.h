/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Self-supply: which share of the chips in service come from within.
 *
 * A chip is a jurisdiction's own when its maker's origin is the jurisdiction of the site that it stands at; the network's own
 * are those of all jurisdictions. It is counted twice, by chips and by throughput (dense FP16 gflops), which differ where
 * imported chips are the faster ones. A goal is met at the first moment at which its share is reached; whether it
 * still is at the end is told apart. Group 0 is the network.
 */
#ifndef BUSBAR_SIM_SUPPLY_H
#define BUSBAR_SIM_SUPPLY_H

#include "base/buf.h"
#include "network/netfile.h"
#include "sim/stock.h"

#define SUPPLY_GROUPS_MAX 257u
#define SUPPLY_GOALS_MAX NET_GOALS_MAX

struct supply_share {
    uint64_t chips, own_chips;
    uint64_t gflops, own_gflops;
};

struct supply_group {
    char jurisdiction[CODE_CAP]; /* "": the network */
    struct supply_share first, now;
};

struct supply_goal {
    char jurisdiction[CODE_CAP];
    uint32_t target; /* thousandths */
    bool by_gflops;
    int64_t by_ms;
    int64_t met_ms; /* 0: never */
    struct supply_share met;
};

struct supply {
    struct supply_group group[SUPPLY_GROUPS_MAX];
    uint32_t ngroups;
    struct supply_goal goal[SUPPLY_GOALS_MAX];
    uint32_t ngoals;
};

/* Those that a network file names. */
void supply_goals(struct supply *s, const struct netfile *net);
/* Counts anew what is in service; the first time sets `first`. */
void supply_look(struct supply *s, const struct stock *stock, int64_t now_ms);
/* NULL: nothing is there. */
const struct supply_group *supply_of(const struct supply *s, const char *jurisdiction);
/* 0 to 1; 0 of nothing. */
double supply_by_chips(const struct supply_share *share);
double supply_by_gflops(const struct supply_share *share);
/* Whether the goal's share is reached in `share`. */
bool supply_reached(const struct supply_goal *goal, const struct supply_share *share);
/* "self_supply": an object with the goals and all groups. */
void supply_json(const struct supply *s, struct buf *out);

#endif
