/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of net/http_server.h; between http_server.c, which runs it, and http_listen.c, which accepts it. */
#ifndef BUSBAR_NET_HTTP_CONN_H
#define BUSBAR_NET_HTTP_CONN_H

#include "net/http_server.h"

enum conn_state { CONN_IDLE, CONN_READING, CONN_HANDLING, CONN_CLOSING };

struct http_conn {
    struct stream stream; /* first: a stream pointer is a connection pointer */
    struct http_request request;
    struct http_message message;
    struct deadline deadline;
    struct list node;
    struct buf ahead; /* bytes of the next request, while this one is answered */
    size_t body_max;
    uint64_t stall_taken; /* http_taken when the stall time began */
    enum conn_state state;
    bool keep_alive;
    bool streaming;
    bool chunked;
    bool stalled;   /* the queue passed the high-water mark */
    bool lingering; /* last bytes are on their way out, then close */
    bool refused;   /* close only when the client has seen the answer: it may still be sending */
    bool in_next;   /* conn_next is at work on this connection */
};

/* Takes over an accepted descriptor; the connection is on the server's list and reads nothing yet. NULL, and the
 * descriptor closed, when it could not be. */
struct http_conn *http_conn_new(struct http_server *server, int fd, bool is_unix);
void http_conn_close(struct http_conn *conn);
void http_listeners_close(struct http_server *server);
/* Of the server's rest_q: descriptors may be there again. */
void http_listener_rested(struct deadline *deadline);

#endif
