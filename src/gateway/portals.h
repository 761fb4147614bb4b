/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Portals: how the workers of a gateway's own process reach replicas, which is through the hub (hub/passages.h).
 *
 * Each replica has a unix socket here, in front of which a worker stands as before that of an engine. Connections to the hub's
 * door wait idle, PORTALS_IDLE of them and one more for each two in use, since a new one takes three round trips. Who
 * connects at a portal is given one, on which the replica is named by one line, and from then on bytes go through (net/splice.h).
 * One request uses a connection up.
 *
 * Who finds none idle waits for PORTALS_WAIT_MS, then is closed. Bounds: PORTALS_MAX connections. Runs on one loop.
 */
#ifndef BUSBAR_GATEWAY_PORTALS_H
#define BUSBAR_GATEWAY_PORTALS_H

#include "base/err.h"
#include "core/schema.h"
#include "net/loop.h"
#include "net/tls.h"

#define PORTALS_IDLE 8
#define PORTALS_MAX 4096
#define PORTALS_WAIT_MS 10000

struct portals;

struct portals_config {
    struct loop *loop;
    const char *hub;         /* HOST:PORT */
    struct tls_context *tls; /* stays the caller's */
    const char *run_dir;     /* of the sockets, short enough for their names; stays the caller's */
};

int portals_open(struct portals **out, const struct portals_config *config, struct err *err);
/* A new set of replicas begins: those before are marked. */
void portals_mark(struct portals *portals);
/* Opens the portal of a replica that is ready, and sets its endpoint to that. */
int portals_place(struct portals *portals, struct row_replica *replica);
/* Closes portals that are marked still. */
void portals_sweep(struct portals *portals);
/* Whether connections are to wait for use: the hub is there. */
void portals_want(struct portals *portals, bool wanted);
/* Closes all. Then the loop runs, then portals_free. */
void portals_close(struct portals *portals);
void portals_free(struct portals *portals);

#endif
