/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: what a gateway and its hub say to each other on a trunk, after it has been upgraded from HTTP.
 *
 *   gateway  HELLO   the process that it is
 *   hub      WELCOME whether that one was the gateway's process before; then
 *   gateway  EVENT   worker_join, lease_ask, lease_return, meter or service_demand, as core/layout.h encodes it, with the sender's token,
 *                    and in place of its time how long ago it was made, ms
 *   hub      REPLY   to a token, once it is durable
 *   hub      RECALL  of a lease
 *   hub      ROUTES, ROW ..., ROUTES_END: what requests are matched against, whole, whenever it has changed
 *   gateway  PING    and the hub's PONG, with whether it can record
 *
 * A frame is u32 length of the payload, u8 type, payload; little-endian. Reading trusts nothing: what is too long, cut, of
 * another type or left over is FRAME_BAD, and the connection ends.
 */
#ifndef BUSBAR_GATEWAY_FRAME_H
#define BUSBAR_GATEWAY_FRAME_H

#include <stdalign.h>

#include "base/buf.h"
#include "core/layout.h"

#define FRAME_VERSION 1
#define FRAME_HEAD_LEN 5
#define FRAME_PAYLOAD_MAX (LAYOUT_ENCODED_MAX + EVENT_HEAD_LEN)
#define FRAME_MAX (FRAME_HEAD_LEN + FRAME_PAYLOAD_MAX)
#define FRAME_ROW_MAX 2048 /* of a row's struct */

#define TRUNK_PATH "/gateway/v1/trunk"
#define TRUNK_PROTOCOL "busbar-trunk"

enum frame_type {
    FRAME_HELLO = 1,
    FRAME_EVENT = 2,
    FRAME_PING = 3,
    FRAME_WELCOME = 16,
    FRAME_REPLY = 17,
    FRAME_RECALL = 18,
    FRAME_ROUTES = 19,
    FRAME_ROW = 20,
    FRAME_ROUTES_END = 21,
    FRAME_PONG = 22
};

struct frame {
    enum frame_type type;
    uint32_t kind;    /* ROW: enum row_kind */
    uint32_t flag;    /* WELCOME: it was known; PONG: the hub can record */
    uint64_t number;  /* PING, PONG; ROUTES: version; ROUTES_END: of rows */
    uint64_t token;   /* REPLY */
    int32_t code;     /* REPLY */
    int64_t amount;   /* REPLY */
    struct uuid a, b; /* HELLO: session; RECALL: worker, lease */
    struct event event;
    alignas(8) uint8_t row[FRAME_ROW_MAX];
};

enum frame_read { FRAME_BAD = -1, FRAME_MORE = 0, FRAME_WHOLE = 1 };

/* Whether data begins with a whole frame; then *used is its length. */
enum frame_read frame_read(const char *data, size_t len, struct frame *out, size_t *used);

/* Each appends a frame. */
void frame_add_hello(struct buf *out, const struct uuid *session);
void frame_add_event(struct buf *out, const struct event *event);
/* Says in such a frame how old its event is by now. */
void frame_set_age(char *frame, uint64_t age_ms);
void frame_add_number(struct buf *out, enum frame_type type, uint64_t number); /* PING, ROUTES, ROUTES_END */
void frame_add_welcome(struct buf *out, bool known);
void frame_add_reply(struct buf *out, uint64_t token, int code, int64_t amount);
void frame_add_recall(struct buf *out, const struct uuid *worker, const struct uuid *lease);
void frame_add_row(struct buf *out, uint32_t kind, const void *row);
void frame_add_pong(struct buf *out, uint64_t number, bool ready);

#endif
