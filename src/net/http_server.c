/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "net/http_conn.h"
#include "net/http_status.h"

#define HTTP_ANSWER_HEAD_MAX 2048
#define BODY_RESERVE_MAX 65536

#define ACCEPT_REST_MS 100 /* until descriptors are asked for again, when there were none */
#define LINGER_MS 1000     /* how long a refused client is listened to, so that it sees the refusal */

static struct http_conn *conn_of_request(const struct http_request *request)
{
    return list_entry(request, struct http_conn, request);
}

static struct http_conn *conn_of_message(struct http_message *m)
{
    return list_entry(m, struct http_conn, message);
}

static struct http_conn *conn_of(struct stream *stream)
{
    return (struct http_conn *)stream;
}

void http_conn_close(struct http_conn *c)
{
    if (c->state == CONN_CLOSING)
        return;
    c->state = CONN_CLOSING;
    deadline_disarm(&c->deadline);
    list_remove(&c->node);
    c->request.server->nconnections--;
    stream_close(&c->stream);
}

static void on_closed(struct stream *stream)
{
    http_upgraded_free(stream);
}

static void stall_arm(struct http_conn *c)
{
    c->stall_taken = http_taken(&c->request);
    deadline_arm(&c->deadline, &c->request.server->stall_q);
}

/* Everything was sent. After a refusal what the client still sends is read and dropped for a moment: closing with bytes
 * unread resets the connection, and the client may never see the answer (RFC 9112 section 9.6). */
static void close_written(struct http_conn *c)
{
    if (!c->refused || stream_end(&c->stream) < 0)
        http_conn_close(c);
    else
        deadline_arm(&c->deadline, &c->request.server->linger_q);
}

/* Closes once everything queued has been sent, or after the stall time. */
static void close_after_write(struct http_conn *c)
{
    c->lingering = true;
    if (stream_queued(&c->stream) == 0)
        close_written(c);
    else
        stall_arm(c);
}

/* ---- answering ---- */

static const char *date_field(struct http_server *server)
{
    uint64_t now = uv_now(&server->loop->uv);
    if (server->date[0] && now - server->date_ms < 500)
        return server->date;
    time_t t = time(NULL);
    struct tm tm;
    server->date_ms = now;
    if (!gmtime_r(&t, &tm) ||
        strftime(server->date, sizeof server->date, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
        server->date[0] = 0;
    return server->date;
}

/* Appends text to a head that is being written; a head is on the path of every answer, so no printf. */
static void put(char **at, const char *text, size_t len)
{
    memcpy(*at, text, len);
    *at += len;
}

static void put_text(char **at, const char *text)
{
    put(at, text, strlen(text));
}

static size_t write_head(struct http_conn *c, char dst[HTTP_ANSWER_HEAD_MAX], int status, const char *type,
                         const char *fields, const char *framing)
{
    const char *date = date_field(c->request.server);
    const char *reason = http_status_text(status);
    char *at = dst;
    assert(strlen(type) + strlen(fields) + strlen(framing) + strlen(reason) + strlen(date) <
           HTTP_ANSWER_HEAD_MAX - 128);
    put_text(&at, "HTTP/1.1 ");
    at += u64_format(at, (uint64_t)status, 10);
    put_text(&at, " ");
    put_text(&at, reason);
    put_text(&at, "\r\nDate: ");
    put_text(&at, date);
    put_text(&at, "\r\nContent-Type: ");
    put_text(&at, type);
    put_text(&at, "\r\n");
    put_text(&at, fields);
    put_text(&at, framing);
    put_text(&at, c->keep_alive ? "\r\n" : "Connection: close\r\n\r\n");
    return (size_t)(at - dst);
}

/* A client that does not take what is queued is cut after the stall time; that more is queued does not prolong it. */
static void watch_queue(struct http_conn *c)
{
    if (stream_queued(&c->stream) > 0 && c->deadline.queue != &c->request.server->stall_q)
        stall_arm(c);
}

static void conn_write(struct http_conn *c, const uv_buf_t *bufs, unsigned n)
{
    /* An error shows up in on_read, which every connection gets exactly once. */
    (void)stream_write(&c->stream, bufs, n);
    if (stream_queued(&c->stream) > HTTP_HIGH_WATER)
        c->stalled = true;
    watch_queue(c);
}

static void conn_next(struct http_conn *c);

static void request_done(struct http_conn *c)
{
    c->request.owner = (struct http_owner){0};
    c->streaming = false;
    buf_fini(&c->request.body);
    if (!c->keep_alive || c->request.server->draining || c->stream.failed) {
        close_after_write(c);
        return;
    }
    http_message_reset(&c->message);
    c->state = CONN_IDLE;
    if (stream_queued(&c->stream) == 0)
        deadline_arm(&c->deadline, &c->request.server->idle_q);
}

void http_respond(struct http_request *request, int status, const char *type, const char *fields,
                  const void *body, size_t len)
{
    struct http_conn *c = conn_of_request(request);
    assert(c->state == CONN_HANDLING && !c->streaming);
    char head[HTTP_ANSWER_HEAD_MAX];
    char framing[48] = "";
    if (status != 204) { /* RFC 9110 section 8.6 */
        char *at = framing;
        put_text(&at, "Content-Length: ");
        at += u64_format(at, len, 10);
        put(&at, "\r\n", 3);
    }
    if (request->server->draining)
        c->keep_alive = false;
    size_t n = write_head(c, head, status, type, fields, framing);
    bool no_body = len == 0 || request->method == HTTP_HEAD;
    uv_buf_t bufs[2] = {uv_buf_init(head, (unsigned)n), uv_buf_init((char *)body, (unsigned)len)};
    conn_write(c, bufs, no_body ? 1 : 2);
    request_done(c);
    conn_next(c);
}

void http_answer(struct http_request *request, int status, const char *type, const char *fields,
                 const struct buf *body)
{
    static const char none[] = "{\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\","
                               "\"param\":null,\"code\":\"no_memory\"}}";
    if (body->failed)
        http_respond(request, 503, "application/json", "", none, sizeof none - 1);
    else
        http_respond(request, status, type, fields, body->data, body->len);
}

void http_begin(struct http_request *request, int status, const char *type, const char *fields)
{
    struct http_conn *c = conn_of_request(request);
    assert(c->state == CONN_HANDLING && !c->streaming);
    char head[HTTP_ANSWER_HEAD_MAX];
    c->streaming = true;
    c->chunked = c->message.parser.http_minor == 1;
    if (!c->chunked || request->server->draining)
        c->keep_alive = false;
    size_t n = write_head(c, head, status, type, fields, c->chunked ? "Transfer-Encoding: chunked\r\n" : "");
    uv_buf_t buf = uv_buf_init(head, (unsigned)n);
    conn_write(c, &buf, 1);
}

/* "1f\\r\\n"; returns its length. */
static unsigned chunk_size(char dst[24], size_t len)
{
    size_t n = u64_format(dst, len, 16);
    dst[n++] = '\r';
    dst[n++] = '\n';
    return (unsigned)n;
}

static void send_chunk(struct http_conn *c, const void *data, size_t len, bool last)
{
    char size[24];
    uv_buf_t bufs[3];
    unsigned n = 0;
    if (c->request.method == HTTP_HEAD)
        return;
    if (c->chunked && len > 0)
        bufs[n++] = uv_buf_init(size, chunk_size(size, len));
    if (len > 0)
        bufs[n++] = uv_buf_init((char *)data, (unsigned)len);
    if (c->chunked) {
        static char ends[][8] = {"\r\n", "0\r\n\r\n"};
        static char both[] = "\r\n0\r\n\r\n";
        if (last && len > 0)
            bufs[n++] = uv_buf_init(both, sizeof both - 1);
        else if (last || len > 0)
            bufs[n++] = uv_buf_init(ends[last], (unsigned)strlen(ends[last]));
    }
    if (n > 0)
        conn_write(c, bufs, n);
}

bool http_send(struct http_request *request, const void *data, size_t len)
{
    struct http_conn *c = conn_of_request(request);
    assert(c->state == CONN_HANDLING && c->streaming);
    send_chunk(c, data, len, false);
    return !c->stalled;
}

void http_end(struct http_request *request, const void *data, size_t len)
{
    struct http_conn *c = conn_of_request(request);
    assert(c->state == CONN_HANDLING && c->streaming);
    send_chunk(c, data, len, true);
    request_done(c);
    conn_next(c);
}

void http_cut(struct http_request *request)
{
    struct http_conn *c = conn_of_request(request);
    c->request.owner = (struct http_owner){0};
    c->keep_alive = false;
    close_after_write(c);
}

uint64_t http_taken(const struct http_request *request)
{
    const struct http_conn *c = conn_of_request(request);
    uint64_t sent = c->stream.written - c->stream.lost;
    uint64_t queued = stream_queued(&c->stream); /* with TLS more than what was handed over */
    return sent > queued ? sent - queued : 0;
}

uint64_t http_given(const struct http_request *request)
{
    return conn_of_request(request)->stream.written;
}

/* ---- reading ---- */

/* Answers what the server itself refuses, and closes: after a framing error nothing that follows can be trusted. */
static void conn_refuse(struct http_conn *c, int status, const char *reason)
{
    struct buf body;
    buf_init(&body, 4096);
    c->request.server->config.render_error(&body, status, reason);
    c->request.server->refused++;
    c->refused = true;
    c->keep_alive = false;
    if (!c->message.head_done)
        c->request.method = HTTP_GET; /* not that of the request before */
    c->state = CONN_HANDLING;
    http_answer(&c->request, status, "application/json", "", &body);
    buf_fini(&body);
}

static int on_head(struct http_message *m)
{
    struct http_conn *c = conn_of_message(m);
    struct http_request *r = &c->request;
    struct http_server *server = r->server;
    const struct http_head *h = m->head;
    const char *mark = memchr(h->bytes, '?', h->target_len);
    r->method = m->parser.method;
    r->path = h->bytes;
    r->path_len = mark ? (size_t)(mark - h->bytes) : h->target_len;
    r->query = mark ? mark + 1 : h->bytes;
    r->query_len = mark ? (size_t)h->target_len - r->path_len - 1 : 0;
    int64_t max = server->config.admit(r);
    if (max < 0) {
        m->reason = err_text((int)max);
        return err_http_status((int)max);
    }
    c->body_max = (size_t)max;
    buf_init(&r->body, c->body_max + 1);
    if ((m->parser.flags & F_CONTENT_LENGTH) && m->parser.content_length > c->body_max) {
        m->reason = "the request body is too large";
        return 413;
    }
    /* A body of known and modest length gets its place at once. */
    if ((m->parser.flags & F_CONTENT_LENGTH) && m->parser.content_length <= BODY_RESERVE_MAX)
        (void)buf_reserve(&r->body, (size_t)m->parser.content_length);
    size_t len;
    const char *expect = http_field(m, "expect", &len);
    if (m->parser.http_minor == 0)
        expect = NULL; /* RFC 9110 section 10.1.1 */
    if (expect && len == 12 && strncasecmp(expect, "100-continue", 12) == 0) {
        static char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        uv_buf_t buf = uv_buf_init(go_on, sizeof go_on - 1);
        conn_write(c, &buf, 1);
    } else if (expect) {
        m->reason = "this expectation cannot be met";
        return 417;
    }
    deadline_arm(&c->deadline, &server->body_q);
    return 0;
}

static int on_body(struct http_message *m, const char *data, size_t len)
{
    struct http_conn *c = conn_of_message(m);
    bool fits = len <= c->body_max - c->request.body.len;
    if (fits)
        buf_add(&c->request.body, data, len);
    if (fits && !c->request.body.failed)
        return 0;
    m->reason = fits ? "out of memory" : "the request body is too large";
    return fits ? 503 : 413;
}

static const struct http_message_events message_events = {.on_head = on_head, .on_body = on_body};

/* Takes bytes for the current message. Returns how many were used. */
static size_t conn_feed(struct http_conn *c, const char *data, size_t len)
{
    if (c->state == CONN_IDLE) {
        c->state = CONN_READING;
        deadline_arm(&c->deadline, &c->request.server->head_q);
    }
    ssize_t used = http_message_feed(&c->message, data, len);
    if (used < 0) {
        conn_refuse(c, c->message.status, c->message.reason);
        return len;
    }
    if (!c->message.complete)
        return len;
    deadline_disarm(&c->deadline);
    c->state = CONN_HANDLING;
    c->keep_alive = http_keep_alive(&c->message);
    c->request.server->requests++;
    if ((size_t)used < len)
        buf_add(&c->ahead, data + used, len - (size_t)used);
    c->request.server->config.handle(&c->request);
    return len;
}

/* After an answer: bytes that came ahead may hold the next request. Not recursive: http_respond inside handle
 * returns here through conn_feed, and the loop below takes the next one. */
static void conn_next(struct http_conn *c)
{
    if (c->in_next || c->state != CONN_IDLE || c->ahead.len == 0)
        return;
    c->in_next = true;
    while (c->state == CONN_IDLE && c->ahead.len > 0) {
        struct buf bytes = c->ahead;
        buf_init(&c->ahead, HTTP_AHEAD_MAX);
        conn_feed(c, bytes.data, bytes.len);
        buf_fini(&bytes);
    }
    c->in_next = false;
    stream_read(&c->stream);
}

static void conn_gone(struct http_conn *c)
{
    struct http_owner owner = c->request.owner;
    if (c->state == CONN_HANDLING && owner.on_abort) {
        c->request.owner = (struct http_owner){0};
        owner.on_abort(&c->request, owner.ctx);
    }
    http_conn_close(c);
}

static void on_read(struct stream *stream, const char *data, ssize_t len)
{
    struct http_conn *c = conn_of(stream);
    if (len < 0) {
        if (c->state == CONN_READING && len == UV_EOF && c->message.head) {
            http_conn_close(c);
            return;
        }
        conn_gone(c);
        return;
    }
    if (c->lingering)
        return; /* answered and about to close: whatever still comes is dropped */
    if (c->state == CONN_HANDLING || c->ahead.len > 0) {
        buf_add(&c->ahead, data, (size_t)len);
        if (c->ahead.failed)
            conn_gone(c); /* a client that sends that much ahead of its answers is no HTTP client */
        else if (c->state == CONN_IDLE)
            conn_next(c);
        return;
    }
    conn_feed(c, data, (size_t)len);
    if (c->state == CONN_IDLE && c->ahead.len > 0)
        conn_next(c);
}

static void on_drain(struct stream *stream)
{
    struct http_conn *c = conn_of(stream);
    struct http_server *server = c->request.server;
    size_t queued = stream_queued(stream);
    if (queued > 0) {
        stall_arm(c); /* it moves: the stall time starts again */
    } else if (c->lingering) {
        close_written(c);
        return;
    } else if (c->state == CONN_IDLE) {
        deadline_arm(&c->deadline, &server->idle_q);
    } else if (c->state == CONN_HANDLING) {
        deadline_disarm(&c->deadline);
    }
    struct http_owner owner = c->request.owner;
    if (c->stalled && queued <= HTTP_LOW_WATER)
        c->stalled = false;
    /* Also below the mark: the owner may wait for the queue to run empty before it ends the answer. */
    if (!c->stalled && c->state == CONN_HANDLING && owner.on_drain)
        owner.on_drain(&c->request, owner.ctx);
}

static const struct stream_events conn_events = {
    .on_read = on_read, .on_drain = on_drain, .on_closed = on_closed};

static void on_head_late(struct deadline *deadline)
{
    struct http_conn *c = list_entry(deadline, struct http_conn, deadline);
    conn_refuse(c, 408, "the request did not arrive in time");
}

static void on_idle(struct deadline *deadline)
{
    http_conn_close(list_entry(deadline, struct http_conn, deadline));
}

static void on_stall(struct deadline *deadline)
{
    struct http_conn *c = list_entry(deadline, struct http_conn, deadline);
    if (http_taken(&c->request) > c->stall_taken) { /* slow, but moving: a part of a large write */
        stall_arm(c);
        return;
    }
    log_info("write_stall", "queued=%zu", stream_queued(&c->stream));
    conn_gone(c);
}

/* ---- the server ---- */

struct http_conn *http_conn_new(struct http_server *server, int fd, bool is_unix)
{
    struct http_conn *c = calloc(1, sizeof *c);
    if (!c) {
        (void)close(fd);
        return NULL;
    }
    c->request.server = server;
    c->request.local = is_unix;
    buf_init(&c->ahead, HTTP_AHEAD_MAX);
    http_message_init(&c->message, true, &message_events);
    c->message.upgrades = server->config.upgrades;
    if (stream_accept(&c->stream, server->loop, fd, is_unix, &conn_events) < 0) {
        free(c);
        return NULL;
    }
    list_push(&server->connections, &c->node);
    server->nconnections++;
    return c;
}

void http_server_init(struct http_server *server, struct loop *loop, const struct http_server_config *config)
{
    *server = (struct http_server){.loop = loop, .config = *config};
    list_init(&server->connections);
    list_init(&server->listeners);
    deadline_queue_init(&server->head_q, loop, config->head_ms, on_head_late);
    deadline_queue_init(&server->body_q, loop, config->body_ms, on_head_late);
    deadline_queue_init(&server->idle_q, loop, config->idle_ms, on_idle);
    deadline_queue_init(&server->stall_q, loop, config->write_stall_ms, on_stall);
    deadline_queue_init(&server->linger_q, loop, LINGER_MS, on_idle);
    deadline_queue_init(&server->rest_q, loop, ACCEPT_REST_MS, http_listener_rested);
}

void http_server_drain(struct http_server *server)
{
    server->draining = true;
    http_listeners_close(server);
    list_for_each_safe (it, next, &server->connections) {
        struct http_conn *c = list_entry(it, struct http_conn, node);
        if (c->state == CONN_IDLE || c->state == CONN_READING)
            close_after_write(c);
    }
}

void http_server_close(struct http_server *server)
{
    http_server_drain(server);
    /* From the front each time: an on_abort may end other requests, and so take their connections off the list. */
    struct list *first;
    while ((first = list_first(&server->connections)) != NULL)
        conn_gone(list_entry(first, struct http_conn, node));
}

const char *http_request_peer(const struct http_request *request)
{
    const struct tls_session *tls = conn_of_request(request)->stream.tls;
    return tls ? tls_peer(tls) : NULL;
}

bool http_request_peer_key(const struct http_request *request, uint8_t digest[TLS_DIGEST_SIZE])
{
    const struct tls_session *tls = conn_of_request(request)->stream.tls;
    return tls && tls_peer_key(tls, digest);
}

const char *http_request_field(const struct http_request *request, const char *name, size_t *len)
{
    return http_field(&conn_of_request(request)->message, name, len);
}

void http_request_trim(struct http_request *request)
{
    http_head_drop(&conn_of_request(request)->message);
    request->path = request->query = "";
    request->path_len = request->query_len = 0;
}
