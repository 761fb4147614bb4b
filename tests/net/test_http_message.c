/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_message against the corpora: every case whole, byte by byte and cut in two at every place, with equal results.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/http_message.h"
#include "tests/net/corpus.h"
#include "tests/net/trace.h"

/* Feeds pieces of `first` bytes, then of `rest` bytes each. */
static void trace_run(struct trace *t, bool request, const struct buf *bytes, size_t first, size_t rest)
{
    trace_init(t, request);
    size_t at = 0;
    size_t n = first;
    while (at < bytes->len) {
        if (n > bytes->len - at)
            n = bytes->len - at;
        if (!trace_feed(t, bytes->data + at, n))
            break;
        at += n;
        n = rest;
    }
    trace_end(t);
}

static unsigned failures;

static bool compare(const struct corpus_case *c, bool request, const struct trace *whole, size_t first,
                    size_t rest)
{
    bool equal = true;
    struct trace cut;
    trace_run(&cut, request, &c->bytes, first, rest);
    if (strcmp(whole->log.data, cut.log.data) != 0) {
        print_error("%s: cut at %zu, then by %zu, differs:\n%.300s\nagainst whole:\n%.300s\n", c->name, first,
                    rest, cut.log.data, whole->log.data);
        failures++;
        equal = false;
    }
    trace_fini(&cut);
    return equal;
}

/* Every cut of a short case; of a long one those near its ends and some between. */
static size_t next_cut(size_t at, size_t len)
{
    if (len <= 3000 || at < 600 || at + 200 >= len)
        return at + 1;
    return at + 4099 < len - 200 ? at + 4099 : len - 200;
}

static unsigned run_corpus(const char *path, bool request, unsigned *cuts)
{
    struct corpus *corpus = corpus_read(path);
    for (size_t i = 0; i < corpus->n; i++) {
        const struct corpus_case *c = &corpus->cases[i];
        struct trace whole;
        trace_run(&whole, request, &c->bytes, c->bytes.len, 1);
        if (!corpus_allows(c, whole.outcomes.data)) {
            print_error("%s: expected %s (%s), got %s%s%s\n", c->name, c->outcomes, c->why,
                        whole.outcomes.data, whole.message.reason ? ": " : "",
                        whole.message.reason ? whole.message.reason : "");
            failures++;
        }
        *cuts += 3;
        bool equal = compare(c, request, &whole, 1, 1) && compare(c, request, &whole, 2, 3);
        for (size_t at = 1; equal && at < c->bytes.len; at = next_cut(at, c->bytes.len)) {
            equal = compare(c, request, &whole, at, c->bytes.len);
            ++*cuts;
        }
        trace_fini(&whole);
    }
    unsigned n = (unsigned)corpus->n;
    corpus_free(corpus);
    return n;
}

static void test_requests(void **state)
{
    (void)state;
    unsigned cuts = 0;
    failures = 0;
    unsigned n = run_corpus(CORPUS_DIR "/requests.corpus", true, &cuts);
    print_message("%u requests, %u ways of cutting\n", n, cuts);
    assert_int_equal(failures, 0);
}

static void test_responses(void **state)
{
    (void)state;
    unsigned cuts = 0;
    failures = 0;
    unsigned n = run_corpus(CORPUS_DIR "/responses.corpus", false, &cuts);
    print_message("%u responses, %u ways of cutting\n", n, cuts);
    assert_int_equal(failures, 0);
}

static size_t feed_text(struct http_message *m, const char *text)
{
    ssize_t n = http_message_feed(m, text, strlen(text));
    assert_true(n >= 0);
    return (size_t)n;
}

static int ignore_head(struct http_message *m)
{
    (void)m;
    return 0;
}

static int refuse_head(struct http_message *m)
{
    m->reason = "not today";
    return 403;
}

static int refuse_body(struct http_message *m, const char *data, size_t len)
{
    (void)data;
    (void)len;
    m->reason = "too much";
    return 413;
}

static int ignore_body(struct http_message *m, const char *data, size_t len)
{
    (void)m;
    (void)data;
    (void)len;
    return 0;
}

static const struct http_message_events quiet = {.on_head = ignore_head, .on_body = ignore_body};

static void test_fields(void **state)
{
    (void)state;
    struct http_message m;
    size_t len;
    http_message_init(&m, true, &quiet);
    feed_text(&m, "GET /a?b HTTP/1.1\r\nHOST: h\r\nX-Two:  a b \t\r\nX-Empty:\r\nx-two: c\r\n\r\n");
    assert_true(m.complete && m.head_done);
    assert_memory_equal(http_field(&m, "x-two", &len), "a b", 3);
    assert_int_equal(len, 3);
    assert_non_null(http_field(&m, "x-empty", &len));
    assert_int_equal(len, 0);
    len = 7;
    assert_null(http_field(&m, "x-tw", &len));
    assert_int_equal(len, 0);
    assert_int_equal(m.head->target_len, 4);
    http_head_drop(&m);
    assert_null(http_field(&m, "host", &len));
    http_head_drop(&m);
    http_message_reset(&m);
    feed_text(&m, "GET / HTTP/1.1\r\nHost: again\r\n\r\n");
    assert_memory_equal(http_field(&m, "host", &len), "again", 5);
    http_message_fini(&m);
}

/* Dropping the head in the middle of a body must not matter to what follows. */
static void test_head_drop_in_body(void **state)
{
    (void)state;
    struct http_message m;
    http_message_init(&m, false, &quiet);
    feed_text(&m, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    http_head_drop(&m);
    feed_text(&m, "2\r\nde\r\n");
    assert_int_equal(feed_text(&m, "0\r\n\r\nrest"), 5);
    assert_true(m.complete);
    http_message_fini(&m);

    http_message_init(&m, false, &quiet);
    feed_text(&m, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    http_head_drop(&m);
    assert_int_equal(http_message_feed(&m, "0\r\nX: y\r\n\r\n", 11), -1);
    assert_non_null(m.reason);
    http_message_fini(&m);
}

static void test_handler_refuses(void **state)
{
    (void)state;
    static const struct http_message_events heads = {.on_head = refuse_head, .on_body = ignore_body};
    static const struct http_message_events bodies = {.on_head = ignore_head, .on_body = refuse_body};
    static const char text[] = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    struct http_message m;
    http_message_init(&m, true, &heads);
    assert_int_equal(http_message_feed(&m, text, sizeof text - 1), -1);
    assert_int_equal(m.status, 403);
    assert_string_equal(m.reason, "not today");
    http_message_fini(&m);
    http_message_init(&m, true, &bodies);
    assert_int_equal(http_message_feed(&m, text, sizeof text - 1), -1);
    assert_int_equal(m.status, 413);
    http_message_fini(&m);
}

static void test_keep_alive(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool request, keep;
    } table[] = {
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true, true},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", true, false},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: CLOSE\r\n\r\n", true, false},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: x, close\r\n\r\n", true, false},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: x\r\nConnection: close\r\n\r\n", true, false},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n", true, true},
        {"GET / HTTP/1.0\r\n\r\n", true, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, true},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", false, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct http_message m;
        http_message_init(&m, table[i].request, &quiet);
        feed_text(&m, table[i].text);
        assert_true(m.complete);
        if (http_keep_alive(&m) != table[i].keep)
            fail_msg("%s", table[i].text);
        http_message_fini(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_fields),          cmocka_unit_test(test_head_drop_in_body),
        cmocka_unit_test(test_handler_refuses), cmocka_unit_test(test_keep_alive),
    };
    return cmocka_run_group_tests_name("http_message", tests, NULL, NULL);
}
