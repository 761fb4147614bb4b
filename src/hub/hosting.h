/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosting: models at sites. What a site should serve is told with its orders (hub/desk.h), and the site tells in what state
 * that is; of members at the door:
 *
 *   POST /site/v1/replicas  states of the site's replicas, and totals of what they drew; answered when they are durable
 *   POST /site/v1/tunnel    the connection becomes a tunnel (hub/tunnels.h)
 *
 * Lists and reports are by level, not by edge: the list is all that there should be, under a version that is another after every change,
 * and the site asks for it when it has another one; a report is all that there is. So either side may forget, and what is
 * said twice changes nothing. A site whose tunnels are gone has its replicas told to be out of touch, and tells them anew
 * when it is back.
 */
#ifndef BUSBAR_HUB_HOSTING_H
#define BUSBAR_HUB_HOSTING_H

#include "hub/visit.h"
#include "runtime/asks.h"
#include "runtime/runtime.h"

struct hosting;

struct hosting_config {
    struct loop *loop;
    struct runtime *runtime;
    struct mailbox *box; /* the door's, and its asks */
    struct asks *asks;
    const char *run_dir; /* of sockets; stays the caller's */
    uint32_t (*busy)(void *ctx, const struct uuid *deployment,
                     uint32_t ordinal); /* requests that a replica answers */
    void *busy_ctx;
    /* Whether the site is not heard of for so long that it hangs, or its link does: its tunnels are cut. */
    bool (*silent)(void *ctx, const struct uuid *site);
    /* What should be served has changed: sites that wait for orders ask again. */
    void (*changed)(void *ctx);
    void *ctx;
};

int hosting_open(struct hosting **out, const struct hosting_config *config, struct err *err);
/* REPLICA_START and REPLICA_STOP; the others are not its business. */
void hosting_effect(struct hosting *hosting, const struct effect *effect);
/* Of what should be served, anywhere. Never 0. */
uint64_t hosting_version(const struct hosting *hosting);

/* What a site should serve. */
struct hosting_list;
/* On the core thread. NULL when out of memory. */
struct hosting_list *hosting_look(const struct core *core, const struct uuid *site);
/* Adds the member `replicas` to an answer. */
void hosting_answer(struct hosting *hosting, const struct uuid *site, const struct hosting_list *list,
                    uint64_t version, struct buf *out);
void hosting_list_free(struct hosting_list *list);

/* What the site says of itself: whether models can be served there. */
void hosting_says(struct hosting *hosting, const struct uuid *site, bool can);
/* From any thread: 1, it can; 0, it cannot; -1: it has not said in this run of the hub. */
int hosting_can(struct hosting *hosting, const struct uuid *site);

/* Calls, as the door takes them. */
int hosting_take_report(struct visit *visit, yyjson_val *root, struct err *err);
int hosting_take_tunnel(struct visit *visit, yyjson_val *root, struct err *err);

/* Then the loop runs, then hosting_free. */
void hosting_close(struct hosting *hosting);
void hosting_free(struct hosting *hosting);

#endif
