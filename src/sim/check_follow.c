/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays, priorities and jobs that come after others, judged: nothing starts before what it comes after is over as it has to
 * be, and what never can start ends in the instant in which that is known; of an array no more tasks run at a time than
 * may; with a strict fit inside shares no job starts while an equal one of its tenant waits that has a higher
 * priority.
 *
 * An edge is on the list of what it leads to, and is forgotten with that. Whose it is may be over by then; its sequence, which is
 * never used again, tells.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/kinds.h"
#include "sim/checker_state.h"

#define ARRAYS_MAX 65536u

struct edge {
    uint32_t array, job; /* whose it is, one of them NONE */
    uint64_t sequence;   /* of that */
    uint32_t kind;
    uint32_t next;
};

struct check_array {
    struct uuid id; /* first: the map's key */
    uint64_t sequence;
    uint32_t tenant;
    uint32_t total, tasks, at_once;
    uint32_t live, running, admitted;
    uint32_t next; /* this many, by number, may wait for a place, or are over */
    uint32_t failed;
    bool closed;
    uint32_t next_free;
    struct check_after after;
};

struct check_follow {
    struct check_array *array;
    uint32_t narrays, free_array;
    struct map map;
    struct map_slot *slots;
    struct edge *edge;
    uint32_t nedges, cap, free_edge;
    uint32_t doomed; /* jobs that must be over when the instant is */
    bool ranked;     /* some job ever had a priority */
};

static bool array_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct check_array *)table)[i].id, key, len) == 0;
}

bool checker_follow_new(struct checker *c)
{
    struct check_follow *f = calloc(1, sizeof *f);
    c->follow = f;
    if (!f)
        return false;
    uint32_t n = map_slots(ARRAYS_MAX);
    f->array = calloc(ARRAYS_MAX, sizeof *f->array);
    f->slots = calloc(n, sizeof *f->slots);
    f->free_array = f->free_edge = NONE;
    if (!f->array || !f->slots)
        return false;
    map_init(&f->map, f->slots, n, 0, array_equal, f->array);
    return true;
}

void checker_follow_free(struct checker *c)
{
    if (!c->follow)
        return;
    free(c->follow->array);
    free(c->follow->slots);
    free(c->follow->edge);
    free(c->follow);
}

static uint32_t array_find(const struct checker *c, const struct uuid *id)
{
    return map_get(&c->follow->map, id, sizeof *id);
}

static struct uuid task_id(const struct uuid *array, uint32_t number)
{
    struct uuid id = *array;
    id.b[14] = (uint8_t)(number / 256);
    id.b[15] = (uint8_t)(number % 256);
    return id;
}

static void array_over(struct checker *c, uint32_t i);

/* ---- who may wait for a place ---- */

static void admit(struct checker *c, struct check_array *a)
{
    while (!a->closed && a->after.open == 0 && !a->after.never && a->next < a->tasks &&
           (a->at_once == 0 || a->admitted < a->at_once)) {
        struct uuid id = task_id(&a->id, ++a->next);
        uint32_t job = checker_job_find(c, &id);
        if (job == NONE || !c->job[job].parked)
            continue;
        c->job[job].parked = false;
        a->admitted++;
        checker_order_enter(c, job);
    }
}

/* One of those that it comes after is over, or was when it came. */
static void settle(struct checker *c, uint32_t array, uint32_t job, uint32_t kind, bool well)
{
    struct check_after *after = array != NONE ? &c->follow->array[array].after : &c->job[job].after;
    bool never = after->never;
    after->never |= kind != AFTER_ANY && well != (kind == AFTER_OK);
    if (after->never && !never)
        c->follow->doomed += array != NONE ? c->follow->array[array].live : 1;
    after->open--;
    if (after->never && array != NONE)
        array_over(c, array);
    if (after->open > 0 || after->never)
        return;
    if (array != NONE) {
        admit(c, &c->follow->array[array]);
    } else {
        c->job[job].parked = false;
        checker_order_enter(c, job);
    }
}

static void settle_all(struct checker *c, uint32_t first, bool well)
{
    struct check_follow *f = c->follow;
    for (uint32_t i = first; i != NONE;) {
        struct edge edge = f->edge[i];
        f->edge[i].next = f->free_edge;
        f->free_edge = i;
        i = edge.next;
        bool there = edge.array != NONE
                         ? f->array[edge.array].sequence == edge.sequence
                         : c->job[edge.job].state != CHECK_FREE && c->job[edge.job].sequence == edge.sequence;
        if (there)
            settle(c, edge.array, edge.job, edge.kind, well);
    }
}

static void array_over(struct checker *c, uint32_t i)
{
    struct check_follow *f = c->follow;
    struct check_array *a = &f->array[i];
    if (a->live > 0 || a->sequence == 0 || (!a->closed && !a->after.never && a->tasks < a->total))
        return;
    uint32_t first = a->after.before;
    bool well = !a->closed && !a->after.never && a->failed == 0;
    map_remove(&f->map, &a->id, sizeof a->id);
    a->sequence = 0;
    a->next_free = f->free_array;
    f->free_array = i;
    settle_all(c, first, well);
}

void checker_follow_over(struct checker *c, uint32_t i)
{
    struct check_job *job = &c->job[i];
    uint32_t first = job->after.before, array = job->array;
    bool well = job->well;
    job->after.before = NONE;
    if (job->after.never)
        c->follow->doomed--;
    if (array != NONE) {
        struct check_array *a = &c->follow->array[array];
        a->live--;
        a->admitted -= !job->parked;
        a->failed += !well;
        c->follow->doomed -= a->after.never || a->closed;
        job->array = NONE;
        admit(c, a);
        array_over(c, array);
    }
    settle_all(c, first, well);
}

/* ---- events ---- */

static struct check_after *target_find(struct checker *c, const struct uuid *id)
{
    uint32_t job = checker_job_find(c, id);
    if (job != NONE)
        return &c->job[job].after;
    uint32_t array = array_find(c, id);
    return array != NONE ? &c->follow->array[array].after : NULL;
}

static void edge_add(struct checker *c, struct check_after *target, struct edge edge)
{
    struct check_follow *f = c->follow;
    uint32_t i = f->free_edge;
    if (i != NONE) {
        f->free_edge = f->edge[i].next;
    } else if (f->nedges < f->cap) {
        i = f->nedges++;
    } else {
        uint32_t cap = f->cap ? f->cap * 2 : 256;
        struct edge *more = realloc(f->edge, cap * sizeof *more);
        if (!more) {
            checker_violate(c, CHECKER_LIMIT, NULL, NULL, NONE, "out of memory");
            return;
        }
        f->edge = more;
        f->cap = cap;
        i = f->nedges++;
    }
    edge.next = target->before;
    f->edge[i] = edge;
    target->before = i;
}

static void afters_add(struct checker *c, const struct event_job_array *e, uint32_t array, uint32_t job)
{
    const struct {
        const struct uuid *id;
        uint32_t kind, outcome;
    } list[] = {{&e->after0, e->after_kind0, e->outcome0},
                {&e->after1, e->after_kind1, e->outcome1},
                {&e->after2, e->after_kind2, e->outcome2},
                {&e->after3, e->after_kind3, e->outcome3}};
    uint32_t n = 0;
    while (n < 4 && !uuid_zero(list[n].id))
        n++;
    struct check_after *after = array != NONE ? &c->follow->array[array].after : &c->job[job].after;
    uint64_t sequence = array != NONE ? c->follow->array[array].sequence : c->job[job].sequence;
    after->open += n;
    for (uint32_t i = 0; i < n; i++) {
        struct check_after *target = target_find(c, list[i].id);
        if (target)
            edge_add(c, target, (struct edge){array, job, sequence, list[i].kind, NONE});
        else if (list[i].outcome == OUTCOME_OPEN)
            checker_violate(c, CHECKER_ACCEPTED, &e->job, NULL, NONE, "it comes after what is not there");
        else
            settle(c, array, job, list[i].kind, list[i].outcome == OUTCOME_OK);
    }
}

static struct event_job_submit request_of(const struct event_job_array *e)
{
    /* The one begins with all fields of the other but the key, in the same order: the schema says both in the same words. */
    struct event_job_submit request;
    _Static_assert(offsetof(struct event_job_submit, key) == offsetof(struct event_job_array, after0),
                   "an array's event begins with a request");
    memcpy(&request, e, offsetof(struct event_job_submit, key));
    request.key = e->key;
    return request;
}

static uint32_t array_new(struct checker *c, const struct event_job_array *e)
{
    struct check_follow *f = c->follow;
    uint32_t i = f->free_array;
    if (i != NONE)
        f->free_array = f->array[i].next_free;
    else if (f->narrays < ARRAYS_MAX)
        i = f->narrays++;
    if (i == NONE) {
        checker_violate(c, CHECKER_LIMIT, NULL, NULL, NONE, "more than %u arrays", ARRAYS_MAX);
        return NONE;
    }
    f->array[i] = (struct check_array){.id = e->job,
                                       .sequence = ++c->sequence,
                                       .total = e->total,
                                       .at_once = e->at_once,
                                       .after = {.before = NONE}};
    map_put(&f->map, &e->job, sizeof e->job, i);
    return i;
}

void checker_job_array(struct checker *c, const struct event *event)
{
    const struct event_job_array *e = &event->u.job_array;
    struct event_job_submit request = request_of(e);
    if (e->total == 0) {
        uint32_t job = checker_job_new(c, &request);
        if (job == NONE)
            return;
        c->job[job].parked = !uuid_zero(&e->after0);
        afters_add(c, e, NONE, job);
        if (uuid_zero(&e->after0))
            checker_order_enter(c, job);
        return;
    }
    uint32_t i = array_find(c, &e->job);
    if ((i == NONE) != (e->at == 0) || (i != NONE && c->follow->array[i].tasks != e->at)) {
        checker_violate(c, CHECKER_ACCEPTED, &e->job, NULL, NONE, "%" PRIu32 " tasks after %" PRIu32,
                        e->tasks, e->at);
        return;
    }
    if (i == NONE)
        i = array_new(c, e);
    for (uint32_t k = 1; k <= e->tasks && i != NONE; k++) {
        request.job = task_id(&e->job, e->at + k);
        uint32_t job = checker_job_new(c, &request);
        if (job == NONE)
            return;
        struct check_array *a = &c->follow->array[i];
        c->job[job].parked = true;
        c->job[job].array = i;
        a->live++;
        a->tasks++;
        c->follow->doomed += a->after.never;
    }
    if (i == NONE)
        return;
    if (e->at == 0)
        afters_add(c, e, i, NONE);
    admit(c, &c->follow->array[i]);
}

bool checker_array_cancel(struct checker *c, const struct uuid *id)
{
    uint32_t i = array_find(c, id);
    if (i == NONE || c->follow->array[i].closed)
        return false;
    struct check_array *a = &c->follow->array[i];
    uint64_t sequence = a->sequence;
    if (!a->after.never)
        c->follow->doomed += a->live;
    a->closed = true;
    uint32_t tasks = a->tasks;
    for (uint32_t k = 1; k <= tasks; k++) {
        struct uuid task = task_id(id, k);
        uint32_t job = checker_job_find(c, &task);
        if (job == NONE)
            continue;
        c->job[job].cancelled = true; /* the stops of those that run must come in this instant */
        if (c->job[job].state == CHECK_WAITS)
            checker_job_forget(c, job);
    }
    if (c->follow->array[i].sequence == sequence)
        array_over(c, i);
    return true;
}

/* ---- decisions ---- */

void checker_job_unmet(struct checker *c, const struct effect *e)
{
    uint32_t i = checker_job_find(c, &e->job);
    const struct check_job *job = i != NONE ? &c->job[i] : NULL;
    bool never =
        job && (job->after.never || (job->array != NONE && c->follow->array[job->array].after.never));
    if (!never || job->state != CHECK_WAITS) {
        checker_violate(c, CHECKER_UNMET, &e->job, NULL, NONE, "%s",
                        job ? "nothing says that it never can" : "it is not there");
        return;
    }
    checker_job_forget(c, i);
}

void checker_judge_follow(struct checker *c, uint32_t i)
{
    struct check_job *job = &c->job[i];
    struct check_array *a = job->array != NONE ? &c->follow->array[job->array] : NULL;
    uint32_t open = job->after.open + (a ? a->after.open : 0);
    if (open > 0 || job->after.never || (a && a->after.never))
        checker_violate(c, CHECKER_AFTER, &job->id, NULL, NONE,
                        "%" PRIu32 " that it comes after are not over", open);
    if (a && a->at_once > 0 && a->running >= a->at_once)
        checker_violate(c, CHECKER_ARRAY, &job->id, NULL, NONE, "%" PRIu32 " others run, %" PRIu32 " may",
                        a->running, a->at_once);
    if (a)
        a->running++;
    if (a && job->parked)
        a->admitted++;
    job->parked = false;
}

void checker_follow_stopped(struct checker *c, uint32_t i)
{
    if (c->job[i].array != NONE)
        c->follow->array[c->job[i].array].running--;
}

/* Whether they ask for the same in every way that decides where they may run. */
static bool equals(const struct check_job *a, const struct check_job *b)
{
    return a->ask == b->ask && a->tenant == b->tenant && a->kind == b->kind && a->firm == b->firm &&
           a->data_site == b->data_site && memcmp(a->data_class, b->data_class, CODE_CAP) == 0;
}

void checker_rank(struct checker *c, const struct check_job *job)
{
    c->follow->ranked |= job->priority != 0;
}

void checker_judge_rank(struct checker *c, uint32_t i)
{
    const struct check_job *job = &c->job[i];
    if (!c->follow->ranked || c->fit != FIT_STRICT || c->order != ORDER_SIZE || job->held)
        return;
    for (uint32_t k = 0; k < c->njobs; k++) {
        const struct check_job *other = &c->job[k];
        /* Who was stopped in this instant came back after the order of the pass was made. */
        if (other->state != CHECK_WAITS || other->held || other->parked || other->stopped_ms == c->now_ms ||
            other->priority <= job->priority || !equals(job, other))
            continue;
        char text[UUID_TEXT_LEN + 1];
        uuid_format(text, &other->id);
        checker_violate(c, CHECKER_OUTRANKED, &job->id, NULL, NONE, "job %s", text);
        return;
    }
}

void checker_follow_end_of_time(struct checker *c)
{
    if (c->follow->doomed > 0)
        checker_violate(c, CHECKER_UNMET_WAITS, NULL, NULL, NONE, "%" PRIu32 " jobs", c->follow->doomed);
    c->follow->doomed = 0;
}
