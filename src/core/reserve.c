/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations: nodes kept for a job that has to wait, so that smaller work passes it without delaying it.
 *
 * A reservation names nodes, not just a count: those that are wholly free first, as far as estimates say, and the time
 * when the last of them is. Others use these nodes only if they are gone by then (Lifka's EASY backfilling, 1995, made exact for
 * whole nodes). Among nodes that are free in time those that are busy now are taken first, so that work which would
 * stay too long still finds the ones that are free now. A pool has one reservation at most, and a lane too.
 */
#include <string.h>

#include "core/kinds.h"
#include "core/state.h"

/* When a whole node is free. One whose work outlives its estimates may be so at any moment. */
static int64_t node_time(const struct core *core, const struct node *node)
{
    if (node->state != PLACE_UP)
        return INT64_MAX;
    if (node->shares == INDEX_NONE)
        return core->now_ms;
    return node->end_ms > core->now_ms ? node->end_ms : core->now_ms + 1;
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

static int64_t soonest(const struct core *core, const struct node *node, uint32_t n)
{
    int64_t best = INT64_MAX;
    for (uint32_t i = 0; i < n; i++) {
        int64_t at = node_time(core, &node[i]);
        best = at < best ? at : best;
    }
    return best;
}

int64_t reservation_time(const struct core *core, const struct pool *pool, struct ask ask, uint32_t *first)
{
    int64_t *times = core->work.free_ms;
    uint32_t want = pool_nodes_for(pool, ask.chips), span = pool_span(pool, ask);
    int64_t best = INT64_MAX;
    for (uint32_t from = 0; from < pool->row.nodes; from += span) {
        uint32_t n = pool->row.nodes - from < span ? pool->row.nodes - from : span;
        if (n < want)
            break;
        for (uint32_t i = 0; i < n && want > 1; i++)
            times[i] = node_time(core, &pool->node[from + i]);
        int64_t at = want == 1 ? soonest(core, pool->node + from, n) : select_time(times, n, want - 1);
        if (at < best) {
            best = at;
            if (first)
                *first = from;
        }
    }
    return best;
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
    core->work.reserved[i / 64] &= ~(UINT64_C(1) << i % 64);
    pool_changed(core, (struct pool_id){i}); /* what was held is there for others */
}

void reservation_make(struct core *core, uint32_t lane, uint32_t pool_index, struct ask ask)
{
    struct pool *pool = &core->net.pool[pool_index];
    uint32_t want = pool_nodes_for(pool, ask.chips), span = pool_span(pool, ask), first = 0;
    int64_t until = reservation_time(core, pool, ask, &first);
    uint32_t end = pool->row.nodes - first < span ? pool->row.nodes : first + span;
    /* Another holder, or a later time: who had to avoid what is held perhaps need not any more. */
    if (pool->reserved_for != INDEX_NONE && (pool->reserved_for != lane || until > pool->reserved_ms))
        pool_changed(core, (struct pool_id){pool_index});
    node_set_clear(&pool->held, pool->nwords);
    pool->reserved_for = lane;
    pool->reserved_ms = until;
    core->work.lane[lane].pool = pool_index;
    core->work.reserved[pool_index / 64] |= UINT64_C(1) << pool_index % 64;
    for (uint32_t i = first; i < end && want > 0; i++) {
        int64_t at = node_time(core, &pool->node[i]);
        if (at > core->now_ms && at <= until) {
            node_set_add(&pool->held, i);
            want--;
        }
    }
    for (uint32_t i = end; i-- > first && want > 0;) {
        if (node_time(core, &pool->node[i]) <= core->now_ms) {
            node_set_add(&pool->held, i);
            want--;
        }
    }
}
