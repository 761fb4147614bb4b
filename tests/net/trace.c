/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/net/trace.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static struct trace *trace_of(struct http_message *m)
{
    return (struct trace *)(void *)((char *)m - offsetof(struct trace, message));
}

static int on_head(struct http_message *m)
{
    struct trace *t = trace_of(m);
    const struct http_head *h = m->head;
    buf_addf(&t->log, "head %d %d.%d [",
             m->parser.type == HTTP_REQUEST ? m->parser.method : m->parser.status_code, m->parser.http_major,
             m->parser.http_minor);
    buf_add(&t->log, h->bytes, h->target_len);
    for (uint16_t i = 0; i < h->nfields; i++) {
        buf_addf(&t->log, "]\n %.*s=[", h->field[i].name_len, h->bytes + h->field[i].name);
        buf_add(&t->log, h->bytes + h->field[i].value, h->field[i].value_len);
    }
    buf_add_text(&t->log, "]\n");
    return 0;
}

static int on_body(struct http_message *m, const char *data, size_t len)
{
    buf_add(&trace_of(m)->body, data, len);
    return 0;
}

static const struct http_message_events events = {.on_head = on_head, .on_body = on_body};

void trace_init(struct trace *t, bool request)
{
    *t = (struct trace){0};
    buf_init(&t->log, (size_t)8 << 20);
    buf_init(&t->body, (size_t)8 << 20);
    buf_init(&t->outcomes, 4096);
    http_message_init(&t->message, request, &events);
}

void trace_fini(struct trace *t)
{
    http_message_fini(&t->message);
    buf_fini(&t->log);
    buf_fini(&t->body);
    buf_fini(&t->outcomes);
}

static void outcome(struct trace *t, const char *text)
{
    if (t->outcomes.len > 0)
        buf_add_char(&t->outcomes, ',');
    buf_add_text(&t->outcomes, text);
    if (t->message.status != 0) { /* what came before a refusal depends on the cut: nobody acts on it */
        t->log.len = t->begin;
        buf_clear(&t->body);
    }
    buf_addf(&t->log, "%s keep=%d body=", text, text[0] == 'o' && http_keep_alive(&t->message));
    buf_add(&t->log, t->body.data, t->body.len);
    buf_add_char(&t->log, '\n');
    buf_clear(&t->body);
    t->begin = t->log.len;
    t->partial = false;
}

bool trace_feed(struct trace *t, const char *data, size_t len)
{
    while (len > 0) {
        t->partial = true;
        ssize_t used = http_message_feed(&t->message, data, len);
        if (used < 0) {
            char status[16];
            assert(used == -1);
            assert(t->message.reason);
            ssize_t again = http_message_feed(&t->message, data, len);
            assert(again == -1);
            (void)snprintf(status, sizeof status, "%d", t->message.status);
            outcome(t, t->message.parser.type == HTTP_REQUEST ? status : "bad");
            return false;
        }
        assert((size_t)used <= len);
        data += used;
        len -= (size_t)used;
        if (!t->message.complete) {
            assert(len == 0);
            break;
        }
        outcome(t, "ok");
        http_message_reset(&t->message);
    }
    return true;
}

void trace_end(struct trace *t)
{
    if (t->partial && t->message.status == 0)
        outcome(t, http_message_eof(&t->message) == 0 && t->message.complete ? "eof" : "wait");
    assert(!t->log.failed && !t->body.failed && !t->outcomes.failed);
    buf_add_char(&t->outcomes, 0);
    buf_add_char(&t->log, 0);
}
