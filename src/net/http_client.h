/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 client on one loop: calls to engines, over kept connections.
 *
 * A call sends one prepared request and reports head, body pieces and end. Connections are kept per endpoint and used
 * again. If a kept connection turns out closed before any byte of the answer, the call is sent once more on a fresh
 * one: that is the only retry. Timeouts, all separate: connect, first byte of the answer, between bytes.
 *
 * Ownership: the call belongs to the client from http_call to on_end or http_call_cancel; its owner then forgets it.
 * Endpoints are shared by all threads and outlive the calls; kept connections are the client's own.
 */
#ifndef BUSBAR_NET_HTTP_CLIENT_H
#define BUSBAR_NET_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "net/endpoint.h"
#include "net/http_message.h"
#include "net/stream.h"

struct http_client;
struct http_call;

struct http_call_events {
    /* Answer's head: status, and fields through http_call_field until it returns. */
    void (*on_head)(struct http_call *call, int status);
    void (*on_body)(struct http_call *call, const char *data, size_t len);
    /* 0: the answer is complete. ERR_UNAVAILABLE: no connection came about, so nothing was sent. Else ERR_UPSTREAM or
     * ERR_TIMEOUT. The call is gone after it. */
    void (*on_end)(struct http_call *call, int rc);
};

struct http_client_config {
    uint64_t connect_ms, first_byte_ms, between_ms, idle_ms;
    uint32_t idle_max;       /* kept connections per endpoint */
    struct tls_context *tls; /* for https endpoints; stays the caller's */
};

struct http_body {
    const char *data;
    size_t len;
};

int http_client_new(struct http_client **out, struct loop *loop, const struct http_client_config *config);
/* Another time for the first byte of the answer; asserts that no call waits for one. */
void http_client_patience(struct http_client *client, uint64_t first_byte_ms);
/* Cuts calls without on_end, closes kept connections; frees once the loop has run. */
void http_client_free(struct http_client *client);

/* Sends `request`, whose bytes move to the call, and then `body`, which stays the caller's and must not change until
 * on_head, on_end or http_call_cancel. NULL when out of memory. */
struct http_call *http_call(struct http_client *client, const struct http_endpoint *endpoint,
                            struct buf *request, struct http_body body, const struct http_call_events *events,
                            void *ctx);
void *http_call_ctx(const struct http_call *call);
const char *http_call_field(const struct http_call *call, const char *name, size_t *len);
/* Whether a byte of the answer has come. */
bool http_call_answered(const struct http_call *call);
/* Closes the connection at once, so the engine stops; no callback follows. */
void http_call_cancel(struct http_call *call);
/* Back-pressure: stops and resumes reading the answer. */
void http_call_pause(struct http_call *call);
void http_call_resume(struct http_call *call);

/* Head of a request to this endpoint with a body of `len` bytes. */
void http_request_head(struct buf *out, const struct http_endpoint *endpoint, const char *method,
                       const char *path, const char *fields, size_t len);

#endif
