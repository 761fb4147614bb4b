/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small seeded random generator (splitmix64).
 *
 * Training must give the same bytes for the same seed, on any machine, and must continue from a checkpoint as if it
 * had never stopped. So the whole state is one number that a checkpoint can hold, and only integer arithmetic and
 * exact conversions are used: no libm, no global state.
 */
#ifndef TRAIN_RNG_H
#define TRAIN_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A number in [0, bound). The bias is below bound / 2^32; bound must not be 0. */
static inline uint32_t rng_below(struct rng *rng, uint32_t bound)
{
    return (uint32_t)(((rng_next(rng) >> 32) * bound) >> 32);
}

/* A number in [-1, 1), exact in a float. */
static inline float rng_signed_unit(struct rng *rng)
{
    return (float)(rng_next(rng) >> 40) * 0x1p-23f - 1.0f;
}

#endif
