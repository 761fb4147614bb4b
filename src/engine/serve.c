/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/serve.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "base/osrandom.h"
#include "engine/command.h"
#include "engine/drawn.h"
#include "engine/logfile.h"
#include "engine/version.h"

#define POLL_STARTING_MS 50
#define POLL_READY_MS 2000
#define POLL_STOPPING_MS 50
#define HEALTH_FAILURES_MAX 3
#define HEALTH_LIMIT_MS 3000 /* to answer; a hung engine is found in three of these */
#define POLL_FAILING_MS 200
#define VERSION_LIMIT_MS 3000 /* until it is ready without having said which it is */
#define START_LIMIT_MS 600000 /* a large model may take minutes to load */
#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 30000
#define STABLE_MS 60000 /* up for so long: the next failure starts with a short pause again */
#define DRAIN_LIMIT_MS 30000
#define TERM_AGAIN_MS 1000
#define KILL_MS 4000
#define SOCKET_NAME_MAX 16 /* with a folder of 80 bytes and an ordinal: what a socket's path may hold */

struct unit {
    struct serve *serve;
    struct list node;
    struct serve_order order;
    const struct engine_spec *spec;
    struct http_endpoint endpoint;
    struct http_call *health;
    struct engine_version version; /* asked once in each start */
    uint64_t asked_ms;
    uv_process_t process;
    uv_pipe_t output;
    uv_timer_t timer;
    struct logfile log;
    char log_buf[4096];
    uint32_t state; /* enum replica_state */
    uint32_t failures;
    uint32_t backoff_ms;
    uint64_t since_ms; /* of the state, loop time */
    uint32_t handles;  /* open libuv handles; the unit is freed at 0 */
    bool running;      /* the process lives */
    bool stopping;
    bool silent; /* no more reports */
    unsigned terms;
    struct drawn drawn;
    uint64_t used_ms; /* when it was told */
    char detail[TEXT_CAP];
};

struct serve {
    struct serve_config config;
    struct http_client *client;
    struct list units;
    void (*done)(void *ctx);
    void *done_ctx;
    bool shutting;
};

static void poll_health(struct unit *u);
static void spawn(struct unit *u);

static uint64_t now_ms(const struct unit *u)
{
    return uv_now(&u->serve->config.loop->uv);
}

static void report(struct unit *u)
{
    struct serve_report r = {.deployment = u->order.deployment,
                             .ordinal = u->order.ordinal,
                             .epoch = u->order.epoch,
                             .state = u->state,
                             .slots = u->order.slots,
                             .context = u->order.context};
    if (u->silent || u->serve->shutting)
        return;
    memcpy(r.endpoint, u->endpoint.text, sizeof r.endpoint);
    r.endpoint[sizeof r.endpoint - 1] = 0;
    memcpy(r.detail, u->detail, sizeof r.detail);
    if (u->state == REPLICA_READY)
        memcpy(r.version, u->version.word, sizeof r.version);
    u->serve->config.report(u->serve->config.ctx, &r);
}

static void move(struct unit *u, uint32_t state, const char *detail)
{
    (void)snprintf(u->detail, sizeof u->detail, "%s", detail);
    u->state = state;
    u->since_ms = now_ms(u);
    log_info("replica", "model=%s ordinal=%u state=%s detail=\"%s\"", u->order.model, u->order.ordinal,
             replica_state_text(state), detail);
    report(u);
}

/* What it has drawn. `pid` 0: it is over. */
static void tell_used(struct unit *u, pid_t pid)
{
    const struct serve_config *config = &u->serve->config;
    drawn_look(&u->drawn, pid);
    u->used_ms = now_ms(u);
    if (!config->used || !u->drawn.known || u->silent)
        return;
    const struct serve_used used = {.deployment = u->order.deployment,
                                    .ordinal = u->order.ordinal,
                                    .epoch = u->order.epoch,
                                    .run = u->drawn.run,
                                    .energy_mj = drawn_mj(&u->drawn),
                                    .estimated = u->drawn.estimated,
                                    .final = pid == 0 && u->stopping && !u->serve->shutting};
    config->used(config->ctx, &used);
}

/* ---- the end of a unit ---- */

static void ask_no_more(struct unit *u)
{
    if (u->health)
        http_call_cancel(u->health);
    u->health = NULL;
    engine_version_cancel(&u->version);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct unit *u = handle->data;
    if (--u->handles > 0)
        return;
    struct serve *s = u->serve;
    logfile_close(&u->log);
    list_remove(&u->node);
    free(u);
    if (s->shutting && list_empty(&s->units) && s->done)
        s->done(s->done_ctx);
}

static void unit_close(struct unit *u)
{
    ask_no_more(u);
    uv_timer_stop(&u->timer);
    if (!uv_is_closing((uv_handle_t *)&u->timer))
        uv_close((uv_handle_t *)&u->timer, on_handle_closed);
}

static void on_timer(uv_timer_t *timer);

static void again_in(struct unit *u, uint64_t ms)
{
    uv_timer_start(&u->timer, on_timer, ms, 0);
}

/* The process is gone, or could not be started. */
static void unit_down(struct unit *u, const char *why)
{
    ask_no_more(u);
    if (u->endpoint.is_unix)
        unlink(u->endpoint.host);
    if (u->drawn.running)
        drawn_stop(&u->drawn);
    tell_used(u, 0);
    if (u->stopping) {
        move(u, REPLICA_STOPPED, why);
        unit_close(u);
        return;
    }
    if (u->state == REPLICA_READY && now_ms(u) - u->since_ms > STABLE_MS)
        u->backoff_ms = 0;
    u->backoff_ms = u->backoff_ms ? u->backoff_ms * 2 : BACKOFF_MIN_MS;
    if (u->backoff_ms > BACKOFF_MAX_MS)
        u->backoff_ms = BACKOFF_MAX_MS;
    move(u, REPLICA_BACKOFF, why);
    uint8_t jitter;
    os_random(&jitter, 1);
    again_in(u, u->backoff_ms + u->backoff_ms * jitter / 1024);
}

/* ---- the process ---- */

static void on_exit_process(uv_process_t *process, int64_t status, int sig)
{
    struct unit *u = process->data;
    char why[TEXT_CAP];
    u->running = false;
    uv_close((uv_handle_t *)process, on_handle_closed);
    if (sig)
        (void)snprintf(why, sizeof why, "ended by signal %d", sig);
    else
        (void)snprintf(why, sizeof why, "exited with status %lld", (long long)status);
    unit_down(u, why);
}

static void on_output_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct unit *u = handle->data;
    (void)suggested;
    *buf = uv_buf_init(u->log_buf, sizeof u->log_buf);
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct unit *u = stream->data;
    if (n > 0)
        logfile_write(&u->log, buf->base, (size_t)n);
    else if (n < 0)
        uv_close((uv_handle_t *)stream, on_handle_closed);
}

static void spawn(struct unit *u)
{
    char binary[FS_PATH_MAX];
    struct serve *s = u->serve;
    struct command command = {.n = 0};
    bool own = u->order.role == REPLICA_WORKER; /* which looks for the server itself */
    if (!command_program(s->config.self, s->config.engine_path, own ? "{self}" : u->spec->binary, binary)) {
        unit_down(u, "the engine's program was not found");
        return;
    }
    unlink(u->endpoint.host);
    struct command_order order = {.self = s->config.self,
                                  .binary = binary,
                                  .location = u->order.location,
                                  .socket = u->endpoint.host,
                                  .model = u->order.model,
                                  .slots = u->order.slots,
                                  .context = u->order.context,
                                  .threads = s->config.threads,
                                  .kind = u->order.kind,
                                  .visible = u->order.visible,
                                  .role = u->order.role,
                                  .memory_mib = u->order.memory_mib,
                                  .workers = u->order.workers,
                                  .nworkers = u->order.nworkers};
    command_build(&command, u->spec, &order);
    uv_pipe_init(&s->config.loop->uv, &u->output, 0);
    u->output.data = u->process.data = u;
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&u->output},
        {.flags = UV_IGNORE}}; /* the shim joins the two outputs, so that lines stay in order */
    uv_process_options_t options = {.exit_cb = on_exit_process,
                                    .file = s->config.self,
                                    .args = command.argv,
                                    .env = command.env,
                                    .stdio = stdio,
                                    .stdio_count = 3};
    u->handles += 2;
    u->version.word[0] = 0;
    move(u, REPLICA_STARTING, "");
    int rc = uv_spawn(&s->config.loop->uv, &u->process, &options);
    command_free(&command);
    if (rc < 0) {
        uv_close((uv_handle_t *)&u->process, on_handle_closed);
        uv_close((uv_handle_t *)&u->output, on_handle_closed);
        unit_down(u, uv_strerror(rc));
        return;
    }
    u->running = true;
    drawn_start(&u->drawn);
    tell_used(u, u->process.pid);
    uv_read_start((uv_stream_t *)&u->output, on_output_alloc, on_output);
    again_in(u, POLL_STARTING_MS);
}

/* ---- health ---- */

static void on_version(void *ctx)
{
    struct unit *u = ctx;
    if (!u->stopping && u->state == REPLICA_STARTING)
        move(u, REPLICA_READY, "");
}

/* It is ready once it has said which version it is, or did not in time. */
static void ask_version(struct unit *u)
{
    if (u->order.role == REPLICA_WORKER) {
        on_version(u); /* its head's engine tells one */
        return;
    }
    if (!u->version.word[0] && !u->version.call) {
        u->asked_ms = now_ms(u);
        if (engine_version_ask(&u->version, u->serve->client, &u->endpoint, u->spec, on_version, u))
            return;
    }
    if (u->version.call && now_ms(u) - u->asked_ms < VERSION_LIMIT_MS)
        return;
    engine_version_cancel(&u->version);
    on_version(u);
}

static void healthy(struct unit *u)
{
    u->failures = 0;
    if (u->stopping)
        return;
    if (u->state == REPLICA_BACKOFF) { /* an engine at a URL is back: each ready follows a start */
        u->version.word[0] = 0;
        move(u, REPLICA_STARTING, "");
    }
    if (u->state != REPLICA_READY)
        ask_version(u);
}

static void unhealthy(struct unit *u)
{
    if (u->state == REPLICA_STARTING) {
        if (now_ms(u) - u->since_ms > START_LIMIT_MS && u->running)
            uv_process_kill(&u->process, SIGKILL);
        return;
    }
    if (++u->failures < HEALTH_FAILURES_MAX || u->state != REPLICA_READY)
        return;
    if (u->running)
        uv_process_kill(&u->process, SIGKILL); /* on_exit_process starts it again */
    else
        move(u, REPLICA_BACKOFF, "the engine does not answer");
}

static void on_health_head(struct http_call *call, int status)
{
    struct unit *u = http_call_ctx(call);
    if (status == 200)
        healthy(u);
    else
        unhealthy(u);
}

static void on_health_body(struct http_call *call, const char *data, size_t len)
{
    (void)call;
    (void)data;
    (void)len;
}

static uint64_t poll_after(const struct unit *u)
{
    if (u->state != REPLICA_READY)
        return POLL_STARTING_MS;
    return u->failures ? POLL_FAILING_MS : POLL_READY_MS;
}

static void on_health_end(struct http_call *call, int rc)
{
    struct unit *u = http_call_ctx(call);
    u->health = NULL;
    if (rc != 0)
        unhealthy(u);
    if (!u->stopping && (u->running || !u->endpoint.is_unix))
        again_in(u, poll_after(u));
}

static const struct http_call_events health_events = {
    .on_head = on_health_head, .on_body = on_health_body, .on_end = on_health_end};

/* A worker's socket is there as soon as its server has answered, and a server that hangs is found by its head. */
static void look_at_socket(struct unit *u)
{
    struct stat st;
    if (stat(u->endpoint.host, &st) == 0 && S_ISSOCK(st.st_mode))
        healthy(u);
    else
        unhealthy(u);
    again_in(u, poll_after(u));
}

static void poll_health(struct unit *u)
{
    struct buf request;
    if (u->order.role == REPLICA_WORKER) {
        look_at_socket(u);
        return;
    }
    if (u->health)
        return;
    buf_init(&request, 4096);
    http_request_head(&request, &u->endpoint, "GET", u->spec->health, "", 0);
    u->health = http_call(u->serve->client, &u->endpoint, &request, (struct http_body){0}, &health_events, u);
    buf_fini(&request);
    if (!u->health)
        again_in(u, poll_after(u));
}

/* ---- stopping ---- */

static void step_stop(struct unit *u)
{
    uint64_t waited = now_ms(u) - u->since_ms;
    struct serve *s = u->serve;
    if (!u->running) {
        unit_down(u, "stopped");
        return;
    }
    bool busy = !s->shutting && s->config.busy &&
                s->config.busy(s->config.ctx, &u->order.deployment,
                               u->order.role == REPLICA_WORKER ? CLUSTER_HEAD : u->order.ordinal) > 0;
    if (u->terms == 0 && busy && waited < DRAIN_LIMIT_MS) {
        again_in(u, POLL_STOPPING_MS);
        return;
    }
    if (u->terms == 0) {
        u->since_ms = now_ms(u);
        tell_used(u, u->process.pid);
        uv_process_kill(&u->process, SIGTERM);
        u->terms = 1;
    } else if (u->terms == 1 && waited > TERM_AGAIN_MS) {
        uv_process_kill(&u->process, SIGTERM); /* llama-server leaves at once on the second */
        u->terms = 2;
    } else if (waited > KILL_MS) {
        uv_process_kill(&u->process, SIGKILL);
    }
    again_in(u, POLL_STOPPING_MS);
}

static void unit_stop(struct unit *u)
{
    if (u->stopping)
        return;
    u->stopping = true;
    u->state = REPLICA_DRAINING;
    u->since_ms = now_ms(u);
    ask_no_more(u);
    again_in(u, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct unit *u = timer->data;
    if (u->stopping)
        step_stop(u);
    else if (u->state == REPLICA_BACKOFF && u->endpoint.is_unix)
        spawn(u);
    else
        poll_health(u);
    if (u->running && now_ms(u) - u->used_ms >= SERVE_USED_MS)
        tell_used(u, u->process.pid);
}

/* ---- the interface ---- */

/* A socket's path is short: a long name keeps its beginning and a hash of the whole, so that no two models share one. */
static void unit_socket(const struct unit *u, char *dst, size_t cap)
{
    const char *name = u->order.model, *dir = u->serve->config.socket_dir;
    size_t len = strlen(name);
    if (len <= SOCKET_NAME_MAX)
        (void)snprintf(dst, cap, "unix:%s/%s-%u.sock", dir, name, u->order.ordinal);
    else /* no name has a full stop */
        (void)snprintf(dst, cap, "unix:%s/%.7s.%08x-%u.sock", dir, name, (uint32_t)map_hash(0, name, len),
                       u->order.ordinal);
}

static int unit_endpoint(struct unit *u, struct err *err)
{
    struct serve *s = u->serve;
    char text[ENDPOINT_TEXT_MAX];
    char path[FS_PATH_MAX];
    if (u->spec->binary[0] == 0) {
        /* What follows # is the model's name there, not part of the address. */
        (void)snprintf(text, sizeof text, "%.*s", (int)strcspn(u->order.location, "#"), u->order.location);
        return http_endpoint_parse(&u->endpoint, text, err);
    }
    unit_socket(u, text, sizeof text);
    (void)snprintf(path, sizeof path, "%s/%s-%u.log", s->config.log_dir, u->order.model, u->order.ordinal);
    int rc = http_endpoint_parse(&u->endpoint, text, err);
    return rc ? rc : logfile_open(&u->log, path, err);
}

static struct unit *find(struct serve *s, const struct uuid *deployment, uint32_t ordinal)
{
    list_for_each_safe (it, next, &s->units) {
        struct unit *u = list_entry(it, struct unit, node);
        if (uuid_eq(&u->order.deployment, deployment) && u->order.ordinal == ordinal && !u->silent)
            return u;
    }
    return NULL;
}

void serve_start(struct serve *s, const struct serve_order *order)
{
    struct err err = {0};
    struct unit *u = s->shutting ? NULL : calloc(1, sizeof *u);
    if (!u)
        return;
    u->serve = s;
    u->order = *order;
    u->log.fd = -1;
    u->handles = 1;
    u->timer.data = u;
    drawn_init(&u->drawn, s->config.chipset, u->order.chip, u->order.chips);
    list_push(&s->units, &u->node);
    uv_timer_init(&s->config.loop->uv, &u->timer);
    u->spec = engine_spec_named(s->config.specs, order->engine);
    if (!u->spec)
        err_set(&err, ERR_NOT_FOUND, "no engine `%s` in engines.yaml", order->engine);
    else
        (void)unit_endpoint(u, &err);
    if (err.code != 0) {
        /* Nothing that time would mend: say so once and wait to be stopped. */
        move(u, REPLICA_BACKOFF, err.msg);
        return;
    }
    if (u->spec->binary[0]) {
        spawn(u);
        return;
    }
    move(u, REPLICA_STARTING, "");
    poll_health(u);
}

void serve_stop(struct serve *s, const struct uuid *deployment, uint32_t ordinal)
{
    struct unit *u = find(s, deployment, ordinal);
    if (u)
        unit_stop(u);
}

void serve_report_all(struct serve *s)
{
    list_for_each_safe (it, next, &s->units) {
        report(list_entry(it, struct unit, node));
    }
}

int serve_new(struct serve **out, const struct serve_config *config, struct err *err)
{
    struct serve *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->config = *config;
    list_init(&s->units);
    struct http_client_config client = {.connect_ms = 2000,
                                        .first_byte_ms = HEALTH_LIMIT_MS,
                                        .between_ms = HEALTH_LIMIT_MS,
                                        .idle_ms = 1000,
                                        .idle_max = 1,
                                        .tls = config->tls};
    int rc = http_client_new(&s->client, config->loop, &client);
    if (rc != 0) {
        free(s);
        return err_set(err, rc, "out of memory");
    }
    *out = s;
    return 0;
}

void serve_shutdown(struct serve *s, void (*done)(void *ctx), void *ctx)
{
    s->shutting = true;
    s->done = done;
    s->done_ctx = ctx;
    if (list_empty(&s->units)) {
        done(ctx);
        return;
    }
    list_for_each_safe (it, next, &s->units) {
        struct unit *u = list_entry(it, struct unit, node);
        u->stopping = false;
        unit_stop(u);
    }
}

void serve_free(struct serve *s)
{
    http_client_free(s->client);
    free(s);
}
