/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to a call: key, model, rules, rate, budget, slot. Everything that can be refused is refused here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/osrandom.h"
#include "core/rules.h"
#include "gateway/apikey.h"
#include "gateway/refusal.h"
#include "gateway/relay.h"

#define BODY_MAX ((size_t)64 << 20)
/* A line is rounded once a record, by at most half a nano-unit; four lines, and a record every five seconds. */
#define ROUNDING_SLACK 4
#define ROUNDING_SLACK_STREAM 4096

static bool key_allows_model(const struct snap_key *key, const struct snap_model *model)
{
    for (uint32_t i = 0; i < key->models.n; i++) {
        if (uuid_eq(&key->models.v[i], &model->id))
            return true;
    }
    return key->models.n == 0;
}

static bool kind_serves(uint32_t kind, enum engine_surface surface)
{
    switch (surface) {
    case SURFACE_EMBEDDING:
        return kind == MODEL_EMBEDDING;
    case SURFACE_RERANK:
        return kind == MODEL_RERANK;
    case SURFACE_CHAT:
    case SURFACE_COMPLETION:
    case SURFACES:
        break;
    }
    return kind == MODEL_CHAT;
}

/* What the request needs to be known by before anything is allocated for it. */
struct admission {
    struct snapshot *snapshot; /* referenced; moves to the relay */
    const struct snap_key *key;
    const struct snap_model *model;
    struct openai_request parsed;
    struct tokens worst;
    uint32_t max_tokens;
};

static int find_key(const struct snapshot *snapshot, const struct http_request *request,
                    const struct snap_key **out, struct err *err)
{
    size_t len;
    const char *value = http_request_field(request, "authorization", &len);
    const char *id;
    if (!value || len <= 7 || strncasecmp(value, "Bearer ", 7) != 0)
        return err_set(err, ERR_UNAUTHENTICATED, "Send your API key as: Authorization: Bearer bb_...");
    value += 7;
    len -= 7;
    if (!apikey_parse(value, len, &id))
        return err_set(err, ERR_UNAUTHENTICATED, "This is not a valid API key.");
    const struct snap_key *key = snapshot_key(snapshot, id, APIKEY_ID_LEN);
    uint8_t hash[DIGEST_LEN];
    apikey_hash(hash, value, len);
    if (!key || !apikey_hash_eq(hash, key->hash))
        return err_set(err, ERR_UNAUTHENTICATED, "This API key is not known, or was revoked.");
    if (key->expires_ms != 0 && key->expires_ms <= clock_wall_ms())
        return err_set(err, ERR_UNAUTHENTICATED, "This API key has expired.");
    *out = key;
    return 0;
}

int worker_authenticate(struct worker *worker, const struct http_request *request, struct snap_key *key,
                        struct err *err)
{
    const struct snap_key *found;
    int rc = find_key(worker_snapshot(worker), request, &found, err);
    if (rc == 0)
        *key = *found;
    return rc;
}

static int check_model(struct admission *a, struct err *err)
{
    a->model = snapshot_model(a->snapshot, a->parsed.model, a->parsed.model_len);
    if (!a->model)
        return err_set(err, ERR_NOT_FOUND, "The model `%.64s` does not exist.", a->parsed.model);
    if (!key_allows_model(a->key, a->model))
        return err_set(err, ERR_FORBIDDEN, "This key is not allowed to use `%s`.", a->model->name);
    if (!kind_serves(a->model->kind, a->parsed.surface)) {
        a->parsed.param = "model";
        return err_set(err, ERR_INVALID, "`%s` is of kind %s and does not serve this endpoint.",
                       a->model->name, model_kind_text(a->model->kind));
    }
    if (a->model->recalled)
        return err_set(err, ERR_RECALLED, "The weights of `%s` were recalled: nobody may use them any more.",
                       a->model->name);
    if (!a->model->engine || !snap_model_deployed(a->model))
        return err_set(err, ERR_NO_REPLICA, "`%s` is not deployed.", a->model->name);
    return 0;
}

/* llama.cpp's usage covers the first choice only. In a stream each choice is counted; elsewhere it could not be billed. */
static int check_choices(struct admission *a, struct err *err)
{
    if (a->model->engine->count != ENGINE_COUNT_TIMINGS)
        return 0;
    if (a->parsed.n > 1 && !a->parsed.stream) {
        a->parsed.param = "n";
        return err_set(err, ERR_INVALID, "n: for this model more than one choice needs `stream`");
    }
    if (a->parsed.surface == SURFACE_COMPLETION && a->parsed.items > 1) {
        a->parsed.param = "prompt";
        return err_set(err, ERR_INVALID, "prompt: this model takes one prompt a request");
    }
    return 0;
}

static int admit(struct worker *worker, struct http_request *request, enum engine_surface surface,
                 struct admission *a, struct err *err)
{
    a->snapshot = snapshot_ref(worker_snapshot(worker));
    int rc = find_key(a->snapshot, request, &a->key, err);
    if (rc != 0)
        return rc;
    if (!(a->key->scopes & SCOPE_INFERENCE))
        return err_set(err, ERR_FORBIDDEN, "This key lacks the scope `inference`.");
    rc = openai_parse(&a->parsed, surface, request->body.data ? request->body.data : "", request->body.len,
                      err);
    if (rc == 0)
        rc = check_model(a, err);
    if (rc == 0)
        rc = check_choices(a, err);
    if (rc != 0)
        return rc;
    if (worker->draining)
        return err_set(err, ERR_DRAINING, "The hub is shutting down.");
    if (!worker->uplink.ops->ready(worker->uplink.ctx))
        return err_set(err, ERR_UNAVAILABLE, "The hub cannot record usage at the moment.");
    a->worst = openai_worst(&a->parsed, a->model->context, &a->max_tokens);
    return 0;
}

static int check_rate(struct relay *r, const struct snap_key *key, struct err *err)
{
    struct limiter *l = key->limiter;
    uint64_t now = clock_mono_ns();
    r->limiter = l;
    r->rpm = key->rpm;
    r->tpm = key->tpm;
    if (r->rpm && !limit_take(&l->requests, r->rpm, 1, now, &r->rate_requests))
        return err_set(err, ERR_RATE_LIMITED, "This key may send %u requests a minute.", r->rpm);
    uint64_t tokens = (uint64_t)r->worst.prompt + r->worst.completion;
    if (r->tpm) {
        if (!limit_take(&l->tokens, r->tpm, tokens, now, &r->rate_tokens))
            return err_set(err, ERR_RATE_LIMITED, "This key may use %u tokens a minute.", r->tpm);
        r->tpm_taken = tokens;
    }
    return 0;
}

/* The most that the request can be billed, nano-units; 0 for a model that is free. */
static int worst_cost(const struct relay *r, int64_t *cost)
{
    const struct price *p = &r->price->price;
    /* Cached and thought tokens have prices of their own, which need not be the lower ones. */
    struct price dear = {.prompt = p->prompt > p->cached ? p->prompt : p->cached,
                         .completion = p->completion > p->reasoning ? p->completion : p->reasoning};
    int64_t ignored = 0;
    int rc = money_cost(&r->worst, &dear, cost, &ignored);
    if (rc == 0 && *cost > 0)
        *cost += r->stream ? ROUNDING_SLACK_STREAM : ROUNDING_SLACK;
    return rc;
}

static void go_upstream(struct relay *r)
{
    struct backend *b = r->backend;
    struct buf message;
    atomic_fetch_add(&b->own, 1);
    buf_init(&message, BODY_MAX);
    http_request_head(&message, &b->endpoint, "POST", openai_path(r->surface), "", r->body.len);
    r->state = RELAY_CALL;
    r->called_ns = r->called_ns ? r->called_ns : clock_mono_ns();
    r->variant = b->variant;
    r->site = b->site;
    memcpy(r->chip, b->chip, sizeof r->chip);
    memcpy(r->version, b->version, sizeof r->version);
    if (!message.failed)
        r->call = http_call(r->worker->client, &b->endpoint, &message,
                            (struct http_body){r->body.data, r->body.len}, &relay_call_events, r);
    buf_fini(&message);
    if (!r->call)
        relay_refuse(r, ERR_UPSTREAM, "The engine could not be reached.");
}

static uint64_t slot_tokens(const struct relay *r)
{
    return (uint64_t)r->worst.prompt + r->worst.completion;
}

static void on_woken(void *ctx, const struct effect *reply)
{
    (void)ctx;
    (void)reply;
}

/* Core hears of the first request at once. Where that cannot be told the next sample tells it. */
static void wake(struct worker *w, const struct snap_model *m)
{
    struct event event = {.kind = EVENT_KIND_service_demand,
                          .u.service_demand = {.service = m->demand.service, .in_flight = 1}};
    if (demand_wakes(&m->queue->demand))
        (void)worker_ask(w, &event, on_woken, NULL);
}

/* All replicas that there are. */
static void refuse_barred(struct relay *r, const struct slot_bar *bar)
{
    char words[200];
    const char *rule = bar->rule == RULES_NONE ? "" : r->snapshot->rule[bar->rule];
    (void)snprintf(words, sizeof words, "The rules let no replica of `%.63s` answer this tenant: %s%s%s.",
                   r->model->name, rule[0] ? "rule `" : "the border is closed", rule, rule[0] ? "`" : "");
    relay_refuse(r, ERR_FORBIDDEN, words);
}

static void go_slot(struct relay *r, uint64_t prefix_hash)
{
    const struct snap_model *m = r->model;
    const struct slot_bar *bar = slot_bar_of(m->bars, m->nbars, &r->tenant);
    struct backend *allowed[REPLICAS_PER_DEPLOYMENT_MAX];
    uint32_t n = slot_allowed(m->backends, m->nbackends, bar ? bar->barred : 0, allowed);
    deadline_disarm(&r->deadline);
    if (bar && n == 0) {
        refuse_barred(r, bar);
        return;
    }
    r->backend = slot_take(m->queue, allowed, n, prefix_hash, slot_tokens(r));
    if (r->backend) {
        go_upstream(r);
        return;
    }
    r->state = RELAY_SLOT;
    r->slot = (struct slot_waiter){.tenant = r->tenant, .tokens = slot_tokens(r), .box = &r->worker->grants};
    /* Where nothing is ready the wait is for a start, not for a turn; where core is to see to one, for a place first. There may be
     * less than when the request was admitted: of those that follow demand the last may just have gone. */
    bool cold = m->scales && !slot_ready(m->queue);
    deadline_arm(&r->deadline, cold                        ? &r->worker->cold_q
                               : m->nbackends || m->scales ? &r->worker->queue_q
                                                           : &r->worker->start_q);
    int rc = slot_wait(m->queue, &r->slot);
    if (rc != 0)
        relay_refuse(r, rc, "Too many requests wait for this model.");
    else if (cold)
        wake(r->worker, m);
}

void relay_again(struct relay *r)
{
    uint64_t waited_ms = (clock_mono_ns() - r->called_ns) / 1000000; /* without the wait for a start */
    backend_suspect(r->backend);
    relay_release_engine(r);
    if (waited_ms > r->worker->queue_q.after_ms)
        relay_refuse(r, ERR_UPSTREAM, "The engine could not be reached.");
    else
        go_slot(r, 0);
}

void relay_granted(struct relay *r)
{
    deadline_disarm(&r->deadline);
    r->backend = r->slot.backend;
    go_upstream(r);
}

static void hold_refused(struct relay *r)
{
    relay_refuse(r, ERR_BUDGET_HELD,
                 "Requests in flight hold the rest of the budget. Try again when they are done.");
}

void relay_hold_late(struct deadline *deadline)
{
    struct relay *r = list_entry(deadline, struct relay, deadline);
    if (r->state == RELAY_SETTLE)
        relay_settle(r); /* the record of a client that went away could not be written before */
    else if (!r->worker->uplink.ops->ready(r->worker->uplink.ctx))
        relay_refuse(r, ERR_UNAVAILABLE, "The hub cannot record usage at the moment.");
    else
        hold_refused(r);
}

void relay_queue_late(struct deadline *deadline)
{
    struct relay *r = list_entry(deadline, struct relay, deadline);
    if (r->model->scales &&
        !slot_ready(r->model->queue)) /* the last one has gone meanwhile: the wait is for a start now */
        deadline_arm(&r->deadline, &r->worker->cold_q);
    else
        relay_refuse(r, ERR_NO_REPLICA, "No replica of the model became free in time.");
}

void relay_cold_late(struct deadline *deadline)
{
    relay_refuse(list_entry(deadline, struct relay, deadline), ERR_NO_REPLICA,
                 "No replica of the model has started within two minutes: there may be no room for one.");
}

static void on_drawn(struct purse_waiter *waiter, int rc)
{
    struct relay *r = list_entry(waiter, struct relay, hold);
    char words[240];
    if (rc == ERR_BUDGET_SPENT) {
        refusal_words(words, sizeof words, waiter->refusal, "does not cover what this request may cost");
        relay_refuse(r, rc, words);
    } else if (rc == ERR_BUDGET_HELD)
        hold_refused(r);
    else if (rc != 0) /* this worker, or the key, is not known at the hub: it restarts, or just revoked it */
        relay_refuse(r, rc == ERR_NOT_FOUND ? ERR_UNAVAILABLE : rc, err_text(rc));
    else
        go_slot(r, 0);
}

static void on_abort(struct http_request *request, void *ctx)
{
    (void)request;
    struct relay *r = ctx;
    stream_account(r);
    r->request = NULL;
    metric_add(&r->worker->metrics.requests_aborted, 1);
    if (r->state == RELAY_SETTLE)
        return; /* the record is on its way; it bills what was delivered */
    if (r->state == RELAY_HOLD || r->state == RELAY_SLOT) {
        relay_refuse(r, ERR_CANCELLED, "");
        return;
    }
    r->flags = METER_FINAL | METER_ABORTED;
    if (r->flow && !r->flow->exact)
        r->flags |= METER_ESTIMATED;
    r->status = 499;
    relay_settle(r);
}

static void on_drain(struct http_request *request, void *ctx)
{
    struct relay *r = ctx;
    (void)request;
    if (r->state != RELAY_STREAM)
        return;
    stream_account(r);
    if (r->call)
        http_call_resume(r->call);
    else if (r->flow->ended && http_taken(r->request) == http_given(r->request))
        relay_settle(r);
}

static struct relay *relay_new(struct worker *worker, struct http_request *request, const struct admission *a)
{
    struct relay *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->worker = worker;
    r->request = request;
    r->snapshot = a->snapshot;
    r->model = a->model;
    r->price = snapshot_price(a->snapshot, a->model, &a->key->tenant);
    r->surface = a->parsed.surface;
    r->stream = a->parsed.stream;
    r->include_usage = a->parsed.include_usage;
    r->n = a->parsed.n;
    r->id = uuid_new();
    r->key = a->key->id;
    r->tenant = a->key->tenant;
    r->hold = (struct purse_waiter){.tenant = r->tenant,
                                    .key = r->key,
                                    .owner = a->key->purse_owner,
                                    .scope = a->key->purse,
                                    .done = on_drawn};
    r->worst = a->worst;
    r->max_tokens = a->max_tokens;
    r->status = 200;
    r->flags = METER_FINAL;
    r->started_ms = clock_wall_ms();
    r->started_ns = clock_mono_ns();
    buf_init(&r->body, BODY_MAX);
    list_push(&worker->relays, &r->node);
    worker->nrelays++;
    request->owner = (struct http_owner){.ctx = r, .on_abort = on_abort, .on_drain = on_drain};
    return r;
}

void relay_begin(struct worker *worker, struct http_request *request, enum engine_surface surface)
{
    struct admission a = {0};
    struct err err = {0};
    int rc = admit(worker, request, surface, &a, &err);
    struct relay *r = rc == 0 ? relay_new(worker, request, &a) : NULL;
    if (rc == 0 && !r)
        rc = err_set(&err, ERR_NO_MEMORY, "out of memory");
    if (rc == 0)
        rc = openai_rewrite(&a.parsed, a.model->engine, a.model->upstream, a.max_tokens, &r->body, &err);
    if (rc == 0)
        rc = check_rate(r, a.key, &err);
    int64_t cost = 0;
    if (rc == 0 && (rc = worst_cost(r, &cost)) != 0)
        err_set(&err, rc, "The request could cost more than can be counted.");
    uint64_t prefix_hash = a.parsed.prefix_hash;
    if (rc != 0 && !r) {
        char param[64] = "";
        if (a.parsed.param)
            (void)snprintf(param, sizeof param, "%s", a.parsed.param);
        metric_add(&worker->metrics.requests_refused, 1);
        snapshot_unref(a.snapshot);
        relay_error(worker, request, rc, err.msg, param[0] ? param : NULL, "");
    } else if (rc != 0) {
        r->tail = a.parsed.param; /* the field at fault, for the refusal */
        relay_refuse(r, rc, err.msg);
    }
    openai_request_fini(&a.parsed);
    if (rc != 0)
        return;
    buf_fini(&request->body);
    http_request_trim(request);
    r->hold.want = cost;
    r->state = RELAY_HOLD;
    rc = cost > 0 ? purse_draw(worker, &r->hold) : 0;
    if (rc == 0)
        go_slot(r, prefix_hash);
    else if (rc == 1)
        deadline_arm(&r->deadline, &worker->hold_q);
    else
        relay_refuse(r, rc, err_text(rc));
}
