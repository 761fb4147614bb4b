/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks: replies that a loop awaits. A table from token to the function that takes the reply, used on one thread.
 *
 * Every posted event that carries a token gets exactly one reply, so an ask ends with its reply, or is forgotten with
 * asks_forget when nobody wants it any more.
 */
#ifndef BUSBAR_RUNTIME_ASKS_H
#define BUSBAR_RUNTIME_ASKS_H

#include <stdint.h>

#include "core/effect.h"

typedef void ask_fn(void *ctx, const struct effect *reply);

struct ask {
    uint64_t token; /* 0: the slot is free */
    ask_fn *fn;
    void *ctx;
};

struct asks {
    struct ask *slots;
    uint32_t cap; /* a power of two */
    uint32_t n;
};

void asks_init(struct asks *asks);
void asks_fini(struct asks *asks);
void asks_add(struct asks *asks, uint64_t token, ask_fn *fn, void *ctx);
/* Nothing happens when the reply comes. Returns whether it was still awaited. */
bool asks_forget(struct asks *asks, uint64_t token);
/* What was given with an ask that is still awaited, else NULL. */
void *asks_ctx(const struct asks *asks, uint64_t token);
/* Calls and removes; a reply that nobody awaits is ignored. */
void asks_reply(struct asks *asks, const struct effect *reply);

#endif
