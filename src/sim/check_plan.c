/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that can wait, judged: before its latest start a job starts only where the plan in force lets it, and once that has
 * come, or there is no plan, it waits like any other. The plan is kept as the events told it, looked through from end to end.
 *
 * A job is held while it waits by choice; it then stands in no order, and comes after everybody who waits for a pool. When its
 * latest start has come it must not be kept from a pool that nobody else could be waiting for and that has room.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "core/kinds.h"
#include "sim/checker_state.h"

#define PARTS_MAX PLAN_PARTS_MAX
/* Of those whose time has come in one instant, so many are looked at. */
#define OVERDUE_MAX 16

struct part {
    bool rent;
    struct event_plan_class class;
    struct event_plan_rent of_pool;
};

struct due {
    int64_t at_ms;
    uint64_t sequence;
    uint32_t job;
};

struct check_plan {
    struct part draft[PARTS_MAX], part[PARTS_MAX];
    uint32_t ndraft, nparts;
    int64_t until_ms; /* 0: there is none */
    struct due *due;  /* a heap */
    uint32_t ndue, due_cap;
    struct due overdue[OVERDUE_MAX];
    uint32_t noverdue;
};

bool checker_plan_new(struct checker *c)
{
    c->plan = calloc(1, sizeof *c->plan);
    return c->plan != NULL;
}

void checker_plan_free(struct checker *c)
{
    if (c->plan)
        free(c->plan->due);
    free(c->plan);
}

/* ---- classes ---- */

static bool asks_the_same(const struct checker *c, const struct check_request *r,
                          const struct event_plan_class *e)
{
    bool chip =
        r->chip[0] == NONE ? e->chip[0] == 0 : strncmp(c->chip[r->chip[0]].told.chip, e->chip, CHIP_CAP) == 0;
    bool site = r->site == NONE ? uuid_zero(&e->site) : uuid_eq(&c->site[r->site].told.site, &e->site);
    return chip && site && strncmp(r->jurisdiction, e->jurisdiction, CODE_CAP) == 0;
}

/* The class of a job: the first that takes in its latest start, or else the last of those that ask the same. NULL: none. */
static const struct event_plan_class *class_of(const struct checker *c, uint32_t job)
{
    const struct event_plan_class *class = NULL;
    for (uint32_t i = 0; c->plan->until_ms > 0 && i < c->plan->nparts; i++) {
        const struct part *part = &c->plan->part[i];
        if (part->rent || !asks_the_same(c, &c->ask[c->job[job].ask].request, &part->class))
            continue;
        class = &part->class;
        if (class->start_by_ms >= c->job[job].latest_ms)
            break;
    }
    return class;
}

/* By when a job has to start that may wait: what a stop left of it counts, not what it was submitted with. */
static int64_t latest_ms(const struct check_job *job, const struct check_request *r)
{
    int64_t left_ms = job->duration_ms > job->done_ms ? job->duration_ms - job->done_ms : 1, slowest_ms = 1;
    if (job->deadline_ms == 0)
        return job->start_by_ms;
    if (job->duration_ms == 0)
        return CHECKER_VAGUE; /* how long it is thought to last is core's alone */
    for (uint32_t a = 0; a < CHECKER_ALTERNATIVES && r->count[a] > 0; a++) {
        int64_t ms = left_ms * 1000 / r->rate[a];
        slowest_ms = ms > slowest_ms ? ms : slowest_ms;
    }
    slowest_ms += job->done_ms > 0 ? job->checkpoint_ms : 0;
    int64_t by_ms = job->deadline_ms > slowest_ms ? job->deadline_ms - slowest_ms : 1;
    return job->start_by_ms > 0 && job->start_by_ms < by_ms ? job->start_by_ms : by_ms;
}

/* ---- who is held ---- */

static bool due_before(const struct due *a, const struct due *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->sequence < b->sequence;
}

static void due_push(struct checker *c, struct due due)
{
    struct check_plan *p = c->plan;
    struct due *list = checker_grow(c, p->due, p->ndue, &p->due_cap, sizeof *list);
    if (!list)
        return;
    p->due = list;
    uint32_t at = p->ndue++;
    for (; at > 0 && due_before(&due, &p->due[(at - 1) / 2]); at = (at - 1) / 2)
        p->due[at] = p->due[(at - 1) / 2];
    p->due[at] = due;
}

static struct due due_pop(struct check_plan *p)
{
    struct due first = p->due[0], last = p->due[--p->ndue];
    uint32_t at = 0;
    for (uint32_t child; (child = 2 * at + 1) < p->ndue; at = child) {
        if (child + 1 < p->ndue && due_before(&p->due[child + 1], &p->due[child]))
            child++;
        if (!due_before(&p->due[child], &last))
            break;
        p->due[at] = p->due[child];
    }
    p->due[at] = last;
    return first;
}

/* Whether it waits by choice now; its latest start is known. */
static bool may_wait(const struct checker *c, uint32_t job)
{
    return c->job[job].latest_ms > c->now_ms && class_of(c, job) != NULL;
}

bool checker_plan_hold(struct checker *c, uint32_t i)
{
    struct check_job *job = &c->job[i];
    job->latest_ms = latest_ms(job, &c->ask[job->ask].request);
    bool vague = job->latest_ms == CHECKER_VAGUE;
    job->held = vague || may_wait(c, i);
    if (job->held && !vague)
        due_push(c, (struct due){job->latest_ms, job->sequence, i});
    return job->held;
}

/* The plan is another: who is held may be as well. */
static void hold_anew(struct checker *c)
{
    for (uint32_t i = 0; i < c->njobs; i++) {
        const struct check_job *job = &c->job[i];
        if (job->state != CHECK_WAITS || job->latest_ms == 0 || job->latest_ms == CHECKER_VAGUE ||
            job->held == may_wait(c, i))
            continue;
        checker_order_leave(c, i);
        checker_order_enter(c, i);
    }
}

void checker_plan_time(struct checker *c)
{
    struct check_plan *p = c->plan;
    if (p->until_ms > 0 && p->until_ms <= c->now_ms) {
        p->until_ms = 0;
        hold_anew(c);
    }
    while (p->ndue > 0 && p->due[0].at_ms <= c->now_ms) {
        struct due due = due_pop(p);
        const struct check_job *job = &c->job[due.job];
        if (job->state != CHECK_WAITS || job->sequence != due.sequence || !job->held ||
            job->latest_ms != due.at_ms)
            continue;
        checker_order_leave(c, due.job);
        checker_order_enter(c, due.job);
        if (p->noverdue < OVERDUE_MAX)
            p->overdue[p->noverdue++] = due;
    }
}

/* ---- events ---- */

static void draft(struct checker *c, uint32_t i, const struct part *part)
{
    struct check_plan *p = c->plan;
    bool known = !part->rent || checker_pool_find(c, &part->of_pool.pool) != NONE;
    if (i >= PARTS_MAX || (i != 0 && i != p->ndraft) || !known) {
        checker_violate(c, CHECKER_ACCEPTED, NULL, part->rent ? &part->of_pool.pool : NULL, NONE,
                        "part %" PRIu32 " of a plan", i);
        return;
    }
    p->draft[i] = *part;
    p->ndraft = i + 1;
}

void checker_plan_class(struct checker *c, const struct event *event)
{
    const struct event_plan_class *e = &event->u.plan_class;
    draft(c, e->part, &(struct part){.class = *e});
}

void checker_plan_rent(struct checker *c, const struct event *event)
{
    const struct event_plan_rent *e = &event->u.plan_rent;
    draft(c, e->part, &(struct part){.rent = true, .of_pool = *e});
}

void checker_plan_set(struct checker *c, const struct event *event)
{
    const struct event_plan_set *e = &event->u.plan_set;
    struct check_plan *p = c->plan;
    if (e->parts > 0 && (e->parts != p->ndraft || e->until_ms <= c->now_ms))
        checker_violate(c, CHECKER_ACCEPTED, NULL, NULL, NONE, "a plan in part, or of the past");
    p->nparts = e->parts < p->ndraft ? e->parts : p->ndraft; /* those that are there */
    memcpy(p->part, p->draft, p->nparts * sizeof *p->part);
    p->until_ms = e->parts > 0 ? e->until_ms : 0;
    p->ndraft = 0;
    hold_anew(c);
}

/* ---- starts ---- */

/* Nano-units for a chip and an hour. */
static int128 hour_of(const struct checker *c, const struct check_pool *pool)
{
    const struct check_site *site = &c->site[pool->site];
    int128 kwh = site->price + (int128)site->carbon * c->carbon_price / 1000000;
    int128 rent = 0;
    for (uint32_t i = 0; i < c->plan->nparts; i++) {
        const struct part *part = &c->plan->part[i];
        if (part->rent && uuid_eq(&part->of_pool.pool, &pool->id))
            rent = part->of_pool.rent;
    }
    return pool->price + kwh * c->chip[pool->chip].told.watts * site->pue / 1000000 + rent;
}

void checker_plan_judge(struct checker *c, uint32_t i, uint32_t p, uint32_t alternative)
{
    const struct check_job *job = &c->job[i];
    const struct check_pool *pool = &c->pool[p];
    const struct check_request *r = &c->ask[job->ask].request;
    if (!job->held || job->latest_ms == CHECKER_VAGUE || alternative >= CHECKER_ALTERNATIVES)
        return;
    const struct event_plan_class *class = class_of(c, i);
    int128 costs = hour_of(c, pool) * r->count[alternative] * r->rate[0];
    if (!class || costs > (int128) class->threshold * r->count[0] * r->rate[alternative])
        checker_violate(c, CHECKER_THRESHOLD, &job->id, &pool->id, NONE,
                        "a chip-hour counts as %" PRId64 ", the threshold is %" PRId64,
                        (int64_t)hour_of(c, pool), class ? class->threshold : 0);
}

/* ---- who is kept ---- */

static bool has_room(const struct checker *c, const struct check_request *r, uint32_t a,
                     const struct check_pool *pool)
{
    uint32_t whole = r->count[a] / pool->node_chips, rest = r->count[a] % pool->node_chips;
    uint32_t span = r->one_domain && r->count[a] > pool->node_chips ? pool->domain : pool->nodes;
    for (uint32_t first = 0; first < pool->nodes; first += span) {
        uint32_t idle = 0, part = 0;
        for (uint32_t n = first; n < pool->nodes && n < first + span; n++) {
            const struct check_node *node = &c->node[pool->first + n];
            if (node->state != PLACE_UP)
                continue;
            idle += node->used == 0;
            part += node->used > 0 && node->used + rest <= pool->node_chips;
        }
        if (idle > whole || (idle == whole && (rest == 0 || part > 0)))
            return true;
    }
    return false;
}

static bool has_power(const struct checker *c, uint32_t chips, const struct check_pool *pool)
{
    const struct check_site *site = &c->site[pool->site];
    uint64_t load = site->load + checker_watts(c, pool, chips);
    uint64_t limit = checker_limit(c, site);
    return limit == 0 || load * site->pue / 1000 <= limit;
}

/* Whether any other job that waits, and not by choice, could ever want the pool. */
static bool wanted_by_others(const struct checker *c, uint32_t job, uint32_t pool)
{
    for (uint32_t i = 0; i < c->nasks; i++) {
        uint32_t others = c->ask[i].ordinary - (i == c->job[job].ask && c->job[job].counted);
        if (others > 0 && checker_could_run(c, &c->ask[i].request, &c->pool[pool]))
            return true;
    }
    return false;
}

/* Corridors that are full and chips that are kept for a loss keep a job too: there it is not judged. */
static void judge_overdue(struct checker *c, uint32_t job)
{
    const struct check_request *r = &c->ask[c->job[job].ask].request;
    const struct check_job *j = &c->job[job];
    if (c->reserve == RESERVE_KEEP && j->firm)
        return;
    for (uint32_t p = 0; p < c->npools; p++) {
        const struct check_pool *pool = &c->pool[p];
        if (!checker_could_run(c, r, pool) || (j->data_bytes > 0 && j->data_site != pool->site))
            continue;
        for (uint32_t a = 0; a < CHECKER_ALTERNATIVES && r->count[a] > 0; a++) {
            if ((r->chip[a] != NONE && r->chip[a] != pool->chip) || !has_room(c, r, a, pool) ||
                !has_power(c, r->count[a], pool) || !checker_lawful(c, job, p, r->count[a], NULL) ||
                wanted_by_others(c, job, p))
                continue;
            checker_violate(c, CHECKER_HELD, &c->job[job].id, &pool->id, NONE,
                            "its latest start was %" PRId64 " ms", c->job[job].latest_ms);
            return;
        }
    }
}

void checker_plan_end_of_time(struct checker *c)
{
    struct check_plan *p = c->plan;
    checker_plan_time(c);
    for (uint32_t i = 0; i < p->noverdue; i++) {
        const struct check_job *job = &c->job[p->overdue[i].job];
        if (job->state == CHECK_WAITS && job->sequence == p->overdue[i].sequence)
            judge_overdue(c, p->overdue[i].job);
    }
    p->noverdue = 0;
}
