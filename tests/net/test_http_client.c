/* SPDX-License-Identifier: Apache-2.0 */
/* The client: answers in every framing, reuse, the one retry, time limits, cancelling, pausing, broken upstreams. */
#include "tests/net/client_support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/net/corpus.h"

static void body_is(const char *text)
{
    assert_int_equal(cx.seen.body.len, strlen(text));
    if (*text)
        assert_memory_equal(cx.seen.body.data, text, strlen(text));
}

/* A call that is answered well on a connection that is then kept. */
static void warm(struct raw *up)
{
    cx_call();
    raw_accept(up, &cx.loop, cx.listener);
    cx_request(up);
    raw_text(up, &cx.loop, ANSWER("warm", 4));
    assert_int_equal(cx_end(), 0);
    body_is("warm");
}

static void test_request_and_answer(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    cx_call();
    raw_accept(&up, &cx.loop, cx.listener);
    raw_expect(&up, &cx.loop, "POST /base/v1/x HTTP/1.1\r\nHost: 127.0.0.1");
    raw_expect(&up, &cx.loop, "Content-Length: 4\r\n\r\nping");
    raw_text(&up, &cx.loop, "HTTP/1.1 201 Created\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\no");
    spin(&cx.loop, 20);
    assert_int_equal(cx.seen.heads, 1);
    assert_int_equal(cx.seen.ends, 0);
    raw_text(&up, &cx.loop, "k");
    assert_int_equal(cx_end(), 0);
    assert_int_equal(cx.seen.status, 201);
    assert_string_equal(cx.seen.type, "a/b");
    body_is("ok");
    raw_close(&up);
}

static void test_reuse(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    warm(&up);
    for (int i = 0; i < 3; i++) {
        cx_call();
        cx_request(&up);
        raw_text(&up, &cx.loop, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
        spin(&cx.loop, 5);
        raw_text(&up, &cx.loop, "1\r\nc\r\n0\r\n\r\n");
        assert_int_equal(cx_end(), 0);
        body_is("abc");
    }
    assert_false(raw_pending(cx.listener));
    raw_close(&up);
}

static void test_call_from_end(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    cx.seen.call_again_in_end = true;
    cx_call();
    raw_accept(&up, &cx.loop, cx.listener);
    cx_request(&up);
    raw_text(&up, &cx.loop, ANSWER("one", 3));
    cx_request(&up); /* the same connection again */
    raw_text(&up, &cx.loop, ANSWER("two", 3));
    assert_int_equal(cx_end(), 0);
    body_is("two");
    raw_close(&up);
}

static void test_two_at_once(void **state)
{
    (void)state;
    struct raw a, b;
    struct seen first;
    cx_start();
    cx_call();
    raw_accept(&a, &cx.loop, cx.listener);
    cx_request(&a);
    first = cx.seen; /* the call keeps pointing at cx.seen: only its connection matters here */
    http_call_cancel(first.call);
    cx_call();
    raw_accept(&b, &cx.loop, cx.listener);
    cx_request(&b);
    raw_wait_eof(&a, &cx.loop);
    raw_text(&b, &cx.loop, ANSWER("b", 1));
    assert_int_equal(cx_end(), 0);
    raw_close(&a);
    raw_close(&b);
}

/* What ends a connection's use: the peer says so, the end is the connection's end, or bytes come out of turn. */
static void test_not_reused(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool closes;
    } table[] = {
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false},
        {"HTTP/1.1 200 OK\r\n\r\nx", true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
         false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx\r\n", false},
    };
    cx_start();
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct raw up;
        cx_call();
        raw_accept(&up, &cx.loop, cx.listener);
        cx_request(&up);
        raw_text(&up, &cx.loop, table[i].answer);
        if (table[i].closes)
            shutdown(up.fd, SHUT_WR);
        assert_int_equal(cx_end(), 0);
        body_is("x");
        raw_wait_eof(&up, &cx.loop);
        raw_close(&up);
    }
}

static void test_late_extra_bytes(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    warm(&up);
    raw_text(&up, &cx.loop, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    raw_wait_eof(&up, &cx.loop);
    raw_close(&up);
    warm(&up);
    raw_close(&up);
}

static void test_idle_limits(void **state)
{
    (void)state;
    struct raw up;
    cx.config.idle_ms = 100;
    cx_start();
    warm(&up);
    raw_wait_eof(&up, &cx.loop);
    raw_close(&up);
    http_client_free(cx.client);
    cx.config.idle_max = 0;
    cx_start();
    warm(&up);
    raw_wait_eof(&up, &cx.loop);
    raw_close(&up);
}

/* ---- interim answers ---- */

static void test_interim(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    for (int cut = 0; cut < 3; cut++) {
        cx_call();
        if (cut == 0)
            raw_accept(&up, &cx.loop, cx.listener);
        cx_request(&up);
        raw_text(&up, &cx.loop, "HTTP/1.1 100 Continue\r\n\r\n");
        spin(&cx.loop, cut * 5);
        raw_text(&up, &cx.loop, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200");
        spin(&cx.loop, cut * 5);
        raw_text(&up, &cx.loop, " OK\r\nContent-Length: 2\r\n\r\nok");
        assert_int_equal(cx_end(), 0);
        assert_int_equal(cx.seen.heads, 1);
        assert_int_equal(cx.seen.status, 200);
        body_is("ok");
    }
    assert_false(raw_pending(cx.listener));
    raw_close(&up);
}

static void test_interim_flood(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    cx_call();
    raw_accept(&up, &cx.loop, cx.listener);
    cx_request(&up);
    for (int i = 0; i < 20000 && cx.seen.ends == 0; i++)
        raw_text(&up, &cx.loop, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(cx_end(), ERR_UPSTREAM);
    raw_close(&up);
}

/* ---- the one retry ---- */

/* The engine closed a kept connection just as it is used again: the client learns of it only after sending. */
static void test_retry_on_stale(void **state)
{
    (void)state;
    struct raw up, fresh;
    for (int hard = 0; hard < 2; hard++) {
        cx_start();
        warm(&up);
        if (hard) {
            struct linger linger = {.l_onoff = 1};
            setsockopt(up.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        }
        raw_close(&up);
        cx_call();
        raw_accept(&fresh, &cx.loop, cx.listener);
        cx_request(&fresh);
        raw_text(&fresh, &cx.loop, ANSWER("again", 5));
        assert_int_equal(cx_end(), 0);
        body_is("again");
        assert_int_equal(cx.seen.heads, 1);
        spin(&cx.loop, 20);
        assert_int_equal(cx.seen.ends, 1);
        raw_close(&fresh);
        http_client_free(cx.client);
        cx.client = NULL;
    }
}

static void test_retry_once_only(void **state)
{
    (void)state;
    struct raw up, fresh;
    cx_start();
    warm(&up);
    raw_close(&up);
    cx_call();
    raw_accept(&fresh, &cx.loop, cx.listener);
    cx_request(&fresh);
    raw_close(&fresh);
    assert_int_equal(cx_end(), ERR_UPSTREAM);
    spin(&cx.loop, 30);
    assert_false(raw_pending(cx.listener));
    assert_int_equal(cx.seen.ends, 1);
}

static void test_no_retry_on_fresh(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    cx_call();
    raw_accept(&up, &cx.loop, cx.listener);
    cx_request(&up);
    raw_close(&up);
    assert_int_equal(cx_end(), ERR_UPSTREAM);
    spin(&cx.loop, 30);
    assert_false(raw_pending(cx.listener));
}

static void test_no_retry_after_a_byte(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    warm(&up);
    cx_call();
    cx_request(&up);
    raw_text(&up, &cx.loop, "H");
    spin(&cx.loop, 20);
    raw_close(&up);
    assert_int_equal(cx_end(), ERR_UPSTREAM);
    spin(&cx.loop, 30);
    assert_false(raw_pending(cx.listener));
    assert_int_equal(cx.seen.heads, 0);
}

static void test_no_retry_after_time(void **state)
{
    (void)state;
    struct raw up;
    cx.config.first_byte_ms = 100;
    cx_start();
    warm(&up);
    cx_call();
    cx_request(&up);
    assert_int_equal(cx_end(), ERR_TIMEOUT);
    spin(&cx.loop, 30);
    assert_false(raw_pending(cx.listener));
    raw_close(&up);
}

/* A kept connection that was closed while nobody used it is simply not there any more. */
static void test_idle_closed_by_peer(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    warm(&up);
    raw_close(&up);
    spin(&cx.loop, 30);
    warm(&up);
    raw_close(&up);
}

/* ---- time limits ---- */

static void test_connect_refused(void **state)
{
    (void)state;
    cx_start();
    (void)close(cx.listener);
    uint64_t from = now_ms();
    cx_call();
    assert_int_equal(cx_end(), ERR_UNAVAILABLE);
    assert_true(now_ms() - from < 500);
}

static void test_connect_time(void **state)
{
    (void)state;
    struct sockaddr_in addr = {.sin_family = AF_INET};
    int fill[64];
    cx.config.connect_ms = 150;
    cx_start();
    int full = raw_listen(&cx.port, 0);
    cx.endpoint.port = cx.port;
    addr.sin_port = htons(cx.port);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < 64; i++) { /* a full queue answers no SYN */
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fill[i], (struct sockaddr *)&addr, sizeof addr);
    }
    uint64_t from = now_ms();
    cx_call();
    assert_int_equal(cx_end(), ERR_UNAVAILABLE);
    assert_true(now_ms() - from >= 150 && now_ms() - from < 600);
    for (size_t i = 0; i < 64; i++)
        (void)close(fill[i]);
    (void)close(full);
}

static void test_first_byte_time(void **state)
{
    (void)state;
    struct raw up;
    cx.config.first_byte_ms = 150;
    cx_start();
    uint64_t from = now_ms();
    cx_call();
    raw_accept(&up, &cx.loop, cx.listener);
    assert_int_equal(cx_end(), ERR_TIMEOUT);
    assert_true(now_ms() - from >= 150 && now_ms() - from < 600);
    assert_int_equal(cx.seen.heads, 0);
    raw_wait_eof(&up, &cx.loop);
    raw_close(&up);
}

static void test_between_time(void **state)
{
    (void)state;
    struct raw up;
    cx.config.between_ms = 150;
    cx_start();
    cx_call();
    raw_accept(&up, &cx.loop, cx.listener);
    cx_request(&up);
    spin(&cx.loop, 300); /* not yet: the first byte has its own, longer limit */
    assert_int_equal(cx.seen.ends, 0);
    raw_text(&up, &cx.loop, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 5; i++) { /* steady, in all longer than the limit */
        spin(&cx.loop, 60);
        raw_text(&up, &cx.loop, "1\r\nx\r\n");
    }
    assert_int_equal(cx.seen.ends, 0);
    assert_int_equal(cx_end(), ERR_TIMEOUT);
    body_is("xxxxx");
    raw_wait_eof(&up, &cx.loop);
    raw_close(&up);
}

/* ---- cancelling ---- */

static void cancelled(struct raw *up)
{
    assert_null(cx.seen.call);
    raw_wait_eof(up, &cx.loop);
    raw_close(up);
    spin(&cx.loop, 30);
    assert_int_equal(cx.seen.ends, 0);
    warm(up); /* the client goes on */
    raw_close(up);
}

static void test_cancel_at_once(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    cx_call();
    http_call_cancel(cx.seen.call);
    cx.seen.call = NULL;
    raw_accept(&up, &cx.loop, cx.listener);
    cancelled(&up);
}

static void test_cancel_while_waiting(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    cx_call();
    raw_accept(&up, &cx.loop, cx.listener);
    cx_request(&up);
    http_call_cancel(cx.seen.call);
    cx.seen.call = NULL;
    cancelled(&up);
}

static void test_cancel_in_head(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    cx.seen.cancel_in_head = true;
    cx_call();
    raw_accept(&up, &cx.loop, cx.listener);
    cx_request(&up);
    raw_text(&up, &cx.loop, ANSWER("never", 5));
    spin_until(&cx.loop, &cx.seen.heads, 1);
    assert_int_equal(cx.seen.bodies, 0);
    cx.seen.cancel_in_head = false;
    cancelled(&up);
}

static void test_cancel_in_body(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    cx.seen.cancel_in_body = true;
    cx_call();
    raw_accept(&up, &cx.loop, cx.listener);
    cx_request(&up);
    raw_text(&up, &cx.loop,
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    spin_until(&cx.loop, &cx.seen.bodies, 1);
    body_is("a");
    cx.seen.cancel_in_body = false;
    cancelled(&up);
}

static void test_cancel_paused(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    cx.seen.pause_in_body = true;
    cx_call();
    raw_accept(&up, &cx.loop, cx.listener);
    cx_request(&up);
    raw_text(&up, &cx.loop, "HTTP/1.1 200 OK\r\n\r\nabc");
    spin_until(&cx.loop, &cx.seen.bodies, 1);
    http_call_cancel(cx.seen.call);
    cx.seen.call = NULL;
    cx.seen.pause_in_body = false;
    cancelled(&up);
}

/* ---- back-pressure ---- */

static void test_pause_and_resume(void **state)
{
    (void)state;
    static char block[65536];
    struct raw up;
    cx.config.between_ms = 100;
    cx_start();
    cx.seen.pause_in_body = true;
    cx_call();
    raw_accept(&up, &cx.loop, cx.listener);
    cx_request(&up);
    raw_text(&up, &cx.loop, "HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n");
    size_t sent = 0;
    uint64_t end = now_ms() + 400;
    while (now_ms() < end) { /* the upstream pushes; the client takes one read's worth */
        ssize_t n = send(up.fd, block, sizeof block, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        spin(&cx.loop, 1);
    }
    size_t stopped = cx.seen.body.len;
    assert_true(stopped > 0 && stopped <= 2 * LOOP_READ_BUF);
    assert_int_equal(cx.seen.ends, 0); /* and no limit passes while it is the client that is slow */
    assert_true(sent > stopped && sent < 16777216);
    for (int i = 0; i < 50; i++) { /* resumed, it takes a little more each time, and loses nothing */
        http_call_resume(cx.seen.call);
        http_call_resume(cx.seen.call);
        spin(&cx.loop, 2);
        assert_true(cx.seen.body.len <= stopped + 2 * LOOP_READ_BUF);
        stopped = cx.seen.body.len;
    }
    cx.seen.pause_in_body = false;
    http_call_resume(cx.seen.call);
    while (sent < 16777216) {
        size_t want = 16777216 - sent < sizeof block ? 16777216 - sent : sizeof block;
        ssize_t n = send(up.fd, block, want, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        uv_run(&cx.loop.uv, UV_RUN_NOWAIT);
    }
    assert_int_equal(cx_end(), 0);
    assert_int_equal(cx.seen.body.len, 16777216);
    raw_close(&up);
}

static void test_pause_in_head_then_end(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    cx.seen.pause_in_head = true;
    cx_call();
    raw_accept(&up, &cx.loop, cx.listener);
    cx_request(&up);
    raw_text(&up, &cx.loop, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    spin_until(&cx.loop, &cx.seen.heads, 1);
    raw_text(&up, &cx.loop, "late");
    spin(&cx.loop, 50);
    assert_int_equal(cx.seen.bodies, 0);
    http_call_resume(cx.seen.call);
    assert_int_equal(cx_end(), 0);
    body_is("late");
    cx.seen.pause_in_head = false;
    cx_call(); /* the kept connection reads again */
    cx_request(&up);
    raw_text(&up, &cx.loop, ANSWER("on", 2));
    assert_int_equal(cx_end(), 0);
    raw_close(&up);
}

/* The upstream ends while the call is paused: seen after resuming, with all its bytes. */
static void test_end_while_paused(void **state)
{
    (void)state;
    struct raw up;
    cx_start();
    cx.seen.pause_in_head = true;
    cx_call();
    raw_accept(&up, &cx.loop, cx.listener);
    cx_request(&up);
    raw_text(&up, &cx.loop, "HTTP/1.1 200 OK\r\n\r\n");
    spin_until(&cx.loop, &cx.seen.heads, 1);
    raw_text(&up, &cx.loop, "the rest");
    raw_close(&up);
    spin(&cx.loop, 50);
    assert_int_equal(cx.seen.ends, 0);
    http_call_resume(cx.seen.call);
    assert_int_equal(cx_end(), 0);
    body_is("the rest");
}

/* ---- upstreams that misbehave ---- */

static void test_corpus(void **state)
{
    (void)state;
    struct corpus *corpus = corpus_read(CORPUS_DIR "/responses.corpus");
    cx_start();
    for (size_t i = 0; i < corpus->n; i++) {
        const struct corpus_case *c = &corpus->cases[i];
        struct raw up;
        cx_call();
        raw_accept(&up, &cx.loop, cx.listener);
        cx_request(&up);
        raw_send(&up, &cx.loop, c->bytes.data, c->bytes.len);
        shutdown(up.fd, SHUT_WR);
        int rc = cx_end();
        bool good = strncmp(c->outcomes, "ok", 2) == 0 || strcmp(c->outcomes, "eof") == 0;
        if (rc != (good ? 0 : ERR_UPSTREAM) || cx.seen.heads > 1 || (good && cx.seen.status < 200))
            fail_msg("%s: rc %d, %d heads, status %d", c->name, rc, cx.seen.heads, cx.seen.status);
        raw_wait_eof(&up, &cx.loop);
        raw_close(&up);
    }
    print_message("%zu answers\n", corpus->n);
    corpus_free(corpus);
}

static void test_truncated(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "",
        "H",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
    };
    cx_start();
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct raw up;
        cx_call();
        raw_accept(&up, &cx.loop, cx.listener);
        cx_request(&up);
        raw_text(&up, &cx.loop, answers[i]);
        raw_close(&up);
        if (cx_end() != ERR_UPSTREAM)
            fail_msg("answer %zu", i);
    }
}

static void test_free_with_calls(void **state)
{
    (void)state;
    struct raw up, idle;
    cx_start();
    warm(&idle);
    cx_call();
    cx_request(&idle);
    cx_call();
    raw_accept(&up, &cx.loop, cx.listener);
    cx_request(&up);
    http_client_free(cx.client);
    cx.client = NULL;
    raw_wait_eof(&idle, &cx.loop);
    raw_wait_eof(&up, &cx.loop);
    assert_int_equal(cx.seen.ends, 0);
    raw_close(&up);
    raw_close(&idle);
}

static void test_unix(void **state)
{
    (void)state;
    char dir[] = "/tmp/bb-net-XXXXXX";
    char text[80];
    struct err err = {0};
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct raw up;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%s/u", dir);
    (void)close(cx.listener);
    cx.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(cx.listener, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(cx.listener, 5), 0);
    (void)snprintf(text, sizeof text, "unix:%s", addr.sun_path);
    assert_int_equal(http_endpoint_parse(&cx.endpoint, text, &err), 0);
    cx_start();
    warm(&up);
    cx_call();
    raw_expect(&up, &cx.loop, "POST /v1/x HTTP/1.1\r\nHost: localhost\r\n");
    cx_request(&up);
    raw_text(&up, &cx.loop, ANSWER("b", 1));
    assert_int_equal(cx_end(), 0);
    raw_close(&up);
    (void)unlink(addr.sun_path);
    spin(&cx.loop, 30);
    cx_call(); /* nobody there any more */
    assert_int_equal(cx_end(), ERR_UNAVAILABLE);
    (void)rmdir(dir);
}

/* A name is looked up when it is dialled: parsing asks nobody, a call to a host that is not there ends as one to a host that does
 * not answer, and one that is cut off while it is looked up leaves nothing behind. */
static void test_name(void **state)
{
    (void)state;
    char text[80];
    struct err err = {0};
    struct raw up;
    cx_start();
    (void)snprintf(text, sizeof text, "http://localhost:%u", cx.port);
    assert_int_equal(http_endpoint_parse(&cx.endpoint, text, &err), 0);
    warm(&up);
    raw_close(&up);
    assert_int_equal(http_endpoint_parse(&cx.endpoint, "http://no-such-host.invalid:80", &err), 0);
    cx_call();
    assert_int_equal(cx_end(), ERR_UNAVAILABLE);
    cx_call();
    http_call_cancel(cx.seen.call);
    cx.seen.call = NULL;
    cx_call();
}

static void test_endpoints(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *base;
        int rc;
        uint16_t port;
        bool is_unix, is_tls;
    } table[] = {
        {"http://127.0.0.1", "127.0.0.1", "", 0, 80, false, false},
        {"http://127.0.0.1/", "127.0.0.1", "", 0, 80, false, false},
        {"http://127.0.0.1:8080/v1//", "127.0.0.1", "/v1", 0, 8080, false, false},
        {"https://localhost:8443/a/b", "localhost", "/a/b", 0, 8443, false, true},
        {"https://localhost", "localhost", "", 0, 443, false, true},
        {"http://127.0.0.1:65535", "127.0.0.1", "", 0, 65535, false, false},
        {"unix:/run/x.sock", "/run/x.sock", "", 0, 0, true, false},
        {"http://127.0.0.1:65536", "", "", ERR_INVALID, 0, false, false},
        {"http://127.0.0.1:99999", "", "", ERR_INVALID, 0, false, false},
        {"http://127.0.0.1:0", "", "", ERR_INVALID, 0, false, false},
        {"http://127.0.0.1:", "", "", ERR_INVALID, 0, false, false},
        {"http://127.0.0.1:80x/", "", "", ERR_INVALID, 0, false, false},
        {"http://:80", "", "", ERR_INVALID, 0, false, false},
        {"http://", "", "", ERR_INVALID, 0, false, false},
        {"ftp://h", "", "", ERR_INVALID, 0, false, false},
        {"", "", "", ERR_INVALID, 0, false, false},
        {"127.0.0.1:80", "", "", ERR_INVALID, 0, false, false},
        {"http://gpu-7.rack_2.example:80/a?b=c", "gpu-7.rack_2.example", "/a?b=c", 0, 80, false, false},
        {"unix:/run/x.sock /v1", "/run/x.sock", "/v1", 0, 0, true, false},
        {"http://ho st/", "", "", ERR_INVALID, 0, false, false},
        {"http://user@host/", "", "", ERR_INVALID, 0, false, false},
        {"http://host?a", "", "", ERR_INVALID, 0, false, false},
        {"http://host\r\nX: 1", "", "", ERR_INVALID, 0, false, false},
        {"http://h\xc3\xb6st/", "", "", ERR_INVALID, 0, false, false},
        {"http://[::1]:80/", "", "", ERR_INVALID, 0, false, false},
        {"http://host/a b", "", "", ERR_INVALID, 0, false, false},
        {"http://host/a\r\nX: 1", "", "", ERR_INVALID, 0, false, false},
        {"http://host/\x7f", "", "", ERR_INVALID, 0, false, false},
        {"unix:/run/x.sock /a b", "", "", ERR_INVALID, 0, false, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct http_endpoint e;
        struct err err = {0};
        int rc = http_endpoint_parse(&e, table[i].text, &err);
        if (rc != table[i].rc)
            fail_msg("%s: %d %s", table[i].text, rc, err.msg);
        if (rc != 0)
            continue;
        assert_string_equal(e.host, table[i].host);
        assert_string_equal(e.base, table[i].base);
        assert_int_equal(e.port, table[i].port);
        assert_true(e.is_unix == table[i].is_unix && e.is_tls == table[i].is_tls);
    }
    char text[300] = "unix:/";
    memset(text + 6, 'x', 110);
    assert_int_equal(http_endpoint_parse(&cx.endpoint, text, &(struct err){0}), ERR_INVALID);
}

int main(void)
{
#define CLIENT_TEST(f) cmocka_unit_test_setup_teardown(f, cx_setup, cx_teardown)
    const struct CMUnitTest tests[] = {
        CLIENT_TEST(test_request_and_answer),
        CLIENT_TEST(test_reuse),
        CLIENT_TEST(test_call_from_end),
        CLIENT_TEST(test_two_at_once),
        CLIENT_TEST(test_not_reused),
        CLIENT_TEST(test_late_extra_bytes),
        CLIENT_TEST(test_idle_limits),
        CLIENT_TEST(test_interim),
        CLIENT_TEST(test_interim_flood),
        CLIENT_TEST(test_retry_on_stale),
        CLIENT_TEST(test_retry_once_only),
        CLIENT_TEST(test_no_retry_on_fresh),
        CLIENT_TEST(test_no_retry_after_a_byte),
        CLIENT_TEST(test_no_retry_after_time),
        CLIENT_TEST(test_idle_closed_by_peer),
        CLIENT_TEST(test_connect_refused),
        CLIENT_TEST(test_connect_time),
        CLIENT_TEST(test_first_byte_time),
        CLIENT_TEST(test_between_time),
        CLIENT_TEST(test_cancel_at_once),
        CLIENT_TEST(test_cancel_while_waiting),
        CLIENT_TEST(test_cancel_in_head),
        CLIENT_TEST(test_cancel_in_body),
        CLIENT_TEST(test_cancel_paused),
        CLIENT_TEST(test_pause_and_resume),
        CLIENT_TEST(test_pause_in_head_then_end),
        CLIENT_TEST(test_end_while_paused),
        CLIENT_TEST(test_corpus),
        CLIENT_TEST(test_truncated),
        CLIENT_TEST(test_free_with_calls),
        CLIENT_TEST(test_unix),
        CLIENT_TEST(test_name),
        CLIENT_TEST(test_endpoints),
    };
    return cmocka_run_group_tests_name("http_client", tests, NULL, NULL);
}
