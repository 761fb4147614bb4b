/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers: how a cluster's head reaches workers of other sites, through the hub; of members at the door:
 *
 *   POST /site/v1/peer, with Upgrade: busbar-peer, and deployment, ordinal and epoch of the worker in its body
 *
 * Workers trust whoever reaches them, so a connection is made for nobody but the site that has the head of that very cluster, while a
 * plan is in force of which the worker is a part under that epoch: core is asked each time. The worker's end is its portal (hub/tunnels.h), or its
 * socket on the hub's own machine. The site ends its head with the plan; and what an
 * earlier head still has open is cut when the next one begins, and all of a site's when it is not heard of.
 *
 * Bounds: PEERS_MAX connections of all sites. Runs on the door's loop.
 */
#ifndef BUSBAR_HUB_PEERS_H
#define BUSBAR_HUB_PEERS_H

#include "hub/visit.h"
#include "net/loop.h"

#define PEERS_MAX 1024

struct peers;

int peers_open(struct peers **out, struct loop *loop, struct err *err);
/* Of the door's table of calls. */
int peers_take(struct visit *visit, yyjson_val *root, struct err *err);
/* Cuts those of a head at the site. */
void peers_cut(struct peers *peers, const struct uuid *site);
/* Cuts those to workers of the deployment. */
void peers_part(struct peers *peers, const struct uuid *deployment);
/* Cuts all. Then the loop runs, then peers_free. */
void peers_close(struct peers *peers);
void peers_free(struct peers *peers);

#endif
