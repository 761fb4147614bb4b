/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reaches: where work may go.
 *
 * A reach is what some shapes ask for and, for each alternative, the pools that they may use now. Shapes differ in whose
 * work it is, of what kind, and where its data lies; for most of them that makes no difference to the pools. What
 * depends on chips and pools alone is asked once a reach: whether a pool that changed has room, who is stopped by a loss
 * and could go where. There are as many as differ, tens or hundreds, however many shapes there are.
 */
#include <assert.h>
#include <string.h>

#include "core/state.h"

/* Words before the masks. */
#define HEAD_WORDS (sizeof(struct reach_key) / sizeof(uint64_t))
static_assert(sizeof(struct reach_key) % sizeof(uint64_t) == 0, "masks follow it");

static size_t key_words(const struct work *w)
{
    return HEAD_WORDS + (size_t)ALTERNATIVES * w->pool_words;
}

static bool reach_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(((const struct reach *)table)[i].key, key, len) == 0;
}

void reach_carve(struct core *core, struct arena *arena)
{
    struct work *w = &core->work;
    uint32_t n = core->limits.shapes + 1; /* one is made before the one that a shape leaves goes */
    CARVE(core, work.reaches, work.reach, n);
    w->reach_keys = arena_take(arena, (n + 1) * key_words(w) * sizeof *w->reach_keys);
    index_init(&w->reach_map, arena, n, reach_equal, w->reach);
}

static uint64_t *key_at(const struct work *w, uint32_t i)
{
    return w->reach_keys + i * key_words(w);
}

/* ---- coming and going ---- */

static void reach_init(struct reach *reach, uint64_t *key)
{
    *reach =
        (struct reach){.key = (const struct reach_key *)key, .mask = key + HEAD_WORDS, .least = UINT32_MAX};
    list_init(&reach->waiting);
    while (reach->nalternatives < ALTERNATIVES && reach->key->alternative[reach->nalternatives].count > 0) {
        uint32_t count = reach->key->alternative[reach->nalternatives++].count;
        reach->gang |= count > 1;
        reach->least = count < reach->least ? count : reach->least;
    }
}

/* The reach with the key that was built in the place after all others. */
static struct reach *reach_of(struct core *core)
{
    struct work *w = &core->work;
    size_t bytes = key_words(w) * sizeof *w->reach_keys;
    const uint64_t *built = key_at(w, w->reaches.cap);
    uint32_t i = map_get(&w->reach_map, built, bytes);
    if (i != MAP_NONE)
        return &w->reach[i];
    i = table_take(&w->reaches);
    assert(i != INDEX_NONE);
    memcpy(key_at(w, i), built, bytes);
    reach_init(&w->reach[i], key_at(w, i));
    map_put(&w->reach_map, built, bytes, i);
    return &w->reach[i];
}

static void reach_unref(struct core *core, struct reach *reach)
{
    struct work *w = &core->work;
    if (--reach->shapes > 0)
        return;
    map_remove(&w->reach_map, reach->key, key_words(w) * sizeof *w->reach_keys);
    table_drop(&w->reaches, (uint32_t)(reach - w->reach));
    table_clean(&w->reaches); /* it is no row: its place is free at once */
}

/* Its jobs may have run for long: it is matched first, for passes take those that are listed as they are. */
void shape_list(struct core *core, struct shape *shape)
{
    if (list_linked(&shape->active))
        return;
    if (shape->version != core->net.version)
        shape_match(core, shape);
    struct reach *reach = shape->reach;
    list_push(&reach->waiting, &shape->active);
    if (!list_linked(&reach->active))
        list_push(&core->work.active, &reach->active);
}

void shape_unlist(struct shape *shape)
{
    list_remove(&shape->active);
    if (list_empty(&shape->reach->waiting))
        list_remove(&shape->reach->active);
}

void shape_leave(struct core *core, struct shape *shape)
{
    if (list_linked(&shape->active))
        shape_unlist(shape);
    reach_unref(core, shape->reach);
    shape->reach = NULL;
}

/* ---- matching ---- */

/* Builds the key of the reach that the shape has now. */
static void build(struct core *core, struct shape *shape)
{
    struct work *w = &core->work;
    const struct shape_key *key = &shape->key;
    const uint64_t *lawful = shape_lawful(core, shape);
    uint64_t *built = key_at(w, w->reaches.cap), *mask = built + HEAD_WORDS;
    struct reach_key head = {.flags = key->flags};
    memcpy(head.alternative, key->alternative, sizeof head.alternative);
    memset(built, 0, key_words(w) * sizeof *built);
    memcpy(built, &head, sizeof head);
    for (uint32_t a = 0; a < ALTERNATIVES && key->alternative[a].count > 0; a++, mask += w->pool_words) {
        for (uint32_t i = 0; i < core->net.pools.used; i++) {
            if (place_bars(core, shape, &key->alternative[a], &core->net.pool[i]) == 0)
                mask[i / 64] |= UINT64_C(1) << i % 64;
        }
        for (uint32_t k = 0; lawful && k < w->pool_words; k++)
            mask[k] &= lawful[(size_t)a * w->pool_words + k];
    }
}

void shape_match(struct core *core, struct shape *shape)
{
    build(core, shape);
    shape->version = core->net.version;
    struct reach *reach = reach_of(core);
    if (reach == shape->reach)
        return;
    bool waits = list_linked(&shape->active);
    reach->shapes++;
    if (shape->reach)
        shape_leave(core, shape);
    shape->reach = reach;
    if (!waits)
        return;
    shape_list(core, shape);
    reach->shortest = 0; /* not known: the next look at it finds out */
}

struct shape *shape_now(struct core *core, uint32_t i)
{
    struct shape *shape = &core->work.shape[i];
    if (shape->version != core->net.version)
        shape_match(core, shape);
    return shape;
}

void reaches_match(struct core *core)
{
    struct work *w = &core->work;
    if (w->reached == core->net.version)
        return;
    w->reached = core->net.version;
    for (uint32_t i = 0; i < w->shapes.used; i++) {
        if (table_live(&w->shapes, i) && list_linked(&w->shape[i].active))
            (void)shape_now(core, i);
    }
}
