/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/trunk.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/osrandom.h"
#include "gateway/frame.h"
#include "gateway/routes.h"
#include "net/http_client.h"
#include "net/tunnel.h"
#include "runtime/delivery.h"

#define TICK_MS 200
#define PING_MS 400
#define PAUSE_MS 300      /* between tries */
#define SILENCE_MS 5000   /* of a hub: then another connection is tried */
#define HEAD_BEGIN_LEN 12 /* of HTTP/1.1 and a status */

/* An event that was posted and is not answered. */
struct said {
    struct list node;
    uint64_t token;
    bool sent;        /* on this connection */
    uint64_t made_ms; /* by clock_boot_ms, which nobody sets */
    size_t len;
    char frame[];
};

enum phase { APART, DIALLING, GREETING, TALKING };

struct way {
    struct stream stream; /* first */
    struct trunk *trunk;  /* NULL: it is given up */
};

struct trunk {
    struct trunk_config config;
    struct http_endpoint hub;
    struct delivery delivery;
    struct uuid session;
    pthread_mutex_t lock; /* of the list, and of `over` */
    struct list said;
    uint32_t nsaid;
    uv_async_t posted;
    uv_timer_t timer;
    struct way *way; /* the connection; NULL: APART */
    enum phase phase;
    struct buf in;
    uint64_t dial_ms, heard_ms, pinged_ms, pings;
    bool welcomed, routed, told; /* ever; on this connection; that the hub is there */
    bool hub_ready, closing;
    bool over; /* written under the lock, on the loop */
    atomic_bool ready;
};

/* ---- readiness ---- */

static uint64_t now_ms(const struct trunk *t)
{
    return uv_now(&t->config.loop->uv);
}

static void judge(struct trunk *t)
{
    bool here = t->phase == TALKING && t->routed && !t->closing && !t->over;
    atomic_store(&t->ready, here && t->hub_ready && now_ms(t) - t->heard_ms < TRUNK_READY_MS);
    if (here == t->told)
        return;
    t->told = here;
    t->config.in_touch(t->config.ctx, here);
}

/* ---- the connection ends ---- */

static void way_freed(struct stream *stream)
{
    free((struct way *)stream);
}

static void part(struct trunk *t, const char *why)
{
    struct way *way = t->way;
    if (!way)
        return;
    if (t->phase != DIALLING)
        log_warn("out of touch with the hub", "hub=%s why=\"%s\"", t->config.hub, why);
    t->way = NULL;
    t->phase = APART;
    t->routed = false;
    t->dial_ms = now_ms(t) + PAUSE_MS;
    buf_clear(&t->in);
    way->trunk = NULL;
    stream_close(&way->stream);
    judge(t);
}

static void deliver(struct trunk *t, const struct effect *effect)
{
    delivery_send(&t->delivery, effect, 1);
}

/* Nothing will be recorded any more: everybody who waits is told so. */
static void refuse(struct trunk *t, uint64_t token)
{
    deliver(t, &(struct effect){.kind = EFFECT_REPLY, .token = token, .code = ERR_FORBIDDEN});
}

static void give_up(struct trunk *t, void (*tell)(void *ctx), const char *why)
{
    struct list *first;
    pthread_mutex_lock(&t->lock);
    t->over = true;
    while ((first = list_first(&t->said)) != NULL) {
        struct said *s = list_entry(first, struct said, node);
        refuse(t, s->token);
        list_remove(&s->node);
        free(s);
    }
    t->nsaid = 0;
    pthread_mutex_unlock(&t->lock);
    part(t, why);
    tell(t->config.ctx);
}

/* ---- what is said ---- */

static void send_buf(struct trunk *t, const struct buf *out)
{
    uv_buf_t buf = uv_buf_init(out->data, (unsigned)out->len);
    (void)stream_write(&t->way->stream, &buf, 1); /* a failure arrives through on_read */
}

/* Says what is not said yet on this connection, in order. */
static void say(struct trunk *t)
{
    struct buf out;
    if (t->phase != TALKING)
        return;
    buf_init(&out, (size_t)FRAME_MAX * TRUNK_SAID_MAX);
    pthread_mutex_lock(&t->lock);
    struct list *at = &t->said;
    while (at->prev != &t->said && !list_entry(at->prev, struct said, node)->sent)
        at = at->prev;
    for (; at != &t->said; at = at->next) {
        struct said *s = list_entry(at, struct said, node);
        s->sent = true;
        frame_set_age(s->frame, clock_boot_ms() - s->made_ms);
        buf_add(&out, s->frame, s->len);
    }
    pthread_mutex_unlock(&t->lock);
    if (out.failed)
        abort(); /* a record would be left out */
    if (out.len > 0)
        send_buf(t, &out);
    buf_fini(&out);
}

static void on_posted(uv_async_t *handle)
{
    say(handle->data);
}

static void ping(struct trunk *t)
{
    struct buf out;
    buf_init(&out, FRAME_MAX);
    frame_add_number(&out, FRAME_PING, ++t->pings);
    t->pinged_ms = now_ms(t);
    send_buf(t, &out);
    buf_fini(&out);
}

/* ---- what is heard ---- */

static bool take_reply(struct trunk *t, const struct frame *f)
{
    struct said *found = NULL;
    pthread_mutex_lock(&t->lock);
    list_for_each_safe (it, next, &t->said) {
        struct said *s = list_entry(it, struct said, node);
        if (s->token != f->token)
            continue;
        found = s;
        list_remove(&s->node);
        t->nsaid--;
        break;
    }
    pthread_mutex_unlock(&t->lock);
    if (!found)
        return false;
    free(found);
    deliver(t,
            &(struct effect){.kind = EFFECT_REPLY, .token = f->token, .code = f->code, .amount = f->amount});
    return true;
}

static void recall_all(struct trunk *t);

static bool take_welcome(struct trunk *t, bool known)
{
    if (t->phase != GREETING)
        return false;
    if (t->welcomed && !known) {
        give_up(t, t->config.lost, "it does not know this process any more");
        return true;
    }
    pthread_mutex_lock(&t->lock);
    list_for_each_safe (it, next, &t->said)
        list_entry(it, struct said, node)->sent = false;
    pthread_mutex_unlock(&t->lock);
    if (t->welcomed)
        recall_all(t); /* some may have been asked for meanwhile */
    t->welcomed = true;
    t->phase = TALKING;
    ping(t);
    say(t);
    return true;
}

static bool take_routes(struct trunk *t, struct frame *f)
{
    const struct core *core;
    if (t->phase != TALKING)
        return false;
    if (f->type == FRAME_ROUTES)
        return routes_begin(t->config.routes) == 0;
    if (f->type == FRAME_ROW)
        return routes_row(t->config.routes, f->kind, f->row) == 0;
    if (routes_end(t->config.routes, f->number, &core) != 0)
        return false;
    t->config.routed(t->config.ctx, core);
    t->routed = true;
    judge(t);
    return true;
}

static bool take(struct trunk *t, struct frame *f)
{
    switch (f->type) {
    case FRAME_WELCOME:
        return take_welcome(t, f->flag);
    case FRAME_REPLY:
        return take_reply(t, f);
    case FRAME_RECALL:
        deliver(t, &(struct effect){.kind = EFFECT_RECALL, .worker = f->a, .lease = f->b});
        return true;
    case FRAME_ROUTES:
    case FRAME_ROW:
    case FRAME_ROUTES_END:
        return take_routes(t, f);
    case FRAME_PONG:
        t->hub_ready = f->flag;
        judge(t);
        return true;
    default:
        return false;
    }
}

static void take_frames(struct trunk *t)
{
    struct frame frame;
    size_t at = 0, used;
    enum frame_read rc = FRAME_MORE;
    while (t->way && (rc = frame_read(t->in.data + at, t->in.len - at, &frame, &used)) == FRAME_WHOLE) {
        at += used;
        if (!take(t, &frame)) {
            rc = FRAME_BAD;
            break;
        }
    }
    if (!t->way)
        return;
    buf_consume(&t->in, at);
    if (rc == FRAME_BAD || t->in.failed)
        part(t, "it says what a hub does not say");
}

/* The answer to the request that becomes the trunk. */
static void take_head(struct trunk *t)
{
    size_t used;
    struct buf out;
    bool no = t->in.len >= HEAD_BEGIN_LEN && memcmp(t->in.data, "HTTP/1.1 403", HEAD_BEGIN_LEN) == 0;
    enum tunnel_read rc = tunnel_read_head(t->in.data, t->in.len, &used);
    if (no) {
        give_up(t, t->config.refused, "it will not have us");
        return;
    }
    if (rc == TUNNEL_BAD)
        part(t, "it takes no trunk now");
    if (rc != TUNNEL_WHOLE)
        return;
    buf_consume(&t->in, used);
    t->phase = GREETING;
    buf_init(&out, FRAME_MAX);
    frame_add_hello(&out, &t->session);
    send_buf(t, &out);
    buf_fini(&out);
}

static void on_read(struct stream *stream, const char *data, ssize_t len)
{
    struct trunk *t = ((struct way *)stream)->trunk;
    if (!t)
        return;
    if (len < 0) {
        part(t, uv_strerror((int)len));
        return;
    }
    t->heard_ms = now_ms(t);
    buf_add(&t->in, data, (size_t)len);
    if (t->phase == DIALLING)
        take_head(t);
    if (t->way && t->phase != DIALLING)
        take_frames(t);
}

/* ---- dialling ---- */

static void on_connect(struct stream *stream, int status)
{
    struct trunk *t = ((struct way *)stream)->trunk;
    struct buf head;
    if (!t)
        return;
    if (status < 0) {
        part(t, uv_strerror(status));
        return;
    }
    buf_init(&head, TUNNEL_HEAD_MAX);
    http_request_head(&head, &t->hub, "POST", TRUNK_PATH,
                      "Connection: Upgrade\r\nUpgrade: " TRUNK_PROTOCOL "\r\n", 2);
    buf_add_text(&head, "{}");
    send_buf(t, &head);
    buf_fini(&head);
    stream_read(stream);
}

static const struct stream_events events = {
    .on_read = on_read, .on_connect = on_connect, .on_closed = way_freed};

static void dial(struct trunk *t)
{
    struct way *way = calloc(1, sizeof *way);
    struct tls_session *tls = way ? tls_connect(t->config.tls, t->hub.host) : NULL;
    t->dial_ms = now_ms(t) + PAUSE_MS;
    if (!tls || http_endpoint_dial(&way->stream, t->config.loop, &t->hub, tls, &events) < 0) {
        tls_free(tls);
        free(way);
        return;
    }
    way->trunk = t;
    t->way = way;
    t->phase = DIALLING;
    t->heard_ms = now_ms(t);
}

static void on_tick(uv_timer_t *timer)
{
    struct trunk *t = timer->data;
    uint64_t now = now_ms(t);
    if (t->phase == APART && !t->over && now >= t->dial_ms)
        dial(t);
    else if (t->phase != APART && now - t->heard_ms > SILENCE_MS)
        part(t, "it is silent");
    else if (t->phase == TALKING && now - t->pinged_ms >= PING_MS)
        ping(t);
    judge(t);
}

/* ---- for workers ---- */

static int attach(void *ctx, struct mailbox *box)
{
    return delivery_attach(&((struct trunk *)ctx)->delivery, box);
}

static void detach(void *ctx, struct mailbox *box)
{
    delivery_detach(&((struct trunk *)ctx)->delivery, box);
}

static struct said *said_new(const struct event *event)
{
    struct buf frame;
    buf_init(&frame, FRAME_MAX);
    frame_add_event(&frame, event);
    struct said *s = frame.failed ? NULL : malloc(sizeof *s + frame.len);
    if (!s)
        abort(); /* a record would be lost */
    *s = (struct said){.token = event->token, .made_ms = clock_boot_ms(), .len = frame.len};
    memcpy(s->frame, frame.data, frame.len);
    buf_fini(&frame);
    return s;
}

/* Of several none is more durable than another: workers post one at a time here. */
static int post(void *ctx, const struct event *list, uint32_t n)
{
    struct trunk *t = ctx;
    bool keep = true;
    for (uint32_t i = 0; i < n; i++)
        keep = keep && list[i].kind != EVENT_KIND_lease_ask && list[i].kind != EVENT_KIND_service_demand;
    if (!keep && !atomic_load(&t->ready))
        return ERR_UNAVAILABLE;
    pthread_mutex_lock(&t->lock);
    bool room = t->over || t->nsaid + n <= TRUNK_SAID_MAX;
    for (uint32_t i = 0; i < n && room; i++) {
        if (t->over) {
            refuse(t, list[i].token);
            continue;
        }
        list_push(&t->said, &said_new(&list[i])->node);
        t->nsaid++;
    }
    pthread_mutex_unlock(&t->lock);
    uv_async_send(&t->posted);
    return room ? 0 : ERR_UNAVAILABLE;
}

static void amend(void *ctx, const struct event *event)
{
    struct trunk *t = ctx;
    pthread_mutex_lock(&t->lock);
    list_for_each_safe (it, next, &t->said) {
        struct said *old = list_entry(it, struct said, node);
        if (old->token != event->token)
            continue;
        struct said *s = said_new(event);
        s->sent = old->sent;
        s->made_ms = old->made_ms;
        list_push(&old->node, &s->node); /* before it */
        list_remove(&old->node);
        free(old);
        break;
    }
    pthread_mutex_unlock(&t->lock);
}

static bool ready(void *ctx)
{
    return atomic_load(&((struct trunk *)ctx)->ready);
}

struct uplink trunk_uplink(struct trunk *t)
{
    static const struct uplink_ops ops = {
        .attach = attach, .detach = detach, .post = post, .amend = amend, .ready = ready};
    return (struct uplink){.ops = &ops, .ctx = t};
}

static void recall_all(struct trunk *t)
{
    struct effect all = {.kind = EFFECT_RECALL};
    pthread_mutex_lock(&t->delivery.lock);
    for (uint32_t i = 1; i < t->delivery.used; i++) {
        if (t->delivery.boxes[i])
            mailbox_put(t->delivery.boxes[i], &all, 1);
    }
    pthread_mutex_unlock(&t->delivery.lock);
}

uint32_t trunk_unanswered(struct trunk *t)
{
    pthread_mutex_lock(&t->lock);
    uint32_t n = t->nsaid;
    pthread_mutex_unlock(&t->lock);
    return n;
}

/* ---- the whole ---- */

int trunk_open(struct trunk **out, const struct trunk_config *config, struct err *err)
{
    char url[ENDPOINT_TEXT_MAX];
    struct trunk *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    t->config = *config;
    t->session = uuid_new();
    int n = snprintf(url, sizeof url, "https://%s", config->hub);
    int rc = n < (int)sizeof url ? http_endpoint_parse(&t->hub, url, err)
                                 : err_set(err, ERR_INVALID, "the hub's address is too long");
    if (rc != 0) {
        free(t);
        return rc;
    }
    list_init(&t->said);
    pthread_mutex_init(&t->lock, NULL);
    delivery_init(&t->delivery);
    buf_init(&t->in, FRAME_MAX + TUNNEL_HEAD_MAX + LOOP_READ_BUF);
    uv_async_init(&config->loop->uv, &t->posted, on_posted);
    uv_timer_init(&config->loop->uv, &t->timer);
    t->posted.data = t->timer.data = t;
    uv_timer_start(&t->timer, on_tick, 0, TICK_MS);
    *out = t;
    return 0;
}

void trunk_close(struct trunk *t)
{
    t->closing = true;
    t->over = true;
    part(t, "this gateway stops");
    uv_close((uv_handle_t *)&t->posted, NULL);
    uv_close((uv_handle_t *)&t->timer, NULL);
}

void trunk_free(struct trunk *t)
{
    if (!t)
        return;
    list_for_each_safe (it, next, &t->said)
        free(list_entry(it, struct said, node));
    delivery_fini(&t->delivery);
    pthread_mutex_destroy(&t->lock);
    buf_fini(&t->in);
    free(t);
}
