/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for an OpenAI engine, far cheaper than the proxies that script/bench measures in front of it.
 *
 *   mock_engine PORT        (0: any; the port is the first line printed)
 *
 * One thread, one epoll. Any GET is healthy: 200. A POST is answered with one fixed answer of 470 bytes, usage
 * included; with "stream":true, with events of 230 bytes: "max_tokens" of them, "seed" milliseconds apart (0: as fast
 * as the peer takes them), then usage and [DONE]. Those two fields pass through a gateway that writes the body anew.
 * It trusts its peer to speak HTTP/1.1 with Content-Length; the peers are ours. Bound: CONNECTIONS_MAX.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 20000
#define REQUEST_MAX 65536
#define BATCH_MAX 16384 /* bytes of unpaced events that go out in one write */
#define EVENTS_MAX 512
#define WHEEL_SLOTS 8192 /* milliseconds; also the longest pace */

struct conn {
    int fd;
    uint32_t have;    /* bytes of a request that is not complete */
    char *in;         /* NULL while there are none */
    uint32_t events;  /* of the stream, in all */
    uint32_t left;    /* of them, still to be sent */
    uint32_t pace_ms; /* 0: not paced */
    bool streaming;
    bool ending; /* usage and [DONE] are still to be sent */
    char *out;   /* what the socket did not take; NULL: nothing */
    uint32_t out_at, out_len;
    struct conn *next, **link; /* in a slot of the wheel */
};

static struct conn *wheel[WHEEL_SLOTS];
static uint64_t now_ms;
static uint32_t paced; /* connections in the wheel */
static int epoll_fd;
static char answer[1024], healthy[256];
static size_t answer_len, healthy_len;
static char event_chunk[512];
static size_t event_len;

static const char answer_body[] =
    "{\"id\":\"chatcmpl-9f8a7b6c5d4e3f2a1b0c\",\"object\":\"chat.completion\",\"created\":1750000000,"
    "\"model\":\"bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"The "
    "quick "
    "brown fox jumps over the lazy dog. The quick brown fox jumps over the lazy dog. The quick brown fox "
    "jumps over the lazy "
    "dog.\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":128,"
    "\"completion_tokens\":32,\"total_tokens\":160},\"system_fingerprint\":\"fp_44709d6fcb\"}";
static const char event_body[] =
    "data: "
    "{\"id\":\"chatcmpl-9f8a7b6c5d4e3f2a1b0c\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,"
    "\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" quick "
    "brown\"},\"logprobs\":null,"
    "\"finish_reason\":null}],\"system_fingerprint\":\"fp_44709d6fcb\"}\n\n";
static const char stream_head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                  "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static size_t response(char *dst, size_t cap, const char *body)
{
    int n = snprintf(dst, cap,
                     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     strlen(body), body);
    return (size_t)n;
}

static void make_texts(void)
{
    answer_len = response(answer, sizeof answer, answer_body);
    healthy_len = response(healthy, sizeof healthy, "{\"object\":\"list\",\"data\":[{\"id\":\"bench\"}]}");
    event_len =
        (size_t)snprintf(event_chunk, sizeof event_chunk, "%zx\r\n%s\r\n", sizeof event_body - 1, event_body);
}

/* ---- the wheel ---- */

static void wheel_remove(struct conn *c)
{
    if (!c->link)
        return;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->link = NULL;
    paced--;
}

static void wheel_add(struct conn *c, uint32_t after_ms)
{
    struct conn **slot = &wheel[(now_ms + after_ms) % WHEEL_SLOTS];
    c->next = *slot;
    c->link = slot;
    if (c->next)
        c->next->link = &c->next;
    *slot = c;
    paced++;
}

/* ---- connections ---- */

static void conn_free(struct conn *c)
{
    wheel_remove(c);
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
}

static void watch(struct conn *c, bool for_writing)
{
    struct epoll_event event = {.events = for_writing ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event) < 0)
        die("epoll_ctl");
}

/* Sends or keeps the bytes. 0: all went; 1: the rest waits for the socket; -1: the peer is gone. */
static int conn_send(struct conn *c, const char *data, size_t len)
{
    ssize_t n = write(c->fd, data, len);
    if (n < 0 && errno != EAGAIN)
        return -1;
    size_t sent = n > 0 ? (size_t)n : 0;
    if (sent == len)
        return 0;
    c->out = malloc(len - sent);
    if (!c->out)
        die("malloc");
    memcpy(c->out, data + sent, len - sent);
    c->out_at = 0;
    c->out_len = (uint32_t)(len - sent);
    watch(c, true);
    return 1;
}

static size_t add_ending(const struct conn *c, char *dst, size_t cap)
{
    char body[512];
    int n =
        snprintf(body, sizeof body,
                 "data: {\"id\":\"chatcmpl-9f8a7b6c5d4e3f2a1b0c\",\"object\":\"chat.completion.chunk\","
                 "\"created\":1750000000,\"model\":\"bench\",\"choices\":[],\"usage\":{\"prompt_tokens\":128,"
                 "\"completion_tokens\":%" PRIu32 ",\"total_tokens\":%" PRIu32 "}}\n\ndata: [DONE]\n\n",
                 c->events, c->events + 128);
    return (size_t)snprintf(dst, cap, "%x\r\n%s\r\n0\r\n\r\n", (unsigned)n, body);
}

/* Sends what is due: one event of a paced stream, as many as go of another. False: the peer is gone. */
static bool stream_step(struct conn *c)
{
    static char batch[BATCH_MAX];
    int rc = 0;
    while (rc == 0 && (c->left > 0 || c->ending)) {
        size_t len = 0;
        uint32_t most = c->pace_ms ? 1 : UINT32_MAX;
        for (; c->left > 0 && most > 0 && sizeof batch - len > event_len + 1024; c->left--, most--) {
            memcpy(batch + len, event_chunk, event_len);
            len += event_len;
        }
        if (c->left == 0) {
            len += add_ending(c, batch + len, sizeof batch - len);
            c->ending = false;
        }
        rc = conn_send(c, batch, len);
        if (c->pace_ms)
            break;
    }
    if (rc < 0)
        return false;
    if (c->left == 0 && !c->ending)
        c->streaming = false;
    else if (c->pace_ms)
        wheel_add(c, c->pace_ms);
    return true;
}

static bool flush(struct conn *c)
{
    ssize_t n = write(c->fd, c->out + c->out_at, c->out_len - c->out_at);
    if (n < 0)
        return errno == EAGAIN;
    c->out_at += (uint32_t)n;
    if (c->out_at < c->out_len)
        return true;
    free(c->out);
    c->out = NULL;
    watch(c, false);
    return !c->streaming || c->pace_ms > 0 || stream_step(c);
}

/* ---- requests ---- */

/* The number after `"name":` in the body; `missing` if there is none. */
static uint32_t number_of(const char *body, size_t len, const char *name, uint32_t missing)
{
    const char *at = memmem(body, len, name, strlen(name));
    if (!at)
        return missing;
    const char *end = body + len;
    uint32_t value = 0;
    for (at += strlen(name); at < end && *at >= '0' && *at <= '9' && value < 100000000; at++)
        value = value * 10 + (uint32_t)(*at - '0');
    return value;
}

static bool stream_begin(struct conn *c, const char *body, size_t len)
{
    c->events = c->left = number_of(body, len, "\"max_tokens\":", 16);
    c->pace_ms = number_of(body, len, "\"seed\":", 0) % WHEEL_SLOTS;
    c->streaming = c->ending = true;
    if (conn_send(c, stream_head, sizeof stream_head - 1) != 0)
        return false;
    if (c->pace_ms == 0)
        return stream_step(c);
    /* Streams that begin together must not all send in the same millisecond. */
    wheel_add(c, 1 + (uint32_t)(((uintptr_t)c >> 6) * 2654435761u % c->pace_ms));
    return true;
}

/* Length of the first request in the bytes; 0: not all there yet. */
static size_t request_len(const char *data, size_t len, size_t *head_len)
{
    const char *end = memmem(data, len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    *head_len = (size_t)(end - data) + 4;
    size_t body = 0;
    for (const char *line = data; line < end;
         line = (const char *)memchr(line, '\n', (size_t)(end + 2 - line)) + 1) {
        if (strncasecmp(line, "content-length:", 15) == 0)
            body = strtoul(line + 15, NULL, 10);
    }
    return len >= *head_len + body ? *head_len + body : 0;
}

static bool answer_one(struct conn *c, const char *data, size_t head_len, size_t len)
{
    const char *body = data + head_len;
    size_t body_len = len - head_len;
    if (memcmp(data, "GET ", 4) == 0)
        return conn_send(c, healthy, healthy_len) == 0;
    if (memmem(body, body_len, "\"stream\":true", 13))
        return stream_begin(c, body, body_len);
    return conn_send(c, answer, answer_len) == 0;
}

/* Answers what is complete and keeps the rest. False: the peer is gone, or is not one of ours. */
static bool take(struct conn *c, const char *data, size_t len)
{
    size_t at = 0, head_len = 0, n;
    while (!c->streaming && (n = request_len(data + at, len - at, &head_len)) > 0) {
        if (!answer_one(c, data + at, head_len, n))
            return false;
        at += n;
    }
    if (len - at > REQUEST_MAX)
        return false;
    if (at == len) {
        c->have = 0;
        return true;
    }
    char *rest = malloc(len - at);
    if (!rest)
        die("malloc");
    memcpy(rest, data + at, len - at);
    free(c->in);
    c->in = rest;
    c->have = (uint32_t)(len - at);
    return true;
}

static bool readable(struct conn *c)
{
    static char buf[2 * REQUEST_MAX];
    size_t have = c->have;
    if (have > 0) {
        memcpy(buf, c->in, have);
        free(c->in);
        c->in = NULL;
        c->have = 0;
    }
    ssize_t n = read(c->fd, buf + have, REQUEST_MAX - 1);
    if (n < 0 && errno == EAGAIN)
        n = 0;
    else if (n <= 0)
        return false;
    return take(c, buf, have + (size_t)n);
}

static void accept_all(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct conn *c = calloc(1, sizeof *c);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (!c)
            die("calloc");
        c->fd = fd;
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl");
    }
}

static void tick(void)
{
    for (uint64_t until = clock_ms(); now_ms < until;) {
        struct conn *due = wheel[++now_ms % WHEEL_SLOTS];
        for (struct conn *next; due; due = next) {
            next = due->next;
            wheel_remove(due);
            if (due->out) /* the peer is slow: this event waits */
                wheel_add(due, due->pace_ms);
            else if (!stream_step(due))
                conn_free(due);
        }
    }
}

static int listen_on(const char *port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&addr, len) < 0 || listen(fd, 8192) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        die("listen");
    printf("%u\n", ntohs(addr.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: mock_engine PORT\n");
        return 2;
    }
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max < CONNECTIONS_MAX ? files.rlim_max : CONNECTIONS_MAX;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    make_texts();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on(argv[1]);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0)
        die("epoll");
    for (;;) {
        static struct epoll_event events[EVENTS_MAX];
        if (paced == 0)
            now_ms = clock_ms();
        int n = epoll_wait(epoll_fd, events, EVENTS_MAX, paced > 0 ? 1 : -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        if (paced == 0)
            now_ms = clock_ms();
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c)
                accept_all(listener);
            else if (((events[i].events & EPOLLOUT) && c->out && !flush(c)) ||
                     ((events[i].events & ~(uint32_t)EPOLLOUT) && !readable(c)))
                conn_free(c);
        }
        tick();
    }
}
