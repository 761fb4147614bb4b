/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/openai.h"

#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "core/limits.h"

#define N_MAX 16
#define ITEMS_MAX 2048
/* Tokens that a chat template or special tokens may add beyond the text of the body. A template adds a few a message,
 * and the JSON around each message is longer than that; this is for a default system prompt. */
#define TEMPLATE_TOKENS 256
#define PREFIX_BYTES 512
/* What the gateway adds to a body, at most, if the client's JSON was compact. */
#define REWRITE_ROOM 256

const char *openai_path(enum engine_surface surface)
{
    static const char *const paths[SURFACES] = {
        [SURFACE_CHAT] = "/v1/chat/completions",
        [SURFACE_COMPLETION] = "/v1/completions",
        [SURFACE_EMBEDDING] = "/v1/embeddings",
        [SURFACE_RERANK] = "/v1/rerank",
    };
    return paths[surface];
}

static int bad(struct openai_request *r, const char *param, const char *what, struct err *err)
{
    r->param = param;
    return err_set(err, ERR_INVALID, "%s: %s", param, what);
}

/* A member that must be an integer in [low, high] if it is there; null counts as absent. */
static int read_count(struct openai_request *r, yyjson_val *root, const char *name, uint32_t low,
                      uint32_t high, uint32_t *out, struct err *err)
{
    yyjson_val *v = yyjson_obj_get(root, name);
    if (!v || yyjson_is_null(v))
        return 0;
    if (!yyjson_is_uint(v) || yyjson_get_uint(v) < low || yyjson_get_uint(v) > high)
        return bad(r, name, "must be a positive whole number in range", err);
    *out = (uint32_t)yyjson_get_uint(v);
    return 0;
}

static int read_flag(struct openai_request *r, yyjson_val *object, const char *name, bool *out,
                     struct err *err)
{
    yyjson_val *v = yyjson_obj_get(object, name);
    if (!v || yyjson_is_null(v))
        return 0;
    if (!yyjson_is_bool(v))
        return bad(r, name, "must be true or false", err);
    *out = yyjson_get_bool(v);
    return 0;
}

static int read_stream(struct openai_request *r, yyjson_val *root, struct err *err)
{
    int rc = read_flag(r, root, "stream", &r->stream, err);
    if (rc != 0)
        return rc;
    yyjson_val *options = yyjson_obj_get(root, "stream_options");
    if (!options || yyjson_is_null(options))
        return 0;
    if (!yyjson_is_obj(options) || !r->stream)
        return bad(r, "stream_options", "must be an object, and only with stream", err);
    return read_flag(r, options, "include_usage", &r->include_usage, err);
}

/* The member that carries the text, by surface. */
static const char *const text_members[SURFACES] = {"messages", "prompt", "input", "documents"};

static int read_text(struct openai_request *r, yyjson_val *root, struct err *err)
{
    const char *name = text_members[r->surface];
    yyjson_val *text = yyjson_obj_get(root, name);
    bool list = yyjson_is_arr(text);
    size_t n = list ? yyjson_arr_size(text) : 1;
    if (!text ||
        (!list && (!yyjson_is_str(text) || r->surface == SURFACE_CHAT || r->surface == SURFACE_RERANK)))
        return bad(r, name, text ? "has the wrong type" : "is missing", err);
    if (n == 0 || n > ITEMS_MAX)
        return bad(r, name, "is empty or has too many items", err);
    if (r->surface == SURFACE_RERANK && !yyjson_is_str(yyjson_obj_get(root, "query")))
        return bad(r, "query", "must be a text", err);
    if (list && r->surface == SURFACE_CHAT) {
        yyjson_val *first = yyjson_arr_get_first(text);
        if (!yyjson_is_obj(first) || !yyjson_is_str(yyjson_obj_get(first, "role")))
            return bad(r, name, "must hold objects with a role", err);
    }
    r->items = (uint32_t)n;
    yyjson_val *head = list ? yyjson_arr_get_first(text) : text;
    yyjson_val *content = yyjson_is_obj(head) ? yyjson_obj_get(head, "content") : head;
    size_t len = yyjson_get_len(content);
    if (yyjson_is_str(content))
        r->prefix_hash = map_hash(1, yyjson_get_str(content), len < PREFIX_BYTES ? len : PREFIX_BYTES);
    return 0;
}

int openai_parse(struct openai_request *r, enum engine_surface surface, const char *body, size_t len,
                 struct err *err)
{
    *r = (struct openai_request){.surface = surface, .n = 1, .text_bytes = len};
    r->doc = json_parse_object(body, len, err);
    if (!r->doc)
        return ERR_INVALID;
    yyjson_val *root = yyjson_doc_get_root(r->doc);
    yyjson_val *model = yyjson_obj_get(root, "model");
    if (!yyjson_is_str(model))
        return bad(r, "model", "must be a text", err);
    r->model = yyjson_get_str(model);
    r->model_len = yyjson_get_len(model);
    int rc = read_text(r, root, err);
    if (rc != 0 || surface == SURFACE_EMBEDDING || surface == SURFACE_RERANK)
        return rc;
    uint32_t newer = 0;
    rc = read_stream(r, root, err);
    if (rc == 0)
        rc = read_count(r, root, "n", 1, N_MAX, &r->n, err);
    if (rc == 0)
        rc = read_count(r, root, "max_tokens", 1, CONTEXT_MAX, &r->max_tokens, err);
    if (rc == 0)
        rc = read_count(r, root, "max_completion_tokens", 1, CONTEXT_MAX, &newer, err);
    if (rc == 0 && newer) {
        if (surface == SURFACE_COMPLETION)
            return bad(r, "max_completion_tokens", "is for chat completions", err);
        if (r->max_tokens)
            return bad(r, "max_completion_tokens", "and max_tokens exclude each other", err);
        r->max_tokens = newer;
    }
    return rc;
}

void openai_request_fini(struct openai_request *r)
{
    yyjson_doc_free(r->doc);
    r->doc = NULL;
}

struct tokens openai_worst(const struct openai_request *r, uint32_t context, uint32_t *max_tokens)
{
    /* A token is at least one byte of text, so the body's length bounds the prompt. A reranker reads the query once
     * more with each document; several prompts or inputs each fill a context of their own. */
    uint64_t text = r->text_bytes + TEMPLATE_TOKENS;
    uint64_t items = r->surface == SURFACE_CHAT ? 1 : r->items;
    if (r->surface == SURFACE_RERANK)
        text *= items + 1;
    else if (items > 1)
        text += items * 8;
    uint64_t room = (uint64_t)context * items;
    uint64_t prompt = text < room ? text : room;
    struct tokens worst = {.prompt =
                               (uint32_t)(prompt < TOKENS_PER_METER_MAX ? prompt : TOKENS_PER_METER_MAX)};
    *max_tokens = 0;
    if (r->surface == SURFACE_CHAT || r->surface == SURFACE_COMPLETION) {
        *max_tokens = r->max_tokens && r->max_tokens < context ? r->max_tokens : context;
        uint64_t out = (uint64_t)*max_tokens * r->n * items;
        worst.completion = (uint32_t)(out < TOKENS_PER_METER_MAX ? out : TOKENS_PER_METER_MAX);
    }
    return worst;
}

/* Members that the gateway handles itself, whatever the engine's list says. */
static bool handled(const char *name, size_t len)
{
    static const char *const names[] = {"model",
                                        "messages",
                                        "prompt",
                                        "input",
                                        "documents",
                                        "query",
                                        "stream",
                                        "stream_options",
                                        "n",
                                        "max_tokens",
                                        "max_completion_tokens"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return true;
    }
    return false;
}

static bool belongs(enum engine_surface surface, const char *name)
{
    bool text =
        strcmp(name, text_members[surface]) == 0 || (surface == SURFACE_RERANK && strcmp(name, "query") == 0);
    bool generates = surface == SURFACE_CHAT || surface == SURFACE_COMPLETION;
    bool steers = strcmp(name, "model") == 0;
    for (int i = 0; i < SURFACES; i++) {
        if (strcmp(name, text_members[i]) == 0 || strcmp(name, "query") == 0)
            return text;
    }
    return steers || generates;
}

static void add_generation(struct openai_request *r, const struct engine_spec *engine, uint32_t max_tokens,
                           struct buf *out)
{
    buf_add_text(out, ",\"max_tokens\":");
    buf_add_u64(out, max_tokens);
    if (r->n > 1)
        buf_addf(out, ",\"n\":%u", r->n);
    if (!r->stream)
        return;
    buf_add_text(out, ",\"stream\":true,\"stream_options\":{\"include_usage\":true");
    if (engine->count == ENGINE_COUNT_USAGE)
        buf_add_text(out, ",\"continuous_usage_stats\":true");
    buf_add_char(out, '}');
    if (engine->count == ENGINE_COUNT_TIMINGS)
        buf_add_text(out, ",\"timings_per_token\":true");
}

int openai_rewrite(struct openai_request *r, const struct engine_spec *engine, const char *upstream_model,
                   uint32_t max_tokens, struct buf *out, struct err *err)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(yyjson_doc_get_root(r->doc));
    yyjson_val *key;
    size_t start = out->len;
    (void)buf_reserve(out, r->text_bytes + REWRITE_ROOM); /* if it is too much, the adding says so */
    buf_add_char(out, '{');
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        const char *name = yyjson_get_str(key);
        size_t len = yyjson_get_len(key);
        bool ours = handled(name, len);
        enum field_rule rule = ours ? (belongs(r->surface, name) ? FIELD_FORWARD : FIELD_REFUSE)
                                    : engine_field(engine, r->surface, name, len);
        if (rule == FIELD_DROP)
            continue;
        if (rule == FIELD_REFUSE) {
            r->param = name;
            return err_set(err, ERR_INVALID, "%.64s: this field is not supported for this model", name);
        }
        bool text = strcmp(name, text_members[r->surface]) == 0 || strcmp(name, "query") == 0;
        if (ours && !text)
            continue; /* written below, as the gateway wants it */
        if (out->len > start + 1)
            buf_add_char(out, ',');
        buf_add_json(out, name, len);
        buf_add_char(out, ':');
        json_add(out, yyjson_obj_iter_get_val(key));
    }
    buf_add_text(out, ",\"model\":");
    buf_add_json(out, upstream_model, text_len(upstream_model, NAME_CAP));
    if (r->surface == SURFACE_CHAT || r->surface == SURFACE_COMPLETION)
        add_generation(r, engine, max_tokens, out);
    buf_add_char(out, '}');
    return out->failed ? err_set(err, ERR_TOO_LARGE, "the request is too large") : 0;
}

const char *openai_code(int code)
{
    switch (code) {
    case ERR_UNAUTHENTICATED:
        return "invalid_api_key";
    case ERR_BUDGET_SPENT:
        return "insufficient_quota";
    case ERR_BUDGET_HELD:
        return "budget_held";
    case ERR_RATE_LIMITED:
        return "rate_limit_exceeded";
    case ERR_NOT_FOUND:
        return "not_found";
    case ERR_FORBIDDEN:
        return "forbidden";
    case ERR_RECALLED:
        return "model_recalled";
    case ERR_NO_REPLICA:
        return "no_replica";
    case ERR_QUEUE_FULL:
        return "overloaded";
    case ERR_UNAVAILABLE:
        return "unavailable";
    case ERR_DRAINING:
        return "shutting_down";
    case ERR_UPSTREAM:
    case ERR_TIMEOUT:
        return "engine_error";
    default:
        return NULL;
    }
}

static const char *error_type(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 402:
        return "insufficient_quota";
    case 403:
        return "permission_error";
    case 429:
        return "rate_limit_error";
    default:
        return status >= 500 ? "server_error" : "invalid_request_error";
    }
}

void openai_error(struct buf *out, int status, const char *message, const char *param, const char *code)
{
    buf_add_text(out, "{\"error\":{\"message\":");
    buf_add_json(out, message, strlen(message));
    buf_addf(out, ",\"type\":\"%s\",\"param\":", error_type(status));
    if (param)
        buf_add_json(out, param, strlen(param));
    else
        buf_add_text(out, "null");
    buf_add_text(out, ",\"code\":");
    if (code)
        buf_add_json(out, code, strlen(code));
    else
        buf_add_text(out, "null");
    buf_add_text(out, "}}");
}

static uint32_t count(yyjson_val *object, const char *name)
{
    uint64_t v = yyjson_get_uint(yyjson_obj_get(object, name));
    return v < TOKENS_PER_METER_MAX ? (uint32_t)v : TOKENS_PER_METER_MAX;
}

struct openai_usage openai_usage(yyjson_val *root)
{
    struct openai_usage u = {0};
    yyjson_val *usage = yyjson_obj_get(root, "usage");
    yyjson_val *timings = yyjson_obj_get(root, "timings");
    if (yyjson_is_obj(usage)) {
        u.present = true;
        u.tokens.prompt = count(usage, "prompt_tokens");
        u.tokens.completion = count(usage, "completion_tokens");
        u.tokens.cached = count(yyjson_obj_get(usage, "prompt_tokens_details"), "cached_tokens");
        u.tokens.reasoning = count(yyjson_obj_get(usage, "completion_tokens_details"), "reasoning_tokens");
        if (u.tokens.prompt == 0 && u.tokens.completion == 0) /* rerank: total only */
            u.tokens.prompt = count(usage, "total_tokens");
    } else if (yyjson_is_obj(timings)) {
        u.present = true;
        u.tokens.cached = count(timings, "cache_n");
        u.tokens.prompt = count(timings, "prompt_n") + u.tokens.cached;
        u.tokens.completion = count(timings, "predicted_n");
    }
    /* An engine's arithmetic is not ours to trust. */
    if (u.tokens.cached > u.tokens.prompt)
        u.tokens.cached = u.tokens.prompt;
    if (u.tokens.reasoning > u.tokens.completion)
        u.tokens.reasoning = u.tokens.completion;
    return u;
}

void openai_clamp(struct tokens *t, const struct tokens *worst)
{
    t->prompt = t->prompt < worst->prompt ? t->prompt : worst->prompt;
    t->cached = t->cached < t->prompt ? t->cached : t->prompt;
    t->completion = t->completion < worst->completion ? t->completion : worst->completion;
    t->reasoning = t->reasoning < t->completion ? t->reasoning : t->completion;
}

bool openai_veiled(yyjson_val *root, const struct openai_veil *veil)
{
    return veil->model || yyjson_obj_get(root, "timings") ||
           ((veil->drop_usage || veil->usage) && yyjson_obj_get(root, "usage"));
}

static void add_usage(struct buf *out, const struct tokens *t)
{
    buf_addf(out,
             "{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u,"
             "\"prompt_tokens_details\":{\"cached_tokens\":%u}}",
             t->prompt, t->completion, t->prompt + t->completion, t->cached);
}

void openai_add_veiled(struct buf *out, yyjson_val *root, const struct openai_veil *veil)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(root);
    yyjson_val *key;
    char sep = '{';
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        const char *name = yyjson_get_str(key);
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        bool usage = strcmp(name, "usage") == 0;
        if (strcmp(name, "timings") == 0 || (usage && veil->drop_usage))
            continue;
        buf_add_char(out, sep);
        sep = ',';
        buf_add_json(out, name, yyjson_get_len(key));
        buf_add_char(out, ':');
        if (veil->model && strcmp(name, "model") == 0)
            buf_add_json(out, veil->model, text_len(veil->model, NAME_CAP));
        else if (usage && veil->usage && yyjson_is_obj(value))
            add_usage(out, veil->usage);
        else
            json_add(out, value);
    }
    buf_add_text(out, sep == '{' ? "{}" : "}");
}
