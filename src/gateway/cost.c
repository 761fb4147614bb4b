/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cost.h"

#include "base/checked.h"
#include "core/limits.h"

/* With less than this what slots yield is taken for not measured. */
#define MEASURED_SLOT_MS 5000
#define MEASURED_TOKENS 100
/* What is older weighs half, then a quarter, and so on. */
#define HALVE_SLOT_MS UINT64_C(600000)
/* No part of a cost is more: so sums of three stay far within their type. */
#define COST_US_MAX (UINT64_C(1) << 60)
#define HOUR_S 3600

void yield_reset(struct yield *y)
{
    y->measured_tokens = y->measured_slot_ms = 0;
    atomic_store(&y->slot_mtok_s, 0);
}

void yield_count(struct yield *y, uint64_t prompt, uint64_t completion)
{
    atomic_fetch_add(&y->tokens, completion + prompt / PROMPT_WEIGHT);
}

void yield_sample(struct yield *y, uint64_t ms, uint32_t busy)
{
    uint64_t tokens = atomic_load(&y->tokens);
    y->measured_tokens += tokens - y->before;
    y->measured_slot_ms += ms * busy;
    y->before = tokens;
    if (y->measured_slot_ms > HALVE_SLOT_MS) {
        y->measured_slot_ms /= 2;
        y->measured_tokens /= 2;
    }
    if (y->measured_slot_ms < MEASURED_SLOT_MS || y->measured_tokens < MEASURED_TOKENS)
        return;
    uint64_t m = y->measured_tokens * 1000000 / y->measured_slot_ms;
    atomic_store(&y->slot_mtok_s, m > 0 ? m : 1);
}

uint64_t yield_measured(const struct yield *y)
{
    return atomic_load(&y->slot_mtok_s);
}

void yield_assume(struct yield *y, uint64_t slot_mtok_s)
{
    atomic_store(&y->assumed_mtok_s, slot_mtok_s);
}

void yield_accept(struct yield *y, uint64_t slot_mtok_s)
{
    atomic_store(&y->accepted_mtok_s, slot_mtok_s);
}

uint64_t yield_slot(const struct yield *y)
{
    uint64_t measured = atomic_load(&y->slot_mtok_s), assumed = atomic_load(&y->assumed_mtok_s);
    uint64_t accepted = atomic_load(&y->accepted_mtok_s);
    assumed = accepted > 0 ? accepted : assumed;
    return measured > 0 ? measured : assumed > 0 ? assumed : SLOT_TOKENS_S * 1000;
}

static uint64_t at_most(int128 us)
{
    return us < (int128)COST_US_MAX ? (uint64_t)us : COST_US_MAX;
}

uint64_t cost_standing_us(const struct cost_terms *t, const struct yield *y, uint32_t slots)
{
    int64_t hour = atomic_load(&t->hour);
    int128 price = 0;
    if (hour > 0) /* hour / 3600 s / (slots x mtok_s / 1000) nano-units for a token */
        price = (int128)hour * 1000 * COST_NANO_US / ((int128)HOUR_S * slots * yield_slot(y));
    return atomic_load(&t->way_us) + at_most(price);
}

uint64_t cost_wait_us(const struct yield *y, uint32_t slots, uint64_t outstanding)
{
    return at_most((int128)outstanding * 1000000000 / ((int128)slots * yield_slot(y)));
}
