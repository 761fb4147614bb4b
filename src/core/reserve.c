/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations: nodes kept for a job that has to wait, so that smaller work passes it without delaying it.
 *
 * A reservation names nodes, not just a count: those that are free first, as far as estimates say, and the time when
 * the last of them is. Others use these nodes only if they are gone by then (Lifka's EASY backfilling, 1995, made exact for
 * whole nodes). Among nodes that are free in time those that are busy now are taken first, so that work which would
 * stay too long still finds the ones that are free now. A pool has one reservation at most, and a lane too.
 */
#include <string.h>

#include "core/kinds.h"
#include "core/state.h"

/* When `chips` of a node are free: the ends of its jobs, the soonest first, until there are enough. */
static int64_t node_time(const struct core *core, const struct pool *pool, uint32_t n, uint32_t chips)
{
    const struct node *node = &pool->node[n];
    int64_t ends[NODE_CHIPS_MAX];
    uint32_t have[NODE_CHIPS_MAX];
    uint32_t k = 0, free = node->free;
    if (node->state != PLACE_UP)
        return INT64_MAX;
    if (free >= chips)
        return core->now_ms;
    for (uint32_t s = node->shares; s != INDEX_NONE; s = core->work.share[s].next_on_node) {
        int64_t end = core->work.job[core->work.share[s].job.v].end_ms;
        uint32_t at = k++;
        for (; at > 0 && ends[at - 1] > end; at--) {
            ends[at] = ends[at - 1];
            have[at] = have[at - 1];
        }
        ends[at] = end;
        have[at] = core->work.share[s].row.chips;
    }
    for (uint32_t i = 0; i < k; i++) {
        free += have[i];
        if (free >= chips) /* one that outlives its estimate may end at any moment */
            return ends[i] > core->now_ms ? ends[i] : core->now_ms + 1;
    }
    return INT64_MAX;
}

/* The k-th smallest (from 0) of n times; the order of `times` is lost. Hoare's selection, CACM 4(7), 1961. */
static int64_t select_time(int64_t *times, uint32_t n, uint32_t k)
{
    uint32_t low = 0, high = n - 1;
    while (low < high) {
        int64_t pivot = times[low + (high - low) / 2];
        uint32_t i = low, j = high;
        for (;;) {
            while (times[i] < pivot)
                i++;
            while (times[j] > pivot)
                j--;
            if (i >= j)
                break;
            int64_t swap = times[i];
            times[i++] = times[j];
            times[j--] = swap;
        }
        /* [low..j] <= pivot <= [j+1..high], with j < high */
        if (j == high)
            j--;
        if (k <= j)
            high = j;
        else
            low = j + 1;
    }
    return times[k];
}

static uint32_t per_node(const struct pool *pool, uint32_t chips)
{
    return chips < pool->row.node_chips ? chips : pool->row.node_chips;
}

int64_t reservation_time(const struct core *core, const struct pool *pool, uint32_t chips)
{
    int64_t *times = core->work.free_ms;
    uint32_t want = pool_nodes_for(pool, chips);
    if (want > pool->nodes_up)
        return INT64_MAX;
    for (uint32_t i = 0; i < pool->row.nodes; i++)
        times[i] = node_time(core, pool, i, per_node(pool, chips));
    return select_time(times, pool->row.nodes, want - 1);
}

void reservation_drop(struct core *core, uint32_t lane)
{
    uint32_t i = core->work.lane[lane].pool;
    if (i == INDEX_NONE)
        return;
    struct pool *pool = &core->net.pool[i];
    node_set_clear(&pool->held, pool->nwords);
    pool->reserved_for = INDEX_NONE;
    core->work.lane[lane].pool = INDEX_NONE;
    pool_changed(core, (struct pool_id){i}); /* what was held is there for others */
}

void reservation_make(struct core *core, uint32_t lane, uint32_t pool_index, uint32_t chips)
{
    struct pool *pool = &core->net.pool[pool_index];
    uint32_t want = pool_nodes_for(pool, chips), part = per_node(pool, chips);
    int64_t until = reservation_time(core, pool, chips);
    node_set_clear(&pool->held, pool->nwords);
    pool->reserved_for = lane;
    pool->reserved_ms = until;
    core->work.lane[lane].pool = pool_index;
    for (uint32_t i = 0; i < pool->row.nodes; i++)
        core->work.free_ms[i] = node_time(core, pool, i, part);
    for (uint32_t i = 0; i < pool->row.nodes && want > 0; i++) {
        if (core->work.free_ms[i] <= until && core->work.free_ms[i] > core->now_ms) {
            node_set_add(&pool->held, i);
            want--;
        }
    }
    for (uint32_t i = pool->row.nodes; i-- > 0 && want > 0;) {
        if (core->work.free_ms[i] <= core->now_ms) {
            node_set_add(&pool->held, i);
            want--;
        }
    }
}
