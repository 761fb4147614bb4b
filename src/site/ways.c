/* SPDX-License-Identifier: Apache-2.0 */
#include "site/ways.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "net/http_client.h"
#include "net/splice.h"

#define BACKLOG 16
#define REST_MS 100   /* where no descriptors are left */
#define DIAL_MS 10000 /* until the hub has made it one with the worker's tunnel */

struct way;

/* Of a way while it listens. */
struct ear {
    uv_poll_t poll; /* first */
    struct way *way;
    int fd;
    struct deadline rest;
};

struct way {
    struct list node;
    struct ways *ways;
    struct tunnel_target worker;
    struct sockaddr_un address;
    struct ear *ear;
};

struct far_end;

/* A connection of a head. */
struct call {
    struct stream stream; /* first */
    struct list node;
    struct ways *ways;
    struct tunnel_target worker;
    struct far_end *hub; /* until they are joined */
    struct splice *splice;
};

struct far_end {
    struct stream stream; /* first */
    struct call *call;    /* NULL: it has gone meanwhile */
    struct buf in;
    struct deadline deadline;
};

struct ways {
    struct ways_config config;
    struct http_endpoint hub;
    struct list list, calls;
    uint32_t n;
    struct deadline_queue dial_q, rest_q;
};

/* ---- the end of a connection ---- */

static void call_freed(struct stream *stream)
{
    struct call *c = (struct call *)stream;
    if (list_linked(&c->node))
        list_remove(&c->node);
    free(c);
}

static void hub_freed(struct stream *stream)
{
    struct far_end *hub = (struct far_end *)stream;
    deadline_disarm(&hub->deadline);
    buf_fini(&hub->in);
    free(hub);
}

static void call_close(struct call *c)
{
    if (c->splice) {
        splice_close(c->splice);
        return;
    }
    if (c->hub) {
        deadline_disarm(&c->hub->deadline);
        c->hub->call = NULL;
        stream_close(&c->hub->stream);
        c->hub = NULL;
    }
    stream_close(&c->stream);
}

static void on_late(struct deadline *deadline)
{
    call_close(list_entry(deadline, struct far_end, deadline)->call);
}

static void on_over(void *ctx)
{
    (void)ctx; /* each end has freed itself */
}

/* ---- the hub's end ---- */

static void refused(const struct call *c, const struct buf *in)
{
    char id[UUID_TEXT_LEN + 1];
    size_t line = in->len > 0 ? (size_t)strcspn(in->data, "\r\n") : 0;
    uuid_format(id, &c->worker.deployment);
    log_warn("worker_refused", "deployment=%s ordinal=%u answer=\"%.*s\"", id, c->worker.ordinal,
             (int)(line < 64 ? line : 64), in->len > 0 ? in->data : "");
}

static void join(struct call *c, struct far_end *hub, size_t used)
{
    uv_buf_t rest = uv_buf_init(hub->in.data + used, (unsigned)(hub->in.len - used));
    deadline_disarm(&hub->deadline);
    if (rest.len > 0)
        (void)stream_write(&c->stream, &rest, 1); /* a failure arrives through on_read */
    hub->call = NULL;
    c->hub = NULL;
    c->splice = splice_new((struct splice_end){&c->stream, call_freed},
                           (struct splice_end){&hub->stream, hub_freed}, on_over, NULL);
    if (!c->splice)
        abort(); /* out of memory */
}

static void on_hub_read(struct stream *stream, const char *data, ssize_t len)
{
    struct far_end *hub = (struct far_end *)stream;
    struct call *c = hub->call;
    size_t used;
    if (!c)
        return;
    if (len < 0) {
        call_close(c);
        return;
    }
    buf_add(&hub->in, data, (size_t)len);
    enum tunnel_read rc = hub->in.failed ? TUNNEL_BAD : tunnel_read_head(hub->in.data, hub->in.len, &used);
    if (rc == TUNNEL_WHOLE) {
        join(c, hub, used);
    } else if (rc == TUNNEL_BAD) {
        buf_add_char(&hub->in, 0);
        refused(c, &hub->in);
        call_close(c);
    }
}

static void on_hub(struct stream *stream, int status)
{
    struct far_end *hub = (struct far_end *)stream;
    struct call *c = hub->call;
    char id[UUID_TEXT_LEN + 1];
    struct buf head, body;
    if (!c)
        return;
    if (status < 0) {
        call_close(c);
        return;
    }
    stream_alive(stream, TUNNEL_SILENCE_MS);
    uuid_format(id, &c->worker.deployment);
    buf_init(&body, 512);
    buf_addf(&body, "{\"deployment\":\"%s\",\"ordinal\":%u,\"epoch\":%u}", id, c->worker.ordinal,
             c->worker.epoch);
    buf_init(&head, TUNNEL_HEAD_MAX);
    http_request_head(&head, &c->ways->hub, "POST", PEER_PATH,
                      "Connection: Upgrade\r\nUpgrade: " PEER_PROTOCOL "\r\n", body.len);
    buf_add(&head, body.data, body.len);
    uv_buf_t out = uv_buf_init(head.data, (unsigned)head.len);
    (void)stream_write(stream, &out, 1); /* a failure arrives through on_read */
    buf_fini(&head);
    buf_fini(&body);
    stream_read(stream);
}

static const struct stream_events hub_events = {
    .on_read = on_hub_read, .on_connect = on_hub, .on_closed = hub_freed};

static bool dial(struct call *c)
{
    struct ways *s = c->ways;
    struct far_end *hub = calloc(1, sizeof *hub);
    struct tls_session *tls = hub ? tls_connect(s->config.tls, s->hub.host) : NULL;
    if (!tls) {
        free(hub);
        return false;
    }
    hub->call = c;
    buf_init(&hub->in, TUNNEL_HEAD_MAX + LOOP_READ_BUF);
    if (http_endpoint_dial(&hub->stream, s->config.loop, &s->hub, tls, &hub_events) < 0) {
        tls_free(tls);
        free(hub);
        return false;
    }
    c->hub = hub;
    deadline_arm(&hub->deadline, &s->dial_q);
    return true;
}

/* ---- a head connects ---- */

/* It is not read before it is joined. */
static const struct stream_events call_events = {.on_closed = call_freed};

static void take(struct way *way, int fd)
{
    struct call *c = calloc(1, sizeof *c);
    if (!c) {
        (void)close(fd);
        return;
    }
    c->ways = way->ways;
    c->worker = way->worker;
    list_init(&c->node);
    if (stream_accept(&c->stream, way->ways->config.loop, fd, true, &call_events) < 0) {
        free(c);
        return;
    }
    if (c->stream.closing)
        return;
    list_push(&way->ways->calls, &c->node);
    if (!dial(c))
        call_close(c);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct ear *ear = (struct ear *)poll;
    (void)status;
    (void)events;
    if (!ear->way)
        return;
    int fd = accept4(ear->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        take(ear->way, fd);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        uv_poll_stop(&ear->poll); /* who comes waits in the backlog */
        deadline_arm(&ear->rest, &ear->way->ways->rest_q);
    }
}

static void on_rested(struct deadline *deadline)
{
    struct ear *ear = list_entry(deadline, struct ear, rest);
    uv_poll_start(&ear->poll, UV_READABLE, on_acceptable);
}

/* ---- ways ---- */

static void ear_freed(uv_handle_t *handle)
{
    struct ear *ear = (struct ear *)handle;
    (void)close(ear->fd);
    free(ear);
}

static void way_free(struct way *way)
{
    if (way->ear) {
        (void)unlink(way->address.sun_path);
        way->ear->way = NULL;
        deadline_disarm(&way->ear->rest);
        uv_close((uv_handle_t *)&way->ear->poll, ear_freed);
    }
    list_remove(&way->node);
    way->ways->n--;
    free(way);
}

static int way_listen(struct way *way, struct err *err)
{
    const struct sockaddr_un *at = &way->address;
    struct ear *ear = calloc(1, sizeof *ear);
    if (!ear)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    (void)unlink(at->sun_path);
    ear->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (ear->fd < 0 || bind(ear->fd, (const struct sockaddr *)at, sizeof *at) < 0 ||
        chmod(at->sun_path, 0600) < 0 || listen(ear->fd, BACKLOG) < 0 ||
        uv_poll_init(&way->ways->config.loop->uv, &ear->poll, ear->fd) < 0) {
        int rc = err_set(err, ERR_IO, "cannot listen on %s: %s", at->sun_path, strerror(errno));
        if (ear->fd >= 0)
            (void)close(ear->fd);
        free(ear);
        return rc;
    }
    ear->way = way;
    way->ear = ear;
    uv_poll_start(&ear->poll, UV_READABLE, on_acceptable);
    return 0;
}

static struct way *find(const struct ways *s, const struct tunnel_target *worker)
{
    list_for_each_safe (it, next, &s->list) {
        struct way *way = list_entry(it, struct way, node);
        if (uuid_eq(&way->worker.deployment, &worker->deployment) && way->worker.ordinal == worker->ordinal)
            return way;
    }
    return NULL;
}

int ways_to(struct ways *s, const struct tunnel_target *worker, char socket[COMMAND_SOCKET_CAP],
            struct err *err)
{
    struct way *way = find(s, worker);
    if (!way) {
        way = s->n < WAYS_MAX ? calloc(1, sizeof *way) : NULL;
        if (!way)
            return err_set(err, ERR_LIMIT, "there are as many ways to workers as there may be");
        way->ways = s;
        way->address.sun_family = AF_UNIX;
        uint32_t name = (uint32_t)map_hash(0, &worker->deployment, sizeof worker->deployment);
        (void)snprintf(way->address.sun_path, sizeof way->address.sun_path, "%s/by-%08x-%u.sock",
                       s->config.run_dir, name, worker->ordinal);
        list_push(&s->list, &way->node);
        s->n++;
        int rc = way_listen(way, err);
        if (rc != 0) {
            way_free(way);
            return rc;
        }
    }
    way->worker = *worker;
    memcpy(socket, way->address.sun_path, COMMAND_SOCKET_CAP);
    return 0;
}

void ways_end(struct ways *s, const struct uuid *deployment)
{
    list_for_each_safe (it, next, &s->list) {
        struct way *way = list_entry(it, struct way, node);
        if (uuid_eq(&way->worker.deployment, deployment))
            way_free(way);
    }
}

/* ---- the whole ---- */

int ways_open(struct ways **out, const struct ways_config *config, struct err *err)
{
    char url[ENDPOINT_TEXT_MAX];
    struct ways *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->config = *config;
    list_init(&s->list);
    list_init(&s->calls);
    int n = snprintf(url, sizeof url, "https://%s", config->hub);
    int rc = n < (int)sizeof url ? http_endpoint_parse(&s->hub, url, err)
                                 : err_set(err, ERR_INVALID, "the hub's address is too long");
    if (rc != 0) {
        free(s);
        return rc;
    }
    deadline_queue_init(&s->dial_q, config->loop, DIAL_MS, on_late);
    deadline_queue_init(&s->rest_q, config->loop, REST_MS, on_rested);
    *out = s;
    return 0;
}

void ways_close(struct ways *s)
{
    list_for_each_safe (it, next, &s->list)
        way_free(list_entry(it, struct way, node));
    list_for_each_safe (it, next, &s->calls)
        call_close(list_entry(it, struct call, node));
    list_remove(&s->dial_q.node);
    list_remove(&s->rest_q.node);
}

void ways_free(struct ways *s)
{
    free(s);
}
