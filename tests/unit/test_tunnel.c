/* SPDX-License-Identifier: Apache-2.0 */
/* What is said on a tunnel, cut at every byte and spoilt; and two streams that are one: order, back-pressure, ends. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/splice.h"
#include "net/tunnel.h"
#include "support.h"

#define HEAD "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: busbar-tunnel\r\n\r\n"

static void test_head(void **state)
{
    (void)state;
    static const char whole[] = HEAD "more";
    size_t len = strlen(HEAD), used = 0;
    for (size_t n = 0; n < len; n++)
        assert_int_equal(tunnel_read_head(whole, n, &used), TUNNEL_MORE);
    for (size_t n = len; n < sizeof whole; n++) {
        assert_int_equal(tunnel_read_head(whole, n, &used), TUNNEL_WHOLE);
        assert_int_equal(used, len);
    }
    static const char *const bad[] = {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 101 x\r\n\r\n", "x",
                                      "HTTP/1.1 1010"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(tunnel_read_head(bad[i], strlen(bad[i]), &used), TUNNEL_BAD);
    char long_one[TUNNEL_HEAD_MAX + 8];
    memset(long_one, 'x', sizeof long_one);
    memcpy(long_one, "HTTP/1.1 101 ", 13);
    assert_int_equal(tunnel_read_head(long_one, TUNNEL_HEAD_MAX - 1, &used), TUNNEL_MORE);
    assert_int_equal(tunnel_read_head(long_one, TUNNEL_HEAD_MAX, &used), TUNNEL_BAD);
    memcpy(long_one + TUNNEL_HEAD_MAX, "\r\n\r\n", 4);
    assert_int_equal(tunnel_read_head(long_one, sizeof long_one, &used), TUNNEL_BAD);
}

static void test_line(void **state)
{
    (void)state;
    struct tunnel_target in = {uid('D', 7), UINT32_MAX, UINT32_MAX}, out;
    char line[TUNNEL_LINE_MAX], spoilt[TUNNEL_LINE_MAX + 8];
    size_t len = tunnel_write_line(line, &in), used;
    for (size_t n = 0; n < len; n++)
        assert_int_equal(tunnel_read_line(line, n, &out, &used), TUNNEL_MORE);
    memcpy(spoilt, line, len);
    memcpy(spoilt + len, "GET /\n", 6);
    assert_int_equal(tunnel_read_line(spoilt, len + 6, &out, &used), TUNNEL_WHOLE);
    assert_int_equal(used, len);
    assert_true(uuid_eq(&out.deployment, &in.deployment) && out.ordinal == in.ordinal &&
                out.epoch == in.epoch);
    for (size_t i = 0; i < len; i++) { /* no byte may be another one */
        memcpy(spoilt, line, len);
        spoilt[i] = '!';
        assert_int_not_equal(tunnel_read_line(spoilt, len, &out, &used), TUNNEL_WHOLE);
    }
    static const char *const tails[] = {"\n",
                                        " \n",
                                        " 1\n",
                                        " 1 \n",
                                        " 1 2 \n",
                                        " 1 2 3\n",
                                        "  1 2\n",
                                        " 4294967296 1\n",
                                        " 1 4294967296\n",
                                        " -1 1\n",
                                        " 1 2\r\n",
                                        "\n 1 2\n"};
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &in.deployment);
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        int n = snprintf(spoilt, sizeof spoilt, "%s%s", id, tails[i]);
        assert_int_equal(tunnel_read_line(spoilt, (size_t)n, &out, &used), TUNNEL_BAD);
    }
    memset(spoilt, 'a', sizeof spoilt);
    assert_int_equal(tunnel_read_line(spoilt, sizeof spoilt, &out, &used), TUNNEL_BAD);
}

/* ---- splices ---- */

struct pair {
    struct loop loop;
    struct stream stream[2]; /* the ends of the splice: who asks, who answers */
    int fd[2];               /* and what lies behind them */
    struct splice *splice;
    int closed, over;
};

static struct pair pair;

static void on_closed(struct stream *stream)
{
    (void)stream;
    pair.closed++;
}

static void on_over(void *ctx)
{
    assert_int_equal(((struct pair *)ctx)->closed, 2);
    pair.over++;
}

static int setup(void **state)
{
    static const struct stream_events none;
    (void)state;
    memset(&pair, 0, sizeof pair);
    assert_int_equal(loop_init(&pair.loop), 0);
    for (int i = 0; i < 2; i++) {
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        pair.fd[i] = fds[0];
        assert_int_equal(stream_accept(&pair.stream[i], &pair.loop, fds[1], true, &none), 0);
    }
    pair.splice = splice_new((struct splice_end){&pair.stream[0], on_closed},
                             (struct splice_end){&pair.stream[1], on_closed}, on_over, &pair);
    assert_non_null(pair.splice);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        if (pair.fd[i] >= 0)
            (void)close(pair.fd[i]);
    }
    uv_run(&pair.loop.uv, UV_RUN_DEFAULT);
    assert_int_equal(pair.over, 1); /* whatever came: both are freed, once */
    loop_fini(&pair.loop);
    return 0;
}

static void turn(int times)
{
    for (int i = 0; i < times; i++)
        uv_run(&pair.loop.uv, UV_RUN_NOWAIT);
}

/* Reads what there is; returns how many bytes, or -1 at the end. */
static ssize_t drain(int fd, uint8_t *next)
{
    uint8_t block[65536];
    ssize_t sum = 0;
    for (;;) {
        ssize_t n = read(fd, block, sizeof block);
        if (n == 0)
            return sum ? sum : -1;
        if (n < 0)
            return sum;
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(block[i], (*next)++);
        sum += n;
    }
}

/* Writes a run of bytes until nothing is taken any more, `max` at most. */
static size_t pour(int fd, size_t max)
{
    static uint8_t at;
    uint8_t block[4096];
    size_t sum = 0;
    for (int idle = 0; sum < max && idle < 50;) {
        uint8_t from = at;
        for (size_t i = 0; i < sizeof block; i++)
            block[i] = from++;
        ssize_t n = write(fd, block, sizeof block);
        idle = n > 0 ? 0 : idle + 1;
        at = (uint8_t)(at + (n > 0 ? n : 0));
        sum += n > 0 ? (size_t)n : 0;
        turn(1);
    }
    return sum;
}

/* Who does not read is not poured full: the other end is not read either. Then all of it comes, in order. */
static void slow_reader(int from, int to)
{
    static uint8_t next[2];
    size_t sent = pour(pair.fd[from], (size_t)64 << 20), got = 0;
    assert_true(sent > SPLICE_HIGH && sent < ((size_t)2 << 20));
    assert_true(stream_queued(&pair.stream[to]) >= SPLICE_HIGH / 2);
    for (int i = 0; i < 10000 && got < sent; i++) {
        ssize_t n = drain(pair.fd[to], &next[0]);
        got += n > 0 ? (size_t)n : 0;
        turn(1);
    }
    assert_int_equal(got, sent);
}

static void test_back_pressure(void **state)
{
    (void)state;
    slow_reader(0, 1);
    slow_reader(1, 0);
}

/* The answer's last bytes are waiting when its end comes. */
static void test_answered(void **state)
{
    (void)state;
    char block[65536];
    size_t got = 0;
    memset(block, 'a', sizeof block);
    for (int i = 0; i < 8; i++) {
        while (write(pair.fd[1], block, sizeof block) != (ssize_t)sizeof block)
            turn(1);
        turn(2);
    }
    (void)close(pair.fd[1]);
    pair.fd[1] = -1;
    turn(5);
    assert_int_equal(pair.over, 0);
    for (ssize_t n; (n = read(pair.fd[0], block, sizeof block)) != 0; turn(1))
        got += n > 0 ? (size_t)n : 0;
    assert_int_equal(got, 8 * sizeof block);
    turn(5);
    assert_int_equal(pair.over, 1);
}

static void test_asker_leaves(void **state)
{
    (void)state;
    char byte;
    assert_int_equal(write(pair.fd[0], "ask", 3), 3);
    turn(3);
    (void)close(pair.fd[0]);
    pair.fd[0] = -1;
    turn(5);
    assert_int_equal(pair.over, 1);
    assert_int_equal(read(pair.fd[1], &byte, 1), 1);
    while (read(pair.fd[1], &byte, 1) == 1)
        continue;
    assert_int_equal(read(pair.fd[1], &byte, 1), 0);
}

/* It leaves while its answer is on the way, and it was not read. */
static void test_asker_leaves_full(void **state)
{
    (void)state;
    (void)pour(pair.fd[1], (size_t)64 << 20);
    (void)close(pair.fd[0]);
    pair.fd[0] = -1;
    turn(10);
    assert_int_equal(pair.over, 1);
}

static void test_closed(void **state)
{
    (void)state;
    splice_close(pair.splice);
    turn(5);
    assert_int_equal(pair.over, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_line),
        cmocka_unit_test_setup_teardown(test_back_pressure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_asker_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_asker_leaves_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
