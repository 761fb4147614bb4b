/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes: what a gateway's own process matches requests against, from the rows that its hub sends (gateway/frame.h).
 *
 * The rows fill a core that nothing steps; of that a snapshot is made as in the hub's own process. Rows come in the order of
 * their kinds, between routes_begin and routes_end; a set that is not whole, or does not load, changes nothing.
 */
#ifndef BUSBAR_GATEWAY_ROUTES_H
#define BUSBAR_GATEWAY_ROUTES_H

#include "base/err.h"
#include "core/core.h"
#include "gateway/portals.h"

struct routes;

/* `portals`: replicas are called at theirs. */
struct routes *routes_new(struct portals *portals);
void routes_free(struct routes *routes);

int routes_begin(struct routes *routes);
/* The row may be changed. ERR_CORRUPT or ERR_LIMIT: the set is not loaded. */
int routes_row(struct routes *routes, uint32_t kind, void *row);
/* With the number of rows that came. 0: the core holds them, until the next routes_begin. */
int routes_end(struct routes *routes, uint64_t n, const struct core **core);

#endif
