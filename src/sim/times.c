/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/times.h"

#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void times_sort(int64_t *ms, uint32_t n)
{
    if (n > 0)
        qsort(ms, n, sizeof *ms, by_size);
}

int64_t times_at(const int64_t *sorted_ms, uint32_t n, uint32_t percent)
{
    return n > 0 ? sorted_ms[(uint64_t)n * percent / 100] : 0;
}
