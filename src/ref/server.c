/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/osrandom.h"
#include "net/http_server.h"
#include "net/json.h"
#include "net/loop.h"
#include "ref/ask.h"
#include "ref/options.h"
#include "ref/reply.h"

#define BODY_MAX ((int64_t)8 << 20)
#define REPLY_MAX ((size_t)512 << 20)
#define CONNECTIONS_MAX 1024
#define HEAD_MS 10000
#define BODY_MS 30000
#define IDLE_MS 600000
#define STALL_MS 30000
#define END_MS 2000
#define END_LOOK_MS 10
#define THREADS_LEAST (UINT64_C(1) << 18) /* about what waking somebody costs */

struct server {
    struct loop loop;
    struct http_server http;
    struct ask_model ask;
    struct ref_options options;
    struct model *model;
    struct runner *runner;
    uv_async_t ready;
    uv_signal_t sigterm, sigint;
    uv_timer_t timer;
    struct list answers; /* that are being written */
    int64_t started_s;
    uint64_t end_ns; /* when it ends, whatever is still to be sent */
    bool has_http, is_unix, ending, closed;
};

/* One request that a task works for. */
struct answer {
    struct list node;
    struct server *server;
    struct http_request *request; /* NULL: the client is gone */
    struct ask ask;
    struct list held; /* pieces that wait, since the client does not take what it has */
    struct buf text;  /* of one that is not streamed */
    struct task_token *tokens;
    uint32_t ntokens;
    char id[UUID_TEXT_LEN + 16];
    int64_t created_s;
    bool begun, full;
};

/* ---- answers ---- */

static struct reply reply_of(const struct answer *a)
{
    return (struct reply){.vocab = &a->server->model->vocab,
                          .id = a->id,
                          .model = a->server->options.alias,
                          .created_s = a->created_s,
                          .chat = a->ask.chat,
                          .include_usage = a->ask.include_usage,
                          .timings = a->ask.timings};
}

static void respond_error(struct http_request *request, int code, const char *words)
{
    struct buf body;
    buf_init(&body, 65536);
    reply_error(&body, code, words);
    http_respond(request, err_http_status(code), "application/json", "", body.data, body.len);
    buf_fini(&body);
}

static void answer_free(struct answer *a)
{
    list_for_each_safe (it, next, &a->held)
        piece_free(list_entry(it, struct task_piece, node));
    list_remove(&a->node);
    task_free(a->ask.task);
    buf_fini(&a->text);
    free(a->tokens);
    free(a);
}

static void keep(struct answer *a, const struct task_piece *p)
{
    buf_add(&a->text, p->text.data, p->text.len);
    if (p->ntokens == 0)
        return;
    struct task_token *tokens = realloc(a->tokens, (a->ntokens + (size_t)p->ntokens) * sizeof *tokens);
    if (!tokens) {
        a->text.failed = true;
        return;
    }
    memcpy(tokens + a->ntokens, p->tokens, p->ntokens * sizeof *tokens);
    a->tokens = tokens;
    a->ntokens += p->ntokens;
}

static void send_whole(struct answer *a, const struct task_piece *last)
{
    struct reply reply = reply_of(a);
    struct buf out;
    buf_init(&out, REPLY_MAX);
    reply_whole(&reply, last, a->text.data, a->text.len, a->tokens, a->ntokens, a->ask.task->logprobs, &out);
    if (last->end == TASK_NO_MEMORY || a->text.failed || out.failed)
        respond_error(a->request, ERR_NO_MEMORY, "out of memory");
    else
        http_respond(a->request, 200, "application/json", "", out.data, out.len);
    buf_fini(&out);
}

static void send_piece(struct answer *a, const struct task_piece *p)
{
    struct reply reply = reply_of(a);
    struct buf out;
    buf_init(&out, REPLY_MAX);
    if (!a->begun) {
        http_begin(a->request, 200, "text/event-stream", "Cache-Control: no-cache\r\n");
        reply_first(&reply, &out);
        a->begun = true;
    }
    reply_piece(&reply, p, &out);
    if (p->end != TASK_GOES_ON)
        reply_last(&reply, p, &out);
    if (out.failed || p->end == TASK_NO_MEMORY) {
        http_cut(a->request); /* what is not whole must not look as if it were */
        a->request = NULL;
        runner_cancel(a->server->runner, a->ask.task);
    } else if (p->end != TASK_GOES_ON) {
        http_end(a->request, out.data, out.len);
    } else if (out.len > 0) {
        a->full = !http_send(a->request, out.data, out.len);
    }
    buf_fini(&out);
}

/* Takes the piece. Whether the answer is still there after it. */
static bool give(struct answer *a, struct task_piece *p)
{
    bool last = p->end != TASK_GOES_ON;
    if (a->request && a->ask.stream)
        send_piece(a, p);
    else if (a->request && (keep(a, p), last))
        send_whole(a, p);
    runner_sent(a->server->runner, a->ask.task);
    piece_free(p);
    if (last)
        answer_free(a);
    return !last;
}

static void on_ready(uv_async_t *handle)
{
    struct server *s = handle->data;
    struct task_piece *p;
    while (!s->closed && (p = runner_take(s->runner)) != NULL) {
        struct answer *a = p->task->ctx;
        if (a->full && a->request)
            list_push(&a->held, &p->node);
        else
            (void)give(a, p);
    }
}

static void wake(void *ctx)
{
    struct server *s = ctx;
    uv_async_send(&s->ready);
}

static void on_drain(struct http_request *request, void *ctx)
{
    struct answer *a = ctx;
    struct list *first;
    (void)request;
    a->full = false;
    while (!a->full && (first = list_first(&a->held)) != NULL) {
        list_remove(first);
        if (!give(a, list_entry(first, struct task_piece, node)))
            return;
    }
}

static void on_abort(struct http_request *request, void *ctx)
{
    struct answer *a = ctx;
    (void)request;
    a->request = NULL;
    runner_cancel(a->server->runner, a->ask.task);
    on_drain(NULL, a); /* what was held is not for anybody any more */
}

/* ---- requests ---- */

static int begin_answer(struct server *s, struct http_request *request, bool chat, struct err *err)
{
    struct answer *a = calloc(1, sizeof *a);
    char uuid[UUID_TEXT_LEN + 1];
    if (!a)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int rc = ask_parse(&a->ask, &s->ask, chat, request->body.data ? request->body.data : "",
                       request->body.len, err);
    if (rc != 0) {
        free(a);
        return rc;
    }
    struct uuid id = uuid_new();
    uuid_format(uuid, &id);
    (void)snprintf(a->id, sizeof a->id, "%s-%s", chat ? "chatcmpl" : "cmpl", uuid);
    a->server = s;
    a->created_s = clock_wall_ms() / 1000;
    a->ask.task->ctx = a;
    buf_init(&a->text, REPLY_MAX);
    list_init(&a->held);
    list_push(&s->answers, &a->node);
    rc = runner_submit(s->runner, a->ask.task);
    if (rc != 0) {
        answer_free(a);
        return err_set(err, rc, "too many requests are waiting");
    }
    a->request = request;
    request->owner = (struct http_owner){.ctx = a, .on_abort = on_abort, .on_drain = on_drain};
    http_request_trim(request);
    return 0;
}

static int on_chat(struct server *s, struct http_request *request, struct err *err)
{
    return begin_answer(s, request, true, err);
}

static int on_completion(struct server *s, struct http_request *request, struct err *err)
{
    return begin_answer(s, request, false, err);
}

static int on_health(struct server *s, struct http_request *request, struct err *err)
{
    static const char ok[] = "{\"status\":\"ok\"}";
    (void)s;
    (void)err;
    http_respond(request, 200, "application/json", "", ok, sizeof ok - 1);
    return 0;
}

static int on_version(struct server *s, struct http_request *request, struct err *err)
{
    static const char version[] = "{\"version\":\"" REPLY_FINGERPRINT "\"}";
    (void)s;
    (void)err;
    http_respond(request, 200, "application/json", "", version, sizeof version - 1);
    return 0;
}

static int on_models(struct server *s, struct http_request *request, struct err *err)
{
    struct buf out;
    buf_init(&out, 4096);
    buf_add_text(&out, "{\"object\":\"list\",\"data\":[{\"id\":");
    buf_add_json(&out, s->options.alias, strlen(s->options.alias));
    buf_addf(&out,
             ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"busbar\",\"meta\":{\"n_vocab\":%u,\"n_"
             "ctx\":%u,"
             "\"n_ctx_train\":%u,\"n_embd\":%u,\"chat_format\":",
             (long long)s->started_s, s->model->vocab.count, s->ask.context, s->model->context,
             s->model->width);
    if (s->ask.format)
        buf_addf(&out, "\"%s\"}}]}", chat_name(s->ask.format));
    else
        buf_add_text(&out, "null}}]}");
    if (out.failed)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    http_respond(request, 200, "application/json", "", out.data, out.len);
    buf_fini(&out);
    return 0;
}

/* llama-server's: {"content": text, "add_special": bool} to {"tokens": [...]}. */
static int on_tokenize(struct server *s, struct http_request *request, struct err *err)
{
    yyjson_doc *doc = json_parse_object(request->body.data ? request->body.data : "", request->body.len, err);
    yyjson_val *root = yyjson_doc_get_root(doc), *content = yyjson_obj_get(root, "content");
    struct tokens_list tokens;
    struct buf out;
    if (!yyjson_is_str(content)) {
        yyjson_doc_free(doc);
        return doc ? err_set(err, ERR_INVALID, "content: must be a text") : ERR_INVALID;
    }
    if (!ask_could_fit(&s->ask, yyjson_get_len(content))) {
        yyjson_doc_free(doc);
        return err_set(err, ERR_TOO_LARGE, "content: is longer than a slot's context of %u tokens",
                       s->ask.context);
    }
    tokens_list_init(&tokens, (uint32_t)VOCAB_TEXT_MAX);
    buf_init(&out, REPLY_MAX);
    vocab_encode(&s->model->vocab, yyjson_get_str(content), yyjson_get_len(content),
                 yyjson_get_bool(yyjson_obj_get(root, "add_special")), true, &tokens);
    buf_add_text(&out, "{\"tokens\":[");
    for (uint32_t i = 0; i < tokens.n; i++)
        buf_addf(&out, "%s%u", i ? "," : "", tokens.at[i]);
    buf_add_text(&out, "]}");
    int rc = tokens.failed || out.failed ? err_set(err, ERR_TOO_LARGE, "content: too large") : 0;
    if (rc == 0)
        http_respond(request, 200, "application/json", "", out.data, out.len);
    buf_fini(&out);
    tokens_list_fini(&tokens);
    yyjson_doc_free(doc);
    return rc;
}

static const struct {
    uint8_t method;
    const char *path;
    int (*handle)(struct server *s, struct http_request *request, struct err *err);
} routes[] = {{HTTP_GET, "/health", on_health},
              {HTTP_GET, "/version", on_version},
              {HTTP_GET, "/v1/models", on_models},
              {HTTP_POST, "/v1/chat/completions", on_chat},
              {HTTP_POST, "/v1/completions", on_completion},
              {HTTP_POST, "/tokenize", on_tokenize}};

static void handle(struct http_request *request)
{
    struct server *s = request->server->config.ctx;
    struct err err = {0};
    bool known = false;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!text_eq(request->path, request->path_len, routes[i].path, strlen(routes[i].path)))
            continue;
        known = true;
        if (request->method != routes[i].method)
            continue;
        int rc = s->ending ? err_set(&err, ERR_DRAINING, "the engine is stopping")
                           : routes[i].handle(s, request, &err);
        if (rc != 0)
            respond_error(request, rc, err.msg);
        return;
    }
    respond_error(request, known ? ERR_METHOD : ERR_NOT_FOUND,
                  known ? "the method is not allowed here" : "no such path");
}

static int64_t admit(struct http_request *request)
{
    (void)request;
    return BODY_MAX;
}

static void render_error(struct buf *out, int status, const char *reason)
{
    buf_addf(out, "{\"error\":{\"message\":\"%s\",\"type\":\"invalid_request_error\",\"code\":%d}}", reason,
             status);
}

/* ---- the end ---- */

static void close_all(struct server *s)
{
    if (s->closed)
        return;
    s->closed = true;
    if (s->has_http)
        http_server_close(&s->http);
    if (s->runner)
        runner_free(s->runner); /* before the handle that it wakes us by */
    if (s->is_unix)
        (void)unlink(s->options.host);
    uv_close((uv_handle_t *)&s->ready, NULL);
    uv_close((uv_handle_t *)&s->sigterm, NULL);
    uv_close((uv_handle_t *)&s->sigint, NULL);
    uv_close((uv_handle_t *)&s->timer, NULL);
}

/* An answer that was written may lie in front of a socket that has not taken all of it: a connection ends when it has. */
static void on_end_timer(uv_timer_t *timer)
{
    struct server *s = timer->data;
    if (s->http.nconnections == 0 || clock_mono_ns() >= s->end_ns)
        close_all(s);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct server *s = handle->data;
    (void)number;
    if (s->ending) {
        close_all(s);
        return;
    }
    s->ending = true;
    s->end_ns = clock_mono_ns() + END_MS * UINT64_C(1000000);
    http_server_drain(&s->http);
    uv_timer_start(&s->timer, on_end_timer, 0, END_LOOK_MS);
}

/* ---- the start ---- */

static int listen_on(struct server *s, struct err *err)
{
    struct http_server_config config = {.connections_max = CONNECTIONS_MAX,
                                        .head_ms = HEAD_MS,
                                        .body_ms = BODY_MS,
                                        .idle_ms = IDLE_MS,
                                        .write_stall_ms = STALL_MS,
                                        .admit = admit,
                                        .handle = handle,
                                        .render_error = render_error,
                                        .ctx = s};
    char host[HTTP_HOST_CAP];
    uint16_t port;
    http_server_init(&s->http, &s->loop, &config);
    s->has_http = true;
    if (!http_address_parse(s->options.host, host, &port)) {
        int rc = http_listen_unix(&s->http, s->options.host, err);
        s->is_unix = rc == 0;
        return rc;
    }
    int rc = http_listen_tcp(&s->http, host, &port, err);
    if (rc == 0)
        printf("listening on %s:%u\n", host, port);
    return rc;
}

static void open_loop(struct server *s)
{
    (void)loop_init(&s->loop);
    uv_async_init(&s->loop.uv, &s->ready, on_ready);
    uv_signal_init(&s->loop.uv, &s->sigterm);
    uv_signal_init(&s->loop.uv, &s->sigint);
    uv_timer_init(&s->loop.uv, &s->timer);
    s->ready.data = s->sigterm.data = s->sigint.data = s->timer.data = s;
    uv_signal_start(&s->sigterm, on_signal, SIGTERM);
    uv_signal_start(&s->sigint, on_signal, SIGINT);
    list_init(&s->answers);
}

static int open_model(struct server *s, struct err *err)
{
    const struct ref_options *o = &s->options;
    int rc = model_open(&s->model, o->model, err);
    if (rc != 0)
        return rc;
    model_unpack(s->model, MODEL_UNPACK_MAX);
    s->ask = (struct ask_model){.model = s->model, .context = o->context ? o->context : s->model->context};
    s->ask.format = o->chat ? chat_named(o->chat) : chat_recognise(s->model->chat_template);
    if (o->chat && !s->ask.format)
        return err_set(err, ERR_INVALID, "--chat: there is no format %s", o->chat);
    struct runner_config runner = {.model = s->model,
                                   .slots = o->slots,
                                   .context = s->ask.context,
                                   .threads = o->threads,
                                   .least = THREADS_LEAST,
                                   .ready = wake,
                                   .ctx = s};
    return runner_new(&s->runner, &runner, err);
}

static void tell(const struct server *s)
{
    printf("serving %s as %s: %u slots of %u tokens, %u threads, chats: %s\n", s->options.model,
           s->options.alias, s->options.slots, s->ask.context, s->options.threads,
           s->ask.format ? chat_name(s->ask.format) : "none");
}

int ref_main(int argc, char **argv)
{
    struct err err = {0};
    struct server *s = calloc(1, sizeof *s);
    if (!s)
        return 1;
    if (ref_options_parse(&s->options, argc, argv) != 0) {
        free(s);
        return 64;
    }
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    s->started_s = clock_wall_ms() / 1000;
    open_loop(s);
    int rc = open_model(s, &err);
    if (rc == 0)
        rc = listen_on(s, &err);
    if (rc != 0) {
        fprintf(stderr, "busbar engine-ref: %s\n", err.msg);
        close_all(s);
    } else {
        tell(s);
    }
    uv_run(&s->loop.uv, UV_RUN_DEFAULT);
    list_for_each_safe (it, next, &s->answers)
        answer_free(list_entry(it, struct answer, node));
    loop_fini(&s->loop);
    model_free(s->model);
    free(s);
    return rc ? 1 : 0;
}
