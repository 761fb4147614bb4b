/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends: what is to happen to running jobs, in order of time; of equal times what was put in first comes out first.
 * A binary heap on the heap, grown as needed.
 */
#ifndef BUSBAR_SIM_ENDS_H
#define BUSBAR_SIM_ENDS_H

#include <stdbool.h>
#include <stdint.h>

struct end {
    int64_t at_ms;
    uint64_t order;
    uint32_t job;
    uint32_t epoch;
};

struct ends {
    struct end *list;
    uint32_t n, cap;
    uint64_t order;
};

/* False when out of memory. */
bool ends_put(struct ends *ends, int64_t at_ms, uint32_t job, uint32_t epoch);
/* INT64_MAX when there is none. */
int64_t ends_next_ms(const struct ends *ends);
struct end ends_take(struct ends *ends);
void ends_fini(struct ends *ends);

#endif
