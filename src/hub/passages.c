/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/passages.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "hub/api.h"
#include "hub/trunks.h"
#include "hub/visit.h"
#include "net/splice.h"

#define PAUSE_MS 5      /* of who was given a slot of another replica than the one that it is for */
#define REFUSED_MS 5000 /* for the gateway to take the answer */
#define AHEAD_MAX (TUNNEL_LINE_MAX + 4 * (size_t)LOOP_READ_BUF) /* read while it waits: so its end is seen */

enum phase { IDLE, WAITING, PAUSED, DIALLING, JOINED, REFUSED };

struct far_end;

struct passage {
    struct list node;
    struct passages *passages;
    struct stream *stream; /* the gateway's */
    struct uuid gateway;
    enum phase phase;
    struct buf in; /* the line, and what came with it */
    struct tunnel_target target;
    struct backend *replica;   /* that was named, from the line on */
    struct slot_queue *queue;  /* of its model */
    struct slot_waiter waiter; /* WAITING */
    bool has_slot;             /* of that replica */
    struct far_end *engine;    /* DIALLING, JOINED */
    struct splice *splice;
    struct deadline deadline;
};

struct far_end {
    struct stream stream;    /* first */
    struct passage *passage; /* NULL: it has gone meanwhile */
};

struct passages {
    struct passages_config config;
    struct list list;
    uint32_t n;
    struct deadline_queue wait_q, refused_q;
    struct grant_box grants;
    uv_async_t granted;
    uv_timer_t timer;
    bool closing;
};

/* ---- the end of one ---- */

static void give_slot(struct passage *p)
{
    if (p->phase == WAITING)
        slot_cancel(p->queue, &p->waiter);
    if (p->has_slot)
        slot_release(p->queue, p->replica, 0); /* and the reference of the slot */
    p->has_slot = false;
}

static void leave(struct passage *p)
{
    struct passages *s = p->passages;
    deadline_disarm(&p->deadline);
    list_remove(&p->node);
    s->n--;
    give_slot(p);
    if (p->replica)
        backend_unref(p->replica);
    buf_fini(&p->in);
    free(p);
}

static void on_closed(struct stream *stream)
{
    struct passage *p = stream->owner;
    http_upgraded_free(stream);
    leave(p);
}

static void engine_leave(struct passage *p)
{
    if (!p->engine)
        return;
    p->engine->passage = NULL;
    stream_close(&p->engine->stream);
    p->engine = NULL;
}

static void passage_close(struct passage *p)
{
    if (p->phase == JOINED) {
        splice_close(p->splice);
        return;
    }
    if (p->stream->closing)
        return;
    engine_leave(p);
    stream_close(p->stream);
}

/* Nothing of it has reached the replica, and the gateway is told that, in the form of what it awaits: it may ask another. */
static void passage_refuse(struct passage *p)
{
    static char answer[] = "HTTP/1.1 503 Service Unavailable\r\n" PASSAGE_REFUSED ": 1\r\n"
                           "Content-Length: 0\r\nConnection: close\r\n\r\n";
    uv_buf_t out = uv_buf_init(answer, sizeof answer - 1);
    if (p->stream->closing)
        return;
    engine_leave(p);
    give_slot(p);
    p->phase = REFUSED;
    deadline_arm(&p->deadline, &p->passages->refused_q);
    if (stream_write(p->stream, &out, 1) < 0 || stream_end(p->stream) < 0)
        stream_close(p->stream);
    else
        stream_read(p->stream); /* what it sends is dropped: unread, it would take the answer with it */
}

static void on_late(struct deadline *deadline)
{
    passage_refuse(list_entry(deadline, struct passage, deadline));
}

static void on_refused(struct deadline *deadline)
{
    passage_close(list_entry(deadline, struct passage, deadline));
}

static void on_over(void *ctx)
{
    leave(ctx); /* each end has freed itself */
}

/* ---- the replica's end ---- */

static void engine_freed(struct stream *stream)
{
    free((struct far_end *)stream);
}

static void on_engine(struct stream *stream, int status)
{
    struct far_end *engine = (struct far_end *)stream;
    struct passage *p = engine->passage;
    if (!p)
        return;
    if (status < 0) {
        passage_refuse(p);
        return;
    }
    deadline_disarm(&p->deadline);
    uv_buf_t asked = uv_buf_init(p->in.data, (unsigned)p->in.len);
    if (p->in.len > 0)
        (void)stream_write(stream, &asked, 1); /* a failure arrives through on_read */
    buf_fini(&p->in);
    p->phase = JOINED;
    p->splice = splice_new((struct splice_end){p->stream, http_upgraded_free},
                           (struct splice_end){&engine->stream, engine_freed}, on_over, p);
    if (!p->splice)
        abort(); /* out of memory */
}

/* Before it is joined: it failed in the middle of a handshake. */
static void on_engine_read(struct stream *stream, const char *data, ssize_t len)
{
    const struct far_end *engine = (const struct far_end *)stream;
    (void)data;
    if (len < 0 && engine->passage)
        passage_refuse(engine->passage);
}

static const struct stream_events engine_events = {
    .on_read = on_engine_read, .on_connect = on_engine, .on_closed = engine_freed};

static int dial(struct passage *p, const struct http_endpoint *e)
{
    struct passages *s = p->passages;
    struct tls_session *tls = NULL;
    if (e->is_tls && !(tls = tls_connect(s->config.engine_tls, e->host)))
        return UV_ENOMEM;
    int rc = http_endpoint_dial(&p->engine->stream, s->config.loop, e, tls, &engine_events);
    if (rc < 0)
        tls_free(tls);
    return rc;
}

static void go(struct passage *p)
{
    p->phase = DIALLING;
    p->engine = calloc(1, sizeof *p->engine);
    if (!p->engine)
        abort(); /* a few hundred bytes */
    p->engine->passage = p;
    if (dial(p, &p->replica->endpoint) < 0) {
        free(p->engine);
        p->engine = NULL;
        passage_refuse(p);
    }
}

/* In the queue of the model, in which a gateway counts as one tenant. */
static void wait_slot(struct passage *p)
{
    p->waiter = (struct slot_waiter){.tenant = p->gateway, .box = &p->passages->grants};
    p->phase = WAITING;
    if (slot_wait(p->queue, &p->waiter) == 0)
        return;
    p->phase = IDLE;
    passage_refuse(p);
}

static void on_tick(uv_timer_t *timer)
{
    struct passages *s = timer->data;
    list_for_each_safe (it, next, &s->list) {
        struct passage *p = list_entry(it, struct passage, node);
        if (p->phase == PAUSED && !p->stream->closing)
            wait_slot(p);
    }
}

/* Another replica has a free slot, and would be offered again at once. */
static void pause_slot(struct passage *p)
{
    p->phase = PAUSED;
    if (!uv_is_active((uv_handle_t *)&p->passages->timer))
        uv_timer_start(&p->passages->timer, on_tick, PAUSE_MS, 0);
}

/* A slot of some replica of the model: of ours it is, or is given back for one of ours, or for another turn. */
static void take_grant(struct passage *p, struct backend *granted)
{
    p->phase = IDLE;
    p->has_slot = granted == p->replica || slot_take_of(p->replica);
    if (granted != p->replica)
        slot_release(p->queue, granted, 0);
    if (p->stream->closing)
        return;
    if (p->has_slot)
        go(p);
    else if (atomic_load(&p->replica->gone))
        passage_refuse(p);
    else
        pause_slot(p);
}

static void on_granted(uv_async_t *handle)
{
    struct passages *s = handle->data;
    struct slot_waiter *waiter;
    while ((waiter = grant_next(&s->grants)) != NULL)
        take_grant(list_entry(waiter, struct passage, waiter), waiter->backend);
}

static void wake_granted(struct grant_box *box)
{
    uv_async_send(&list_entry(box, struct passages, grants)->granted);
}

static void want_slot(struct passage *p)
{
    p->replica = gateway_replica(p->passages->config.gateway, &p->target.deployment, p->target.ordinal,
                                 p->target.epoch, &p->queue);
    if (!p->replica) {
        passage_refuse(p);
        return;
    }
    deadline_arm(&p->deadline, &p->passages->wait_q);
    p->has_slot = slot_take(p->queue, &p->replica, 1, 0, 0) != NULL;
    if (p->has_slot)
        go(p);
    else
        wait_slot(p);
}

/* ---- what the gateway says ---- */

static void on_read(struct stream *stream, const char *data, ssize_t len)
{
    struct passage *p = stream->owner;
    struct passages *s = p->passages;
    size_t used;
    if (len < 0) {
        passage_close(p);
        return;
    }
    if (p->phase == REFUSED)
        return;
    buf_add(&p->in, data, (size_t)len);
    if (p->replica) {
        if (p->in.len > AHEAD_MAX - LOOP_READ_BUF)
            stream_pause(stream);
        return;
    }
    enum tunnel_read rc =
        p->in.failed ? TUNNEL_BAD : tunnel_read_line(p->in.data, p->in.len, &p->target, &used);
    if (rc == TUNNEL_MORE)
        return;
    if (rc == TUNNEL_BAD || !trunks_speaks(s->config.trunks, &p->gateway)) {
        passage_close(p);
        return;
    }
    buf_consume(&p->in, used);
    want_slot(p);
}

static const struct stream_events events = {.on_read = on_read, .on_closed = on_closed};

static void answer_passage(struct visit *visit)
{
    struct passages *s = visit_passages(visit);
    struct passage *p = s->closing || s->n >= PASSAGES_MAX ? NULL : calloc(1, sizeof *p);
    struct stream *stream = p ? http_upgrade(visit->request, PASSAGE_PROTOCOL) : NULL;
    if (!stream) {
        free(p);
        hub_refuse(visit->request, ERR_LIMIT, "There are as many passages as there may be.");
        visit->request = NULL;
        return;
    }
    visit->request = NULL;
    *p = (struct passage){.passages = s, .stream = stream, .gateway = visit->site};
    buf_init(&p->in, AHEAD_MAX);
    stream->owner = p;
    stream->events = &events;
    stream_alive(stream, TUNNEL_SILENCE_MS);
    list_push(&s->list, &p->node);
    s->n++;
}

int passages_take(struct visit *visit, yyjson_val *root, struct err *err)
{
    size_t len;
    const char *protocol = http_request_field(visit->request, "upgrade", &len);
    (void)root;
    visit->answer = answer_passage;
    if (!visit_know(visit, err))
        return ERR_FORBIDDEN;
    if (!protocol || !text_eq(PASSAGE_PROTOCOL, strlen(PASSAGE_PROTOCOL), protocol, len))
        return err_set(err, ERR_INVALID, "this takes Upgrade: " PASSAGE_PROTOCOL);
    visit_ask(visit);
    return 0;
}

/* ---- the whole ---- */

int passages_open(struct passages **out, const struct passages_config *config, struct err *err)
{
    struct passages *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->config = *config;
    list_init(&s->list);
    deadline_queue_init(&s->wait_q, config->loop, PASSAGE_WAIT_MS, on_late);
    deadline_queue_init(&s->refused_q, config->loop, REFUSED_MS, on_refused);
    grant_box_init(&s->grants, wake_granted);
    uv_async_init(&config->loop->uv, &s->granted, on_granted);
    uv_timer_init(&config->loop->uv, &s->timer);
    s->granted.data = s->timer.data = s;
    *out = s;
    return 0;
}

void passages_cut(struct passages *s, const struct uuid *gateway)
{
    list_for_each_safe (it, next, &s->list) {
        struct passage *p = list_entry(it, struct passage, node);
        if (!gateway || uuid_eq(&p->gateway, gateway))
            passage_close(p);
    }
}

void passages_close(struct passages *s)
{
    s->closing = true;
    passages_cut(s, NULL);
    uv_close((uv_handle_t *)&s->granted, NULL);
    uv_close((uv_handle_t *)&s->timer, NULL);
    list_remove(&s->wait_q.node);
    list_remove(&s->refused_q.node);
}

void passages_free(struct passages *s)
{
    free(s);
}
