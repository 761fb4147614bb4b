/* SPDX-License-Identifier: Apache-2.0 */
/* From rows back to state: the network and its work. */
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

int load_chip(struct core *core, const struct row_chip *row)
{
    size_t len = text_len(row->id, sizeof row->id);
    if (len == 0 || row->idle_watts > row->watts || map_get(&core->net.chip_map, row->id, len) != MAP_NONE)
        return ERR_CORRUPT;
    uint32_t i = table_take(&core->net.chips);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->net.chip[i] = (struct chip){.row = *row};
    map_put(&core->net.chip_map, row->id, len, i);
    return 0;
}

int load_pool(struct core *core, const struct row_pool *row)
{
    struct network *net = &core->net;
    struct site_id site = site_by_id(core, &row->site);
    uint32_t chip = map_get(&net->chip_map, row->chip, text_len(row->chip, sizeof row->chip));
    if (site.v == INDEX_NONE || chip == MAP_NONE || row->nodes == 0 || row->nodes > POOL_NODES_MAX ||
        row->node_chips == 0 || row->node_chips > NODE_CHIPS_MAX || row->domain == 0 ||
        map_get(&net->pool_map, &row->id, sizeof row->id) != MAP_NONE)
        return ERR_CORRUPT;
    uint32_t i = table_take(&net->pools);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    net->pool[i] = (struct pool){.row = *row, .site = site, .chip = {chip}};
    map_put(&net->pool_map, &row->id, sizeof row->id, i);
    network_changed(core);
    return pool_place(core, i);
}

int load_node(struct core *core, const struct row_node *row)
{
    struct network *net = &core->net;
    size_t key = sizeof row->pool + sizeof row->node;
    struct pool_id pool = {map_get(&net->pool_map, &row->pool, sizeof row->pool)};
    if (pool.v == MAP_NONE || row->node >= net->pool[pool.v].row.nodes ||
        (row->state != PLACE_CORDONED && row->state != PLACE_LOST) ||
        map_get(&net->down_map, row, key) != MAP_NONE)
        return ERR_CORRUPT;
    uint32_t i = table_take(&net->down);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    net->down_node[i].row = *row;
    map_put(&net->down_map, row, key, i);
    pool_set_node_power(core, pool, row->node, row->state);
    return 0;
}

int load_corridor(struct core *core, const struct row_corridor *row)
{
    struct network *net = &core->net;
    struct site_id a = site_by_id(core, &row->a), b = site_by_id(core, &row->b);
    if (a.v == INDEX_NONE || b.v == INDEX_NONE || row->bits_s == 0 ||
        map_get(&net->corridor_map, &row->id, sizeof row->id) != MAP_NONE)
        return ERR_CORRUPT;
    uint32_t i = table_take(&net->corridors);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    net->corridor[i] = (struct corridor){.row = *row, .a = a, .b = b};
    if (row->given_bits_s == 0)
        corridor_begin(&net->corridor[i].row); /* it was written before anything was measured */
    map_put(&net->corridor_map, &row->id, sizeof row->id, i);
    return 0;
}

static void request_terms(struct event_job_submit *to, const struct row_job *from)
{
    JOB_COPY_TERMS
}

int load_job(struct core *core, const struct row_job *row)
{
    struct work *w = &core->work;
    struct event_job_submit request = {.job = row->id, .tenant = row->tenant};
    struct shape_key key;
    if (row->state == JOB_ENDED || row->state == JOB_CANCELLED || row->state == JOB_UNMET)
        return 0; /* part of the books, not of the state */
    request_terms(&request, row);
    struct tenant_id tenant = tenant_by_id(core, &row->tenant);
    uint32_t deployment = uuid_zero(&row->deployment) ? INDEX_NONE : deployment_find(core, &row->deployment);
    if (tenant.v == INDEX_NONE || (deployment == INDEX_NONE && !uuid_zero(&row->deployment)) ||
        shape_read(core, &request, tenant, deployment, &key) != 0 ||
        job_by_id(core, &row->id).v != INDEX_NONE ||
        (row->state != JOB_QUEUED && row->state != JOB_RUNNING) || row->alternative >= ALTERNATIVES)
        return ERR_CORRUPT;
    uint32_t lane = table_room(&w->jobs) > 0 ? lane_of(core, tenant.v, &key) : INDEX_NONE;
    if (lane == INDEX_NONE)
        return ERR_LIMIT;
    uint32_t i = table_take(&w->jobs);
    struct job *job = &w->job[i];
    *job = (struct job){.row = *row,
                        .lane = lane,
                        .pool = INDEX_NONE,
                        .shares = INDEX_NONE,
                        .replica = INDEX_NONE,
                        .array = INDEX_NONE,
                        .link = INDEX_NONE};
    map_put(&w->job_map, &job->row.id, sizeof job->row.id, i);
    if (row->state == JOB_QUEUED)
        return 0; /* whether it is in a queue is known when all are there */
    const struct alternative *a = &key.alternative[row->alternative];
    job->pool = map_get(&core->net.pool_map, &row->pool, sizeof row->pool);
    if (job->pool == MAP_NONE || a->count == 0)
        return ERR_CORRUPT;
    job->chips = a->count;
    job->rate = a->rate;
    job->end_ms = row->started_ms + row->transit_ms + job_run_ms(job, a->rate);
    return 0;
}

int load_share(struct core *core, const struct row_share *row)
{
    struct work *w = &core->work;
    struct job_id id = job_by_id(core, &row->job);
    if (id.v == INDEX_NONE || w->job[id.v].row.state != JOB_RUNNING)
        return ERR_CORRUPT;
    uint32_t pool = w->job[id.v].pool;
    struct pool *p = &core->net.pool[pool];
    if (row->node >= p->row.nodes || row->chips == 0 || row->chips > p->node[row->node].free)
        return ERR_CORRUPT;
    uint32_t i = table_take(&w->shares);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    w->share[i].row = *row;
    share_link(core, i, id, pool);
    share_take(core, i);
    work_account(core, id, pool, row->chips, true);
    return 0;
}

int load_work_done(struct core *core)
{
    struct work *w = &core->work;
    int rc = load_follow_done(core);
    for (uint32_t i = 0; i < w->jobs.used && rc == 0; i++) {
        const struct job *job = &w->job[i];
        if (!table_live(&w->jobs, i) || job->parked)
            continue;
        if (job->row.state == JOB_QUEUED) {
            lane_enter(core, (struct job_id){i});
            continue;
        }
        uint32_t chips = 0;
        for (uint32_t s = job->shares; s != INDEX_NONE; s = w->share[s].next_of_job)
            chips += w->share[s].row.chips;
        if (chips != job->chips)
            return ERR_CORRUPT;
    }
    if (rc != 0)
        return rc;
    load_job_usages_done(core);
    arrays_resume(core);
    for (uint32_t i = 0; i < core->net.sites.used; i++)
        site_rate(core, (struct site_id){i});
    dispatch_anew(core);
    return 0;
}
