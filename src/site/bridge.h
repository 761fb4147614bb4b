/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bridge: the site's end of the tunnels through which its hub reaches replicas (net/tunnel.h).
 *
 * While there is something to reach, BRIDGE_IDLE connections to the hub's door wait, and one more for each two in use: a
 * new one takes three round trips, so a distant site would be behind a burst with a number that does not grow. When the hub names a replica on one, the
 * replica's socket, or the port of its node, is dialled and the two become one (net/splice.h); another connection takes its place at once. A hub that
 * is not reached is tried again with growing pauses. Bounds: BRIDGE_MAX connections; BRIDGE_DIAL_MS until one is a tunnel.
 */
#ifndef BUSBAR_SITE_BRIDGE_H
#define BUSBAR_SITE_BRIDGE_H

#include "net/loop.h"
#include "net/tls.h"
#include "net/tunnel.h"
#include "site/replica_jobs.h"

#define BRIDGE_IDLE 8
#define BRIDGE_MAX 512
#define BRIDGE_DIAL_MS 10000

struct bridge;

struct bridge_config {
    struct loop *loop;
    const char *hub;         /* HOST:PORT */
    struct tls_context *tls; /* stays the caller's */
    /* The path of the socket of a replica that answers; "": it is reached by `way`; NULL: there is none such here. */
    const char *(*find)(void *ctx, const struct tunnel_target *target, struct replica_way *way);
    void *ctx;
};

int bridge_open(struct bridge **out, const struct bridge_config *config, struct err *err);
/* Whether connections are to wait for the hub. Those in use go on. */
void bridge_want(struct bridge *bridge, bool wanted);
/* The hub is not heard of: ways that are open lead nowhere, and what answers on them stops. */
void bridge_cut(struct bridge *bridge);
/* Closes all; the memory goes with bridge_free, once the loop has run. */
void bridge_close(struct bridge *bridge);
void bridge_free(struct bridge *bridge);

#endif
