/* SPDX-License-Identifier: Apache-2.0 */
/* A job's life: submitted, waiting in its lane, running on its shares, over. */
#include "core/work.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"
#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"
#include "core/view.h"

/* ---- laying out ---- */

static bool job_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct job *)table)[i].row.id, key, len) == 0;
}

static bool shape_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct shape *)table)[i].key, key, len) == 0;
}

/* The key is a tenant's index and a shape's. */
static bool lane_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct lane *)table)[i].tenant, key, len) == 0;
}

void work_carve(struct core *core, struct arena *arena)
{
    const struct limits *n = &core->limits;
    struct work *w = &core->work;
    uint32_t nlanes = n->shapes * 2;
    w->pool_words = (n->pools + 63) / 64;
    CARVE(core, work.jobs, work.job, n->jobs);
    CARVE(core, work.shares, work.share, n->shares);
    CARVE(core, work.shapes, work.shape, n->shapes);
    CARVE(core, work.lanes, work.lane, nlanes);
    reach_carve(core, arena);
    w->tenant_chips = arena_take(arena, (size_t)n->tenants * n->chips * sizeof *w->tenant_chips);
    w->turn = arena_take(arena, n->tenants * sizeof *w->turn);
    w->dominant = arena_take(arena, n->tenants * sizeof *w->dominant);
    w->lawful = arena_take(arena, (size_t)n->shapes * ALTERNATIVES * w->pool_words * sizeof *w->lawful);
    w->corridor_words = (n->corridors + 63) / 64;
    w->closed = arena_take(arena, (size_t)n->shapes * w->corridor_words * sizeof *w->closed);
    w->changed = arena_take(arena, w->pool_words * sizeof *w->changed);
    w->looking = arena_take(arena, w->pool_words * sizeof *w->looking);
    w->look_at = arena_take(arena, n->pools * sizeof *w->look_at);
    w->blocked = arena_take(arena, w->pool_words * sizeof *w->blocked);
    w->still = arena_take(arena, w->pool_words * sizeof *w->still);
    w->reserved = arena_take(arena, w->pool_words * sizeof *w->reserved);
    w->spared = arena_take(arena, w->pool_words * sizeof *w->spared);
    w->place = arena_take(arena, POOL_NODES_MAX * sizeof *w->place);
    w->free_ms = arena_take(arena, POOL_NODES_MAX * sizeof *w->free_ms);
    w->loss = arena_take(arena, POOL_NODES_MAX * sizeof *w->loss);
    w->victim = arena_take(arena, n->jobs * sizeof *w->victim);
    index_init(&w->job_map, arena, n->jobs, job_equal, w->job);
    index_init(&w->shape_map, arena, n->shapes, shape_equal, w->shape);
    index_init(&w->lane_map, arena, nlanes, lane_equal, w->lane);
}

void work_init(struct core *core)
{
    core->work.row = (struct row_dispatch){.id = 1,
                                           .order = ORDER_SIZE,
                                           .fit = FIT_BACKFILL,
                                           .pack = PACK_BEST_FIT,
                                           .ageing = AGEING_DEFAULT,
                                           .preempt = PREEMPT_FIRM};
    core->net.version = 1;
    core->net.shed_ms = INT64_MAX;
    list_init(&core->work.active);
    list_init(&core->work.fresh);
    list_init(&core->work.turns);
    defer_init(core);
}

struct job_id job_by_id(const struct core *core, const struct uuid *id)
{
    return (struct job_id){map_get(&core->work.job_map, id, sizeof *id)};
}

bool job_is_firm(const struct job *job)
{
    return !(job->row.flags & JOB_INTERRUPTIBLE);
}

bool job_is_held(const struct core *core, const struct job *job)
{
    if (job->row.state != JOB_RUNNING || !(job->row.flags & JOB_FINISH))
        return false;
    const struct row_site *site = &core->net.site[core->net.pool[job->pool].site.v].row;
    return site->away && site->state != PLACE_LOST;
}

/* A job that came without a duration lasts what was thought of it then; rows from before jobs had estimates have none. */
static int64_t left_ms(const struct job *job, int64_t estimate_ms)
{
    int64_t ms = job->row.duration_ms ? job->row.duration_ms : estimate_ms ? estimate_ms : JOB_MS_GUESS;
    return ms > job->row.done_ms ? ms - job->row.done_ms : 1;
}

static int64_t run_ms(const struct job *job, int64_t estimate_ms, uint32_t rate)
{
    int64_t ms = left_ms(job, estimate_ms);
    int64_t run = rate == 1000 ? ms : ms * 1000 / rate;
    return (run > 0 ? run : 1) + job_lead_ms(job);
}

int64_t job_left_ms(const struct job *job)
{
    return left_ms(job, job->row.bound_ms);
}

int64_t job_lead_ms(const struct job *job)
{
    return job->row.done_ms > 0 ? job->row.checkpoint_ms : 0;
}

int64_t job_run_ms(const struct job *job, uint32_t rate)
{
    return run_ms(job, job->row.bound_ms, rate);
}

int64_t job_typical_ms(const struct job *job, uint32_t rate)
{
    return run_ms(job, job->row.estimate_ms, rate);
}

/* ---- states ---- */

static bool state_may_follow(uint32_t from, uint32_t to)
{
    static const struct {
        uint32_t from, to;
    } edges[] = {{JOB_QUEUED, JOB_RUNNING}, {JOB_QUEUED, JOB_CANCELLED}, {JOB_QUEUED, JOB_UNMET},
                 {JOB_RUNNING, JOB_QUEUED}, {JOB_RUNNING, JOB_ENDED},    {JOB_RUNNING, JOB_CANCELLED}};
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        if (edges[i].from == from && edges[i].to == to)
            return true;
    }
    return false;
}

static void set_state(struct core *core, struct job_id id, uint32_t state)
{
    struct job *job = &core->work.job[id.v];
    assert(state_may_follow(job->row.state, state));
    job->row.state = state;
    table_touch(&core->work.jobs, id.v);
}

/* It leaves memory; its row stays as the record of it. */
static void job_over(struct core *core, struct job_id id, uint32_t state, uint32_t code)
{
    struct job *job = &core->work.job[id.v];
    set_state(core, id, state);
    job->row.ended_ms = core->now_ms;
    job->row.code = code;
    if (job->replica != INDEX_NONE)
        replica_over(core, job->replica);
    follow_over(core, id);
    map_remove(&core->work.job_map, &job->row.id, sizeof job->row.id);
    table_drop(&core->work.jobs, id.v);
}

/* ---- shares ---- */

static void share_unlink(struct core *core, uint32_t i)
{
    struct share *s = &core->work.share[i];
    struct pool *pool = &core->net.pool[s->pool];
    if (s->prev_on_node != INDEX_NONE)
        core->work.share[s->prev_on_node].next_on_node = s->next_on_node;
    if (s->next_on_node != INDEX_NONE)
        core->work.share[s->next_on_node].prev_on_node = s->prev_on_node;
    uint32_t shares = pool->node[s->row.node].shares == i ? s->next_on_node : pool->node[s->row.node].shares;
    int64_t last_ms = 0;
    for (uint32_t k = shares; k != INDEX_NONE; k = core->work.share[k].next_on_node) {
        int64_t end_ms = core->work.job[core->work.share[k].job.v].end_ms;
        last_ms = end_ms > last_ms ? end_ms : last_ms;
    }
    pool_set_shares(pool, s->row.node, shares, last_ms);
}

void share_link(struct core *core, uint32_t i, struct job_id id, uint32_t pool)
{
    struct share *s = &core->work.share[i];
    struct job *job = &core->work.job[id.v];
    struct pool *p = &core->net.pool[pool];
    const struct node *node = &p->node[s->row.node];
    s->pool = pool;
    s->job = id;
    s->next_of_job = job->shares;
    job->shares = i;
    s->prev_on_node = INDEX_NONE;
    s->next_on_node = node->shares;
    if (node->shares != INDEX_NONE)
        core->work.share[node->shares].prev_on_node = i;
    pool_set_shares(p, s->row.node, i, job->end_ms > node->end_ms ? job->end_ms : node->end_ms);
}

void share_take(struct core *core, uint32_t i)
{
    const struct share *s = &core->work.share[i];
    struct pool *pool = &core->net.pool[s->pool];
    pool_take(pool, s->row.node, s->row.chips);
    if (!job_is_firm(&core->work.job[s->job.v]))
        pool_soften(pool, s->row.node, s->row.chips);
}

static void share_give(struct core *core, uint32_t i)
{
    const struct share *s = &core->work.share[i];
    struct pool *pool = &core->net.pool[s->pool];
    if (!job_is_firm(&core->work.job[s->job.v]))
        pool_harden(pool, s->row.node, s->row.chips);
    pool_give(pool, s->row.node, s->row.chips);
}

uint32_t tenant_weight(const struct core *core, uint32_t tenant)
{
    const uint32_t *used = core->work.tenant_chips + (size_t)tenant * core->limits.chips;
    uint64_t dominant = 0;
    for (uint32_t k = 0; k < core->net.chips.used; k++) {
        uint32_t capacity = core->net.chip[k].capacity;
        uint64_t share = used[k] && capacity ? ((uint64_t)used[k] << 20) / capacity : 0;
        dominant = share > dominant ? share : dominant;
    }
    return (uint32_t)dominant;
}

static void tenant_weigh(struct core *core, uint32_t tenant)
{
    core->work.dominant[tenant] = tenant_weight(core, tenant);
    turn_reweigh(core, tenant);
}

void work_weigh(struct core *core)
{
    for (uint32_t i = 0; i < core->tenants.used; i++)
        tenant_weigh(core, i);
}

/* Chips in use rise or fall: the tenant's share, the site's load. */
void work_account(struct core *core, struct job_id id, uint32_t pool_index, uint32_t chips, bool take)
{
    struct pool *pool = &core->net.pool[pool_index];
    uint32_t tenant = core->work.lane[core->work.job[id.v].lane].tenant;
    uint32_t *used = core->work.tenant_chips + (size_t)tenant * core->limits.chips + pool->chip.v;
    uint64_t watts = chips * pool_chip_watts(core, pool);
    struct site *site = &core->net.site[pool->site.v];
    if (take) {
        *used += chips;
        site->load += watts;
    } else {
        *used -= chips;
        site->load -= watts;
    }
    tenant_weigh(core, tenant);
}

/* Gives back all chips of a job. */
static void job_release(struct core *core, struct job_id id)
{
    struct job *job = &core->work.job[id.v];
    uint32_t chips = 0;
    uint32_t pool = job->pool;
    job_usage_end(core, id);
    for (uint32_t i = job->shares; i != INDEX_NONE;) {
        uint32_t next = core->work.share[i].next_of_job;
        chips += core->work.share[i].row.chips;
        share_give(core, i);
        share_unlink(core, i);
        table_drop(&core->work.shares, i);
        i = next;
    }
    job->shares = INDEX_NONE;
    transit_drop(core, job);
    work_account(core, id, pool, chips, false);
    contingency_count(core, id, pool, chips, false);
    job->pool = INDEX_NONE;
    pool_changed(core, (struct pool_id){pool});
    site_eased(core, core->net.pool[pool].site);
}

/* ---- steps ---- */

static bool is_length(int64_t ms)
{
    return ms >= 0 && ms <= JOB_MS_MAX;
}

bool work_terms_hold(const struct event_job_submit *e)
{
    int32_t priority = (int32_t)e->priority;
    return priority >= -JOB_PRIORITY_MAX && priority <= JOB_PRIORITY_MAX &&
           !(e->flags & ~(uint32_t)(JOB_INTERRUPTIBLE | JOB_ONE_DOMAIN | JOB_FINISH | JOB_ISOLATION_MASK)) &&
           e->kind <= JOB_KIND_INFERENCE && is_length(e->duration_ms) && is_length(e->checkpoint_ms) &&
           is_length(e->checkpoint_every_ms) && e->deadline_ms >= 0 && e->start_by_ms >= 0 &&
           e->data_bytes <= DATA_BYTES_MAX;
}

void job_take_terms(struct row_job *to, const struct event_job_submit *from)
{
    JOB_COPY_TERMS
}

/* The key is the tenant's, and neither it nor its project nor the tenant has spent a budget. */
static int may_submit(struct core *core, const struct event_job_submit *e)
{
    if (!uuid_zero(&e->key)) {
        struct key_id key = key_by_id(core, &e->key);
        if (key.v == INDEX_NONE || !uuid_eq(&core->key[key.v].row.tenant, &e->tenant))
            return ERR_NOT_FOUND;
    }
    core->budgets.refusal = view_budget_lack(core, &e->tenant, &e->key);
    return core->budgets.refusal ? ERR_BUDGET_SPENT : 0;
}

int work_park(struct core *core, const struct event_job_submit *e, uint32_t deployment, struct job_id *out)
{
    struct work *w = &core->work;
    struct shape_key key;
    struct tenant_id tenant = tenant_by_id(core, &e->tenant);
    if (tenant.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    int rc = deployment == INDEX_NONE ? may_submit(core, e) : 0;
    if (rc == 0)
        rc = shape_read(core, e, tenant, deployment, &key);
    if (rc != 0)
        return rc;
    if (job_by_id(core, &e->job).v != INDEX_NONE)
        return ERR_EXISTS;
    uint32_t lane = table_room(&w->jobs) > 0 ? lane_of(core, tenant.v, &key) : INDEX_NONE;
    if (lane == INDEX_NONE)
        return ERR_LIMIT;
    uint32_t i = table_take(&w->jobs);
    struct job *job = &w->job[i];
    *job = (struct job){.lane = lane,
                        .pool = INDEX_NONE,
                        .shares = INDEX_NONE,
                        .replica = INDEX_NONE,
                        .array = INDEX_NONE,
                        .link = INDEX_NONE};
    job->row.id = e->job;
    job->row.tenant = e->tenant;
    job_take_terms(&job->row, e);
    if (e->home[0] == 0)
        home_of(core, &e->data_site, job->row.home);
    if (deployment != INDEX_NONE)
        job->row.deployment = core->deployment[deployment].row.id;
    habit_estimate(core, &job->row);
    job->row.sequence = ++w->row.jobs;
    w->row_touched = true;
    job->row.state = JOB_QUEUED;
    job->row.submitted_ms = core->now_ms;
    map_put(&w->job_map, &job->row.id, sizeof job->row.id, i);
    *out = (struct job_id){i};
    denial_arrives(core, job);
    return 0;
}

int work_submit(struct core *core, const struct event_job_submit *e, uint32_t deployment)
{
    struct job_id id;
    int rc = work_park(core, e, deployment, &id);
    if (rc == 0)
        lane_enter(core, id);
    return rc;
}

int step_job_submit(struct core *core, const struct event *event)
{
    const struct event_job_submit *e = &event->u.job_submit;
    if (uuid_zero(&e->job) || !work_terms_hold(e))
        return ERR_INVALID;
    return array_has(core, &e->job) ? ERR_EXISTS : work_submit(core, e, INDEX_NONE);
}

void job_start(struct core *core, struct job_id id, struct pool_id pool, uint32_t alternative,
               const struct place *place, uint32_t n)
{
    struct work *w = &core->work;
    struct job *job = &w->job[id.v];
    struct shape *shape = &w->shape[w->lane[job->lane].shape];
    const struct alternative *a = &shape->key.alternative[alternative];
    struct way way;
    bool open = place_way(core, job, shape, &core->net.pool[pool.v], &way);
    assert(open);
    lane_leave(core, id);
    set_state(core, id, JOB_RUNNING);
    job->row.epoch++;
    job->row.alternative = alternative;
    job->row.pool = core->net.pool[pool.v].row.id;
    job->row.started_ms = core->now_ms;
    job->pool = pool.v;
    job->row.transit_ms = way.ms;
    job->chips = a->count;
    job->rate = a->rate;
    job->end_ms = core->now_ms + way.ms + job_run_ms(job, a->rate);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t s = table_take(&w->shares);
        w->share[s].row =
            (struct row_share){.job = job->row.id, .node = place[i].node, .chips = place[i].chips};
        share_link(core, s, id, pool.v);
        share_take(core, s);
        struct effect *effect = effect_add(core, EFFECT_JOB_SHARE);
        effect->job = job->row.id;
        effect->pool = job->row.pool;
        effect->node = place[i].node;
        effect->chips = place[i].chips;
    }
    job_usage_open(core, id);
    work_account(core, id, pool.v, a->count, true);
    if (way.n > 0)
        transit_start(core, id, &way);
    contingency_count(core, id, pool.v, a->count, true);
    reserve_take(core, job, pool.v);
    struct effect *effect = effect_add(core, EFFECT_JOB_START);
    effect->job = job->row.id;
    effect->pool = job->row.pool;
    effect->epoch = job->row.epoch;
    effect->chips = a->count;
    effect->alternative = alternative;
    if (job->replica != INDEX_NONE)
        effect->service = replica_moved(core, job->replica, true);
    effect->amount = job->row.done_ms;
}

static void stop(struct core *core, struct job_id id, int code)
{
    struct job *job = &core->work.job[id.v];
    struct effect *effect = effect_add(core, EFFECT_JOB_STOP);
    effect->job = job->row.id;
    effect->pool = job->row.pool;
    effect->epoch = job->row.epoch;
    effect->code = code;
    if (job->replica != INDEX_NONE)
        effect->service = replica_moved(core, job->replica, false);
    job->row.done_ms += job_kept_ms(core, job, code != 0);
    effect->amount = job->row.done_ms;
    job_release(core, id);
}

void job_evict(struct core *core, struct job_id id, int code)
{
    const struct job *job = &core->work.job[id.v];
    tally_add(core, job->replica == INDEX_NONE ? TALLY_JOB_EVICTED : TALLY_REPLICA_EVICTED, code);
    if (code == ERR_FORBIDDEN)
        denial_stops(core, job);
    stop(core, id, code);
    set_state(core, id, JOB_QUEUED);
    lane_enter(core, id);
    core->work.lane[job->lane].stopped = core->work.pass;
}

/* Of the jobs on a node for which that holds the one that came first: the order of its shares is that of their starts, which rows
 * do not keep. INDEX_NONE: there is none. */
static struct job_id first_on_node(struct core *core, const struct node *node, job_test_fn *which)
{
    const struct work *w = &core->work;
    struct job_id first = {INDEX_NONE};
    for (uint32_t s = node->shares; s != INDEX_NONE; s = w->share[s].next_on_node) {
        const struct job *job = &w->job[w->share[s].job.v];
        if ((first.v == INDEX_NONE || job->row.sequence < w->job[first.v].row.sequence) &&
            (!which || which(core, job)))
            first = w->share[s].job;
    }
    return first;
}

bool work_evict(struct core *core, struct pool_id pool, uint32_t node, job_test_fn *which, int code)
{
    const struct pool *p = &core->net.pool[pool.v];
    uint32_t first = node == INDEX_NONE ? 0 : node;
    uint32_t end = node == INDEX_NONE ? p->row.nodes : node + 1;
    struct job_id job;
    for (uint32_t i = first; i < end && p->busy > 0; i++) {
        while ((job = first_on_node(core, &p->node[i], which)).v != INDEX_NONE) {
            if (core->effects->n > core->effects->cap / 2)
                return false;
            job_evict(core, job, code);
        }
    }
    return true;
}

/* It ends here, by a decision of the core or of its owner. */
static void finish(struct core *core, struct job_id id, int why, uint32_t state, uint32_t code)
{
    uint32_t lane = core->work.job[id.v].lane;
    if (core->work.job[id.v].row.state == JOB_RUNNING)
        stop(core, id, why);
    else if (!core->work.job[id.v].parked)
        lane_leave(core, id);
    /* Others may have waited for it to go first; the next of its lane was not tried as such. */
    core->work.due = true;
    if (queue_first(&core->work.lane[lane].waiting))
        lane_refresh(core, &core->work.lane[lane], true);
    job_over(core, id, state, code);
    lane_unref(core, lane);
}

void work_cancel(struct core *core, struct job_id id)
{
    finish(core, id, 0, JOB_CANCELLED, 0);
}

void work_break(struct core *core, struct job_id id, int why, uint32_t code)
{
    finish(core, id, why, JOB_ENDED, code);
}

void work_end(struct core *core, struct job_id id, uint32_t code)
{
    uint32_t lane = core->work.job[id.v].lane;
    job_release(core, id);
    job_over(core, id, JOB_ENDED, code);
    lane_unref(core, lane);
}

void work_return(struct core *core, struct job_id id, uint32_t code)
{
    struct job *job = &core->work.job[id.v];
    job->row.returns++;
    if (job->row.returns < JOB_RETURNS_MAX || job->replica != INDEX_NONE) {
        job_evict(core, id, 0); /* nobody could tell it to write a checkpoint */
        return;
    }
    work_break(core, id, 0, code);
}

void work_unmet(struct core *core, struct job_id id)
{
    uint32_t lane = core->work.job[id.v].lane;
    assert(core->work.job[id.v].parked);
    effect_add(core, EFFECT_JOB_UNMET)->job = core->work.job[id.v].row.id;
    job_over(core, id, JOB_UNMET, 0);
    lane_unref(core, lane);
}

int step_job_cancel(struct core *core, const struct event *event)
{
    struct job_id id = job_by_id(core, &event->u.job_cancel.job);
    if (id.v == INDEX_NONE)
        return array_cancel(core, &event->u.job_cancel.job);
    uint32_t array = core->work.job[id.v].array;
    if (array != INDEX_NONE && core->follow.array[array].row.state != JOB_QUEUED)
        return ERR_NOT_FOUND; /* all of it was cancelled, which is about to be done */
    if (core->work.job[id.v].replica != INDEX_NONE)
        return ERR_IN_USE; /* its service would only have another in its place */
    work_cancel(core, id);
    return 0;
}
