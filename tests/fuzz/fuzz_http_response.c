/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP responses: however the bytes are cut, the parser must come to the same result. */
#include <assert.h>
#include <string.h>

#include "tests/fuzz/split.h"
#include "tests/net/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace whole;
    struct trace cut;
    struct split split;
    trace_init(&whole, false);
    trace_feed(&whole, (const char *)data, size);
    trace_end(&whole);
    trace_init(&cut, false);
    split_init(&split, data, size);
    for (size_t at = 0; at < size;) {
        size_t n = split_next(&split, size - at);
        if (!trace_feed(&cut, (const char *)data + at, n))
            break;
        at += n;
    }
    trace_end(&cut);
    assert(strcmp(whole.outcomes.data, cut.outcomes.data) == 0);
    assert(whole.log.len == cut.log.len && memcmp(whole.log.data, cut.log.data, cut.log.len) == 0);
    trace_fini(&whole);
    trace_fini(&cut);
    return 0;
}
