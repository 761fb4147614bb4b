/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/asks.h"

#include <stdlib.h>

#define ASKS_MIN 64

void asks_init(struct asks *asks)
{
    *asks = (struct asks){.cap = ASKS_MIN};
    asks->slots = calloc(ASKS_MIN, sizeof *asks->slots);
    if (!asks->slots)
        abort();
}

void asks_fini(struct asks *asks)
{
    free(asks->slots);
    *asks = (struct asks){0};
}

/* Tokens of one mailbox count up, so their low bits spread evenly. */
static uint32_t find(const struct asks *asks, uint64_t token)
{
    uint32_t i = (uint32_t)token & (asks->cap - 1);
    while (asks->slots[i].token != 0 && asks->slots[i].token != token)
        i = (i + 1) & (asks->cap - 1);
    return i;
}

static void grow(struct asks *asks)
{
    struct asks bigger = {.cap = asks->cap * 2, .n = asks->n};
    bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots)
        abort(); /* a forgotten reply would hang its request */
    for (uint32_t i = 0; i < asks->cap; i++) {
        if (asks->slots[i].token)
            bigger.slots[find(&bigger, asks->slots[i].token)] = asks->slots[i];
    }
    free(asks->slots);
    *asks = bigger;
}

void asks_add(struct asks *asks, uint64_t token, ask_fn *fn, void *ctx)
{
    if (asks->n >= asks->cap / 2)
        grow(asks);
    asks->slots[find(asks, token)] = (struct ask){.token = token, .fn = fn, .ctx = ctx};
    asks->n++;
}

static struct ask take(struct asks *asks, uint64_t token)
{
    uint32_t hole = find(asks, token);
    struct ask ask = asks->slots[hole];
    if (ask.token == 0)
        return ask;
    asks->n--;
    asks->slots[hole].token = 0;
    uint32_t mask = asks->cap - 1;
    for (uint32_t i = (hole + 1) & mask; asks->slots[i].token != 0; i = (i + 1) & mask) {
        uint32_t home = (uint32_t)asks->slots[i].token & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        asks->slots[hole] = asks->slots[i];
        asks->slots[i].token = 0;
        hole = i;
    }
    return ask;
}

void *asks_ctx(const struct asks *asks, uint64_t token)
{
    const struct ask *ask = &asks->slots[find(asks, token)];
    return ask->token ? ask->ctx : NULL;
}

bool asks_forget(struct asks *asks, uint64_t token)
{
    return take(asks, token).token != 0;
}

void asks_reply(struct asks *asks, const struct effect *reply)
{
    struct ask ask = take(asks, reply->token);
    if (ask.token)
        ask.fn(ask.ctx, reply);
}
