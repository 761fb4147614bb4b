/* SPDX-License-Identifier: Apache-2.0 */
/*
 * World: the network of a simulation, and what happens to it by itself: prices and carbon each hour, dated changes,
 * faults, drills. It hands out events in order of time; what it is made from are the options.
 *
 * A world is either a network file, or one isolated pool for each queue of a trace. Faults are drawn from a generator of
 * their own, so the same seed has the same faults whatever the dispatcher does: nodes, sites and corridors fail and come
 * back, after times that are uniform around the means below; all are assumed. That of corridors is near what is published
 * for cables: 4.39 cuts a year and 1,000 sheath-miles, 12 h to repair (To and Neusy, IEEE JSAC 12(1), 1994), for 1,500 km.
 */
#ifndef BUSBAR_SIM_WORLD_H
#define BUSBAR_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/schema.h"
#include "network/netfile.h"
#include "sim/demand.h"
#include "sim/drill.h"
#include "sim/duration.h"

#define NODE_UP_MS (90 * DAY_MS) /* between failures of one node */
#define NODE_DOWN_MS (4 * HOUR_MS)
#define SITE_UP_MS (120 * DAY_MS)
#define SITE_DOWN_MS (3 * HOUR_MS)
#define CORRIDOR_UP_MS (90 * DAY_MS)
#define CORRIDOR_DOWN_MS (12 * HOUR_MS)

struct world_options {
    const char *network; /* a network file, or NULL */
    const char *pools;   /* name,nodes of isolated pools, or NULL */
    uint32_t node_chips; /* of `pools` */
    bool faults;
    uint64_t seed;
    const char *drills; /* sim/drill.h */
    int64_t start_ms;   /* Unix ms of the simulation's beginning */
    bool start_given;   /* or a network file may say another */
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
/* What holds, or will hold, at the i-th site at a time; false past the last, and where there is no network file. */
bool world_signal(const struct world *w, uint32_t i, int64_t at_ms, struct event_site_signal *out);
/* The site of the queue's name; zero: there is none. Of isolated pools ERR_INVALID: the queue has none in this world. */
int world_queue_site(const struct world *w, const char *queue, struct uuid *out, struct err *err);
/* When it begins, Unix ms. */
int64_t world_start_ms(const struct world *w);
/* When a network file says that a simulation of it ends; 0: it does not say. */
int64_t world_until_ms(const struct world *w);
/* NULL when the world is made of isolated pools. */
const struct netfile *world_network(const struct world *w);
/* Those of the options, in Unix ms; they belong to the world. */
const struct drills *world_drills(const struct world *w);
/* What people call a site of that name in the core. */
const char *world_title(const struct world *w, const char *site);
/* A jurisdiction for the i-th of those who have none, drawn in proportion to the chips there; empty: none is known. */
void world_jurisdiction(const struct world *w, uint64_t seed, uint32_t i, char out[CODE_CAP]);

#endif
