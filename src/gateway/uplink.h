/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uplink: how workers reach the core. In the hub's own process it is the runtime; in a gateway's it is the trunk
 * (gateway/trunk.h), one connection to the hub's door.
 *
 * Either way: every event that was taken and carries a token gets exactly one reply, in the worker's mailbox; ERR_UNAVAILABLE means
 * that it did not happen. A trunk may take long over a reply, since it keeps what it has taken while the hub is away, and it may
 * reply ERR_DUPLICATE to what is numbered: then it happened, and the answer was lost.
 */
#ifndef BUSBAR_GATEWAY_UPLINK_H
#define BUSBAR_GATEWAY_UPLINK_H

#include "runtime/runtime.h"

struct uplink_ops {
    /* As runtime_attach, runtime_detach and runtime_post_all. */
    int (*attach)(void *ctx, struct mailbox *box);
    void (*detach)(void *ctx, struct mailbox *box);
    int (*post)(void *ctx, const struct event *events, uint32_t n);
    /* What was posted with the same token and is not answered yet is said so when it is said again. NULL: nothing is said again. */
    void (*amend)(void *ctx, const struct event *event);
    /* Whether new requests may begin: what they use can be recorded. From any thread. */
    bool (*ready)(void *ctx);
};

struct uplink {
    const struct uplink_ops *ops;
    void *ctx;
    struct runtime *runtime; /* in the hub's own process, for queries of the state; else NULL */
};

struct uplink uplink_runtime(struct runtime *runtime);

#endif
