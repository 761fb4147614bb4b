/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Totals: what the replicas of a site have drawn, and what of that its hub has not heard (hub/hosting.h).
 *
 * One total for each replica and epoch, of the run that it is in. It is told with the states, in parts where there are many, and
 * again until the hub has it; one that was the last of its epoch is forgotten then. Totals of replicas that nobody runs any more and
 * that said nothing last go with the agent. Runs on the loop of its replicas.
 */
#ifndef BUSBAR_SITE_TOTALS_H
#define BUSBAR_SITE_TOTALS_H

#include "base/buf.h"
#include "engine/serve.h"

#define TOTALS_CALL_MAX 256 /* totals of one call */

struct totals;

struct totals *totals_new(void);
void totals_free(struct totals *totals);
/* True: there is something that the hub has not heard. */
bool totals_take(struct totals *totals, const struct serve_used *used);
/* Adds what is to be told, elements of an array. */
void totals_add(struct totals *totals, struct buf *out);
/* The hub has what was added last. True: there is more to be told. */
bool totals_told(struct totals *totals);

#endif
