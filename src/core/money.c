/* SPDX-License-Identifier: Apache-2.0 */
#include "core/money.h"

#include <assert.h>

#include "base/checked.h"
#include "base/err.h"
#include "core/limits.h"

int64_t money_line(uint32_t tokens, int64_t price, int64_t *residue)
{
    assert(price >= 0 && price <= PRICE_MAX && tokens <= TOKENS_PER_METER_MAX);
    int128 exact = (int128)tokens * price;
    int64_t whole = (int64_t)(exact / PRICE_PER);
    int64_t rest = (int64_t)(exact % PRICE_PER);
    int64_t half = PRICE_PER / 2;
    if (rest > half || (rest == half && (whole & 1)))
        whole++;
    *residue += (int64_t)((int128)whole * PRICE_PER - exact);
    return whole;
}

struct tokens tokens_less(const struct tokens *t, uint64_t free)
{
    struct tokens left = *t;
    uint32_t prompt = free < t->prompt ? (uint32_t)free : t->prompt;
    uint64_t rest = free - prompt;
    uint32_t completion = rest < t->completion ? (uint32_t)rest : t->completion;
    left.prompt -= prompt;
    left.completion -= completion;
    left.cached = left.cached < left.prompt ? left.cached : left.prompt;
    left.reasoning = left.reasoning < left.completion ? left.reasoning : left.completion;
    return left;
}

int money_cost(const struct tokens *t, const struct price *p, int64_t *cost, int64_t *residue)
{
    if (t->cached > t->prompt || t->reasoning > t->completion)
        return ERR_INVALID;
    if (t->prompt > TOKENS_PER_METER_MAX || t->completion > TOKENS_PER_METER_MAX)
        return ERR_OVERFLOW;
    int64_t r = 0;
    int128 sum = (int128)money_line(t->prompt - t->cached, p->prompt, &r) +
                 money_line(t->cached, p->cached, &r) +
                 money_line(t->completion - t->reasoning, p->completion, &r) +
                 money_line(t->reasoning, p->reasoning, &r);
    if (sum > MONEY_MAX)
        return ERR_OVERFLOW;
    *cost = (int64_t)sum;
    *residue += r;
    return 0;
}
