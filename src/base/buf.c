/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"

#define ADDF_ROOM 192

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_fini(struct buf *buf)
{
    free(buf->data);
    buf_init(buf, buf->max);
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

bool buf_reserve(struct buf *buf, size_t extra)
{
    size_t need;
    if (buf->failed || !size_add(buf->len, extra, &need) || need > buf->max) {
        buf->failed = true;
        return false;
    }
    if (need < buf->cap)
        return true;
    size_t cap = buf->cap ? buf->cap : 256;
    while (cap <= need)
        cap *= 2;
    char *data = realloc(buf->data, cap);
    if (!data) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

void buf_add(struct buf *buf, const void *data, size_t len)
{
    if (len == 0 || !buf_reserve(buf, len))
        return;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
}

char buf_last(const struct buf *buf)
{
    return buf->len ? buf->data[buf->len - 1] : 0;
}

void buf_take_back(struct buf *buf, char c)
{
    if (buf->len && !buf->failed && buf->data[buf->len - 1] == c)
        buf->len--;
}

void buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_add_char(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_add_u64(struct buf *buf, uint64_t v)
{
    char text[20];
    buf_add(buf, text, u64_format(text, v, 10));
}

void buf_addf(struct buf *buf, const char *fmt, ...)
{
    /* Most texts fit what is reserved at first, so they are formatted once. */
    size_t room = buf->max - buf->len < ADDF_ROOM ? buf->max - buf->len : ADDF_ROOM;
    if (!buf_reserve(buf, room))
        return;
    for (;;) {
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(room ? buf->data + buf->len : NULL, room, fmt, ap);
        va_end(ap);
        if (n < 0) {
            buf->failed = true;
            return;
        }
        if ((size_t)n < room) {
            buf->len += (size_t)n;
            return;
        }
        if (!buf_reserve(buf, (size_t)n))
            return;
        room = (size_t)n + 1; /* a buf always has a byte more than was reserved */
    }
}

/* Bytes of the UTF-8 sequence at text; 0 if there is none: a text that was cut ends in the middle of a character. */
static size_t utf8_len(const unsigned char *text, size_t len)
{
    static const struct {
        unsigned char first, last, low, high; /* first bytes, and the range of the second */
        unsigned char n;
    } forms[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
                 {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
                 {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (text[0] < forms[i].first || text[0] > forms[i].last)
            continue;
        if (len < forms[i].n || text[1] < forms[i].low || text[1] > forms[i].high)
            return 0;
        for (size_t k = 2; k < forms[i].n; k++) {
            if ((text[k] & 0xc0) != 0x80)
                return 0;
        }
        return forms[i].n;
    }
    return 0;
}

void buf_add_json(struct buf *buf, const char *text, size_t len)
{
    buf_add_char(buf, '"');
    size_t start = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\')
            continue;
        size_t n = c < 0x80 ? 0 : utf8_len((const unsigned char *)text + i, len - i);
        if (n > 0) {
            i += n - 1;
            continue;
        }
        buf_add(buf, text + start, i - start);
        start = i + 1;
        if (c == '"' || c == '\\')
            buf_addf(buf, "\\%c", c);
        else if (c == '\n')
            buf_add_text(buf, "\\n");
        else
            buf_addf(buf, "\\u%04x", c < 0x80 ? c : 0xfffd);
    }
    buf_add(buf, text + start, len - start);
    buf_add_char(buf, '"');
}

void buf_consume(struct buf *buf, size_t len)
{
    assert(len <= buf->len);
    if (len < buf->len)
        memmove(buf->data, buf->data + len, buf->len - len);
    buf->len -= len;
}

char *buf_take(struct buf *buf)
{
    if (!buf_reserve(buf, 0) && buf->failed)
        return NULL;
    if (!buf->data && !(buf->data = malloc(1)))
        return NULL;
    char *data = buf->data;
    data[buf->len] = 0;
    buf_init(buf, buf->max);
    return data;
}
