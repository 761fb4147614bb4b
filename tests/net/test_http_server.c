/* SPDX-License-Identifier: Apache-2.0 */
/* The server's answers: framing, keep-alive, pipelining, refusals, limits. Aborts and time are in test_http_flow.c. */
#include "tests/net/server_support.h"

#include <sys/socket.h>
#include <unistd.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(path, body, n) "POST " path " HTTP/1.1\r\nHost: h\r\nContent-Length: " #n "\r\n\r\n" body

static struct raw c;

static int setup(void **state)
{
    fx_setup(state);
    fx_start();
    raw_tcp(&c, fx.port);
    return 0;
}

static int teardown(void **state)
{
    raw_close(&c);
    return fx_teardown(state);
}

static void test_keep_alive(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        raw_text(&c, &fx.loop, POST("/echo", "hello", 5));
        raw_expect(&c, &fx.loop, "HTTP/1.1 200 OK\r\n");
        raw_expect(&c, &fx.loop, "Content-Length: 5\r\n\r\nhello");
    }
    assert_int_equal(fx.server.requests, 3);
    assert_int_equal(fx.server.nconnections, 1);
}

static void test_chunked_request(void **state)
{
    (void)state;
    raw_text(&c, &fx.loop,
             "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    spin(&fx.loop, 10);
    raw_text(&c, &fx.loop, "4\r\ndefg\r\n0\r");
    raw_quiet(&c, &fx.loop, 20);
    raw_text(&c, &fx.loop, "\n\r\n");
    raw_expect(&c, &fx.loop, "\r\n\r\nabcdefg");
    raw_text(&c, &fx.loop, GET("/echo"));
    raw_expect(&c, &fx.loop, "Content-Length: 0\r\n\r\n");
}

static void test_chunked_answer(void **state)
{
    (void)state;
    raw_text(&c, &fx.loop, GET("/chunks"));
    raw_expect(&c, &fx.loop,
               "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n");
    raw_text(&c, &fx.loop, GET("/fields?a=b"));
    raw_expect(&c, &fx.loop, "X-Extra: yes\r\n");
    raw_expect(&c, &fx.loop, "local=0");
    raw_expect(&c, &fx.loop, "query=a=b");
}

static void test_pipelined_at_once(void **state)
{
    (void)state;
    raw_text(&c, &fx.loop, POST("/echo", "1", 1) GET("/chunks") POST("/echo", "2", 1) POST("/echo", "3", 1));
    raw_expect(&c, &fx.loop, "\r\n\r\n1HTTP/1.1 200");
    raw_expect(&c, &fx.loop, "three\r\n0\r\n\r\nHTTP/1.1 200");
    raw_expect(&c, &fx.loop, "\r\n\r\n2HTTP/1.1 200");
    raw_expect(&c, &fx.loop, "\r\n\r\n3");
    raw_quiet(&c, &fx.loop, 20);
    assert_int_equal(fx.handled, 4);
}

/* Requests that come while one is answered wait; they are handled in order, one at a time. */
static void test_pipelined_behind_held(void **state)
{
    (void)state;
    raw_text(&c, &fx.loop, GET("/hold") GET("/hold") POST("/echo", "last", 4));
    spin_until(&fx.loop, &fx.nheld, 1);
    raw_quiet(&c, &fx.loop, 20);
    assert_int_equal(fx.nheld, 1);
    fx_hold_answer(0, "first");
    raw_expect(&c, &fx.loop, "first");
    spin_until(&fx.loop, &fx.nheld, 2);
    raw_text(&c, &fx.loop, POST("/echo", "more", 4));
    raw_quiet(&c, &fx.loop, 20);
    fx_hold_answer(1, "second");
    raw_expect(&c, &fx.loop, "second");
    raw_expect(&c, &fx.loop, "last");
    raw_expect(&c, &fx.loop, "more");
    assert_int_equal(fx.aborts, 0);
}

static void test_pipelined_byte_by_byte(void **state)
{
    (void)state;
    const char *text = POST("/echo", "abc", 3) GET("/chunks") POST("/echo", "xyz", 3);
    for (size_t i = 0; i < strlen(text); i++) {
        raw_send(&c, &fx.loop, text + i, 1);
        uv_run(&fx.loop.uv, UV_RUN_NOWAIT);
    }
    raw_expect(&c, &fx.loop, "abc");
    raw_expect(&c, &fx.loop, "three");
    raw_expect(&c, &fx.loop, "xyz");
}

/* One handler answers a request of another connection: what that one sent ahead must be looked at too. */
static void test_answer_across_connections(void **state)
{
    (void)state;
    struct raw other;
    raw_tcp(&other, fx.port);
    raw_text(&c, &fx.loop, GET("/hold") POST("/echo", "ahead", 5));
    spin_until(&fx.loop, &fx.nheld, 1);
    spin(&fx.loop, 20);
    raw_text(&other, &fx.loop, POST("/echo", "x", 1) GET("/answer"));
    raw_expect(&other, &fx.loop, "self");
    raw_expect(&c, &fx.loop, "held");
    raw_expect(&c, &fx.loop, "ahead");
    raw_close(&other);
}

static void test_expect_continue(void **state)
{
    (void)state;
    raw_text(&c, &fx.loop,
             "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    raw_expect(&c, &fx.loop, "HTTP/1.1 100 Continue\r\n\r\n");
    raw_quiet(&c, &fx.loop, 20);
    raw_text(&c, &fx.loop, "ok");
    raw_expect(&c, &fx.loop, "HTTP/1.1 200 OK\r\n");
    raw_expect(&c, &fx.loop, "\r\n\r\nok");
    raw_text(&c, &fx.loop,
             "POST /forbidden HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    raw_wait_eof(&c, &fx.loop);
    assert_int_equal(raw_count(&c, "100 Continue"), 0);
    assert_int_equal(raw_count(&c, "403 Forbidden"), 1);
}

static void test_expect_other(void **state)
{
    (void)state;
    raw_text(&c, &fx.loop, "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: tea\r\nContent-Length: 2\r\n\r\n");
    raw_expect(&c, &fx.loop, "HTTP/1.1 417 ");
    raw_wait_eof(&c, &fx.loop);
}

/* RFC 9110 10.1.1: in an HTTP/1.0 request the expectation MUST be ignored. */
static void test_expect_in_1_0(void **state)
{
    (void)state;
    raw_text(&c, &fx.loop, "POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok");
    raw_wait_eof(&c, &fx.loop);
    assert_int_equal(raw_count(&c, "100 Continue"), 0);
    assert_int_equal(raw_count(&c, "HTTP/1.1 200 OK"), 1);
}

static void test_head(void **state)
{
    (void)state;
    raw_text(&c, &fx.loop, "HEAD /fields HTTP/1.1\r\nHost: h\r\n\r\n" POST("/echo", "b", 1));
    raw_expect(&c, &fx.loop, "HTTP/1.1 200 OK");
    raw_expect(&c, &fx.loop, "\r\n\r\nHTTP/1.1 200 OK");
    raw_expect(&c, &fx.loop, "\r\n\r\nb");
    raw_text(&c, &fx.loop, "HEAD /chunks HTTP/1.1\r\nHost: h\r\n\r\n" POST("/echo", "d", 1));
    raw_expect(&c, &fx.loop, "Transfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK");
    raw_expect(&c, &fx.loop, "\r\n\r\nd");
}

/* A refusal after a HEAD request has its body: it does not answer the HEAD. */
static void test_refusal_after_head(void **state)
{
    (void)state;
    raw_text(&c, &fx.loop, "HEAD /fields HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_expect(&c, &fx.loop, "\r\n\r\n");
    raw_text(&c, &fx.loop, "NONSENSE\r\n\r\n");
    raw_expect(&c, &fx.loop, "HTTP/1.1 400 Bad Request");
    raw_expect(&c, &fx.loop, "\"status\":400");
    raw_wait_eof(&c, &fx.loop);
}

/* RFC 9110 8.6: no Content-Length in a 204. */
static void test_no_content(void **state)
{
    (void)state;
    raw_text(&c, &fx.loop, GET("/nothing"));
    raw_wait_len(&c, &fx.loop, 20);
    spin(&fx.loop, 10);
    raw_read(&c);
    assert_int_equal(raw_count(&c, "204 No Content"), 1);
    assert_int_equal(raw_count(&c, "Content-Length"), 0);
    raw_expect(&c, &fx.loop, "\r\n\r\n");
    raw_text(&c, &fx.loop, POST("/echo", "z", 1));
    raw_expect(&c, &fx.loop, "\r\n\r\nz");
}

static void test_http_1_0(void **state)
{
    (void)state;
    raw_text(&c, &fx.loop, "POST /echo HTTP/1.0\r\nContent-Length: 2\r\n\r\nok");
    raw_wait_eof(&c, &fx.loop);
    assert_int_equal(raw_count(&c, "Connection: close"), 1);
    raw_expect(&c, &fx.loop, "\r\n\r\nok");
    raw_close(&c);
    raw_tcp(&c, fx.port);
    raw_text(&c, &fx.loop, "GET /chunks HTTP/1.0\r\n\r\n");
    raw_wait_eof(&c, &fx.loop);
    assert_int_equal(raw_count(&c, "chunked"), 0);
    raw_expect(&c, &fx.loop, "\r\n\r\nonetwothree");
    assert_int_equal(c.in.len, 0);
}

static void test_connection_close(void **state)
{
    (void)state;
    raw_text(&c, &fx.loop, "GET /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" GET("/echo"));
    raw_wait_eof(&c, &fx.loop);
    assert_int_equal(raw_count(&c, "HTTP/1.1 200"), 1);
    assert_int_equal(raw_count(&c, "Connection: close"), 1);
    assert_int_equal(fx.handled, 1);
}

static void test_malformed(void **state)
{
    (void)state;
    raw_text(&c, &fx.loop, POST("/echo", "a", 1) "GARBAGE\r\n\r\n" POST("/echo", "b", 1));
    raw_wait_eof(&c, &fx.loop);
    assert_int_equal(raw_count(&c, "HTTP/1.1 200"), 1);
    assert_int_equal(raw_count(&c, "HTTP/1.1 400"), 1);
    assert_int_equal(raw_count(&c, "Connection: close"), 1);
    assert_int_equal(fx.handled, 1);
    assert_int_equal(fx.refusals, 1);
    assert_int_equal(fx.server.refused, 1);
    raw_close(&c);
    spin(&fx.loop, 20);
    assert_int_equal(fx.server.nconnections, 0);
}

static void test_body_limits(void **state)
{
    (void)state;
    raw_text(&c, &fx.loop, "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n");
    raw_expect(&c, &fx.loop, "HTTP/1.1 413 ");
    raw_wait_eof(&c, &fx.loop);
    raw_close(&c);
    raw_tcp(&c, fx.port);
    raw_text(&c, &fx.loop, "POST /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    char chunk[512] = "1f4\r\n";
    memset(chunk + 5, 'x', 500);
    memcpy(chunk + 505, "\r\n", 2);
    raw_send(&c, &fx.loop, chunk, 507);
    raw_send(&c, &fx.loop, chunk, 507);
    raw_quiet(&c, &fx.loop, 20);
    raw_text(&c, &fx.loop, "1\r\nx\r\n");
    raw_expect(&c, &fx.loop, "HTTP/1.1 413 ");
    raw_wait_eof(&c, &fx.loop);
    assert_int_equal(fx.handled, 0);
    raw_close(&c);
    raw_tcp(&c, fx.port);
    raw_text(&c, &fx.loop, "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
    raw_send(&c, &fx.loop, chunk, 500);
    raw_send(&c, &fx.loop, chunk, 500);
    raw_expect(&c, &fx.loop, "HTTP/1.1 200 ");
}

/* A refusal must reach a client that is still sending: closing with bytes unread would reset the connection. */
static void test_refusal_while_client_sends(void **state)
{
    (void)state;
    static char body[1 << 20];
    memset(body, 'x', sizeof body);
    raw_text(&c, &fx.loop, "POST /forbidden HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n");
    raw_send(&c, &fx.loop, body, sizeof body);
    raw_wait_eof(&c, &fx.loop);
    assert_int_equal(raw_count(&c, "HTTP/1.1 403"), 1);
    assert_false(c.reset);
}

static void test_ahead_is_bounded(void **state)
{
    (void)state;
    static char more[HTTP_AHEAD_MAX];
    memset(more, 'x', sizeof more);
    raw_text(&c, &fx.loop, GET("/hold"));
    spin_until(&fx.loop, &fx.nheld, 1);
    raw_send(&c, &fx.loop, more, sizeof more);
    raw_send(&c, &fx.loop, more, sizeof more);
    spin_until(&fx.loop, &fx.aborts, 1);
    raw_wait_eof(&c, &fx.loop);
}

static void test_connections_max(void **state)
{
    (void)state;
    struct raw many[100];
    spin(&fx.loop, 20);
    for (int i = 0; i < 99; i++)
        raw_tcp(&many[i], fx.port);
    spin(&fx.loop, 50);
    assert_int_equal(fx.server.nconnections, 100);
    raw_tcp(&many[99], fx.port);
    raw_wait_eof(&many[99], &fx.loop);
    raw_close(&many[99]);
    raw_close(&many[0]);
    spin(&fx.loop, 20);
    raw_tcp(&many[0], fx.port);
    raw_text(&many[0], &fx.loop, GET("/echo"));
    raw_expect(&many[0], &fx.loop, "HTTP/1.1 200");
    for (int i = 0; i < 99; i++)
        raw_close(&many[i]);
}

static void test_unix_socket(void **state)
{
    (void)state;
    struct raw u;
    char want[64];
    raw_unix(&u, fx.path);
    raw_text(&u, &fx.loop, GET("/fields"));
    (void)snprintf(want, sizeof want, "local=1 uid=%u", getuid());
    raw_expect(&u, &fx.loop, want);
    raw_text(&u, &fx.loop, POST("/echo", "over unix", 9));
    raw_expect(&u, &fx.loop, "over unix");
    raw_close(&u);
}

/* A path that does not fit into a socket address must be an error, not another path. */
static void test_unix_path_too_long(void **state)
{
    (void)state;
    char path[160];
    struct err err = {0};
    (void)snprintf(path, sizeof path, "%s/%0100d", fx.dir, 7);
    assert_true(http_listen_unix(&fx.server, path, &err) < 0);
    assert_true(err.msg[0]);
}

static void test_taken_and_given(void **state)
{
    (void)state;
    raw_text(&c, &fx.loop, GET("/hold"));
    spin_until(&fx.loop, &fx.nheld, 1);
    struct http_request *r = fx.held[0];
    http_begin(r, 200, "text/plain", "");
    uint64_t head = http_given(r);
    assert_true(head > 50 && http_taken(r) == head);
    http_send(r, "0123456789", 10);
    assert_int_equal(http_given(r) - head, 3 + 10 + 2);
    assert_int_equal(http_taken(r), http_given(r));
    http_end(r, NULL, 0);
    raw_expect(&c, &fx.loop, "0\r\n\r\n");
}

static void test_trim(void **state)
{
    (void)state;
    size_t len;
    raw_text(&c, &fx.loop, "GET /hold HTTP/1.1\r\nHost: h\r\nX-A: b\r\n\r\n");
    spin_until(&fx.loop, &fx.nheld, 1);
    assert_non_null(http_request_field(fx.held[0], "x-a", &len));
    assert_int_equal(len, 1);
    http_request_trim(fx.held[0]);
    assert_null(http_request_field(fx.held[0], "x-a", &len));
    assert_int_equal(fx.held[0]->path_len, 0);
    fx_hold_answer(0, "fine");
    raw_expect(&c, &fx.loop, "fine");
    raw_text(&c, &fx.loop, POST("/echo", "and on", 6));
    raw_expect(&c, &fx.loop, "and on");
}

int main(void)
{
#define SERVER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        SERVER_TEST(test_keep_alive),
        SERVER_TEST(test_chunked_request),
        SERVER_TEST(test_chunked_answer),
        SERVER_TEST(test_pipelined_at_once),
        SERVER_TEST(test_pipelined_behind_held),
        SERVER_TEST(test_pipelined_byte_by_byte),
        SERVER_TEST(test_answer_across_connections),
        SERVER_TEST(test_expect_continue),
        SERVER_TEST(test_expect_other),
        SERVER_TEST(test_expect_in_1_0),
        SERVER_TEST(test_head),
        SERVER_TEST(test_refusal_after_head),
        SERVER_TEST(test_no_content),
        SERVER_TEST(test_http_1_0),
        SERVER_TEST(test_connection_close),
        SERVER_TEST(test_malformed),
        SERVER_TEST(test_body_limits),
        SERVER_TEST(test_refusal_while_client_sends),
        SERVER_TEST(test_ahead_is_bounded),
        SERVER_TEST(test_connections_max),
        SERVER_TEST(test_unix_socket),
        SERVER_TEST(test_unix_path_too_long),
        SERVER_TEST(test_taken_and_given),
        SERVER_TEST(test_trim),
    };
    return cmocka_run_group_tests_name("http_server", tests, NULL, NULL);
}
