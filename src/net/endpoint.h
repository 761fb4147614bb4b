/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints: where an engine or a hub listens, as text that operators write.
 *
 * "unix:/path", "unix:/path /base", "http://host:port/base", "https://host/base". Parsing asks nobody: a name is looked up when it is dialled, on the
 * caller's loop and anew each time, so that a name server that is slow holds up nobody else, and a host that moves is found. IPv4.
 * A host has letters, digits, '.', '-' and '_' only, and a base neither blanks nor control codes.
 */
#ifndef BUSBAR_NET_ENDPOINT_H
#define BUSBAR_NET_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "net/stream.h"

#define ENDPOINT_TEXT_MAX 256

struct http_endpoint {
    char text[ENDPOINT_TEXT_MAX];
    bool is_unix;
    bool is_tls;
    char host[128]; /* or the socket's path */
    char base[128]; /* path prefix without trailing slash */
    uint16_t port;  /* 0: of a socket */
};

/* ERR_INVALID with words. */
int http_endpoint_parse(struct http_endpoint *endpoint, const char *text, struct err *err);
/* Dials it as stream_dial_tcp and its siblings do; `tls` moves to the stream, and is for endpoints with TLS. */
int http_endpoint_dial(struct stream *stream, struct loop *loop, const struct http_endpoint *endpoint,
                       struct tls_session *tls, const struct stream_events *events);

#endif
