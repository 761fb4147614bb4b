/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/frame.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/le.h"

/* ---- writing ---- */

static void add(struct buf *out, enum frame_type type, const uint8_t *payload, size_t len)
{
    uint8_t head[FRAME_HEAD_LEN];
    assert(len <= FRAME_PAYLOAD_MAX);
    le_put(head, len, 4);
    head[4] = (uint8_t)type;
    buf_add(out, head, sizeof head);
    buf_add(out, payload, len);
}

void frame_add_hello(struct buf *out, const struct uuid *session)
{
    uint8_t p[2 + sizeof session->b];
    le_put(p, FRAME_VERSION, 2);
    memcpy(p + 2, session->b, sizeof session->b);
    add(out, FRAME_HELLO, p, sizeof p);
}

void frame_add_event(struct buf *out, const struct event *event)
{
    uint8_t p[FRAME_PAYLOAD_MAX];
    size_t len = event_encode(event, p, sizeof p);
    assert(len > 0);
    add(out, FRAME_EVENT, p, len);
}

void frame_set_age(char *frame, uint64_t age_ms)
{
    le_put((uint8_t *)frame + FRAME_HEAD_LEN + EVENT_AT, age_ms, 8);
}

void frame_add_number(struct buf *out, enum frame_type type, uint64_t number)
{
    uint8_t p[8];
    le_put(p, number, sizeof p);
    add(out, type, p, sizeof p);
}

void frame_add_welcome(struct buf *out, bool known)
{
    uint8_t p[1] = {known};
    add(out, FRAME_WELCOME, p, sizeof p);
}

void frame_add_reply(struct buf *out, uint64_t token, int code, int64_t amount)
{
    uint8_t p[20];
    le_put(p, token, 8);
    le_put(p + 8, (uint64_t)(int64_t)code, 4);
    le_put(p + 12, (uint64_t)amount, 8);
    add(out, FRAME_REPLY, p, sizeof p);
}

void frame_add_recall(struct buf *out, const struct uuid *worker, const struct uuid *lease)
{
    uint8_t p[sizeof worker->b + sizeof lease->b];
    memcpy(p, worker->b, sizeof worker->b);
    memcpy(p + sizeof worker->b, lease->b, sizeof lease->b);
    add(out, FRAME_RECALL, p, sizeof p);
}

void frame_add_row(struct buf *out, uint32_t kind, const void *row)
{
    uint8_t p[FRAME_PAYLOAD_MAX];
    le_put(p, kind, 2);
    size_t len = layout_encode(layout_row(kind), row, p + 2, sizeof p - 2);
    assert(len > 0);
    add(out, FRAME_ROW, p, 2 + len);
}

void frame_add_pong(struct buf *out, uint64_t number, bool ready)
{
    uint8_t p[9];
    le_put(p, number, 8);
    p[8] = ready;
    add(out, FRAME_PONG, p, sizeof p);
}

/* ---- reading ---- */

static bool read_hello(struct frame *f, const uint8_t *p, size_t len)
{
    if (len != 2 + sizeof f->a.b || le_get(p, 2) != FRAME_VERSION)
        return false;
    memcpy(f->a.b, p + 2, sizeof f->a.b);
    return !uuid_zero(&f->a);
}

static bool read_event(struct frame *f, const uint8_t *p, size_t len)
{
    return event_decode(&f->event, p, len) == 0;
}

static bool read_number(struct frame *f, const uint8_t *p, size_t len)
{
    f->number = len == 8 ? le_get(p, 8) : 0;
    return len == 8;
}

static bool read_welcome(struct frame *f, const uint8_t *p, size_t len)
{
    f->flag = len == 1 ? p[0] : 2;
    return f->flag <= 1;
}

static bool read_reply(struct frame *f, const uint8_t *p, size_t len)
{
    if (len != 20)
        return false;
    f->token = le_get(p, 8);
    f->code = (int32_t)(uint32_t)le_get(p + 8, 4);
    f->amount = (int64_t)le_get(p + 12, 8);
    return true;
}

static bool read_recall(struct frame *f, const uint8_t *p, size_t len)
{
    if (len != sizeof f->a.b + sizeof f->b.b)
        return false;
    memcpy(f->a.b, p, sizeof f->a.b);
    memcpy(f->b.b, p + sizeof f->a.b, sizeof f->b.b);
    return true;
}

static bool read_row(struct frame *f, const uint8_t *p, size_t len)
{
    f->kind = len >= 2 ? (uint32_t)le_get(p, 2) : 0;
    const struct layout *layout = layout_row(f->kind);
    return layout && layout->size <= sizeof f->row && layout_decode(layout, f->row, p + 2, len - 2) == 0;
}

static bool read_pong(struct frame *f, const uint8_t *p, size_t len)
{
    f->number = len == 9 ? le_get(p, 8) : 0;
    f->flag = len == 9 ? p[8] : 2;
    return f->flag <= 1;
}

static const struct {
    enum frame_type type;
    bool (*read)(struct frame *f, const uint8_t *p, size_t len);
} types[] = {{FRAME_HELLO, read_hello},     {FRAME_EVENT, read_event}, {FRAME_PING, read_number},
             {FRAME_WELCOME, read_welcome}, {FRAME_REPLY, read_reply}, {FRAME_RECALL, read_recall},
             {FRAME_ROUTES, read_number},   {FRAME_ROW, read_row},     {FRAME_ROUTES_END, read_number},
             {FRAME_PONG, read_pong}};

enum frame_read frame_read(const char *data, size_t len, struct frame *out, size_t *used)
{
    const uint8_t *p = (const uint8_t *)data;
    *used = 0;
    if (len < FRAME_HEAD_LEN)
        return FRAME_MORE;
    uint64_t payload = le_get(p, 4);
    if (payload > FRAME_PAYLOAD_MAX)
        return FRAME_BAD;
    size_t i = 0;
    while (i < sizeof types / sizeof types[0] && (uint8_t)types[i].type != p[4])
        i++;
    if (i == sizeof types / sizeof types[0])
        return FRAME_BAD;
    if (len - FRAME_HEAD_LEN < payload)
        return FRAME_MORE;
    out->type = types[i].type;
    *used = FRAME_HEAD_LEN + (size_t)payload;
    return types[i].read(out, p + FRAME_HEAD_LEN, (size_t)payload) ? FRAME_WHOLE : FRAME_BAD;
}
