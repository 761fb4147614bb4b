/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events: however the bytes are cut, the same events come out. */
#include <assert.h>
#include <string.h>

#include "net/sse.h"
#include "tests/fuzz/split.h"

static int on_event(void *ctx, const char *data, size_t len)
{
    struct buf *log = ctx;
    buf_addf(log, "%zu:", len);
    buf_add(log, data, len);
    return len == 5 && memcmp(data, "stop!", 5) == 0 ? 7 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole;
    struct buf cut;
    struct sse sse;
    struct split split;
    buf_init(&whole, (size_t)16 << 20);
    buf_init(&cut, (size_t)16 << 20);
    sse_init(&sse);
    int whole_rc = sse_feed(&sse, (const char *)data, size, on_event, &whole);
    sse_fini(&sse);
    sse_init(&sse);
    split_init(&split, data, size);
    int cut_rc = 0;
    for (size_t at = 0; at < size && cut_rc == 0;) {
        size_t n = split_next(&split, size - at);
        cut_rc = sse_feed(&sse, (const char *)data + at, n, on_event, &cut);
        at += n;
    }
    sse_fini(&sse);
    assert(whole_rc == cut_rc && whole.len == cut.len);
    assert(whole.len == 0 || memcmp(whole.data, cut.data, cut.len) == 0);
    buf_fini(&whole);
    buf_fini(&cut);
    return 0;
}
