/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Link: a site's connection to its hub, over TLS as a member of the network. JSON both ways, one call at a time.
 */
#ifndef BUSBAR_SITE_LINK_H
#define BUSBAR_SITE_LINK_H

#include <yyjson.h>

#include "base/buf.h"
#include "net/http_client.h"
#include "net/tls.h"
#include "site/gauge.h"

#define LINK_BODY_MAX ((size_t)4 << 20) /* the hub takes 1 MiB, of what is kept of jobs 4 */
#define LINK_ANSWER_MAX ((size_t)8 << 20)

struct link;
/* 0: `answer` is the hub's, an object, valid during the call. ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_UPSTREAM: the hub was not
 * reached, or is not whom we know. ERR_CORRIDOR: not now. Else the hub refused, with its words: ERR_FORBIDDEN or ERR_UNAUTHENTICATED where it
 * will not have us. The link is free again. */
typedef void link_fn(void *ctx, const struct err *err, yyjson_val *answer);

/* `hub`: HOST:PORT. `tls` stays the caller's, and outlives the link. */
int link_open(struct link **out, struct loop *loop, const char *hub, struct tls_context *tls,
              struct err *err);
/* Sends the body, of at most LINK_BODY_MAX; asserts that no call is under way. */
void link_post(struct link *link, const char *path, const struct buf *body, link_fn *fn, void *ctx);
/* The same for an answer that is bytes, LINK_ANSWER_MAX at most; they are the link's, until its next call. */
typedef void link_bytes_fn(void *ctx, const struct err *err, const char *data, size_t len);
void link_fetch(struct link *link, const char *path, const struct buf *body, link_bytes_fn *fn, void *ctx);
bool link_busy(const struct link *link);
/* Bytes that come by link_fetch, and bodies that go, are told to the gauge, which outlives the link. */
void link_watch(struct link *link, struct gauge *gauge);
/* How long the next calls wait for the hub to begin its answer, ms. No call is under way. */
void link_patience(struct link *link, uint64_t ms);
/* A call under way ends without its function; the memory goes once the loop has run. */
void link_close(struct link *link);

#endif
