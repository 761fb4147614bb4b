/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events: a table of streams, each fed whole, byte by byte and cut in two and three at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "net/sse.h"

static const struct {
    const char *stream;
    const char *events; /* each ended by "|" */
} table[] = {
    {"data: a\n\n", "a|"},
    {"data: a\r\n\r\n", "a|"},
    {"data: a\r\r", "a|"},
    {"data: a\n\r\n", "a|"},
    {"data: a\r\n\n", "a|"},
    {"data: a\r\r\n", "a|"},
    {"data: a\n\ndata: b\n\n", "a|b|"},
    {"data: a\r\n\r\ndata: b\r\n\r\n", "a|b|"},
    {"data: a\r\rdata: b\r\r", "a|b|"},
    {"data: a\ndata: b\n\n", "a\nb|"},
    {"data: a\r\ndata: b\r\ndata: c\r\n\r\n", "a\nb\nc|"},
    {"data: a\rdata: b\r\r", "a\nb|"},
    {"data:a\n\n", "a|"},
    {"data:  a\n\n", " a|"},
    {"data: a \n\n", "a |"},
    {"data:\ta\n\n", "\ta|"},
    {"data\n\n", "|"},
    {"data:\n\n", "|"},
    {"data: \n\n", "|"},
    {"data\ndata\n\n", "\n|"},
    {"data:a:b\n\n", "a:b|"},
    {"data: {\"a\":\"b\"}\n\n", "{\"a\":\"b\"}|"},
    {": comment\n\n", ""},
    {":\n\n:\n\n", ""},
    {": ping\n\ndata: a\n\n", "a|"},
    {"data: a\n: in between\ndata: b\n\n", "a\nb|"},
    {"event: e\nid: 1\nretry: 10\ndata: a\n\n", "a|"},
    {"data: a\nevent: e\n\n", "a|"},
    {"event: e\n\n", ""},
    {"id: 1\n\ndata: a\n\n", "a|"},
    {"unknown: x\nnocolon\ndata: a\n\n", "a|"},
    {"datax: no\ndat: no\nDATA: no\n data: no\n\n", ""},
    {"data : no\n\n", ""},
    {"\n\n\n", ""},
    {"\r\n\r\n", ""},
    {"", ""},
    {"data: unfinished", ""},
    {"data: unfinished\n", ""},
    {"data: a\n\ndata: unfinished\n", "a|"},
    {"data: [DONE]\n\n", "[DONE]|"},
    {"data: caf\xc3\xa9 \xff\n\n", "caf\xc3\xa9 \xff|"},
    {"data: \x01\x7f\n\n", "\x01\x7f|"},
    {"\ndata: a\n\n", "a|"},
    {"data: a\n\n\n\ndata: b\n\n", "a|b|"},
};

static int on_event(void *ctx, const char *data, size_t len)
{
    struct buf *log = ctx;
    assert_non_null(data);
    buf_add(log, data, len);
    buf_add_char(log, '|');
    return 0;
}

/* Feeds bytes [0, a), [a, b), [b, len). */
static void check(size_t i, size_t a, size_t b)
{
    const char *stream = table[i].stream;
    size_t len = strlen(stream);
    struct sse sse;
    struct buf log;
    sse_init(&sse);
    buf_init(&log, 4096);
    assert_int_equal(sse_feed(&sse, stream, a, on_event, &log), 0);
    assert_int_equal(sse_feed(&sse, stream + a, b - a, on_event, &log), 0);
    assert_int_equal(sse_feed(&sse, stream + b, len - b, on_event, &log), 0);
    if (log.len != strlen(table[i].events) || memcmp(log.data ? log.data : "", table[i].events, log.len) != 0)
        fail_msg("stream %zu cut at %zu and %zu: got %.*s", i, a, b, (int)log.len, log.data);
    buf_fini(&log);
    sse_fini(&sse);
}

static void test_table(void **state)
{
    (void)state;
    unsigned cuts = 0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t len = strlen(table[i].stream);
        for (size_t a = 0; a <= len; a++) {
            for (size_t b = a; b <= len; b++, cuts++)
                check(i, a, b);
        }
    }
    print_message("%zu streams, %u ways of cutting\n", sizeof table / sizeof table[0], cuts);
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct sse sse;
        struct buf log;
        sse_init(&sse);
        buf_init(&log, 4096);
        for (const char *p = table[i].stream; *p; p++)
            assert_int_equal(sse_feed(&sse, p, 1, on_event, &log), 0);
        assert_int_equal(log.len, strlen(table[i].events));
        if (log.len)
            assert_memory_equal(log.data, table[i].events, log.len);
        buf_fini(&log);
        sse_fini(&sse);
    }
}

static void test_nul_in_data(void **state)
{
    (void)state;
    struct sse sse;
    struct buf log;
    sse_init(&sse);
    buf_init(&log, 64);
    assert_int_equal(sse_feed(&sse, "data: a\0b\n\n", 11, on_event, &log), 0);
    assert_int_equal(log.len, 4);
    assert_memory_equal(log.data, "a\0b|", 4);
    buf_fini(&log);
    sse_fini(&sse);
}

static int stop_at_second(void *ctx, const char *data, size_t len)
{
    (void)data;
    (void)len;
    return ++*(int *)ctx == 2 ? 42 : 0;
}

static void test_stop(void **state)
{
    (void)state;
    struct sse sse;
    int n = 0;
    sse_init(&sse);
    static const char text[] = "data: 1\n\ndata: 2\n\ndata: 3\n\n";
    assert_int_equal(sse_feed(&sse, text, sizeof text - 1, stop_at_second, &n), 42);
    assert_int_equal(n, 2);
    sse_fini(&sse);
}

static size_t last_len;

static int keep_len(void *ctx, const char *data, size_t len)
{
    (void)ctx;
    (void)data;
    last_len = len;
    return 0;
}

/* Feeds `total` bytes of one data line in pieces of 64 KiB, as the network would. */
static int feed_large(struct sse *sse, size_t total)
{
    static char piece[65536];
    memset(piece, 'x', sizeof piece);
    int rc = sse_feed(sse, "data: ", 6, keep_len, NULL);
    while (rc == 0 && total > 0) {
        size_t n = total < sizeof piece ? total : sizeof piece;
        rc = sse_feed(sse, piece, n, keep_len, NULL);
        total -= n;
    }
    return rc ? rc : sse_feed(sse, "\n\n", 2, keep_len, NULL);
}

static void test_huge(void **state)
{
    (void)state;
    struct sse sse;
    sse_init(&sse);
    assert_int_equal(feed_large(&sse, SSE_EVENT_MAX - 64), 0);
    assert_int_equal(last_len, SSE_EVENT_MAX - 64);
    assert_null(sse.line.data); /* what a large event took is given back */
    assert_int_equal(feed_large(&sse, SSE_EVENT_MAX + 64), ERR_TOO_LARGE);
    sse_fini(&sse);
}

/* Many lines of one event are bounded together. */
static void test_huge_in_lines(void **state)
{
    (void)state;
    static char line[4096];
    struct sse sse;
    memset(line, 'x', sizeof line);
    memcpy(line, "data: ", 6);
    line[sizeof line - 1] = '\n';
    sse_init(&sse);
    int rc = 0;
    size_t fed = 0;
    while (rc == 0 && fed < 2 * SSE_EVENT_MAX) {
        rc = sse_feed(&sse, line, sizeof line, keep_len, NULL);
        fed += sizeof line;
    }
    assert_int_equal(rc, ERR_TOO_LARGE);
    assert_true(fed <= SSE_EVENT_MAX + (SSE_EVENT_MAX >> 6));
    sse_fini(&sse);
}

static void test_endless_comment(void **state)
{
    (void)state;
    static char piece[65536];
    struct sse sse;
    memset(piece, ':', sizeof piece);
    sse_init(&sse);
    int rc = 0;
    for (int i = 0; i < 100 && rc == 0; i++)
        rc = sse_feed(&sse, piece, sizeof piece, keep_len, NULL);
    assert_int_equal(rc, ERR_TOO_LARGE);
    sse_fini(&sse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_nul_in_data),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_huge_in_lines),
        cmocka_unit_test(test_endless_comment),
    };
    return cmocka_run_group_tests_name("sse", tests, NULL, NULL);
}
