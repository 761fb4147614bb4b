/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners of net/http_server.h: TCP with SO_REUSEPORT, and unix sockets whose peers are known by their user. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "net/http_conn.h"

struct listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct http_server *server;
    struct list node;
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

static void on_connection(uv_stream_t *uv, int status)
{
    struct listener *l = (struct listener *)uv;
    struct http_server *server = l->server;
    if (status < 0)
        return; /* out of descriptors: libuv has dropped the connection and goes on */
    struct http_conn *c = http_conn_new(server, uv, l->is_unix);
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

static void listener_closed(uv_handle_t *handle)
{
    free(handle);
}

static struct listener *listener_new(struct http_server *server, bool is_unix)
{
    struct listener *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->server = server;
    l->is_unix = is_unix;
    int rc = is_unix ? uv_pipe_init(&server->loop->uv, &l->uv.pipe, 0)
                     : uv_tcp_init_ex(&server->loop->uv, &l->uv.tcp, AF_INET);
    if (rc < 0) {
        free(l);
        return NULL;
    }
    list_push(&server->listeners, &l->node);
    return l;
}

static int listen_failed(struct listener *l, int rc, const char *what, struct err *err)
{
    list_remove(&l->node);
    uv_close(&l->uv.handle, listener_closed);
    return err_set(err, ERR_IO, "cannot listen on %s: %s", what, uv_strerror(rc));
}

int http_listen_tcp(struct http_server *server, const char *host, uint16_t *port, struct err *err)
{
    struct sockaddr_in addr;
    int rc = uv_ip4_addr(host, *port, &addr);
    if (rc < 0)
        return err_set(err, ERR_INVALID, "%s is not an IPv4 address", host);
    struct listener *l = listener_new(server, false);
    if (!l)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    uv_os_fd_t fd;
    int on = 1;
    rc = uv_fileno(&l->uv.handle, &fd);
    if (rc == 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0)
        rc = uv_translate_sys_error(errno);
    if (rc == 0)
        rc = uv_tcp_bind(&l->uv.tcp, (const struct sockaddr *)&addr, 0);
    if (rc == 0)
        rc = uv_listen(&l->uv.stream, 4096, on_connection);
    int len = sizeof addr;
    if (rc == 0)
        rc = uv_tcp_getsockname(&l->uv.tcp, (struct sockaddr *)&addr, &len);
    if (rc < 0)
        return listen_failed(l, rc, host, err);
    *port = ntohs(addr.sin_port);
    return 0;
}

int http_listen_unix(struct http_server *server, const char *path, struct err *err)
{
    if (strlen(path) >= sizeof((struct sockaddr_un){0}).sun_path)
        return err_set(err, ERR_INVALID, "the socket path %s is too long", path); /* libuv would cut it */
    struct listener *l = listener_new(server, true);
    if (!l)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int rc = uv_pipe_bind(&l->uv.pipe, path);
    if (rc == 0)
        rc = uv_pipe_chmod(&l->uv.pipe, UV_READABLE | UV_WRITABLE);
    if (rc == 0)
        rc = uv_listen(&l->uv.stream, 128, on_connection);
    return rc < 0 ? listen_failed(l, rc, path, err) : 0;
}

void http_listeners_close(struct http_server *server)
{
    list_for_each_safe (it, next, &server->listeners) {
        struct listener *l = list_entry(it, struct listener, node);
        list_remove(&l->node);
        uv_close(&l->uv.handle, listener_closed);
    }
}
