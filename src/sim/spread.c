/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/spread.h"

static uint32_t bin_of(uint64_t value)
{
    if (value < UINT64_C(1) << SPREAD_FINE)
        return (uint32_t)value;
    uint32_t shift = 63 - SPREAD_FINE - (uint32_t)__builtin_clzll(value);
    return (shift << SPREAD_FINE) + (uint32_t)(value >> shift);
}

/* The greatest value of a bin. */
static uint64_t top_of(uint32_t bin)
{
    if (bin < 2u << SPREAD_FINE)
        return bin;
    uint32_t shift = (bin >> SPREAD_FINE) - 1;
    uint64_t first = (uint64_t)(bin - (shift << SPREAD_FINE)) << shift;
    return first + ((UINT64_C(1) << shift) - 1);
}

void spread_add(struct spread *spread, uint64_t value)
{
    spread->n++;
    spread->bin[bin_of(value)]++;
    if (value > spread->max)
        spread->max = value;
}

uint64_t spread_at(const struct spread *spread, uint32_t thousandths)
{
    uint64_t seen = 0, want = (spread->n * thousandths + 999) / 1000;
    for (uint32_t i = 0; i < SPREAD_BINS && spread->n > 0; i++) {
        seen += spread->bin[i];
        if (seen < want || seen == 0)
            continue;
        return top_of(i) < spread->max ? top_of(i) : spread->max;
    }
    return 0;
}
