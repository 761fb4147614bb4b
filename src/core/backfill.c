/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backfilling: who of those that wait is looked at, and who may pass the one with the reservation.
 *
 * A lane is looked at if it has jobs that no pass has tried, or if a pool that changed has room for it: room that nobody has
 * a reservation on, or room that is held and that it may use all the same (place_use). With a full network the second is
 * rare and the first soon gone; so most passes try a lane or two, however many wait.
 */
#include <string.h>

#include "core/pass.h"

/* The next pool that changed and that work of the reach may use as this alternative, from the *at-th of them on; NULL: no
 * more. */
static const struct pool *next_changed(const struct core *core, const struct reach *reach, uint32_t a,
                                       uint32_t *at)
{
    const struct work *w = &core->work;
    while (*at < w->nlook_at) {
        uint32_t i = w->look_at[(*at)++];
        if (bit_of(reach_mask(core, reach, a), i))
            return &core->net.pool[i];
    }
    return NULL;
}

/* Sets `fits`: a pool that changed has room for what is asked; `open`: room that nobody has a reservation on. Asked anew
 * after each start of a pass. */
static void reach_look(struct core *core, struct reach *reach)
{
    struct work *w = &core->work;
    if (reach->pass == w->pass && reach->seen == w->started)
        return;
    reach->pass = w->pass;
    reach->seen = w->started;
    reach->fits = reach->open = false;
    for (uint32_t a = 0; a < reach->nalternatives && !reach->open; a++) {
        struct ask ask = ask_for(reach->key->flags, &reach->key->alternative[a]);
        const struct pool *pool;
        uint32_t at = 0;
        while (!reach->open && (pool = next_changed(core, reach, a, &at)) != NULL) {
            if (pool->free < ask.chips)
                continue;
            reach->open = pool_fits(pool, ask, HELD_AVOID);
            reach->fits |= reach->open || pool_fits(pool, ask, HELD_OWN);
        }
    }
}

/* Who of a reach may use room that is held in the pools that changed: see place_use. */
struct held_room {
    int64_t limit;             /* whoever lasts no longer */
    const struct lane *behind; /* a single chip that is ahead of this one, NULL: none */
};

static struct held_room reach_held(const struct core *core, const struct reach *reach)
{
    struct held_room room = {.limit = -1};
    for (uint32_t a = 0; a < reach->nalternatives; a++) {
        const struct alternative *alternative = &reach->key->alternative[a];
        struct ask ask = ask_for(reach->key->flags, alternative);
        const struct pool *pool;
        uint32_t at = 0;
        while ((pool = next_changed(core, reach, a, &at)) != NULL) {
            if (pool->free < ask.chips || pool->reserved_for == INDEX_NONE || !pool_fits(pool, ask, HELD_OWN))
                continue;
            const struct lane *holder = &core->work.lane[pool->reserved_for];
            if (!reach->gang && (!room.behind || lane_ahead(core, room.behind, holder)))
                room.behind = holder;
            int64_t limit = place_room(core, pool, alternative);
            if (limit > room.limit && pool_fits(pool, ask, HELD_FIRST))
                room.limit = limit;
        }
    }
    return room;
}

/* Whether in a pool that changed others might stop for work of the reach. */
static bool reach_might_preempt(const struct core *core, const struct reach *reach)
{
    for (uint32_t a = 0; a < reach->nalternatives; a++) {
        const struct pool *pool;
        uint32_t at = 0;
        while ((pool = next_changed(core, reach, a, &at)) != NULL) {
            if (preempt_might(core, reach->key->flags, &reach->key->alternative[a], pool))
                return true;
        }
    }
    return false;
}

static bool may_use_held(const struct core *core, const struct lane *lane, const struct held_room *room)
{
    return lane->waiting.root->shortest <= room->limit ||
           (room->behind && lane_ahead(core, lane, room->behind));
}

/* The pool without a reservation that could take the lane's first job soonest; of equals the one with the lower id. */
static uint32_t soonest_pool(struct core *core, uint32_t lane, struct ask *ask)
{
    const struct reach *reach = shape_now(core, core->work.lane[lane].shape)->reach;
    uint32_t best = INDEX_NONE, first;
    int64_t best_ms = INT64_MAX;
    for (uint32_t a = 0; a < reach->nalternatives; a++) {
        const uint64_t *mask = reach_mask(core, reach, a);
        struct ask asked = ask_for(reach->key->flags, &reach->key->alternative[a]);
        for (uint32_t k = 0; k < core->net.pools.used; k++) {
            uint32_t i = core->net.pools_by_id[k];
            const struct pool *pool = &core->net.pool[i];
            if (!bit_of(mask, i) || pool->reserved_for != INDEX_NONE)
                continue;
            int64_t ms = reservation_time(core, pool, asked, &first);
            if (ms < best_ms) {
                best_ms = ms;
                best = i;
                *ask = asked;
            }
        }
    }
    return best;
}

/* Whether one of these pools, NULL: of all, has no reservation and may be used by work of the reach. */
static bool reach_has_open_pool(const struct core *core, const struct reach *reach, const uint64_t *pools)
{
    for (uint32_t a = 0; a < reach->nalternatives; a++) {
        for (uint32_t w = 0; w < core->work.pool_words; w++) {
            uint64_t open = reach_mask(core, reach, a)[w] & ~core->work.reserved[w];
            if (open & (pools ? pools[w] : UINT64_MAX))
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
            struct ask ask = pool_ask(core, shape_now(core, w->lane[lane].shape)->reach, i);
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
    const struct reach *reach = shape_now(core, lane->shape)->reach;
    return lane->pool == INDEX_NONE && reach->gang && reach_has_open_pool(core, reach, NULL);
}

/* Of the lanes of a shape that have no reservation, and `best`, the one whose turn is first. */
static struct lane *first_unreserved(const struct core *core, const struct shape *shape, struct lane *best)
{
    list_for_each_safe (it, next, &shape->waiting) {
        struct lane *lane = list_entry(it, struct lane, active);
        if (lane->pool == INDEX_NONE && (!best || lane_ahead(core, lane, best)))
            best = lane;
    }
    return best;
}

/* Of the lanes that wait for a pool without a reservation, and `lane`, the one whose turn is first. */
static struct lane *next_in_turn(struct core *core, struct lane *lane, uint32_t pool)
{
    struct lane *best = lane;
    list_for_each_safe (rit, rnext, &core->work.active) {
        const struct reach *reach = list_entry(rit, struct reach, active);
        if (!reach->gang || pool_ask(core, reach, pool).chips == 0)
            continue;
        list_for_each_safe (it, next, &reach->waiting) {
            best = first_unreserved(core, list_entry(it, struct shape, active), best);
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
                         pool_ask(core, shape_now(core, next->shape)->reach, pool));
}

/* Why the lanes of a reach are looked at. */
struct reasons {
    bool wants;    /* a pool that changed has no reservation */
    bool preempts; /* others might stop there */
    struct held_room held;
};

/* Lists of a shape's lanes those that this pass has to look at. Returns the run time of the shortest job. */
static int64_t list_lanes(struct core *core, const struct shape *shape, const struct reasons *why)
{
    struct work *w = &core->work;
    int64_t shortest_ms = INT64_MAX;
    list_for_each_safe (it, next, &shape->waiting) {
        struct lane *lane = list_entry(it, struct lane, active);
        bool apart =
            why->preempts || (why->wants && lane->pool == INDEX_NONE) || may_use_held(core, lane, &why->held);
        int64_t ms = lane->waiting.root->shortest;
        shortest_ms = ms < shortest_ms ? ms : shortest_ms;
        if (apart || shape->reach->open)
            turns_list(core, lane, !apart);
        else
            w->left_out |= shape->reach->fits;
    }
    return shortest_ms;
}

/* The same of a reach. `unreserved`: a pool that changed has no reservation. */
static void look_at_reach(struct core *core, struct reach *reach, bool unreserved)
{
    struct work *w = &core->work;
    reach_look(core, reach);
    struct reasons why = {.held.limit = -1};
    why.wants = unreserved && reach->gang && reach_has_open_pool(core, reach, w->looking);
    why.preempts = reach_might_preempt(core, reach);
    if (reach->fits)
        why.held = reach_held(core, reach);
    if (!why.wants && !why.preempts && !reach->open && !why.held.behind && why.held.limit < reach->shortest) {
        w->left_out |= reach->fits;
        return;
    }
    if (reach->open && reach->least < w->least)
        w->least = reach->least;
    reach->shortest = INT64_MAX;
    list_for_each_safe (it, next, &reach->waiting) {
        int64_t ms = list_lanes(core, list_entry(it, struct shape, active), &why);
        reach->shortest = ms < reach->shortest ? ms : reach->shortest;
    }
}

/* Whether the holder of the pool's reservation fits there now, in any of its sizes: not only in that which was reserved. */
static bool holder_fits(struct core *core, const struct lane *holder, uint32_t pool)
{
    const struct reach *reach = shape_now(core, holder->shape)->reach;
    for (uint32_t a = 0; a < reach->nalternatives; a++) {
        struct ask ask = ask_for(reach->key->flags, &reach->key->alternative[a]);
        if (bit_of(reach_mask(core, reach, a), pool) && pool_fits(&core->net.pool[pool], ask, HELD_OWN))
            return true;
    }
    return false;
}

/* Lists the lanes that this pass has to look at. */
static void look(struct core *core)
{
    struct work *w = &core->work;
    w->apart = 0;
    w->least = UINT32_MAX;
    w->reheld = w->eased = w->softened = w->left_out = false;
    list_for_each_safe (it, next, &w->fresh) {
        turns_list(core, list_entry(it, struct lane, untried), false);
    }
    bool unreserved = false;
    for (uint32_t i = 0; i < w->nlook_at; i++) {
        const struct pool *pool = &core->net.pool[w->look_at[i]];
        unreserved |= pool->reserved_for == INDEX_NONE;
        if (pool->reserved_for == INDEX_NONE)
            continue;
        struct lane *holder = &w->lane[pool->reserved_for];
        if (holder_fits(core, holder, w->look_at[i]))
            turns_list(core, holder, false);
    }
    if (w->nlook_at == 0)
        return;
    list_for_each_safe (it, next, &w->active) {
        look_at_reach(core, list_entry(it, struct reach, active), unreserved);
    }
}

/* Whether those that are listed and not tried yet could start: one of them is no plain one, another reservation may let
 * plain ones pass, or there is room left for the least that one of them asks for. */
static bool worth_trying(const struct core *core)
{
    const struct work *w = &core->work;
    struct ask least = {.chips = w->least};
    if (w->apart > 0 || w->reheld)
        return true;
    for (uint32_t i = 0; i < w->nlook_at && w->least < UINT32_MAX; i++) {
        if (pool_fits(&core->net.pool[w->look_at[i]], least, HELD_AVOID))
            return true;
    }
    return false;
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

/* The lane goes on with another of its jobs. */
static void lane_again(struct core *core, struct lane *lane, struct queue_node *node)
{
    if (!node)
        return;
    lane->plain = false;
    core->work.apart++;
    lane_push(core, lane, node);
}

/* Tries the candidate of a lane, and sees to who is next. False: there was no room for a start in this step. */
static bool try_lane(struct core *core, struct lane *lane)
{
    struct work *w = &core->work;
    uint32_t index = lane_index(core, lane), reserved = lane->pool;
    bool first = &lane->candidate->in_lane == queue_first(&lane->waiting);
    const uint64_t *closed = lane->fresh ? w->blocked : w->still;
    enum tried tried = try_start(core, index, closed);
    struct queue_node *next = queue_first(&lane->waiting);
    if (tried == NO_ROOM)
        return false;
    if (tried == STARTED) {
        w->started++;
        lane_again(core, lane, next);
        if (first && reserved != INDEX_NONE)
            hand_over(core, lane, reserved);
        return true;
    }
    struct queue_node *shorter = NULL;
    if (first) {
        reserve(core, lane);
        /* A shorter one of the lane may pass, in its own turn. */
        shorter = queue_first_within(&lane->waiting, place_limit(core, index, closed));
    }
    if (shorter && shorter != next)
        lane_again(core, lane, shorter);
    else if (lane->stopped != w->pass) /* what came back in this pass is tried in the next one */
        lane_refresh(core, lane, false);
    return true;
}

/* Whether this one, whose turn it is, could. */
static bool worth_a_try(struct core *core, const struct lane *lane)
{
    struct reach *reach = core->work.shape[lane->shape].reach;
    bool holds = lane->pool != INDEX_NONE && bit_of(core->work.looking, lane->pool);
    if (!lane->plain || holds)
        return true;
    reach_look(core, reach);
    if (reach->open || !core->work.reheld)
        return reach->open;
    struct held_room held = reach_held(core, reach);
    return may_use_held(core, lane, &held);
}

bool pass_backfill(struct core *core)
{
    struct work *w = &core->work;
    struct turn *turn;
    struct lane *lane;
    w->nlook_at = 0;
    for (uint32_t k = 0; k < w->pool_words; k++) {
        w->blocked[k] = 0; /* nothing is closed */
        w->still[k] = ~w->looking[k];
        for (uint64_t left = w->looking[k]; left; left &= left - 1)
            w->look_at[w->nlook_at++] = k * 64 + (uint32_t)__builtin_ctzll(left);
    }
    reaches_match(core);
    refresh_reservations(core);
    look(core);
    turns_begin(core);
    while (worth_trying(core) && (lane = next_lane(core, &turn)) != NULL) {
        w->apart -= !lane->plain;
        if (worth_a_try(core, lane) && !try_lane(core, lane)) {
            turns_clear(core, turn);
            return false;
        }
        /* Under another's reservation some may pass who are not listed, and perhaps before those who are; and some may
         * have stopped what has just come. */
        if ((w->eased && w->left_out) || w->softened) {
            turns_clear(core, turn);
            w->again = true;
            return true;
        }
        turn_push(core, turn);
    }
    turns_drop(core);
    return true;
}
