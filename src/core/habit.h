/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Habits: how long jobs usually run, learned from those that ended, for jobs that come without a duration.
 *
 * A habit is a histogram of run times over buckets that are equal steps on a log scale, so a quantile has the same relative
 * error wherever it lies (as in DDSketch: Masson, Rim, Lee, VLDB 2019). Each run that is added first takes a part of what is
 * there away, which is exponential smoothing: old work is forgotten, and no sum can overflow. There is one habit
 * of all work, one of each tenant, and one of each tenant and size, by powers of two of the chips. Where little was seen the
 * wider one fills in: it counts as some runs of its own (a Dirichlet prior: MacKay and Peto, Natural Language Engineering
 * 1(3), 1995), so nothing jumps when a tenant has its first job of a size.
 *
 * Only a job that ended by itself teaches; of one that was cancelled or stopped nobody knows how long it would have run, and a
 * replica of a service has no end of its own. Neither the coming of its data nor starting from a checkpoint is run time.
 * What a job is thought to last is fixed when it is submitted, and part of its row, as habits are: a restart decides the
 * same. Integers only. At most habit_limit() habits; beyond that tenants without one of their own are told by the wider.
 */
#ifndef BUSBAR_CORE_HABIT_H
#define BUSBAR_CORE_HABIT_H

#include "core/core.h"
#include "core/table.h"

#include "base/map.h"

/* Two buckets an octave: bucket 2k begins at 2^k s, bucket 2k + 1 at sqrt(2) x 2^k s; the first one at 0. */
#define HABIT_BUCKETS 48
#define HABIT_ANY UINT32_MAX /* the group of a habit of all sizes */

struct habit {
    struct row_habit row;
};

struct habits {
    struct table table;
    struct habit *habit;
    struct map map;
};

/* What is known of jobs of a kind: a weight for each bucket. */
struct outlook {
    uint64_t weight[HABIT_BUCKETS];
    uint64_t sum; /* 0: nothing is known */
};

/* Power of two of the number of chips, rounded down. */
uint32_t habit_group(uint32_t chips);
uint32_t habit_bucket(int64_t ms);
/* Where the bucket begins, ms; that of HABIT_BUCKETS is where the last one ends. */
int64_t habit_bucket_ms(uint32_t bucket);
/* Adds a run to a histogram of which part 1 / 2^fade is forgotten. */
void habit_add(uint32_t weight[HABIT_BUCKETS], int64_t ms, uint32_t fade);

/* What is known of a tenant's jobs of so many chips. A tenant that is not known is told by all. */
void outlook_of(const struct core *core, const struct uuid *tenant, uint32_t chips, struct outlook *out);
/* The run time that a part `q` of 2^16 does not exceed, of those that run longer than `past_ms`; within a bucket they are
 * taken to be spread evenly. JOB_MS_GUESS where nothing is known; a job that ran longer than all that is
 * known is taken to be over by twice that time. */
int64_t outlook_quantile(const struct outlook *outlook, uint32_t q, int64_t past_ms);

#endif
