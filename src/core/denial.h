/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Denials: how often rules denied a tenant's work something, by day, rule and cite, for the overseers' report.
 *
 * What is counted is work, not places, and not how often the dispatcher looked: a job or replica when it comes, once for each rule that
 * denies it a pool which it asks for and which is large enough, whatever the pool's state; it had then no such pool left, or fewer.
 * Of the rules that deny one pool the one that a verdict names is meant (core/rules.h). And once more each time that it is
 * stopped where it runs because rules forbid it there now. What waits when rules change is not counted again.
 *
 * Cells are sums of a batch, added to what the store has; the core keeps none of them. When DENIALS_MAX are in use, what comes is
 * counted without its tenant and rule, so that the number stays right.
 */
#ifndef BUSBAR_CORE_DENIAL_H
#define BUSBAR_CORE_DENIAL_H

#include "base/map.h"
#include "core/core.h"
#include "core/table.h"

#define DENIALS_MAX 2048

struct job;

struct denial {
    struct row_denial row;
};

struct denials {
    struct table table; /* of the open batch */
    struct denial *denial;
    struct map map;
};

/* What rules say now of a job that waits or runs: whether they deny it the place where it runs; or, of one that waits, every pool that it
 * asks for. rule and cite: of the first such rule, empty of a closed border; they belong to the core. */
struct denied {
    bool denied;
    const char *rule, *cite;
};
/* False: there is no such job. Nothing is decided by it; what is made from the state is kept with it. */
bool core_denied(struct core *core, const struct uuid *job, struct denied *out);

/* ---- for the files of core ---- */

void denials_carve(struct core *core, struct arena *arena);
void denials_collect(struct core *core, row_fn *fn, void *ctx);
/* The job has just come: its lane is known. */
void denial_arrives(struct core *core, const struct job *job);
/* It runs, and is about to be stopped since rules forbid it. */
void denial_stops(struct core *core, const struct job *job);

#endif
