/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door for members of the network: a listener of its own, TLS 1.3 with certificates on both sides.
 *
 *   POST /site/v1/join   a token and a request for a certificate; the only thing that is open to who has no certificate
 *   POST /site/v1/renew  a request for another certificate, for the key that the member has
 *
 * and what hub/desk.h and hub/hosting.h answer sites, hub/trunks.h and hub/passages.h gateways.
 *
 * Who a member is, its certificate alone tells; whether it still is one, the core is asked each time. Runs on the loop that
 * it is given.
 */
#ifndef BUSBAR_HUB_DOOR_H
#define BUSBAR_HUB_DOOR_H

#include <stdbool.h>

#include "hub/authority.h"
#include "net/loop.h"
#include "runtime/runtime.h"

struct door;
struct gateway;
struct cached;

struct door_config {
    struct loop *loop;
    struct runtime *runtime;
    const char *dir; /* of the authority's files */
    const char *data_dir, *blobs_dir, *specs_dir, *work_dir;
    const char *run_dir; /* of sockets */
    /* Requests that a replica still answers. */
    uint32_t (*busy)(void *ctx, const struct uuid *deployment, uint32_t ordinal);
    void *busy_ctx;
    struct gateway *gateway; /* the hub's own: what doors elsewhere follow, and whose slots they share */
    struct tls_context *engine_tls;  /* to engines at https URLs */
    const struct netfile *catalogue; /* of chips */
    uint64_t lease_ms;               /* of jobs, past the last contact */
    const char *host;                /* an address to listen on, and by which members reach it */
    uint16_t port;                   /* 0: any */
};

int door_open(struct door **out, const struct door_config *config, struct err *err);
uint16_t door_port(const struct door *door);
/* From any thread: whether the site can serve models; -1: it has not said since the hub started. */
int door_serves(struct door *door, const struct uuid *site);
/* What the site's cache has, by which cached_render (hub/cached.h) goes. */
struct cached *door_cached(struct door *door);
/* Of the network's root certificate, SHA-256. */
const uint8_t *door_root(const struct door *door);
/* No more calls; the memory goes once the loop has run out of handles, door_free. */
void door_close(struct door *door);
void door_free(struct door *door);

/* When the site was last heard of in this run of the hub, Unix ms; 0: not yet. From any thread. */
int64_t door_contact_ms(struct door *door, const struct uuid *site);

#endif
