/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives an engine as the agent does, over its vtable and on a loop: one JSON object a line on standard input is a call,
 * one on standard output its answer, with the call's `tag`. The end of the input is the engine's shutdown; jobs go on.
 *
 *   engine_driver CONFIG.yaml
 *   {"tag":1,"op":"submit","specs":[...],"lease_ms":60000}
 */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/engine.h"
#include "net/json.h"

#define LINE_MAX_BYTES ((size_t)64 << 20)

static struct loop loop;
static struct engine *engine;
static uv_pipe_t input;
static struct buf pending;

static const char *const ops[ENGINE_OPS] = {"submit", "poll", "list",  "cancel", "inventory", "forget",
                                            "renew",  "logs", "usage", "hold",   "let_go"};
static const char *const states[] = {"unknown", "pending", "running", "ended"};

struct question {
    uint64_t tag;
};

/* ---- answers ---- */

static void add_status(struct buf *out, const struct engine_status *s)
{
    char job[UUID_TEXT_LEN + 1];
    uuid_format(job, &s->id.job);
    buf_addf(out, "{\"job\":\"%s\",\"epoch\":%u,\"state\":\"%s\",\"reason\":", job, s->id.epoch,
             states[s->state]);
    buf_add_json(out, s->reason, strlen(s->reason));
    buf_add_text(out, ",\"exit\":");
    form_write(&job_exit_table, &s->exit, out);
    buf_add_char(out, '}');
}

static void add_inventory(struct buf *out, const struct engine_inventory *inv)
{
    buf_addf(out, ",\"isolation\":\"%s\",\"version\":\"%s\",\"missing\":", isolation_text(inv->isolation),
             inv->version);
    buf_add_json(out, inv->missing, strlen(inv->missing));
    buf_add_text(out, ",\"nodes\":[");
    for (uint32_t i = 0; i < inv->nodes_count; i++) {
        const struct engine_node *n = &inv->nodes[i];
        buf_addf(
            out,
            "%s{\"name\":\"%s\",\"chip\":\"%s\",\"chips\":%u,\"used\":%u,\"up\":%s,\"cpus\":%u,\"reason\":",
            i ? "," : "", n->name, n->chip, n->chips, n->used, n->up ? "true" : "false", n->cpus);
        buf_add_json(out, n->reason, strlen(n->reason));
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void on_done(void *ctx, struct engine_call *c)
{
    struct question *q = ctx;
    struct buf out;
    buf_init(&out, LINE_MAX_BYTES);
    buf_addf(&out, "{\"tag\":%llu,\"code\":\"%s\",\"message\":", (unsigned long long)q->tag,
             err_name(c->err.code));
    buf_add_json(&out, c->err.msg, strlen(c->err.msg));
    buf_add_text(&out, ",\"statuses\":[");
    for (uint32_t i = 0; i < c->statuses_count; i++) {
        if (i)
            buf_add_char(&out, ',');
        add_status(&out, &c->statuses[i]);
    }
    buf_add_text(&out, "],\"bytes\":");
    buf_add_json(&out, c->bytes.data ? c->bytes.data : "", c->bytes.len);
    if (c->op == ENGINE_INVENTORY)
        add_inventory(&out, &c->inventory);
    buf_add_text(&out, "}\n");
    assert(!out.failed);
    (void)!fwrite(out.data, 1, out.len, stdout);
    fflush(stdout);
    buf_fini(&out);
    free(q);
}

/* ---- calls ---- */

static void fail(const char *what)
{
    fprintf(stderr, "engine_driver: %s\n", what);
    exit(2);
}

static uint64_t number(yyjson_val *root, const char *key)
{
    return yyjson_get_uint(yyjson_obj_get(root, key));
}

static enum engine_op op_of(yyjson_val *root)
{
    const char *text = yyjson_get_str(yyjson_obj_get(root, "op"));
    for (int i = 0; text && i < ENGINE_OPS; i++) {
        if (strcmp(ops[i], text) == 0)
            return (enum engine_op)i;
    }
    fail("no such op");
    return ENGINE_OPS;
}

static void read_spec(struct job_spec *spec, yyjson_val *val, struct err *err)
{
    struct buf text;
    buf_init(&text, FORM_MAX);
    json_add(&text, val);
    (void)job_spec_parse(spec, text.data, text.len, err);
    buf_fini(&text);
}

static uint32_t end_of(yyjson_val *root)
{
    const char *text = yyjson_get_str(yyjson_obj_get(root, "end"));
    for (uint32_t i = JOB_END_EXITED; text && i <= JOB_END_LOST; i++) {
        if (strcmp(job_end_text(i), text) == 0)
            return i;
    }
    return JOB_END_CANCELLED;
}

static void ask(yyjson_val *root)
{
    enum engine_op op = op_of(root);
    yyjson_val *specs = yyjson_obj_get(root, "specs"), *ids = yyjson_obj_get(root, "ids"), *item;
    size_t i, max, n = specs ? yyjson_arr_size(specs) : yyjson_arr_size(ids);
    struct engine_call *c = engine_call_new(op, (uint32_t)n);
    struct question *q = calloc(1, sizeof *q);
    if (!c || !q)
        fail("out of memory");
    q->tag = number(root, "tag");
    struct err err = {0};
    yyjson_arr_foreach(specs, i, max, item)
    {
        if (err.code == 0)
            read_spec(&c->specs[i], item, &err);
    }
    yyjson_arr_foreach(ids, i, max, item)
    {
        yyjson_val *job = yyjson_obj_get(item, "job");
        if (!uuid_parse(&c->ids[i].job, yyjson_get_str(job), yyjson_get_len(job)))
            fail("not a job");
        c->ids[i].epoch = (uint32_t)number(item, "epoch");
    }
    c->lease_ms = number(root, "lease_ms");
    c->offset = number(root, "offset");
    c->errors = yyjson_get_bool(yyjson_obj_get(root, "errors"));
    c->stop = (struct job_stop){.end = end_of(root), .grace_ms = number(root, "grace_ms")};
    if (err.code != 0) { /* the agent would never have made such a call */
        c->err = err;
        on_done(q, c);
        engine_call_free(c);
    } else if (engine_call(engine, c, on_done, q) != 0) {
        fail("the engine takes no more calls");
    }
}

static void on_line(const char *line, size_t len)
{
    struct err err = {0};
    yyjson_doc *doc = json_parse_object(line, len, &err);
    if (!doc)
        fail(err.msg);
    ask(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
}

static void on_over(void *ctx)
{
    (void)ctx;
    engine = NULL;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    if (!buf_reserve(&pending, 65536))
        fail("a line is too long");
    *buf = uv_buf_init(pending.data + pending.len, 65536);
}

static void on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    char *end;
    (void)buf;
    if (n < 0) {
        uv_close((uv_handle_t *)stream, NULL);
        engine_shutdown(engine, on_over, NULL);
        return;
    }
    pending.len += (size_t)n;
    while (pending.len && (end = memchr(pending.data, '\n', pending.len)) != NULL) {
        size_t len = (size_t)(end - pending.data);
        on_line(pending.data, len);
        buf_consume(&pending, len + 1);
    }
}

int main(int argc, char **argv)
{
    struct engine_config *config;
    struct err err = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    log_init(STDERR_FILENO, LOG_INFO, false);
    buf_init(&pending, LINE_MAX_BYTES);
    if (argc != 2 || loop_init(&loop) != 0)
        fail("usage: engine_driver CONFIG.yaml");
    if (engine_config_load(&config, argv[1], &err) != 0 || engine_new(&engine, &loop, config, &err) != 0)
        fail(err.msg);
    printf("{\"ready\":true}\n");
    fflush(stdout);
    if (uv_pipe_init(&loop.uv, &input, 0) != 0 || uv_pipe_open(&input, STDIN_FILENO) != 0 ||
        uv_read_start((uv_stream_t *)&input, on_alloc, on_input) != 0)
        fail("standard input is not a pipe");
    (void)uv_run(&loop.uv, UV_RUN_DEFAULT);
    engine_config_free(config);
    buf_fini(&pending);
    loop_fini(&loop);
    return 0;
}
