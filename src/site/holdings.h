/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holdings: tells the hub which blobs the site's cache has, so that an operator sees which models' weights are where.
 *
 * The cache's folder is looked at when the cache has got one (site/cache.h), and every HOLDINGS_MS, since blobs come and go in other ways
 * too: on a thread, and no further than at the folder's time of change, but for one look in HOLDINGS_WHOLE. The hub is told when there is something else in it than it was told, and anew when it has forgotten us: the
 * HOLDINGS_MAX largest, as weights are larger than most. Runs on the loop that it is given.
 */
#ifndef BUSBAR_SITE_HOLDINGS_H
#define BUSBAR_SITE_HOLDINGS_H

#include "site/cache.h"
#include "site/outbox.h"

#define HOLDINGS_MS 5000
#define HOLDINGS_WHOLE 12
#define HOLDINGS_MAX 64
#define HOLDINGS_PATH "/site/v1/cached"

struct holdings;

/* Both outlive it. */
int holdings_new(struct holdings **out, struct loop *loop, struct cache *cache, struct outbox *outbox,
                 struct err *err);
/* The hub knows nothing of what it was told. */
void holdings_forgotten(struct holdings *holdings);
void holdings_close(struct holdings *holdings);
/* After the loop has run. */
void holdings_free(struct holdings *holdings);

#endif
