/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drills: what is done to a simulated network on purpose, to see what becomes of its work.
 *
 * Written as WHAT@TIME or WHAT@TIME+DURATION, separated by commas, times from the simulation's beginning (sim/duration.h):
 *
 *   lose:site=NAME  lose:vendor=NAME  lose:corridor=A-B   it is lost; with a DURATION it comes back, else never
 *   price*2  price*1.5:site=NAME                          power costs so many times as much, everywhere or there
 *   drought:wind=0.3  drought:all=0.5:site=NAME           so much of the renewables' output is left: wind, solar, hydro, all
 *   shed:site=NAME:20MW                                   the site has to draw so much less than it does then
 *
 * A corridor is called by its ends in either order. What a drought does to an hour's signal: the site's share of renewables
 * falls by what the source would have given (its part of the renewables over the year), and the rest of the grid makes
 * it up. That rest emits what it does over the year, at most what coal does; a grid that has no rest burns gas. The price
 * rises as the hours' shapes have it (network/profile.h): 1.2 % of the year's mean for each percent of renewables gone.
 *
 * A drill says only what it is; the world (sim/world.h) does it. Nothing here is allocated.
 */
#ifndef BUSBAR_SIM_DRILL_H
#define BUSBAR_SIM_DRILL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/schema.h"
#include "network/netfile.h"

#define DRILLS_MAX 16
#define DRILL_NAME_CAP (2 * NAME_CAP) /* A-B */
#define DRILL_WHAT_CAP (DRILL_NAME_CAP + 48)

enum drill_kind { DRILL_LOSE, DRILL_PRICE, DRILL_DROUGHT, DRILL_SHED };
enum drill_target { DRILL_ANY, DRILL_SITE, DRILL_VENDOR, DRILL_CORRIDOR };

struct drill {
    enum drill_kind kind;
    enum drill_target target; /* ANY: every site */
    char name[DRILL_NAME_CAP];
    uint32_t sources;          /* DROUGHT: index in a table of drill.c */
    int64_t milli;             /* PRICE, DROUGHT: the factor, thousandths */
    uint64_t watts;            /* SHED */
    int64_t at_ms;             /* Unix ms */
    int64_t until_ms;          /* INT64_MAX: for good */
    char what[DRILL_WHAT_CAP]; /* as it was written, for people; cut where it does not fit */
};

struct drills {
    struct drill list[DRILLS_MAX];
    uint32_t n;
};

/* `text` NULL: none. ERR_INVALID or ERR_LIMIT, with words. */
int drills_read(struct drills *drills, const char *text, int64_t start_ms, struct err *err);
/* Each names something that the network has. ERR_NOT_FOUND, with words. */
int drills_check(const struct drills *drills, const struct netfile *net, struct err *err);

/* Whether the drill is one of this site, pool or corridor. */
bool drill_of_site(const struct drill *drill, const struct netfile *net, uint32_t site);
bool drill_of_pool(const struct drill *drill, const struct netfile *net, uint32_t pool);
bool drill_of_corridor(const struct drill *drill, const struct netfile *net, uint32_t corridor);
/* PRICE, DROUGHT: what they make of the signal of a site that they are of. */
void drill_signal(const struct drill *drill, const struct net_site *site, struct event_site_signal *signal);

#endif
