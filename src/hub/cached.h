/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cached: which blobs the caches of sites have, as their agents tell (site/holdings.h); of those that are weights of a model the hub
 * knows the model. Nothing is decided by it, so it is kept in memory only: after a start of the hub nothing is known until
 * agents have called. A site tells all of it at once, HOLDINGS_MAX blobs at most.
 *
 *   POST /site/v1/cached   {"cached": [{"sha256", "size"}, ...]}
 */
#ifndef BUSBAR_HUB_CACHED_H
#define BUSBAR_HUB_CACHED_H

#include "core/core.h"
#include "hub/visit.h"

struct cached;

struct cached *cached_new(void); /* aborts when out of memory: once, at the start */
void cached_free(struct cached *cached);
int cached_take(struct visit *visit, yyjson_val *root, struct err *err);
/* Adds `"cached":[...]` with a comma before it; null: the site has not said. On the core's thread. */
void cached_render(struct cached *cached, const struct core *core, const struct uuid *site, struct buf *out);

#endif
