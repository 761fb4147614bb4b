/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeded generator for tie-breaks and jitter: xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64.
 * Not for keys, salts or ids: those come from the operating system (base/osrandom.h).
 */
#ifndef BUSBAR_BASE_RNG_H
#define BUSBAR_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_init(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
/* Uniform in [0, n) without modulo bias; n > 0. */
uint64_t rng_below(struct rng *rng, uint64_t n);

#endif
