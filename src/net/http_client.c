/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls.h"

#define REQUEST_MAX ((size_t)64 << 20)
#define INTERIM_MAX 32

struct pool {
    char text[ENDPOINT_TEXT_MAX];
    struct list idle;
    uint32_t nidle;
    struct list node;
};

struct http_client {
    struct loop *loop;
    struct http_client_config config;
    struct deadline_queue connect_q, first_q, between_q, idle_q;
    struct list pools;
    struct list busy;
    uint32_t nconns;
    bool closing;
};

struct upstream {
    struct stream stream; /* first */
    struct http_client *client;
    struct pool *pool;
    struct http_call *call; /* NULL: idle */
    struct http_message message;
    struct deadline deadline;
    struct list node;
    bool connected;
};

struct http_call {
    struct http_client *client;
    const struct http_endpoint *endpoint;
    struct upstream *upstream;
    const struct http_call_events *events;
    void *ctx;
    struct buf request; /* it and the body are kept until the first byte of the answer, for the one retry */
    struct http_body body;
    uint32_t interims; /* 1xx answers so far */
    bool reused;
    bool answered; /* a byte of the answer has come */
    bool paused;
};

static struct upstream *upstream_of(struct stream *stream)
{
    return (struct upstream *)stream;
}

/* ---- requests ---- */

void http_request_head(struct buf *out, const struct http_endpoint *e, const char *method, const char *path,
                       const char *fields, size_t len)
{
    const char *const parts[] = {
        method, " ", e->base, path, " HTTP/1.1\r\nHost: ", e->is_unix ? "localhost" : e->host};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        buf_add_text(out, parts[i]);
    if (!e->is_unix && e->port != (e->is_tls ? 443 : 80)) {
        buf_add_char(out, ':');
        buf_add_u64(out, e->port);
    }
    buf_add_text(out, "\r\nContent-Type: application/json\r\nContent-Length: ");
    buf_add_u64(out, len);
    buf_add_text(out, "\r\n");
    buf_add_text(out, fields);
    buf_add_text(out, "\r\n");
}

/* ---- connections ---- */

static void client_reap(struct http_client *client)
{
    if (!client->closing || client->nconns > 0)
        return;
    list_for_each_safe (it, next, &client->pools) {
        free(list_entry(it, struct pool, node));
    }
    free(client);
}

static void on_closed(struct stream *stream)
{
    struct upstream *u = upstream_of(stream);
    struct http_client *client = u->client;
    http_message_fini(&u->message);
    free(u);
    client->nconns--;
    client_reap(client);
}

static void upstream_close(struct upstream *u)
{
    deadline_disarm(&u->deadline);
    if (list_linked(&u->node)) {
        list_remove(&u->node);
        if (!u->call)
            u->pool->nidle--;
    }
    stream_close(&u->stream);
}

static void call_free(struct http_call *call)
{
    buf_fini(&call->request);
    free(call);
}

static int call_send(struct http_call *call);

/* The answer broke off, or never came. */
static void call_broke(struct http_call *call, int rc)
{
    struct upstream *u = call->upstream;
    u->call = NULL;
    list_remove(&u->node);
    deadline_disarm(&u->deadline);
    stream_close(&u->stream);
    call->upstream = NULL;
    if (call->reused && !call->answered && rc == ERR_UPSTREAM) {
        /* The engine closed an idle connection just as we used it: nothing was done, so asking again is safe. */
        call->reused = false;
        if (call_send(call) == 0)
            return;
    }
    call->events->on_end(call, rc);
    call_free(call);
}

static void upstream_idle(struct upstream *u)
{
    struct http_client *client = u->client;
    list_remove(&u->node);
    u->call = NULL;
    if (u->pool->nidle >= client->config.idle_max || client->closing) {
        deadline_disarm(&u->deadline);
        stream_close(&u->stream);
        return;
    }
    http_message_reset(&u->message);
    http_head_drop(&u->message);
    list_push(&u->pool->idle, &u->node);
    u->pool->nidle++;
    deadline_arm(&u->deadline, &client->idle_q);
    stream_read(&u->stream);
}

static void call_done(struct http_call *call, bool keep)
{
    struct upstream *u = call->upstream;
    if (keep) {
        upstream_idle(u);
    } else {
        u->call = NULL;
        list_remove(&u->node);
        deadline_disarm(&u->deadline);
        stream_close(&u->stream);
    }
    call->upstream = NULL;
    call->events->on_end(call, 0);
    call_free(call);
}

/* ---- the answer ---- */

static int on_head(struct http_message *m)
{
    struct upstream *u = list_entry(m, struct upstream, message);
    if (m->parser.status_code >= 200)
        u->call->events->on_head(u->call, m->parser.status_code);
    if (u->call)
        http_head_drop(m); /* a stream may last for minutes */
    return 0;
}

static int on_body(struct http_message *m, const char *data, size_t len)
{
    struct upstream *u = list_entry(m, struct upstream, message);
    if (u->call) /* on_head or an earlier piece may have cancelled */
        u->call->events->on_body(u->call, data, len);
    return 0;
}

static const struct http_message_events message_events = {.on_head = on_head, .on_body = on_body};

static void on_read(struct stream *stream, const char *data, ssize_t len)
{
    struct upstream *u = upstream_of(stream);
    struct http_call *call = u->call;
    if (!call) {
        upstream_close(u); /* an idle connection ended, or spoke out of turn */
        return;
    }
    if (len < 0) {
        if (call->answered && len == UV_EOF && http_message_eof(&u->message) == 0)
            call_done(call, false);
        else
            call_broke(call, ERR_UPSTREAM);
        return;
    }
    if (!call->answered) {
        call->answered = true;
        buf_fini(&call->request);
        call->body = (struct http_body){0};
    }
    if (!call->paused)
        deadline_arm(&u->deadline, &u->client->between_q);
    ssize_t used;
    while ((used = http_message_feed(&u->message, data, (size_t)len)) >= 0) {
        if (!u->call || !u->message.complete)
            return; /* cancelled by its owner meanwhile, or not all there yet */
        if (u->message.parser.status_code >= 200) {
            call_done(call, used == len && http_keep_alive(&u->message));
            return;
        }
        if (++call->interims > INTERIM_MAX)
            break;
        http_message_reset(&u->message); /* RFC 9110 section 15.2: the answer itself is still to come */
        data += used;
        len -= used;
    }
    if (u->call)
        call_broke(call, ERR_UPSTREAM);
}

static void send_request(struct http_call *call)
{
    struct upstream *u = call->upstream;
    uv_buf_t bufs[2] = {uv_buf_init(call->request.data, (unsigned)call->request.len),
                        uv_buf_init((char *)call->body.data, (unsigned)call->body.len)};
    deadline_arm(&u->deadline, &u->client->first_q);
    stream_read(&u->stream);
    (void)stream_write(&u->stream, bufs, call->body.len > 0 ? 2 : 1); /* failure arrives through on_read */
}

static void on_connect(struct stream *stream, int status)
{
    struct upstream *u = upstream_of(stream);
    if (!u->call) {
        upstream_close(u);
        return;
    }
    if (status < 0) {
        call_broke(u->call, ERR_UNAVAILABLE);
        return;
    }
    u->connected = true;
    send_request(u->call);
}

static const struct stream_events stream_events = {
    .on_read = on_read, .on_closed = on_closed, .on_connect = on_connect};

static void on_deadline(struct deadline *deadline)
{
    struct upstream *u = list_entry(deadline, struct upstream, deadline);
    if (u->call)
        call_broke(u->call, u->connected ? ERR_TIMEOUT : ERR_UNAVAILABLE);
    else
        upstream_close(u);
}

/* ---- calls ---- */

static struct pool *pool_of(struct http_client *client, const struct http_endpoint *endpoint)
{
    list_for_each_safe (it, next, &client->pools) {
        struct pool *pool = list_entry(it, struct pool, node);
        if (strcmp(pool->text, endpoint->text) == 0)
            return pool;
    }
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    memcpy(pool->text, endpoint->text, sizeof pool->text);
    list_init(&pool->idle);
    list_push(&client->pools, &pool->node);
    return pool;
}

static int upstream_dial(struct http_call *call, struct pool *pool)
{
    struct http_client *client = call->client;
    const struct http_endpoint *e = call->endpoint;
    struct upstream *u = calloc(1, sizeof *u);
    if (!u)
        return ERR_NO_MEMORY;
    struct tls_session *tls =
        e->is_tls && client->config.tls ? tls_connect(client->config.tls, e->host) : NULL;
    u->client = client;
    u->pool = pool;
    u->call = call;
    http_message_init(&u->message, false, &message_events);
    int rc =
        e->is_tls && !tls ? UV_ENOMEM : http_endpoint_dial(&u->stream, client->loop, e, tls, &stream_events);
    if (rc < 0) {
        tls_free(tls);
        free(u);
        return ERR_UPSTREAM;
    }
    client->nconns++;
    list_push(&client->busy, &u->node);
    call->upstream = u;
    deadline_arm(&u->deadline, &client->connect_q);
    return 0;
}

static int call_send(struct http_call *call)
{
    struct pool *pool = pool_of(call->client, call->endpoint);
    if (!pool)
        return ERR_NO_MEMORY;
    /* The most recently used one is the least likely to have been closed by the engine. */
    struct list *last = pool->idle.prev;
    if (last == &pool->idle || !call->reused)
        return upstream_dial(call, pool);
    struct upstream *u = list_entry(last, struct upstream, node);
    list_remove(&u->node);
    pool->nidle--;
    list_push(&call->client->busy, &u->node);
    u->call = call;
    call->upstream = u;
    send_request(call);
    return 0;
}

struct http_call *http_call(struct http_client *client, const struct http_endpoint *endpoint,
                            struct buf *request, struct http_body body, const struct http_call_events *events,
                            void *ctx)
{
    struct http_call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    *call = (struct http_call){.client = client,
                               .endpoint = endpoint,
                               .events = events,
                               .ctx = ctx,
                               .request = *request,
                               .body = body};
    struct pool *pool = pool_of(client, endpoint);
    call->reused = pool && !list_empty(&pool->idle);
    if (call_send(call) != 0) {
        free(call);
        return NULL;
    }
    buf_init(request, REQUEST_MAX);
    return call;
}

void *http_call_ctx(const struct http_call *call)
{
    return call->ctx;
}

bool http_call_answered(const struct http_call *call)
{
    return call->answered;
}

const char *http_call_field(const struct http_call *call, const char *name, size_t *len)
{
    return http_field(&call->upstream->message, name, len);
}

void http_call_cancel(struct http_call *call)
{
    struct upstream *u = call->upstream;
    u->call = NULL;
    list_remove(&u->node);
    deadline_disarm(&u->deadline);
    stream_close(&u->stream);
    call_free(call);
}

void http_call_pause(struct http_call *call)
{
    if (call->paused)
        return;
    call->paused = true;
    deadline_disarm(&call->upstream->deadline); /* it is the client that is slow, not the engine */
    stream_pause(&call->upstream->stream);
}

void http_call_resume(struct http_call *call)
{
    if (!call->paused)
        return;
    call->paused = false;
    deadline_arm(&call->upstream->deadline, &call->client->between_q);
    stream_read(&call->upstream->stream);
}

int http_client_new(struct http_client **out, struct loop *loop, const struct http_client_config *config)
{
    struct http_client *client = calloc(1, sizeof *client);
    if (!client)
        return ERR_NO_MEMORY;
    client->loop = loop;
    client->config = *config;
    list_init(&client->pools);
    list_init(&client->busy);
    deadline_queue_init(&client->connect_q, loop, config->connect_ms, on_deadline);
    deadline_queue_init(&client->first_q, loop, config->first_byte_ms, on_deadline);
    deadline_queue_init(&client->between_q, loop, config->between_ms, on_deadline);
    deadline_queue_init(&client->idle_q, loop, config->idle_ms, on_deadline);
    *out = client;
    return 0;
}

void http_client_patience(struct http_client *client, uint64_t first_byte_ms)
{
    assert(list_empty(&client->first_q.armed));
    client->first_q.after_ms = first_byte_ms;
}

void http_client_free(struct http_client *client)
{
    client->closing = true;
    client->nconns++; /* holds the client until this function is done */
    list_for_each_safe (it, next, &client->busy) {
        http_call_cancel(list_entry(it, struct upstream, node)->call);
    }
    list_for_each_safe (pool_it, pool_next, &client->pools) {
        struct pool *pool = list_entry(pool_it, struct pool, node);
        list_for_each_safe (it, next, &pool->idle) {
            upstream_close(list_entry(it, struct upstream, node));
        }
    }
    list_remove(&client->connect_q.node);
    list_remove(&client->first_q.node);
    list_remove(&client->between_q.node);
    list_remove(&client->idle_q.node);
    client->nconns--;
    client_reap(client);
}
