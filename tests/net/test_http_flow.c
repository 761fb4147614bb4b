/* SPDX-License-Identifier: Apache-2.0 */
/* The server over time: aborts, back-pressure, the time limits, draining. */
#include "tests/net/server_support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static struct raw c;

static int teardown(void **state)
{
    raw_close(&c);
    return fx_teardown(state);
}

static void start(void)
{
    fx_start();
    raw_tcp(&c, fx.port);
}

/* ---- aborts ---- */

static void test_abort_once(void **state)
{
    (void)state;
    start();
    raw_text(&c, &fx.loop, GET("/hold"));
    spin_until(&fx.loop, &fx.nheld, 1);
    raw_close(&c);
    spin_until(&fx.loop, &fx.aborts, 1);
    spin(&fx.loop, 60);
    assert_int_equal(fx.aborts, 1);
    assert_int_equal(fx.server.nconnections, 0);
}

static void test_abort_by_reset(void **state)
{
    (void)state;
    start();
    raw_text(&c, &fx.loop, GET("/hold"));
    spin_until(&fx.loop, &fx.nheld, 1);
    struct linger hard = {.l_onoff = 1};
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    raw_close(&c);
    spin_until(&fx.loop, &fx.aborts, 1);
    spin(&fx.loop, 60);
    assert_int_equal(fx.aborts, 1);
}

static void test_abort_in_stream(void **state)
{
    (void)state;
    fx.flow_total = (size_t)64 << 20;
    start();
    raw_text(&c, &fx.loop, GET("/flow"));
    raw_wait_len(&c, &fx.loop, 100000);
    raw_close(&c);
    spin_until(&fx.loop, &fx.aborts, 1);
    spin(&fx.loop, 60);
    assert_int_equal(fx.aborts, 1);
    assert_null(fx.flow);
}

static void test_abort_with_bytes_ahead(void **state)
{
    (void)state;
    start();
    raw_text(&c, &fx.loop, GET("/hold") GET("/echo"));
    spin_until(&fx.loop, &fx.nheld, 1);
    raw_close(&c);
    spin_until(&fx.loop, &fx.aborts, 1);
    assert_int_equal(fx.handled, 1);
}

/* After the answer the client may go: that is no abort. */
static void test_no_abort_after_answer(void **state)
{
    (void)state;
    start();
    raw_text(&c, &fx.loop, GET("/hold"));
    spin_until(&fx.loop, &fx.nheld, 1);
    fx_hold_answer(0, "done");
    raw_expect(&c, &fx.loop, "done");
    raw_close(&c);
    spin(&fx.loop, 60);
    assert_int_equal(fx.aborts, 0);
    assert_int_equal(fx.server.nconnections, 0);
}

static void test_client_gone_in_body(void **state)
{
    (void)state;
    start();
    raw_text(&c, &fx.loop, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    spin(&fx.loop, 20);
    raw_close(&c);
    spin(&fx.loop, 60);
    assert_int_equal(fx.server.nconnections, 0);
    assert_int_equal(fx.handled + fx.aborts + fx.refusals, 0);
}

static void test_cut(void **state)
{
    (void)state;
    start();
    raw_text(&c, &fx.loop, GET("/hold"));
    spin_until(&fx.loop, &fx.nheld, 1);
    http_begin(fx.held[0], 200, "text/plain", "");
    http_send(fx.held[0], "part", 4);
    http_cut(fx.held[0]);
    raw_wait_eof(&c, &fx.loop);
    assert_int_equal(raw_count(&c, "part"), 1);
    assert_int_equal(raw_count(&c, "0\r\n\r\n"), 0);
    spin(&fx.loop, 20);
    assert_int_equal(fx.aborts, 0);
    assert_int_equal(fx.server.nconnections, 0);
}

/* ---- back-pressure ---- */

static void test_slow_reader_is_bounded(void **state)
{
    (void)state;
    fx.flow_total = (size_t)96 << 20;
    start();
    raw_text(&c, &fx.loop, GET("/flow"));
    spin(&fx.loop, 300); /* nobody reads */
    size_t stopped_at = fx.flow_sent;
    assert_true(stopped_at < (size_t)32 << 20); /* what the kernel takes, and the high-water mark */
    spin(&fx.loop, 100);
    assert_int_equal(fx.flow_sent, stopped_at);
    assert_true(fx.flow_queued_max <= HTTP_HIGH_WATER + 2 * 16384);
    assert_true(fx.flow_queued_max >= HTTP_HIGH_WATER);
    size_t got = 0;
    uint64_t end = now_ms() + 4 * WAIT_MS;
    while (fx.flow || got < fx.flow_total) {
        uv_run(&fx.loop.uv, UV_RUN_NOWAIT);
        got += raw_read(&c);
        buf_clear(&c.in);
        if (now_ms() > end)
            fail_msg("the stream stopped after %zu", got);
    }
    assert_true(fx.flow_queued_max <= HTTP_HIGH_WATER + 2 * 16384);
    assert_true(fx.drains > 10);
    raw_text(&c, &fx.loop, GET("/echo"));
    raw_expect(&c, &fx.loop, "HTTP/1.1 200");
}

/* Everything arrives in order and complete, also in small reads. */
static void test_flow_is_complete(void **state)
{
    (void)state;
    fx.flow_total = (size_t)4 << 20;
    start();
    int size = 131072; /* smaller, and the kernel's delays make this take minutes */
    setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    raw_text(&c, &fx.loop, GET("/flow"));
    raw_wait_len(&c, &fx.loop, fx.flow_total + fx.flow_total / 16384 * 8);
    raw_expect(&c, &fx.loop, "\r\n\r\n");
    for (size_t i = 0; i < fx.flow_total / 16384; i++) {
        assert_memory_equal(c.in.data, "4000\r\n", 6);
        assert_memory_equal(c.in.data + 6 + 16384, "\r\n", 2);
        buf_consume(&c.in, 16384 + 8);
    }
    raw_expect(&c, &fx.loop, "0\r\n\r\n");
}

/* ---- time limits ---- */

static void test_head_time(void **state)
{
    (void)state;
    fx_config.head_ms = 150;
    start();
    raw_text(&c, &fx.loop, "GET /echo HTT");
    uint64_t from = now_ms();
    while (!c.eof && now_ms() < from + 2000) { /* dribbling does not help */
        raw_text(&c, &fx.loop, "");
        spin(&fx.loop, 10);
        raw_text(&c, &fx.loop, c.in.len ? "" : "T");
        raw_read(&c);
    }
    assert_true(now_ms() - from < 600);
    assert_int_equal(
        raw_count(&c, "400 Bad Request") + raw_count(&c, "408 Request Timeout") + raw_count(&c, "505 "), 1);
}

static void test_head_time_in_fields(void **state)
{
    (void)state;
    fx_config.head_ms = 150;
    start();
    raw_text(&c, &fx.loop, "GET /echo HTTP/1.1\r\nHost: h\r\nX-A: ");
    uint64_t from = now_ms();
    while (!c.eof && now_ms() < from + 2000) {
        if (c.in.len == 0)
            raw_text(&c, &fx.loop, "a");
        spin(&fx.loop, 10);
        raw_read(&c);
    }
    assert_true(now_ms() - from >= 150 && now_ms() - from < 600);
    assert_int_equal(raw_count(&c, "408 Request Timeout"), 1);
    assert_int_equal(raw_count(&c, "Connection: close"), 1);
    assert_int_equal(fx.handled, 0);
}

static void test_body_time(void **state)
{
    (void)state;
    fx_config.body_ms = 150;
    start();
    raw_text(&c, &fx.loop, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
    uint64_t from = now_ms();
    while (!c.eof && now_ms() < from + 2000) {
        if (c.in.len == 0)
            raw_text(&c, &fx.loop, "a");
        spin(&fx.loop, 10);
        raw_read(&c);
    }
    assert_true(now_ms() - from >= 150 && now_ms() - from < 600);
    assert_int_equal(raw_count(&c, "408 Request Timeout"), 1);
}

static void test_idle_time(void **state)
{
    (void)state;
    fx_config.idle_ms = 100;
    start();
    raw_text(&c, &fx.loop, GET("/echo"));
    raw_expect(&c, &fx.loop, "\r\n\r\n");
    raw_wait_eof(&c, &fx.loop);
    assert_int_equal(c.in.len, 0); /* closed without a word */
    raw_close(&c);
    raw_tcp(&c, fx.port); /* also one that never says anything */
    raw_wait_eof(&c, &fx.loop);
    assert_int_equal(c.in.len, 0);
}

/* The limits of idle connections do not touch one whose request is being answered. */
static void test_no_limit_while_handled(void **state)
{
    (void)state;
    fx_config.idle_ms = fx_config.head_ms = fx_config.body_ms = fx_config.write_stall_ms = 60;
    start();
    raw_text(&c, &fx.loop, GET("/hold"));
    raw_quiet(&c, &fx.loop, 400);
    fx_hold_answer(0, "at last");
    raw_expect(&c, &fx.loop, "at last");
    assert_int_equal(fx.aborts, 0);
}

static void test_write_stall(void **state)
{
    (void)state;
    fx_config.write_stall_ms = 200;
    fx.flow_total = (size_t)64 << 20;
    start();
    raw_text(&c, &fx.loop, GET("/flow"));
    uint64_t from = now_ms();
    spin_until(&fx.loop, &fx.aborts, 1);
    assert_true(now_ms() - from >= 200 && now_ms() - from < 1500);
    spin(&fx.loop, 60);
    assert_int_equal(fx.aborts, 1);
    assert_int_equal(fx.server.nconnections, 0);
}

/* A client that takes nothing is cut although small pieces keep being queued (a stream of tokens). */
static void test_write_stall_with_a_slow_writer(void **state)
{
    (void)state;
    static char fill[64 << 10];
    fx_config.write_stall_ms = 200;
    start();
    int size = 4096;
    setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    raw_text(&c, &fx.loop, GET("/hold"));
    spin_until(&fx.loop, &fx.nheld, 1);
    http_begin(fx.held[0], 200, "text/plain", "");
    while (http_given(fx.held[0]) == http_taken(fx.held[0])) /* until the kernel takes no more */
        http_send(fx.held[0], fill, sizeof fill);
    uint64_t from = now_ms();
    while (fx.aborts == 0 && now_ms() < from + 3000) {
        http_send(fx.held[0], "token", 5);
        spin(&fx.loop, 20);
    }
    assert_int_equal(fx.aborts, 1);
    assert_true(now_ms() - from < 1500);
}

/* One large answer to a client that reads slowly but steadily must not be cut. */
static void test_no_stall_with_a_slow_reader(void **state)
{
    (void)state;
    static char large[8 << 20];
    fx_config.write_stall_ms = 150;
    start();
    int size = 65536;
    setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    raw_text(&c, &fx.loop, GET("/hold"));
    spin_until(&fx.loop, &fx.nheld, 1);
    http_respond(fx.held[0], 200, "text/plain", "", large, sizeof large);
    static char block[32768];
    size_t got = 0;
    uint64_t from = now_ms();
    while (got < sizeof large && now_ms() < from + 15000) {
        ssize_t n = recv(c.fd, block, sizeof block, 0);
        if (n == 0)
            break;
        got += n > 0 ? (size_t)n : 0;
        spin(&fx.loop, 2);
    }
    assert_true(got >= sizeof large);
    assert_true(now_ms() - from > 300); /* or else this tested nothing */
}

/* ---- draining ---- */

static void test_drain(void **state)
{
    (void)state;
    struct raw idle, half, stream;
    start();
    fx.flow_total = (size_t)8 << 20;
    raw_tcp(&idle, fx.port);
    raw_tcp(&half, fx.port);
    raw_tcp(&stream, fx.port);
    raw_text(&idle, &fx.loop, GET("/echo"));
    raw_expect(&idle, &fx.loop, "\r\n\r\n");
    raw_text(&half, &fx.loop, "GET /echo HT");
    raw_text(&c, &fx.loop, GET("/hold"));
    raw_text(&stream, &fx.loop, GET("/flow"));
    spin_until(&fx.loop, &fx.handled, 3);
    http_server_drain(&fx.server);
    raw_wait_eof(&idle, &fx.loop);
    raw_wait_eof(&half, &fx.loop);
    raw_quiet(&c, &fx.loop, 50);
    fx_hold_answer(0, "finished");
    raw_wait_eof(&c, &fx.loop);
    assert_int_equal(raw_count(&c, "finished"), 1);
    assert_int_equal(raw_count(&c, "Connection: close"), 1);
    raw_wait_eof(&stream, &fx.loop);
    assert_int_equal(raw_count(&stream, "0\r\n\r\n"), 1);
    assert_true(stream.in.len > fx.flow_total);
    spin(&fx.loop, 20);
    assert_int_equal(fx.server.nconnections, 0);
    assert_int_equal(fx.aborts, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(fx.port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), -1);
    (void)close(fd);
    raw_close(&idle);
    raw_close(&half);
    raw_close(&stream);
}

/* Draining with requests pipelined behind: the one that runs is answered, the others are not begun. */
static void test_drain_with_bytes_ahead(void **state)
{
    (void)state;
    start();
    raw_text(&c, &fx.loop, GET("/hold") GET("/echo"));
    spin_until(&fx.loop, &fx.nheld, 1);
    spin(&fx.loop, 20);
    http_server_drain(&fx.server);
    fx_hold_answer(0, "finished");
    raw_wait_eof(&c, &fx.loop);
    assert_int_equal(raw_count(&c, "HTTP/1.1 200"), 1);
    assert_int_equal(fx.handled, 1);
}

static struct http_request *other;

static void abort_answers_other(struct http_request *r, void *ctx)
{
    (void)r;
    (void)ctx;
    fx.aborts++;
    if (other) {
        struct http_request *o = other;
        other = NULL;
        http_respond(o, 503, "text/plain", "", "gone", 4);
    }
}

/* Closing aborts what runs; an on_abort may end another request meanwhile, in either order of the connections. */
static void test_close_with_entangled_aborts(void **state)
{
    (void)state;
    struct raw more[3];
    start();
    raw_text(&c, &fx.loop, GET("/hold"));
    spin_until(&fx.loop, &fx.nheld, 1);
    for (int i = 0; i < 3; i++) {
        raw_tcp(&more[i], fx.port);
        raw_text(&more[i], &fx.loop, GET("/hold"));
        spin_until(&fx.loop, &fx.nheld, i + 2);
    }
    fx.held[0]->owner.on_abort = abort_answers_other;
    other = fx.held[1]; /* the next on the server's list */
    http_server_close(&fx.server);
    assert_int_equal(fx.server.nconnections, 0);
    assert_int_equal(fx.aborts, 3);
    for (int i = 0; i < 3; i++)
        raw_close(&more[i]);
}

int main(void)
{
#define FLOW_TEST(f) cmocka_unit_test_setup_teardown(f, fx_setup, teardown)
    const struct CMUnitTest tests[] = {
        FLOW_TEST(test_abort_once),
        FLOW_TEST(test_abort_by_reset),
        FLOW_TEST(test_abort_in_stream),
        FLOW_TEST(test_abort_with_bytes_ahead),
        FLOW_TEST(test_no_abort_after_answer),
        FLOW_TEST(test_client_gone_in_body),
        FLOW_TEST(test_cut),
        FLOW_TEST(test_slow_reader_is_bounded),
        FLOW_TEST(test_flow_is_complete),
        FLOW_TEST(test_head_time),
        FLOW_TEST(test_head_time_in_fields),
        FLOW_TEST(test_body_time),
        FLOW_TEST(test_idle_time),
        FLOW_TEST(test_no_limit_while_handled),
        FLOW_TEST(test_write_stall),
        FLOW_TEST(test_write_stall_with_a_slow_writer),
        FLOW_TEST(test_no_stall_with_a_slow_reader),
        FLOW_TEST(test_drain),
        FLOW_TEST(test_drain_with_bytes_ahead),
        FLOW_TEST(test_close_with_entangled_aborts),
    };
    return cmocka_run_group_tests_name("http_flow", tests, NULL, NULL);
}
