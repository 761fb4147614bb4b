/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream: one connected socket, TCP or unix, with or without TLS.
 *
 * Reads go to the loop's shared buffer: the bytes given to on_read are valid during the call only. Writes are tried
 * at once; what the socket does not take is copied and queued, and on_drain runs when the queue has shrunk. A write
 * error, EOF or reset ends in on_read with a negative length, once. stream_close is final: no callback after it but
 * on_closed, in which the owner frees the memory that holds the stream.
 */
#ifndef BUSBAR_NET_STREAM_H
#define BUSBAR_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "net/loop.h"

struct stream;
struct lookup;
struct tls_session;

struct stream_events {
    /* len > 0: bytes; len < 0: a libuv error, UV_EOF at the end of the peer's data. */
    void (*on_read)(struct stream *stream, const char *data, ssize_t len);
    void (*on_drain)(struct stream *stream);
    void (*on_closed)(struct stream *stream);
    /* Client side: connected (and, with TLS, the handshake is done), or a negative libuv error. */
    void (*on_connect)(struct stream *stream, int status);
};

struct stream {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    const struct stream_events *events;
    void *owner;             /* for whoever has the events; nobody else reads it */
    struct tls_session *tls; /* NULL: plain */
    uint64_t written;        /* bytes handed to stream_write, before TLS */
    uint64_t lost;           /* of them, those that a failed write dropped */
    struct lookup *lookup;   /* of the name that is dialled */
    bool closing;
    bool reading;
    bool failed; /* on_read was told of an error */
};

/* Takes over an accepted, non-blocking descriptor, also when it fails. 0 or a negative libuv error; then the stream was
 * not initialised. */
int stream_accept(struct stream *stream, struct loop *loop, int fd, bool is_unix,
                  const struct stream_events *events);
/* Dials; on_connect follows. `tls` (may be NULL) moves to the stream. 0 or a negative libuv error; then nothing
 * follows and the stream is not initialised. */
int stream_dial_tcp(struct stream *stream, struct loop *loop, const struct sockaddr *addr,
                    struct tls_session *tls, const struct stream_events *events);
/* The same of a host's IPv4 address or its name, which is looked up first; on_connect tells if it has no address. */
int stream_dial_name(struct stream *stream, struct loop *loop, const char *host, uint16_t port,
                     struct tls_session *tls, const struct stream_events *events);
int stream_dial_unix(struct stream *stream, struct loop *loop, const char *path,
                     const struct stream_events *events);
/* Server side: the session moves to the stream; before stream_read. */
void stream_secure(struct stream *stream, struct tls_session *tls);

void stream_read(struct stream *stream);
void stream_pause(struct stream *stream);
/* 0, or a negative libuv error after which on_read will be told too. The bytes are copied where need be. */
int stream_write(struct stream *stream, const uv_buf_t *bufs, unsigned nbufs);
/* Bytes accepted by stream_write that the socket has not taken yet. */
size_t stream_queued(const struct stream *stream);
/* Ends our side, when nothing is queued; the peer's data still come. 0 or a negative libuv error. */
int stream_end(struct stream *stream);
/* Of a TCP stream on which nothing is said: a peer that answers no probe for `ms` is lost. (TCP_USER_TIMEOUT would find it
 * while bytes are under way, too, but takes a peer that does not read for one that is lost.) */
void stream_alive(struct stream *stream, unsigned ms);
void stream_close(struct stream *stream);

#endif
