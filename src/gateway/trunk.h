/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trunk: the uplink of a gateway's own process, one connection to its hub's door (gateway/frame.h).
 *
 * What workers post is kept, in order, until the hub has replied to it, which it does once it is durable; when the connection is
 * lost and there is another one, all of it is said again. So nothing is lost while the hub is away, and since the hub knows it by
 * its number or id nothing happens twice; it is told how old it is, so the hub knows when it was. Asks for budget are refused while the hub is away, so a gateway without its hub begins
 * nothing; what it has begun it records.
 *
 * It is ready while the hub has been heard within TRUNK_READY_MS, can record, and has sent the routes: so a key that was revoked is
 * good for that long at most. Bound: TRUNK_SAID_MAX events that are not answered; further ones are refused.
 */
#ifndef BUSBAR_GATEWAY_TRUNK_H
#define BUSBAR_GATEWAY_TRUNK_H

#include "gateway/uplink.h"
#include "net/loop.h"
#include "net/tls.h"

#define TRUNK_READY_MS 2000
#define TRUNK_SAID_MAX 65536

struct trunk;
struct routes;

struct trunk_config {
    struct loop *loop;
    const char *hub;         /* HOST:PORT */
    struct tls_context *tls; /* stays the caller's */
    struct routes *routes;
    /* The hub's routes have come, whole. */
    void (*routed)(void *ctx, const struct core *core);
    /* Whether the hub is there; told when that changes. */
    void (*in_touch)(void *ctx, bool now);
    /* The hub does not know this process any more, after it was away for too long: it has to begin anew. */
    void (*lost)(void *ctx);
    /* The hub will not have this gateway. */
    void (*refused)(void *ctx);
    void *ctx;
};

/* Dials from now on. */
int trunk_open(struct trunk **out, const struct trunk_config *config, struct err *err);
struct uplink trunk_uplink(struct trunk *trunk);
/* Events without an answer. From any thread. */
uint32_t trunk_unanswered(struct trunk *trunk);
/* No mailbox is attached any more. Closes; then the loop runs, then trunk_free. */
void trunk_close(struct trunk *trunk);
void trunk_free(struct trunk *trunk);

#endif
