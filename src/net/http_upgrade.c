/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that goes on with another protocol leaves the server: neither its counts nor its deadlines know of it then. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/http_conn.h"

#define SWITCH_MAX 160

struct stream *http_upgrade(struct http_request *request, const char *protocol)
{
    struct http_conn *c = list_entry(request, struct http_conn, request);
    char head[SWITCH_MAX];
    assert(c->state == CONN_HANDLING && !c->streaming);
    if (c->ahead.len > 0 || c->stream.failed || request->server->draining)
        return NULL;
    int n =
        snprintf(head, sizeof head,
                 "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol);
    assert(n > 0 && n < SWITCH_MAX);
    uv_buf_t buf = uv_buf_init(head, (unsigned)n);
    c->request.owner = (struct http_owner){0};
    c->state = CONN_CLOSING;
    deadline_disarm(&c->deadline);
    list_remove(&c->node);
    request->server->nconnections--;
    (void)stream_write(&c->stream, &buf, 1); /* a failure arrives through on_read */
    return &c->stream;
}

void http_upgraded_free(struct stream *stream)
{
    struct http_conn *c = (struct http_conn *)stream;
    http_message_fini(&c->message);
    buf_fini(&c->request.body);
    buf_fini(&c->ahead);
    free(c);
}
