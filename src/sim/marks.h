/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks: the moments of a simulation that its report names: drills, deliveries, what a network file loses or cordons.
 *
 * A drill is called what its option says, so that a new kind of drill needs nothing here. Everything does nothing when rec is
 * NULL.
 */
#ifndef BUSBAR_SIM_MARKS_H
#define BUSBAR_SIM_MARKS_H

#include "sim/drill.h"
#include "sim/record.h"
#include "sim/stock.h"

void marks_drills(struct record *rec, const struct drills *drills);
/* The mark of the drill that happens now, or happened last; RECORD_NONE when there is none. */
uint32_t marks_drill_at(const struct record *rec, int64_t now_ms);
/* An event of the network itself that the core accepted, and the stock knows. */
void marks_event(struct record *rec, const struct stock *stock, const struct event *event);

#endif
