/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes and lanes: what requests have in common, and the order in which jobs of a lane wait. */
#include <assert.h>
#include <string.h>

#include "base/checked.h"
#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

/* A place in the queue that waiting does not change, so that lanes stay sorted: by size, a job is aged by letting each
 * chip-second weigh as much as some wait, and i goes before j when submitted + weight x size is less. */
int64_t lane_key(const struct core *core, const struct job *job, int64_t run_ms)
{
    const struct row_dispatch *d = &core->work.row;
    if (d->order == ORDER_FIFO)
        return job->row.submitted_ms;
    if (d->order == ORDER_SJF)
        return job->row.duration_ms > job->row.done_ms ? job->row.duration_ms - job->row.done_ms : 0;
    if (job->row.flags & JOB_REPLICA)
        return job->row.submitted_ms; /* somebody waits for an answer: it goes before whatever has a size */
    int128 chip_ms = (int128)job->row.count0 * run_ms;
    int128 key = job->row.submitted_ms + chip_ms * d->ageing / 1000000;
    return key > INT64_MAX ? INT64_MAX : (int64_t)key;
}

void lane_refresh(struct core *core, struct lane *lane, bool fresh)
{
    lane->fresh = fresh;
    if (!fresh)
        list_remove(&lane->untried);
    else if (!list_linked(&lane->untried))
        list_push(&core->work.fresh, &lane->untried);
}

/* The lane has jobs that wait, and so has its shape. */
static void lane_list(struct core *core, struct lane *lane)
{
    struct shape *shape = &core->work.shape[lane->shape];
    if (!list_linked(&lane->active))
        list_push(&shape->waiting, &lane->active);
    shape_list(core, shape);
}

static void lane_unlist(struct core *core, struct lane *lane)
{
    struct shape *shape = &core->work.shape[lane->shape];
    list_remove(&lane->active);
    if (list_empty(&shape->waiting))
        shape_unlist(shape);
}

void lane_seat(const struct core *core, struct job *job)
{
    job->in_lane.rank = rank_of(core, job);
    job->in_lane.key = lane_key(core, job, job_typical_ms(job, job->row.rate0));
    job->in_lane.sequence = job->row.sequence;
    job->in_lane.length = job_run_ms(job, 1000);
}

void lane_enter(struct core *core, struct job_id id)
{
    struct job *job = &core->work.job[id.v];
    struct lane *lane = &core->work.lane[job->lane];
    lane_seat(core, job);
    if (defer_enter(core, id))
        return;
    queue_add(&lane->waiting, &job->in_lane);
    rank_enter(core, lane->tenant, &job->in_lane);
    lane_refresh(core, lane, true);
    core->work.due = true;
    lane_list(core, lane);
    /* Only now: a shape that comes to wait again may have got another reach. */
    struct reach *reach = core->work.shape[lane->shape].reach;
    if (job->in_lane.length < reach->shortest)
        reach->shortest = job->in_lane.length;
}

void lane_leave(struct core *core, struct job_id id)
{
    struct job *job = &core->work.job[id.v];
    struct lane *lane = &core->work.lane[job->lane];
    if (job->held) {
        defer_leave(core, id);
        return;
    }
    queue_remove(&lane->waiting, &job->in_lane);
    rank_leave(core, lane->tenant, &job->in_lane);
    if (queue_first(&lane->waiting))
        return;
    lane_unlist(core, lane);
    lane_refresh(core, lane, false);
    reservation_drop(core, job->lane);
}

/* The lane has its shape no more. */
static void lane_unmap(struct core *core, const struct lane *lane)
{
    struct shape *shape = &core->work.shape[lane->shape];
    uint32_t key[2] = {lane->tenant, lane->shape};
    map_remove(&core->work.lane_map, key, sizeof key);
    if (--shape->lanes == 0) {
        map_remove(&core->work.shape_map, &shape->key, sizeof shape->key);
        shape_leave(core, shape);
        table_drop(&core->work.shapes, lane->shape);
    }
}

/* A job holds its lane for as long as it is in memory; the last one gives it back. */
void lane_unref(struct core *core, uint32_t i)
{
    struct lane *lane = &core->work.lane[i];
    if (--lane->jobs > 0)
        return;
    lane_unmap(core, lane);
    table_drop(&core->work.lanes, i);
}

static uint32_t shape_of(struct core *core, const struct shape_key *key)
{
    struct work *w = &core->work;
    uint32_t i = map_get(&w->shape_map, key, sizeof *key);
    if (i != MAP_NONE)
        return i;
    i = table_take(&w->shapes);
    if (i == INDEX_NONE)
        return i;
    struct shape *shape = &w->shape[i];
    *shape = (struct shape){.lawful = w->lawful + (size_t)i * ALTERNATIVES * w->pool_words,
                            .closed = w->closed + (size_t)i * w->corridor_words};
    memcpy(&shape->key, key, sizeof *key);
    while (shape->nalternatives < ALTERNATIVES && key->alternative[shape->nalternatives].count > 0)
        shape->nalternatives++;
    list_init(&shape->waiting);
    shape_match(core, shape);
    map_put(&w->shape_map, &shape->key, sizeof shape->key, i);
    return i;
}

uint32_t lane_of(struct core *core, uint32_t tenant, const struct shape_key *shape_key)
{
    struct work *w = &core->work;
    if (table_room(&w->lanes) == 0)
        return INDEX_NONE;
    uint32_t shape = shape_of(core, shape_key);
    if (shape == INDEX_NONE)
        return INDEX_NONE;
    uint32_t key[2] = {tenant, shape};
    uint32_t i = map_get(&w->lane_map, key, sizeof key);
    if (i == MAP_NONE) {
        i = table_take(&w->lanes);
        w->lane[i] = (struct lane){.tenant = tenant, .shape = shape, .pool = INDEX_NONE};
        w->lane[i].group = plan_group_of(core, shape_key);
        map_put(&w->lane_map, key, sizeof key, i);
        w->shape[shape].lanes++;
    }
    w->lane[i].jobs++;
    return i;
}

/* Whose facts stand for the tenant's: its own where a rule asks for the name. */
static uint32_t tenant_for_rules(const struct core *core, uint32_t tenant)
{
    return core->book.names_tenants ? tenant : core->tenant[tenant].peer;
}

void lanes_rekey(struct core *core)
{
    struct work *w = &core->work;
    for (uint32_t i = 0; i < w->lanes.used; i++) {
        struct lane *lane = &w->lane[i];
        if (!table_live(&w->lanes, i))
            continue;
        struct shape_key shape_key = w->shape[lane->shape].key;
        shape_key.tenant = tenant_for_rules(core, lane->tenant);
        bool waits = queue_first(&lane->waiting) != NULL;
        if (waits)
            lane_unlist(core, lane);
        /* The old shape goes first, and its place is free at once: there are never more shapes than lanes. */
        lane_unmap(core, lane);
        table_clean(&w->shapes);
        lane->shape = shape_of(core, &shape_key);
        assert(lane->shape != INDEX_NONE);
        uint32_t key[2] = {lane->tenant, lane->shape};
        w->shape[lane->shape].lanes++;
        map_put(&w->lane_map, key, sizeof key, i);
        if (waits) {
            lane_list(core, lane);
            w->shape[lane->shape].reach->shortest = 0;
        }
    }
    contingency_recount(core);
}

void work_reorder(struct core *core)
{
    for (uint32_t i = 0; i < core->work.jobs.used; i++) {
        struct job *job = &core->work.job[i];
        if (!table_live(&core->work.jobs, i) || job->row.state != JOB_QUEUED)
            continue;
        if (job->parked) {
            lane_seat(core, job);
            continue;
        }
        lane_leave(core, (struct job_id){i});
        lane_enter(core, (struct job_id){i});
    }
}

/* ---- requests ---- */

void home_of(const struct core *core, const struct uuid *data_site, char home[CODE_CAP])
{
    uint32_t site = uuid_zero(data_site) ? INDEX_NONE : site_by_id(core, data_site).v;
    memset(home, 0, CODE_CAP);
    if (site == INDEX_NONE || core->net.site[site].row.jurisdiction[0] == 0)
        home[0] = HOME_NOT_KNOWN;
    else
        memcpy(home, core->net.site[site].row.jurisdiction, CODE_CAP);
}

/* As it was declared, or found when the job came; rows from before that have neither. */
static void read_home(const struct core *core, const struct event_job_submit *e, char home[CODE_CAP])
{
    if (e->home[0])
        memcpy(home, e->home, CODE_CAP);
    else
        home_of(core, &e->data_site, home);
    if (home[0] == HOME_NOT_KNOWN)
        memset(home, 0, CODE_CAP);
}

int shape_read(const struct core *core, const struct event_job_submit *e, struct tenant_id tenant,
               uint32_t deployment, struct shape_key *key)
{
    const struct {
        const char *chip;
        uint32_t count, rate;
    } asked[ALTERNATIVES] = {{e->chip0, e->count0, e->rate0},
                             {e->chip1, e->count1, e->rate1},
                             {e->chip2, e->count2, e->rate2},
                             {e->chip3, e->count3, e->rate3}};
    memset(key, 0, sizeof *key);
    key->site = uuid_zero(&e->site) ? INDEX_NONE : site_by_id(core, &e->site).v;
    if (key->site == INDEX_NONE && !uuid_zero(&e->site))
        return ERR_NOT_FOUND;
    if (e->count0 == 0)
        return ERR_INVALID;
    for (uint32_t i = 0; i < ALTERNATIVES && asked[i].count > 0; i++) {
        struct alternative *a = &key->alternative[i];
        size_t len = text_len(asked[i].chip, CHIP_CAP);
        a->chip = len == 0 ? INDEX_NONE : map_get(&core->net.chip_map, asked[i].chip, len);
        if (len > 0 && a->chip == MAP_NONE)
            return ERR_NOT_FOUND;
        if (asked[i].count > GANG_CHIPS_MAX || asked[i].rate == 0 || asked[i].rate > 1000000)
            return ERR_INVALID;
        a->count = asked[i].count;
        a->rate = asked[i].rate;
    }
    key->flags = e->flags & ~(uint32_t)JOB_FINISH; /* it asks for no other place by that */
    key->tenant = tenant_for_rules(core, tenant.v);
    key->source = e->data_bytes > 0 ? site_by_id(core, &e->data_site).v : INDEX_NONE;
    if (e->data_bytes > 0 && key->source == INDEX_NONE)
        return ERR_NOT_FOUND;
    key->kind = e->kind;
    key->deployment = deployment;
    memcpy(key->data_class, e->data_class, sizeof key->data_class);
    read_home(core, e, key->home);
    memcpy(key->jurisdiction, e->jurisdiction, sizeof key->jurisdiction);
    memcpy(key->vendor, e->vendor, sizeof key->vendor);
    return 0;
}
