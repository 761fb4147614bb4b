/* SPDX-License-Identifier: Apache-2.0 */
/* The events of one stream: counted, cleaned of what we asked for and the client did not, and sent on. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "gateway/relay.h"

#define OUT_MAX ((size_t)8 << 20)
/* Above this many chunks in a flush interval the worker is busy: then chunks of one stream share a write. */
#define BUSY_CHUNKS 64

int stream_begin(struct relay *r)
{
    char fields[512];
    r->flow = calloc(1, sizeof *r->flow);
    if (!r->flow)
        return ERR_NO_MEMORY;
    r->flow->relay = r;
    sse_init(&r->flow->sse);
    buf_init(&r->flow->out, OUT_MAX);
    relay_fields(r, fields, sizeof fields);
    relay_receipt_field(r, fields, sizeof fields);
    size_t at = strlen(fields);
    memcpy(fields + at, "Cache-Control: no-cache\r\n", sizeof("Cache-Control: no-cache\r\n"));
    http_begin(r->request, 200, "text/event-stream", fields);
    deadline_arm(&r->deadline, &r->worker->record_q);
    r->last_ns = clock_mono_ns();
    return 0;
}

void stream_free(struct relay *r)
{
    if (!r->flow)
        return;
    list_remove(&r->flow->in_flush);
    sse_fini(&r->flow->sse);
    buf_fini(&r->flow->out);
    free(r->flow);
    r->flow = NULL;
}

/* ---- counting ---- */

static bool tokens_eq(const struct tokens *a, const struct tokens *b)
{
    return a->prompt == b->prompt && a->cached == b->cached && a->completion == b->completion &&
           a->reasoning == b->reasoning;
}

void stream_account(struct relay *r)
{
    struct relay_stream *f = r->flow;
    if (!f || !r->request || f->nmarks == 0)
        return;
    uint64_t taken = http_taken(r->request);
    uint32_t passed = 0;
    while (passed < f->nmarks && f->marks[passed].offset <= taken)
        passed++;
    if (passed == 0)
        return;
    r->delivered = f->marks[passed - 1].tokens;
    memmove(f->marks, f->marks + passed, (f->nmarks - passed) * sizeof *f->marks);
    f->nmarks -= passed;
}

/* Everything seen so far is in the bytes handed over so far. */
static void mark(struct relay *r)
{
    struct relay_stream *f = r->flow;
    uint64_t given = http_given(r->request);
    if (tokens_eq(&r->seen, &r->delivered))
        return;
    if (http_taken(r->request) >= given) {
        r->delivered = r->seen;
        f->nmarks = 0;
        return;
    }
    /* Full: the last mark moves on, so that a cut in between bills a little less, never more. */
    if (f->nmarks == RELAY_MARKS)
        f->nmarks--;
    f->marks[f->nmarks++] = (struct relay_mark){.offset = given, .tokens = r->seen};
}

static uint32_t choice_of(yyjson_val *root)
{
    uint64_t i =
        yyjson_get_uint(yyjson_obj_get(yyjson_arr_get_first(yyjson_obj_get(root, "choices")), "index"));
    return i < RELAY_CHOICES ? (uint32_t)i : 0;
}

/* Whether the chunk carries something that was decoded: text, a tool call, a thought. */
static bool has_content(yyjson_val *root)
{
    yyjson_val *choice = yyjson_arr_get_first(yyjson_obj_get(root, "choices"));
    yyjson_val *delta = yyjson_obj_get(choice, "delta");
    if (yyjson_get_len(yyjson_obj_get(choice, "text")) > 0)
        return true;
    return yyjson_get_len(yyjson_obj_get(delta, "content")) > 0 ||
           yyjson_get_len(yyjson_obj_get(delta, "reasoning_content")) > 0 ||
           yyjson_is_arr(yyjson_obj_get(delta, "tool_calls"));
}

static void count(struct relay *r, yyjson_val *root, bool content)
{
    struct relay_stream *f = r->flow;
    struct openai_usage u = openai_usage(root);
    bool total = yyjson_is_obj(yyjson_obj_get(root, "usage"));
    if (u.present && total) {
        uint32_t choices = 0;
        for (int i = 0; i < RELAY_CHOICES; i++)
            choices += f->choice[i];
        r->seen = u.tokens;
        if (r->seen.completion < choices) /* llama.cpp's last word is about the first choice only */
            r->seen.completion = choices;
        f->exact = true;
    } else if (u.present) {
        /* llama.cpp counts each choice for itself. */
        f->choice[choice_of(root)] = u.tokens.completion;
        r->seen = u.tokens;
        r->seen.completion = 0;
        for (int i = 0; i < RELAY_CHOICES; i++)
            r->seen.completion += f->choice[i];
        f->exact = true;
    } else if (content && !f->exact) {
        r->seen.completion++;
        if (r->seen.prompt == 0)
            r->seen.prompt = 1; /* until the engine tells */
    }
    openai_clamp(&r->seen, &r->worst);
}

static void time_chunk(struct relay *r, bool first)
{
    uint64_t now = clock_mono_ns();
    struct metrics *m = &r->worker->metrics;
    if (first)
        histogram_add(&m->first_token, (now - r->started_ns) / 1000);
    else
        histogram_add(&m->inter_token, (now - r->last_ns) / 1000);
    r->last_ns = now;
    metric_add(&m->chunks, 1);
}

/* ---- rewriting ---- */

/* Appends the event, without the members that only the gateway asked for. */
static void forward(struct relay *r, yyjson_doc *doc, const char *data, size_t len)
{
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct buf *out = &r->flow->out;
    struct openai_veil veil = {.model =
                                   strcmp(r->model->name, r->model->upstream) != 0 ? r->model->name : NULL,
                               .drop_usage = !r->include_usage,
                               .usage = r->n > 1 ? &r->seen : NULL};
    buf_add(out, "data: ", 6);
    /* Data that came in several lines is written anew, as one. */
    if (openai_veiled(root, &veil) || memchr(data, '\n', len))
        openai_add_veiled(out, root, &veil);
    else
        buf_add(out, data, len);
    buf_add(out, "\n\n", 2);
}

static int on_event(void *ctx, const char *data, size_t len)
{
    struct relay *r = ctx;
    if (len == 6 && memcmp(data, "[DONE]", 6) == 0) {
        r->flow->done = true; /* held back until the final record is durable */
        return 0;
    }
    yyjson_doc *doc = json_read(data, len);
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (!yyjson_is_obj(root) || r->flow->done) {
        yyjson_doc_free(doc);
        return ERR_UPSTREAM;
    }
    bool first = r->seen.completion == 0;
    bool content = has_content(root);
    count(r, root, content);
    if (content)
        time_chunk(r, first);
    bool usage_only =
        yyjson_is_obj(yyjson_obj_get(root, "usage")) && yyjson_arr_size(yyjson_obj_get(root, "choices")) == 0;
    if (!usage_only || r->include_usage)
        forward(r, doc, data, len);
    bool error = yyjson_obj_get(root, "error") != NULL;
    yyjson_doc_free(doc);
    return error ? ERR_UPSTREAM : 0;
}

void stream_flush(struct relay *r)
{
    struct relay_stream *f = r->flow;
    list_remove(&f->in_flush);
    if (f->out.len == 0 || !r->request)
        return;
    bool first = r->delivered.completion == 0;
    bool more = http_send(r->request, f->out.data, f->out.len);
    buf_clear(&f->out);
    if (f->out.cap > 4096)
        buf_fini(&f->out);
    mark(r);
    if (!more && r->call)
        http_call_pause(r->call);
    if (first && r->delivered.completion > 0)
        relay_progress(r, METER_START);
}

void stream_bytes(struct relay *r, const char *data, size_t len)
{
    int rc = sse_feed(&r->flow->sse, data, len, on_event, r);
    if (rc == 0 && r->flow->out.failed)
        rc = ERR_UPSTREAM;
    if (rc != 0) {
        relay_fail_stream(r, ERR_UPSTREAM);
        return;
    }
    if (r->flow->out.len == 0)
        return;
    if (r->worker->chunks_in_tick++ < BUSY_CHUNKS)
        stream_flush(r);
    else
        worker_flush_later(r->worker, r);
}
