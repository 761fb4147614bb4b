/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-sent events, as far as the OpenAI API uses them: the data of each event, from any cut of the bytes.
 *
 * Follows the WHATWG event stream format for line endings (CR, LF, CRLF), comments and the joining of data lines; event,
 * id and retry fields are read over. An event larger than SSE_EVENT_MAX is an error: an engine that sends one is not
 * to be trusted with our memory.
 */
#ifndef BUSBAR_NET_SSE_H
#define BUSBAR_NET_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define SSE_EVENT_MAX ((size_t)4 << 20)

/* One event's data, without the last line feed; valid during the call. Non-zero stops the feed. */
typedef int sse_fn(void *ctx, const char *data, size_t len);

struct sse {
    struct buf line; /* an unfinished line of an earlier feed */
    struct buf data; /* of the open event, when it has more than one line */
    bool has_data;
    bool after_cr;
};

void sse_init(struct sse *sse);
void sse_fini(struct sse *sse);
/* 0, ERR_TOO_LARGE, or what fn returned. */
int sse_feed(struct sse *sse, const char *bytes, size_t len, sse_fn *fn, void *ctx);

#endif
