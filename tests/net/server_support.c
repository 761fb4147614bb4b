/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/net/server_support.h"

#include <unistd.h>

struct fixture fx;
struct http_server_config fx_config;

static bool path_is(const struct http_request *r, const char *path)
{
    return r->path_len == strlen(path) && memcmp(r->path, path, r->path_len) == 0;
}

static int64_t admit(struct http_request *r)
{
    if (path_is(r, "/forbidden"))
        return ERR_FORBIDDEN;
    return path_is(r, "/small") ? 1000 : 1 << 20;
}

static void on_abort(struct http_request *r, void *ctx)
{
    (void)r;
    (void)ctx;
    fx.aborts++;
    if (r == fx.flow)
        fx.flow = NULL;
}

static void flow_pump(struct http_request *r)
{
    static const char block[16384];
    for (;;) {
        if (fx.flow_sent >= fx.flow_total) {
            fx.flow = NULL;
            http_end(r, NULL, 0);
            return;
        }
        bool more = http_send(r, block, sizeof block);
        fx.flow_sent += sizeof block;
        size_t queued = http_given(r) - http_taken(r);
        if (queued > fx.flow_queued_max)
            fx.flow_queued_max = queued;
        if (!more)
            return;
    }
}

static void on_drain(struct http_request *r, void *ctx)
{
    (void)ctx;
    fx.drains++;
    if (r == fx.flow)
        flow_pump(r);
}

static void hold(struct http_request *r, bool owned)
{
    assert_true(fx.nheld < HELD_MAX);
    fx.held[fx.nheld++] = r;
    if (owned)
        r->owner = (struct http_owner){.ctx = &fx, .on_abort = on_abort, .on_drain = on_drain};
}

void fx_hold_answer(int i, const char *text)
{
    http_respond(fx.held[i], 200, "text/plain", "", text, strlen(text));
}

static void handle(struct http_request *r)
{
    fx.handled++;
    fx.taken = http_taken(r);
    fx.given = http_given(r);
    if (path_is(r, "/hold") || path_is(r, "/later")) {
        hold(r, path_is(r, "/hold"));
    } else if (path_is(r, "/flow")) {
        r->owner = (struct http_owner){.ctx = &fx, .on_abort = on_abort, .on_drain = on_drain};
        fx.flow = r;
        http_begin(r, 200, "text/event-stream", "");
        flow_pump(r);
    } else if (path_is(r, "/chunks")) {
        http_begin(r, 200, "text/plain", "");
        http_send(r, "one", 3);
        http_send(r, "", 0);
        http_send(r, "two", 3);
        http_end(r, "three", 5);
    } else if (path_is(r, "/answer")) {
        fx_hold_answer(0, "held");
        http_respond(r, 200, "text/plain", "", "self", 4);
    } else if (path_is(r, "/nothing")) {
        http_respond(r, 204, "text/plain", "", NULL, 0);
    } else if (path_is(r, "/fields")) {
        char text[80];
        int n = snprintf(text, sizeof text, "method=%u local=%d uid=%u query=%.*s", r->method, r->local,
                         r->peer_uid, (int)r->query_len, r->query);
        http_respond(r, 200, "text/plain", "X-Extra: yes\r\n", text, (size_t)n);
    } else {
        http_respond(r, 200, "text/plain", "", r->body.data, r->body.len);
    }
}

static void render_error(struct buf *out, int status, const char *reason)
{
    assert_non_null(reason);
    fx.refusals++;
    buf_addf(out, "{\"error\":{\"status\":%d,\"message\":\"%s\"}}", status, reason);
}

int fx_setup(void **state)
{
    (void)state;
    memset(&fx, 0, sizeof fx);
    fx_config = (struct http_server_config){.connections_max = 100,
                                            .head_ms = 3000,
                                            .body_ms = 3000,
                                            .idle_ms = 3000,
                                            .write_stall_ms = 3000,
                                            .admit = admit,
                                            .handle = handle,
                                            .render_error = render_error};
    assert_int_equal(loop_init(&fx.loop), 0);
    (void)snprintf(fx.dir, sizeof fx.dir, "/tmp/bb-net-XXXXXX");
    assert_non_null(mkdtemp(fx.dir));
    (void)snprintf(fx.path, sizeof fx.path, "%s/s", fx.dir);
    return 0;
}

void fx_start(void)
{
    struct err err = {0};
    http_server_init(&fx.server, &fx.loop, &fx_config);
    if (http_listen_tcp(&fx.server, "127.0.0.1", &fx.port, &err) != 0 ||
        http_listen_unix(&fx.server, fx.path, &err) != 0)
        fail_msg("%s", err.msg);
}

int fx_teardown(void **state)
{
    (void)state;
    if (fx.server.loop) {
        http_server_close(&fx.server);
        assert_int_equal(fx.server.nconnections, 0);
    }
    loop_fini(&fx.loop);
    assert_int_equal(fx.loop.armed, 0);
    (void)unlink(fx.path);
    (void)rmdir(fx.dir);
    return 0;
}
