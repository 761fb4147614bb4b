/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 server on one loop: listeners, connections, requests.
 *
 * A request is handed over when its body is complete (bounded by what `admit` allows for its head). The handler
 * answers once: http_respond, or http_begin, http_send ..., http_end for a stream. It may answer later; until then
 * the request is its own. If the client goes away first, on_abort is called and the request is gone after it
 * returns. A malformed message is answered with its 4xx and the connection is closed.
 *
 * Timeouts, all separate: head (from the first byte), body, idle (between requests), write stall (the client does
 * not take what is queued). Bounds: connections, bytes that a client may send ahead while its request is answered.
 */
#ifndef BUSBAR_NET_HTTP_SERVER_H
#define BUSBAR_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "net/http_message.h"
#include "net/stream.h"
#include "net/tls.h"

#define HTTP_HIGH_WATER ((size_t)256 << 10)
#define HTTP_LOW_WATER ((size_t)64 << 10)
#define HTTP_AHEAD_MAX ((size_t)64 << 10)

struct http_request;

struct http_server_config {
    uint32_t connections_max;
    uint64_t head_ms, body_ms, idle_ms, write_stall_ms;
    struct tls_context *tls; /* for TCP listeners; NULL: plain. Stays the caller's. */
    /* Head complete: the greatest body allowed, or a negative error code to refuse with. */
    int64_t (*admit)(struct http_request *request);
    void (*handle)(struct http_request *request);
    /* Error body (JSON) for refusals that the server makes itself. */
    void (*render_error)(struct buf *out, int status, const char *reason);
    void *ctx;
    bool upgrades; /* a request may ask for another protocol (http_upgrade); else that is refused */
};

struct http_server {
    struct loop *loop;
    struct http_server_config config;
    struct deadline_queue head_q, body_q, idle_q, stall_q, linger_q, rest_q;
    struct list connections;
    struct list listeners;
    uint32_t nconnections;
    uint64_t requests, refused;
    bool draining;
    char date[40]; /* of the Date field, made anew each second */
    uint64_t date_ms;
};

/* What the handler may attach; `on_abort` and `on_drain` may be NULL. */
struct http_owner {
    void *ctx;
    void (*on_abort)(struct http_request *request, void *ctx);
    void (*on_drain)(struct http_request *request, void *ctx); /* queue fell below HTTP_LOW_WATER */
};

struct http_request {
    struct http_server *server;
    struct http_owner owner;
    struct buf body;
    const char *path; /* of the target, without query; valid until http_head_drop of the message */
    size_t path_len;
    const char *query;
    size_t query_len;
    uint8_t method;    /* llhttp's HTTP_* */
    bool local;        /* came over the unix socket */
    uint32_t peer_uid; /* if local */
};

#define HTTP_HOST_CAP 64
/* HOST:PORT; false: it is not that. */
bool http_address_parse(const char *text, char host[HTTP_HOST_CAP], uint16_t *port);

void http_server_init(struct http_server *server, struct loop *loop, const struct http_server_config *config);
/* host may be a name; several servers may listen on one port (SO_REUSEPORT). port 0 picks one: *port is set. */
int http_listen_tcp(struct http_server *server, const char *host, uint16_t *port, struct err *err);
int http_listen_unix(struct http_server *server, const char *path, struct err *err);
/* Closes listeners and idle connections; what runs may finish. */
void http_server_drain(struct http_server *server);
/* Cuts what is left. The memory may go once the loop has run out of handles. */
void http_server_close(struct http_server *server);

/* The member of the network that asks, net/tls.h; NULL: it showed no certificate. */
const char *http_request_peer(const struct http_request *request);
/* SHA-256 of that one's key; false: there is none. */
bool http_request_peer_key(const struct http_request *request, uint8_t digest[TLS_DIGEST_SIZE]);
const char *http_request_field(const struct http_request *request, const char *name, size_t *len);
/* Frees the head, whose fields and path are dead from here on: for answers that take long. */
void http_request_trim(struct http_request *request);

/* `fields`: further header lines, each ending in CRLF, or "". Ends the request. */
void http_respond(struct http_request *request, int status, const char *type, const char *fields,
                  const void *body, size_t len);
/* The same with a body that was written just now; one that did not fit in memory is no answer, not even in part: 503. */
void http_answer(struct http_request *request, int status, const char *type, const char *fields,
                 const struct buf *body);
void http_begin(struct http_request *request, int status, const char *type, const char *fields);
/* One chunk. Returns false when the queue is above HTTP_HIGH_WATER: stop until on_drain. */
bool http_send(struct http_request *request, const void *data, size_t len);
/* The last chunk, perhaps with data, and the end of the request. */
void http_end(struct http_request *request, const void *data, size_t len);
/* Answers 101 and gives the connection up: from now on it is the caller's, who sets its events and closes it. In on_closed it
 * is freed with http_upgraded_free. NULL, and nothing has happened: the client has sent more than the request, or is gone. */
struct stream *http_upgrade(struct http_request *request, const char *protocol);
void http_upgraded_free(struct stream *stream);
/* Cuts the connection: the client sees an answer that is not complete. Ends the request; no on_abort. */
void http_cut(struct http_request *request);
/* Bytes of all answers on this connection, framing included, that the socket has taken; and that were handed over. */
uint64_t http_taken(const struct http_request *request);
uint64_t http_given(const struct http_request *request);

#endif
