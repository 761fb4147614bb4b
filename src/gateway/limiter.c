/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/limiter.h"

#define MINUTE_NS UINT64_C(60000000000)

bool limit_take(struct limit *limit, uint32_t per_minute, uint64_t n, uint64_t now_ns,
                struct limit_state *state)
{
    uint64_t cell = MINUTE_NS / per_minute;
    /* A request that is larger than a minute's worth could never pass; let it take the whole minute instead. */
    uint64_t cost = n > per_minute ? MINUTE_NS : n * cell;
    uint64_t full = atomic_load_explicit(&limit->full_ns, memory_order_relaxed);
    for (;;) {
        uint64_t base = full > now_ns ? full : now_ns;
        uint64_t used = base - now_ns + cost;
        if (used > MINUTE_NS) {
            state->remaining = (MINUTE_NS - (base - now_ns)) / cell;
            state->reset_ms = (base - now_ns) / 1000000;
            state->retry_ms = (used - MINUTE_NS) / 1000000 + 1;
            return false;
        }
        if (atomic_compare_exchange_weak(&limit->full_ns, &full, base + cost)) {
            *state = (struct limit_state){.remaining = (MINUTE_NS - used) / cell, .reset_ms = used / 1000000};
            return true;
        }
    }
}

void limit_give_back(struct limit *limit, uint32_t per_minute, uint64_t n)
{
    uint64_t cell = MINUTE_NS / per_minute;
    atomic_fetch_sub(&limit->full_ns, n > per_minute ? 0 : n * cell);
}
