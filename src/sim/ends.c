/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/ends.h"

#include <assert.h>
#include <stdlib.h>

static bool before(const struct end *a, const struct end *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

bool ends_put(struct ends *ends, int64_t at_ms, uint32_t job, uint32_t epoch)
{
    if (ends->n == ends->cap) {
        uint32_t cap = ends->cap ? ends->cap * 2 : 1024;
        struct end *list = realloc(ends->list, cap * sizeof *list);
        if (!list)
            return false;
        ends->list = list;
        ends->cap = cap;
    }
    struct end e = {.at_ms = at_ms, .order = ends->order++, .job = job, .epoch = epoch};
    uint32_t i = ends->n++;
    for (; i > 0 && before(&e, &ends->list[(i - 1) / 2]); i = (i - 1) / 2)
        ends->list[i] = ends->list[(i - 1) / 2];
    ends->list[i] = e;
    return true;
}

int64_t ends_next_ms(const struct ends *ends)
{
    return ends->n ? ends->list[0].at_ms : INT64_MAX;
}

struct end ends_take(struct ends *ends)
{
    assert(ends->n > 0);
    struct end first = ends->list[0];
    struct end last = ends->list[--ends->n];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= ends->n)
            break;
        if (child + 1 < ends->n && before(&ends->list[child + 1], &ends->list[child]))
            child++;
        if (!before(&ends->list[child], &last))
            break;
        ends->list[i] = ends->list[child];
        i = child;
    }
    if (ends->n > 0)
        ends->list[i] = last;
    return first;
}

void ends_fini(struct ends *ends)
{
    free(ends->list);
    *ends = (struct ends){0};
}
