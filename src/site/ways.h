/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways from a cluster's head here to its workers at other sites, through the hub (hub/peers.h).
 *
 * Each such worker has a unix socket here, 0600 in a folder of ours, that looks to the head as a worker of its own site does. Who
 * connects to it is given a connection to the hub's door (TLS 1.3, certificates on both sides) on which the worker was named; the hub makes it one with a
 * tunnel of the worker's site, or refuses, and then the head sees that the worker is gone. Bounds: WAYS_MAX sockets, and as
 * many connections as heads open. Runs on the loop that it is given.
 */
#ifndef BUSBAR_SITE_WAYS_H
#define BUSBAR_SITE_WAYS_H

#include "engine/command.h"
#include "net/loop.h"
#include "net/tls.h"
#include "net/tunnel.h"

#define WAYS_MAX 256

struct ways;

struct ways_config {
    struct loop *loop;
    const char *hub;         /* HOST:PORT */
    struct tls_context *tls; /* stays the caller's */
    const char *run_dir;     /* of sockets; as well */
};

int ways_open(struct ways **out, const struct ways_config *config, struct err *err);
/* Where the worker is reached from now on. ERR_LIMIT, ERR_IO with words. */
int ways_to(struct ways *ways, const struct tunnel_target *worker, char socket[COMMAND_SOCKET_CAP],
            struct err *err);
/* The head of that deployment is over: so are its ways. */
void ways_end(struct ways *ways, const struct uuid *deployment);
/* Closes all; the memory goes with ways_free, once the loop has run. */
void ways_close(struct ways *ways);
void ways_free(struct ways *ways);

#endif
