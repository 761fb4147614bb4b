/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens many streams at a gateway at once, reads them to the end, and counts.
 *
 *   sse_load PORT STREAMS EVENTS PACE_MS SECONDS [KEY]
 *
 * Asks for EVENTS events, PACE_MS apart, of model "bench" on each of STREAMS connections of one thread. Ends when
 * every stream has ended, or after SECONDS; then prints one line of name=value: streams, finished (with [DONE] and
 * the last chunk), errors, open (not finished in time), chunks, bytes, seconds. Chunks are counted by the text that
 * each event of mock_engine has once. `open` is printed as a line of its own, "all open", when the first event of
 * every stream has come, so that memory can be looked at.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 512
#define READ_MAX 65536
#define CARRY_MAX 32 /* bytes kept of a read, so that a word cut in two is found */
#define DIALS_AT_ONCE 64

static const char event_word[] = "\"delta\":{";
static const char done_word[] = "data: [DONE]";
static const char last_chunk[] = "\r\n0\r\n\r\n";

struct stream {
    int fd; /* -1: closed */
    uint64_t events;
    bool sent, accepted, done;
    uint8_t carried;
    char carry[CARRY_MAX];
};

struct load {
    int epoll;
    uint16_t port;
    char request[4096];
    size_t request_len;
    struct stream *streams;
    uint32_t nstreams, dialled, live, begun, finished, errors;
    uint64_t chunks, bytes;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_request(struct load *l, const char *events, const char *pace_ms, const char *key)
{
    char body[2048], prompt[900];
    memset(prompt, 'x', sizeof prompt - 1);
    prompt[sizeof prompt - 1] = 0;
    int body_len =
        snprintf(body, sizeof body,
                 "{\"model\":\"bench\",\"stream\":true,\"max_tokens\":%s,\"seed\":%s,\"temperature\":0.7,"
                 "\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}",
                 events, pace_ms, prompt);
    int n = snprintf(l->request, sizeof l->request,
                     "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n"
                     "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                     key, body_len, body);
    if (body_len >= (int)sizeof body || n >= (int)sizeof l->request) {
        fprintf(stderr, "sse_load: the request is too long\n");
        exit(2);
    }
    l->request_len = (size_t)n;
}

static void dial_some(struct load *l)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(l->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < DIALS_AT_ONCE && l->dialled < l->nstreams; i++) {
        struct stream *s = &l->streams[l->dialled++];
        int on = 1;
        s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (s->fd < 0)
            die("socket");
        setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (connect(s->fd, (struct sockaddr *)&addr, sizeof addr) < 0 && errno != EINPROGRESS)
            die("connect");
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s};
        if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->fd, &event) < 0)
            die("epoll_ctl");
        l->live++;
    }
}

static void stream_end(struct load *l, struct stream *s, bool well)
{
    close(s->fd);
    s->fd = -1;
    l->live--;
    if (well)
        l->finished++;
    else
        l->errors++;
}

/* Occurrences of the word that end behind the first `old` bytes: those that end before were counted then. */
static uint32_t count_word(const char *data, size_t len, size_t old, const char *word)
{
    uint32_t n = 0;
    size_t word_len = strlen(word);
    const char *at = data, *end = data + len;
    while ((at = memmem(at, (size_t)(end - at), word, word_len)) != NULL) {
        at += word_len;
        n += at > data + old;
    }
    return n;
}

/* True when the stream has come to its end, well or not. */
static bool take(struct load *l, struct stream *s, const char *data, size_t len, size_t fresh)
{
    size_t old = len - fresh;
    static const char well[] = "HTTP/1.1 200 ";
    if (!s->accepted && (len < sizeof well - 1 || memcmp(data, well, sizeof well - 1) != 0)) {
        stream_end(l, s, false);
        return true;
    }
    s->accepted = true;
    uint32_t n = count_word(data, len, old, event_word);
    if (n > 0 && s->events == 0 && ++l->begun == l->nstreams) {
        printf("all open\n");
        fflush(stdout);
    }
    s->events += n;
    l->chunks += n;
    l->bytes += fresh;
    s->done = s->done || count_word(data, len, old, done_word) > 0;
    bool ended = len >= 7 && memcmp(data + len - 7, last_chunk, 7) == 0;
    if (ended)
        stream_end(l, s, s->done);
    return ended;
}

static void readable(struct load *l, struct stream *s)
{
    static char buf[CARRY_MAX + READ_MAX];
    for (;;) {
        memcpy(buf, s->carry, s->carried);
        ssize_t n = read(s->fd, buf + s->carried, READ_MAX);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            stream_end(l, s, false);
            return;
        }
        size_t len = s->carried + (size_t)n;
        if (take(l, s, buf, len, (size_t)n))
            return;
        s->carried = (uint8_t)(len < CARRY_MAX ? len : CARRY_MAX);
        memcpy(s->carry, buf + len - s->carried, s->carried);
        if (n < READ_MAX)
            return;
    }
}

static void handle(struct load *l, const struct epoll_event *event)
{
    struct stream *s = event->data.ptr;
    if (s->fd < 0)
        return;
    if ((event->events & EPOLLOUT) && !s->sent) {
        s->sent = true;
        if (write(s->fd, l->request, l->request_len) != (ssize_t)l->request_len) {
            stream_end(l, s, false);
            return;
        }
    }
    if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        readable(l, s);
}

int main(int argc, char **argv)
{
    if (argc != 6 && argc != 7) {
        fprintf(stderr, "usage: sse_load PORT STREAMS EVENTS PACE_MS SECONDS [KEY]\n");
        return 2;
    }
    struct load l = {.port = (uint16_t)strtoul(argv[1], NULL, 10),
                     .nstreams = (uint32_t)strtoul(argv[2], NULL, 10)};
    double limit_s = strtod(argv[5], NULL);
    make_request(&l, argv[3], argv[4], argc == 7 ? argv[6] : "none");
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    l.streams = calloc(l.nstreams, sizeof *l.streams);
    if (l.epoll < 0 || !l.streams)
        die("sse_load");
    double started = seconds_now();
    while ((l.live > 0 || l.dialled < l.nstreams) && seconds_now() - started < limit_s) {
        struct epoll_event events[EVENTS_MAX];
        dial_some(&l);
        int n = epoll_wait(l.epoll, events, EVENTS_MAX, l.dialled < l.nstreams ? 1 : 50);
        for (int i = 0; i < n; i++)
            handle(&l, &events[i]);
    }
    printf("streams=%" PRIu32 " finished=%" PRIu32 " errors=%" PRIu32 " open=%" PRIu32 " chunks=%" PRIu64
           " bytes=%" PRIu64 " seconds=%.3f\n",
           l.nstreams, l.finished, l.errors, l.live, l.chunks, l.bytes, seconds_now() - started);
    free(l.streams);
    return 0;
}
