/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/trunks.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "hub/api.h"
#include "hub/trunk.h"
#include "hub/visit.h"

#define GROUP_MAX 64

/* ---- the end of one ---- */

static void trunk_unref(struct trunk *t)
{
    if (--t->refs > 0)
        return;
    buf_fini(&t->in);
    free(t->pending);
    free(t->asking);
    free(t);
}

static void on_closed(struct stream *stream)
{
    struct trunk *t = stream->owner;
    http_upgraded_free(stream);
    t->stream = NULL;
    trunk_unref(t);
}

void trunk_cut(struct trunk *t, const char *why)
{
    char id[UUID_TEXT_LEN + 1];
    if (t->cut)
        return;
    uuid_format(id, &t->gateway);
    log_info("gateway_gone", "gateway=%s why=\"%s\"", id, why);
    t->cut = true;
    t->npending = 0;
    list_remove(&t->node);
    trunk_demand_over(t);
    stream_close(t->stream);
}

void trunk_send(struct trunk *t, struct buf *frames)
{
    uv_buf_t out = uv_buf_init(frames->data, (unsigned)frames->len);
    if (t->cut)
        return;
    if (frames->failed || stream_queued(t->stream) > QUEUED_MAX)
        trunk_cut(t, "it does not take what it is sent");
    else if (frames->len > 0)
        (void)stream_write(t->stream, &out, 1); /* a failure arrives through on_read */
}

/* ---- what its workers say ---- */

/* An event that was posted, until its reply. */
struct said {
    struct trunk *trunk;
    uint64_t token;
    uint32_t kind;
    struct uuid worker;
};

static void pass_on(struct trunk *t);

static void answer(struct trunk *t, uint64_t token, int code, int64_t amount)
{
    struct buf out;
    buf_init(&out, FRAME_MAX);
    frame_add_reply(&out, token, code, amount);
    trunk_send(t, &out);
    buf_fini(&out);
}

static bool has_worker(const struct trunk *t, const struct uuid *worker)
{
    for (uint32_t i = 0; i < t->nworkers; i++) {
        if (uuid_eq(&t->worker[i], worker))
            return true;
    }
    return false;
}

static bool in_order(uint32_t kind)
{
    return kind != EVENT_KIND_lease_ask;
}

/* What comes after it must not be recorded before it: its number would then pass for one that was. So all of it is said again. */
static const char unrecorded[] = "what it says in order cannot be recorded now";

static void on_said(void *ctx, const struct effect *reply)
{
    struct said *s = ctx;
    struct trunk *t = s->trunk;
    int code = reply->code;
    if (in_order(s->kind))
        t->waiting--;
    if (s->kind == EVENT_KIND_worker_join && code == 0 && t->nworkers < TRUNK_WORKERS_MAX)
        t->worker[t->nworkers++] = s->worker;
    if (s->kind == EVENT_KIND_worker_join && code == ERR_EXISTS && has_worker(t, &s->worker))
        code = 0; /* it joined before the answer was lost */
    if (!t->cut && in_order(s->kind) && code == ERR_UNAVAILABLE)
        trunk_cut(t, unrecorded);
    if (!t->cut)
        answer(t, s->token, code, reply->amount);
    if (!t->cut && t->waiting == 0)
        pass_on(t);
    free(s);
    trunk_unref(t);
}

static const struct uuid *worker_of(const struct event *event)
{
    switch (event->kind) {
    case EVENT_KIND_worker_join:
        return &event->u.worker_join.worker;
    case EVENT_KIND_lease_ask:
        return &event->u.lease_ask.worker;
    case EVENT_KIND_lease_return:
        return &event->u.lease_return.worker;
    case EVENT_KIND_meter:
        return &event->u.meter.worker;
    default:
        return NULL;
    }
}

/* Gives the event a token of ours; `said` knows the gateway's. */
static void adopt(struct trunk *t, struct event *event)
{
    struct said *s = malloc(sizeof *s);
    if (!s)
        abort(); /* a lost reply would hang its request for ever */
    *s = (struct said){.trunk = t, .token = event->token, .kind = event->kind, .worker = *worker_of(event)};
    t->refs++;
    t->waiting += in_order(event->kind);
    event->token = mailbox_token(&t->trunks->box);
    asks_add(&t->trunks->asks, event->token, on_said, s);
}

/* Not taken: nothing of it happened. */
static void disown(struct trunk *t, const struct event *event)
{
    struct said *s = asks_ctx(&t->trunks->asks, event->token);
    asks_forget(&t->trunks->asks, event->token);
    t->waiting -= in_order(s->kind);
    if (in_order(s->kind))
        trunk_cut(t, unrecorded);
    else
        answer(t, s->token, ERR_UNAVAILABLE, 0);
    t->refs--; /* not the last: the caller has one */
    free(s);
}

/* Posts the first `n` of what is pending, as one. */
static void post(struct trunk *t, uint32_t n)
{
    struct event group[GROUP_MAX];
    memcpy(group, t->pending, n * sizeof *group);
    t->npending -= n;
    memmove(t->pending, t->pending + n, t->npending * sizeof *t->pending);
    t->refs++;
    for (uint32_t i = 0; i < n; i++)
        adopt(t, &group[i]);
    if (runtime_post_all(t->trunks->config.runtime, group, n) != 0) {
        for (uint32_t i = 0; i < n; i++)
            disown(t, &group[i]);
    }
    trunk_unref(t);
}

/* How many of what is pending go together. A join goes alone, since what follows it is judged by it. */
static uint32_t group_of(const struct trunk *t)
{
    uint32_t n = 0;
    while (n < t->npending && n < GROUP_MAX) {
        const struct event *e = &t->pending[n];
        bool joins = e->kind == EVENT_KIND_worker_join;
        if (joins || !has_worker(t, worker_of(e)))
            return n > 0 ? n : joins;
        n++;
    }
    return n;
}

/* Posts what may go now: nothing while what is in order is under way. */
static void pass_on(struct trunk *t)
{
    while (!t->cut && t->greeted && t->waiting == 0 && t->npending > 0) {
        uint32_t n = group_of(t);
        if (n > 0) {
            post(t, n);
            continue;
        }
        /* Of a worker that is not its own. */
        uint64_t token = t->pending[0].token;
        t->npending--;
        memmove(t->pending, t->pending + 1, t->npending * sizeof *t->pending);
        answer(t, token, ERR_FORBIDDEN, 0);
    }
}

/* What waits there. It is not recorded by itself: it counts to the demand that the hub's own gateway tells. */
static bool take_demand(struct trunk *t, const struct event *event)
{
    const struct event_service_demand *d = &event->u.service_demand;
    if (!t->greeted || event->token == 0 || !trunk_demand(t, &d->service, d->in_flight))
        return false;
    answer(t, event->token, 0, 0);
    return true;
}

static bool take_event(struct trunk *t, struct event *event)
{
    if (event->kind == EVENT_KIND_service_demand)
        return take_demand(t, event);
    if (!t->greeted || event->token == 0 || !worker_of(event) || t->npending == TRUNK_PENDING_MAX)
        return false;
    if (event->kind == EVENT_KIND_worker_join && ++t->joins > TRUNK_WORKERS_MAX)
        return false; /* core has a table of all workers */
    if (event->kind == EVENT_KIND_worker_join)
        event->u.worker_join.gateway = t->gateway;
    /* In place of its time it says how old it is; one of before says 0. */
    if (event->kind == EVENT_KIND_meter)
        event->u.meter.used_ms =
            runtime_used_ms(t->trunks->config.runtime, event->at_ms > 0 ? (uint64_t)event->at_ms : 0);
    event->at_ms = 0;
    if (t->npending == t->cap) {
        uint32_t cap = t->cap ? t->cap * 2 : 16;
        struct event *more = realloc(t->pending, cap * sizeof *more);
        if (!more)
            return false;
        t->pending = more;
        t->cap = cap;
    }
    t->pending[t->npending++] = *event;
    return true;
}

/* ---- greeting ---- */

static void on_session(void *ctx, const struct effect *reply)
{
    struct trunk *t = ctx;
    struct buf out;
    if (!t->cut && reply->code != 0) {
        trunk_cut(t, err_text(reply->code));
    } else if (!t->cut) {
        buf_init(&out, FRAME_MAX);
        frame_add_welcome(&out, t->known);
        t->greeted = true;
        trunk_send(t, &out);
        buf_fini(&out);
        /* Those that are old by now would let a key in that was revoked since; the new ones are under way. */
        if (gateway_version(t->trunks->config.gateway) == t->trunks->version)
            trunks_send_routes(t->trunks, t);
        pass_on(t);
    }
    trunk_unref(t);
}

/* What the core knows of a process. The trunk itself is the loop's, which goes on meanwhile. */
struct past {
    struct trunk *trunk;
    struct uuid gateway, session;
    struct uuid worker[TRUNK_WORKERS_MAX];
    uint32_t nworkers;
    bool known;
};

/* On the core thread: whether the process was the gateway's before, and its workers. */
static void look_session(void *ctx, const struct core *core)
{
    struct past *past = ctx;
    const struct row_gateway *row = view_gateway(core, &past->gateway);
    const struct row_worker *worker;
    past->known = row && uuid_eq(&row->session, &past->session);
    for (uint32_t pos = 0; past->known && (worker = view_worker_at(core, &pos)) != NULL;) {
        if (uuid_eq(&worker->gateway, &past->gateway) && past->nworkers < TRUNK_WORKERS_MAX)
            past->worker[past->nworkers++] = worker->id;
    }
}

static void on_looked(void *ctx, const struct effect *reply)
{
    struct past *past = ctx;
    struct trunk *t = past->trunk;
    t->known = past->known;
    t->nworkers = past->nworkers;
    memcpy(t->worker, past->worker, sizeof t->worker);
    free(past);
    struct event event = {.kind = EVENT_KIND_gateway_session,
                          .u.gateway_session = {.gateway = t->gateway, .session = t->session}};
    if (reply->code != 0)
        trunk_cut(t, err_text(reply->code));
    if (!t->cut) {
        event.token = mailbox_token(&t->trunks->box);
        asks_add(&t->trunks->asks, event.token, on_session, t);
        if (runtime_post(t->trunks->config.runtime, &event) == 0)
            return;
        asks_forget(&t->trunks->asks, event.token);
        trunk_cut(t, err_text(ERR_UNAVAILABLE));
    }
    trunk_unref(t);
}

static bool take_hello(struct trunk *t, const struct uuid *session)
{
    struct trunks *s = t->trunks;
    if (t->greeting)
        return false;
    t->greeting = true;
    t->session = *session;
    list_for_each_safe (it, next, &s->list) {
        struct trunk *other = list_entry(it, struct trunk, node);
        if (other != t && uuid_eq(&other->gateway, &t->gateway))
            trunk_cut(other, "it calls anew");
    }
    struct past *past = calloc(1, sizeof *past);
    if (!past)
        return false;
    *past = (struct past){.trunk = t, .gateway = t->gateway, .session = t->session};
    uint64_t token = mailbox_token(&s->box);
    asks_add(&s->asks, token, on_looked, past);
    t->refs++;
    if (runtime_query(s->config.runtime, look_session, past, token) == 0)
        return true;
    asks_forget(&s->asks, token);
    t->refs--;
    free(past);
    return false;
}

/* ---- what comes ---- */

static bool take(struct trunk *t, struct frame *f)
{
    struct buf out;
    if (!t->greeting && f->type != FRAME_HELLO)
        return false;
    switch (f->type) {
    case FRAME_HELLO:
        return take_hello(t, &f->a);
    case FRAME_EVENT:
        return take_event(t, &f->event);
    case FRAME_PING:
        buf_init(&out, FRAME_MAX);
        frame_add_pong(&out, f->number, runtime_ready(t->trunks->config.runtime));
        trunk_send(t, &out);
        buf_fini(&out);
        return true;
    default:
        return false;
    }
}

static void on_read(struct stream *stream, const char *data, ssize_t len)
{
    struct trunk *t = stream->owner;
    struct frame frame;
    size_t at = 0, used;
    enum frame_read rc = FRAME_MORE;
    if (len < 0) {
        trunk_cut(t, uv_strerror((int)len));
        return;
    }
    t->heard_ms = uv_now(&t->trunks->config.loop->uv);
    buf_add(&t->in, data, (size_t)len);
    t->refs++;
    while (!t->cut && (rc = frame_read(t->in.data + at, t->in.len - at, &frame, &used)) == FRAME_WHOLE) {
        at += used;
        if (!take(t, &frame))
            rc = FRAME_BAD;
        if (rc == FRAME_BAD)
            break;
    }
    buf_consume(&t->in, at);
    if (rc == FRAME_BAD || t->in.failed)
        trunk_cut(t, "it says what a gateway does not say");
    pass_on(t);
    trunk_unref(t);
}

static const struct stream_events events = {.on_read = on_read, .on_closed = on_closed};

/* Connections of the gateway that have not greeted. */
static uint32_t strangers(const struct trunks *s, const struct uuid *gateway)
{
    uint32_t n = 0;
    list_for_each_safe (it, next, &s->list) {
        const struct trunk *t = list_entry(it, struct trunk, node);
        n += !t->greeting && uuid_eq(&t->gateway, gateway);
    }
    return n;
}

static void answer_trunk(struct visit *visit)
{
    struct trunks *s = visit_trunks(visit);
    if (strangers(s, &visit->site) >= TRUNK_STRANGERS_MAX) {
        hub_refuse(visit->request, ERR_LIMIT, "Too many trunks of this gateway have said nothing yet.");
        visit->request = NULL;
        return;
    }
    struct trunk *t = s->closing ? NULL : calloc(1, sizeof *t);
    struct stream *stream = t ? http_upgrade(visit->request, TRUNK_PROTOCOL) : NULL;
    if (!stream) {
        free(t);
        hub_refuse(visit->request, ERR_UNAVAILABLE, "");
        visit->request = NULL;
        return;
    }
    visit->request = NULL;
    *t = (struct trunk){.trunks = s, .stream = stream, .gateway = visit->site, .refs = 1};
    memcpy(t->key, visit->key, sizeof t->key);
    buf_init(&t->in, FRAME_MAX + LOOP_READ_BUF);
    stream->owner = t;
    stream->events = &events;
    t->opened_ms = t->heard_ms = uv_now(&s->config.loop->uv);
    list_push(&s->list, &t->node);
    log_info("gateway_calls", "gateway=%s", visit->name);
}

int trunks_take(struct visit *visit, yyjson_val *root, struct err *err)
{
    size_t len;
    const char *protocol = http_request_field(visit->request, "upgrade", &len);
    (void)root;
    visit->answer = answer_trunk;
    if (!visit_know(visit, err))
        return ERR_FORBIDDEN;
    if (!protocol || !text_eq(TRUNK_PROTOCOL, strlen(TRUNK_PROTOCOL), protocol, len))
        return err_set(err, ERR_INVALID, "this takes Upgrade: " TRUNK_PROTOCOL);
    visit_ask(visit);
    return 0;
}

bool trunks_speaks(const struct trunks *s, const struct uuid *gateway)
{
    list_for_each_safe (it, next, &s->list) {
        const struct trunk *t = list_entry(it, struct trunk, node);
        if (t->greeted && uuid_eq(&t->gateway, gateway))
            return true;
    }
    return false;
}

/* ---- the whole ---- */

static void on_effect(void *ctx, const struct effect *effect)
{
    struct trunks *s = ctx;
    struct buf out;
    if (effect->kind == EFFECT_REPLY) {
        asks_reply(&s->asks, effect);
        return;
    }
    list_for_each_safe (it, next, &s->list) {
        struct trunk *t = list_entry(it, struct trunk, node);
        if (effect->kind != EFFECT_RECALL || !has_worker(t, &effect->worker))
            continue;
        buf_init(&out, FRAME_MAX);
        frame_add_recall(&out, &effect->worker, &effect->lease);
        trunk_send(t, &out);
        buf_fini(&out);
        return;
    }
}

static void on_look(uv_timer_t *timer)
{
    struct trunks *s = timer->data;
    uint64_t now = uv_now(&s->config.loop->uv);
    list_for_each_safe (it, next, &s->list) {
        struct trunk *t = list_entry(it, struct trunk, node);
        if (now - t->heard_ms > TRUNK_SILENCE_MS)
            trunk_cut(t, "it is silent");
        else if (!t->greeting && now - t->opened_ms > TRUNK_HELLO_MS)
            trunk_cut(t, "it does not say who it is");
    }
    trunks_follow(s);
}

int trunks_open(struct trunks **out, const struct trunks_config *config, struct err *err)
{
    struct trunks *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->config = *config;
    list_init(&s->list);
    asks_init(&s->asks);
    buf_init(&s->routes, ROUTES_MAX);
    if (mailbox_init(&s->box, &config->loop->uv, on_effect, s) != 0)
        abort(); /* out of memory */
    s->box.gateways = true;
    int rc = runtime_attach(config->runtime, &s->box);
    if (rc != 0)
        return err_set(err, rc, "too many mailboxes");
    uv_timer_init(&config->loop->uv, &s->timer);
    s->timer.data = s;
    uv_timer_start(&s->timer, on_look, TRUNKS_LOOK_MS, TRUNKS_LOOK_MS);
    *out = s;
    return 0;
}

void trunks_close(struct trunks *s)
{
    s->closing = true;
    list_for_each_safe (it, next, &s->list)
        trunk_cut(list_entry(it, struct trunk, node), "the hub stops");
    runtime_detach(s->config.runtime, &s->box);
    mailbox_close(&s->box, NULL);
    uv_close((uv_handle_t *)&s->timer, NULL);
}

/* Nobody answers these any more. */
static void drop_asks(struct trunks *s)
{
    for (uint32_t i = 0; i < s->asks.cap; i++) {
        struct ask ask = s->asks.slots[i];
        if (ask.token == 0)
            continue;
        if (ask.fn == on_said) {
            trunk_unref(((struct said *)ask.ctx)->trunk);
            free(ask.ctx);
        } else if (ask.fn == on_session || ask.fn == on_looked) {
            trunk_unref(ask.ctx);
        }
    }
}

void trunks_free(struct trunks *s)
{
    if (!s)
        return;
    drop_asks(s);
    buf_fini(&s->fresh);
    asks_fini(&s->asks);
    buf_fini(&s->routes);
    free(s->age);
    free(s);
}
