/* SPDX-License-Identifier: Apache-2.0 */
/* Events in binary: what decodes is encoded to the same bytes, or (an older, shorter payload) decodes to the same. */
#include <assert.h>
#include <string.h>

#include "core/layout.h"
#include "tests/fuzz/split.h"

static void check_rows(const uint8_t *data, size_t size)
{
    static union {
        uint64_t align;
        uint8_t bytes[16384];
    } row, again;
    static uint8_t out[LAYOUT_ENCODED_MAX];
    const struct layout *layout;
    for (uint32_t i = 0; (layout = layout_row_at(i)) != NULL; i++) {
        assert(layout->size <= sizeof row);
        if (layout_decode(layout, &row, data, size) != 0)
            continue;
        size_t n = layout_encode(layout, &row, out, sizeof out);
        assert(n >= size);
        assert(layout_decode(layout, &again, out, n) == 0);
        assert(memcmp(&row, &again, layout->size) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event event;
    static struct event again;
    static uint8_t out[EVENT_HEAD_LEN + LAYOUT_ENCODED_MAX];
    check_rows(data, size);
    if (event_decode(&event, data, size) != 0)
        return 0;
    size_t n = event_encode(&event, out, sizeof out);
    assert(n >= size && memcmp(out, data, EVENT_HEAD_LEN) == 0);
    if (n == size)
        assert(memcmp(out, data, size) == 0);
    int rc = event_decode(&again, out, n);
    assert(rc == 0 && memcmp(&event, &again, sizeof event) == 0);
    /* A frame that is cut anywhere either fails or is an older payload; never a crash. */
    for (size_t cut = 0; cut < size; cut++)
        (void)event_decode(&again, data, cut);
    return 0;
}
