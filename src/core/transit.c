/* SPDX-License-Identifier: Apache-2.0 */
/* Transfers under way: what each was granted, from its job's start to the last byte. */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/route.h"
#include "core/state.h"

/* ---- grants ---- */

/* Enters a transfer whose row and corridors are set. */
static void enter(struct core *core, uint32_t i)
{
    struct transit *transit = &core->traffic.transit[i];
    map_put(&core->traffic.transit_map, &transit->row.job, sizeof transit->row.job, i);
    heap_push(&core->traffic.ends, &transit->by_end);
    for (uint32_t k = 0; k < transit->n; k++) {
        struct corridor *c = &core->net.corridor[transit->corridor[k]];
        c->granted += transit->row.bits_s;
        c->transits++;
    }
}

static void leave(struct core *core, uint32_t i)
{
    struct transit *transit = &core->traffic.transit[i];
    bool freed = false;
    for (uint32_t k = 0; k < transit->n; k++) {
        struct corridor *c = &core->net.corridor[transit->corridor[k]];
        bool full = corridor_share(c) == 0;
        c->granted -= transit->row.bits_s;
        c->transits--;
        if (corridor_settle(c)) { /* it had less than it had granted */
            table_touch(&core->net.corridors, transit->corridor[k]);
            traffic_changed(core);
        }
        freed |= full && corridor_share(c) > 0;
    }
    heap_remove(&core->traffic.ends, &transit->by_end);
    map_remove(&core->traffic.transit_map, &transit->row.job, sizeof transit->row.job);
    table_drop(&core->traffic.transits, i);
    for (uint32_t p = 0; p < core->net.pools.used && freed; p++)
        pool_changed(core, (struct pool_id){p}); /* data may come there again */
}

/* ---- a transfer's life ---- */

void transit_start(struct core *core, struct job_id id, const struct way *way)
{
    const struct job *job = &core->work.job[id.v];
    uint32_t i = table_take(&core->traffic.transits);
    assert(i != INDEX_NONE && way->n > 0 && way->bits_s > 0);
    struct transit *transit = &core->traffic.transit[i];
    *transit = (struct transit){.row = {.job = job->row.id,
                                        .bytes = job->row.data_bytes,
                                        .bits_s = way->bits_s,
                                        .started_ms = core->now_ms,
                                        .ends_ms = core->now_ms + way->ms},
                                .job = id.v,
                                .n = way->n};
    memcpy(transit->corridor, way->corridor, sizeof transit->corridor);
    transit->row.corridors.n = way->n;
    for (uint32_t k = 0; k < way->n; k++) {
        transit->row.corridors.v[k] = core->net.corridor[way->corridor[k]].row.id;
        struct effect *effect = effect_add(core, EFFECT_TRANSIT);
        effect->job = job->row.id;
        effect->corridor = transit->row.corridors.v[k];
        effect->bytes = transit->row.bytes;
        effect->bits_s = way->bits_s;
        effect->ms = way->ms;
    }
    enter(core, i);
}

/* What still comes for the job; MAP_NONE: nothing. */
static uint32_t transit_of(const struct core *core, const struct job *job)
{
    return job->row.transit_ms == 0 ? MAP_NONE
                                    : map_get(&core->traffic.transit_map, &job->row.id, sizeof job->row.id);
}

void transit_drop(struct core *core, const struct job *job)
{
    uint32_t i = transit_of(core, job);
    if (i != MAP_NONE)
        leave(core, i);
}

int64_t transit_next_ms(const struct core *core)
{
    const struct heap_node *first = heap_first(&core->traffic.ends);
    return first ? heap_entry(first, struct transit, by_end)->row.ends_ms : INT64_MAX;
}

void transit_turn(struct core *core)
{
    while (transit_next_ms(core) <= core->now_ms)
        leave(core, (uint32_t)(heap_entry(heap_first(&core->traffic.ends), struct transit, by_end) -
                               core->traffic.transit));
}

static bool uses(const struct transit *transit, uint32_t corridor)
{
    uint32_t k = 0;
    while (k < transit->n && transit->corridor[k] != corridor)
        k++;
    return k < transit->n;
}

bool transit_closed(const struct core *core, const struct job *job, const uint64_t *closed)
{
    uint32_t i = closed ? transit_of(core, job) : MAP_NONE;
    for (uint32_t k = 0; i != MAP_NONE && k < core->traffic.transit[i].n; k++) {
        uint32_t corridor = core->traffic.transit[i].corridor[k];
        if (bit_of(closed, corridor))
            return true;
    }
    return false;
}

bool transit_over(const struct core *core, const struct job *job, uint32_t corridor)
{
    uint32_t i = transit_of(core, job);
    return i != MAP_NONE && uses(&core->traffic.transit[i], corridor);
}

/* Of the transfers over the corridor the one that started last, of equals that of the job that came last. */
static uint32_t last_over(const struct core *core, uint32_t corridor)
{
    uint32_t last = INDEX_NONE;
    for (uint32_t i = 0; i < core->traffic.transits.used; i++) {
        const struct transit *x = &core->traffic.transit[i];
        if (!table_live(&core->traffic.transits, i) || !uses(x, corridor))
            continue;
        const struct transit *y = last == INDEX_NONE ? NULL : &core->traffic.transit[last];
        if (!y || x->row.started_ms > y->row.started_ms ||
            (x->row.started_ms == y->row.started_ms &&
             core->work.job[x->job].row.sequence > core->work.job[y->job].row.sequence))
            last = i;
    }
    return last;
}

/* Whether its data has come to a site that is out of touch is known there only; until it is back nothing comes. */
void transit_cut(struct core *core, uint32_t corridor)
{
    const struct corridor *c = &core->net.corridor[corridor];
    while (c->transits > 0 && (c->row.state == PLACE_LOST || c->granted > c->row.bits_s)) {
        uint32_t i = last_over(core, corridor);
        struct job_id job = {core->traffic.transit[i].job};
        if (job_is_held(core, &core->work.job[job.v]))
            leave(core, i);
        else
            job_evict(core, job, ERR_CORRIDOR);
    }
}

/* ---- rows ---- */

int load_transit(struct core *core, const struct row_transit *row)
{
    struct job_id id = job_by_id(core, &row->job);
    if (id.v == INDEX_NONE || core->work.job[id.v].row.state != JOB_RUNNING || row->bits_s == 0 ||
        row->corridors.n == 0 || row->corridors.n > WAY_MAX ||
        row->ends_ms != row->started_ms + core->work.job[id.v].row.transit_ms ||
        row->started_ms != core->work.job[id.v].row.started_ms || row->ends_ms <= row->started_ms ||
        map_get(&core->traffic.transit_map, &row->job, sizeof row->job) != MAP_NONE)
        return ERR_CORRUPT;
    struct transit new = {.row = *row, .job = id.v, .n = row->corridors.n};
    for (uint32_t k = 0; k < new.n; k++) {
        new.corridor[k] = map_get(&core->net.corridor_map, &row->corridors.v[k], sizeof row->corridors.v[k]);
        const struct corridor *c = new.corridor[k] == MAP_NONE ? NULL : &core->net.corridor[new.corridor[k]];
        if (!c || c->transits == TRANSITS_A_CORRIDOR || row->bits_s > c->row.bits_s - c->granted)
            return ERR_CORRUPT;
    }
    uint32_t i = table_take(&core->traffic.transits);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->traffic.transit[i] = new;
    enter(core, i);
    return 0;
}

bool traffic_holds(const struct core *core)
{
    for (uint32_t c = 0; c < core->net.corridors.used; c++) {
        const struct corridor *corridor = &core->net.corridor[c];
        uint64_t granted = 0;
        uint32_t transits = 0;
        for (uint32_t i = 0; i < core->traffic.transits.used; i++) {
            const struct transit *transit = &core->traffic.transit[i];
            if (!table_live(&core->traffic.transits, i) || !uses(transit, c))
                continue;
            granted += transit->row.bits_s;
            transits++;
        }
        if (granted != corridor->granted || granted > corridor->row.bits_s || transits != corridor->transits)
            return false;
    }
    return true;
}
