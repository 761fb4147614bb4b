/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/net/client_support.h"

#include <unistd.h>

struct client_fixture cx;

static void on_head(struct http_call *call, int status)
{
    struct seen *s = http_call_ctx(call);
    assert_ptr_equal(call, s->call);
    assert_int_equal(s->ends, 0);
    s->heads++;
    s->status = status;
    size_t len;
    const char *type = http_call_field(call, "content-type", &len);
    (void)snprintf(s->type, sizeof s->type, "%.*s", (int)len, type ? type : "");
    if (s->cancel_in_head) {
        s->call = NULL;
        http_call_cancel(call);
    } else if (s->pause_in_head) {
        http_call_pause(call);
    }
}

static void on_body(struct http_call *call, const char *data, size_t len)
{
    struct seen *s = http_call_ctx(call);
    assert_ptr_equal(call, s->call);
    assert_int_equal(s->ends, 0);
    assert_int_equal(s->heads, 1);
    s->bodies++;
    buf_add(&s->body, data, len);
    if (s->cancel_in_body) {
        s->call = NULL;
        http_call_cancel(call);
    } else if (s->pause_in_body) {
        http_call_pause(call);
    }
}

static void on_end(struct http_call *call, int rc)
{
    struct seen *s = http_call_ctx(call);
    assert_ptr_equal(call, s->call);
    s->ends++;
    s->rc = rc;
    s->call = NULL;
    if (s->call_again_in_end) {
        s->call_again_in_end = false;
        cx_call();
    }
}

static const struct http_call_events events = {.on_head = on_head, .on_body = on_body, .on_end = on_end};

int cx_setup(void **state)
{
    (void)state;
    memset(&cx, 0, sizeof cx);
    assert_int_equal(loop_init(&cx.loop), 0);
    cx.listener = raw_listen(&cx.port, 16);
    cx.config = (struct http_client_config){
        .connect_ms = 2000, .first_byte_ms = 2000, .between_ms = 2000, .idle_ms = 2000, .idle_max = 4};
    char text[64];
    struct err err = {0};
    (void)snprintf(text, sizeof text, "http://127.0.0.1:%u/base/", cx.port);
    assert_int_equal(http_endpoint_parse(&cx.endpoint, text, &err), 0);
    buf_init(&cx.seen.body, (size_t)64 << 20);
    return 0;
}

void cx_start(void)
{
    assert_int_equal(http_client_new(&cx.client, &cx.loop, &cx.config), 0);
}

int cx_teardown(void **state)
{
    (void)state;
    if (cx.client)
        http_client_free(cx.client);
    loop_fini(&cx.loop);
    assert_int_equal(cx.loop.armed, 0);
    buf_fini(&cx.seen.body);
    (void)close(cx.listener);
    return 0;
}

void cx_call(void)
{
    struct buf request;
    struct seen *s = &cx.seen;
    buf_clear(&s->body);
    s->heads = s->bodies = s->ends = s->status = s->rc = 0;
    buf_init(&request, 4096);
    http_request_head(&request, &cx.endpoint, "POST", "/v1/x", "", 4);
    s->call = http_call(cx.client, &cx.endpoint, &request, (struct http_body){"ping", 4}, &events, s);
    assert_non_null(s->call);
    buf_fini(&request);
}

void cx_request(struct raw *up)
{
    raw_expect(up, &cx.loop, REQUEST_END);
    assert_int_equal(up->in.len, 0);
}

int cx_end(void)
{
    spin_until(&cx.loop, &cx.seen.ends, 1);
    return cx.seen.rc;
}
