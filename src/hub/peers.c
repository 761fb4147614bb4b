/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/peers.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "core/kinds.h"
#include "core/view.h"
#include "hub/api.h"
#include "hub/hosting_parts.h"
#include "net/splice.h"
#include "net/tunnel.h"

#define UNIX "unix:"

/* What a visit asks for, and what core says to it. */
struct asked {
    struct tunnel_target target;
    char endpoint[TEXT_CAP]; /* of the worker; "": it is not this site's to ask */
};

struct peer;

struct worker_end {
    struct stream stream; /* first */
    struct peer *peer;    /* NULL: it has gone meanwhile */
};

struct peer {
    struct list node;
    struct peers *peers;
    struct stream *stream; /* the head's site's */
    struct uuid site;
    struct tunnel_target target;
    struct worker_end *worker; /* until they are joined */
    struct splice *splice;     /* from then on */
};

struct peers {
    struct loop *loop;
    struct list list;
    uint32_t n;
    bool closing;
};

/* ---- the end of one ---- */

static void leave(struct peer *p)
{
    list_remove(&p->node);
    p->peers->n--;
    free(p);
}

static void on_over(void *ctx)
{
    leave(ctx); /* each end has freed itself */
}

static void peer_close(struct peer *p)
{
    if (p->splice) {
        splice_close(p->splice);
        return;
    }
    if (p->stream->closing)
        return;
    if (p->worker) {
        p->worker->peer = NULL;
        stream_close(&p->worker->stream);
        p->worker = NULL;
    }
    stream_close(p->stream);
}

static void on_closed(struct stream *stream)
{
    struct peer *p = stream->owner;
    http_upgraded_free(stream);
    leave(p);
}

/* It is not read before it is joined, so this is its end. */
static void on_early(struct stream *stream, const char *data, ssize_t len)
{
    (void)data;
    (void)len;
    peer_close(stream->owner);
}

static const struct stream_events site_events = {.on_read = on_early, .on_closed = on_closed};

/* ---- the worker's end ---- */

static void worker_freed(struct stream *stream)
{
    free((struct worker_end *)stream);
}

static void on_worker_read(struct stream *stream, const char *data, ssize_t len)
{
    struct worker_end *worker = (struct worker_end *)stream;
    (void)data;
    (void)len;
    if (worker->peer)
        peer_close(worker->peer);
}

static void on_worker(struct stream *stream, int status)
{
    struct worker_end *worker = (struct worker_end *)stream;
    struct peer *p = worker->peer;
    if (!p)
        return;
    if (status < 0) {
        peer_close(p);
        return;
    }
    p->worker = NULL;
    worker->peer = NULL;
    p->splice = splice_new((struct splice_end){p->stream, http_upgraded_free},
                           (struct splice_end){stream, worker_freed}, on_over, p);
    if (!p->splice)
        abort(); /* out of memory */
}

static const struct stream_events worker_events = {
    .on_read = on_worker_read, .on_connect = on_worker, .on_closed = worker_freed};

static void dial(struct peer *p, const char *path)
{
    p->worker = calloc(1, sizeof *p->worker);
    if (!p->worker)
        abort(); /* a few hundred bytes */
    p->worker->peer = p;
    if (stream_dial_unix(&p->worker->stream, p->peers->loop, path, &worker_events) < 0) {
        free(p->worker);
        p->worker = NULL;
        peer_close(p);
    }
}

/* ---- the call ---- */

static const struct row_replica *head_of(const struct core *core, const struct uuid *deployment)
{
    const struct row_replica *row;
    for (uint32_t pos = 0; (row = view_replica_at(core, &pos)) != NULL;) {
        if (row->role == REPLICA_HEAD && uuid_eq(&row->deployment, deployment))
            break;
    }
    return row;
}

/* On the core's thread. */
static void look(struct visit *visit, const struct core *core)
{
    struct asked *a = visit->data;
    const struct row_cluster *cluster = view_cluster(core, &a->target.deployment);
    const struct row_replica *head = head_of(core, &a->target.deployment), *worker;
    struct view_part part;
    if (!cluster || !head || !uuid_eq(&head->site, &visit->site))
        return;
    for (uint32_t i = 0; view_cluster_part(cluster, i, &part); i++) {
        if (part.ordinal == a->target.ordinal && part.epoch == a->target.epoch &&
            (worker = view_cluster_worker(core, cluster, &part)) != NULL)
            memcpy(a->endpoint, worker->endpoint, sizeof a->endpoint);
    }
}

static void answer(struct visit *visit)
{
    struct peers *s = hosting_peers(visit_hosting(visit));
    const struct asked *a = visit->data;
    if (strncmp(a->endpoint, UNIX, sizeof UNIX - 1) != 0) {
        hub_refuse(visit->request, ERR_FORBIDDEN,
                   "This site has not the head of a cluster of which that is a worker now.");
        visit->request = NULL;
        return;
    }
    struct peer *p = s->closing || s->n >= PEERS_MAX ? NULL : calloc(1, sizeof *p);
    struct stream *stream = p ? http_upgrade(visit->request, PEER_PROTOCOL) : NULL;
    if (!stream) {
        free(p);
        hub_refuse(visit->request, ERR_LIMIT, "There are as many ways to workers as there may be.");
        visit->request = NULL;
        return;
    }
    visit->request = NULL;
    *p = (struct peer){.peers = s, .stream = stream, .site = visit->site, .target = a->target};
    stream->owner = p;
    stream->events = &site_events;
    stream_alive(stream, TUNNEL_SILENCE_MS);
    stream_pause(stream);
    list_push(&s->list, &p->node);
    s->n++;
    dial(p, a->endpoint + sizeof UNIX - 1);
}

static bool take_number(yyjson_val *root, const char *name, uint32_t *out)
{
    yyjson_val *v = yyjson_obj_get(root, name);
    *out = (uint32_t)yyjson_get_uint(v);
    return yyjson_is_uint(v) && yyjson_get_uint(v) <= UINT32_MAX;
}

int peers_take(struct visit *visit, yyjson_val *root, struct err *err)
{
    struct asked *a = calloc(1, sizeof *a);
    yyjson_val *deployment = yyjson_obj_get(root, "deployment");
    size_t len;
    const char *protocol = http_request_field(visit->request, "upgrade", &len);
    if (!a)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    visit->data = a;
    visit->drop = free;
    visit->look = look;
    visit->answer = answer;
    if (!visit_know(visit, err))
        return ERR_FORBIDDEN;
    if (!protocol || !text_eq(PEER_PROTOCOL, strlen(PEER_PROTOCOL), protocol, len))
        return err_set(err, ERR_INVALID, "this takes Upgrade: " PEER_PROTOCOL);
    if (!yyjson_is_str(deployment) ||
        !uuid_parse(&a->target.deployment, yyjson_get_str(deployment), yyjson_get_len(deployment)) ||
        !take_number(root, "ordinal", &a->target.ordinal) || !take_number(root, "epoch", &a->target.epoch))
        return err_set(err, ERR_INVALID, "deployment, ordinal and epoch of a worker");
    visit_ask(visit);
    return 0;
}

/* ---- the whole ---- */

int peers_open(struct peers **out, struct loop *loop, struct err *err)
{
    struct peers *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->loop = loop;
    list_init(&s->list);
    *out = s;
    return 0;
}

void peers_cut(struct peers *s, const struct uuid *site)
{
    list_for_each_safe (it, next, &s->list) {
        struct peer *p = list_entry(it, struct peer, node);
        if (uuid_eq(&p->site, site))
            peer_close(p);
    }
}

void peers_part(struct peers *s, const struct uuid *deployment)
{
    list_for_each_safe (it, next, &s->list) {
        struct peer *p = list_entry(it, struct peer, node);
        if (uuid_eq(&p->target.deployment, deployment))
            peer_close(p);
    }
}

void peers_close(struct peers *s)
{
    s->closing = true;
    list_for_each_safe (it, next, &s->list)
        peer_close(list_entry(it, struct peer, node));
}

void peers_free(struct peers *s)
{
    free(s);
}
