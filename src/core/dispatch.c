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
#include "core/pass.h"

struct ask pool_ask(const struct core *core, const struct reach *reach, uint32_t pool)
{
    for (uint32_t a = 0; a < reach->nalternatives; a++) {
        if (bit_of(reach_mask(core, reach, a), pool))
            return ask_for(reach->key->flags, &reach->key->alternative[a]);
    }
    return (struct ask){0};
}

enum tried try_start(struct core *core, uint32_t lane, const uint64_t *closed)
{
    struct job *job = core->work.lane[lane].candidate;
    struct choice c = place_choose(core, lane, job, closed);
    if (c.pool == INDEX_NONE && !preempt_choose(core, lane, job, closed, &c))
        return NO_FIT;
    struct pool *pool = &core->net.pool[c.pool];
    const struct shape_key *key = &core->work.shape[core->work.lane[lane].shape].key;
    struct ask ask = ask_for(key->flags, &key->alternative[c.alternative]);
    uint32_t nodes = pool_nodes_for(pool, ask.chips);
    if (core->effects->n + c.victims + START_EFFECTS(nodes, key->source != INDEX_NONE) >
            core->effects->cap / 2 ||
        table_room(&core->work.shares) < nodes || table_room(&core->meters.table) == 0 ||
        (key->source != INDEX_NONE && table_room(&core->traffic.transits) == 0))
        return NO_ROOM;
    preempt_stop(core, &c);
    uint32_t n = pool_find(pool, ask, core->work.row.pack, c.use, core->work.place);
    assert(n > 0);
    bool hard = pool->soft == 0;
    job_start(core, (struct job_id){(uint32_t)(job - core->work.job)}, (struct pool_id){c.pool},
              c.alternative, core->work.place, n);
    core->work.softened |= hard && pool->soft > 0 && core->work.row.preempt != PREEMPT_NONE;
    uint32_t holder = pool->reserved_for;
    if (c.use == HELD_OWN && holder != INDEX_NONE && holder != lane) /* one ahead of it took what was held */
        reservation_make(core, holder, c.pool,
                         pool_ask(core, shape_now(core, core->work.lane[holder].shape)->reach, c.pool));
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

/* Between tenants priorities do not count. */
static bool older(const struct heap_node *a, const struct heap_node *b)
{
    return queue_before_unranked(&lane_of_pass(a)->candidate->in_lane, &lane_of_pass(b)->candidate->in_lane);
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
                                  : older(heap_first(&x->lanes), heap_first(&y->lanes));
}

uint32_t lane_index(const struct core *core, const struct lane *lane)
{
    return (uint32_t)(lane - core->work.lane);
}

/* The turn that a lane takes part in: its tenant's, or where tenants do not count that of all. */
static struct turn *lane_turn(struct core *core, const struct lane *lane)
{
    return &core->work.turn[core->work.row.order == ORDER_SIZE ? lane->tenant : 0];
}

void turn_push(struct core *core, struct turn *turn)
{
    if (!heap_first(&turn->lanes))
        return;
    turn->weight = core->work.row.order == ORDER_SIZE ? core->work.dominant[turn - core->work.turn] : 0;
    turn->waits = true;
    heap_push(&core->work.in_turn, &turn->in_pass);
}

void turn_reweigh(struct core *core, uint32_t tenant)
{
    struct turn *turn = &core->work.turn[tenant];
    if (!turn->waits || core->work.row.order != ORDER_SIZE || turn->weight == core->work.dominant[tenant])
        return;
    heap_remove(&core->work.in_turn, &turn->in_pass);
    turn_push(core, turn);
}

static struct turn *turn_pop(struct core *core)
{
    struct heap_node *node = heap_pop(&core->work.in_turn);
    if (!node)
        return NULL;
    turn_of(node)->waits = false;
    return turn_of(node);
}

void lane_push(struct core *core, struct lane *lane, struct queue_node *node)
{
    struct turn *turn = lane_turn(core, lane);
    if (!node)
        return;
    lane->candidate = heap_entry(node, struct job, in_lane);
    if (!turn->lanes.before)
        heap_init(&turn->lanes, lane_before);
    heap_push(&turn->lanes, &lane->in_pass);
}

struct lane *next_lane(struct core *core, struct turn **turn)
{
    *turn = turn_pop(core);
    return *turn ? lane_of_pass(heap_pop(&(*turn)->lanes)) : NULL;
}

void turns_drop(struct core *core)
{
    struct turn *turn;
    while ((turn = turn_pop(core)) != NULL)
        heap_init(&turn->lanes, lane_before);
}

void turns_clear(struct core *core, struct turn *turn)
{
    heap_init(&turn->lanes, lane_before);
    turns_drop(core);
}

void turns_add(struct core *core, struct lane *lane, struct queue_node *node)
{
    struct turn *turn = lane_turn(core, lane);
    if (!heap_first(&turn->lanes))
        list_push(&core->work.turns, &turn->listed);
    lane_push(core, lane, node);
}

void turns_list(struct core *core, struct lane *lane, bool plain)
{
    if (lane->pass == core->work.pass)
        return;
    lane->pass = core->work.pass;
    lane->plain = plain;
    core->work.apart += !plain;
    turns_add(core, lane, queue_first(&lane->waiting));
}

void turns_begin(struct core *core)
{
    heap_init(&core->work.in_turn, turn_before);
    list_for_each_safe (it, next, &core->work.turns) {
        list_remove(it);
        turn_push(core, list_entry(it, struct turn, listed));
    }
}

/* ---- strict ---- */

static void close_pools(struct core *core, const struct reach *reach, uint64_t *closed)
{
    for (uint32_t a = 0; a < reach->nalternatives; a++) {
        for (uint32_t w = 0; w < core->work.pool_words; w++)
            closed[w] |= reach_mask(core, reach, a)[w];
    }
}

static bool pass_strict(struct core *core)
{
    struct work *w = &core->work;
    struct turn *turn;
    struct lane *lane;
    memset(w->blocked, 0, w->pool_words * sizeof *w->blocked);
    list_for_each_safe (rit, rnext, &w->active) {
        list_for_each_safe (it, next, &list_entry(rit, struct reach, active)->waiting) {
            list_for_each_safe (lit, lnext, &list_entry(it, struct shape, active)->waiting) {
                turns_list(core, list_entry(lit, struct lane, active), false);
            }
        }
    }
    turns_begin(core);
    while ((lane = next_lane(core, &turn)) != NULL) {
        enum tried tried = try_start(core, lane_index(core, lane), w->blocked);
        if (tried == NO_ROOM) {
            turns_clear(core, turn);
            return false;
        }
        if (tried == NO_FIT)
            close_pools(core, shape_now(core, lane->shape)->reach, w->blocked);
        else
            lane_push(core, lane, queue_first(&lane->waiting));
        turn_push(core, turn);
    }
    return true;
}

/* ---- what may run no longer ---- */

static bool is_interruptible(struct core *core, const struct job *job)
{
    (void)core;
    return !job_is_firm(job);
}

static bool is_not_held(struct core *core, const struct job *job)
{
    return !job_is_held(core, job);
}

/* Stops what runs at sites that are lost, and what may be stopped at those that are drained. False: there was no room for
 * all the effects. */
static bool evict_from_sites(struct core *core)
{
    for (uint32_t k = 0; k < core->net.pools.used; k++) {
        struct pool_id id = {core->net.pools_by_id[k]};
        uint32_t state = site_state(&core->net.site[core->net.pool[id.v].site.v].row);
        if (state == PLACE_LOST && !work_evict(core, id, INDEX_NONE, is_not_held, 0))
            return false;
        if (state == PLACE_DRAINING && !work_evict(core, id, INDEX_NONE, is_interruptible, ERR_DRAINED))
            return false;
    }
    return true;
}

static bool is_forbidden(struct core *core, const struct job *job)
{
    struct shape *shape = &core->work.shape[core->work.lane[job->lane].shape];
    const uint64_t *lawful = shape_lawful(core, shape);
    if (!lawful || job_is_held(core, job))
        return false; /* there are no rules, or nobody could tell it to stop */
    return !bit_of(lawful + (size_t)job->row.alternative * core->work.pool_words, job->pool) ||
           transit_closed(core, job, shape_closed(core, shape));
}

/* Stops what the rules forbid now. False: there was no room for all the effects. */
static bool evict_forbidden(struct core *core)
{
    for (uint32_t k = 0; k < core->net.pools.used; k++) {
        if (!work_evict(core, (struct pool_id){core->net.pools_by_id[k]}, INDEX_NONE, is_forbidden,
                        ERR_FORBIDDEN))
            return false;
    }
    return true;
}

/* Stops what may run no longer where it does, before anything starts. */
static bool evict(struct core *core)
{
    if (core->work.lost && !evict_from_sites(core))
        return false;
    core->work.lost = false;
    if (core->book.changed && !evict_forbidden(core))
        return false;
    core->book.changed = false;
    if (core->work.over && !curtail(core))
        return false;
    core->work.over = false;
    return follow_turn(core);
}

/* What the pass is to look at: pools that changed, and if there are any those that the reserve kept from somebody for want
 * of room elsewhere. */
static void look_at_changed(struct work *w)
{
    uint64_t any = 0;
    for (uint32_t k = 0; k < w->pool_words; k++)
        any |= w->changed[k];
    for (uint32_t k = 0; k < w->pool_words; k++) {
        w->looking[k] = w->changed[k] | (any ? w->spared[k] : 0);
        w->spared[k] &= any ? 0 : UINT64_MAX;
        w->changed[k] = 0;
    }
}

/* Once around. False: there was no room for a start in this step. */
static bool pass(struct core *core)
{
    struct work *w = &core->work;
    w->pass++;
    w->again = false;
    look_at_changed(w);
    bool whole = w->row.fit == FIT_STRICT ? pass_strict(core) : pass_backfill(core);
    if (whole && !w->again)
        whole = defer_pass(core);
    for (uint32_t k = 0; k < w->pool_words; k++)
        w->changed[k] |= whole && !w->again ? 0 : w->looking[k];
    return whole;
}

void dispatch_pass(struct core *core)
{
    struct work *w = &core->work;
    if (!w->due)
        return;
    bool whole = evict(core);
    do
        whole = whole && pass(core);
    while (whole && w->again);
    /* More to do, in another step: there was no room in this one, or a reservation that ended freed what it held. */
    w->due = !whole || follow_is_due(core);
    for (uint32_t k = 0; k < w->pool_words; k++)
        w->due |= w->changed[k] != 0;
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
    core->effects->routes_changed = true; /* as with a signal */
    traffic_changed(core);
    for (uint32_t i = 0; i < core->work.lanes.used; i++) {
        if (table_live(&core->work.lanes, i))
            reservation_drop(core, i);
    }
    work_reorder(core);
    network_changed(core);
    reserve_reset(core);
    return 0;
}
