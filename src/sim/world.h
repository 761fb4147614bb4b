/* SPDX-License-Identifier: Apache-2.0 */
/*
 * World: the network of a simulation, and what happens to it by itself: prices and carbon each hour, dated changes,
 * faults, drills. It hands out events in order of time; what it is made from are the options.
 *
 * A world is either a network file, or one isolated pool for each queue of a trace. Faults are drawn from a generator of
 * their own, so the same seed has the same faults whatever the dispatcher does: nodes and sites fail and come back,
 * after times that are uniform around the means below.
 */
#ifndef BUSBAR_SIM_WORLD_H
#define BUSBAR_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/schema.h"
#include "sim/demand.h"

#define WORLD_HOUR_MS INT64_C(3600000)
#define WORLD_DRILLS_MAX 16

#define NODE_UP_MS (INT64_C(90) * 86400000) /* between failures of one node */
#define NODE_DOWN_MS (INT64_C(4) * 3600000)
#define SITE_UP_MS (INT64_C(120) * 86400000)
#define SITE_DOWN_MS (INT64_C(3) * 3600000)

struct world_options {
    const char *network; /* a network file, or NULL */
    const char *pools;   /* name,nodes of isolated pools, or NULL */
    uint32_t node_chips; /* of `pools` */
    bool faults;
    uint64_t seed;
    const char *
        drills; /* lose:vendor=V@TIME, lose:site=S@TIME or shed:site=S:20MW@TIME+TIME, separated by commas; TIME as 36h */
    int64_t start_ms; /* Unix ms of the simulation's beginning */
};

struct world;

/* ERR_INVALID and so on, with words. */
int world_open(struct world **out, const struct world_options *options, struct err *err);
void world_free(struct world *w);
/* Sizes for the core: sites, chips, pools, nodes, corridors, shares. */
void world_limits(const struct world *w, struct limits *limits);
/* Event i of those that make the world, in order; false past the last. */
bool world_setup(const struct world *w, uint32_t i, struct event *out);
/* When the next event of the world itself is due; INT64_MAX: never again. */
int64_t world_next_ms(struct world *w);
/* The next event that is due at now_ms; false when there is none more. `*drill`: it is part of a drill. */
bool world_event(struct world *w, int64_t now_ms, struct event *out, bool *drill);
/* The only site that jobs of the queue may use; zero: any. ERR_INVALID: the queue has none in this world. */
int world_queue_site(const struct world *w, const char *queue, struct uuid *out, struct err *err);
uint32_t world_chips(const struct world *w);

#endif
