/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan in force: at what price work that can wait starts now, and where.
 *
 * A plan is the slow loop's word (core/planner.h makes one) and comes back as events, in parts that are kept as they came and
 * put in force as a whole. It has classes and rents. A class is what jobs ask for, the chip of their first alternative, a
 * site, a jurisdiction, and by when they must start at the latest; its threshold is the most that a chip-hour of the first
 * alternative may cost while they wait by choice. Classes of one request stand side by side, those that can wait longer
 * later and with thresholds no higher; the last one is also that of jobs which can wait longer still. A pool's rent is what
 * its capacity is worth to others, on top of its price. So a job may start before its latest start where
 *
 *     (hour + rent) x chips x rate of alternative 0  <=  threshold x chips of alternative 0 x rate
 *
 * with `hour` what a chip costs there for an hour now (core/network.h). A request that no class names is ordinary work.
 *
 * From until_ms on there is no plan, which a tick notices. Bounds: PLAN_PARTS_MAX parts, PLAN_GROUPS_MAX requests. Parts are
 * rows; groups and rents are derived. Everything lies in the core's block.
 */
#ifndef BUSBAR_CORE_PLAN_H
#define BUSBAR_CORE_PLAN_H

#include "base/arena.h"
#include "core/core.h"

#define PLAN_GROUPS_MAX 256u

struct alternative;
struct shape_key;

/* The classes of one request: parts [first, first + n) of the slot in force. */
struct plan_group {
    uint32_t first, n;
    uint32_t chip, site; /* INDEX_NONE: none is asked for */
    char jurisdiction[CODE_CAP];
};

struct plan {
    struct row_plan row;
    bool row_touched;
    struct row_plan_part *part[2]; /* of each slot, PLAN_PARTS_MAX */
    bool *touched[2];
    struct plan_group *group, *scratch; /* of the slot in force; of one that is looked at */
    uint32_t ngroups;
    int64_t *rent; /* of each pool */
    uint64_t *named;
};

/* What a request asks for, as plans tell requests apart. */
struct plan_group plan_group_asked(const struct shape_key *key);
/* Whether they ask for the same. */
bool plan_group_equal(const struct plan_group *a, const struct plan_group *b);

void plan_carve(struct core *core, struct arena *arena);
void plan_init(struct core *core);
/* At a tick: a plan whose time is over is none. */
void plan_turn(struct core *core);
void plan_collect(struct core *core, row_fn *fn, void *ctx);
void plan_dump(const struct core *core, row_fn *fn, void *ctx);

/* The group of a request; INDEX_NONE: no plan in force names it. */
uint32_t plan_group_of(const struct core *core, const struct shape_key *key);
/* Of the class of a job of the group with that latest start; nano-units for a chip-hour of the first alternative. */
int64_t plan_threshold(const struct core *core, uint32_t group, int64_t latest_ms);
/* What a chip-hour of the pool counts as, with its rent. */
int64_t plan_hour(const struct core *core, uint32_t pool);
/* Whether work of this request may start in the pool, as this alternative, at that threshold. */
bool plan_allows(const struct core *core, const struct shape_key *key, const struct alternative *a,
                 uint32_t pool, int64_t threshold);

int load_plan(struct core *core, const struct row_plan *row);
int load_plan_part(struct core *core, const struct row_plan_part *row);
/* After the last row. ERR_CORRUPT. */
int load_plan_done(struct core *core);

#endif
