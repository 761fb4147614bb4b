/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/tunnels.h"

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
#include "net/splice.h"

#define BACKLOG 512
#define ACCEPT_BATCH 64
#define REST_MS 100 /* without descriptors nobody is taken for so long: whoever comes waits in the backlog */

struct tunnels {
    struct loop *loop;
    const char *run_dir;
    struct list yards;
    struct deadline_queue wait_q, rest_q;
    uint64_t opened_ms;
    bool closing;
};

/* What there is of one site. */
struct yard {
    struct tunnels *tunnels;
    struct list node;
    struct uuid site;
    uint8_t key[DIGEST_LEN];
    struct list idle, busy, callers, portals;
    uint32_t n; /* tunnels */
    uint64_t empty_ms;
};

struct tunnel {
    struct list node; /* idle or busy */
    struct yard *yard;
    struct stream *stream;
    struct splice *splice; /* NULL: idle */
};

/* Of a portal while it listens. */
struct ear {
    uv_poll_t poll; /* first */
    struct portal *portal;
    struct deadline rest;
    int fd;
};

struct portal {
    struct list node;
    struct yard *yard;
    struct tunnel_target target;
    struct sockaddr_un address;
    struct ear *ear; /* NULL: it does not listen */
};

/* A connection of the gateway that has no tunnel yet. */
struct caller {
    struct stream stream; /* first */
    struct list node;
    struct yard *yard;
    struct tunnel_target target;
    struct deadline deadline;
};

static struct yard *find(const struct tunnels *t, const struct uuid *site)
{
    list_for_each_safe (it, next, &t->yards) {
        struct yard *yard = list_entry(it, struct yard, node);
        if (uuid_eq(&yard->site, site))
            return yard;
    }
    return NULL;
}

static struct yard *yard_of(struct tunnels *t, const struct uuid *site)
{
    struct yard *yard = find(t, site);
    if (yard)
        return yard;
    yard = calloc(1, sizeof *yard);
    if (!yard)
        abort(); /* a member has called: it is one of a few */
    yard->tunnels = t;
    yard->site = *site;
    list_init(&yard->idle);
    list_init(&yard->busy);
    list_init(&yard->callers);
    list_init(&yard->portals);
    list_push(&t->yards, &yard->node);
    return yard;
}

/* ---- callers ---- */

static void caller_freed(struct stream *stream)
{
    free((struct caller *)stream);
}

static void caller_leave(struct caller *caller)
{
    deadline_disarm(&caller->deadline);
    list_remove(&caller->node);
}

static void caller_refuse(struct caller *caller)
{
    caller_leave(caller);
    stream_close(&caller->stream);
}

static void on_waited(struct deadline *deadline)
{
    caller_refuse(list_entry(deadline, struct caller, deadline));
}

/* It is not read before it has a tunnel. */
static const struct stream_events caller_events = {.on_closed = caller_freed};

/* ---- portals ---- */

static void ear_freed(uv_handle_t *handle)
{
    struct ear *ear = (struct ear *)handle;
    (void)close(ear->fd);
    free(ear);
}

static void portal_shut(struct portal *portal)
{
    if (!portal->ear)
        return;
    (void)unlink(portal->address.sun_path);
    portal->ear->portal = NULL;
    deadline_disarm(&portal->ear->rest);
    uv_close((uv_handle_t *)&portal->ear->poll, ear_freed);
    portal->ear = NULL;
}

static void portal_free(struct portal *portal)
{
    portal_shut(portal);
    list_remove(&portal->node);
    free(portal);
}

static void serve(struct yard *yard);

static void take(struct portal *portal, int fd)
{
    struct yard *yard = portal->yard;
    struct caller *caller = calloc(1, sizeof *caller);
    if (!caller) {
        (void)close(fd);
        return;
    }
    if (stream_accept(&caller->stream, yard->tunnels->loop, fd, true, &caller_events) < 0) {
        free(caller);
        return;
    }
    if (caller->stream.closing)
        return;
    caller->yard = yard;
    caller->target = portal->target;
    list_push(&yard->callers, &caller->node);
    deadline_arm(&caller->deadline, &yard->tunnels->wait_q);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct ear *ear = (struct ear *)poll;
    struct portal *portal = ear->portal;
    int fd = -1;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH && portal; i++) {
        fd = accept4(ear->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            uv_poll_stop(
                &ear->poll); /* no descriptor or no memory; it would be told again at once, for ever */
            deadline_arm(&ear->rest, &portal->yard->tunnels->rest_q);
        }
        if (fd < 0)
            break;
        take(portal, fd);
    }
    if (portal)
        serve(portal->yard);
}

static void on_rested(struct deadline *deadline)
{
    uv_poll_start(&list_entry(deadline, struct ear, rest)->poll, UV_READABLE, on_acceptable);
}

static int portal_listen(struct portal *portal, struct err *err)
{
    const struct sockaddr_un *at = &portal->address;
    struct ear *ear = portal->ear ? NULL : calloc(1, sizeof *ear);
    if (portal->ear)
        return 0;
    if (!ear)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    (void)unlink(at->sun_path);
    ear->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (ear->fd < 0 || bind(ear->fd, (const struct sockaddr *)at, sizeof *at) < 0 ||
        listen(ear->fd, BACKLOG) < 0 ||
        uv_poll_init(&portal->yard->tunnels->loop->uv, &ear->poll, ear->fd) < 0) {
        int rc = err_set(err, ERR_IO, "cannot listen on %s: %s", at->sun_path, strerror(errno));
        if (ear->fd >= 0)
            (void)close(ear->fd);
        free(ear);
        return rc;
    }
    ear->portal = portal;
    portal->ear = ear;
    uv_poll_start(&ear->poll, UV_READABLE, on_acceptable);
    return 0;
}

static struct portal *find_portal(const struct yard *yard, const struct tunnel_target *target)
{
    list_for_each_safe (it, next, &yard->portals) {
        struct portal *portal = list_entry(it, struct portal, node);
        if (uuid_eq(&portal->target.deployment, &target->deployment) &&
            portal->target.ordinal == target->ordinal)
            return portal;
    }
    return NULL;
}

int tunnels_portal(struct tunnels *t, const struct uuid *site, const struct tunnel_target *target,
                   char endpoint[TEXT_CAP], struct err *err)
{
    struct yard *yard = yard_of(t, site);
    struct portal *portal = find_portal(yard, target);
    if (yard->n == 0)
        return err_set(err, ERR_UNAVAILABLE, "the site has no tunnel");
    if (!portal) {
        portal = calloc(1, sizeof *portal);
        if (!portal)
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        portal->yard = yard;
        portal->address.sun_family = AF_UNIX;
        /* By site too: one that a replica has left must not listen for the one that it has gone to. */
        uint64_t seed = map_hash(0, site, sizeof *site);
        uint32_t name = (uint32_t)map_hash(seed, &target->deployment, sizeof target->deployment);
        (void)snprintf(portal->address.sun_path, sizeof portal->address.sun_path, "%s/at-%08x-%u.sock",
                       t->run_dir, name, target->ordinal);
        list_push(&yard->portals, &portal->node);
    }
    portal->target = *target;
    (void)snprintf(endpoint, TEXT_CAP, "unix:%s", portal->address.sun_path);
    return portal_listen(portal, err);
}

static bool is_among(const struct tunnel_target *list, uint32_t n, const struct tunnel_target *target)
{
    for (uint32_t i = 0; i < n; i++) {
        if (uuid_eq(&list[i].deployment, &target->deployment) && list[i].ordinal == target->ordinal)
            return true;
    }
    return false;
}

void tunnels_keep(struct tunnels *t, const struct uuid *site, const struct tunnel_target *keep, uint32_t n)
{
    struct yard *yard = find(t, site);
    if (!yard)
        return;
    list_for_each_safe (it, next, &yard->portals) {
        struct portal *portal = list_entry(it, struct portal, node);
        if (!is_among(keep, n, &portal->target))
            portal_free(portal);
    }
}

/* ---- tunnels ---- */

/* Without a tunnel nobody is let in, so that whoever comes knows it at once. */
static void one_fewer(struct yard *yard)
{
    char id[UUID_TEXT_LEN + 1];
    if (--yard->n > 0)
        return;
    yard->empty_ms = uv_now(&yard->tunnels->loop->uv);
    uuid_format(id, &yard->site);
    log_info("no_tunnel", "site=%s", id);
    list_for_each_safe (it, next, &yard->portals)
        portal_shut(list_entry(it, struct portal, node));
    list_for_each_safe (it, next, &yard->callers)
        caller_refuse(list_entry(it, struct caller, node));
}

static void tunnel_over(void *ctx)
{
    struct tunnel *tunnel = ctx;
    list_remove(&tunnel->node);
    one_fewer(tunnel->yard);
    free(tunnel);
}

/* Nothing is to be said on an idle one: it has ended, or is none of ours. */
static void on_idle_read(struct stream *stream, const char *data, ssize_t len)
{
    (void)data;
    (void)len;
    stream_close(stream);
}

static void on_idle_closed(struct stream *stream)
{
    struct tunnel *tunnel = stream->owner;
    http_upgraded_free(stream);
    tunnel_over(tunnel);
}

static const struct stream_events idle_events = {.on_read = on_idle_read, .on_closed = on_idle_closed};

/* The one that was used last is the least likely to have died meanwhile. NULL: there is none. */
static struct tunnel *idle_one(struct yard *yard)
{
    for (struct list *it = yard->idle.prev; it != &yard->idle; it = it->prev) {
        struct tunnel *tunnel = list_entry(it, struct tunnel, node);
        if (!tunnel->stream->closing && !tunnel->stream->failed)
            return tunnel;
    }
    return NULL;
}

static void join(struct tunnel *tunnel, struct caller *caller)
{
    char line[TUNNEL_LINE_MAX];
    uv_buf_t buf = uv_buf_init(line, (unsigned)tunnel_write_line(line, &caller->target));
    caller_leave(caller);
    list_remove(&tunnel->node);
    list_push(&tunnel->yard->busy, &tunnel->node);
    (void)stream_write(tunnel->stream, &buf, 1); /* a failure arrives through on_read */
    tunnel->splice = splice_new((struct splice_end){&caller->stream, caller_freed},
                                (struct splice_end){tunnel->stream, http_upgraded_free}, tunnel_over, tunnel);
    if (!tunnel->splice)
        abort(); /* out of memory */
}

static void serve(struct yard *yard)
{
    struct list *first;
    struct tunnel *tunnel;
    while ((first = list_first(&yard->callers)) != NULL && (tunnel = idle_one(yard)) != NULL)
        join(tunnel, list_entry(first, struct caller, node));
}

static void yard_cut(struct yard *yard)
{
    list_for_each_safe (it, next, &yard->idle)
        stream_close(list_entry(it, struct tunnel, node)->stream);
    list_for_each_safe (it, next, &yard->busy)
        splice_close(list_entry(it, struct tunnel, node)->splice);
}

int tunnels_add(struct tunnels *t, const struct uuid *site, const uint8_t key[DIGEST_LEN],
                struct http_request *request)
{
    struct yard *yard = yard_of(t, site);
    struct err ignored;
    if (memcmp(yard->key, key, sizeof yard->key) != 0)
        yard_cut(yard);
    memcpy(yard->key, key, sizeof yard->key);
    struct tunnel *tunnel = yard->n < TUNNELS_SITE_MAX && !t->closing ? calloc(1, sizeof *tunnel) : NULL;
    if (!tunnel)
        return ERR_LIMIT;
    tunnel->stream = http_upgrade(request, TUNNEL_PROTOCOL);
    if (!tunnel->stream) {
        free(tunnel);
        return ERR_INVALID;
    }
    tunnel->yard = yard;
    tunnel->stream->owner = tunnel;
    tunnel->stream->events = &idle_events;
    stream_alive(tunnel->stream, TUNNEL_SILENCE_MS);
    list_push(&yard->idle, &tunnel->node);
    yard->n++;
    list_for_each_safe (it, next, &yard->portals)
        (void)portal_listen(list_entry(it, struct portal, node),
                            &ignored); /* the site's next report tries again */
    serve(yard);
    return 0;
}

bool tunnels_any(const struct tunnels *t, const struct uuid *site)
{
    const struct yard *yard = find(t, site);
    return yard && yard->n > 0;
}

void tunnels_cut(struct tunnels *t, const struct uuid *site)
{
    struct yard *yard = find(t, site);
    if (yard)
        yard_cut(yard);
}

uint32_t tunnels_sites(const struct tunnels *t, struct tunnels_site *out, uint32_t max)
{
    uint64_t now = uv_now(&t->loop->uv);
    uint32_t n = 0;
    list_for_each_safe (it, next, &t->yards) {
        const struct yard *yard = list_entry(it, struct yard, node);
        if (n == max || (yard->n == 0 && now - yard->empty_ms > TUNNELS_GRACE_MS))
            continue;
        out[n].site = yard->site;
        memcpy(out[n++].key, yard->key, sizeof yard->key);
    }
    return n;
}

/* ---- the whole ---- */

int tunnels_open(struct tunnels **out, struct loop *loop, const char *run_dir, struct err *err)
{
    struct tunnels *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    t->loop = loop;
    t->run_dir = run_dir;
    list_init(&t->yards);
    deadline_queue_init(&t->wait_q, loop, TUNNELS_WAIT_MS, on_waited);
    deadline_queue_init(&t->rest_q, loop, REST_MS, on_rested);
    *out = t;
    return 0;
}

void tunnels_close(struct tunnels *t)
{
    t->closing = true;
    list_for_each_safe (at, after, &t->yards) {
        struct yard *yard = list_entry(at, struct yard, node);
        list_for_each_safe (it, next, &yard->portals)
            portal_free(list_entry(it, struct portal, node));
        list_for_each_safe (it, next, &yard->callers)
            caller_refuse(list_entry(it, struct caller, node));
        yard_cut(yard);
    }
    list_remove(&t->wait_q.node);
}

void tunnels_free(struct tunnels *t)
{
    if (!t)
        return;
    list_for_each_safe (it, next, &t->yards)
        free(list_entry(it, struct yard, node));
    free(t);
}
