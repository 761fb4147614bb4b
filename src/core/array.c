/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays: their tasks come, are admitted to their lane in turn, and are over. core/follow.h has the story. */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

#define INDEX_MAX (1u << 30)

/* The number of a task is in its id's last two bytes, the rest is the array's. */
static struct uuid task_id(const struct uuid *array, uint32_t k)
{
    struct uuid id = *array;
    id.b[14] = (uint8_t)(k >> 8);
    id.b[15] = (uint8_t)k;
    return id;
}

uint32_t array_by_id(const struct core *core, const struct uuid *id)
{
    return map_get(&core->follow.array_map, id, sizeof *id);
}

bool array_is_of(const struct uuid *array, const struct uuid *job)
{
    struct uuid id = task_id(job, 0);
    return uuid_eq(&id, array);
}

bool array_has(const struct core *core, const struct uuid *job)
{
    struct uuid id = task_id(job, 0);
    return core->follow.arrays.live > 0 && array_by_id(core, &id) != INDEX_NONE;
}

void array_moves(struct core *core, uint32_t i)
{
    struct array *array = &core->follow.array[i];
    due_set(&core->follow.moving, &array->moving, &array->row.id);
    core->work.due = true;
}

/* It leaves memory when nothing of it is left and nothing comes; its row stays as the record of it. */
static void array_settle(struct core *core, uint32_t i)
{
    struct array *array = &core->follow.array[i];
    bool open = array->row.state == JOB_QUEUED;
    if (array->live > 0 || array->row.ended_ms > 0 || (open && array->row.tasks < array->row.total))
        return;
    array->row.ended_ms = core->now_ms > 0 ? core->now_ms : 1;
    array->row.state = open ? JOB_ENDED : array->row.state;
    due_clear(&core->follow.moving, &array->moving);
    follow_settle(core, array->link, open && array->row.failed == 0 ? OUTCOME_OK : OUTCOME_BAD);
    map_remove(&core->follow.array_map, &array->row.id, sizeof array->row.id);
    table_drop(&core->follow.arrays, i);
}

void array_task_over(struct core *core, struct job_id id, uint32_t outcome)
{
    const struct job *job = &core->work.job[id.v];
    struct array *array = &core->follow.array[job->array];
    array->live--;
    array->admitted -= !job->parked;
    if (outcome != OUTCOME_OK) {
        array->row.failed++;
        table_touch(&core->follow.arrays, job->array);
    }
    if (array->next < array->row.tasks)
        array_moves(core, job->array);
    array_settle(core, job->array);
}

void array_close(struct core *core, uint32_t i, uint32_t state)
{
    struct array *array = &core->follow.array[i];
    array->row.state = state;
    table_touch(&core->follow.arrays, i);
    follow_drop(core, array->link);
    array_moves(core, i);
}

int array_cancel(struct core *core, const struct uuid *id)
{
    uint32_t i = array_by_id(core, id);
    if (i == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (core->follow.array[i].row.state != JOB_QUEUED)
        return ERR_WRONG_STATE;
    array_close(core, i, JOB_CANCELLED);
    return 0;
}

/* ---- the work of a tick ---- */

/* Ends what is left of it. False: there is more to do. */
static bool end_tasks(struct core *core, uint32_t i, uint32_t *budget)
{
    struct array *array = &core->follow.array[i];
    for (; array->closed < array->row.tasks; array->closed++) {
        struct uuid id = task_id(&array->row.id, array->closed + 1);
        struct job_id job = job_by_id(core, &id);
        if (*budget == 0 || core->effects->n > core->effects->cap / 2)
            return false;
        --*budget;
        if (job.v == INDEX_NONE)
            continue;
        if (array->row.state == JOB_UNMET)
            work_unmet(core, job);
        else
            work_cancel(core, job);
    }
    array_settle(core, i);
    return true;
}

static bool may_admit(const struct core *core, const struct array *array)
{
    if (array->link != INDEX_NONE &&
        (!list_empty(&core->follow.link[array->link].after) || core->follow.link[array->link].never))
        return false;
    return array->row.at_once == 0 || array->admitted < array->row.at_once;
}

static bool admit_tasks(struct core *core, uint32_t i, uint32_t *budget)
{
    struct array *array = &core->follow.array[i];
    while (array->next < array->row.tasks && may_admit(core, array)) {
        struct uuid id = task_id(&array->row.id, array->next + 1);
        struct job_id job = job_by_id(core, &id);
        if (*budget == 0)
            return false;
        --*budget;
        array->next++;
        if (job.v == INDEX_NONE)
            continue;
        array->admitted++;
        if (!core->work.job[job.v].parked)
            continue; /* it runs: a load counts its tasks */
        core->work.job[job.v].parked = false;
        lane_enter(core, job);
    }
    return true;
}

bool array_turn(struct core *core, uint32_t i, uint32_t *budget)
{
    return core->follow.array[i].row.state == JOB_QUEUED ? admit_tasks(core, i, budget)
                                                         : end_tasks(core, i, budget);
}

/* ---- steps ---- */

static void request_of(struct event_job_submit *to, const struct event_job_array *from)
{
    to->job = from->job;
    to->tenant = from->tenant;
    JOB_COPY_TERMS
}

static void park(struct core *core, struct job_id id)
{
    core->work.job[id.v].parked = true;
    lane_seat(core, &core->work.job[id.v]);
}

static int submit_one(struct core *core, const struct event_job_array *e,
                      const struct event_job_submit *request)
{
    struct after after[JOB_AFTERS_MAX];
    struct job_id id;
    uint32_t n = afters_read(e, after);
    if (e->first || e->at_once || e->at || e->tasks)
        return ERR_INVALID;
    int rc = array_has(core, &e->job) ? ERR_EXISTS : afters_check(core, e, after, n);
    if (rc == 0)
        rc = work_park(core, request, INDEX_NONE, &id);
    if (rc != 0)
        return rc;
    if (n == 0) {
        lane_enter(core, id);
        return 0;
    }
    park(core, id);
    follow_attach(core, id.v, INDEX_NONE, after, n);
    return 0;
}

/* Whether the event can be the first one about an array, or the next one about this. */
static int array_check(struct core *core, const struct event_job_array *e, const struct after *after,
                       uint32_t n)
{
    uint32_t i = array_by_id(core, &e->job);
    if (e->at == 0) {
        if (i != INDEX_NONE || job_by_id(core, &e->job).v != INDEX_NONE)
            return ERR_EXISTS;
        return table_room(&core->follow.arrays) == 0 ? ERR_LIMIT : afters_check(core, e, after, n);
    }
    if (i == INDEX_NONE || !uuid_eq(&core->follow.array[i].row.tenant, &e->tenant))
        return ERR_NOT_FOUND;
    const struct row_job_array *row = &core->follow.array[i].row;
    bool same = row->first == e->first && row->total == e->total && row->at_once == e->at_once;
    return same && row->tasks == e->at && row->state == JOB_QUEUED ? 0 : ERR_WRONG_STATE;
}

static uint32_t array_new(struct core *core, const struct event_job_array *e)
{
    uint32_t i = table_take(&core->follow.arrays);
    struct row_job_array row = {.id = e->job,
                                .tenant = e->tenant,
                                .first = e->first,
                                .total = e->total,
                                .at_once = e->at_once,
                                .state = JOB_QUEUED};
    core->follow.array[i] = (struct array){.row = row, .link = INDEX_NONE};
    map_put(&core->follow.array_map, &e->job, sizeof e->job, i);
    return i;
}

static bool is_array(const struct event_job_array *e)
{
    return e->job.b[14] == 0 && e->job.b[15] == 0 && e->total <= ARRAY_TASKS_MAX && e->at < e->total &&
           e->tasks > 0 && e->tasks <= ARRAY_EVENT_TASKS_MAX && e->tasks <= e->total - e->at &&
           e->first <= INDEX_MAX && e->at_once <= ARRAY_TASKS_MAX;
}

/* The first part is refused where there is no room for all of it, so that parts that come together come whole or not at all. */
static int tasks_check(const struct core *core, const struct event_job_array *e)
{
    if (table_room(&core->work.jobs) < (e->at == 0 ? e->total : e->tasks))
        return ERR_LIMIT;
    for (uint32_t k = e->at + 1; k <= e->at + e->tasks; k++) {
        struct uuid id = task_id(&e->job, k);
        if (job_by_id(core, &id).v != INDEX_NONE)
            return ERR_EXISTS;
    }
    return 0;
}

static int submit_tasks(struct core *core, const struct event_job_array *e, struct event_job_submit *request)
{
    struct after after[JOB_AFTERS_MAX];
    struct job_id id;
    uint32_t n = afters_read(e, after);
    if (!is_array(e) || (e->at > 0 && n > 0))
        return ERR_INVALID;
    int rc = array_check(core, e, after, n);
    if (rc == 0)
        rc = tasks_check(core, e);
    if (rc == 0) {
        request->job = task_id(&e->job, e->at + 1);
        rc = work_park(core, request, INDEX_NONE, &id);
    }
    if (rc != 0)
        return rc;
    uint32_t i = e->at == 0 ? array_new(core, e) : array_by_id(core, &e->job);
    struct array *array = &core->follow.array[i];
    for (uint32_t k = 1;; k++) {
        park(core, id);
        core->work.job[id.v].array = i;
        array->live++;
        if (k == e->tasks)
            break;
        request->job = task_id(&e->job, e->at + k + 1);
        rc = work_park(core, request, INDEX_NONE, &id);
        assert(rc == 0); /* as the one before it */
    }
    array->row.tasks += e->tasks;
    table_touch(&core->follow.arrays, i);
    if (n > 0)
        follow_attach(core, INDEX_NONE, i, after, n);
    array_moves(core, i);
    return 0;
}

int step_job_array(struct core *core, const struct event *event)
{
    const struct event_job_array *e = &event->u.job_array;
    struct event_job_submit request = {0};
    request_of(&request, e);
    if (uuid_zero(&e->job) || !work_terms_hold(&request))
        return ERR_INVALID;
    return e->total == 0 ? submit_one(core, e, &request) : submit_tasks(core, e, &request);
}

/* ---- from rows ---- */

int load_job_array(struct core *core, const struct row_job_array *row)
{
    struct follow *f = &core->follow;
    if (row->ended_ms > 0)
        return 0; /* part of the books, not of the state */
    if (tenant_by_id(core, &row->tenant).v == INDEX_NONE || row->tasks > row->total ||
        row->total > ARRAY_TASKS_MAX || array_by_id(core, &row->id) != INDEX_NONE ||
        (row->state != JOB_QUEUED && row->state != JOB_CANCELLED && row->state != JOB_UNMET))
        return ERR_CORRUPT;
    uint32_t i = table_take(&f->arrays);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    f->array[i] = (struct array){.row = *row, .link = INDEX_NONE};
    map_put(&f->array_map, &row->id, sizeof row->id, i);
    return 0;
}

int load_arrays_done(struct core *core)
{
    struct follow *f = &core->follow;
    for (uint32_t i = 0; i < f->arrays.used; i++) {
        struct array *array = &f->array[i];
        for (uint32_t k = 1; table_live(&f->arrays, i) && k <= array->row.tasks; k++) {
            struct uuid id = task_id(&array->row.id, k);
            struct job_id at = job_by_id(core, &id);
            if (at.v == INDEX_NONE)
                continue;
            struct job *job = &core->work.job[at.v];
            if (!uuid_eq(&job->row.tenant, &array->row.tenant))
                return ERR_CORRUPT;
            job->array = i;
            array->live++;
            if (job->row.state == JOB_QUEUED)
                park(core, at);
        }
    }
    return 0;
}

void arrays_resume(struct core *core)
{
    struct follow *f = &core->follow;
    for (uint32_t i = 0; i < f->arrays.used; i++) {
        uint32_t budget = UINT32_MAX;
        if (!table_live(&f->arrays, i))
            continue;
        if (f->array[i].row.state == JOB_QUEUED)
            (void)admit_tasks(core, i, &budget);
        else
            array_moves(core, i);
    }
}
