/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Money: integers in nano-units of a currency, one rounding a line, half to even.
 *
 * A price is nano-units for a million tokens, so that cheap kinds still have digits: 1 means 1e-15 of the currency a
 * token. The product is taken in 128 bits.
 */
#ifndef BUSBAR_CORE_MONEY_H
#define BUSBAR_CORE_MONEY_H

#include <stdint.h>

#define PRICE_PER 1000000

/* Amounts of each token kind; `cached` is the part of `prompt` that a cache served, `reasoning` the part of
 * `completion` that was thought. The two parts are billed at their own price, the rest at the main one. */
struct tokens {
    uint32_t prompt;
    uint32_t cached;
    uint32_t completion;
    uint32_t reasoning;
};

/* Nano-units for a million tokens. */
struct price {
    int64_t prompt;
    int64_t cached;
    int64_t completion;
    int64_t reasoning;
};

/* Without the first `free` of them: of the prompt, then of the completion. Of each what a cache served, or was thought, goes last. */
struct tokens tokens_less(const struct tokens *tokens, uint64_t free);

/* tokens x price / PRICE_PER rounded half to even. Adds to `*residue` what rounding added, in nano-units/PRICE_PER. */
int64_t money_line(uint32_t tokens, int64_t price, int64_t *residue);

/* Sum of the four lines. ERR_INVALID when a part exceeds its whole, ERR_OVERFLOW past MONEY_MAX. */
int money_cost(const struct tokens *tokens, const struct price *price, int64_t *cost, int64_t *residue);

#endif
