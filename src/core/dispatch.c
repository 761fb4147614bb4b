/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fast loop: which waiting job starts next, and where.
 *
 * A pass looks at the first jobs of lanes, in order, and starts what fits. It runs when something has changed, once for
 * all that changed at one time. With `strict` a job that does not fit closes its pools to everybody behind it. With
 * `backfill` it gets a reservation (core/reserve.c) on a pool that has none, and others pass where they do not delay it;
 * a lane is looked at only if it has a new job or a pool that it may use has more room than before.
 */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

/* Room that must be left for the effects of a start. */
#define START_EFFECTS(nodes) ((nodes) + 2)

/* What a shape asks of a pool; no chips: it may not use it. */
static struct ask pool_ask(const struct core *core, const struct shape *shape, uint32_t pool)
{
    for (uint32_t a = 0; a < shape->nalternatives; a++) {
        if (shape->mask[(size_t)a * core->work.pool_words + pool / 64] >> pool % 64 & 1)
            return shape_ask(&shape->key, &shape->key.alternative[a]);
    }
    return (struct ask){0};
}

enum tried { STARTED, NO_FIT, NO_ROOM };

/* Starts a lane's candidate where that is best. NO_ROOM: there is no place for its effects or shares in this step. */
static enum tried try_start(struct core *core, uint32_t lane, const uint64_t *closed)
{
    struct job *job = core->work.lane[lane].candidate;
    struct choice c = place_choose(core, lane, job, closed);
    if (c.pool == INDEX_NONE && !preempt_choose(core, lane, job, closed, &c))
        return NO_FIT;
    struct pool *pool = &core->net.pool[c.pool];
    const struct shape_key *key = &core->work.shape[core->work.lane[lane].shape].key;
    struct ask ask = shape_ask(key, &key->alternative[c.alternative]);
    uint32_t nodes = pool_nodes_for(pool, ask.chips);
    if (core->effects->n + c.victims + START_EFFECTS(nodes) > core->effects->cap / 2 ||
        table_room(&core->work.shares) < nodes)
        return NO_ROOM;
    preempt_stop(core, &c);
    uint32_t n = pool_find(pool, ask, core->work.row.pack, c.use, core->work.place);
    assert(n > 0);
    job_start(core, (struct job_id){(uint32_t)(job - core->work.job)}, (struct pool_id){c.pool},
              c.alternative, core->work.place, n);
    uint32_t holder = pool->reserved_for;
    if (c.use == HELD_OWN && holder != INDEX_NONE && holder != lane) /* one ahead of it took what was held */
        reservation_make(core, holder, c.pool,
                         pool_ask(core, shape_now(core, core->work.lane[holder].shape), c.pool));
    return STARTED;
}

/* ---- in which order ---- */

static struct lane *lane_of_pass(const struct heap_node *node)
{
    return heap_entry(node, struct lane, in_pass);
}

static bool lane_before(const struct heap_node *a, const struct heap_node *b)
{
    return queue_before(&lane_of_pass(a)->candidate->in_lane, &lane_of_pass(b)->candidate->in_lane);
}

static struct turn *turn_of(const struct heap_node *node)
{
    return heap_entry(node, struct turn, in_pass);
}

/* Between tenants the one whose dominant share is least goes first (Ghodsi et al., NSDI 2011); of equals the one whose
 * job is. */
static bool turn_before(const struct heap_node *a, const struct heap_node *b)
{
    const struct turn *x = turn_of(a), *y = turn_of(b);
    return x->weight != y->weight ? x->weight < y->weight
                                  : lane_before(heap_first(&x->lanes), heap_first(&y->lanes));
}

static uint32_t lane_index(const struct core *core, const struct lane *lane)
{
    return (uint32_t)(lane - core->work.lane);
}

/* The turn that a lane takes part in: its tenant's, or where tenants do not count that of all. */
static struct turn *lane_turn(struct core *core, const struct lane *lane)
{
    return &core->work.turn[core->work.row.order == ORDER_SIZE ? lane->tenant : 0];
}

static void turn_push(struct core *core, struct heap *turns, struct turn *turn)
{
    if (!heap_first(&turn->lanes))
        return;
    turn->weight = core->work.row.order == ORDER_SIZE ? core->work.dominant[turn - core->work.turn] : 0;
    heap_push(turns, &turn->in_pass);
}

/* Puts a lane among those to try, with the job `node`; leaves it out when that is NULL. */
static void lane_push(struct core *core, struct lane *lane, struct queue_node *node)
{
    struct turn *turn = lane_turn(core, lane);
    if (!node)
        return;
    lane->candidate = heap_entry(node, struct job, in_lane);
    if (!turn->lanes.before)
        heap_init(&turn->lanes, lane_before);
    heap_push(&turn->lanes, &lane->in_pass);
}

/* The lane to try next, with its turn taken off; turn_push puts that back. NULL: all were tried. */
static struct lane *next_lane(struct heap *turns, struct turn **turn)
{
    struct heap_node *node = heap_pop(turns);
    if (!node)
        return NULL;
    *turn = turn_of(node);
    return lane_of_pass(heap_pop(&(*turn)->lanes));
}

/* Ends a pass early: nobody is left among those to try. */
static void turns_clear(struct heap *turns, struct turn *turn)
{
    struct heap_node *node = &turn->in_pass;
    do {
        struct heap *lanes = &turn_of(node)->lanes;
        while (heap_pop(lanes))
            ;
    } while ((node = heap_pop(turns)) != NULL);
}

/* Lists a lane for the pass, once. */
static void turns_list(struct core *core, struct lane *lane)
{
    struct turn *turn = lane_turn(core, lane);
    if (lane->pass == core->work.pass)
        return;
    lane->pass = core->work.pass;
    if (!heap_first(&turn->lanes))
        list_push(&core->work.turns, &turn->listed);
    lane_push(core, lane, queue_first(&lane->waiting));
}

static void turns_begin(struct core *core, struct heap *turns)
{
    heap_init(turns, turn_before);
    list_for_each_safe (it, next, &core->work.turns) {
        list_remove(it);
        turn_push(core, turns, list_entry(it, struct turn, listed));
    }
}

/* ---- strict ---- */

static void close_pools(struct core *core, const struct shape *shape, uint64_t *closed)
{
    for (uint32_t a = 0; a < shape->nalternatives; a++) {
        for (uint32_t w = 0; w < core->work.pool_words; w++)
            closed[w] |= shape->mask[(size_t)a * core->work.pool_words + w];
    }
}

static bool pass_strict(struct core *core)
{
    struct work *w = &core->work;
    struct heap turns;
    struct turn *turn;
    struct lane *lane;
    memset(w->blocked, 0, w->pool_words * sizeof *w->blocked);
    list_for_each_safe (it, next, &w->active) {
        list_for_each_safe (lit, lnext, &list_entry(it, struct shape, active)->waiting) {
            turns_list(core, list_entry(lit, struct lane, active));
        }
    }
    turns_begin(core, &turns);
    while ((lane = next_lane(&turns, &turn)) != NULL) {
        enum tried tried = try_start(core, lane_index(core, lane), w->blocked);
        if (tried == NO_ROOM) {
            turns_clear(&turns, turn);
            return false;
        }
        if (tried == NO_FIT)
            close_pools(core, shape_now(core, lane->shape), w->blocked);
        else
            lane_push(core, lane, queue_first(&lane->waiting));
        turn_push(core, &turns, turn);
    }
    return true;
}

/* ---- backfill ---- */

/* Whether a pool that changed fits this shape now; asked once a shape and pass. */
static bool shape_fits_changed(struct core *core, struct shape *shape)
{
    struct work *w = &core->work;
    if (shape->pass == w->pass)
        return shape->fits;
    shape->pass = w->pass;
    shape->fits = false;
    for (uint32_t a = 0; a < shape->nalternatives && !shape->fits; a++) {
        const uint64_t *mask = shape->mask + (size_t)a * w->pool_words;
        for (uint32_t k = 0; k < w->pool_words && !shape->fits; k++) {
            for (uint64_t left = mask[k] & w->looking[k]; left && !shape->fits; left &= left - 1) {
                const struct pool *pool = &core->net.pool[k * 64 + (uint32_t)__builtin_ctzll(left)];
                const struct alternative *alternative = &shape->key.alternative[a];
                shape->fits = pool_fits(pool, shape_ask(&shape->key, alternative), HELD_OWN) ||
                              preempt_might(core, shape, alternative, pool);
            }
        }
    }
    return shape->fits;
}

/* The pool without a reservation that could take the lane's first job soonest. */
static uint32_t soonest_pool(struct core *core, uint32_t lane, struct ask *ask)
{
    struct shape *shape = shape_now(core, core->work.lane[lane].shape);
    uint32_t best = INDEX_NONE;
    int64_t best_ms = INT64_MAX;
    for (uint32_t a = 0; a < shape->nalternatives; a++) {
        const uint64_t *mask = shape->mask + (size_t)a * core->work.pool_words;
        struct ask asked = shape_ask(&shape->key, &shape->key.alternative[a]);
        for (uint32_t i = 0; i < core->net.pools.used; i++) {
            const struct pool *pool = &core->net.pool[i];
            if (!(mask[i / 64] >> i % 64 & 1) || pool->reserved_for != INDEX_NONE)
                continue;
            int64_t ms = reservation_time(core, pool, asked, NULL);
            if (ms < best_ms) {
                best_ms = ms;
                best = i;
                *ask = asked;
            }
        }
    }
    return best;
}

static bool shape_has_open_pool(struct core *core, const struct shape *shape)
{
    for (uint32_t a = 0; a < shape->nalternatives; a++) {
        for (uint32_t w = 0; w < core->work.pool_words; w++) {
            if (shape->mask[(size_t)a * core->work.pool_words + w] & ~core->work.reserved[w])
                return true;
        }
    }
    return false;
}

/* Reservations of pools that changed are made anew: what ended early brings them forward. */
static void refresh_reservations(struct core *core)
{
    struct work *w = &core->work;
    bool all = w->matched != core->net.version;
    w->matched = core->net.version;
    for (uint32_t k = 0; k < w->pool_words; k++) {
        for (uint64_t left = w->reserved[k] & (all ? UINT64_MAX : w->looking[k]); left; left &= left - 1) {
            uint32_t i = k * 64 + (uint32_t)__builtin_ctzll(left);
            uint32_t lane = core->net.pool[i].reserved_for;
            struct ask ask = pool_ask(core, shape_now(core, w->lane[lane].shape), i);
            if (ask.chips > 0)
                reservation_make(core, lane, i, ask);
            else
                reservation_drop(core, lane); /* it may not run there any more */
        }
    }
}

/* A single chip needs no reservation: nobody can take one before it, if its turn is first. */
static bool wants_reservation(struct core *core, const struct lane *lane)
{
    const struct shape *shape = shape_now(core, lane->shape);
    return lane->pool == INDEX_NONE && shape->gang && shape_has_open_pool(core, shape);
}

/* Of the lanes that wait for a pool without a reservation, and `lane`, the one whose turn is first. */
static struct lane *next_in_turn(struct core *core, struct lane *lane, uint32_t pool)
{
    struct lane *best = lane;
    list_for_each_safe (it, next, &core->work.active) {
        struct shape *shape = list_entry(it, struct shape, active);
        if (!shape->gang ||
            pool_ask(core, shape_now(core, (uint32_t)(shape - core->work.shape)), pool).chips == 0)
            continue;
        list_for_each_safe (lit, lnext, &shape->waiting) {
            struct lane *other = list_entry(lit, struct lane, active);
            if (other->pool == INDEX_NONE && (!best || lane_ahead(core, other, best)))
                best = other;
        }
    }
    return best;
}

/* The first job of a lane with a reservation on the pool has started: the reservation is now that of the next in turn,
 * which may be the lane's next job. */
static void hand_over(struct core *core, struct lane *lane, uint32_t pool)
{
    struct lane *next = next_in_turn(core, lane->pool == pool ? lane : NULL, pool);
    if (next != lane && lane->pool == pool)
        reservation_drop(core, lane_index(core, lane));
    if (next)
        reservation_make(core, lane_index(core, next), pool,
                         pool_ask(core, shape_now(core, next->shape), pool));
}

/* Lists the lanes that this pass has to look at. */
static void look(struct core *core)
{
    struct work *w = &core->work;
    list_for_each_safe (it, next, &w->active) {
        struct shape *shape = list_entry(it, struct shape, active);
        (void)shape_now(core, (uint32_t)(shape - w->shape));
        bool fits = shape_fits_changed(core, shape);
        if (!fits && !(shape->gang && shape_has_open_pool(core, shape)))
            continue;
        list_for_each_safe (lit, lnext, &shape->waiting) {
            struct lane *lane = list_entry(lit, struct lane, active);
            if (fits || lane->pool == INDEX_NONE)
                turns_list(core, lane);
        }
    }
    list_for_each_safe (it, next, &w->fresh) {
        turns_list(core, list_entry(it, struct lane, untried));
    }
}

/* The first job of a lane does not fit: it gets a reservation if there is a pool to have one on. */
static void reserve(struct core *core, struct lane *lane)
{
    struct ask ask;
    if (!wants_reservation(core, lane))
        return;
    uint32_t pool = soonest_pool(core, lane_index(core, lane), &ask);
    if (pool != INDEX_NONE)
        reservation_make(core, lane_index(core, lane), pool, ask);
}

/* Tries the candidate of a lane, and sees to who is next. False: there was no room for a start in this step. */
static bool try_lane(struct core *core, struct lane *lane)
{
    struct work *w = &core->work;
    uint32_t index = lane_index(core, lane), reserved = lane->pool;
    bool first = &lane->candidate->in_lane == queue_first(&lane->waiting);
    enum tried tried = try_start(core, index, lane->fresh ? w->blocked : w->still);
    struct queue_node *next = queue_first(&lane->waiting);
    if (tried == NO_ROOM)
        return false;
    if (tried == STARTED) {
        lane_push(core, lane, next);
        if (first && reserved != INDEX_NONE)
            hand_over(core, lane, reserved);
        return true;
    }
    struct queue_node *shorter = NULL;
    if (first) {
        reserve(core, lane);
        /* A shorter one of the lane may pass, in its own turn. */
        shorter = queue_first_within(&lane->waiting, place_limit(core, index));
    }
    if (shorter && shorter != next)
        lane_push(core, lane, shorter);
    else if (lane->stopped != w->pass) /* what came back in this pass is tried in the next one */
        lane_refresh(core, lane, false);
    return true;
}

static bool pass_backfill(struct core *core)
{
    struct work *w = &core->work;
    struct heap turns;
    struct turn *turn;
    struct lane *lane;
    for (uint32_t k = 0; k < w->pool_words; k++) {
        w->blocked[k] = 0; /* nothing is closed */
        w->still[k] = ~w->looking[k];
    }
    refresh_reservations(core);
    look(core);
    turns_begin(core, &turns);
    while ((lane = next_lane(&turns, &turn)) != NULL) {
        if (!try_lane(core, lane)) {
            turns_clear(&turns, turn);
            return false;
        }
        turn_push(core, &turns, turn);
    }
    return true;
}

/* Stops what runs at sites that are lost. False: there was no room for all the effects. */
static bool evict_lost(struct core *core)
{
    for (uint32_t i = 0; i < core->net.pools.used; i++) {
        const struct pool *pool = &core->net.pool[i];
        if (pool->busy > 0 && core->net.site[pool->site.v].row.state == PLACE_LOST &&
            !work_evict(core, (struct pool_id){i}, INDEX_NONE))
            return false;
    }
    return true;
}

/* Stops what the rules forbid now. False: there was no room for all the effects. */
static bool evict_forbidden(struct core *core)
{
    const struct work *w = &core->work;
    for (uint32_t i = 0; i < w->jobs.used; i++) {
        const struct job *job = &w->job[i];
        if (!table_live(&w->jobs, i) || job->row.state != JOB_RUNNING)
            continue;
        const uint64_t *lawful = shape_lawful(core, &w->shape[w->lane[job->lane].shape]);
        if (!lawful)
            return true; /* there are no rules */
        lawful += (size_t)job->row.alternative * w->pool_words;
        if (lawful[job->pool / 64] >> job->pool % 64 & 1)
            continue;
        if (core->effects->n > core->effects->cap / 2)
            return false;
        job_evict(core, (struct job_id){i}, ERR_FORBIDDEN);
    }
    return true;
}

/* Stops what may run no longer where it does, before anything starts. */
static bool evict(struct core *core)
{
    if (core->work.lost && !evict_lost(core))
        return false;
    core->work.lost = false;
    if (core->book.changed && !evict_forbidden(core))
        return false;
    core->book.changed = false;
    if (core->work.over && !curtail(core))
        return false;
    core->work.over = false;
    return true;
}

void dispatch_pass(struct core *core)
{
    struct work *w = &core->work;
    size_t bytes = w->pool_words * sizeof *w->changed;
    if (!w->due)
        return;
    w->pass++;
    bool whole = evict(core);
    memcpy(w->looking, w->changed, bytes);
    memset(w->changed, 0, bytes);
    if (whole)
        whole = w->row.fit == FIT_STRICT ? pass_strict(core) : pass_backfill(core);
    /* More to do, in another step: there was no room in this one, or a reservation that ended freed what it held. */
    w->due = !whole;
    for (uint32_t k = 0; k < w->pool_words; k++) {
        w->changed[k] |= whole ? 0 : w->looking[k];
        w->due |= w->changed[k] != 0;
    }
}

int step_dispatch_set(struct core *core, const struct event *event)
{
    const struct event_dispatch_set *e = &event->u.dispatch_set;
    struct row_dispatch *row = &core->work.row;
    bool order = e->order >= ORDER_FIFO && e->order <= ORDER_SIZE;
    bool fit = e->fit == FIT_STRICT || e->fit == FIT_BACKFILL;
    bool limits = e->preempt <= PREEMPT_SHORTER && e->reserve <= RESERVE_OFF;
    bool pack = e->pack == PACK_BEST_FIT || e->pack == PACK_EMPTIEST;
    if (!order || !fit || !pack || !limits || e->ageing > 1000000000 || e->carbon_price < 0 ||
        e->carbon_price > PRICE_MAX)
        return ERR_INVALID;
    row->order = e->order;
    row->fit = e->fit;
    row->pack = e->pack;
    row->ageing = e->ageing;
    row->carbon_price = e->carbon_price;
    row->preempt = e->preempt;
    row->reserve = e->reserve;
    core->work.row_touched = true;
    for (uint32_t i = 0; i < core->net.sites.used; i++)
        site_rate(core, (struct site_id){i});
    for (uint32_t i = 0; i < core->work.lanes.used; i++) {
        if (table_live(&core->work.lanes, i))
            reservation_drop(core, i);
    }
    work_reorder(core);
    network_changed(core);
    reserve_reset(core);
    return 0;
}
