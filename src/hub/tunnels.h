/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnels: how the gateway reaches replicas at sites, which only dial out.
 *
 * A site keeps a few idle connections to the hub (net/tunnel.h). For each of its replicas the hub has a unix socket, a
 * portal, in front of which the gateway stands as before that of an engine of its own machine. Who connects there is given
 * an idle tunnel, is announced on it by one line, and from then on bytes go through, both ways (net/splice.h). The site
 * sees to it that there are idle ones again.
 *
 * A portal listens only while its site has a tunnel: so where a site is gone a connection is refused, nothing has been
 * sent, and the gateway tries another replica. Who finds all tunnels taken waits for TUNNELS_WAIT_MS, then is closed.
 *
 * Bounds: TUNNELS_SITE_MAX connections of a site. Runs on the door's loop.
 */
#ifndef BUSBAR_HUB_TUNNELS_H
#define BUSBAR_HUB_TUNNELS_H

#include "base/digest.h"
#include "core/limits.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "net/tunnel.h"

#define TUNNELS_SITE_MAX 512
#define TUNNELS_WAIT_MS 10000 /* further ones take three round trips; where none is left it ends at once */
#define TUNNELS_GRACE_MS 2000 /* a site without tunnels counts as served by them for so long */

struct tunnels;

/* `run_dir`: of the sockets; stays the caller's, and short enough for their names. */
int tunnels_open(struct tunnels **out, struct loop *loop, const char *run_dir, struct err *err);
/* The request's connection becomes a tunnel of the site, which has joined with this key; those of a key before are cut.
 * ERR_LIMIT, ERR_INVALID: it is the caller's still. */
int tunnels_add(struct tunnels *tunnels, const struct uuid *site, const uint8_t key[DIGEST_LEN],
                struct http_request *request);
bool tunnels_any(const struct tunnels *tunnels, const struct uuid *site);
/* Opens the replica's portal if need be; `endpoint` is how the gateway calls it. ERR_UNAVAILABLE: the site has no tunnel. */
int tunnels_portal(struct tunnels *tunnels, const struct uuid *site, const struct tunnel_target *target,
                   char endpoint[TEXT_CAP], struct err *err);
/* Closes the site's portals but for these. */
void tunnels_keep(struct tunnels *tunnels, const struct uuid *site, const struct tunnel_target *keep,
                  uint32_t n);
/* Cuts all of the site's. */
void tunnels_cut(struct tunnels *tunnels, const struct uuid *site);

struct tunnels_site {
    struct uuid site;
    uint8_t key[DIGEST_LEN];
};
/* Sites that have tunnels, or had a moment ago; at most `max` of them. Returns how many. */
uint32_t tunnels_sites(const struct tunnels *tunnels, struct tunnels_site *out, uint32_t max);

/* Closes all. Then the loop runs, then tunnels_free. */
void tunnels_close(struct tunnels *tunnels);
void tunnels_free(struct tunnels *tunnels);

#endif
