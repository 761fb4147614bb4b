/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trunks: the hub's end of what gateways say (gateway/frame.h). One connection of a gateway, POST /gateway/v1/trunk with
 * Upgrade, and on it what its workers would post to the runtime if they were here.
 *
 * A gateway says only what a gateway may: worker_join, lease_ask, lease_return and meter, of its own workers, and that somebody
 * waits for a model that has no replica (service_demand); anything else ends the connection. What is numbered (lease_return, meter) and worker_join go to the core in the order in which they came, and the
 * next of them only once those before are durable or refused. So a gateway that was not answered repeats all, in order, and what
 * happened before is told by its number.
 *
 * The routes are sent whole, as rows, within TRUNKS_LOOK_MS of each change; keys as hashes. A gateway's process is its session
 * (core/gateway.c): one whose process is not heard of for lease_ms has none any more, and its leases are void. Who is no member
 * any more is cut off, and so is a connection on which nobody greets, or speaks before that. Runs on the door's loop.
 */
#ifndef BUSBAR_HUB_TRUNKS_H
#define BUSBAR_HUB_TRUNKS_H

#include <yyjson.h>

#include "base/err.h"
#include "gateway/gateway.h"
#include "net/loop.h"

#define TRUNKS_LOOK_MS 100
#define TRUNK_PENDING_MAX 65536 /* events of one gateway that are not posted yet */
#define TRUNK_WORKERS_MAX 64
#define TRUNK_SILENCE_MS 10000 /* a gateway says something at least every second */
#define TRUNK_HELLO_MS 5000    /* by when it has said who it is */
#define TRUNK_STRANGERS_MAX 4  /* connections of one gateway that have not */

struct trunks;
struct visit;

struct trunks_config {
    struct loop *loop;
    struct runtime *runtime;
    struct gateway *gateway; /* whose routes are sent */
    uint64_t lease_ms;
    /* This gateway is no member any more. */
    void (*out)(void *ctx, const struct uuid *gateway);
    void *ctx;
};

int trunks_open(struct trunks **out, const struct trunks_config *config, struct err *err);
/* Of the door's table of calls. */
int trunks_take(struct visit *visit, yyjson_val *root, struct err *err);
/* Whether the gateway is there, and its process is known. */
bool trunks_speaks(const struct trunks *trunks, const struct uuid *gateway);
/* Cuts all. Then the loop runs, then trunks_free. */
void trunks_close(struct trunks *trunks);
void trunks_free(struct trunks *trunks);

#endif
