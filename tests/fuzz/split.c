/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/split.h"

void split_init(struct split *split, const uint8_t *data, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        h = (h ^ data[i]) * 0x100000001b3u;
    split->state = h | 1;
}

size_t split_next(struct split *split, size_t left)
{
    uint64_t x = split->state; /* xorshift64 */
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    split->state = x;
    size_t n = 1 + (size_t)(x >> 8) % ((x & 3) == 0 ? left : 1 + ((x >> 2) & 15));
    return n < left ? n : left;
}
