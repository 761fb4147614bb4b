/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/view.h"

#include "core/kinds.h"
#include "core/state.h"

const struct row_core *view_core(const struct core *core)
{
    return &core->row;
}

int64_t view_now_ms(const struct core *core)
{
    return core->now_ms;
}

#define VIEW_AT(name, tables, array) \
    const struct row_##name *view_##name##_at(const struct core *core, uint32_t *pos) \
    { \
        while (*pos < core->tables.used) { \
            uint32_t i = (*pos)++; \
            if (table_live(&core->tables, i)) \
                return &core->array[i].row; \
        } \
        return NULL; \
    }
VIEW_AT(site, net.sites, net.site)
VIEW_AT(chip, net.chips, net.chip)
VIEW_AT(pool, net.pools, net.pool)
VIEW_AT(corridor, net.corridors, net.corridor)
VIEW_AT(job, work.jobs, work.job)
VIEW_AT(tenant, tenants, tenant)
VIEW_AT(key, keys, key)
VIEW_AT(model, models, model)
VIEW_AT(variant, variants, variant)
VIEW_AT(deployment, deployments, deployment)
VIEW_AT(replica, replicas, replica)
VIEW_AT(project, budgets.projects, budgets.project)
VIEW_AT(notice, budgets.notices, budgets.notice)

const struct row_account *view_account_at(const struct core *core, uint32_t *pos)
{
    if (*pos >= core->ledger.accounts.used)
        return NULL;
    return &core->ledger.account[(*pos)++];
}

uint64_t view_waiting_at(const struct core *core, uint32_t *pos)
{
    while (*pos < core->waiters.used) {
        uint32_t i = (*pos)++;
        if (table_live(&core->waiters, i))
            return core->waiter[i].token;
    }
    return 0;
}

#define VIEW_BY_ID(name, map, array) \
    const struct row_##name *view_##name(const struct core *core, const struct uuid *id) \
    { \
        uint32_t i = map_get(&core->map, id, sizeof *id); \
        return i == MAP_NONE ? NULL : &core->array[i].row; \
    }
VIEW_BY_ID(job_array, follow.array_map, follow.array)
VIEW_BY_ID(tenant, tenant_map, tenant)
VIEW_BY_ID(key, key_map, key)
VIEW_BY_ID(model, model_map, model)
VIEW_BY_ID(variant, variant_map, variant)
VIEW_BY_ID(price, price_map, price)
VIEW_BY_ID(deployment, deployment_map, deployment)
VIEW_BY_ID(site, net.site_map, net.site)
VIEW_BY_ID(pool, net.pool_map, net.pool)
VIEW_BY_ID(corridor, net.corridor_map, net.corridor)
VIEW_BY_ID(transit, traffic.transit_map, traffic.transit)
VIEW_BY_ID(job, work.job_map, work.job)

#define VIEW_BY_TEXT(row_type, function, map, array) \
    const struct row_##row_type *function(const struct core *core, const char *text, size_t len) \
    { \
        uint32_t i = map_get(&core->map, text, len); \
        return i == MAP_NONE ? NULL : &core->array[i].row; \
    }
VIEW_BY_TEXT(tenant, view_tenant_named, tenant_names, tenant)
VIEW_BY_TEXT(model, view_model_named, model_names, model)
VIEW_BY_TEXT(key, view_key_public, key_public, key)

const struct row_site *view_site_named(const struct core *core, const char *name, size_t len)
{
    const struct row_site *row;
    uint32_t pos = 0;
    while ((row = view_site_at(core, &pos)) != NULL) {
        if (text_eq(row->name, text_len(row->name, NAME_CAP), name, len))
            break;
    }
    return row;
}

bool view_chip_known(const struct core *core, const char *name)
{
    return map_get(&core->net.chip_map, name, text_len(name, CHIP_CAP)) != MAP_NONE;
}

const struct row_site *view_site_own(const struct core *core)
{
    uint32_t first = site_first(core);
    return first == INDEX_NONE ? NULL : &core->net.site[first].row;
}

const struct row_corridor *view_corridor_to(const struct core *core, const struct uuid *site)
{
    struct site_id to = site_by_id(core, site), own = {site_first(core)};
    uint32_t i = to.v == INDEX_NONE || to.v == own.v ? INDEX_NONE : corridor_between(core, own, to);
    return i == INDEX_NONE ? NULL : &core->net.corridor[i].row;
}

const struct row_dispatch *view_dispatch(const struct core *core)
{
    return &core->work.row;
}

int64_t view_chip_hour(const struct core *core, const struct uuid *site, const char chip[CHIP_CAP])
{
    const struct network *net = &core->net;
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < net->pools.used && chip[0]; i++) {
        const struct pool *pool = &net->pool[i];
        if (table_live(&net->pools, i) && uuid_eq(&pool->row.site, site) &&
            memcmp(pool->row.chip, chip, CHIP_CAP) == 0 && pool->hour < least)
            least = pool->hour;
    }
    return least < INT64_MAX ? least : 0;
}

uint64_t view_corridor_granted(const struct core *core, const struct uuid *id)
{
    uint32_t i = map_get(&core->net.corridor_map, id, sizeof *id);
    return i == MAP_NONE ? 0 : core->net.corridor[i].granted;
}

uint32_t view_site_state(const struct row_site *site)
{
    return site_state(site);
}

uint32_t view_node_state(const struct core *core, const struct uuid *pool, uint32_t node)
{
    const struct row_node key = {.pool = *pool, .node = node};
    const struct row_pool *row = view_pool(core, pool);
    if (!row || node >= row->nodes)
        return 0;
    uint32_t down = map_get(&core->net.down_map, &key, sizeof key.pool + sizeof key.node);
    return down == MAP_NONE ? PLACE_UP : core->net.down_node[down].row.state;
}

struct view_pool_use view_pool_use(const struct core *core, const struct uuid *id)
{
    uint32_t i = map_get(&core->net.pool_map, id, sizeof *id);
    if (i == MAP_NONE)
        return (struct view_pool_use){0};
    const struct pool *pool = &core->net.pool[i];
    return (struct view_pool_use){.nodes_up = pool->nodes_up, .chips = pool->busy, .free = pool->free};
}

const struct row_deployment *view_deployment_of(const struct core *core, const struct uuid *model)
{
    for (uint32_t pos = 0;;) {
        const struct row_deployment *d = view_deployment_at(core, &pos);
        if (!d || uuid_eq(&d->model, model))
            return d;
    }
}

const struct row_account *view_account(const struct core *core, const struct uuid *owner, uint32_t code,
                                       uint32_t ledger)
{
    struct account_id id = ledger_find(&core->ledger, owner, (enum account_code)code, ledger);
    return id.v == INDEX_NONE ? NULL : ledger_row(&core->ledger, id);
}

struct view_balance view_tenant_balance(const struct core *core, const struct uuid *tenant)
{
    const struct tenant *t = &core->tenant[tenant_by_id(core, tenant).v];
    const struct row_account *wallet = ledger_row(&core->ledger, t->wallet);
    const struct row_account *funding = ledger_row(&core->ledger, t->funding);
    /* What went back to funding was debited too, but not spent; nor is what came from elsewhere: from credit notes. */
    int64_t back = wallet->credits_posted - funding->debits_posted;
    return (struct view_balance){.budget = funding->debits_posted - funding->credits_posted,
                                 .spent = wallet->debits_posted - funding->credits_posted - back,
                                 .held = wallet->debits_pending};
}

struct view_balance view_key_balance(const struct core *core, const struct uuid *key)
{
    const struct key *k = &core->key[key_by_id(core, key).v];
    if (k->limit.v == INDEX_NONE)
        return (struct view_balance){0};
    const struct row_account *limit = ledger_row(&core->ledger, k->limit);
    return (struct view_balance){
        .budget = limit->credits_posted, .spent = limit->debits_posted, .held = limit->debits_pending};
}

struct view_counts view_counts(const struct core *core)
{
    struct view_counts n = {.tenants = core->tenants.live,
                            .models = core->models.live,
                            .deployments = core->deployments.live,
                            .replicas = core->replicas.live,
                            .leases = core->leases.live,
                            .waiters = core->waiters.live,
                            .workers = core->workers.live};
    for (uint32_t i = 0; i < core->keys.used; i++)
        n.keys += core->key[i].row.revoked_ms == 0;
    for (uint32_t i = 0; i < core->replicas.used; i++) {
        n.replicas_ready += table_live(&core->replicas, i) && view_takes_requests(&core->replica[i].row);
    }
    for (uint32_t i = 0; i < core->leases.used; i++) {
        if (table_live(&core->leases, i))
            n.held += ledger_held(&core->ledger, core->lease[i].transfer);
    }
    return n;
}
