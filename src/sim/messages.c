/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/messages.h"

#include "base/rng.h"

struct message message_draw(uint64_t seed, uint32_t job, uint32_t epoch)
{
    struct rng rng;
    struct message m = {0};
    rng_init(&rng, seed ^ UINT64_C(0x6d65737361676573) ^ ((uint64_t)epoch << 32 | job));
    uint64_t what = rng_below(&rng, 1000);
    if (what < MESSAGES_LATE) {
        m.delay_ms = 1 + (int64_t)rng_below(&rng, MESSAGE_LATE_MS);
    } else if (what < MESSAGES_LATE + MESSAGES_TWICE) {
        m.again_ms = 1 + (int64_t)rng_below(&rng, MESSAGE_LATE_MS);
    } else if (what < MESSAGES_LATE + MESSAGES_TWICE + MESSAGES_LOST) {
        m.delay_ms = 1 + (int64_t)rng_below(&rng, MESSAGE_LOST_MS);
        m.lost = true;
    }
    return m;
}
