/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Report: a simulation as one HTML page that needs nothing but itself: no scripts, no fonts, no other file.
 *
 * It is drawn from the options, the result and the record (sim/watch.h). Sections appear when there is something in them:
 * self-supply with a network, drills with drills, reserve, corridors and serving when their series were recorded. Each figure
 * of the result stands in a <data> element with the value that --json gives. The page is written to a temporary file
 * and renamed.
 */
#ifndef BUSBAR_SIM_REPORT_H
#define BUSBAR_SIM_REPORT_H

#include "base/err.h"
#include "sim/sim.h"
#include "sim/watch.h"
#include "sim/world.h"

#define REPORT_BYTES_MAX ((size_t)64 << 20)

/* Whether a page can be written there, before hours are spent on what goes into it: ERR_IO, ERR_INVALID, with words. */
int report_check(const char *path, struct err *err);
int report_write(const struct sim_options *options, const struct sim_result *result, struct watch *watch,
                 const struct world *world, struct err *err);
/* The page itself; the caller checks `out->failed`. */
void report_page(const struct sim_options *options, const struct sim_result *result, struct watch *watch,
                 const struct world *world, struct buf *out);

#endif
