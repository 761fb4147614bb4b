/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pass of the fast loop, for the files that make one: core/dispatch.c has the order and the start, core/backfill.c who is
 * looked at and who may pass whom.
 *
 * Lanes that are to be tried are on the heap of their tenant's turn, turns on the heap of the pass. Between tenants the
 * one with the least dominant share is next, in a turn the lane whose candidate is first. A turn is taken off while one of its
 * lanes is tried, since what that starts changes the tenant's share; if it stops another's work, that one's turn is put
 * where it belongs now (turn_reweigh).
 */
#ifndef BUSBAR_CORE_PASS_H
#define BUSBAR_CORE_PASS_H

#include "core/state.h"

/* NO_ROOM: there is no place for the effects or shares of a start in this step. */
enum tried { STARTED, NO_FIT, NO_ROOM };

/* Starts a lane's candidate where that is best among the pools that are not closed. */
enum tried try_start(struct core *core, uint32_t lane, const uint64_t *closed);
/* What work of a reach asks of a pool; no chips: it may not use it. */
struct ask pool_ask(const struct core *core, const struct reach *reach, uint32_t pool);
uint32_t lane_index(const struct core *core, const struct lane *lane);

/* Lists a lane for the pass, once, before turns_begin. `plain`: only because there is room that nobody has a reservation on. */
void turns_list(struct core *core, struct lane *lane, bool plain);
/* Lists a lane with the job `node` as its candidate. */
void turns_add(struct core *core, struct lane *lane, struct queue_node *node);
void turns_begin(struct core *core);
/* The lane to try next, with its turn taken off; turn_push puts that back. NULL: all were tried. */
struct lane *next_lane(struct core *core, struct turn **turn);
void turn_push(struct core *core, struct turn *turn);
/* Puts a lane among those of its turn, with the job `node`; leaves it out when that is NULL. */
void lane_push(struct core *core, struct lane *lane, struct queue_node *node);
/* Ends a pass early: nobody is left among those to try. */
void turns_drop(struct core *core);
/* The same while a turn is taken off. */
void turns_clear(struct core *core, struct turn *turn);

/* One pass with backfilling. False: there was no room for a start in this step. */
bool pass_backfill(struct core *core);

#endif
