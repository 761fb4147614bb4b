/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spread: how a quantity is distributed, for percentiles without keeping each value.
 *
 * Values are counted in bins of 128 to the octave (as HdrHistogram does), so a percentile is at most 0.8 % above the true one;
 * the greatest is kept as it is. No memory but the struct's own.
 */
#ifndef BUSBAR_SIM_SPREAD_H
#define BUSBAR_SIM_SPREAD_H

#include <stdint.h>

#define SPREAD_FINE 7 /* bits */
#define SPREAD_BINS ((65 - SPREAD_FINE) << SPREAD_FINE)

struct spread {
    uint64_t n, max;
    uint64_t bin[SPREAD_BINS];
};

void spread_add(struct spread *spread, uint64_t value);
/* The least value that at least `thousandths` of all are not above; 0 if there are none. */
uint64_t spread_at(const struct spread *spread, uint32_t thousandths);

#endif
