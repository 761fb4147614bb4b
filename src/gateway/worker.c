/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/worker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/osrandom.h"
#include "gateway/relay.h"
#include "gateway/surface.h"
#include "gateway/workers.h"

#define HOUSEKEEPING_MS 500
#define SWEEP_EVERY 20 /* housekeeping rounds */
#define STOP_POLL_MS 10
#define STOP_LIMIT_MS 5000
#define FLUSH_MS 5
#define START_WAIT_MS 10000
#define COLD_WAIT_MS 120000 /* weights may have to come first; docs/serving.md */
#define CHAT_BODY_MAX (8 << 20)
#define SETTLE_WAIT_MS 30000 /* for the hub to record an answer, before the client is told that it was not */

/* ---- events to the runtime ---- */

int worker_ask(struct worker *w, struct event *event, ask_fn *fn, void *ctx)
{
    event->token = mailbox_token(&w->box);
    asks_add(&w->asks, event->token, fn, ctx);
    int rc = w->uplink.ops->post(w->uplink.ctx, event, 1);
    if (rc != 0)
        asks_forget(&w->asks, event->token);
    return rc;
}

int worker_ask_all(struct worker *w, struct event *events, uint32_t n, ask_fn *fn, void *ctx)
{
    for (uint32_t i = 0; i < n; i++) {
        events[i].token = mailbox_token(&w->box);
        asks_add(&w->asks, events[i].token, fn, ctx);
    }
    int rc = w->uplink.ops->post(w->uplink.ctx, events, n);
    for (uint32_t i = 0; i < n && rc != 0; i++)
        asks_forget(&w->asks, events[i].token);
    return rc;
}

int worker_query(struct worker *w, query_fn *query, ask_fn *fn, void *ctx)
{
    uint64_t token = mailbox_token(&w->box);
    asks_add(&w->asks, token, fn, ctx);
    int rc = runtime_query(w->uplink.runtime, query, ctx, token);
    if (rc != 0)
        asks_forget(&w->asks, token);
    return rc;
}

struct sure {
    struct list node;
    struct worker *worker;
    struct event event;
    bool asked;
};

static void on_sure(void *ctx, const struct effect *reply)
{
    struct sure *s = ctx;
    s->asked = false;
    if (reply->code == ERR_UNAVAILABLE)
        return; /* housekeeping tries again */
    if (reply->code != 0 && reply->code != ERR_NOT_FOUND && reply->code != ERR_DUPLICATE)
        log_warn("event_refused", "kind=%u code=%s", s->event.kind, err_name(reply->code));
    list_remove(&s->node);
    free(s);
}

/* Each try of what is numbered has the next number, so that they come in order. */
static void try_sure(struct sure *s)
{
    struct worker *w = s->worker;
    if (s->event.kind == EVENT_KIND_lease_return)
        s->event.u.lease_return.sequence = ++w->sequence;
    s->asked = worker_ask(w, &s->event, on_sure, s) == 0;
}

void worker_post_sure(struct worker *w, const struct event *event)
{
    struct sure *s = calloc(1, sizeof *s);
    if (!s)
        abort(); /* a lease that is not given back is lost until the next restart */
    s->worker = w;
    memcpy(&s->event, event, sizeof s->event);
    list_push(&w->sure, &s->node);
    try_sure(s);
}

static void retry_sure(struct worker *w)
{
    list_for_each_safe (it, next, &w->sure) {
        struct sure *s = list_entry(it, struct sure, node);
        if (!s->asked)
            try_sure(s);
    }
}

static void on_effect(void *ctx, const struct effect *effect)
{
    struct worker *w = ctx;
    if (effect->kind == EFFECT_REPLY)
        asks_reply(&w->asks, effect);
    else if (effect->kind == EFFECT_RECALL)
        purse_recall(w, &effect->lease);
}

/* ---- snapshots, slots, flushes ---- */

struct snapshot *worker_snapshot(struct worker *w)
{
    uint64_t version = gateway_version(w->gateway);
    if (version != w->snapshot_version) {
        snapshot_unref(w->snapshot);
        w->snapshot = gateway_snapshot(w->gateway, &w->snapshot_version);
    }
    return w->snapshot;
}

static void on_granted(uv_async_t *handle)
{
    struct worker *w = handle->data;
    struct slot_waiter *waiter;
    while ((waiter = grant_next(&w->grants)) != NULL)
        relay_granted(list_entry(waiter, struct relay, slot));
}

static void wake_granted(struct grant_box *box)
{
    uv_async_send(&list_entry(box, struct worker, grants)->granted);
}

static void on_flush(uv_timer_t *timer)
{
    struct worker *w = timer->data;
    w->chunks_in_tick = 0;
    struct list *first;
    while ((first = list_first(&w->flushes)) != NULL) {
        struct relay_stream *flow = list_entry(first, struct relay_stream, in_flush);
        stream_flush(flow->relay);
    }
}

void worker_flush_later(struct worker *w, struct relay *relay)
{
    if (!list_linked(&relay->flow->in_flush))
        list_push(&w->flushes, &relay->flow->in_flush);
    if (!uv_is_active((uv_handle_t *)&w->flush_timer))
        uv_timer_start(&w->flush_timer, on_flush, FLUSH_MS, 0);
}

/* ---- housekeeping and the end ---- */

static void worker_close(struct worker *w)
{
    uv_timer_stop(&w->housekeeping);
    http_server_close(&w->server);
    http_client_free(w->client);
    w->uplink.ops->detach(w->uplink.ctx, &w->box);
    mailbox_close(&w->box, NULL);
    uv_close((uv_handle_t *)&w->granted, NULL);
    uv_close((uv_handle_t *)&w->control, NULL);
    uv_close((uv_handle_t *)&w->flush_timer, NULL);
    uv_close((uv_handle_t *)&w->housekeeping, NULL);
}

static void on_stopping(uv_timer_t *timer)
{
    struct worker *w = timer->data;
    w->stop_ms += STOP_POLL_MS;
    if (w->nrelays == 0)
        purses_sweep(w);
    bool done = w->nrelays == 0 && list_empty(&w->sure);
    if (!done && w->stop_ms < STOP_LIMIT_MS)
        return;
    if (!done)
        log_warn("stop_forced", "requests=%u", w->nrelays);
    worker_close(w);
}

static void on_housekeeping(uv_timer_t *timer)
{
    struct worker *w = timer->data;
    w->chunks_in_tick = 0;
    retry_sure(w);
    gateway_kick(w->gateway);
    uint64_t now_ns = clock_mono_ns();
    if (w->sampled_ns)
        gateway_demand(w->gateway, w, (now_ns - w->sampled_ns) / 1000000);
    w->sampled_ns = now_ns;
    if (++w->rounds % SWEEP_EVERY == 0)
        purses_sweep(w);
}

static void on_control(uv_async_t *handle)
{
    struct worker *w = handle->data;
    enum worker_order order = atomic_load(&w->order);
    if (order >= ORDER_DRAIN && !w->draining) {
        w->draining = true;
        http_server_drain(&w->server);
    }
    if (order < ORDER_STOP || w->stopping)
        return;
    w->stopping = true;
    list_for_each_safe (it, next, &w->relays) {
        relay_shutdown(list_entry(it, struct relay, node));
    }
    uv_timer_start(&w->housekeeping, on_stopping, 0, STOP_POLL_MS);
}

/* ---- requests ---- */

static bool begins(const struct http_request *r, const char *text, size_t len)
{
    return r->path_len >= len && memcmp(r->path, text, len) == 0;
}

/* What models answer; receipts of their answers are the hub's, and so is the administration part of that API. */
static bool is_v1(const struct http_request *r)
{
    static const char v1[] = "/v1/", receipts[] = "/v1/receipts/", organization[] = "/v1/organization/";
    return begins(r, v1, sizeof v1 - 1) && !begins(r, receipts, sizeof receipts - 1) &&
           !begins(r, organization, sizeof organization - 1);
}

static int64_t on_admit(struct http_request *request)
{
    struct worker *w = request->server->config.ctx;
    const struct gateway_config *config = gateway_config_of(w->gateway);
    if (is_v1(request))
        return CHAT_BODY_MAX;
    return config->admit_other ? config->admit_other(request, config->other_ctx) : 0;
}

static void on_request(struct http_request *request)
{
    struct worker *w = request->server->config.ctx;
    const struct gateway_config *config = gateway_config_of(w->gateway);
    if (is_v1(request))
        surface_handle(w, request);
    else if (config->handle_other)
        config->handle_other(request, w, config->other_ctx);
    else
        relay_error(w, request, ERR_NOT_FOUND, "There is nothing at this path.", NULL, "");
}

static void render_refusal(struct buf *out, int status, const char *reason)
{
    openai_error(out, status, reason, NULL, "bad_request");
}

/* ---- starting ---- */

static int init_loop(struct worker *w)
{
    if (loop_init(&w->loop) != 0 || mailbox_init(&w->box, &w->loop.uv, on_effect, w) != 0)
        return ERR_NO_MEMORY;
    uv_async_init(&w->loop.uv, &w->granted, on_granted);
    uv_async_init(&w->loop.uv, &w->control, on_control);
    uv_timer_init(&w->loop.uv, &w->housekeeping);
    uv_timer_init(&w->loop.uv, &w->flush_timer);
    w->granted.data = w->control.data = w->housekeeping.data = w->flush_timer.data = w;
    grant_box_init(&w->grants, wake_granted);
    asks_init(&w->asks);
    purses_init(&w->purses);
    list_init(&w->relays);
    list_init(&w->sure);
    list_init(&w->flushes);
    return 0;
}

static void init_http(struct worker *w, const struct gateway_config *config)
{
    struct http_server_config server = {.connections_max = config->connections_max,
                                        .head_ms = 10000,
                                        .body_ms = 30000,
                                        .idle_ms = 75000,
                                        .write_stall_ms = 30000,
                                        .tls = config->tls,
                                        .admit = on_admit,
                                        .handle = on_request,
                                        .render_error = render_refusal,
                                        .ctx = w};
    http_server_init(&w->server, &w->loop, &server);
    deadline_queue_init(&w->hold_q, &w->loop, HOLD_WAIT_MS + 200, relay_hold_late);
    deadline_queue_init(&w->queue_q, &w->loop, config->queue_ms ? config->queue_ms : 60000, relay_queue_late);
    deadline_queue_init(&w->start_q, &w->loop, START_WAIT_MS, relay_queue_late);
    deadline_queue_init(&w->cold_q, &w->loop, COLD_WAIT_MS, relay_cold_late);
    deadline_queue_init(&w->record_q, &w->loop, 5000, relay_record_due);
    deadline_queue_init(&w->settle_q, &w->loop, SETTLE_WAIT_MS, relay_settle_late);
}

int worker_init(struct worker *w, struct gateway *gateway, const struct uplink *uplink, struct err *err)
{
    const struct gateway_config *config = gateway_config_of(gateway);
    *w = (struct worker){.gateway = gateway, .uplink = *uplink, .id = uuid_new()};
    int rc = init_loop(w);
    if (rc != 0)
        return err_set(err, rc, "out of memory");
    init_http(w, config);
    struct http_client_config client = {.connect_ms = 3000,
                                        .first_byte_ms =
                                            config->first_byte_ms ? config->first_byte_ms : 600000,
                                        .between_ms = config->between_ms ? config->between_ms : 60000,
                                        .idle_ms = 4000, /* below the 5 s after which some engines close */
                                        .idle_max = config->single_use ? 0 : 1024,
                                        .tls = config->upstream_tls};
    rc = http_client_new(&w->client, &w->loop, &client);
    if (rc != 0)
        return err_set(err, rc, "out of memory");
    w->box.worker = w->id;
    rc = uplink->ops->attach(uplink->ctx, &w->box);
    if (rc != 0)
        return err_set(err, rc, "too many workers");
    struct event join = {.kind = EVENT_KIND_worker_join, .u.worker_join.worker = w->id};
    worker_post_sure(w, &join);
    uv_timer_start(&w->housekeeping, on_housekeeping, HOUSEKEEPING_MS, HOUSEKEEPING_MS);
    return 0;
}

void worker_run(void *arg)
{
    struct worker *w = arg;
    w->tid = gettid();
    pthread_setname_np(pthread_self(), "busbar-gateway");
    uv_run(&w->loop.uv, UV_RUN_DEFAULT);
    http_heads_release();
}

void worker_fini(struct worker *w)
{
    loop_fini(&w->loop);
    list_for_each_safe (it, next, &w->sure) {
        free(list_entry(it, struct sure, node));
    }
    asks_fini(&w->asks);
    snapshot_unref(w->snapshot);
    purses_fini(&w->purses);
}

struct runtime *worker_runtime(struct worker *w)
{
    return w->uplink.runtime;
}

struct loop *worker_loop(struct worker *w)
{
    return &w->loop;
}
