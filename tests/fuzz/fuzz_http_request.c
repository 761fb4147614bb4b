/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP requests: however the bytes are cut, the parser must come to the same result. */
#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "tests/fuzz/split.h"
#include "tests/net/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A message with two faults may be refused for either, by what the cut shows first: 400 and 431 are both refusals. */
static bool same_outcomes(const char *a, const char *b)
{
    size_t at = 0;
    while (a[at] && a[at] == b[at])
        at++;
    if (a[at] == b[at])
        return true;
    while (at > 0 && a[at - 1] != ',') /* back to where the status that differs begins */
        at--;
    bool refused = (a[at] == '4' || a[at] == '5') && (b[at] == '4' || b[at] == '5');
    return refused && strlen(a + at) == 3 && strlen(b + at) == 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace whole;
    struct trace cut;
    struct split split;
    trace_init(&whole, true);
    trace_feed(&whole, (const char *)data, size);
    trace_end(&whole);
    trace_init(&cut, true);
    split_init(&split, data, size);
    for (size_t at = 0; at < size;) {
        size_t n = split_next(&split, size - at);
        if (!trace_feed(&cut, (const char *)data + at, n))
            break;
        at += n;
    }
    trace_end(&cut);
    assert(same_outcomes(whole.outcomes.data, cut.outcomes.data));
    if (strcmp(whole.outcomes.data, cut.outcomes.data) == 0)
        assert(whole.log.len == cut.log.len && memcmp(whole.log.data, cut.log.data, cut.log.len) == 0);
    trace_fini(&whole);
    trace_fini(&cut);
    return 0;
}
