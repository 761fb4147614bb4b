/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checked arithmetic: lengths and money are added and multiplied only through these.
 *
 * Each returns true on success and stores the result; on overflow it returns false and leaves `*out` unspecified.
 */
#ifndef BUSBAR_BASE_CHECKED_H
#define BUSBAR_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Products of two 64-bit numbers; ISO C has no name for it. */
__extension__ typedef __int128 int128;

__attribute__((warn_unused_result)) static inline bool size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

__attribute__((warn_unused_result)) static inline bool size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

__attribute__((warn_unused_result)) static inline bool i64_add(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

__attribute__((warn_unused_result)) static inline bool i64_sub(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_sub_overflow(a, b, out);
}

__attribute__((warn_unused_result)) static inline bool u64_add(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* The number, or the bound that it is beyond: -most or most. */
static inline int64_t i64_clamp(int128 v, int64_t most)
{
    return v > most ? most : v < -most ? -most : (int64_t)v;
}

#endif
