/* SPDX-License-Identifier: Apache-2.0 */
/* Who comes after whom: edges and their ends, and the work of a tick. */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

static bool array_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct array *)table)[i].row.id, key, len) == 0;
}

void follow_carve(struct core *core, struct arena *arena)
{
    const struct limits *n = &core->limits;
    CARVE(core, follow.edges, follow.edge, n->afters);
    CARVE(core, follow.links, follow.link, n->afters * 2);
    CARVE(core, follow.arrays, follow.array, n->arrays);
    index_init(&core->follow.array_map, arena, n->arrays, array_equal, core->follow.array);
}

static struct due *due_of(const struct heap_node *node)
{
    return heap_entry(node, struct due, node);
}

static bool due_before(const struct heap_node *a, const struct heap_node *b)
{
    return memcmp(&due_of(a)->id, &due_of(b)->id, sizeof(struct uuid)) < 0;
}

void follow_init(struct core *core)
{
    heap_init(&core->follow.ready, due_before);
    heap_init(&core->follow.moving, due_before);
}

bool follow_is_due(const struct core *core)
{
    return heap_first(&core->follow.ready) || heap_first(&core->follow.moving);
}

void due_set(struct heap *heap, struct due *due, const struct uuid *id)
{
    if (due->is)
        return;
    due->id = *id;
    due->is = true;
    heap_push(heap, &due->node);
}

void due_clear(struct heap *heap, struct due *due)
{
    if (due->is)
        heap_remove(heap, &due->node);
    due->is = false;
}

/* ---- links ---- */

/* Where the job or array, the other one of which is INDEX_NONE, keeps the index of its link. */
static uint32_t *link_place(struct core *core, uint32_t job, uint32_t array)
{
    return job != INDEX_NONE ? &core->work.job[job].link : &core->follow.array[array].link;
}

static uint32_t link_of(struct core *core, uint32_t job, uint32_t array)
{
    uint32_t *place = link_place(core, job, array);
    if (*place != INDEX_NONE)
        return *place;
    *place = table_take(&core->follow.links);
    assert(*place != INDEX_NONE);
    struct link *link = &core->follow.link[*place];
    *link = (struct link){.job = job, .array = array};
    list_init(&link->after);
    list_init(&link->before);
    return *place;
}

static const struct uuid *link_id(const struct core *core, const struct link *link)
{
    return link->job != INDEX_NONE ? &core->work.job[link->job].row.id
                                   : &core->follow.array[link->array].row.id;
}

static void link_drop(struct core *core, uint32_t i)
{
    struct link *link = &core->follow.link[i];
    *link_place(core, link->job, link->array) = INDEX_NONE;
    table_drop(&core->follow.links, i);
}

/* Drops it when it has no edges and nothing is to be done about it. */
static void link_tidy(struct core *core, uint32_t i)
{
    const struct link *link = &core->follow.link[i];
    if (list_empty(&link->after) && list_empty(&link->before) && !link->ready.is)
        link_drop(core, i);
}

static void link_is_ready(struct core *core, struct link *link)
{
    if (list_empty(&link->after) || link->never)
        due_set(&core->follow.ready, &link->ready, link_id(core, link));
    core->work.due = true;
}

/* ---- edges ---- */

/* It leaves memory; its row stays as the record of it. */
static void edge_drop(struct core *core, struct edge *edge)
{
    list_remove(&edge->in_after);
    list_remove(&edge->in_before);
    if (edge->target != INDEX_NONE)
        core->follow.link[edge->target].nbefore--;
    table_drop(&core->follow.edges, (uint32_t)(edge - core->follow.edge));
}

static bool lets_start(uint32_t kind, uint32_t outcome)
{
    return kind == AFTER_ANY || (kind == AFTER_OK) == (outcome == OUTCOME_OK);
}

static void edge_settle(struct core *core, struct edge *edge, uint32_t outcome)
{
    struct link *link = &core->follow.link[edge->link];
    edge->row.outcome = outcome;
    link->never |= !lets_start(edge->row.kind, outcome);
    edge_drop(core, edge);
    link_is_ready(core, link);
}

void follow_drop(struct core *core, uint32_t i)
{
    if (i == INDEX_NONE)
        return;
    list_for_each_safe (it, next, &core->follow.link[i].after) {
        struct edge *edge = list_entry(it, struct edge, in_after);
        uint32_t target = edge->target;
        edge_drop(core, edge);
        if (target != INDEX_NONE)
            link_tidy(core, target);
    }
    due_clear(&core->follow.ready, &core->follow.link[i].ready);
}

void follow_settle(struct core *core, uint32_t i, uint32_t outcome)
{
    if (i == INDEX_NONE)
        return;
    follow_drop(core, i);
    list_for_each_safe (it, next, &core->follow.link[i].before) {
        edge_settle(core, list_entry(it, struct edge, in_before), outcome);
    }
    link_drop(core, i);
}

static uint32_t outcome_of(const struct row_job *row)
{
    return row->state == JOB_ENDED && row->code == 0 ? OUTCOME_OK : OUTCOME_BAD;
}

void follow_over(struct core *core, struct job_id id)
{
    const struct job *job = &core->work.job[id.v];
    if (job->array != INDEX_NONE)
        array_task_over(core, id, outcome_of(&job->row));
    follow_settle(core, job->link, outcome_of(&job->row));
}

/* ---- what an event names ---- */

uint32_t afters_read(const struct event_job_array *e, struct after out[JOB_AFTERS_MAX])
{
    const struct after all[JOB_AFTERS_MAX] = {{e->after0, e->after_kind0, e->outcome0},
                                              {e->after1, e->after_kind1, e->outcome1},
                                              {e->after2, e->after_kind2, e->outcome2},
                                              {e->after3, e->after_kind3, e->outcome3}};
    uint32_t n = 0;
    while (n < JOB_AFTERS_MAX && !uuid_zero(&all[n].target))
        n++;
    memcpy(out, all, sizeof all);
    return n;
}

/* What the id names, as an index of jobs or of arrays; false: neither is there. */
static bool target_find(const struct core *core, const struct uuid *id, uint32_t *job, uint32_t *array)
{
    *job = job_by_id(core, id).v;
    *array = *job == INDEX_NONE ? array_by_id(core, id) : INDEX_NONE;
    return *job != INDEX_NONE || *array != INDEX_NONE;
}

/* It was cancelled as an array, or a part of it: it is over as soon as there is time for that. */
static bool target_closes(const struct core *core, uint32_t job, uint32_t array)
{
    uint32_t i = job != INDEX_NONE ? core->work.job[job].array : array;
    return i != INDEX_NONE && core->follow.array[i].row.state != JOB_QUEUED;
}

static int after_check(struct core *core, const struct uuid *tenant, const struct after *after)
{
    uint32_t job, array;
    if (after->kind > AFTER_NOT_OK || after->outcome > OUTCOME_BAD)
        return ERR_INVALID;
    if (!target_find(core, &after->target, &job, &array))
        return after->outcome == OUTCOME_OPEN ? ERR_NOT_FOUND : 0;
    const struct uuid *owner =
        job != INDEX_NONE ? &core->work.job[job].row.tenant : &core->follow.array[array].row.tenant;
    if (!uuid_eq(owner, tenant) || target_closes(core, job, array) ||
        (job != INDEX_NONE && core->work.job[job].replica != INDEX_NONE))
        return ERR_NOT_FOUND;
    uint32_t link = *link_place(core, job, array);
    bool full = link != INDEX_NONE && core->follow.link[link].nbefore > JOB_FOLLOWERS_MAX - JOB_AFTERS_MAX;
    return full ? ERR_LIMIT : 0;
}

int afters_check(struct core *core, const struct event_job_array *e, const struct after *list, uint32_t n)
{
    if (n > 0 && (table_room(&core->follow.edges) < n || table_room(&core->follow.links) < n + 1))
        return ERR_LIMIT;
    for (uint32_t i = 0; i < n; i++) {
        bool itself =
            uuid_eq(&list[i].target, &e->job) || (e->total > 0 && array_is_of(&e->job, &list[i].target));
        int rc = itself ? ERR_INVALID : after_check(core, &e->tenant, &list[i]);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static void edge_aim(struct core *core, struct edge *edge)
{
    uint32_t job, array;
    if (!target_find(core, &edge->row.target, &job, &array))
        return;
    edge->target = link_of(core, job, array);
    struct link *target = &core->follow.link[edge->target];
    target->nbefore++;
    list_push(&target->before, &edge->in_before);
}

static struct edge *edge_new(struct core *core, uint32_t link, const struct row_job_after *row)
{
    uint32_t i = table_take(&core->follow.edges);
    assert(i != INDEX_NONE);
    struct edge *edge = &core->follow.edge[i];
    *edge = (struct edge){.row = *row, .link = link, .target = INDEX_NONE};
    list_push(&core->follow.link[link].after, &edge->in_after);
    edge_aim(core, edge);
    return edge;
}

void follow_attach(struct core *core, uint32_t job, uint32_t array, const struct after *list, uint32_t n)
{
    struct edge *edge[JOB_AFTERS_MAX];
    uint32_t link = link_of(core, job, array);
    const struct uuid *id =
        job != INDEX_NONE ? &core->work.job[job].row.id : &core->follow.array[array].row.id;
    for (uint32_t i = 0; i < n; i++) {
        struct row_job_after row = {.job = *id, .slot = i, .target = list[i].target, .kind = list[i].kind};
        edge[i] = edge_new(core, link, &row);
    }
    /* Only now: with an edge that was not there yet it would seem to be the last one. */
    for (uint32_t i = 0; i < n; i++) {
        if (edge[i]->target == INDEX_NONE)
            edge_settle(core, edge[i], list[i].outcome);
    }
}

/* ---- the work of a tick ---- */

/* It may start, or never will. */
static void resolve(struct core *core, struct link *link)
{
    struct job_id job = {link->job};
    uint32_t array = link->array, i = (uint32_t)(link - core->follow.link);
    bool never = link->never;
    due_clear(&core->follow.ready, &link->ready);
    if (array != INDEX_NONE) {
        if (never)
            array_close(core, array, JOB_UNMET);
        else
            link_tidy(core, i);
        array_moves(core, array);
    } else if (never) {
        work_unmet(core, job);
    } else {
        link_tidy(core, i);
        core->work.job[job.v].parked = false;
        lane_enter(core, job);
    }
}

/* Of those that may start a load knows nothing but that they wait. */
void follow_anew(struct core *core)
{
    for (uint32_t i = 0; i < core->follow.links.used; i++) {
        struct link *link = &core->follow.link[i];
        if (table_live(&core->follow.links, i) && link->ready.is && !link->never)
            resolve(core, link);
    }
    arrays_resume(core);
}

bool follow_turn(struct core *core)
{
    struct follow *f = &core->follow;
    struct heap_node *first;
    uint32_t budget = FOLLOW_TURN_MAX;
    while (follow_is_due(core)) {
        if ((first = heap_first(&f->ready)) != NULL) {
            if (budget == 0 || core->effects->n > core->effects->cap / 2)
                return false;
            budget--;
            resolve(core, heap_entry(due_of(first), struct link, ready));
            continue;
        }
        struct array *array = heap_entry(due_of(heap_first(&f->moving)), struct array, moving);
        if (!array_turn(core, (uint32_t)(array - f->array), &budget))
            return false;
        due_clear(&f->moving, &array->moving);
    }
    return true;
}

/* ---- why ---- */

uint32_t follow_waits_for(const struct core *core, const struct job *job, struct uuid *first)
{
    const struct follow *f = &core->follow;
    uint32_t link = job->array != INDEX_NONE ? f->array[job->array].link : job->link, n = 0;
    *first = (struct uuid){{0}};
    if (link == INDEX_NONE)
        return 0;
    list_for_each_safe (it, next, &f->link[link].after) {
        if (n++ == 0)
            *first = list_entry(it, struct edge, in_after)->row.target;
    }
    return n;
}

/* ---- from rows ---- */

int load_job_after(struct core *core, const struct row_job_after *row)
{
    struct follow *f = &core->follow;
    uint32_t job, array, target_job, target_array;
    if (!target_find(core, &row->job, &job, &array))
        return 0; /* part of the books, not of the state */
    if (row->kind > AFTER_NOT_OK || row->outcome > OUTCOME_BAD)
        return ERR_CORRUPT;
    if (row->outcome != OUTCOME_OPEN && lets_start(row->kind, row->outcome))
        return 0;
    if (row->outcome == OUTCOME_OPEN && !target_find(core, &row->target, &target_job, &target_array))
        return ERR_CORRUPT;
    if (table_room(&f->edges) == 0 || table_room(&f->links) < 2)
        return ERR_LIMIT;
    uint32_t link = link_of(core, job, array);
    if (row->outcome == OUTCOME_OPEN) {
        (void)edge_new(core, link, row);
    } else {
        f->link[link].never = true;
        link_is_ready(core, &f->link[link]);
    }
    return 0;
}

void follow_dump(const struct core *core, row_fn *fn, void *ctx)
{
    const struct follow *f = &core->follow;
    for (uint32_t i = 0; i < f->links.used; i++) {
        const struct link *link = &f->link[i];
        if (!table_live(&f->links, i) || !link->never)
            continue;
        /* Its slot is after those of the edges that it has. */
        struct row_job_after row = {.slot = JOB_AFTERS_MAX, .kind = AFTER_OK, .outcome = OUTCOME_BAD};
        row.job = *link_id(core, link);
        fn(ctx, ROW_KIND_job_after, ROW_PUT, &row);
    }
}

int load_follow_done(struct core *core)
{
    struct work *w = &core->work;
    for (uint32_t i = 0; i < w->jobs.used; i++) {
        struct job *job = &w->job[i];
        if (!table_live(&w->jobs, i) || job->link == INDEX_NONE)
            continue;
        const struct link *link = &core->follow.link[job->link];
        job->parked = link->never || !list_empty(&link->after);
        if (job->parked && job->row.state != JOB_QUEUED)
            return ERR_CORRUPT;
    }
    return load_arrays_done(core);
}
