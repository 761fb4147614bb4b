/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A life of money: what happened in it so far, and what may happen next (property_money.c tells of it). The table of operations is
 * money_ops.c's.
 */
#ifndef BUSBAR_TESTS_MONEY_PLAY_H
#define BUSBAR_TESTS_MONEY_PLAY_H

#include "diary.h"
#include "dispatch_support.h"
#include "money_books.h"

#define TENANTS ((uint32_t)BOOK_TENANTS)
#define LEASES 24u
#define JOBS 24u
#define PAID 64u /* payments whose ids are tried again */
#define GRANTS 48u
#define PROJECTS 2u /* of the first tenants, whose keys are theirs */
#define PEER 90
#define SPONSOR 99
#define MILLION 1000000
#define BUDGET 500000
#define BATCHES 300

#define OPERATIONS_MAX 24

struct lease {
    uint64_t id; /* 0: none */
    uint32_t tenant;
    int64_t held;
};

struct play {
    struct world *w;
    struct money_books *books;
    uint64_t seed, next, sequence, boots, payment[PAID];
    struct lease lease[LEASES];
    uint64_t job[JOBS];
    int64_t job_ms[JOBS], budget[TENANTS], billed_before[TENANTS], total[TENANTS], given[TENANTS],
        back[TENANTS];
    struct uuid price;
    int64_t prompt;         /* what it says of a million tokens */
    uint32_t closed;        /* month */
    uint32_t grant[GRANTS]; /* whose; TENANTS: it pays for some work only, so nothing is held on it */
    uint32_t ngrants;
    int64_t sponsored, peer, used[PROJECTS]; /* used: what work of a project's keys cost */
    uint64_t done[OPERATIONS_MAX];
    struct diary diary; /* of this life */
};

static inline uint64_t draw(struct play *p, uint64_t n)
{
    return test_below(&p->seed, n);
}

/* The hub's worker since it started last. Ids of its transfers are made of its own and a sequence, so it is far from others. */
static inline uint64_t worker(const struct play *p)
{
    return p->boots << 56;
}

/* The end of a batch: its rows are booked; and all that has to hold is seen to. */
void money_collect(struct play *p);
void money_end_batch(struct play *p);
/* What a project's budget, which never begins anew, has. */
struct view_balance money_project(const struct play *p, uint32_t t);

/* One operation, drawn by its weight. */
void money_act(struct play *p);
/* Prints how often each did something, and fails where one never did. */
void money_tell(const struct play *p);

#endif
