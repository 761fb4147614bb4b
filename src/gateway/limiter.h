/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rate limits of one key: requests and tokens a minute, shared by all workers without a lock.
 *
 * Each limit is a generic cell rate algorithm (ITU-T I.371): one atomic time, at which a bucket of one minute would
 * be full again. A request takes its worst case of tokens and gives back what it did not use.
 */
#ifndef BUSBAR_GATEWAY_LIMITER_H
#define BUSBAR_GATEWAY_LIMITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct limit {
    _Atomic uint64_t full_ns; /* monotonic time at which nothing would be used */
};

struct limiter {
    struct uuid key;
    _Atomic uint32_t refs;
    struct limit requests;
    struct limit tokens;
    struct limiter *next; /* in the gateway's registry */
};

struct limit_state {
    uint64_t remaining;
    uint64_t reset_ms; /* until the whole minute's worth is there again */
    uint64_t retry_ms; /* if refused: until it would be allowed */
};

/* Takes n of `per_minute` (> 0) if they are there. */
bool limit_take(struct limit *limit, uint32_t per_minute, uint64_t n, uint64_t now_ns,
                struct limit_state *state);
void limit_give_back(struct limit *limit, uint32_t per_minute, uint64_t n);

#endif
