/* SPDX-License-Identifier: Apache-2.0 */
#include "net/splice.h"

#include <stdlib.h>

enum { ASKS, ANSWERS, ENDS };

struct splice {
    struct splice_end end[ENDS];
    bool answered; /* the answering side has said its last byte */
    bool ended;    /* one of them has, by end or error */
    bool left;     /* it was the answering side */
    unsigned open; /* streams that are not freed yet */
    void (*over)(void *ctx);
    void *ctx;
};

void splice_close(struct splice *s)
{
    for (int i = 0; i < ENDS; i++) {
        if (s->end[i].stream)
            stream_close(s->end[i].stream);
    }
}

bool splice_answers_left(const struct splice *s)
{
    return s->left;
}

static struct stream *other(const struct splice *s, const struct stream *stream)
{
    return s->end[s->end[ASKS].stream == stream ? ANSWERS : ASKS].stream;
}

static void note_end(struct splice *s, const struct stream *stream)
{
    s->left = s->ended ? s->left : stream == s->end[ANSWERS].stream;
    s->ended = true;
}

static void on_read(struct stream *stream, const char *data, ssize_t len)
{
    struct splice *s = stream->owner;
    struct stream *to = other(s, stream);
    bool last = stream == s->end[ANSWERS].stream && len == UV_EOF && stream_queued(to) > 0;
    if (len < 0)
        note_end(s, stream);
    if (len < 0 && !last) {
        splice_close(s);
        return;
    }
    s->answered = s->answered || last;
    if (s->answered)
        return; /* what is asked after the last answer nobody hears */
    uv_buf_t buf = uv_buf_init((char *)data, (unsigned)len);
    if (stream_write(to, &buf, 1) < 0) {
        note_end(s, to);
        splice_close(s);
    } else if (stream_queued(to) > SPLICE_HIGH) {
        stream_pause(stream);
    }
}

static void on_drain(struct stream *stream)
{
    struct splice *s = stream->owner;
    size_t queued = stream_queued(stream);
    if (s->answered && queued == 0)
        splice_close(s);
    else if (!s->answered && queued <= SPLICE_LOW)
        stream_read(other(s, stream));
}

static void on_closed(struct stream *stream)
{
    struct splice *s = stream->owner;
    struct splice_end *end = &s->end[s->end[ASKS].stream == stream ? ASKS : ANSWERS];
    end->stream = NULL;
    end->closed(stream);
    if (--s->open > 0)
        return;
    s->over(s->ctx);
    free(s);
}

static const struct stream_events events = {.on_read = on_read, .on_drain = on_drain, .on_closed = on_closed};

struct splice *splice_new(struct splice_end asks, struct splice_end answers, void (*over)(void *ctx),
                          void *ctx)
{
    struct splice *s = malloc(sizeof *s);
    if (!s)
        return NULL;
    *s = (struct splice){.end = {asks, answers}, .open = ENDS, .over = over, .ctx = ctx};
    for (int i = 0; i < ENDS; i++) {
        s->end[i].stream->owner = s;
        s->end[i].stream->events = &events;
    }
    for (int i = 0; i < ENDS; i++)
        stream_read(s->end[i].stream);
    return s;
}
