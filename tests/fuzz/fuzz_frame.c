/* SPDX-License-Identifier: Apache-2.0 */
/* What comes over a trunk: whatever it is, reading it ends, and what was whole is whole however it was cut before. */
#include <assert.h>
#include <string.h>

#include "gateway/frame.h"
#include "tests/fuzz/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct frame frame;
    size_t at = 0, used;
    const char *bytes = (const char *)data;
    while (frame_read(bytes + at, size - at, &frame, &used) == FRAME_WHOLE) {
        assert(used >= FRAME_HEAD_LEN && used <= FRAME_MAX && used <= size - at);
        for (size_t cut = 0; cut < used; cut++) {
            size_t none;
            assert(frame_read(bytes + at, cut, &frame, &none) == FRAME_MORE && none == 0);
        }
        assert(frame_read(bytes + at, used, &frame, &used) == FRAME_WHOLE);
        if (frame.type == FRAME_EVENT) {
            struct buf again;
            buf_init(&again, FRAME_MAX);
            frame_add_event(&again, &frame.event);
            assert(!again.failed && again.len >= used);
            buf_fini(&again);
        }
        at += used;
    }
    return 0;
}
