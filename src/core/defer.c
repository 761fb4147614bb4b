/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that waits by choice.
 *
 * A job may say by when it must start at the latest, or be over. Until then, and while a plan (core/plan.h) names its
 * request, it is held: it is in its lane's second queue, ordered by latest start, and takes no part in what ordinary work
 * does to others: it has no reservation, closes no pool, and comes after everybody who waits for one. Of a lane's held
 * jobs the first has the highest threshold, so if it may start nowhere none may, but for shorter ones before a reservation.
 *
 * Lanes that hold are in a heap by the latest start of their first job; at that time, or without a plan, a job goes over to
 * the lane's first queue and is ordinary. Both moves are O(log n); a plan moves jobs only in lanes that it names and the one
 * before did not, or the other way round.
 */
#include <string.h>

#include "core/kinds.h"
#include "core/pass.h"

/* ---- who is held ---- */

int64_t job_latest_of(const struct job *job, const struct shape *shape)
{
    const struct row_job *row = &job->row;
    int64_t latest_ms = row->start_by_ms, run_ms = 0;
    if (row->deadline_ms == 0)
        return latest_ms;
    /* Any of its sizes may be the one there is room for. */
    for (uint32_t a = 0; a < shape->nalternatives; a++) {
        int64_t ms = job_run_ms(job, shape->key.alternative[a].rate);
        run_ms = ms > run_ms ? ms : run_ms;
    }
    int64_t by_ms = row->deadline_ms > run_ms ? row->deadline_ms - run_ms : 1;
    return latest_ms == 0 || by_ms < latest_ms ? by_ms : latest_ms;
}

int64_t job_latest_ms(const struct core *core, const struct job *job)
{
    return job_latest_of(job, &core->work.shape[core->work.lane[job->lane].shape]);
}

static struct lane *lane_in_latest(const struct heap_node *node)
{
    return heap_entry(node, struct lane, in_latest);
}

static bool latest_before(const struct heap_node *a, const struct heap_node *b)
{
    return queue_before(queue_first(&lane_in_latest(a)->held), queue_first(&lane_in_latest(b)->held));
}

void defer_init(struct core *core)
{
    list_init(&core->work.holding);
    heap_init(&core->work.latest, latest_before);
}

bool defer_enter(struct core *core, struct job_id id)
{
    struct work *w = &core->work;
    struct job *job = &w->job[id.v];
    struct lane *lane = &w->lane[job->lane];
    job->latest_ms = job_latest_ms(core, job);
    if (lane->group == INDEX_NONE || job->latest_ms <= core->now_ms)
        return false;
    job->held = true;
    job->in_lane.rank = 0; /* thresholds are in order of latest starts */
    job->in_lane.key = job->latest_ms;
    struct queue_node *first = queue_first(&lane->held);
    bool leads = !first || queue_before(&job->in_lane, first);
    if (first && leads)
        heap_remove(&w->latest, &lane->in_latest);
    queue_add(&lane->held, &job->in_lane);
    if (leads)
        heap_push(&w->latest, &lane->in_latest);
    if (!list_linked(&lane->holding))
        list_push(&w->holding, &lane->holding);
    lane->held_fresh = true;
    w->due = true;
    return true;
}

void defer_leave(struct core *core, struct job_id id)
{
    struct work *w = &core->work;
    struct job *job = &w->job[id.v];
    struct lane *lane = &w->lane[job->lane];
    bool leads = queue_first(&lane->held) == &job->in_lane;
    if (leads)
        heap_remove(&w->latest, &lane->in_latest);
    queue_remove(&lane->held, &job->in_lane);
    job->held = false;
    if (!queue_first(&lane->held))
        list_remove(&lane->holding);
    else if (leads)
        heap_push(&w->latest, &lane->in_latest);
    lane->held_fresh = true;
}

void defer_turn(struct core *core)
{
    struct work *w = &core->work;
    struct heap_node *node;
    while ((node = heap_first(&w->latest)) != NULL) {
        struct queue_node *first = queue_first(&lane_in_latest(node)->held);
        if (first->key > core->now_ms)
            return;
        struct job_id id = {(uint32_t)(heap_entry(first, struct job, in_lane) - w->job)};
        defer_leave(core, id);
        lane_enter(core, id);
    }
}

int64_t defer_deadline_ms(const struct core *core)
{
    const struct heap_node *node = heap_first(&core->work.latest);
    if (!node)
        return INT64_MAX;
    int64_t latest_ms = queue_first(&lane_in_latest(node)->held)->key;
    int64_t until_ms = core->plan.row.until_ms;
    return until_ms < latest_ms ? until_ms : latest_ms;
}

/* Each job that waits is where it belongs. */
static void rehold(struct core *core)
{
    struct work *w = &core->work;
    for (uint32_t i = 0; i < w->jobs.used; i++) {
        struct job *job = &w->job[i];
        struct lane *lane = &w->lane[job->lane];
        if (!table_live(&w->jobs, i) || job->row.state != JOB_QUEUED || job->latest_ms == 0 ||
            job->held == (lane->group != INDEX_NONE && job->latest_ms > core->now_ms))
            continue;
        lane_leave(core, (struct job_id){i});
        if (queue_first(&lane->waiting)) /* the next of its lane was not tried as such */
            lane_refresh(core, lane, true);
        lane_enter(core, (struct job_id){i});
    }
}

void defer_replan(struct core *core)
{
    struct work *w = &core->work;
    bool moves = false;
    for (uint32_t i = 0; i < w->lanes.used; i++) {
        struct lane *lane = &w->lane[i];
        if (!table_live(&w->lanes, i))
            continue;
        bool named = lane->group != INDEX_NONE;
        lane->group = plan_group_of(core, &w->shape[lane->shape].key);
        lane->held_fresh = true;
        moves |= named != (lane->group != INDEX_NONE);
    }
    if (moves)
        rehold(core);
    w->due |= moves || !list_empty(&w->holding);
}

/* ---- the pass ---- */

/* Whether a pool that changed has room for this reach. */
static bool fits_changed(const struct core *core, const struct reach *reach)
{
    const struct work *w = &core->work;
    for (uint32_t a = 0; a < reach->nalternatives; a++) {
        struct ask ask = ask_for(reach->key->flags, &reach->key->alternative[a]);
        for (uint32_t k = 0; k < w->pool_words; k++) {
            for (uint64_t left = reach->mask[(size_t)a * w->pool_words + k] & w->looking[k]; left;
                 left &= left - 1) {
                if (pool_fits(&core->net.pool[k * 64 + (uint32_t)__builtin_ctzll(left)], ask, HELD_OWN))
                    return true;
            }
        }
    }
    return false;
}

/* Lists the lanes whose held jobs have to be looked at. */
static void look(struct core *core)
{
    struct work *w = &core->work;
    bool all = w->row.fit == FIT_STRICT; /* whoever closed a pool before may be gone */
    list_for_each_safe (it, next, &w->holding) {
        struct lane *lane = list_entry(it, struct lane, holding);
        if (all || lane->held_fresh || fits_changed(core, shape_now(core, lane->shape)->reach))
            turns_add(core, lane, queue_first(&lane->held));
    }
    turns_begin(core);
}

bool defer_pass(struct core *core)
{
    struct work *w = &core->work;
    struct turn *turn;
    struct lane *lane;
    if (list_empty(&w->holding))
        return true;
    look(core);
    while ((lane = next_lane(core, &turn)) != NULL) {
        uint32_t index = (uint32_t)(lane - w->lane);
        bool all = w->row.fit == FIT_STRICT || lane->held_fresh;
        bool leads = &lane->candidate->in_lane == queue_first(&lane->held);
        enum tried tried = try_start(core, index, all ? w->blocked : w->still);
        if (tried == NO_ROOM) {
            turns_clear(core, turn);
            return false;
        }
        struct queue_node *next = tried == STARTED ? queue_first(&lane->held) : NULL;
        if (tried == NO_FIT && leads) {
            next = queue_first_within(&lane->held, place_limit(core, index, all ? w->blocked : w->still));
            next = next == queue_first(&lane->held) ? NULL : next;
        }
        if (tried == NO_FIT && !next)
            lane->held_fresh = false;
        lane_push(core, lane, next);
        turn_push(core, turn);
    }
    return true;
}
