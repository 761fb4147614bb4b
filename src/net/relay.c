/* SPDX-License-Identifier: Apache-2.0 */
#include "net/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/splice.h"
#include "net/stream.h"

#define REST_MS 100 /* where no descriptors are left */

struct joint;

struct joint_end {
    struct stream stream; /* first */
    struct joint *joint;
    bool is_open; /* dialled or taken, and not freed */
};

/* Freed with the second of its ends. */
struct joint {
    struct list node;
    struct relay *relay;
    struct joint_end guest, behind;
    struct splice *splice; /* NULL: the socket behind has not answered yet */
};

struct relay {
    struct relay_config config;
    uv_poll_t poll;
    struct list joints;
    uint32_t n;
    bool closing;
    struct deadline rest;
    struct deadline_queue rest_q;
};

static void tell_lost(struct relay *relay)
{
    if (!relay->closing && relay->config.lost)
        relay->config.lost(relay->config.ctx);
}

/* ---- the end of a joint ---- */

static void on_end_freed(struct stream *stream)
{
    struct joint_end *end = (struct joint_end *)stream;
    struct joint *j = end->joint;
    end->is_open = false;
    if (j->guest.is_open || j->behind.is_open)
        return;
    struct relay *relay = j->relay;
    bool lost = j->splice && splice_answers_left(j->splice);
    list_remove(&j->node);
    relay->n--;
    free(j);
    if (lost)
        tell_lost(relay);
}

static void joint_close(struct joint *j)
{
    if (j->splice) {
        splice_close(j->splice);
        return;
    }
    if (j->behind.is_open)
        stream_close(&j->behind.stream);
    stream_close(&j->guest.stream);
}

/* ---- its life ---- */

static void on_over(void *ctx)
{
    (void)ctx; /* the second of the ends took the joint with it */
}

static void on_behind(struct stream *stream, int status)
{
    struct joint *j = ((struct joint_end *)stream)->joint;
    if (j->guest.stream.closing)
        return;
    if (status == 0) {
        j->splice = splice_new((struct splice_end){&j->guest.stream, on_end_freed},
                               (struct splice_end){&j->behind.stream, on_end_freed}, on_over, NULL);
        if (!j->splice)
            abort(); /* out of memory */
        return;
    }
    joint_close(j);
    tell_lost(j->relay);
}

static const struct stream_events guest_events = {.on_closed = on_end_freed};
static const struct stream_events behind_events = {.on_connect = on_behind, .on_closed = on_end_freed};

static int dial(const struct relay *relay, struct stream *stream)
{
    const struct relay_config *config = &relay->config;
    const struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(config->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (config->path)
        return stream_dial_unix(stream, config->loop, config->path, &behind_events);
    return stream_dial_tcp(stream, config->loop, (const struct sockaddr *)&addr, NULL, &behind_events);
}

/* The descriptor is the joint's. */
static void take(struct relay *relay, int fd)
{
    struct joint *j = relay->n < RELAY_MAX ? calloc(1, sizeof *j) : NULL;
    if (!j) {
        (void)close(fd);
        return;
    }
    if (stream_accept(&j->guest.stream, relay->config.loop, fd, relay->config.is_unix, &guest_events) < 0) {
        free(j);
        return;
    }
    j->relay = relay;
    j->guest.joint = j->behind.joint = j;
    j->guest.is_open = true;
    list_push(&relay->joints, &j->node);
    relay->n++;
    j->behind.is_open = dial(relay, &j->behind.stream) == 0;
    if (!j->behind.is_open) {
        joint_close(j);
        tell_lost(relay);
    }
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct relay *relay = poll->data;
    (void)status;
    (void)events;
    while (!relay->closing) {
        int fd = accept4(relay->config.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take(relay, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            uv_poll_stop(&relay->poll); /* whoever comes waits in the backlog */
            deadline_arm(&relay->rest, &relay->rest_q);
            return;
        }
    }
}

static void on_rested(struct deadline *deadline)
{
    uv_poll_start(&list_entry(deadline, struct relay, rest)->poll, UV_READABLE, on_acceptable);
}

/* ---- the whole ---- */

int relay_open(struct relay **out, const struct relay_config *config, struct err *err)
{
    struct relay *relay = calloc(1, sizeof *relay);
    int rc = relay ? uv_poll_init(&config->loop->uv, &relay->poll, config->fd) : UV_ENOMEM;
    if (rc < 0) {
        (void)close(config->fd);
        free(relay);
        return err_set(err, ERR_IO, "cannot listen: %s", uv_strerror(rc));
    }
    relay->config = *config;
    list_init(&relay->joints);
    deadline_queue_init(&relay->rest_q, config->loop, REST_MS, on_rested);
    relay->poll.data = relay;
    uv_poll_start(&relay->poll, UV_READABLE, on_acceptable);
    *out = relay;
    return 0;
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct relay *relay = handle->data;
    (void)close(relay->config.fd);
}

void relay_close(struct relay *relay)
{
    if (relay->closing)
        return;
    relay->closing = true;
    list_for_each_safe (it, next, &relay->joints)
        joint_close(list_entry(it, struct joint, node));
    deadline_disarm(&relay->rest);
    uv_close((uv_handle_t *)&relay->poll, on_poll_closed);
    list_remove(&relay->rest_q.node);
}

void relay_free(struct relay *relay)
{
    free(relay);
}
