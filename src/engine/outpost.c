/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/outpost.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "engine/serve.h"
#include "net/gate.h"

#define FOLDER_TEMPLATE "/tmp/busbar-XXXXXX" /* of the socket, whose path is to be short; the node's own */

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof(array)[0]))
/* clang-format off */
#define FIELD(type_, key_, st, ...) {.key = #key_, .type = FORM_##type_, .at = offsetof(struct st, key_), __VA_ARGS__}
/* clang-format on */

static const struct form_field order_fields[] = {
    FIELD(TEXT, model, outpost_order, .max = NAME_CAP - 1, .required = true),
    FIELD(TEXT, engine, outpost_order, .max = NAME_CAP - 1, .required = true),
    FIELD(TEXT, location, outpost_order, .max = PATH_CAP - 1, .required = true),
    FIELD(U32, slots, outpost_order, .max = SLOTS_MAX, .required = true),
    FIELD(U32, context, outpost_order, .max = CONTEXT_MAX, .required = true),
    FIELD(U32, kind, outpost_order, .max = UINT32_MAX, .required = true),
    FIELD(U32, threads, outpost_order, .max = UINT16_MAX, .required = true),
};
const struct form_table outpost_order_table = {order_fields, COUNT(order_fields),
                                               sizeof(struct outpost_order)};

static const struct form_field word_fields[] = {
    FIELD(TEXT, state, outpost_word, .max = KIND_TEXT_CAP - 1, .required = true),
    FIELD(TEXT, detail, outpost_word, .max = TEXT_CAP - 1),
    FIELD(U32, slots, outpost_word, .max = SLOTS_MAX),
    FIELD(U32, context, outpost_word, .max = CONTEXT_MAX),
    FIELD(TEXT, host, outpost_word, .max = OUTPOST_HOST_MAX),
    FIELD(U32, port, outpost_word, .max = UINT16_MAX),
    FIELD(TEXT, version, outpost_word, .max = NAME_CAP - 1),
};
const struct form_table outpost_word_table = {word_fields, COUNT(word_fields), sizeof(struct outpost_word)};

struct outpost {
    struct outpost_order order;
    struct loop loop;
    uv_signal_t sigterm, sigint;
    struct engine_specs *specs;
    struct serve *serve;
    struct tls_context *tls;
    struct gate *gate;
    char socket_dir[sizeof FOLDER_TEMPLATE];
    char self[FS_PATH_MAX], engine_path[FS_PATH_MAX], log_dir[FS_PATH_MAX];
    char socket[TEXT_CAP]; /* of the server while it is ready; else "" */
    char host[OUTPOST_HOST_MAX + 1];
    uint16_t port;
    bool stopping;
};

/* ---- what it says ---- */

/* One write for a line, so that no reader meets a part of one that is not at the end. */
static void say(const struct outpost *o, const struct serve_report *report)
{
    const struct outpost_word word = {.state = (char *)(uintptr_t)replica_state_text(report->state),
                                      .detail = (char *)(uintptr_t)report->detail,
                                      .slots = report->slots,
                                      .context = report->context,
                                      .host = (char *)(uintptr_t)o->host,
                                      .port = o->port,
                                      .version = (char *)(uintptr_t)report->version};
    struct buf line;
    buf_init(&line, OUTPOST_LINE_MAX);
    form_write(&outpost_word_table, &word, &line);
    buf_add_char(&line, '\n');
    if (!line.failed && write(STDOUT_FILENO, line.data, line.len) != (ssize_t)line.len)
        log_error("outpost", "error=\"cannot tell the agent\"");
    buf_fini(&line);
}

static void on_state(void *ctx, const struct serve_report *report)
{
    struct outpost *o = ctx;
    bool ready = report->state == REPLICA_READY && strncmp(report->endpoint, "unix:", 5) == 0;
    (void)snprintf(o->socket, sizeof o->socket, "%s", ready ? report->endpoint + 5 : "");
    say(o, report);
}

static const char *socket_of(void *ctx)
{
    const struct outpost *o = ctx;
    return o->socket[0] && !o->stopping ? o->socket : NULL;
}

/* ---- the end ---- */

static void on_down(void *ctx)
{
    struct outpost *o = ctx;
    uv_close((uv_handle_t *)&o->sigterm, NULL);
    uv_close((uv_handle_t *)&o->sigint, NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct outpost *o = handle->data;
    (void)number;
    if (o->stopping)
        return;
    o->stopping = true;
    gate_close(o->gate);
    serve_shutdown(o->serve, on_down, o);
}

/* ---- the beginning ---- */

/* Where things are on this node, as our own program has them beside it. */
static int find_places(struct outpost *o, const char *folder, char engines[FS_PATH_MAX], struct err *err)
{
    char share[FS_PATH_MAX], dir[FS_PATH_MAX];
    const char *engine = getenv("BUSBAR_ENGINE_PATH"), *host = getenv("BUSBAR_HOST");
    if (!fs_self(o->self) || !fs_share(share))
        return err_set(err, ERR_IO, "cannot find our own program's folder");
    memcpy(dir, o->self, sizeof dir);
    *strrchr(dir, '/') = 0;
    bool fits = engine ? snprintf(o->engine_path, FS_PATH_MAX, "%s", engine) < FS_PATH_MAX
                       : fs_join(o->engine_path, dir, "../.deps/llama/bin");
    if (!fits || !fs_join(engines, share, "engines.yaml") || !fs_join(o->log_dir, folder, "logs"))
        return err_set(err, ERR_INVALID, "the path of the job's folder or of the engines is too long");
    if (host)
        (void)snprintf(o->host, sizeof o->host, "%s", host);
    else
        (void)gethostname(o->host, sizeof o->host - 1);
    memcpy(o->socket_dir, FOLDER_TEMPLATE, sizeof o->socket_dir);
    if (!mkdtemp(o->socket_dir)) {
        o->socket_dir[0] = 0;
        return err_set(err, ERR_IO, "cannot make a folder in /tmp");
    }
    return fs_mkdirs(o->log_dir, 0700, err);
}

static int open_gate(struct outpost *o, const char *folder, struct err *err)
{
    char cert[FS_PATH_MAX], key[FS_PATH_MAX];
    if (!fs_join(cert, folder, OUTPOST_CERT) || !fs_join(key, folder, OUTPOST_KEY))
        return err_set(err, ERR_INVALID, "the path of the job's folder is too long");
    int rc = tls_pair_new(&o->tls, cert, key, true, err);
    if (rc != 0)
        return rc;
    const struct gate_config gate = {.loop = &o->loop, .tls = o->tls, .find = socket_of, .ctx = o};
    return gate_open(&o->gate, &gate, &o->port, err);
}

static int open_all(struct outpost *o, const char *folder, struct err *err)
{
    char path[FS_PATH_MAX], engines[FS_PATH_MAX];
    if (!fs_join(path, folder, OUTPOST_ORDER))
        return err_set(err, ERR_INVALID, "the path of the job's folder is too long");
    int rc = form_load(&outpost_order_table, path, &o->order, err);
    if (rc == 0)
        rc = find_places(o, folder, engines, err);
    if (rc == 0)
        rc = engine_specs_load(&o->specs, engines, err);
    const struct serve_config serve = {.loop = &o->loop,
                                       .specs = o->specs,
                                       .socket_dir = o->socket_dir,
                                       .log_dir = o->log_dir,
                                       .self = o->self,
                                       .engine_path = o->engine_path,
                                       .threads = o->order.threads,
                                       .report = on_state,
                                       .ctx = o};
    if (rc == 0)
        rc = serve_new(&o->serve, &serve, err);
    return rc ? rc : open_gate(o, folder, err);
}

static void close_all(struct outpost *o)
{
    if (o->serve)
        serve_free(o->serve);
    uv_run(&o->loop.uv, UV_RUN_DEFAULT);
    gate_free(o->gate);
    tls_context_free(o->tls);
    if (o->specs)
        engine_specs_free(o->specs);
    if (o->socket_dir[0])
        (void)rmdir(o->socket_dir);
    form_free(&outpost_order_table, &o->order);
    loop_fini(&o->loop);
}

static void begin(struct outpost *o)
{
    struct serve_order order = {.slots = o->order.slots, .context = o->order.context, .kind = o->order.kind};
    (void)snprintf(order.model, sizeof order.model, "%s", o->order.model);
    (void)snprintf(order.engine, sizeof order.engine, "%s", o->order.engine);
    (void)snprintf(order.location, sizeof order.location, "%s", o->order.location);
    uv_signal_init(&o->loop.uv, &o->sigterm);
    uv_signal_init(&o->loop.uv, &o->sigint);
    o->sigterm.data = o->sigint.data = o;
    uv_signal_start(&o->sigterm, on_signal, SIGTERM);
    uv_signal_start(&o->sigint, on_signal, SIGINT);
    serve_start(o->serve, &order);
}

int outpost_run(const char *folder)
{
    struct err err = {0};
    struct outpost *o = calloc(1, sizeof *o);
    signal(SIGPIPE, SIG_IGN);
    if (!o || loop_init(&o->loop) != 0)
        abort();
    if (open_all(o, folder, &err) == 0) {
        begin(o);
        uv_run(&o->loop.uv, UV_RUN_DEFAULT);
    } else {
        fprintf(stderr, "shim: %s\n", err.msg);
        struct serve_report failed = {.state = REPLICA_BACKOFF};
        (void)snprintf(failed.detail, sizeof failed.detail, "%.127s", err.msg);
        say(o, &failed);
    }
    close_all(o);
    free(o);
    return err.code == 0 ? 0 : 66;
}
