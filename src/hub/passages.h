/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passages: how a gateway elsewhere reaches replicas, through the hub (net/tunnel.h).
 *
 * A gateway keeps idle connections to the door, POST /gateway/v1/passage with Upgrade. When it has a request it names the replica
 * in one line; the hub takes a slot of that replica, as for a request of its own, dials it, or the portal of its site, and joins
 * the two (net/splice.h). So an engine never gets more than it has slots, over all doors. One request a connection: with it the
 * slot is given back. Where no slot is free it waits in the model's queue, PASSAGE_WAIT_MS at most.
 *
 * Bounds: PASSAGES_MAX connections of all gateways. Runs on the door's loop.
 */
#ifndef BUSBAR_HUB_PASSAGES_H
#define BUSBAR_HUB_PASSAGES_H

#include <yyjson.h>

#include "base/err.h"
#include "gateway/gateway.h"
#include "net/loop.h"
#include "net/tunnel.h"

#define PASSAGES_MAX 8192
#define PASSAGE_WAIT_MS 30000

struct passages;
struct trunks;
struct visit;

struct passages_config {
    struct loop *loop;
    struct gateway *gateway;        /* whose slots they take */
    struct tls_context *engine_tls; /* to engines at https URLs */
    const struct trunks *trunks;    /* who does not speak there has no requests */
};

int passages_open(struct passages **out, const struct passages_config *config, struct err *err);
/* Of the door's table of calls. */
int passages_take(struct visit *visit, yyjson_val *root, struct err *err);
/* Cuts those of a gateway; NULL: all. */
void passages_cut(struct passages *passages, const struct uuid *gateway);
/* Cuts all. Then the loop runs, then passages_free. */
void passages_close(struct passages *passages);
void passages_free(struct passages *passages);

#endif
