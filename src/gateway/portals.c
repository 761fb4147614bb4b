/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/portals.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "core/kinds.h"
#include "net/http_client.h"
#include "net/splice.h"
#include "net/tunnel.h"

#define BACKLOG 512
#define ACCEPT_BATCH 64
#define TICK_MS 100
#define PAUSE_MS 500 /* after a connection that did not come about */
#define DIAL_MS 10000

struct portals {
    struct portals_config config;
    struct http_endpoint hub;
    struct list portals, callers, ways;
    uint32_t n, spare; /* ways in all; dialled or idle */
    uint64_t not_before_ms;
    bool wanted, closing;
    uv_timer_t timer;
    struct deadline_queue wait_q, dial_q;
};

/* A portal's socket, apart from it since the handle closes later. */
struct ear {
    uv_poll_t poll; /* first */
    struct portal *portal;
    int fd;
};

struct portal {
    struct list node;
    struct portals *portals;
    struct tunnel_target target;
    struct sockaddr_un address;
    struct ear *ear;
    bool marked;
};

/* A connection of a worker that has no way yet. */
struct caller {
    struct stream stream; /* first */
    struct list node;
    struct portals *portals;
    struct tunnel_target target;
    struct deadline deadline;
};

enum phase { DIALLING, IDLE, JOINED };

/* A connection to the hub. */
struct way {
    struct stream stream; /* first */
    struct list node;
    struct portals *portals;
    enum phase phase;
    struct buf in; /* the head of the hub's answer */
    struct splice *splice;
    struct deadline deadline;
};

static void serve(struct portals *s);

/* ---- ways to the hub ---- */

static void way_leave(struct way *w)
{
    struct portals *s = w->portals;
    deadline_disarm(&w->deadline);
    if (!list_linked(&w->node))
        return;
    list_remove(&w->node);
    s->n--;
    s->spare -= w->phase != JOINED;
}

static void way_freed(struct stream *stream)
{
    struct way *w = (struct way *)stream;
    way_leave(w);
    buf_fini(&w->in);
    free(w);
}

static void way_close(struct way *w)
{
    if (w->phase == JOINED) {
        splice_close(w->splice);
        return;
    }
    way_leave(w);
    stream_close(&w->stream);
}

static void way_failed(struct way *w)
{
    struct portals *s = w->portals;
    if (w->phase == DIALLING)
        s->not_before_ms = uv_now(&s->config.loop->uv) + PAUSE_MS;
    way_close(w);
}

static void on_dial_late(struct deadline *deadline)
{
    way_failed(list_entry(deadline, struct way, deadline));
}

static void on_way_read(struct stream *stream, const char *data, ssize_t len)
{
    struct way *w = (struct way *)stream;
    size_t used;
    if (len < 0 || w->phase != DIALLING) { /* an idle one has nothing to say */
        way_failed(w);
        return;
    }
    buf_add(&w->in, data, (size_t)len);
    enum tunnel_read rc = w->in.failed ? TUNNEL_BAD : tunnel_read_head(w->in.data, w->in.len, &used);
    if (rc == TUNNEL_MORE)
        return;
    if (rc == TUNNEL_BAD || used != w->in.len) {
        way_failed(w);
        return;
    }
    buf_fini(&w->in);
    deadline_disarm(&w->deadline);
    w->phase = IDLE;
    serve(w->portals);
}

static void on_way_connect(struct stream *stream, int status)
{
    struct way *w = (struct way *)stream;
    struct buf head;
    if (status < 0) {
        way_failed(w);
        return;
    }
    stream_alive(stream, TUNNEL_SILENCE_MS);
    buf_init(&head, TUNNEL_HEAD_MAX);
    http_request_head(&head, &w->portals->hub, "POST", PASSAGE_PATH,
                      "Connection: Upgrade\r\nUpgrade: " PASSAGE_PROTOCOL "\r\n", 2);
    buf_add_text(&head, "{}");
    uv_buf_t buf = uv_buf_init(head.data, (unsigned)head.len);
    (void)stream_write(stream, &buf, 1); /* a failure arrives through on_read */
    buf_fini(&head);
    stream_read(stream);
}

static const struct stream_events way_events = {
    .on_read = on_way_read, .on_connect = on_way_connect, .on_closed = way_freed};

static bool dial(struct portals *s)
{
    struct way *w = calloc(1, sizeof *w);
    struct tls_session *tls = w ? tls_connect(s->config.tls, s->hub.host) : NULL;
    if (!tls) {
        free(w);
        return false;
    }
    w->portals = s;
    buf_init(&w->in, TUNNEL_HEAD_MAX + LOOP_READ_BUF);
    if (http_endpoint_dial(&w->stream, s->config.loop, &s->hub, tls, &way_events) < 0) {
        tls_free(tls);
        free(w);
        return false;
    }
    list_push(&s->ways, &w->node);
    s->n++;
    s->spare++;
    deadline_arm(&w->deadline, &s->dial_q);
    return true;
}

static void top_up(struct portals *s)
{
    if (!s->wanted || s->closing || uv_now(&s->config.loop->uv) < s->not_before_ms)
        return;
    uint32_t in_use = s->n - s->spare;
    while (s->spare < PORTALS_IDLE + in_use / 2 && s->n < PORTALS_MAX && dial(s)) {
    }
}

static void on_tick(uv_timer_t *timer)
{
    top_up(timer->data);
}

/* The one that was idle for the shortest time is the least likely to have died meanwhile. */
static struct way *idle_one(struct portals *s)
{
    for (struct list *it = s->ways.prev; it != &s->ways; it = it->prev) {
        struct way *w = list_entry(it, struct way, node);
        if (w->phase == IDLE && !w->stream.closing && !w->stream.failed)
            return w;
    }
    return NULL;
}

/* ---- callers ---- */

static void caller_freed(struct stream *stream)
{
    free((struct caller *)stream);
}

static void caller_leave(struct caller *c)
{
    deadline_disarm(&c->deadline);
    list_remove(&c->node);
}

static void caller_refuse(struct caller *c)
{
    caller_leave(c);
    stream_close(&c->stream);
}

static void on_waited(struct deadline *deadline)
{
    caller_refuse(list_entry(deadline, struct caller, deadline));
}

/* It is not read before it has a way. */
static const struct stream_events caller_events = {.on_closed = caller_freed};

static void on_over(void *ctx)
{
    (void)ctx; /* each end has freed itself */
}

static void join(struct way *w, struct caller *c)
{
    char line[TUNNEL_LINE_MAX];
    uv_buf_t buf = uv_buf_init(line, (unsigned)tunnel_write_line(line, &c->target));
    caller_leave(c);
    w->phase = JOINED;
    w->portals->spare--;
    (void)stream_write(&w->stream, &buf, 1); /* a failure arrives through on_read */
    w->splice = splice_new((struct splice_end){&c->stream, caller_freed},
                           (struct splice_end){&w->stream, way_freed}, on_over, NULL);
    if (!w->splice)
        abort(); /* out of memory */
}

static void serve(struct portals *s)
{
    struct list *first;
    struct way *w;
    while ((first = list_first(&s->callers)) != NULL && (w = idle_one(s)) != NULL)
        join(w, list_entry(first, struct caller, node));
    top_up(s);
}

/* ---- portals ---- */

static void ear_freed(uv_handle_t *handle)
{
    struct ear *ear = (struct ear *)handle;
    (void)close(ear->fd);
    free(ear);
}

static void portal_free(struct portal *p)
{
    (void)unlink(p->address.sun_path);
    p->ear->portal = NULL;
    uv_close((uv_handle_t *)&p->ear->poll, ear_freed);
    list_remove(&p->node);
    free(p);
}

static void take(struct portal *p, int fd)
{
    struct portals *s = p->portals;
    struct caller *c = calloc(1, sizeof *c);
    if (!c) {
        (void)close(fd);
        return;
    }
    if (stream_accept(&c->stream, s->config.loop, fd, true, &caller_events) < 0) {
        free(c);
        return;
    }
    if (c->stream.closing)
        return;
    c->portals = s;
    c->target = p->target;
    list_push(&s->callers, &c->node);
    deadline_arm(&c->deadline, &s->wait_q);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct ear *ear = (struct ear *)poll;
    struct portal *portal = ear->portal;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH && portal; i++) {
        int fd = accept4(ear->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            break;
        take(portal, fd);
    }
    if (portal)
        serve(portal->portals);
}

static int portal_listen(struct portal *p)
{
    const struct sockaddr_un *at = &p->address;
    struct ear *ear = calloc(1, sizeof *ear);
    if (!ear)
        return ERR_NO_MEMORY;
    (void)unlink(at->sun_path);
    ear->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (ear->fd < 0 || bind(ear->fd, (const struct sockaddr *)at, sizeof *at) < 0 ||
        listen(ear->fd, BACKLOG) < 0 || uv_poll_init(&p->portals->config.loop->uv, &ear->poll, ear->fd) < 0) {
        log_error("portal", "path=%s error=\"%s\"", at->sun_path, strerror(errno));
        if (ear->fd >= 0)
            (void)close(ear->fd);
        free(ear);
        return ERR_IO;
    }
    ear->portal = p;
    p->ear = ear;
    uv_poll_start(&ear->poll, UV_READABLE, on_acceptable);
    return 0;
}

static struct portal *find(const struct portals *s, const struct tunnel_target *target)
{
    list_for_each_safe (it, next, &s->portals) {
        struct portal *p = list_entry(it, struct portal, node);
        if (uuid_eq(&p->target.deployment, &target->deployment) && p->target.ordinal == target->ordinal &&
            p->target.epoch == target->epoch)
            return p;
    }
    return NULL;
}

/* The prefix of the paths at an engine that has a URL; "": it has none. */
static const char *base_of(const char *endpoint)
{
    const char *host = strstr(endpoint, "://");
    const char *base = host ? strchr(host + 3, '/') : NULL;
    return base ? base : "";
}

int portals_place(struct portals *s, struct row_replica *replica)
{
    struct tunnel_target target = {replica->deployment, replica->ordinal, replica->epoch};
    struct portal *p = find(s, &target);
    char base[TEXT_CAP];
    if (replica->state != REPLICA_READY || replica->role == REPLICA_WORKER)
        return 0;
    if (!p) {
        p = calloc(1, sizeof *p);
        if (!p)
            return ERR_NO_MEMORY;
        p->portals = s;
        p->target = target;
        p->address.sun_family = AF_UNIX;
        uint32_t name = (uint32_t)map_hash(target.epoch, &target.deployment, sizeof target.deployment);
        (void)snprintf(p->address.sun_path, sizeof p->address.sun_path, "%s/to-%08x-%u.sock",
                       s->config.run_dir, name, target.ordinal);
        int rc = portal_listen(p);
        if (rc != 0) {
            free(p);
            return rc;
        }
        list_push(&s->portals, &p->node);
    }
    p->marked = false;
    (void)snprintf(base, sizeof base, "%s", base_of(replica->endpoint));
    int n = snprintf(replica->endpoint, sizeof replica->endpoint, "unix:%s%s%s", p->address.sun_path,
                     base[0] ? " " : "", base);
    return n < (int)sizeof replica->endpoint ? 0 : ERR_CORRUPT;
}

void portals_mark(struct portals *s)
{
    list_for_each_safe (it, next, &s->portals)
        list_entry(it, struct portal, node)->marked = true;
}

void portals_sweep(struct portals *s)
{
    list_for_each_safe (it, next, &s->portals) {
        struct portal *p = list_entry(it, struct portal, node);
        if (p->marked)
            portal_free(p);
    }
}

/* ---- the whole ---- */

void portals_want(struct portals *s, bool wanted)
{
    s->wanted = wanted;
    list_for_each_safe (it, next, &s->ways) {
        struct way *w = list_entry(it, struct way, node);
        if (!wanted && w->phase != JOINED)
            way_close(w);
    }
    top_up(s);
}

int portals_open(struct portals **out, const struct portals_config *config, struct err *err)
{
    char url[ENDPOINT_TEXT_MAX];
    struct portals *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->config = *config;
    list_init(&s->portals);
    list_init(&s->callers);
    list_init(&s->ways);
    int n = snprintf(url, sizeof url, "https://%s", config->hub);
    int rc = n < (int)sizeof url ? http_endpoint_parse(&s->hub, url, err)
                                 : err_set(err, ERR_INVALID, "the hub's address is too long");
    if (rc != 0) {
        free(s);
        return rc;
    }
    deadline_queue_init(&s->wait_q, config->loop, PORTALS_WAIT_MS, on_waited);
    deadline_queue_init(&s->dial_q, config->loop, DIAL_MS, on_dial_late);
    uv_timer_init(&config->loop->uv, &s->timer);
    s->timer.data = s;
    uv_timer_start(&s->timer, on_tick, TICK_MS, TICK_MS);
    *out = s;
    return 0;
}

void portals_close(struct portals *s)
{
    s->closing = true;
    s->wanted = false;
    list_for_each_safe (it, next, &s->portals)
        portal_free(list_entry(it, struct portal, node));
    list_for_each_safe (it, next, &s->callers)
        caller_refuse(list_entry(it, struct caller, node));
    list_for_each_safe (it, next, &s->ways)
        way_close(list_entry(it, struct way, node));
    uv_close((uv_handle_t *)&s->timer, NULL);
    list_remove(&s->wait_q.node);
    list_remove(&s->dial_q.node);
}

void portals_free(struct portals *s)
{
    free(s);
}
