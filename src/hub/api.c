/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/api.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/openai.h"

#define OUT_MAX ((size_t)16 << 20)
#define PROGRESS_MS 200

struct route {
    const char *path;
    const struct api_handler *handler;
    uint32_t body_max;
    uint8_t method;
    enum role role;
};

static const struct route routes[] = {
#define ROUTE(method, path, handler, role, limit) {path, &api_##handler, (limit), HTTP_##method, ROLE_##role},
#include "hub/routes.def"
#undef ROUTE
};

/* ---- routing ---- */

/* Whether the path has the pattern's form; the braces' part goes to param (percent-decoding is not needed: names and
 * ids have no byte that would be encoded). */
static bool path_matches(const char *pattern, const char *path, size_t len, char param[CALL_PARAM_MAX])
{
    const char *end = path + len;
    param[0] = 0;
    while (*pattern && path < end) {
        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        const char *slash = pattern[1] == '*' ? NULL : memchr(path, '/', (size_t)(end - path));
        size_t n = (size_t)((slash ? slash : end) - path);
        if (n == 0 || !text_set(param, CALL_PARAM_MAX, path, n))
            return false;
        path += n;
        pattern = strchr(pattern, '}') + 1;
    }
    return *pattern == 0 && path == end;
}

/* The route of a request; NULL with *known set when the path exists for other methods. */
static const struct route *find_route(const struct http_request *request, char param[CALL_PARAM_MAX],
                                      bool *known)
{
    *known = false;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!path_matches(routes[i].path, request->path, request->path_len, param))
            continue;
        *known = true;
        if (routes[i].method == request->method)
            return &routes[i];
    }
    return NULL;
}

int64_t hub_admit(struct http_request *request, void *ctx)
{
    (void)ctx;
    char param[CALL_PARAM_MAX];
    bool known;
    const struct route *route = find_route(request, param, &known);
    /* Without a route the answer is an error all the same; a small body may come along with it. */
    return route ? route->body_max : 65536;
}

/* ---- answering ---- */

void hub_refuse(struct http_request *request, int code, const char *message)
{
    struct buf out;
    buf_init(&out, 16384);
    int status = err_http_status(code);
    const char *name = openai_code(code);
    openai_error(&out, status, message[0] ? message : err_text(code), NULL, name ? name : err_name(code));
    http_answer(request, status, "application/json", status == 401 ? "WWW-Authenticate: Bearer\r\n" : "",
                &out);
    buf_fini(&out);
}

void call_free(struct api_call *call)
{
    yyjson_doc_free(call->doc);
    OPENSSL_cleanse(call->secret, sizeof call->secret);
    buf_fini(&call->out);
    free(call->query);
    free(call->many);
    free(call->data);
    free(call);
}

/* The last line of a streamed answer. */
static void end_stream(struct api_call *call)
{
    struct buf line;
    buf_init(&line, OUT_MAX);
    if (call->rc == 0 && call->out.failed)
        call->rc = ERR_NO_MEMORY;
    if (call->rc != 0)
        openai_error(&line, err_http_status(call->rc), call->err.msg[0] ? call->err.msg : err_text(call->rc),
                     NULL, err_name(call->rc));
    else
        buf_addf(&line, "{\"result\":%.*s}", (int)call->out.len, call->out.data);
    buf_add_char(&line, '\n');
    if (line.failed)
        http_cut(call->request); /* a part of it would pass for the end */
    else
        http_end(call->request, line.data, line.len);
    buf_fini(&line);
}

static void call_end(struct api_call *call)
{
    struct http_request *request = call->request;
    if (request && call->streaming) {
        end_stream(call);
    } else if (request && call->rc != 0) {
        hub_refuse(request, call->rc, call->err.msg);
    } else if (request) {
        int status = call->handler->status ? call->handler->status : 200;
        const char *type = call->handler->type ? call->handler->type : "application/json";
        const char *fields = call->handler->fields ? call->handler->fields : "";
        http_answer(request, status, type, fields, &call->out);
    }
    call_free(call);
}

/* ---- the steps ---- */

static void on_finished(void *ctx, const struct effect *reply)
{
    struct api_call *call = ctx;
    if (call->rc == 0)
        call->rc = reply->code;
    call_end(call);
}

static void finish(void *ctx, const struct core *core)
{
    struct api_call *call = ctx;
    call->rc = call->handler->finish(call, core);
}

static void step_finish(struct api_call *call)
{
    if (!call->handler->finish) {
        call_end(call);
        return;
    }
    int rc = worker_query(call->worker, finish, on_finished, call);
    if (rc != 0) {
        call->rc = rc;
        call_end(call);
    }
}

static void on_posted(void *ctx, const struct effect *reply)
{
    struct api_call *call = ctx;
    if (call->rc == 0)
        call->rc = reply->code;
    if (++call->posted == call->nevents)
        call->after_events(call);
}

static void call_post_events(struct api_call *call, void (*done)(struct api_call *call))
{
    call->after_events = done;
    call->posted = 0;
    if (call->rc == 0 && call->nevents > 0) {
        call->rc = worker_ask_all(call->worker, call->many ? call->many : call->events, call->nevents,
                                  on_posted, call);
        if (call->rc == 0)
            return;
    }
    done(call);
}

static void step_work(struct api_call *call);

static void after_events(struct api_call *call)
{
    if (call->rc != 0 && call->handler->refused && call->handler->refused(call)) {
        call->rc = 0;
        step_work(call);
    } else if (call->rc != 0)
        call_end(call);
    else
        step_finish(call);
}

static void on_work(uv_work_t *work)
{
    struct api_call *call = list_entry(work, struct api_call, work);
    call->rc = call->handler->work(call);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_progress(uv_timer_t *timer)
{
    struct api_call *call = timer->data;
    uint64_t bytes, total;
    char line[96];
    if (!call->handler->progress(call, &bytes, &total) || !call->request)
        return;
    if (!call->streaming)
        http_begin(call->request, 200, "application/x-ndjson", "");
    call->streaming = true;
    int n = snprintf(line, sizeof line, "{\"bytes\":%llu,\"total\":%llu}\n", (unsigned long long)bytes,
                     (unsigned long long)total);
    (void)http_send(call->request, line, (size_t)n);
}

static void start_progress(struct api_call *call)
{
    call->timer = calloc(1, sizeof *call->timer);
    if (!call->handler->progress || !call->timer) {
        free(call->timer);
        call->timer = NULL;
        return;
    }
    uv_timer_init(&worker_loop(call->worker)->uv, call->timer);
    call->timer->data = call;
    uv_timer_start(call->timer, on_progress, PROGRESS_MS, PROGRESS_MS);
}

static void on_again(uv_timer_t *timer)
{
    struct api_call *call = timer->data;
    uv_close((uv_handle_t *)timer, on_timer_closed);
    call->timer = NULL;
    step_work(call);
}

static bool wait_again(struct api_call *call)
{
    uint32_t ms = call->again_ms;
    call->again_ms = 0;
    if (call->rc != 0 || ms == 0 || !call->request || !(call->timer = calloc(1, sizeof *call->timer)))
        return false;
    uv_timer_init(&worker_loop(call->worker)->uv, call->timer);
    call->timer->data = call;
    uv_timer_start(call->timer, on_again, ms, 0);
    return true;
}

static void on_worked(uv_work_t *work, int status)
{
    struct api_call *call = list_entry(work, struct api_call, work);
    if (call->timer)
        uv_close((uv_handle_t *)call->timer, on_timer_closed);
    call->timer = NULL;
    if (status < 0 && call->rc == 0)
        call->rc = ERR_CANCELLED;
    if (wait_again(call))
        return;
    if (call->rc != 0)
        call_end(call);
    else
        call_post_events(call, after_events);
}

static void step_work(struct api_call *call)
{
    if (!call->handler->work) {
        call_post_events(call, after_events);
    } else {
        start_progress(call);
        uv_queue_work(&worker_loop(call->worker)->uv, &call->work, on_work, on_worked);
    }
}

static void prepare(void *ctx, const struct core *core)
{
    struct api_call *call = ctx;
    call->rc = call->handler->prepare(call, core);
}

static void on_prepared(void *ctx, const struct effect *reply)
{
    struct api_call *call = ctx;
    if (call->rc == 0)
        call->rc = reply->code;
    if (call->rc != 0)
        call_end(call);
    else
        step_work(call);
}

static void on_gone(struct http_request *request, void *ctx)
{
    (void)request;
    ((struct api_call *)ctx)->request = NULL;
}

static void call_start(struct api_call *call)
{
    call->request->owner = (struct http_owner){.ctx = call, .on_abort = on_gone};
    if (call->handler->parse && (call->rc = call->handler->parse(call)) != 0) {
        call_end(call);
    } else if (call->handler->prepare) {
        int rc = worker_query(call->worker, prepare, on_prepared, call);
        if (rc != 0) {
            call->rc = rc;
            call_end(call);
        }
    } else {
        step_work(call);
    }
}

/* ---- who calls ---- */

/* Whether the key of the call has the role. */
static int check_scopes(struct api_call *call, enum role role)
{
    static const struct {
        enum role role;
        uint32_t scope;
        const char *name;
    } needs[] = {{ROLE_JOBS, SCOPE_JOBS, "jobs"},
                 {ROLE_TENANT_ADMIN, SCOPE_ADMIN, "admin"},
                 {ROLE_OVERSEER, SCOPE_OVERSEER, "overseer"},
                 {ROLE_OPERATOR, SCOPE_OPERATOR, "operator"}};
    if (role != ROLE_OVERSEER && (call->key.scopes & SCOPE_OVERSEER))
        return err_set(
            &call->err, ERR_FORBIDDEN,
            "A key with the scope `overseer` reads the report, recalls and the log, and nothing else.");
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        if (role == needs[i].role && !call->operator_ && !(call->key.scopes & needs[i].scope))
            return err_set(&call->err, ERR_FORBIDDEN, "This key lacks the scope `%s`.", needs[i].name);
    }
    return 0;
}

/* Whether this caller has the role. Fills in who it is. */
static int authorise(struct api_call *call, enum role role)
{
    const struct http_request *r = call->request;
    if (role == ROLE_PUBLIC)
        return 0;
    if (r->local && (r->peer_uid == call->hub->uid || r->peer_uid == 0)) {
        size_t len;
        if (!http_request_field(r, "authorization", &len)) {
            call->operator_ = true;
            return 0;
        }
    }
    if (role == ROLE_LOCAL)
        return err_set(&call->err, ERR_FORBIDDEN, "This is allowed on the hub's unix socket only.");
    int rc = worker_authenticate(call->worker, r, &call->key, &call->err);
    if (rc != 0)
        return rc;
    call->operator_ = call->key.scopes & SCOPE_OPERATOR;
    return check_scopes(call, role);
}

static int read_body(struct api_call *call)
{
    const struct buf *body = &call->request->body;
    if (call->handler->raw)
        return 0;
    if (call->request->method != HTTP_POST && call->request->method != HTTP_PUT)
        return body->len ? err_set(&call->err, ERR_INVALID, "This request takes no body.") : 0;
    call->doc = json_parse_object(body->data ? body->data : "", body->len, &call->err);
    return call->doc ? 0 : ERR_INVALID;
}

void hub_handle(struct http_request *request, struct worker *worker, void *ctx)
{
    char param[CALL_PARAM_MAX];
    bool known;
    const struct route *route = find_route(request, param, &known);
    if (!route) {
        hub_refuse(request, known ? ERR_METHOD : ERR_NOT_FOUND,
                   known ? "This method is not allowed here." : "There is nothing at this path.");
        return;
    }
    struct api_call *call = calloc(1, sizeof *call);
    if (!call) {
        hub_refuse(request, ERR_NO_MEMORY, "");
        return;
    }
    call->hub = ctx;
    call->worker = worker;
    call->request = request;
    call->handler = route->handler;
    memcpy(call->param, param, sizeof param);
    buf_init(&call->out, OUT_MAX);
    call->query = strndup(request->query, request->query_len);
    call->rc = call->query ? authorise(call, route->role) : ERR_NO_MEMORY;
    if (call->rc == 0)
        call->rc = read_body(call);
    if (call->rc != 0)
        call_end(call);
    else
        call_start(call);
}
