/* SPDX-License-Identifier: Apache-2.0 */
#include "site/past.h"

#include <stdlib.h>
#include <string.h>

#define HOUR_MS 3600000

void past_keep(struct past *past, const struct past_total *last, uint64_t wall_ms)
{
    if (last->wall_ms / HOUR_MS == wall_ms / HOUR_MS)
        return;
    if (past->n == past->cap && past->cap < PAST_MAX) {
        uint32_t cap = past->cap ? 2 * past->cap : 8;
        cap = cap < PAST_MAX ? cap : PAST_MAX;
        struct past_total *more = realloc(past->total, cap * sizeof *more);
        if (!more)
            return; /* the next one tells as much */
        past->total = more;
        past->cap = cap;
    }
    past->n -= past->n == PAST_MAX;
    past->total[past->n++] = *last;
}

void past_heard(struct past *past, uint32_t n)
{
    past->n -= n;
    if (n > 0)
        memmove(past->total, past->total + n, past->n * sizeof *past->total);
}

void past_free(struct past *past)
{
    free(past->total);
    *past = (struct past){.n = 0};
}
