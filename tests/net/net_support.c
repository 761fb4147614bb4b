/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/net/net_support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

static void turn(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_NOWAIT);
}

static void step(struct loop *loop)
{
    turn(loop);
    (void)poll(NULL, 0, 1);
}

void spin(struct loop *loop, uint64_t ms)
{
    uint64_t end = now_ms() + ms;
    do
        step(loop);
    while (now_ms() < end);
}

void spin_until(struct loop *loop, const int *flag, int want)
{
    uint64_t end = now_ms() + WAIT_MS;
    while (*flag < want) {
        if (now_ms() > end)
            fail_msg("waited in vain: %d of %d", *flag, want);
        step(loop);
    }
}

static void raw_init(struct raw *raw, int fd)
{
    assert_true(fd >= 0);
    *raw = (struct raw){.fd = fd};
    buf_init(&raw->in, (size_t)256 << 20);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

void raw_tcp(struct raw *raw, uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    raw_init(raw, fd);
}

void raw_unix(struct raw *raw, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    raw_init(raw, fd);
}

int raw_listen(uint16_t *port, int backlog)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof addr;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    *port = ntohs(addr.sin_port);
    return fd;
}

bool raw_pending(int listener)
{
    struct pollfd p = {.fd = listener, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

void raw_accept(struct raw *raw, struct loop *loop, int listener)
{
    uint64_t end = now_ms() + WAIT_MS;
    while (!raw_pending(listener)) {
        if (now_ms() > end)
            fail_msg("nobody connects");
        step(loop);
    }
    raw_init(raw, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
}

void raw_send(struct raw *raw, struct loop *loop, const void *data, size_t len)
{
    uint64_t end = now_ms() + WAIT_MS;
    const char *at = data;
    while (len > 0 && now_ms() < end) {
        ssize_t n = send(raw->fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* the peer has closed: the test sees it in what it reads */
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else {
            raw_read(raw);
            turn(loop);
        }
    }
}

void raw_text(struct raw *raw, struct loop *loop, const char *text)
{
    raw_send(raw, loop, text, strlen(text));
}

size_t raw_read(struct raw *raw)
{
    static char block[262144];
    ssize_t n = recv(raw->fd, block, sizeof block, 0);
    if (n > 0) {
        buf_add(&raw->in, block, (size_t)n);
        assert_false(raw->in.failed);
        return (size_t)n;
    }
    if (n == 0)
        raw->eof = true;
    else if (errno != EAGAIN)
        raw->eof = raw->reset = true;
    return 0;
}

static bool step_read(struct raw *raw, struct loop *loop)
{
    turn(loop);
    if (raw_read(raw) > 0)
        return true;
    (void)poll(NULL, 0, 1);
    return false;
}

void raw_expect(struct raw *raw, struct loop *loop, const char *text)
{
    uint64_t end = now_ms() + WAIT_MS;
    for (;;) {
        char *at = raw->in.len ? memmem(raw->in.data, raw->in.len, text, strlen(text)) : NULL;
        if (at) {
            buf_consume(&raw->in, (size_t)(at - raw->in.data) + strlen(text));
            return;
        }
        if (raw->eof || now_ms() > end)
            fail_msg("expected \"%s\", got \"%.*s\"%s", text, (int)(raw->in.len > 400 ? 400 : raw->in.len),
                     raw->in.data ? raw->in.data : "", raw->eof ? " and the end" : "");
        step_read(raw, loop);
    }
}

void raw_wait_len(struct raw *raw, struct loop *loop, size_t len)
{
    uint64_t end = now_ms() + 4 * WAIT_MS;
    while (raw->in.len < len) {
        if (raw->eof || now_ms() > end)
            fail_msg("expected %zu bytes, got %zu%s", len, raw->in.len, raw->eof ? " and the end" : "");
        step_read(raw, loop);
    }
}

void raw_wait_eof(struct raw *raw, struct loop *loop)
{
    uint64_t end = now_ms() + WAIT_MS;
    while (!raw->eof) {
        if (now_ms() > end)
            fail_msg("expected the end, got \"%.*s\"", (int)(raw->in.len > 400 ? 400 : raw->in.len),
                     raw->in.data ? raw->in.data : "");
        step_read(raw, loop);
    }
}

void raw_quiet(struct raw *raw, struct loop *loop, uint64_t ms)
{
    uint64_t end = now_ms() + ms;
    while (now_ms() < end) {
        if (step_read(raw, loop) || raw->eof)
            fail_msg("expected nothing, got \"%.*s\"%s", (int)raw->in.len, raw->in.data ? raw->in.data : "",
                     raw->eof ? " and the end" : "");
    }
}

void raw_close(struct raw *raw)
{
    if (raw->fd >= 0)
        (void)close(raw->fd);
    raw->fd = -1;
    buf_fini(&raw->in);
}

unsigned raw_count(struct raw *raw, const char *text)
{
    unsigned n = 0;
    const char *at = raw->in.data;
    const char *end = at ? at + raw->in.len : NULL;
    while (at && (at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
        n++;
        at++;
    }
    return n;
}
