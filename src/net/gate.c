/* SPDX-License-Identifier: Apache-2.0 */
#include "net/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/splice.h"

#define BACKLOG 512
#define ACCEPT_BATCH 64
#define REST_MS 1000 /* where no descriptors are left */

struct guest {
    struct stream stream; /* first */
    struct list node;
    struct gate *gate;
    struct deadline deadline; /* until the key is shown */
    struct buf early;         /* what has come before the socket answers */
    struct inner *inner;      /* dialled; NULL: not yet */
    struct splice *splice;    /* joined */
};

struct inner {
    struct stream stream; /* first */
    struct guest *guest;  /* NULL: it has gone meanwhile */
};

struct gate {
    struct gate_config config;
    int fd;
    uv_poll_t poll;
    struct list guests;
    uint32_t n;
    bool closing;
    struct deadline rest;
    struct deadline_queue hello_q, rest_q;
};

/* ---- a guest leaves ---- */

static void guest_freed(struct stream *stream)
{
    struct guest *g = (struct guest *)stream;
    deadline_disarm(&g->deadline);
    list_remove(&g->node);
    g->gate->n--;
    buf_fini(&g->early);
    free(g);
}

static void guest_close(struct guest *g)
{
    deadline_disarm(&g->deadline);
    if (g->inner && !g->splice) {
        g->inner->guest = NULL;
        stream_close(&g->inner->stream);
        g->inner = NULL;
    }
    stream_close(&g->stream);
}

static void on_late(struct deadline *deadline)
{
    guest_close(list_entry(deadline, struct guest, deadline));
}

/* ---- the socket behind ---- */

static void inner_freed(struct stream *stream)
{
    free((struct inner *)stream);
}

static void on_over(void *ctx)
{
    (void)ctx; /* each end has freed itself */
}

static void on_inner(struct stream *stream, int status)
{
    struct inner *inner = (struct inner *)stream;
    struct guest *g = inner->guest;
    if (!g)
        return;
    if (status < 0) {
        guest_close(g);
        return;
    }
    uv_buf_t early = uv_buf_init(g->early.data, (unsigned)g->early.len);
    if (g->early.len > 0)
        (void)stream_write(stream, &early, 1); /* a failure arrives through on_read */
    buf_fini(&g->early);
    g->splice = splice_new((struct splice_end){&g->stream, guest_freed},
                           (struct splice_end){&inner->stream, inner_freed}, on_over, NULL);
    if (!g->splice)
        abort(); /* out of memory */
}

static const struct stream_events inner_events = {.on_connect = on_inner, .on_closed = inner_freed};

static void dial(struct guest *g, const char *path)
{
    g->inner = calloc(1, sizeof *g->inner);
    if (!g->inner)
        abort(); /* a few hundred bytes */
    g->inner->guest = g;
    stream_pause(&g->stream);
    if (stream_dial_unix(&g->inner->stream, g->gate->config.loop, path, &inner_events) < 0) {
        free(g->inner);
        g->inner = NULL;
        guest_close(g);
    }
}

/* ---- a guest comes ---- */

/* The handshake is done: it has the key. */
static void on_shown(struct stream *stream, int status)
{
    struct guest *g = (struct guest *)stream;
    const struct gate_config *config = &g->gate->config;
    const char *path = status == 0 ? config->find(config->ctx) : NULL;
    deadline_disarm(&g->deadline);
    if (path)
        dial(g, path);
    else
        guest_close(g);
}

static void on_read(struct stream *stream, const char *data, ssize_t len)
{
    struct guest *g = (struct guest *)stream;
    if (len > 0)
        buf_add(&g->early, data, (size_t)len);
    if (len < 0 || g->early.failed)
        guest_close(g);
}

static const struct stream_events guest_events = {
    .on_read = on_read, .on_connect = on_shown, .on_closed = guest_freed};

/* The descriptor is the guest's, also when there is none. */
static void take(struct gate *gate, int fd)
{
    struct guest *g = gate->n < GATE_MAX ? calloc(1, sizeof *g) : NULL;
    if (!g || stream_accept(&g->stream, gate->config.loop, fd, false, &guest_events) < 0) {
        if (!g)
            (void)close(fd);
        free(g);
        return;
    }
    g->gate = gate;
    buf_init(&g->early, GATE_EARLY_MAX);
    list_push(&gate->guests, &g->node);
    gate->n++;
    struct tls_session *tls = tls_accept(gate->config.tls);
    if (!tls || g->stream.closing) {
        tls_free(tls);
        guest_close(g);
        return;
    }
    stream_secure(&g->stream, tls);
    stream_alive(&g->stream, GATE_SILENCE_MS);
    deadline_arm(&g->deadline, &gate->hello_q);
    stream_read(&g->stream);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct gate *gate = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(gate->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take(gate, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            uv_poll_stop(&gate->poll); /* whoever comes waits in the backlog */
            deadline_arm(&gate->rest, &gate->rest_q);
            return;
        }
    }
}

static void on_rested(struct deadline *deadline)
{
    uv_poll_start(&list_entry(deadline, struct gate, rest)->poll, UV_READABLE, on_acceptable);
}

/* ---- the whole ---- */

static int listen_any(uint16_t *port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&addr, sizeof addr) == 0 && listen(fd, BACKLOG) == 0 &&
        getsockname(fd, (struct sockaddr *)&addr, &len) == 0) {
        *port = ntohs(addr.sin_port);
        return fd;
    }
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

int gate_open(struct gate **out, const struct gate_config *config, uint16_t *port, struct err *err)
{
    struct gate *gate = calloc(1, sizeof *gate);
    if (!gate)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    gate->config = *config;
    gate->fd = listen_any(port);
    if (gate->fd < 0 || uv_poll_init(&config->loop->uv, &gate->poll, gate->fd) != 0) {
        if (gate->fd >= 0)
            (void)close(gate->fd);
        free(gate);
        return err_set(err, ERR_IO, "cannot listen: %s", uv_strerror(uv_translate_sys_error(errno)));
    }
    list_init(&gate->guests);
    deadline_queue_init(&gate->hello_q, config->loop, GATE_HELLO_MS, on_late);
    deadline_queue_init(&gate->rest_q, config->loop, REST_MS, on_rested);
    gate->poll.data = gate;
    uv_poll_start(&gate->poll, UV_READABLE, on_acceptable);
    *out = gate;
    return 0;
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct gate *gate = handle->data;
    (void)close(gate->fd);
}

void gate_close(struct gate *gate)
{
    list_for_each_safe (it, next, &gate->guests) {
        struct guest *g = list_entry(it, struct guest, node);
        if (g->splice)
            splice_close(g->splice);
        else
            guest_close(g);
    }
    deadline_disarm(&gate->rest);
    uv_close((uv_handle_t *)&gate->poll, on_poll_closed);
    list_remove(&gate->hello_q.node);
    list_remove(&gate->rest_q.node);
}

void gate_free(struct gate *gate)
{
    free(gate);
}
