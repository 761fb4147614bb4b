/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/edge.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "core/kinds.h"
#include "gateway/gateway.h"
#include "gateway/openai.h"
#include "gateway/relay.h"
#include "gateway/routes.h"
#include "gateway/trunk.h"
#include "net/pki.h"
#include "net/spiffe.h"
#include "site/identity.h"
#include "site/link.h"

#define LOOK_MS 50
#define RENEW_LOOK_MS 5000
#define RENEW_LEFT_S (INT64_C(16) * 3600) /* of a day: a hub may be away for long before a certificate ends */
#define SOCKET_PATH_MAX 100

struct edge {
    const struct edge_options *options;
    struct identity identity;
    char run_dir[FS_PATH_MAX], host[HTTP_HOST_CAP];
    uint16_t port;
    int lock;
    struct engine_specs *engines;
    struct tls_context *member_tls, *client_tls;
    /* Of a process as the hub knows it: there is another one after the hub has forgotten it. */
    struct loop loop;
    struct gateway *gateway;
    struct trunk *trunk;
    struct portals *portals;
    struct routes *routes;
    struct link *link;
    uv_signal_t sigterm, sigint;
    uv_timer_t timer;
    uv_work_t stopper;
    uint64_t drain_ms, renew_ms;
    bool started, draining, stopping, renewing, again;
    struct err end;
};

/* ---- the end ---- */

static void on_stop(uv_work_t *work)
{
    struct edge *o = work->data;
    gateway_stop(o->gateway);
}

static void on_stopped(uv_work_t *work, int status)
{
    struct edge *o = work->data;
    (void)status;
    trunk_close(o->trunk);
    portals_close(o->portals);
    link_close(o->link);
    o->link = NULL;
}

/* Workers wait for the hub's last replies, which come over this loop: so it goes on meanwhile. */
static void stop(struct edge *o)
{
    if (o->stopping)
        return;
    o->stopping = true;
    o->stopper.data = o;
    if (uv_queue_work(&o->loop.uv, &o->stopper, on_stop, on_stopped) != 0)
        abort(); /* out of memory */
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct edge *o = handle->data;
    o->again = false;
    if (o->stopping) /* an order to drain would take the place of the one to stop */
        return;
    if (o->draining || !o->started) { /* asked twice: no more waiting */
        stop(o);
        return;
    }
    log_info("draining", "signal=%d requests=%u", number, gateway_busy(o->gateway));
    o->draining = true;
    o->drain_ms = uv_now(&o->loop.uv);
    gateway_drain(o->gateway);
}

/* ---- what the trunk tells ---- */

static void on_routed(void *ctx, const struct core *core)
{
    struct edge *o = ctx;
    struct runtime_routes routes = gateway_routes(o->gateway);
    struct uplink uplink = trunk_uplink(o->trunk);
    routes.publish(routes.ctx, routes.make(routes.ctx, core));
    if (o->started || o->stopping)
        return;
    int rc = gateway_start(o->gateway, &uplink, &o->end);
    o->started = true;
    if (rc != 0) {
        stop(o);
        return;
    }
    o->port = gateway_port(o->gateway); /* should there be another process of the same address */
    const char *scheme = o->client_tls ? "https" : "http";
    printf("address   %s://%s:%u\n", scheme, o->host, o->port);
    fflush(stdout);
    log_info("serving", "address=%s://%s:%u hub=%s", scheme, o->host, o->port, o->identity.hub);
}

static void on_in_touch(void *ctx, bool now)
{
    struct edge *o = ctx;
    if (o->portals)
        portals_want(o->portals, now);
    if (!now)
        return;
    gateway_untell(o->gateway);
    log_info("in touch with the hub", "hub=%s gateway=%s", o->identity.hub, o->identity.name);
}

static void on_lost(void *ctx)
{
    struct edge *o = ctx;
    log_warn("the hub has forgotten this process", "what it had begun ends");
    o->again = !o->draining; /* who was asked to end does not begin anew */
    stop(o);
}

static void on_refused(void *ctx)
{
    struct edge *o = ctx;
    err_set(&o->end, ERR_FORBIDDEN, "the hub at %s will not have this gateway, or not any more",
            o->identity.hub);
    stop(o);
}

/* ---- the certificate ---- */

static void on_renewed(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct edge *o = ctx;
    struct err why = {0};
    o->renewing = false;
    if (err->code != 0)
        return; /* the next look asks again */
    if (identity_keep(&o->identity, answer, &why) == 0 &&
        tls_member_renew(o->member_tls, o->identity.cert, o->identity.key, &why) == 0)
        log_info("the certificate is renewed", "gateway=%s", o->identity.name);
    else
        log_error("the certificate is not renewed", "gateway=%s error=%s", o->identity.name, why.msg);
}

static void look_at_certificate(struct edge *o)
{
    struct buf body;
    int64_t ends_s;
    struct err err = {0};
    if (o->renewing ||
        (pki_expires(o->identity.cert, &ends_s, &err) == 0 && ends_s - time(NULL) >= RENEW_LEFT_S))
        return;
    if (identity_ask(&o->identity, NULL, &body, &err) == 0) {
        o->renewing = true;
        link_post(o->link, "/site/v1/renew", &body, on_renewed, o);
    } else {
        log_error("cannot ask for a certificate", "error=%s", err.msg);
    }
    buf_fini(&body);
}

static void on_timer(uv_timer_t *timer)
{
    struct edge *o = timer->data;
    uint64_t now = uv_now(&o->loop.uv);
    bool late = o->draining && now - o->drain_ms > o->options->drain_s * UINT64_C(1000);
    if (o->stopping)
        return;
    if (late || (o->draining && gateway_busy(o->gateway) == 0))
        stop(o);
    if (now < o->renew_ms)
        return;
    o->renew_ms = now + RENEW_LOOK_MS;
    look_at_certificate(o);
}

/* ---- paths beside the OpenAI surface ---- */

static void say(struct http_request *request, int status, const char *type, const struct buf *body)
{
    char id[REQUEST_ID_CAP];
    relay_new_id(id);
    http_answer(request, status, type, id, body);
}

static void answer_health(struct edge *o, struct worker *worker, struct http_request *request)
{
    struct buf out;
    (void)o;
    (void)worker;
    buf_init(&out, 256);
    buf_add_text(&out, "{\"status\":\"ok\"}");
    say(request, 200, "application/json", &out);
    buf_fini(&out);
}

static void answer_ready(struct edge *o, struct worker *worker, struct http_request *request)
{
    struct buf out;
    struct uplink uplink = trunk_uplink(o->trunk);
    if (!uplink.ops->ready(uplink.ctx)) {
        relay_error(worker, request, ERR_UNAVAILABLE, "The gateway is out of touch with its hub.", NULL, "");
        return;
    }
    buf_init(&out, 256);
    buf_add_text(&out, "{\"status\":\"ready\"}");
    say(request, 200, "application/json", &out);
    buf_fini(&out);
}

static void answer_metrics(struct edge *o, struct worker *worker, struct http_request *request)
{
    struct snap_key key;
    struct err err = {0};
    struct buf out;
    struct uplink uplink = trunk_uplink(o->trunk);
    int rc = worker_authenticate(worker, request, &key, &err);
    if (rc == 0 && !(key.scopes & SCOPE_OPERATOR))
        rc = err_set(&err, ERR_FORBIDDEN, "This key lacks the scope `operator`.");
    if (rc != 0) {
        relay_error(worker, request, rc, err.msg, NULL, "");
        return;
    }
    buf_init(&out, 1 << 20);
    gateway_metrics(o->gateway, &out);
    buf_addf(&out,
             "# TYPE busbar_hub_in_touch gauge\nbusbar_hub_in_touch %d\n"
             "# HELP busbar_unanswered Events that the hub has not made durable yet.\n"
             "# TYPE busbar_unanswered gauge\nbusbar_unanswered %u\n",
             uplink.ops->ready(uplink.ctx), trunk_unanswered(o->trunk));
    say(request, 200, "text/plain; version=0.0.4", &out);
    buf_fini(&out);
}

static const struct {
    const char *path;
    void (*answer)(struct edge *o, struct worker *worker, struct http_request *request);
} paths[] = {{"/healthz", answer_health}, {"/readyz", answer_ready}, {"/metrics", answer_metrics}};

static void handle_other(struct http_request *request, struct worker *worker, void *ctx)
{
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (!text_eq(paths[i].path, strlen(paths[i].path), request->path, request->path_len))
            continue;
        if (request->method == HTTP_GET)
            paths[i].answer(ctx, worker, request);
        else
            relay_error(worker, request, ERR_METHOD, "This method is not allowed here.", NULL, "");
        return;
    }
    relay_error(worker, request, ERR_NOT_FOUND,
                "There is nothing at this path of a gateway; the hub has the API.", NULL, "");
}

/* ---- the whole ---- */

/* One process a folder. */
static int take_lock(struct edge *o, struct err *err)
{
    char path[FS_PATH_MAX];
    if (!fs_join(path, o->options->data_dir, "lock"))
        return err_set(err, ERR_INVALID, "path is too long");
    o->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (o->lock < 0)
        return err_set(err, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    return flock(o->lock, LOCK_EX | LOCK_NB) == 0
               ? 0
               : err_set(err, ERR_IN_USE, "busbar runs on %s already", o->options->data_dir);
}

static int load_engines(struct edge *o, struct err *err)
{
    char share[FS_PATH_MAX], path[FS_PATH_MAX];
    if (o->options->engines)
        return engine_specs_load(&o->engines, o->options->engines, err);
    if (!fs_share(share) || !fs_join(path, share, "engines.yaml"))
        return err_set(err, ERR_IO, "cannot find our own program's folder");
    return engine_specs_load(&o->engines, path, err);
}

static int load_tls(struct edge *o, struct err *err)
{
    const struct edge_options *options = o->options;
    char uri[SPIFFE_CAP];
    if (!options->tls_cert != !options->tls_key)
        return err_set(err, ERR_INVALID, "--tls-cert and --tls-key go together");
    int rc = options->tls_cert ? tls_server_new(&o->client_tls, options->tls_cert, options->tls_key, err) : 0;
    spiffe_hub(uri, o->identity.root);
    return rc ? rc : tls_member_client_new(&o->member_tls, o->identity.cert, o->identity.key, uri, err);
}

static int prepare(struct edge *o, struct err *err)
{
    const char *data = o->options->data_dir;
    int rc = identity_places(&o->identity, data, "gateway", err);
    if (rc == 0 && !fs_exists(o->identity.about))
        rc = err_set(err, ERR_NOT_FOUND, "%s belongs to no gateway yet: busbar gateway join HUB --token T",
                     data);
    if (rc == 0)
        rc = identity_read(&o->identity, err);
    if (rc == 0 && !http_address_parse(o->options->listen, o->host, &o->port))
        rc = err_set(err, ERR_INVALID, "--listen: expected HOST:PORT, got %s", o->options->listen);
    if (rc == 0 && (!fs_join(o->run_dir, data, "run") || strlen(o->run_dir) > SOCKET_PATH_MAX - 20))
        rc = err_set(err, ERR_INVALID,
                     "the data folder's path is too long for the sockets in it; choose a shorter one");
    if (rc == 0)
        rc = fs_mkdirs(o->run_dir, 0700, err);
    if (rc == 0)
        rc = take_lock(o, err);
    if (rc == 0)
        rc = load_engines(o, err);
    return rc ? rc : load_tls(o, err);
}

/* For as long as the program runs, over all that it serves as: a signal that comes between two of them is heard by the next. */
static void watch(struct edge *o)
{
    uv_handle_t *const watched[] = {(uv_handle_t *)&o->sigterm, (uv_handle_t *)&o->sigint,
                                    (uv_handle_t *)&o->timer};
    if (loop_init(&o->loop) != 0)
        abort();
    uv_signal_init(&o->loop.uv, &o->sigterm);
    uv_signal_init(&o->loop.uv, &o->sigint);
    uv_timer_init(&o->loop.uv, &o->timer);
    o->sigterm.data = o->sigint.data = o->timer.data = o;
    uv_signal_start(&o->sigterm, on_signal, SIGTERM);
    uv_signal_start(&o->sigint, on_signal, SIGINT);
    uv_timer_start(&o->timer, on_timer, LOOK_MS, LOOK_MS);
    for (size_t i = 0; i < sizeof watched / sizeof watched[0]; i++)
        uv_unref(watched[i]);
}

static void unwatch(struct edge *o)
{
    uv_close((uv_handle_t *)&o->timer, NULL);
    uv_close((uv_handle_t *)&o->sigterm, NULL);
    uv_close((uv_handle_t *)&o->sigint, NULL);
    loop_fini(&o->loop);
}

static int open_parts(struct edge *o, struct err *err)
{
    uint32_t workers = o->options->workers ? o->options->workers : gateway_workers_default();
    const struct gateway_config gateway = {.host = o->host,
                                           .port = o->port,
                                           .workers = workers,
                                           .connections_max = gateway_connections_max(workers),
                                           .queue_max = o->options->queue_max,
                                           .tls = o->client_tls,
                                           .engines = o->engines,
                                           .single_use = true,
                                           .handle_other = handle_other,
                                           .other_ctx = o};
    const struct portals_config portals = {
        .loop = &o->loop, .hub = o->identity.hub, .tls = o->member_tls, .run_dir = o->run_dir};
    int rc = gateway_new(&o->gateway, &gateway, err);
    if (rc == 0)
        rc = portals_open(&o->portals, &portals, err);
    if (rc == 0)
        o->routes = routes_new(o->portals);
    if (rc == 0)
        rc = link_open(&o->link, &o->loop, o->identity.hub, o->member_tls, err);
    const struct trunk_config trunk = {.loop = &o->loop,
                                       .hub = o->identity.hub,
                                       .tls = o->member_tls,
                                       .routes = o->routes,
                                       .routed = on_routed,
                                       .in_touch = on_in_touch,
                                       .lost = on_lost,
                                       .refused = on_refused,
                                       .ctx = o};
    return rc ? rc : trunk_open(&o->trunk, &trunk, err);
}

/* As one process that the hub knows. */
static int serve(struct edge *o, struct err *err)
{
    o->started = o->draining = o->stopping = o->renewing = o->again = false;
    o->renew_ms = 0;
    int rc = open_parts(o, err);
    if (rc == 0)
        uv_run(&o->loop.uv, UV_RUN_DEFAULT);
    if (o->gateway)
        gateway_free(o->gateway);
    routes_free(o->routes);
    portals_free(o->portals);
    trunk_free(o->trunk);
    o->gateway = NULL;
    o->routes = NULL;
    o->portals = NULL;
    o->trunk = NULL;
    return rc;
}

int edge_run(const struct edge_options *options, struct err *err)
{
    struct edge *o = calloc(1, sizeof *o);
    if (!o)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    o->options = options;
    o->lock = -1;
    signal(SIGPIPE, SIG_IGN);
    gateway_raise_limits();
    int rc = prepare(o, err);
    if (rc == 0)
        watch(o);
    do
        rc = rc ? rc : serve(o, err);
    while (rc == 0 && o->again);
    if (rc == 0)
        unwatch(o);
    if (rc == 0 && o->end.code != 0)
        rc = err_set(err, o->end.code, "%s", o->end.msg);
    tls_context_free(o->member_tls);
    tls_context_free(o->client_tls);
    if (o->engines)
        engine_specs_free(o->engines);
    if (o->lock >= 0)
        (void)close(o->lock);
    free(o);
    return rc;
}
