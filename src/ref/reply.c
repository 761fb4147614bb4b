/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/reply.h"

#include <string.h>

static const char *finish_of(enum task_end end)
{
    return end == TASK_LENGTH ? "length" : "stop";
}

/* ---- parts ---- */

static void add_text(struct buf *out, const char *name, const char *text, size_t len)
{
    buf_addf(out, "\"%s\":", name);
    buf_add_json(out, len ? text : "", len);
}

static void add_one(const struct vocab *v, uint32_t token, double logprob, struct buf *out)
{
    struct buf piece;
    buf_init(&piece, 1 << 20);
    vocab_piece(v, token, &piece);
    buf_addf(out, "\"id\":%u,", token);
    add_text(out, "token", piece.data, piece.len);
    buf_addf(out, ",\"logprob\":%.9g,\"bytes\":[", logprob);
    for (size_t i = 0; i < piece.len; i++)
        buf_addf(out, "%s%u", i ? "," : "", (unsigned)(uint8_t)piece.data[i]);
    buf_add_char(out, ']');
    buf_fini(&piece);
}

static void add_logprobs(const struct vocab *v, const struct task_token *tokens, uint32_t n, struct buf *out)
{
    buf_add_text(out, ",\"logprobs\":{\"content\":[");
    for (uint32_t i = 0; i < n; i++) {
        buf_add_text(out, i ? ",{" : "{");
        add_one(v, tokens[i].token, tokens[i].logprob, out);
        buf_add_text(out, ",\"top_logprobs\":[");
        for (uint32_t k = 0; k < tokens[i].ntop; k++) {
            buf_add_text(out, k ? ",{" : "{");
            add_one(v, tokens[i].top[k].token, tokens[i].top[k].logprob, out);
            buf_add_char(out, '}');
        }
        buf_add_text(out, "]}");
    }
    buf_add_text(out, "]}");
}

static void add_head(const struct reply *r, const char *object, struct buf *out)
{
    add_text(out, "id", r->id, strlen(r->id));
    buf_addf(out, ",\"object\":\"%s\",\"created\":%lld,", object, (long long)r->created_s);
    add_text(out, "model", r->model, strlen(r->model));
    buf_add_text(out, ",\"system_fingerprint\":\"" REPLY_FINGERPRINT "\"");
}

static void add_usage(const struct task_counts *c, struct buf *out)
{
    buf_addf(out,
             ",\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u,"
             "\"prompt_tokens_details\":{\"cached_tokens\":%u}}",
             c->prompt, c->completion, c->prompt + c->completion, c->cached);
}

static double per_second(uint32_t n, uint64_t ns)
{
    return ns ? (double)n * 1e9 / (double)ns : 0.0;
}

static void add_timings(const struct task_counts *c, struct buf *out)
{
    uint32_t read = c->prompt - c->cached;
    buf_addf(out,
             ",\"timings\":{\"cache_n\":%u,\"prompt_n\":%u,\"prompt_ms\":%.3f,\"prompt_per_second\":%.3f,"
             "\"predicted_n\":%u,\"predicted_ms\":%.3f,\"predicted_per_second\":%.3f}",
             c->cached, read, (double)c->prompt_ns / 1e6, per_second(read, c->prompt_ns), c->completion,
             (double)c->completion_ns / 1e6, per_second(c->completion, c->completion_ns));
}

/* ---- whole answers ---- */

void reply_whole(const struct reply *r, const struct task_piece *last, const char *text, size_t len,
                 const struct task_token *tokens, uint32_t ntokens, bool logprobs, struct buf *out)
{
    buf_add_char(out, '{');
    add_head(r, r->chat ? "chat.completion" : "text_completion", out);
    buf_add_text(out, ",\"choices\":[{\"index\":0,");
    if (r->chat)
        buf_add_text(out, "\"message\":{\"role\":\"assistant\",");
    add_text(out, r->chat ? "content" : "text", text, len);
    if (r->chat)
        buf_add_char(out, '}');
    if (logprobs)
        add_logprobs(r->vocab, tokens, ntokens, out);
    buf_addf(out, ",\"finish_reason\":\"%s\"}]", finish_of(last->end));
    add_usage(&last->counts, out);
    add_timings(&last->counts, out);
    buf_add_char(out, '}');
}

/* ---- streams ---- */

static void begin_chunk(const struct reply *r, struct buf *out)
{
    buf_add_text(out, "data: {");
    add_head(r, r->chat ? "chat.completion.chunk" : "text_completion", out);
}

static void end_chunk(const struct reply *r, const struct task_counts *counts, struct buf *out)
{
    if (counts && r->timings)
        add_timings(counts, out);
    buf_add_text(out, "}\n\n");
}

void reply_first(const struct reply *r, struct buf *out)
{
    if (!r->chat)
        return;
    begin_chunk(r, out);
    buf_add_text(out, ",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null},"
                      "\"finish_reason\":null}]");
    end_chunk(r, NULL, out);
}

void reply_piece(const struct reply *r, const struct task_piece *p, struct buf *out)
{
    if (p->text.len == 0 && p->ntokens == 0)
        return;
    begin_chunk(r, out);
    buf_add_text(out, ",\"choices\":[{\"index\":0,");
    if (r->chat)
        buf_add_text(out, "\"delta\":{");
    add_text(out, r->chat ? "content" : "text", p->text.data, p->text.len);
    if (r->chat)
        buf_add_char(out, '}');
    if (p->tokens)
        add_logprobs(r->vocab, p->tokens, p->ntokens, out);
    buf_add_text(out, ",\"finish_reason\":null}]");
    end_chunk(r, &p->counts, out);
}

void reply_last(const struct reply *r, const struct task_piece *last, struct buf *out)
{
    begin_chunk(r, out);
    buf_addf(out, ",\"choices\":[{\"index\":0,%s,\"finish_reason\":\"%s\"}]",
             r->chat ? "\"delta\":{}" : "\"text\":\"\"", finish_of(last->end));
    end_chunk(r, &last->counts, out);
    if (r->include_usage) {
        begin_chunk(r, out);
        buf_add_text(out, ",\"choices\":[]");
        add_usage(&last->counts, out);
        end_chunk(r, &last->counts, out);
    }
    buf_add_text(out, "data: [DONE]\n\n");
}

void reply_error(struct buf *out, int code, const char *words)
{
    int status = err_http_status(code);
    buf_add_text(out, "{\"error\":{\"message\":");
    buf_add_json(out, words, strlen(words));
    buf_addf(out, ",\"type\":\"%s\",\"code\":%d}}", status >= 500 ? "server_error" : "invalid_request_error",
             status);
}
