/* SPDX-License-Identifier: Apache-2.0 */
/* Whether what is derived is what follows from the rows: sums, orders, counts and links. */
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

/* ---- pools ---- */

/* What runs on a node is linked to it, and its counts are those of that. */
static bool node_holds(const struct core *core, uint32_t p, uint32_t n)
{
    const struct work *w = &core->work;
    const struct pool *pool = &core->net.pool[p];
    const struct node *node = &pool->node[n];
    uint32_t chips = 0, soft = 0, before = INDEX_NONE;
    int64_t end_ms = 0;
    for (uint32_t i = node->shares; i != INDEX_NONE; before = i, i = w->share[i].next_on_node) {
        const struct share *s = &w->share[i];
        const struct job *job = &w->job[s->job.v];
        if (s->pool != p || s->row.node != n || s->prev_on_node != before || job->row.state != JOB_RUNNING ||
            job->pool != p)
            return false;
        chips += s->row.chips;
        soft += job_is_firm(job) ? 0 : s->row.chips;
        end_ms = job->end_ms > end_ms ? job->end_ms : end_ms;
    }
    return node->free + chips == pool->row.node_chips && node->soft == soft && node->end_ms == end_ms &&
           bit_of(pool->level[node->free].words, n) == (node->state == PLACE_UP);
}

static bool pool_holds(const struct core *core, uint32_t p)
{
    const struct pool *pool = &core->net.pool[p];
    struct pool sum = {.row = pool->row};
    for (uint32_t n = 0; n < pool->row.nodes; n++) {
        const struct node *node = &pool->node[n];
        if (!node_holds(core, p, n) || (n > 0 && pool->until[n] < pool->until[n - 1]))
            return false;
        sum.busy += pool->row.node_chips - node->free;
        sum.soft += node->soft;
        if (node->state != PLACE_UP)
            continue;
        sum.nodes_up++;
        sum.free += node->free;
        sum.room += node->free + node->soft;
        sum.could[node->free + node->soft]++;
        sum.mask |= 1u << node->free;
    }
    return pool->busy == sum.busy && pool->soft == sum.soft && pool->nodes_up == sum.nodes_up &&
           pool->free == sum.free && pool->room == sum.room && pool->mask == sum.mask &&
           memcmp(pool->could, sum.could, sizeof sum.could) == 0;
}

/* Firm work that runs in the pool is counted by shape, all of it. */
static bool firm_holds(const struct core *core, uint32_t p)
{
    const struct reserve *r = &core->reserve;
    uint32_t chips = 0;
    for (uint32_t i = 0; i < core->work.shapes.used; i++) {
        const struct job_count *firm = &r->firm[(size_t)i * core->limits.pools + p];
        chips += firm->chips;
        if ((firm->jobs > 0) != bit_of(r->busy + (size_t)i * core->work.pool_words, p))
            return false;
    }
    return chips == core->net.pool[p].busy - core->net.pool[p].soft;
}

static bool in_order(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a, b, sizeof *a) < 0;
}

static bool pools_hold(const struct core *core)
{
    const struct network *net = &core->net;
    for (uint32_t k = 0; k < net->pools.used; k++) {
        const struct pool *pool = &net->pool[net->pools_by_id[k]];
        if (k > 0 && !in_order(&net->pool[net->pools_by_id[k - 1]].row.id, &pool->row.id))
            return false;
        if (!pool_holds(core, k) || !firm_holds(core, k))
            return false;
    }
    return true;
}

/* ---- sites, tenants, jobs ---- */

static bool sites_hold(const struct core *core)
{
    const struct network *net = &core->net;
    for (uint32_t k = 0; k < net->sites.used; k++) {
        uint32_t i = net->sites_by_id[k];
        uint64_t load = 0;
        for (uint32_t p = 0; p < net->pools.used; p++) {
            const struct pool *pool = &net->pool[p];
            if (pool->site.v == i)
                load +=
                    (uint64_t)pool->nodes_up * pool->row.node_chips * net->chip[pool->chip.v].row.idle_watts +
                    pool->busy * pool_chip_watts(core, pool);
        }
        if (load != net->site[i].load ||
            (k > 0 && !in_order(&net->site[net->sites_by_id[k - 1]].row.id, &net->site[i].row.id)))
            return false;
    }
    return true;
}

/* Chips in use are those of tenants, and a tenant's weight is of what there is now. */
static bool tenants_hold(const struct core *core)
{
    for (uint32_t k = 0; k < core->net.chips.used; k++) {
        uint64_t theirs = 0, busy = 0;
        for (uint32_t i = 0; i < core->tenants.used; i++)
            theirs += core->work.tenant_chips[(size_t)i * core->limits.chips + k];
        for (uint32_t p = 0; p < core->net.pools.used; p++)
            busy += core->net.pool[p].chip.v == k ? core->net.pool[p].busy : 0;
        if (theirs != busy)
            return false;
    }
    for (uint32_t i = 0; i < core->tenants.used; i++) {
        if (core->work.dominant[i] != tenant_weight(core, i))
            return false;
    }
    return true;
}

/* A job has its chips while it runs, all of them, and none before. */
static bool jobs_hold(const struct core *core)
{
    const struct work *w = &core->work;
    for (uint32_t i = 0; i < w->jobs.used; i++) {
        const struct job *job = &w->job[i];
        bool runs = job->row.state == JOB_RUNNING;
        uint32_t chips = 0;
        if (!table_live(&w->jobs, i))
            continue;
        for (uint32_t s = job->shares; s != INDEX_NONE; s = w->share[s].next_of_job)
            chips += w->share[s].row.chips;
        if (runs != (job->pool != INDEX_NONE) || chips != (runs ? job->chips : 0))
            return false;
    }
    return true;
}

/* ---- all ---- */

/* A hold that no lease owns would never come back. */
static bool leases_hold(const struct core *core)
{
    uint32_t holds = core->leases.live;
    for (uint32_t i = 0; i < core->leases.used; i++) {
        if (!table_live(&core->leases, i))
            continue;
        const struct lease *lease = &core->lease[i];
        if (!table_live(&core->ledger.transfers, lease->transfer.v) ||
            !table_live(&core->workers, lease->worker.v))
            return false;
        holds += lease->key_transfer.v != INDEX_NONE;
    }
    return holds == core->ledger.transfers.live;
}

int core_check(const struct core *core)
{
    if (!leases_hold(core) || !traffic_holds(core) || !pools_hold(core) || !sites_hold(core) ||
        !tenants_hold(core) || !jobs_hold(core) || !job_usages_hold(core) || !members_hold(core) ||
        !energy_holds(core) || !clusters_hold(core) || !budgets_hold_all(core) || !registry_holds(core))
        return ERR_CORRUPT;
    int rc = services_check(core);
    return rc == 0 ? ledger_audit(&core->ledger) : rc;
}
