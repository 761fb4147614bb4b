/* SPDX-License-Identifier: Apache-2.0 */
/* The plan in force: how it arrives, when it is over, and what it says of a class and a pool. */
#include "core/plan.h"

#include <string.h>

#include "base/err.h"
#include "core/state.h"

void plan_carve(struct core *core, struct arena *arena)
{
    struct plan *plan = &core->plan;
    for (int slot = 0; slot < 2; slot++) {
        plan->part[slot] = arena_take(arena, PLAN_PARTS_MAX * sizeof *plan->part[slot]);
        plan->touched[slot] = arena_take(arena, PLAN_PARTS_MAX * sizeof *plan->touched[slot]);
    }
    plan->group = arena_take(arena, PLAN_GROUPS_MAX * sizeof *plan->group);
    plan->scratch = arena_take(arena, PLAN_GROUPS_MAX * sizeof *plan->scratch);
    plan->rent = arena_take(arena, core->limits.pools * sizeof *plan->rent);
    plan->named = arena_take(arena, (core->limits.pools + 63) / 64 * sizeof *plan->named);
}

void plan_init(struct core *core)
{
    core->plan.row.id = 1;
}

/* ---- what parts are as a whole ---- */

static bool is_rent(const struct row_plan_part *part)
{
    return !uuid_zero(&part->pool);
}

static uint32_t pool_of(const struct core *core, const struct row_plan_part *part)
{
    return map_get(&core->net.pool_map, &part->pool, sizeof part->pool);
}

/* False: it names what is not there. */
static bool group_read(const struct core *core, const struct row_plan_part *part, struct plan_group *out)
{
    size_t len = text_len(part->chip, CHIP_CAP);
    *out = (struct plan_group){.chip = INDEX_NONE, .site = INDEX_NONE};
    if (len > 0)
        out->chip = map_get(&core->net.chip_map, part->chip, len);
    if (!uuid_zero(&part->site))
        out->site = site_by_id(core, &part->site).v;
    memcpy(out->jurisdiction, part->jurisdiction, sizeof out->jurisdiction);
    return (len == 0 || out->chip != MAP_NONE) && (uuid_zero(&part->site) || out->site != INDEX_NONE);
}

struct plan_group plan_group_asked(const struct shape_key *key)
{
    struct plan_group group = {.chip = key->alternative[0].chip, .site = key->site};
    memcpy(group.jurisdiction, key->jurisdiction, sizeof group.jurisdiction);
    return group;
}

bool plan_group_equal(const struct plan_group *a, const struct plan_group *b)
{
    return a->chip == b->chip && a->site == b->site &&
           memcmp(a->jurisdiction, b->jurisdiction, sizeof a->jurisdiction) == 0;
}

static uint32_t group_find(const struct plan_group *list, uint32_t n, const struct plan_group *group)
{
    for (uint32_t i = 0; i < n; i++) {
        if (plan_group_equal(&list[i], group))
            return i;
    }
    return INDEX_NONE;
}

/* A class: it goes on with the last group, or is the first of a new one. */
static int class_read(struct core *core, const struct row_plan_part *part, uint32_t i, uint32_t *n)
{
    struct plan_group group, *list = core->plan.scratch;
    if (!group_read(core, part, &group))
        return ERR_NOT_FOUND;
    uint32_t at = group_find(list, *n, &group);
    if (at == INDEX_NONE) {
        if (*n == PLAN_GROUPS_MAX)
            return ERR_LIMIT;
        group.first = i;
        group.n = 1;
        list[(*n)++] = group;
        return 0;
    }
    /* Those of one request are side by side, and patience never costs more. */
    if (at != *n - 1 || list[at].first + list[at].n != i || part->start_by_ms <= part[-1].start_by_ms ||
        part->nano > part[-1].nano)
        return ERR_INVALID;
    list[at].n++;
    return 0;
}

/* Reads a slot's parts into the scratch groups. 0 and *n of them, ERR_INVALID, ERR_NOT_FOUND or ERR_LIMIT. */
static int slot_read(struct core *core, uint32_t slot, uint32_t parts, uint32_t *n)
{
    struct plan *plan = &core->plan;
    *n = 0;
    memset(plan->named, 0, core->work.pool_words * sizeof *plan->named);
    for (uint32_t i = 0; i < parts; i++) {
        const struct row_plan_part *part = &plan->part[slot][i];
        if (!is_rent(part)) {
            int rc = class_read(core, part, i, n);
            if (rc != 0)
                return rc;
            continue;
        }
        uint32_t pool = pool_of(core, part);
        if (pool == MAP_NONE)
            return ERR_NOT_FOUND;
        if (bit_of(plan->named, pool))
            return ERR_INVALID;
        plan->named[pool / 64] |= UINT64_C(1) << pool % 64;
    }
    return 0;
}

/* What slot_read has read is in force: the slot's first `parts` parts. */
static void enforce(struct core *core, uint32_t slot, uint32_t parts, uint32_t ngroups)
{
    struct plan *plan = &core->plan;
    plan->row.slot = slot;
    plan->row.parts = parts;
    plan->ngroups = ngroups;
    memcpy(plan->group, plan->scratch, ngroups * sizeof *plan->group);
    memset(plan->rent, 0, core->limits.pools * sizeof *plan->rent);
    for (uint32_t i = 0; i < parts; i++) {
        const struct row_plan_part *part = &plan->part[slot][i];
        if (is_rent(part))
            plan->rent[pool_of(core, part)] = part->nano;
    }
    defer_replan(core);
}

/* ---- questions ---- */

uint32_t plan_group_of(const struct core *core, const struct shape_key *key)
{
    struct plan_group group = plan_group_asked(key);
    return group_find(core->plan.group, core->plan.ngroups, &group);
}

int64_t plan_threshold(const struct core *core, uint32_t group, int64_t latest_ms)
{
    const struct plan *plan = &core->plan;
    const struct plan_group *g = &plan->group[group];
    const struct row_plan_part *class = plan->part[plan->row.slot] + g->first;
    uint32_t low = 0, high = g->n - 1;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (class[mid].start_by_ms < latest_ms)
            low = mid + 1;
        else
            high = mid;
    }
    return class[low].nano;
}

int64_t plan_hour(const struct core *core, uint32_t pool)
{
    return core->net.pool[pool].hour + core->plan.rent[pool];
}

bool plan_allows(const struct core *core, const struct shape_key *key, const struct alternative *a,
                 uint32_t pool, int64_t threshold)
{
    const struct alternative *first = &key->alternative[0];
    return (int128)plan_hour(core, pool) * a->count * first->rate <=
           (int128)threshold * first->count * a->rate;
}

/* ---- steps ---- */

/* Takes a part of a draft; `part` is as it will be kept. */
static int part_put(struct core *core, const struct uuid *id, const struct row_plan_part *part)
{
    struct plan *plan = &core->plan;
    uint32_t slot = 1 - plan->row.slot;
    if (uuid_zero(id) || part->nano > PLAN_NANO_MAX || part->nano < -PLAN_NANO_MAX)
        return ERR_INVALID;
    if (part->part > 0 && (!uuid_eq(id, &plan->row.draft) || part->part != plan->row.draft_parts))
        return ERR_WRONG_STATE;
    if (part->part >= PLAN_PARTS_MAX)
        return ERR_LIMIT;
    plan->part[slot][part->part] = *part;
    plan->part[slot][part->part].slot = slot;
    plan->touched[slot][part->part] = true;
    plan->row.draft = *id;
    plan->row.draft_parts = part->part + 1;
    plan->row_touched = true;
    return 0;
}

int step_plan_class(struct core *core, const struct event *event)
{
    const struct event_plan_class *e = &event->u.plan_class;
    struct plan_group group;
    struct row_plan_part part = {
        .part = e->part, .site = e->site, .start_by_ms = e->start_by_ms, .nano = e->threshold};
    if (e->start_by_ms <= 0)
        return ERR_INVALID;
    memcpy(part.chip, e->chip, sizeof part.chip);
    memcpy(part.jurisdiction, e->jurisdiction, sizeof part.jurisdiction);
    if (!group_read(core, &part, &group))
        return ERR_NOT_FOUND;
    return part_put(core, &e->plan, &part);
}

int step_plan_rent(struct core *core, const struct event *event)
{
    const struct event_plan_rent *e = &event->u.plan_rent;
    struct row_plan_part part = {.part = e->part, .pool = e->pool, .nano = e->rent};
    if (uuid_zero(&e->pool))
        return ERR_INVALID;
    if (pool_of(core, &part) == MAP_NONE)
        return ERR_NOT_FOUND;
    return part_put(core, &e->plan, &part);
}

int step_plan_set(struct core *core, const struct event *event)
{
    const struct event_plan_set *e = &event->u.plan_set;
    struct plan *plan = &core->plan;
    uint32_t slot = 1 - plan->row.slot, ngroups;
    if (uuid_zero(&e->plan) || (e->parts > 0 && e->until_ms <= event->at_ms))
        return ERR_INVALID;
    if (e->parts > 0 && (!uuid_eq(&e->plan, &plan->row.draft) || e->parts != plan->row.draft_parts))
        return ERR_WRONG_STATE;
    int rc = slot_read(core, slot, e->parts, &ngroups);
    if (rc != 0)
        return rc;
    plan->row.plan = e->plan;
    plan->row.since_ms = event->at_ms;
    plan->row.until_ms = e->parts > 0 ? e->until_ms : 0;
    plan->row.draft = (struct uuid){{0}};
    plan->row.draft_parts = 0;
    plan->row_touched = true;
    enforce(core, slot, e->parts, ngroups);
    return 0;
}

void plan_turn(struct core *core)
{
    struct plan *plan = &core->plan;
    if (plan->row.until_ms == 0 || core->now_ms < plan->row.until_ms)
        return;
    plan->row.until_ms = 0;
    plan->row_touched = true;
    enforce(core, plan->row.slot, 0, 0);
}

/* ---- rows ---- */

static void parts_rows(const struct plan *plan, uint32_t slot, bool all, row_fn *fn, void *ctx)
{
    uint32_t parts = slot == plan->row.slot ? plan->row.parts : plan->row.draft_parts;
    for (uint32_t i = 0; i < parts; i++) {
        if (all || plan->touched[slot][i])
            fn(ctx, ROW_KIND_plan_part, ROW_PUT, &plan->part[slot][i]);
    }
}

void plan_collect(struct core *core, row_fn *fn, void *ctx)
{
    struct plan *plan = &core->plan;
    if (!plan->row_touched)
        return;
    plan->row_touched = false;
    fn(ctx, ROW_KIND_plan, ROW_PUT, &plan->row);
    for (uint32_t slot = 0; slot < 2; slot++) {
        uint32_t parts = slot == plan->row.slot ? plan->row.parts : plan->row.draft_parts;
        parts_rows(plan, slot, false, fn, ctx);
        memset(plan->touched[slot], 0, parts * sizeof *plan->touched[slot]);
    }
}

void plan_dump(const struct core *core, row_fn *fn, void *ctx)
{
    if (uuid_zero(&core->plan.row.plan) && uuid_zero(&core->plan.row.draft))
        return; /* there never was one */
    fn(ctx, ROW_KIND_plan, ROW_PUT, &core->plan.row);
    for (uint32_t slot = 0; slot < 2; slot++)
        parts_rows(&core->plan, slot, true, fn, ctx);
}

int load_plan(struct core *core, const struct row_plan *row)
{
    if (row->slot > 1 || row->parts > PLAN_PARTS_MAX || row->draft_parts > PLAN_PARTS_MAX ||
        (row->parts > 0) != (row->until_ms > 0))
        return ERR_CORRUPT;
    core->plan.row = *row;
    return 0;
}

int load_plan_part(struct core *core, const struct row_plan_part *row)
{
    struct plan *plan = &core->plan;
    if (row->slot > 1 || row->nano > PLAN_NANO_MAX || row->nano < -PLAN_NANO_MAX)
        return ERR_CORRUPT;
    if (row->part >= (row->slot == plan->row.slot ? plan->row.parts : plan->row.draft_parts))
        return 0; /* of an older plan */
    plan->part[row->slot][row->part] = *row;
    plan->touched[row->slot][row->part] = true; /* it is there: see load_plan_done */
    return 0;
}

int load_plan_done(struct core *core)
{
    struct plan *plan = &core->plan;
    uint32_t ngroups;
    for (uint32_t slot = 0; slot < 2; slot++) {
        uint32_t parts = slot == plan->row.slot ? plan->row.parts : plan->row.draft_parts;
        for (uint32_t i = 0; i < parts; i++) {
            if (!plan->touched[slot][i])
                return ERR_CORRUPT;
            plan->touched[slot][i] = false;
        }
    }
    if (slot_read(core, plan->row.slot, plan->row.parts, &ngroups) != 0)
        return ERR_CORRUPT;
    enforce(core, plan->row.slot, plan->row.parts, ngroups);
    return 0;
}
