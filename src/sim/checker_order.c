/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits before whom. With a strict fit nobody may start in a pool while a job that comes before it waits for that
 * pool. A job waits for the pools in which one of its alternatives could run if they were empty, at sites that are up;
 * a gang that a pool could never hold does not wait for it, nor a job for a pool that the rules forbid it, or to which no
 * corridors that are up lead from its data.
 */
#include "sim/checker_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/kinds.h"

/* Whether the order is one in which somebody can be overtaken. */
static bool checker_ordered(const struct checker *c)
{
    return c->fit == FIT_STRICT && (c->order == ORDER_FIFO || c->order == ORDER_SJF);
}

/* Events are in order of time, so the sequence of submissions is the order of FIFO. */
static bool before(const struct checker *c, uint32_t a, uint32_t b)
{
    const struct check_job *x = &c->job[a];
    const struct check_job *y = &c->job[b];
    int64_t left_x = x->duration_ms > x->done_ms ? x->duration_ms - x->done_ms : 0;
    int64_t left_y = y->duration_ms > y->done_ms ? y->duration_ms - y->done_ms : 0;
    if (c->order == ORDER_SJF && left_x != left_y)
        return left_x < left_y;
    return x->sequence < y->sequence;
}

/* ---- heaps of jobs; our own, since core's queues lean on the one in base ---- */

static void heap_set(struct checker *c, struct check_class *class, uint32_t at, uint32_t job)
{
    class->heap[at] = job;
    c->job[job].in_heap = at;
}

static void heap_up(struct checker *c, struct check_class *class, uint32_t at, uint32_t job)
{
    while (at > 0 && before(c, job, class->heap[(at - 1) / 2])) {
        heap_set(c, class, at, class->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_set(c, class, at, job);
}

static void heap_down(struct checker *c, struct check_class *class, uint32_t at, uint32_t job)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < class->n && before(c, class->heap[child + 1], class->heap[child]))
            child++;
        if (child >= class->n || !before(c, class->heap[child], job))
            break;
        heap_set(c, class, at, class->heap[child]);
        at = child;
    }
    heap_set(c, class, at, job);
}

static void heap_push(struct checker *c, struct check_class *class, uint32_t job)
{
    uint32_t *heap = checker_grow(c, class->heap, class->n, &class->cap, sizeof *heap);
    if (!heap)
        return;
    class->heap = heap;
    heap_up(c, class, class->n++, job);
}

static void heap_drop(struct checker *c, struct check_class *class, uint32_t job)
{
    uint32_t at = c->job[job].in_heap;
    uint32_t last = class->heap[--class->n];
    c->job[job].in_heap = NONE;
    if (last == job)
        return;
    if (at > 0 && before(c, last, class->heap[(at - 1) / 2]))
        heap_up(c, class, at, last);
    else
        heap_down(c, class, at, last);
}

/* ---- classes ---- */

static bool alternative_fits(const struct check_request *r, uint32_t a, const struct check_pool *pool)
{
    uint32_t nodes = r->one_domain && pool->domain < pool->nodes ? pool->domain : pool->nodes;
    return (r->chip[a] == NONE || r->chip[a] == pool->chip) &&
           r->count[a] <= (uint64_t)nodes * pool->node_chips;
}

bool checker_could_run(const struct checker *c, const struct check_request *r, const struct check_pool *pool)
{
    const struct check_site *site = &c->site[pool->site];
    const struct check_chip *chip = &c->chip[pool->chip];
    if (site->state != PLACE_UP || r->isolation > site->isolation ||
        (r->site != NONE && r->site != pool->site) ||
        (r->jurisdiction[0] &&
         memcmp(r->jurisdiction, site->told.jurisdiction, sizeof r->jurisdiction) != 0) ||
        (r->vendor[0] && memcmp(r->vendor, chip->told.vendor, sizeof r->vendor) != 0) ||
        (r->source != NONE && !checker_leads(c, r->source, pool->site)))
        return false;
    for (uint32_t a = 0; a < CHECKER_ALTERNATIVES && r->count[a] > 0; a++) {
        if (alternative_fits(r, a, pool))
            return true;
    }
    return false;
}

static bool could_run_lawfully(const struct checker *c, uint32_t job, uint32_t pool)
{
    const struct check_request *r = &c->ask[c->job[job].ask].request;
    if (!checker_data_leads(c, job, c->pool[pool].site))
        return false;
    for (uint32_t a = 0; a < CHECKER_ALTERNATIVES && r->count[a] > 0; a++) {
        if (alternative_fits(r, a, &c->pool[pool]) && checker_lawful(c, job, pool, r->count[a], NULL))
            return true;
    }
    return false;
}

static uint32_t class_of(struct checker *c, const struct check_request *request)
{
    size_t bytes = c->mask_words * sizeof *c->masks;
    if (c->nclasses == CHECKER_CLASSES_MAX) {
        checker_violate(c, CHECKER_LIMIT, NULL, NULL, NONE, "more than %u sets of pools",
                        CHECKER_CLASSES_MAX - 1);
        return NONE;
    }
    uint64_t *mask = c->masks + (size_t)c->nclasses * c->mask_words;
    memset(mask, 0, bytes);
    for (uint32_t p = 0; p < c->npools; p++) {
        if (checker_could_run(c, request, &c->pool[p]))
            mask[p / 64] |= UINT64_C(1) << p % 64;
    }
    for (uint32_t i = 0; i < c->nclasses; i++) {
        if (memcmp(c->masks + (size_t)i * c->mask_words, mask, bytes) == 0)
            return i;
    }
    c->class[c->nclasses].n = 0;
    return c->nclasses++;
}

static void enter(struct checker *c, uint32_t job)
{
    struct check_ask *ask = &c->ask[c->job[job].ask];
    if (ask->class == NONE)
        ask->class = class_of(c, &ask->request);
    if (ask->class != NONE)
        heap_push(c, &c->class[ask->class], job);
}

/* Makes the classes those of now. */
static void refresh(struct checker *c)
{
    if (!c->stale)
        return;
    c->stale = false;
    c->nclasses = 0;
    for (uint32_t i = 0; i < c->nasks; i++)
        c->ask[i].class = NONE;
    for (uint32_t i = 0; i < c->njobs; i++) {
        if (c->job[i].state == CHECK_WAITS && !c->job[i].held && !c->job[i].parked) {
            c->job[i].in_heap = NONE;
            enter(c, i);
        }
    }
}

void checker_order_free(struct checker *c)
{
    for (uint32_t i = 0; i < CHECKER_CLASSES_MAX; i++)
        free(c->class[i].heap);
}

/* ---- what happens ---- */

void checker_order_enter(struct checker *c, uint32_t job)
{
    c->job[job].in_heap = NONE;
    if (checker_plan_hold(c, job))
        return;
    c->job[job].counted = true;
    c->ask[c->job[job].ask].ordinary++;
    if (checker_ordered(c) && !c->stale)
        enter(c, job);
}

void checker_order_leave(struct checker *c, uint32_t job)
{
    c->ask[c->job[job].ask].ordinary -= c->job[job].counted;
    c->job[job].counted = false;
    if (!checker_ordered(c) || c->stale || c->job[job].in_heap == NONE)
        return;
    heap_drop(c, &c->class[c->ask[c->job[job].ask].class], job);
}

/* Whether a job that waits comes before one that is to start. */
static bool comes_first(const struct checker *c, uint32_t waits, uint32_t starts)
{
    return c->job[starts].held || before(c, waits, starts);
}

/* The first job of the heap from `at` down that comes before `job` and waits for the pool, if it comes before `first` as
 * well: rules are the single job's, not the class's. What is below a job that comes later comes later too. */
static uint32_t first_before(const struct checker *c, const struct check_class *class, uint32_t at,
                             uint32_t job, uint32_t pool, uint32_t first)
{
    if (at >= class->n || !comes_first(c, class->heap[at], job) ||
        (first != NONE && !before(c, class->heap[at], first)))
        return first;
    if (!checker_has_rules(c) || could_run_lawfully(c, class->heap[at], pool))
        return class->heap[at];
    first = first_before(c, class, 2 * at + 1, job, pool, first);
    return first_before(c, class, 2 * at + 2, job, pool, first);
}

void checker_order_judge(struct checker *c, uint32_t job, uint32_t pool)
{
    if (!checker_ordered(c) || c->job[job].latest_ms == CHECKER_VAGUE)
        return;
    refresh(c);
    uint32_t first = NONE;
    for (uint32_t i = 0; i < c->nclasses; i++) {
        const struct check_class *class = &c->class[i];
        const uint64_t *mask = c->masks + (size_t)i * c->mask_words;
        if (mask[pool / 64] >> pool % 64 & 1)
            first = first_before(c, class, 0, job, pool, first);
    }
    if (first == NONE)
        return;
    char text[UUID_TEXT_LEN + 1];
    uuid_format(text, &c->job[first].id);
    checker_violate(c, CHECKER_OVERTAKEN, &c->job[job].id, &c->pool[pool].id, NONE, "job %s", text);
}
