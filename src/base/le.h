/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers in little-endian bytes, as events, frames and model files have them: the same on every machine.
 *
 * Pure. `n` is how many bytes the number has, at most 8; what does not fit in them is left out.
 */
#ifndef BUSBAR_BASE_LE_H
#define BUSBAR_BASE_LE_H

#include <stddef.h>
#include <stdint.h>

static inline void le_put(uint8_t *dst, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = (uint8_t)(v >> (8 * i));
}

static inline uint64_t le_get(const uint8_t *src, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)src[i] << (8 * i);
    return v;
}

#endif
