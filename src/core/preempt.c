/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preemption: interruptible work gives way, and goes on later from its checkpoint.
 *
 * A firm job that is first in its lane and fits nowhere takes the place of interruptible work, in the pool where its own cost
 * and what the stops cost are least together. A stop costs the run time that has to be run again, or the writing and reading of
 * a checkpoint. Which jobs stop is found node by node: the next node is the one that is cleared with the least further
 * loss, so whole gangs that are stopped for one node count for all their nodes. Nodes that are held for others are as closed as
 * they are to anybody, and so is a pool whose free chips are kept (core/contingency.h).
 *
 * With PREEMPT_SHORTER an interruptible job may do so as well, if that lowers the sum of completion times: each of those that
 * stop has more left to run than the job that comes, with the stop's cost, and all of them together are delayed by less than the
 * job would have to wait for them. A job comes only before those that it is ahead of in the queue, as they would stand there; since
 * waiting moves a job forward in it, none is stopped for ever. Both are measured alike, from now to their ends, or two that bring
 * data would each find the other longer and stop one another without end.
 *
 * Where the order is strict nobody passes anybody, so nothing is preempted.
 */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

#define NEVER INT64_MAX
/* Jobs that are stopped for one at most: their effects must fit into one step with those of the widest start, or that would be
 * tried for ever. */
#define VICTIMS_MAX (EFFECTS_MAX / 2 - START_EFFECTS(POOL_NODES_MAX, true))
/* Jobs that are stopped at most because power, not room, is what lacks. */
#define POWER_STOPS_MAX 256

/* ---- what a stop costs ---- */

int64_t job_worked_ms(const struct core *core, const struct job *job)
{
    int64_t ms = core->now_ms - job->row.started_ms - job->row.transit_ms - job_lead_ms(job);
    return ms > 0 ? ms : 0;
}

/* Of that, what is in a checkpoint after a stop. */
static int64_t saved_ms(const struct core *core, const struct job *job, bool told)
{
    int64_t ms = job_worked_ms(core, job), every = job->row.checkpoint_every_ms;
    if (told && job->row.checkpoint_ms > 0)
        return ms;
    return every > 0 ? ms / every * every : 0;
}

int64_t job_kept_ms(const struct core *core, const struct job *job, bool told)
{
    return saved_ms(core, job, told) * job->rate / 1000;
}

int64_t job_lost_ms(const struct core *core, const struct job *job)
{
    int64_t worked = job_worked_ms(core, job), saved = saved_ms(core, job, true);
    if (worked == 0)
        return core->now_ms - job->row.started_ms;
    return worked - saved + (saved > 0 ? job->row.checkpoint_ms : 0);
}

/* ---- a choice of what stops in one pool ---- */

struct choosing {
    struct core *core;
    const struct pool *pool;
    const struct lane *lane; /* of the job that comes */
    const struct job *job;
    struct ask ask;
    enum held_use use;
    /* Until it would be over, its data's coming included. */
    int64_t run_ms;
    /* The nodes that are looked at; what clearing each would cost besides what is chosen, NEVER: it cannot be, or is taken. */
    uint32_t first, end;
    int64_t *node_loss;
    uint64_t stamp;  /* of the jobs that were chosen */
    uint32_t n;      /* how many */
    uint32_t chips;  /* that they have */
    int64_t loss;    /* chip-ms; between interruptible jobs ms by which they are delayed */
    int64_t bound;   /* a loss that was found and is enough to beat */
    int64_t left_ms; /* the least that one of them still has to run */
};

/* Whether the job that comes, interruptible itself, is to go before one that runs. */
static bool goes_before(const struct choosing *c, const struct job *job)
{
    const struct work *w = &c->core->work;
    uint32_t mine = c->lane->tenant, theirs = w->lane[job->lane].tenant;
    int64_t left_ms = job->end_ms - c->core->now_ms;
    if (w->row.order == ORDER_SIZE && mine != theirs && w->dominant[mine] > w->dominant[theirs])
        return false;
    if (mine == theirs && rank_of(c->core, c->job) > rank_of(c->core, job))
        return false;
    return left_ms > c->run_ms + job_lost_ms(c->core, job) &&
           lane_key(c->core, c->job, c->run_ms) < lane_key(c->core, job, left_ms);
}

/* NEVER: it may not be stopped for this job. */
static int64_t loss_of(const struct choosing *c, const struct job *job)
{
    if (job_is_firm(job))
        return NEVER;
    int64_t lost_ms = job_lost_ms(c->core, job);
    if (job_is_firm(c->job))
        return lost_ms * job->chips;
    return goes_before(c, job) ? c->run_ms + lost_ms : NEVER;
}

static struct job *job_at(const struct choosing *c, uint32_t share)
{
    return &c->core->work.job[c->core->work.share[share].job.v];
}

/* What clearing a node of interruptible work would cost besides what is chosen already; NEVER: that cannot be. */
static int64_t node_loss(const struct choosing *c, const struct node *node)
{
    int64_t loss = 0;
    for (uint32_t s = node->shares; s != INDEX_NONE; s = c->core->work.share[s].next_on_node) {
        const struct job *job = job_at(c, s);
        int64_t more = job->chosen == c->stamp ? 0 : loss_of(c, job);
        if (more == NEVER)
            return NEVER;
        loss += more;
    }
    return loss;
}

static bool usable(const struct choosing *c, uint32_t node)
{
    return c->pool->node[node].state == PLACE_UP && (c->use != HELD_AVOID || !pool_is_held(c->pool, node));
}

/* The job stops; what that costs is no more to be paid on its other nodes. */
static void choose(struct choosing *c, struct job *job)
{
    struct work *w = &c->core->work;
    int64_t its = loss_of(c, job);
    int64_t left_ms = job->end_ms - c->core->now_ms;
    job->chosen = c->stamp;
    w->victim[c->n++] = (uint32_t)(job - w->job);
    c->loss += its;
    c->chips += job->chips;
    c->left_ms = left_ms < c->left_ms ? left_ms : c->left_ms;
    for (uint32_t s = job->shares; s != INDEX_NONE; s = w->share[s].next_of_job) {
        uint32_t node = w->share[s].row.node;
        if (node >= c->first && node < c->end && c->node_loss[node - c->first] != NEVER)
            c->node_loss[node - c->first] -= its;
    }
}

/* Of the jobs on a node that could be stopped and are not chosen the one that is lost with least; of equals the one that came
 * last: the order of a node's shares is not in rows. NULL: there is none. */
static struct job *least_on_node(const struct choosing *c, const struct node *node)
{
    struct job *best = NULL;
    for (uint32_t s = node->shares; s != INDEX_NONE; s = c->core->work.share[s].next_on_node) {
        struct job *job = job_at(c, s);
        int64_t loss = job->chosen == c->stamp ? NEVER : loss_of(c, job),
                least = best ? loss_of(c, best) : NEVER;
        if (loss < least || (best && loss == least && job->row.sequence > best->row.sequence))
            best = job;
    }
    return best;
}

/* Chips of a node that are free once those that were chosen have stopped. */
static uint32_t freed_on_node(const struct choosing *c, const struct node *node)
{
    uint32_t chips = node->free;
    for (uint32_t s = node->shares; s != INDEX_NONE; s = c->core->work.share[s].next_on_node) {
        if (job_at(c, s)->chosen == c->stamp)
            chips += c->core->work.share[s].row.chips;
    }
    return chips;
}

static bool clear_node(struct choosing *c, uint32_t node)
{
    const struct node *n = &c->pool->node[node];
    struct job *job;
    while (freed_on_node(c, n) < c->pool->row.node_chips) {
        job = least_on_node(c, n);
        if (!job)
            return false;
        choose(c, job);
    }
    c->node_loss[node - c->first] = NEVER;
    return true;
}

/* What making room for `chips` on a node would cost, one job after the other; NEVER: that cannot be. With `really` they are
 * chosen. */
static int64_t part_loss(struct choosing *c, uint32_t node, uint32_t chips, bool really)
{
    const struct node *n = &c->pool->node[node];
    struct choosing before = *c;
    struct job *job = NULL;
    while (freed_on_node(c, n) < chips && (really || c->loss - before.loss < c->bound) &&
           (job = least_on_node(c, n)) != NULL) {
        if (really) {
            choose(c, job);
            continue;
        }
        c->loss += loss_of(c, job);
        job->chosen = c->stamp;
        c->core->work.victim[c->n++] = (uint32_t)(job - c->core->work.job);
    }
    int64_t cost = freed_on_node(c, n) < chips ? NEVER : c->loss - before.loss;
    if (really)
        return cost;
    while (c->n > before.n)
        c->core->work.job[c->core->work.victim[--c->n]].chosen = 0;
    *c = before;
    return cost;
}

/* The node whose loss is least, the lowest of equals; `n`: there is none. */
static uint32_t least_loss(const int64_t *loss, uint32_t n)
{
    uint32_t best = n;
    for (uint32_t i = 0; i < n; i++) {
        if (loss[i] != NEVER && (best == n || loss[i] < loss[best]))
            best = i;
    }
    return best;
}

/* Chooses what has to stop for the gang to fit on the nodes [first, end). False: it cannot. */
static bool choose_span(struct choosing *c, uint32_t first, uint32_t end)
{
    int64_t *loss = c->node_loss = c->core->work.loss;
    uint32_t top = c->pool->row.node_chips;
    uint32_t whole = c->ask.chips > top ? c->ask.chips / top : 0, rest = c->ask.chips - whole * top;
    uint64_t taken[POOL_WORDS_MAX] = {0};
    c->first = first;
    c->end = end;
    c->stamp = ++c->core->work.choice;
    c->n = c->chips = 0;
    c->loss = 0;
    c->left_ms = c->bound = NEVER;
    for (uint32_t i = first; i < end && whole > 0; i++) {
        const struct node *node = &c->pool->node[i];
        loss[i - first] = usable(c, i) && node->free + node->soft == top ? node_loss(c, node) : NEVER;
    }
    for (; whole > 0; whole--) {
        uint32_t i = least_loss(loss, end - first);
        if (i == end - first || !clear_node(c, first + i))
            return false;
        taken[i / 64] |= UINT64_C(1) << i % 64;
    }
    if (rest == 0)
        return true;
    for (uint32_t i = first; i < end; i++) {
        const struct node *node = &c->pool->node[i];
        bool open = usable(c, i) && node->free + node->soft >= rest &&
                    !(taken[(i - first) / 64] >> (i - first) % 64 & 1);
        loss[i - first] = open ? part_loss(c, i, rest, false) : NEVER;
        c->bound = loss[i - first] < c->bound ? loss[i - first] : c->bound;
    }
    uint32_t i = least_loss(loss, end - first);
    return i < end - first && part_loss(c, first + i, rest, true) != NEVER;
}

/* Whether the site has the power once those that were chosen have stopped. */
static bool has_power(const struct choosing *c)
{
    const struct site *site = &c->core->net.site[c->pool->site.v];
    uint64_t watts = pool_chip_watts(c->core, c->pool);
    struct site then = {.load = site->load - c->chips * watts};
    then.row.pue = site->row.pue;
    then.row.cap = site_limit(site);
    return site_takes(&then, c->ask.chips * watts);
}

/* More has to stop: there is room, but too little power. */
static bool choose_power(struct choosing *c)
{
    for (uint32_t stops = 0; !has_power(c); stops++) {
        struct job *best = NULL;
        for (uint32_t i = 0; i < c->pool->row.nodes; i++) {
            struct job *job = c->pool->node[i].soft > 0 ? least_on_node(c, &c->pool->node[i]) : NULL;
            if (job && (!best || loss_of(c, job) < loss_of(c, best)))
                best = job;
        }
        if (!best || stops == POWER_STOPS_MAX)
            return false;
        choose(c, best);
    }
    return true;
}

/* Whether what was chosen may stop for this job. */
static bool pays(const struct choosing *c)
{
    return job_is_firm(c->job) || c->loss < c->left_ms;
}

/* Chooses what has to stop in the pool. The cost of the job there and of the stops; false: it cannot be. */
static bool choose_in_pool(struct choosing *c)
{
    uint32_t span = pool_span(c->pool, c->ask), nodes = c->pool->row.nodes;
    uint32_t best = nodes;
    int64_t least = NEVER;
    for (uint32_t first = 0; first < nodes && span < nodes; first += span) {
        uint32_t end = nodes - first < span ? nodes : first + span;
        if (choose_span(c, first, end) && c->loss < least) {
            least = c->loss;
            best = first;
        }
    }
    if (span == nodes)
        best = 0;
    if (best == nodes)
        return false;
    return choose_span(c, best, nodes - best < span ? nodes : best + span) && choose_power(c) && c->n > 0 &&
           c->n <= VICTIMS_MAX && pays(c);
}

/* ---- where ---- */

/* Whether a job with these flags may have other work stopped for it at all. */
static bool may_preempt(const struct core *core, uint32_t flags)
{
    const struct row_dispatch *row = &core->work.row;
    bool firm = !(flags & JOB_INTERRUPTIBLE);
    return row->fit == FIT_BACKFILL && row->preempt >= (firm ? PREEMPT_FIRM : PREEMPT_SHORTER);
}

bool preempt_might(const struct core *core, uint32_t flags, const struct alternative *a,
                   const struct pool *pool)
{
    return pool->soft > 0 && may_preempt(core, flags) && pool_could_fit(pool, a->count);
}

/* Of two choices the one that costs less; of equals the pool with the lower id, then the first alternative. */
static bool less(const struct core *core, const struct choice *a, const struct choice *b)
{
    if (b->pool == INDEX_NONE || a->pool == INDEX_NONE)
        return a->pool != INDEX_NONE;
    if (a->cost != b->cost)
        return a->cost < b->cost;
    if (a->pool == b->pool)
        return a->alternative < b->alternative;
    return memcmp(&core->net.pool[a->pool].row.id, &core->net.pool[b->pool].row.id, sizeof(struct uuid)) < 0;
}

static bool choose_at(struct core *core, uint32_t lane_index, const struct job *job, struct choice *at)
{
    const struct lane *lane = &core->work.lane[lane_index];
    struct shape *shape = &core->work.shape[lane->shape];
    const struct alternative *a = &shape->key.alternative[at->alternative];
    const struct pool *pool = &core->net.pool[at->pool];
    struct way way = {0};
    if (!place_way(core, job, shape, pool, &way))
        return false;
    struct choosing c = {
        .core = core, .pool = pool, .lane = lane, .job = job, .ask = ask_for(shape->key.flags, a)};
    c.run_ms = way.ms + job_run_ms(job, a->rate);
    c.use = at->use = place_use(core, pool, lane, job, core->now_ms + c.run_ms);
    at->cost = place_cost(pool, a, c.run_ms - way.ms, &way);
    if (!choose_in_pool(&c))
        return false;
    at->cost += job_is_firm(job) ? (int128)pool->rate * c.loss : 0;
    at->victims = c.n;
    return true;
}

/* The next pool, after `last` in the order of what the job itself would cost there, in which others might stop for it. */
static struct choice next_pool(struct core *core, const struct lane *lane, const struct job *job,
                               const uint64_t *closed, const struct choice *last)
{
    struct shape *shape = &core->work.shape[lane->shape];
    struct choice next = {.pool = INDEX_NONE};
    for (uint32_t a = 0; a < shape->nalternatives; a++) {
        const struct alternative *alternative = &shape->key.alternative[a];
        const uint64_t *mask = reach_mask(core, shape->reach, a);
        int64_t run_ms = job_run_ms(job, alternative->rate);
        for (uint32_t i = 0; i < core->net.pools.used; i++) {
            const struct pool *pool = &core->net.pool[i];
            struct way way = {0};
            if (!bit_of(mask, i) || bit_of(closed, i) ||
                !preempt_might(core, shape->key.flags, alternative, pool) ||
                !place_way(core, job, shape, pool, &way))
                continue;
            struct choice at = {
                .pool = i, .alternative = a, .cost = place_cost(pool, alternative, run_ms, &way)};
            if (less(core, &at, &next) && (last->pool == INDEX_NONE || less(core, last, &at)) &&
                reserve_grants(core, job, i, alternative->count))
                next = at;
        }
    }
    return next;
}

bool preempt_choose(struct core *core, uint32_t lane_index, const struct job *job, const uint64_t *closed,
                    struct choice *choice)
{
    const struct lane *lane = &core->work.lane[lane_index];
    struct choice best = {.pool = INDEX_NONE}, next = best;
    if (!may_preempt(core, shape_now(core, lane->shape)->key.flags) ||
        queue_first(&lane->waiting) != &job->in_lane)
        return false;
    for (;;) {
        next = next_pool(core, lane, job, closed, &next);
        if (next.pool == INDEX_NONE || (best.pool != INDEX_NONE && next.cost >= best.cost))
            break; /* with what stops it would cost more still */
        struct choice at = next;
        if (choose_at(core, lane_index, job, &at) && less(core, &at, &best))
            best = at;
    }
    if (best.pool == INDEX_NONE)
        return false;
    *choice = best;
    return choose_at(core, lane_index, job, choice);
}

void preempt_stop(struct core *core, const struct choice *choice)
{
    for (uint32_t i = 0; i < choice->victims; i++)
        job_evict(core, (struct job_id){core->work.victim[i]}, ERR_PREEMPTED);
}
