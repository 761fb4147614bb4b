/* SPDX-License-Identifier: Apache-2.0 */
#include "net/sse.h"

#include <string.h>

#include "base/err.h"

void sse_init(struct sse *sse)
{
    *sse = (struct sse){0};
    buf_init(&sse->line, SSE_EVENT_MAX);
    buf_init(&sse->data, SSE_EVENT_MAX);
}

void sse_fini(struct sse *sse)
{
    buf_fini(&sse->line);
    buf_fini(&sse->data);
}

/* Where the value of a data line begins; 0 if it is another field or a comment. */
static size_t data_at(const char *line, size_t len)
{
    if (len < 4 || memcmp(line, "data", 4) != 0 || (len > 4 && line[4] != ':'))
        return 0;
    size_t skip = len > 4 ? 5 : 4;
    return skip < len && line[skip] == ' ' ? skip + 1 : skip;
}

static int take_line(struct sse *sse, const char *line, size_t len, sse_fn *fn, void *ctx)
{
    if (len == 0) { /* an empty line ends the event */
        if (!sse->has_data)
            return 0;
        int rc = fn(ctx, sse->data.data ? sse->data.data : "", sse->data.len);
        sse->has_data = false;
        buf_clear(&sse->data);
        if (sse->data.cap > 4096)
            buf_fini(&sse->data);
        return rc;
    }
    size_t skip = data_at(line, len);
    if (skip == 0)
        return 0;
    if (sse->has_data)
        buf_add_char(&sse->data, '\n');
    buf_add(&sse->data, line + skip, len - skip);
    sse->has_data = true;
    return sse->data.failed ? ERR_TOO_LARGE : 0;
}

int sse_feed(struct sse *sse, const char *bytes, size_t len, sse_fn *fn, void *ctx)
{
    size_t at = 0;
    size_t skip;
    while (at < len) {
        if (sse->after_cr && bytes[at] == '\n') {
            sse->after_cr = false;
            at++;
            continue;
        }
        sse->after_cr = false;
        const char *lf = memchr(bytes + at, '\n', len - at);
        size_t end = lf ? (size_t)(lf - bytes) : len;
        const char *cr = memchr(bytes + at, '\r', end - at);
        if (cr)
            end = (size_t)(cr - bytes);
        if (end == len) {
            buf_add(&sse->line, bytes + at, len - at);
            return sse->line.failed ? ERR_TOO_LARGE : 0;
        }
        int rc;
        bool whole = !sse->has_data && sse->line.len == 0 && end + 1 < len && bytes[end] == '\n' &&
                     bytes[end + 1] == '\n';
        if (whole && (skip = data_at(bytes + at, end - at)) > 0) {
            /* The usual event, one data line and an empty one, is handed over where it lies. */
            rc = fn(ctx, bytes + at + skip, end - at - skip);
            end++;
        } else if (sse->line.len > 0) {
            buf_add(&sse->line, bytes + at, end - at);
            rc = sse->line.failed ? ERR_TOO_LARGE : take_line(sse, sse->line.data, sse->line.len, fn, ctx);
            buf_fini(&sse->line);
        } else {
            rc = take_line(sse, bytes + at, end - at, fn, ctx);
        }
        if (rc != 0)
            return rc;
        sse->after_cr = bytes[end] == '\r';
        at = end + 1;
    }
    return 0;
}
