/* SPDX-License-Identifier: Apache-2.0 */
/* Between trunks.c, which hears gateways, and trunk_routes.c, which tells them what requests are matched against. */
#ifndef BUSBAR_HUB_TRUNK_H
#define BUSBAR_HUB_TRUNK_H

#include "base/digest.h"
#include "core/view.h"
#include "gateway/frame.h"
#include "hub/trunks.h"

#define QUEUED_MAX ((size_t)64 << 20)  /* sent and not taken */
#define ROUTES_MAX ((size_t)256 << 20) /* all rows, as frames */

/* Requests at a gateway that wait for a replica of this deployment. */
struct asking {
    struct uuid service;
    uint32_t waiting;
};

struct trunk {
    struct trunks *trunks;
    struct list node;
    struct stream *stream;
    struct uuid gateway, session;
    uint8_t key[DIGEST_LEN];
    struct buf in;
    struct event *pending; /* in order, until they are posted */
    uint32_t npending, cap;
    uint32_t waiting; /* of those that were posted and go in order, without a reply yet */
    struct uuid worker[TRUNK_WORKERS_MAX];
    uint32_t nworkers, joins;
    struct asking *asking; /* those for which somebody waits */
    uint32_t nasking, asking_cap;
    uint32_t refs; /* of the connection, and of each thing that is under way */
    uint64_t opened_ms, heard_ms;
    bool greeting, greeted, known, cut;
};

/* A gateway that has a session. */
struct session_age {
    struct uuid gateway, session;
    uint64_t heard_ms; /* boot time */
};

struct trunks {
    struct trunks_config config;
    struct list list;
    struct mailbox box;
    struct asks asks;
    uv_timer_t timer;
    bool closing, looking;
    uint64_t version, looked_ms; /* of the routes that were read last, and when */
    struct buf routes;           /* as frames, once they are durable */
    bool routed;
    /* Of a look: the routes, and who still is a member, has a session. */
    struct buf fresh;
    uint64_t fresh_version;
    struct session_age found[GATEWAYS_MAX];
    uint8_t key[GATEWAYS_MAX][DIGEST_LEN];
    bool member[GATEWAYS_MAX];
    uint32_t nfound;
    struct session_age *age;
    uint32_t nages;
};

void trunk_cut(struct trunk *trunk, const char *why);
void trunk_send(struct trunk *trunk, struct buf *frames);
/* The routes that are known; where there are none yet they follow. */
void trunks_send_routes(struct trunks *trunks, struct trunk *trunk);
/* Looks whether the routes have changed, who is out, and whose session is over. */
void trunks_follow(struct trunks *trunks);

/* trunk_demand.c: so many requests there wait for a replica. False: it cannot be counted. */
bool trunk_demand(struct trunk *trunk, const struct uuid *service, uint32_t waiting);
/* It is cut: nobody waits there any more, as far as the hub knows. */
void trunk_demand_over(struct trunk *trunk);

#endif
