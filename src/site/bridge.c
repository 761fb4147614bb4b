/* SPDX-License-Identifier: Apache-2.0 */
#include "site/bridge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "net/http_client.h"
#include "net/splice.h"

#define TICK_MS 100
#define PAUSE_MIN_MS 200
#define PAUSE_MAX_MS 5000

enum phase { DIALLING, IDLE, JOINING, JOINED };

struct tunnel {
    struct stream stream; /* first */
    struct list node;
    struct bridge *bridge;
    enum phase phase;
    struct buf in; /* what has come and is not understood yet */
    struct deadline deadline;
    struct far_end *engine; /* JOINING, JOINED: the replica's end */
    struct splice *splice;
};

struct far_end {
    struct stream stream;  /* first */
    struct tunnel *tunnel; /* NULL: it has gone meanwhile */
};

struct bridge {
    struct bridge_config config;
    struct http_endpoint hub;
    struct list tunnels;
    uint32_t n, waiting; /* in all; DIALLING or IDLE */
    bool wanted, closing;
    uint64_t pause_ms, not_before_ms;
    uv_timer_t timer;
    struct deadline_queue dial_q;
};

static void top_up(struct bridge *b);

/* ---- a tunnel ends ---- */

static void tunnel_leave(struct tunnel *t)
{
    struct bridge *b = t->bridge;
    deadline_disarm(&t->deadline);
    if (!list_linked(&t->node))
        return;
    list_remove(&t->node);
    b->n--;
    b->waiting -= t->phase == DIALLING || t->phase == IDLE;
}

static void tunnel_freed(struct stream *stream)
{
    struct tunnel *t = (struct tunnel *)stream;
    tunnel_leave(t);
    buf_fini(&t->in);
    free(t);
}

static void tunnel_close(struct tunnel *t)
{
    if (t->engine && t->phase == JOINING) {
        t->engine->tunnel = NULL;
        stream_close(&t->engine->stream);
        t->engine = NULL;
    }
    tunnel_leave(t);
    stream_close(&t->stream);
}

/* It has not become one, or not stayed one: the next waits for longer. */
static void tunnel_failed(struct tunnel *t)
{
    struct bridge *b = t->bridge;
    if (t->phase == DIALLING) {
        b->not_before_ms = uv_now(&b->config.loop->uv) + b->pause_ms;
        b->pause_ms = b->pause_ms * 2 < PAUSE_MAX_MS ? b->pause_ms * 2 : PAUSE_MAX_MS;
    }
    tunnel_close(t);
}

static void on_late(struct deadline *deadline)
{
    tunnel_failed(list_entry(deadline, struct tunnel, deadline));
}

/* ---- the replica's end ---- */

static void engine_freed(struct stream *stream)
{
    free((struct far_end *)stream);
}

static void on_over(void *ctx)
{
    (void)ctx; /* each end has freed itself */
}

static void on_engine(struct stream *stream, int status)
{
    struct far_end *engine = (struct far_end *)stream;
    struct tunnel *t = engine->tunnel;
    if (!t)
        return;
    if (status < 0) {
        tunnel_close(t);
        return;
    }
    deadline_disarm(&t->deadline);
    if (stream->tls) /* a node may go without a word */
        stream_alive(stream, TUNNEL_SILENCE_MS);
    uv_buf_t asked = uv_buf_init(t->in.data, (unsigned)t->in.len);
    if (t->in.len > 0)
        (void)stream_write(stream, &asked, 1); /* a failure arrives through on_read */
    buf_fini(&t->in);
    t->phase = JOINED;
    t->splice = splice_new((struct splice_end){&t->stream, tunnel_freed},
                           (struct splice_end){&engine->stream, engine_freed}, on_over, NULL);
    if (!t->splice)
        abort(); /* out of memory */
}

/* A port ends the handshake with who has not its key; and one that has hears nothing before it asks. */
static void on_engine_read(struct stream *stream, const char *data, ssize_t len)
{
    struct far_end *engine = (struct far_end *)stream;
    (void)data;
    (void)len;
    if (engine->tunnel)
        tunnel_close(engine->tunnel);
}

static const struct stream_events engine_events = {
    .on_read = on_engine_read, .on_connect = on_engine, .on_closed = engine_freed};

static int dial_replica(struct far_end *end, struct loop *loop, const char *path,
                        const struct replica_way *way)
{
    if (path[0])
        return stream_dial_unix(&end->stream, loop, path, &engine_events);
    struct tls_session *tls = tls_connect(way->tls, "");
    int rc =
        tls ? stream_dial_tcp(&end->stream, loop, (const struct sockaddr *)&way->addr, tls, &engine_events)
            : UV_ENOMEM;
    if (rc < 0)
        tls_free(tls);
    return rc;
}

static void join(struct tunnel *t, const char *path, const struct replica_way *way)
{
    struct bridge *b = t->bridge;
    t->engine = calloc(1, sizeof *t->engine);
    t->phase = JOINING;
    b->waiting--;
    if (!t->engine)
        abort(); /* a few hundred bytes */
    t->engine->tunnel = t;
    stream_pause(&t->stream);
    deadline_arm(&t->deadline, &b->dial_q); /* and does not hold up who asks it, who may ask another */
    if (dial_replica(t->engine, b->config.loop, path, way) < 0) {
        free(t->engine);
        t->engine = NULL;
        tunnel_close(t);
    }
}

/* ---- what the hub says ---- */

static void drop_front(struct buf *buf, size_t n)
{
    memmove(buf->data, buf->data + n, buf->len - n);
    buf->len -= n;
}

static enum tunnel_read take_head(struct tunnel *t)
{
    size_t used;
    enum tunnel_read rc = tunnel_read_head(t->in.data, t->in.len, &used);
    if (rc != TUNNEL_WHOLE)
        return rc;
    drop_front(&t->in, used);
    deadline_disarm(&t->deadline);
    t->phase = IDLE;
    t->bridge->pause_ms = PAUSE_MIN_MS;
    return t->in.len > 0 ? rc : TUNNEL_MORE;
}

static enum tunnel_read take_line(struct tunnel *t)
{
    struct bridge *b = t->bridge;
    struct tunnel_target target;
    struct replica_way way;
    size_t used;
    enum tunnel_read rc = tunnel_read_line(t->in.data, t->in.len, &target, &used);
    const char *path = rc == TUNNEL_WHOLE ? b->config.find(b->config.ctx, &target, &way) : NULL;
    if (rc == TUNNEL_MORE)
        return rc;
    if (path) {
        drop_front(&t->in, used);
        join(t, path, &way);
    } else {
        tunnel_close(t); /* the hub sees that there is no such replica */
    }
    top_up(b);
    return rc;
}

static void on_read(struct stream *stream, const char *data, ssize_t len)
{
    struct tunnel *t = (struct tunnel *)stream;
    if (len < 0) {
        tunnel_failed(t);
        return;
    }
    buf_add(&t->in, data, (size_t)len);
    enum tunnel_read rc = t->in.failed ? TUNNEL_BAD : TUNNEL_WHOLE;
    if (rc == TUNNEL_WHOLE && t->phase == DIALLING)
        rc = take_head(t);
    if (rc == TUNNEL_WHOLE && t->phase == IDLE)
        rc = take_line(t);
    if (rc == TUNNEL_BAD)
        tunnel_failed(t);
}

static void on_connect(struct stream *stream, int status)
{
    struct tunnel *t = (struct tunnel *)stream;
    struct buf head;
    if (status < 0) {
        tunnel_failed(t);
        return;
    }
    stream_alive(stream, TUNNEL_SILENCE_MS);
    buf_init(&head, TUNNEL_HEAD_MAX);
    http_request_head(&head, &t->bridge->hub, "POST", TUNNEL_PATH,
                      "Connection: Upgrade\r\nUpgrade: " TUNNEL_PROTOCOL "\r\n", 2);
    buf_add_text(&head, "{}");
    uv_buf_t buf = uv_buf_init(head.data, (unsigned)head.len);
    (void)stream_write(stream, &buf, 1); /* a failure arrives through on_read */
    buf_fini(&head);
    stream_read(stream);
}

static const struct stream_events tunnel_events = {
    .on_read = on_read, .on_connect = on_connect, .on_closed = tunnel_freed};

/* ---- how many there are ---- */

static bool dial(struct bridge *b)
{
    struct tunnel *t = calloc(1, sizeof *t);
    struct tls_session *tls = t ? tls_connect(b->config.tls, b->hub.host) : NULL;
    if (!tls) {
        free(t);
        return false;
    }
    t->bridge = b;
    buf_init(&t->in, TUNNEL_HEAD_MAX + LOOP_READ_BUF);
    if (http_endpoint_dial(&t->stream, b->config.loop, &b->hub, tls, &tunnel_events) < 0) {
        tls_free(tls);
        free(t);
        return false;
    }
    list_push(&b->tunnels, &t->node);
    b->n++;
    b->waiting++;
    deadline_arm(&t->deadline, &b->dial_q);
    return true;
}

static void top_up(struct bridge *b)
{
    if (!b->wanted || b->closing || uv_now(&b->config.loop->uv) < b->not_before_ms)
        return;
    uint32_t in_use = b->n - b->waiting;
    while (b->waiting < BRIDGE_IDLE + in_use / 2 && b->n < BRIDGE_MAX && dial(b)) {
    }
}

static void on_tick(uv_timer_t *timer)
{
    top_up(timer->data);
}

void bridge_want(struct bridge *b, bool wanted)
{
    b->wanted = wanted;
    list_for_each_safe (it, next, &b->tunnels) {
        struct tunnel *t = list_entry(it, struct tunnel, node);
        if (!wanted && (t->phase == DIALLING || t->phase == IDLE))
            tunnel_close(t);
    }
    top_up(b);
}

/* ---- the whole ---- */

int bridge_open(struct bridge **out, const struct bridge_config *config, struct err *err)
{
    char url[ENDPOINT_TEXT_MAX];
    struct bridge *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    b->config = *config;
    b->pause_ms = PAUSE_MIN_MS;
    list_init(&b->tunnels);
    int n = snprintf(url, sizeof url, "https://%s", config->hub);
    int rc = n < (int)sizeof url ? http_endpoint_parse(&b->hub, url, err)
                                 : err_set(err, ERR_INVALID, "the hub's address is too long");
    if (rc != 0) {
        free(b);
        return rc;
    }
    deadline_queue_init(&b->dial_q, config->loop, BRIDGE_DIAL_MS, on_late);
    uv_timer_init(&config->loop->uv, &b->timer);
    b->timer.data = b;
    uv_timer_start(&b->timer, on_tick, TICK_MS, TICK_MS);
    *out = b;
    return 0;
}

void bridge_cut(struct bridge *b)
{
    list_for_each_safe (it, next, &b->tunnels) {
        struct tunnel *t = list_entry(it, struct tunnel, node);
        if (t->phase == JOINED)
            splice_close(t->splice);
        else
            tunnel_close(t);
    }
}

void bridge_close(struct bridge *b)
{
    b->closing = true;
    bridge_cut(b);
    uv_close((uv_handle_t *)&b->timer, NULL);
    list_remove(&b->dial_q.node);
}

void bridge_free(struct bridge *b)
{
    free(b);
}
