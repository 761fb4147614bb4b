/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Past: totals of an epoch that the hub has not heard, the last one of each hour in which it was metered.
 *
 * A total says what was used up to its moment, so the newest one alone would do for how much there was. But prices go by the hour of the
 * use and lines by its day: of a job that runs while its site is cut off each hour is told by itself, in their order. Hours are those of
 * this machine's clock. Bound: PAST_MAX, as long as the hub takes what is late; with more the newest takes the place of the one before it.
 */
#ifndef BUSBAR_SITE_PAST_H
#define BUSBAR_SITE_PAST_H

#include "core/schema.h"

#define PAST_MAX (36 * 24)

struct past_total {
    struct event_job_meter meter;
    uint64_t wall_ms;
};

struct past {
    struct past_total *total;
    uint32_t n, cap;
};

/* `last` was not heard, and another one of wall_ms comes: keeps it if it is the last of its hour. */
void past_keep(struct past *past, const struct past_total *last, uint64_t wall_ms);
/* The oldest n were heard. */
void past_heard(struct past *past, uint32_t n);
void past_free(struct past *past);

#endif
