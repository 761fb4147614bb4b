/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/tls.h"

#define UNSENT_MAX (128 << 10)

struct write_request {
    uv_write_t uv;
    struct stream *stream;
    char data[];
};

static struct stream *stream_of(const uv_handle_t *handle)
{
    return (struct stream *)handle; /* the union is the first member */
}

static void fail(struct stream *s, ssize_t error)
{
    if (s->failed || s->closing)
        return;
    s->failed = true;
    s->events->on_read(s, NULL, error);
}

/* ---- writing ---- */

static void on_written(uv_write_t *uv, int status)
{
    struct write_request *w = (struct write_request *)uv;
    struct stream *s = w->stream;
    free(w);
    if (s->closing)
        return;
    if (status < 0)
        fail(s, status);
    else if (s->events->on_drain)
        s->events->on_drain(s);
}

static int queue_rest(struct stream *s, const uv_buf_t *bufs, unsigned nbufs, size_t skip, size_t total)
{
    struct write_request *w = malloc(sizeof *w + (total - skip));
    if (!w)
        return UV_ENOMEM;
    w->stream = s;
    size_t at = 0;
    for (unsigned i = 0; i < nbufs; i++) {
        size_t drop = skip < bufs[i].len ? skip : bufs[i].len;
        memcpy(w->data + at, bufs[i].base + drop, bufs[i].len - drop);
        at += bufs[i].len - drop;
        skip -= drop;
    }
    uv_buf_t rest = uv_buf_init(w->data, (unsigned)at);
    int rc = uv_write(&w->uv, &s->uv.stream, &rest, 1, on_written);
    if (rc < 0)
        free(w);
    return rc;
}

static int write_raw(struct stream *s, const uv_buf_t *bufs, unsigned nbufs)
{
    size_t total = 0;
    for (unsigned i = 0; i < nbufs; i++)
        total += bufs[i].len;
    ssize_t n = 0;
    if (uv_stream_get_write_queue_size(&s->uv.stream) == 0) {
        n = uv_try_write(&s->uv.stream, bufs, nbufs);
        if (n == UV_EAGAIN)
            n = 0;
        if (n < 0)
            return (int)n;
    }
    return (size_t)n == total ? 0 : queue_rest(s, bufs, nbufs, (size_t)n, total);
}

/* Sends the ciphertext that the session has ready. */
static int flush_tls(struct stream *s)
{
    const char *data;
    size_t len;
    int rc = 0;
    while (rc == 0 && (len = tls_pending(s->tls, &data)) > 0) {
        uv_buf_t buf = uv_buf_init((char *)data, (unsigned)len);
        rc = write_raw(s, &buf, 1);
        tls_sent(s->tls, len);
    }
    return rc;
}

/* After a write that was lost nothing more can be said on this connection: the next read tells its owner. */
static void cut(struct stream *s)
{
    uv_os_fd_t fd;
    if (uv_fileno(&s->uv.handle, &fd) == 0)
        (void)shutdown(fd, SHUT_RDWR);
}

int stream_write(struct stream *s, const uv_buf_t *bufs, unsigned nbufs)
{
    if (s->closing || s->failed)
        return UV_ECANCELED;
    size_t total = 0;
    int rc = 0;
    for (unsigned i = 0; i < nbufs; i++)
        total += bufs[i].len;
    s->written += total;
    if (!s->tls) {
        rc = write_raw(s, bufs, nbufs);
    } else {
        for (unsigned i = 0; i < nbufs && rc == 0; i++)
            rc = tls_encrypt(s->tls, bufs[i].base, bufs[i].len) == 0 ? 0 : UV_EPROTO;
        if (rc == 0)
            rc = flush_tls(s);
    }
    if (rc < 0) {
        s->lost += total;
        cut(s);
    }
    return rc;
}

size_t stream_queued(const struct stream *s)
{
    return uv_stream_get_write_queue_size(&s->uv.stream);
}

int stream_end(struct stream *s)
{
    uv_os_fd_t fd;
    if (s->closing || s->failed || uv_fileno(&s->uv.handle, &fd) < 0)
        return UV_ECANCELED;
    return shutdown(fd, SHUT_WR) == 0 ? 0 : uv_translate_sys_error(errno);
}

void stream_alive(struct stream *s, unsigned ms)
{
    uv_os_fd_t fd;
    int on = 1, probes = 3, idle_s = (int)(ms / 2000), gap_s = (int)(ms / 6000);
    idle_s = idle_s > 0 ? idle_s : 1;
    gap_s = gap_s > 0 ? gap_s : 1;
    if (s->closing || uv_fileno(&s->uv.handle, &fd) < 0)
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &gap_s, sizeof gap_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct loop *loop = loop_of(handle);
    *buf = uv_buf_init(loop->read_buf, sizeof loop->read_buf);
}

static void on_plain(void *ctx, const char *data, size_t len)
{
    struct stream *s = ctx;
    if (!s->closing && !s->failed)
        s->events->on_read(s, data, (ssize_t)len);
}

static void read_tls(struct stream *s, const char *data, size_t len)
{
    bool before = tls_established(s->tls);
    int rc = tls_decrypt(s->tls, data, len, on_plain, s);
    if (s->closing || s->failed)
        return;
    int flushed = flush_tls(s);
    if (rc == 0 && flushed == 0 && !before && tls_established(s->tls) && s->events->on_connect)
        s->events->on_connect(s, 0);
    if (rc < 0 || flushed < 0)
        fail(s, rc < 0 ? UV_EPROTO : flushed);
}

static void on_uv_read(uv_stream_t *uv, ssize_t n, const uv_buf_t *buf)
{
    struct stream *s = stream_of((uv_handle_t *)uv);
    if (n == 0 || s->closing)
        return;
    if (n < 0)
        fail(s, n);
    else if (s->tls)
        read_tls(s, buf->base, (size_t)n);
    else
        s->events->on_read(s, buf->base, n);
}

void stream_read(struct stream *s)
{
    if (s->reading || s->closing || s->failed)
        return;
    s->reading = true;
    int rc = uv_read_start(&s->uv.stream, on_alloc, on_uv_read);
    if (rc < 0)
        fail(s, rc);
}

void stream_pause(struct stream *s)
{
    if (!s->reading || s->closing)
        return;
    s->reading = false;
    uv_read_stop(&s->uv.stream);
}

/* ---- opening and closing ---- */

static void stream_init(struct stream *s, const struct stream_events *events)
{
    s->events = events;
    s->owner = NULL;
    s->tls = NULL;
    s->lookup = NULL;
    s->written = s->lost = 0;
    s->closing = s->reading = s->failed = false;
}

int stream_accept(struct stream *s, struct loop *loop, int fd, bool is_unix,
                  const struct stream_events *events)
{
    int rc = is_unix ? uv_pipe_init(&loop->uv, &s->uv.pipe, 0) : uv_tcp_init(&loop->uv, &s->uv.tcp);
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    stream_init(s, events);
    rc = is_unix ? uv_pipe_open(&s->uv.pipe, fd) : uv_tcp_open(&s->uv.tcp, fd);
    if (rc < 0) {
        (void)close(fd);
        stream_close(s);
        return 0; /* on_closed frees it */
    }
    if (!is_unix) {
        /* What the kernel holds unsent counts as taken by the peer: keep that small, for meter and stall time. */
        int unsent = UNSENT_MAX;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
        uv_tcp_nodelay(&s->uv.tcp, 1);
    }
    return 0;
}

void stream_secure(struct stream *s, struct tls_session *tls)
{
    s->tls = tls;
}

static void connected(uv_connect_t *request, int status)
{
    struct stream *s = request->data;
    free(request);
    if (s->closing)
        return;
    if (status == 0 && s->tls) {
        /* Our side speaks first; on_connect follows when the handshake is done. */
        stream_read(s);
        read_tls(s, NULL, 0);
        return;
    }
    s->events->on_connect(s, status);
}

int stream_dial_tcp(struct stream *s, struct loop *loop, const struct sockaddr *addr, struct tls_session *tls,
                    const struct stream_events *events)
{
    uv_connect_t *request = malloc(sizeof *request);
    if (!request)
        return UV_ENOMEM;
    int rc = uv_tcp_init(&loop->uv, &s->uv.tcp);
    if (rc < 0) {
        free(request);
        return rc;
    }
    stream_init(s, events);
    s->tls = tls;
    request->data = s;
    uv_tcp_nodelay(&s->uv.tcp, 1);
    rc = uv_tcp_connect(request, &s->uv.tcp, addr, connected);
    if (rc < 0) {
        free(request);
        s->failed = true; /* reported by the return value of a later write, and by the connect deadline */
    }
    return 0;
}

/* ---- names ---- */

/* Outlives the stream if that is closed while it is under way: nobody can call it back for sure. */
struct lookup {
    uv_getaddrinfo_t request;
    struct stream *stream; /* NULL: closed meanwhile */
    uint16_t port;
};

static void on_address(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct lookup *lookup = request->data;
    struct stream *s = lookup->stream;
    struct sockaddr_in addr;
    uv_connect_t *connect = NULL;
    if (s) {
        s->lookup = NULL;
        if (status == 0) {
            memcpy(&addr, list->ai_addr, sizeof addr);
            addr.sin_port = htons(lookup->port);
            connect = malloc(sizeof *connect);
            status = connect ? 0 : UV_ENOMEM;
        }
        if (status == 0) {
            connect->data = s;
            status = uv_tcp_connect(connect, &s->uv.tcp, (const struct sockaddr *)&addr, connected);
        }
        if (status != 0) {
            free(connect);
            s->events->on_connect(s, status);
        }
    }
    uv_freeaddrinfo(list);
    free(lookup);
}

int stream_dial_name(struct stream *s, struct loop *loop, const char *host, uint16_t port,
                     struct tls_session *tls, const struct stream_events *events)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct sockaddr_in addr;
    if (uv_ip4_addr(host, port, &addr) == 0)
        return stream_dial_tcp(s, loop, (const struct sockaddr *)&addr, tls, events);
    struct lookup *lookup = malloc(sizeof *lookup);
    if (!lookup)
        return UV_ENOMEM;
    *lookup = (struct lookup){.stream = s, .port = port};
    lookup->request.data = lookup;
    int rc = uv_getaddrinfo(&loop->uv, &lookup->request, on_address, host, NULL, &hints);
    if (rc == 0) {
        rc = uv_tcp_init(&loop->uv, &s->uv.tcp);
        lookup->stream = rc == 0 ? s : NULL;
    } else {
        free(lookup);
    }
    if (rc != 0)
        return rc;
    stream_init(s, events);
    s->tls = tls;
    s->lookup = lookup;
    uv_tcp_nodelay(&s->uv.tcp, 1);
    return 0;
}

int stream_dial_unix(struct stream *s, struct loop *loop, const char *path,
                     const struct stream_events *events)
{
    uv_connect_t *request = malloc(sizeof *request);
    if (!request)
        return UV_ENOMEM;
    int rc = uv_pipe_init(&loop->uv, &s->uv.pipe, 0);
    if (rc < 0) {
        free(request);
        return rc;
    }
    stream_init(s, events);
    request->data = s;
    uv_pipe_connect(request, &s->uv.pipe, path, connected);
    return 0;
}

static void on_uv_closed(uv_handle_t *handle)
{
    struct stream *s = stream_of(handle);
    tls_free(s->tls);
    s->tls = NULL;
    s->events->on_closed(s);
}

void stream_close(struct stream *s)
{
    if (s->closing)
        return;
    s->closing = true;
    if (s->lookup) {
        s->lookup->stream = NULL;
        (void)uv_cancel((uv_req_t *)&s->lookup->request); /* its callback comes in any case */
        s->lookup = NULL;
    }
    uv_close(&s->uv.handle, on_uv_closed);
}
