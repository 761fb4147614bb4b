/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/relay.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/osrandom.h"
#include "net/tunnel.h"

#define ANSWER_MAX ((size_t)64 << 20)
#define ANSWER_RESERVE_MAX 65536

/* ---- answers ---- */

static void rate_field(char *dst, size_t cap, const char *what, uint32_t limit,
                       const struct limit_state *state)
{
    if (limit == 0)
        return;
    size_t at = strlen(dst);
    (void)snprintf(dst + at, cap - at,
                   "x-ratelimit-limit-%s: %u\r\nx-ratelimit-remaining-%s: %llu\r\n"
                   "x-ratelimit-reset-%s: %llums\r\n",
                   what, limit, what, (unsigned long long)state->remaining, what,
                   (unsigned long long)state->reset_ms);
}

void relay_fields(const struct relay *r, char *dst, size_t cap)
{
    static const char name[] = "x-request-id: ";
    memcpy(dst, name, sizeof name - 1);
    uuid_format(dst + sizeof name - 1, &r->id);
    memcpy(dst + sizeof name - 1 + UUID_TEXT_LEN, "\r\n", 3);
    rate_field(dst, cap, "requests", r->rpm, &r->rate_requests);
    rate_field(dst, cap, "tokens", r->tpm, &r->rate_tokens);
}

void relay_receipt_field(const struct relay *r, char *dst, size_t cap)
{
    char text[UUID_TEXT_LEN + 1];
    size_t at = strlen(dst);
    uuid_format(text, &r->id);
    (void)snprintf(dst + at, cap - at, "busbar-receipt: %s\r\n", text);
}

void relay_new_id(char dst[REQUEST_ID_CAP])
{
    struct uuid id = uuid_new();
    char text[UUID_TEXT_LEN + 1];
    uuid_format(text, &id);
    (void)snprintf(dst, REQUEST_ID_CAP, "x-request-id: %s\r\n", text);
}

void relay_error(struct worker *worker, struct http_request *request, int code, const char *message,
                 const char *param, const char *fields)
{
    (void)worker;
    struct buf body;
    char head[640];
    int status = err_http_status(code);
    const char *name = openai_code(code);
    if (code == ERR_NOT_FOUND)
        name = "model_not_found";
    buf_init(&body, 16384);
    openai_error(&body, status, message, param, name);
    bool later = err_retryable(code) && !strstr(fields, "retry-after");
    char id[REQUEST_ID_CAP] = "";
    if (!fields[0]) /* refused before there was a relay */
        relay_new_id(id);
    (void)snprintf(head, sizeof head, "%s%s%s%s", fields, id, later ? "retry-after: 1\r\n" : "",
                   status == 401 ? "WWW-Authenticate: Bearer\r\n" : "");
    http_answer(request, status, "application/json", head, &body);
    buf_fini(&body);
}

/* ---- the end ---- */

void relay_release_engine(struct relay *r)
{
    if (r->call)
        http_call_cancel(r->call);
    r->call = NULL;
    if (r->backend) {
        yield_count(&r->backend->yield, r->delivered.prompt, r->delivered.completion);
        atomic_fetch_sub(&r->backend->own, 1);
        slot_release(r->model->queue, r->backend, (uint64_t)r->worst.prompt + r->worst.completion);
    }
    r->backend = NULL;
}

static void relay_free(struct relay *r)
{
    struct worker *worker = r->worker;
    if (r->pending > 0) { /* a reply still points here */
        r->freed = true;
        return;
    }
    draw_end(worker, &r->hold.draw);
    list_remove(&r->node);
    worker->nrelays--;
    stream_free(r);
    buf_fini(&r->body);
    snapshot_unref(r->snapshot);
    free(r);
}

/* Gives everything back that a request holds while it is on its way. */
static void relay_close(struct relay *r)
{
    deadline_disarm(&r->deadline);
    purse_cancel(r->worker, &r->hold);
    if (r->state == RELAY_SLOT)
        slot_cancel(r->model->queue, &r->slot);
    relay_release_engine(r);
    if (r->tpm_taken > 0) {
        uint64_t used = (uint64_t)r->delivered.prompt + r->delivered.completion;
        if (used < r->tpm_taken)
            limit_give_back(&r->limiter->tokens, r->tpm, r->tpm_taken - used);
    }
    histogram_add(&r->worker->metrics.duration, (clock_mono_ns() - r->started_ns) / 1000);
    relay_free(r);
}

void relay_refuse(struct relay *r, int code, const char *message)
{
    struct http_request *request = r->request;
    char fields[512];
    char text[240];
    char param[64] = "";
    relay_fields(r, fields, sizeof fields);
    size_t at = strlen(fields);
    if (code == ERR_RATE_LIMITED) {
        uint64_t ms = r->rate_requests.retry_ms ? r->rate_requests.retry_ms : r->rate_tokens.retry_ms;
        (void)snprintf(fields + at, sizeof fields - at, "retry-after: %llu\r\n",
                       (unsigned long long)(ms + 999) / 1000);
    }
    (void)snprintf(text, sizeof text, "%s", message);
    if (r->tail)
        (void)snprintf(param, sizeof param, "%s", r->tail);
    struct worker *worker = r->worker;
    r->request = NULL;
    if (code != ERR_CANCELLED)
        metric_add(code == ERR_UPSTREAM || code == ERR_TIMEOUT ? &worker->metrics.requests_failed
                                                               : &worker->metrics.requests_refused,
                   1);
    relay_close(r);
    if (request)
        relay_error(worker, request, code, text, param[0] ? param : NULL, fields);
}

/* ---- metering ---- */

static struct tokens minus(const struct tokens *a, const struct tokens *b)
{
    /* A later count may move tokens between kinds, but never below what was recorded already. */
    struct tokens d = {.prompt = a->prompt > b->prompt ? a->prompt - b->prompt : 0,
                       .cached = a->cached > b->cached ? a->cached - b->cached : 0,
                       .completion = a->completion > b->completion ? a->completion - b->completion : 0,
                       .reasoning = a->reasoning > b->reasoning ? a->reasoning - b->reasoning : 0};
    if (d.cached > d.prompt)
        d.cached = d.prompt;
    if (d.reasoning > d.completion)
        d.reasoning = d.completion;
    return d;
}

static struct event meter_event(struct relay *r, const struct tokens *d, uint32_t flags)
{
    struct event event = {
        .kind = EVENT_KIND_meter,
        .u.meter = {.worker = r->worker->id,
                    .sequence = ++r->worker->sequence,
                    .request = r->id,
                    .lease = r->hold.draw.lease ? r->hold.draw.lease->id : (struct uuid){{0}},
                    .tenant = r->tenant,
                    .key = r->key,
                    .model = r->model->id,
                    .variant = r->variant,
                    .site = r->site,
                    .price = r->price->id,
                    .prompt = d->prompt,
                    .cached = d->cached,
                    .completion = d->completion,
                    .reasoning = d->reasoning,
                    .flags = flags,
                    .status = r->status,
                    .started_ms = r->started_ms}};
    memcpy(event.u.meter.chip, r->chip, sizeof r->chip);
    memcpy(event.u.meter.version, r->version, sizeof r->version);
    return event;
}

/* Whether the record of so many tokens is durable. Where its answer was lost, what it cost is counted again here: it is as the
 * core counts. */
static bool posted(struct relay *r, const struct tokens *d, const struct effect *reply)
{
    int64_t cost = reply->amount, ignored = 0;
    bool durable = reply->code == 0 || reply->code == ERR_DUPLICATE;
    if (reply->code == ERR_DUPLICATE && money_cost(d, &r->price->price, &cost, &ignored) != 0)
        cost = 0;
    if (durable && r->hold.draw.lease)
        draw_post(&r->hold.draw, cost);
    if (!durable)
        log_warn("meter_refused", "code=%s", err_name(reply->code));
    return durable;
}

static void on_progress(void *ctx, const struct effect *reply)
{
    struct relay *r = ctx;
    r->pending--;
    if (posted(r, &r->in_progress, reply))
        r->acked = r->progressed;
    else if (!r->final_posted)
        r->posted = r->acked; /* not recorded: the next record carries it */
    if (r->freed) {
        relay_free(r);
    } else if (r->settle_due) {
        r->settle_due = false;
        relay_settle(r);
    }
}

void relay_progress(struct relay *r, uint32_t flags)
{
    struct tokens d = minus(&r->delivered, &r->posted);
    if (r->pending > 0 || (d.prompt == 0 && d.completion == 0))
        return;
    struct event event = meter_event(r, &d, flags | (r->flow->exact ? 0 : METER_ESTIMATED));
    if (worker_ask(r->worker, &event, on_progress, r) != 0)
        return;
    r->pending++;
    r->in_progress = d;
    r->posted = r->progressed = r->delivered;
}

void relay_record_due(struct deadline *deadline)
{
    struct relay *r = list_entry(deadline, struct relay, deadline);
    stream_account(r);
    relay_progress(r, 0);
    deadline_arm(&r->deadline, &r->worker->record_q);
}

static void count_tokens(struct relay *r)
{
    struct metrics *m = &r->worker->metrics;
    metric_add(&m->tokens_prompt, r->delivered.prompt);
    metric_add(&m->tokens_cached, r->delivered.cached);
    metric_add(&m->tokens_completion, r->delivered.completion);
    demand_count(&r->model->queue->demand, r->delivered.prompt, r->delivered.completion);
    if (r->status == 200)
        metric_add(&m->requests_ok, 1);
    else if (r->status != 499)
        metric_add(&m->requests_failed, 1);
}

/* The record is durable: now the last bytes may go. */
static void let_go(struct relay *r)
{
    struct http_request *request = r->request;
    r->request = NULL;
    if (!request)
        return;
    if (r->stream) {
        http_end(request, r->tail, strlen(r->tail));
        return;
    }
    char fields[512];
    relay_fields(r, fields, sizeof fields);
    relay_receipt_field(r, fields, sizeof fields);
    http_respond(request, (int)r->status, "application/json", fields, r->body.data, r->body.len);
}

static void unrecorded(struct relay *r)
{
    static const char lost[] =
        "data: {\"error\":{\"message\":\"The usage of this answer could not be recorded.\","
        "\"type\":\"server_error\",\"param\":null,\"code\":\"unavailable\"}}\n\n";
    struct http_request *request = r->request;
    r->request = NULL;
    metric_add(&r->worker->metrics.requests_failed, 1);
    if (!request)
        return;
    if (r->stream)
        http_end(request, lost, sizeof lost - 1);
    else
        relay_error(r->worker, request, ERR_UNAVAILABLE, "The usage of this answer could not be recorded.",
                    NULL, "");
}

/* The hub is away. What the client got is recorded when it is back; what it did not get shall not be billed, unless the record was
 * durable and only its answer was lost. */
void relay_settle_late(struct deadline *deadline)
{
    struct relay *r = list_entry(deadline, struct relay, deadline);
    const struct uplink *uplink = &r->worker->uplink;
    if (!r->request)
        return;
    if (!r->stream && uplink->ops->amend) {
        struct tokens none = {0};
        struct event event = meter_event(r, &none, r->flags | METER_CUT);
        r->worker->sequence--;
        event.u.meter.sequence = r->final_sequence;
        event.u.meter.status = (uint32_t)err_http_status(ERR_UNAVAILABLE);
        event.token = r->final_token;
        uplink->ops->amend(uplink->ctx, &event);
    }
    unrecorded(r);
}

static void settle_again(struct relay *r)
{
    metric_add(&r->worker->metrics.settle_retries, 1);
    r->final_posted = false;
    deadline_arm(&r->deadline, &r->worker->hold_q); /* tries again then */
}

static void on_settled(void *ctx, const struct effect *reply)
{
    struct relay *r = ctx;
    r->pending--;
    deadline_disarm(&r->deadline);
    bool durable = posted(r, &r->in_final, reply);
    if (r->freed) {
        relay_free(r);
        return;
    }
    if (reply->code == ERR_UNAVAILABLE && !r->request && r->status == 499 && !r->worker->stopping) {
        r->posted = r->acked; /* what an absent client got is billed all the same */
        settle_again(r);
        return;
    }
    if (durable) {
        count_tokens(r);
        let_go(r);
    } else {
        unrecorded(r);
    }
    relay_close(r);
}

void relay_settle(struct relay *r)
{
    assert(!r->final_posted);
    deadline_disarm(&r->deadline);
    r->state = RELAY_SETTLE;
    /* Whether the record before is durable is not known yet, and the last one has what was not. A gateway's uplink says itself again
     * what was not recorded. */
    if (r->pending > 0 && !r->worker->uplink.ops->amend) {
        relay_release_engine(r);
        r->settle_due = true;
        return;
    }
    r->final_posted = true;
    struct tokens d = minus(&r->delivered, &r->posted);
    struct event event = meter_event(r, &d, r->flags);
    /* The engine has done its part: its slot is free while the record is written. */
    relay_release_engine(r);
    if (worker_ask(r->worker, &event, on_settled, r) == 0) {
        r->pending++;
        r->in_final = d;
        r->final_sequence = event.u.meter.sequence;
        r->final_token = event.token;
        /* In the hub's own process nothing that was said can be taken back, and its disk answers in the end. */
        if (r->worker->uplink.ops->amend)
            deadline_arm(&r->deadline, &r->worker->settle_q);
        r->posted = r->delivered;
        return;
    }
    if (!r->request && r->status == 499 && !r->worker->stopping) {
        settle_again(r);
        return;
    }
    unrecorded(r);
    relay_close(r);
}

/* ---- the engine's answer ---- */

void relay_fail_stream(struct relay *r, int code)
{
    static const char broke[] = "data: {\"error\":{\"message\":\"The engine ended the answer early.\","
                                "\"type\":\"server_error\",\"param\":null,\"code\":\"engine_error\"}}\n\n";
    static const char stopping[] =
        "data: {\"error\":{\"message\":\"The hub is shutting down.\","
        "\"type\":\"server_error\",\"param\":null,\"code\":\"shutting_down\"}}\n\n";
    stream_flush(r);
    stream_account(r);
    r->flags = METER_FINAL | METER_CUT | (r->flow->exact ? 0 : METER_ESTIMATED);
    r->status = (uint32_t)err_http_status(code);
    r->tail = code == ERR_DRAINING ? stopping : broke;
    relay_settle(r);
}

/* An answer of known and modest length gets its place at once. */
static void reserve_answer(struct relay *r, struct http_call *call)
{
    size_t digits;
    uint64_t len;
    const char *text = http_call_field(call, "content-length", &digits);
    if (text && u64_parse(text, digits, ANSWER_RESERVE_MAX, &len))
        (void)buf_reserve(&r->body, (size_t)len);
}

static void on_head(struct http_call *call, int status)
{
    struct relay *r = http_call_ctx(call);
    size_t len;
    /* Said by a hub to its gateways; in the hub's own process it could only be an engine's word. */
    if (status == 503 && r->worker->uplink.ops->amend && http_call_field(call, PASSAGE_REFUSED, &len)) {
        r->unreached = true;
        return;
    }
    const char *type = http_call_field(call, "content-type", &len);
    r->status = (uint32_t)status;
    buf_fini(&r->body);
    buf_init(&r->body, ANSWER_MAX);
    reserve_answer(r, call);
    bool events = type && len >= 17 && strncasecmp(type, "text/event-stream", 17) == 0;
    if (status != 200 || !r->stream || !events) {
        r->state = RELAY_BODY;
        return;
    }
    if (stream_begin(r) != 0) {
        relay_refuse(r, ERR_NO_MEMORY, "out of memory");
        return;
    }
    r->state = RELAY_STREAM;
}

static void on_body(struct http_call *call, const char *data, size_t len)
{
    struct relay *r = http_call_ctx(call);
    if (r->unreached)
        return;
    if (r->state == RELAY_STREAM) {
        stream_bytes(r, data, len);
        return;
    }
    buf_add(&r->body, data, len);
    if (r->body.failed)
        relay_refuse(r, ERR_UPSTREAM, "The engine's answer is too large.");
}

/* An error of the engine, in our own form: its text may help, its shape is not to be trusted. */
static void engine_refused(struct relay *r)
{
    struct err ignored;
    char message[200] = "The engine refused the request.";
    yyjson_doc *doc = json_parse(r->body.data ? r->body.data : "", r->body.len, &ignored);
    yyjson_val *error = yyjson_obj_get(yyjson_doc_get_root(doc), "error");
    const char *text = yyjson_get_str(yyjson_obj_get(error, "message"));
    if (text)
        (void)snprintf(message, sizeof message, "%s", text);
    yyjson_doc_free(doc);
    /* Its own limits, keys and paths (429, 401, 404) are not the client's doing. */
    int code = ERR_UPSTREAM;
    if (r->status == 503)
        code = ERR_NO_REPLICA;
    else if (r->status == 429)
        code = ERR_QUEUE_FULL;
    else if (r->status == 501)
        code = ERR_UNSUPPORTED;
    else if (r->status == 413)
        code = ERR_TOO_LARGE;
    else if (r->status == 400 || r->status == 422)
        code = ERR_INVALID;
    relay_refuse(r, code, message);
}

/* The answer as the client shall see it, in place of the engine's. */
static void clean_answer(struct relay *r, yyjson_val *root)
{
    struct openai_veil veil = {.model =
                                   strcmp(r->model->name, r->model->upstream) != 0 ? r->model->name : NULL};
    if (!openai_veiled(root, &veil))
        return;
    struct buf clean;
    buf_init(&clean, ANSWER_MAX);
    (void)buf_reserve(&clean, r->body.len);
    openai_add_veiled(&clean, root, &veil);
    buf_fini(&r->body);
    r->body = clean;
}

static void take_answer(struct relay *r)
{
    struct err err;
    yyjson_doc *doc = json_parse(r->body.data ? r->body.data : "", r->body.len, &err);
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct openai_usage u = openai_usage(root);
    bool object = yyjson_is_obj(root);
    if (object)
        clean_answer(r, root);
    yyjson_doc_free(doc);
    if (!object || r->body.failed) {
        relay_refuse(r, ERR_UPSTREAM, "The engine's answer is not valid JSON.");
        return;
    }
    r->delivered = u.tokens;
    if (!u.present) { /* an engine that says nothing is billed at the bound that was agreed to */
        r->delivered = r->worst;
        r->flags |= METER_ESTIMATED;
    }
    openai_clamp(&r->delivered, &r->worst);
    relay_settle(r);
}

static void on_end(struct http_call *call, int rc)
{
    struct relay *r = http_call_ctx(call);
    r->call = NULL;
    if (r->state == RELAY_STREAM) {
        stream_flush(r);
        stream_account(r);
        if (rc != 0 || !r->flow->done) {
            relay_fail_stream(r, rc == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_UPSTREAM);
            return;
        }
        r->flow->ended = true;
        r->tail = "data: [DONE]\n\n";
        r->flags |= r->flow->exact ? 0 : METER_ESTIMATED;
        /* The last record says what was written, so everything before the last bytes must be written first. */
        if (http_taken(r->request) == http_given(r->request)) {
            r->delivered = r->seen;
            relay_settle(r);
        }
        return;
    }
    if (r->unreached) {
        r->unreached = false;
        relay_again(r);
        return;
    }
    bool silent = rc == ERR_UPSTREAM && r->state == RELAY_CALL && !http_call_answered(call);
    if (silent && r->backend->far && !r->moved) {
        r->moved = true; /* of the two one is billed: what answers */
        relay_again(r);
    } else if (rc == ERR_UNAVAILABLE && r->state == RELAY_CALL)
        relay_again(r);
    else if (rc != 0)
        relay_refuse(r, rc,
                     rc == ERR_TIMEOUT ? "The engine did not answer in time." : "The engine broke off.");
    else if (r->status != 200)
        engine_refused(r);
    else
        take_answer(r);
}

const struct http_call_events relay_call_events = {.on_head = on_head, .on_body = on_body, .on_end = on_end};

void relay_shutdown(struct relay *r)
{
    if (r->state == RELAY_STREAM)
        relay_fail_stream(r, ERR_DRAINING);
    else if (r->state != RELAY_SETTLE)
        relay_refuse(r, ERR_DRAINING, "The hub is shutting down.");
}
