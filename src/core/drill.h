/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drills that were played, for the record: what would have become of the network's work if a site, all chips of a vendor, or a
 * corridor had been lost.
 *
 * A drill is played on a copy, outside this core (sim/trial.h), and changes nothing in it. What it came to returns as an event,
 * so that it is in the journal and the log, and as a row, which the overseers' report reads. The core keeps the rows of the open
 * batch only, at most DRILLS_MAX; past them a drill is refused, to be played again.
 */
#ifndef BUSBAR_CORE_DRILL_H
#define BUSBAR_CORE_DRILL_H

#include "core/core.h"

#define DRILLS_MAX 16

struct drills {
    struct row_drill row[DRILLS_MAX];
    uint32_t n;
};

void drills_collect(struct core *core, row_fn *fn, void *ctx);

#endif
