/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners of net/http_server.h: TCP with SO_REUSEPORT, and unix sockets whose peers are known by their user. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "net/http_conn.h"

#define LISTEN_BACKLOG 4096
#define ACCEPT_BATCH 64

/* Polled and accepted from by hand: when no descriptors are left, libuv's own listeners try again and again within one
 * callback and may never come back to the loop. */
struct listener {
    uv_poll_t poll; /* first */
    struct deadline rest;
    struct http_server *server;
    struct list node;
    int fd;
    bool is_unix;
};

static uint32_t peer_uid(const struct stream *stream)
{
    uv_os_fd_t fd;
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (uv_fileno(&stream->uv.handle, &fd) == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
        return cred.uid;
    return UINT32_MAX;
}

/* The descriptor is the connection's, also when there is none. */
static void take(struct listener *l, int fd)
{
    struct http_server *server = l->server;
    struct http_conn *c = http_conn_new(server, fd, l->is_unix);
    if (!c)
        return;
    if (server->nconnections > server->config.connections_max || c->stream.closing) {
        http_conn_close(c);
        return;
    }
    if (l->is_unix) {
        c->request.peer_uid = peer_uid(&c->stream);
    } else if (server->config.tls) {
        struct tls_session *tls = tls_accept(server->config.tls);
        if (!tls) {
            http_conn_close(c);
            return;
        }
        stream_secure(&c->stream, tls);
    }
    /* The first head may take its time to begin, but not longer than an idle connection may last. */
    deadline_arm(&c->deadline, server->config.tls ? &server->head_q : &server->idle_q);
    stream_read(&c->stream);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct listener *l = (struct listener *)poll;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take(l, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            uv_poll_stop(&l->poll); /* no descriptor or no memory: whoever comes waits in the backlog */
            deadline_arm(&l->rest, &l->server->rest_q);
            return;
        }
    }
}

void http_listener_rested(struct deadline *deadline)
{
    uv_poll_start(&list_entry(deadline, struct listener, rest)->poll, UV_READABLE, on_acceptable);
}

/* Takes over the bound socket, if it does not fail. */
static int listener_start(struct http_server *server, int fd, bool is_unix)
{
    struct listener *l = calloc(1, sizeof *l);
    if (!l)
        return UV_ENOMEM;
    *l = (struct listener){.server = server, .fd = fd, .is_unix = is_unix};
    int rc = listen(fd, LISTEN_BACKLOG) == 0 ? 0 : uv_translate_sys_error(errno);
    if (rc == 0)
        rc = uv_poll_init(&server->loop->uv, &l->poll, fd);
    if (rc < 0) {
        free(l);
        return rc;
    }
    list_push(&server->listeners, &l->node);
    uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
    return 0;
}

static int listen_failed(int fd, int rc, const char *what, struct err *err)
{
    if (fd >= 0)
        (void)close(fd);
    return err_set(err, ERR_IO, "cannot listen on %s: %s", what, uv_strerror(rc));
}

bool http_address_parse(const char *text, char host[HTTP_HOST_CAP], uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    uint64_t number;
    if (!colon || !u64_parse(colon + 1, strlen(colon + 1), UINT16_MAX, &number) ||
        !text_set(host, HTTP_HOST_CAP, text, (size_t)(colon - text)))
        return false;
    *port = (uint16_t)number;
    return true;
}

int http_listen_tcp(struct http_server *server, const char *host, uint16_t *port, struct err *err)
{
    struct sockaddr_in addr;
    socklen_t len = sizeof addr;
    int on = 1;
    int rc = uv_ip4_addr(host, *port, &addr);
    if (rc < 0)
        return err_set(err, ERR_INVALID, "%s is not an IPv4 address", host);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)&addr, sizeof addr) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        rc = uv_translate_sys_error(errno);
    else
        rc = listener_start(server, fd, false);
    if (rc < 0)
        return listen_failed(fd, rc, host, err);
    *port = ntohs(addr.sin_port);
    return 0;
}

int http_listen_unix(struct http_server *server, const char *path, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int rc;
    if (!text_set(addr.sun_path, sizeof addr.sun_path, path, strlen(path)))
        return err_set(err, ERR_INVALID, "the socket path %s is too long", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof addr) < 0 || chmod(path, 0666) < 0)
        rc = uv_translate_sys_error(errno);
    else
        rc = listener_start(server, fd, true);
    return rc < 0 ? listen_failed(fd, rc, path, err) : 0;
}

static void listener_closed(uv_handle_t *handle)
{
    struct listener *l = (struct listener *)handle;
    (void)close(l->fd);
    free(l);
}

void http_listeners_close(struct http_server *server)
{
    list_for_each_safe (it, next, &server->listeners) {
        struct listener *l = list_entry(it, struct listener, node);
        deadline_disarm(&l->rest);
        list_remove(&l->node);
        uv_close((uv_handle_t *)&l->poll, listener_closed);
    }
}
