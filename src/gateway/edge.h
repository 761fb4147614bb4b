/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edge: the role `busbar gateway run`, a second door near tenants. It has joined a hub's network as a site does
 * (site/identity.h), keeps its certificate fresh, and serves the OpenAI surface through the hub: its workers speak with the
 * core over a trunk (gateway/trunk.h), and with replicas through portals (gateway/portals.h).
 *
 * It keeps nothing that a restart loses: what is not recorded when it dies was not delivered whole, and what its leases held is
 * free again when its next process calls. It listens from when the hub has told it the routes.
 */
#ifndef BUSBAR_GATEWAY_EDGE_H
#define BUSBAR_GATEWAY_EDGE_H

#include <stdint.h>

#include "base/err.h"

struct edge_options {
    const char *data_dir;
    const char *listen;             /* HOST:PORT */
    const char *tls_cert, *tls_key; /* NULL: plain */
    const char *engines;            /* file; NULL: the bundled one */
    uint32_t workers;               /* 0: one a core, at most four */
    uint32_t drain_s;
    uint32_t queue_max;
};

/* Runs until SIGTERM or SIGINT. Returns 0, or ERR_FORBIDDEN when the hub will not have this gateway any more; a hub that is not
 * reached is tried again and again. */
int edge_run(const struct edge_options *options, struct err *err);

#endif
