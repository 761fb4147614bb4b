/* SPDX-License-Identifier: Apache-2.0 */
/* From rows back to state: after a restart, and when a commit has failed. */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

/* A second row with an id or a name that is taken would make the map lie. */
static bool taken(const struct map *map, const void *key, size_t len)
{
    return map_get(map, key, len) != MAP_NONE;
}

static int load_site(struct core *core, const struct row_site *row)
{
    if (taken(&core->net.site_map, &row->id, sizeof row->id) || row->carbon_due < 0 ||
        row->carbon_due > MONEY_MAX)
        return ERR_CORRUPT;
    struct row_site site = *row;
    if (row->state == 0) /* written before sites had states */
        site.state = PLACE_UP;
    return site_put(core, &site);
}

static int load_tenant(struct core *core, const struct row_tenant *row)
{
    if (taken(&core->tenant_map, &row->id, sizeof row->id) ||
        taken(&core->tenant_names, row->name, text_len(row->name, NAME_CAP)))
        return ERR_CORRUPT;
    uint32_t i = table_take(&core->tenants);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    /* Accounts come after tenants; core_load_done links them. */
    core->tenant[i] = (struct tenant){.row = *row, .wallet = {INDEX_NONE}, .funding = {INDEX_NONE}};
    tenant_find_peer(core, (struct tenant_id){i});
    list_init(&core->tenant[i].leases);
    list_init(&core->tenant[i].grants);
    list_init(&core->tenant[i].waiters);
    budgets_add_tenant(core, i);
    map_put(&core->tenant_map, &row->id, sizeof row->id, i);
    map_put(&core->tenant_names, row->name, text_len(row->name, NAME_CAP), i);
    return 0;
}

static int load_key(struct core *core, const struct row_key *row)
{
    struct tenant_id tenant = tenant_by_id(core, &row->tenant);
    if (tenant.v == INDEX_NONE || taken(&core->key_map, &row->id, sizeof row->id) ||
        taken(&core->key_public, row->public_id, text_len(row->public_id, 16)))
        return ERR_CORRUPT;
    uint32_t i = table_take(&core->keys);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->key[i] = (struct key){
        .row = *row, .tenant = tenant, .project = INDEX_NONE, .budget = {INDEX_NONE, INDEX_NONE}};
    uint32_t number = LEDGER_CONTROL + core->tenant[tenant.v].row.ledger;
    core->key[i].limit.v = INDEX_NONE;
    if (row->budget >= 0)
        core->key[i].limit = ledger_find(&core->ledger, &row->id, ACCOUNT_KEY_LIMIT, number);
    if (row->budget >= 0 && core->key[i].limit.v == INDEX_NONE)
        return ERR_CORRUPT;
    map_put(&core->key_map, &row->id, sizeof row->id, i);
    map_put(&core->key_public, row->public_id, text_len(row->public_id, 16), i);
    return 0;
}

static int load_model(struct core *core, const struct row_model *row)
{
    if (taken(&core->model_map, &row->id, sizeof row->id) ||
        taken(&core->model_names, row->name, text_len(row->name, NAME_CAP)))
        return ERR_CORRUPT;
    uint32_t i = table_take(&core->models);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->model[i] = (struct model){.row = *row};
    map_put(&core->model_map, &row->id, sizeof row->id, i);
    map_put(&core->model_names, row->name, text_len(row->name, NAME_CAP), i);
    return 0;
}

static int load_variant(struct core *core, const struct row_variant *row)
{
    struct model_id model = model_by_id(core, &row->model);
    if (model.v == INDEX_NONE || taken(&core->variant_map, &row->id, sizeof row->id))
        return ERR_CORRUPT;
    uint32_t i = table_take(&core->variants);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->variant[i] = (struct variant){.row = *row, .model = model};
    core->model[model.v].nvariants++;
    map_put(&core->variant_map, &row->id, sizeof row->id, i);
    return 0;
}

static bool price_in_range(int64_t price)
{
    return price >= 0 && price <= PRICE_MAX;
}

static int load_price(struct core *core, const struct row_price *row)
{
    if (row->flags & PRICE_CLOSED)
        return 0; /* part of the books, not of the state */
    if (taken(&core->price_map, &row->id, sizeof row->id) || !price_in_range(row->prompt) ||
        !price_in_range(row->cached) || !price_in_range(row->completion) || !price_in_range(row->reasoning))
        return ERR_CORRUPT;
    uint32_t i = table_take(&core->prices);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->price[i].row = *row;
    map_put(&core->price_map, &row->id, sizeof row->id, i);
    return price_load_own(core, i);
}

static int load_worker(struct core *core, const struct row_worker *row)
{
    if (taken(&core->worker_map, &row->id, sizeof row->id))
        return ERR_CORRUPT;
    uint32_t i = table_take(&core->workers);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->worker[i].row = *row;
    map_put(&core->worker_map, &row->id, sizeof row->id, i);
    return 0;
}

static int load_lease(struct core *core, const struct row_lease *row)
{
    struct tenant_id tenant = tenant_by_id(core, &row->tenant);
    struct transfer_id held = ledger_find_transfer(&core->ledger, &row->id);
    struct transfer_id own = {INDEX_NONE};
    uint32_t worker = map_get(&core->worker_map, &row->worker, sizeof row->worker);
    if (!uuid_zero(&row->key_transfer))
        own = ledger_find_transfer(&core->ledger, &row->key_transfer);
    if (tenant.v == INDEX_NONE || held.v == INDEX_NONE || worker == MAP_NONE ||
        key_by_id(core, &row->key).v == INDEX_NONE || taken(&core->lease_map, &row->id, sizeof row->id) ||
        (own.v == INDEX_NONE && !uuid_zero(&row->key_transfer)))
        return ERR_CORRUPT;
    uint32_t i = table_take(&core->leases);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->lease[i] = (struct lease){
        .row = *row, .transfer = held, .key_transfer = own, .tenant = tenant, .worker = {worker}};
    list_push(&core->tenant[tenant.v].leases, &core->lease[i].in_tenant);
    map_put(&core->lease_map, &row->id, sizeof row->id, i);
    return 0;
}

static int load_deployment(struct core *core, const struct row_deployment *row)
{
    struct model_id model = model_by_id(core, &row->model);
    if (model.v == INDEX_NONE || taken(&core->deployment_map, &row->id, sizeof row->id))
        return ERR_CORRUPT;
    for (uint32_t k = 0; k < row->sites.n; k++) {
        if (site_by_id(core, &row->sites.v[k]).v == INDEX_NONE)
            return ERR_CORRUPT;
    }
    uint32_t i = table_take(&core->deployments);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->deployment[i] =
        (struct deployment){.row = *row, .model = model, .service = INDEX_NONE, .cluster = INDEX_NONE};
    core->model[model.v].ndeployments++;
    map_put(&core->deployment_map, &row->id, sizeof row->id, i);
    return 0;
}

static int load_replica(struct core *core, const struct row_replica *row)
{
    uint32_t d = map_get(&core->deployment_map, &row->deployment, sizeof row->deployment);
    if (d == MAP_NONE || row->state < REPLICA_WANTED || row->state > REPLICA_STOPPED ||
        (!uuid_zero(&row->site) && site_by_id(core, &row->site).v == INDEX_NONE))
        return ERR_CORRUPT;
    uint32_t i = table_take(&core->replicas);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->replica[i] = (struct replica){.row = *row, .deployment = d, .served = INDEX_NONE};
    return 0;
}

static int load_core(struct core *core, const struct row_core *row)
{
    core->row = *row;
    memcpy(core->rng.s, &row->rng0, sizeof core->rng.s);
    return 0;
}

static int load_account(struct core *core, const struct row_account *row)
{
    return ledger_load_account(&core->ledger, row);
}

static int load_transfer(struct core *core, const struct row_transfer *row)
{
    return ledger_load_transfer(&core->ledger, row);
}

static int load_dispatch(struct core *core, const struct row_dispatch *row)
{
    core->work.row = *row;
    return 0;
}

/* Totals are part of the books, not of the state. */
#define LOAD_NOTHING(n) \
    static int load_##n(struct core *core, const struct row_##n *row) \
    { \
        (void)core; \
        (void)row; \
        return 0; \
    }
LOAD_NOTHING(usage)
LOAD_NOTHING(bill)
LOAD_NOTHING(invoice)
LOAD_NOTHING(billed)
LOAD_NOTHING(used)
LOAD_NOTHING(tally)
LOAD_NOTHING(denial)
LOAD_NOTHING(drill)
LOAD_NOTHING(unit_past)

bool core_has_rows(enum row_kind kind)
{
    return kind != ROW_KIND_usage && kind != ROW_KIND_bill && kind != ROW_KIND_invoice &&
           kind != ROW_KIND_used && kind != ROW_KIND_tally && kind != ROW_KIND_denial &&
           kind != ROW_KIND_drill && kind != ROW_KIND_billed && kind != ROW_KIND_unit_past;
}

int core_load(struct core *core, enum row_kind kind, const void *row)
{
#define LOAD_ROW(n, k, L, keys) \
    case ROW_KIND_##n: \
        return load_##n(core, row);
    switch (kind) {
        ROWS(LOAD_ROW)
    case ROW_KIND_END:
        break;
    }
#undef LOAD_ROW
    return 0;
}

static void ignore_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    (void)ctx;
    (void)kind;
    (void)op;
    (void)row;
}

int core_load_done(struct core *core)
{
    for (uint32_t i = 0; i < core->tenants.used; i++) {
        struct tenant *t = &core->tenant[i];
        t->wallet = ledger_find(&core->ledger, &t->row.id, ACCOUNT_WALLET, t->row.ledger);
        t->funding = ledger_find(&core->ledger, &t->row.id, ACCOUNT_FUNDING, t->row.ledger);
        if (t->wallet.v == INDEX_NONE || t->funding.v == INDEX_NONE)
            return ERR_CORRUPT;
    }
    int rc = load_budgets_done(core);
    if (rc == 0)
        rc = load_rules_done(core);
    if (rc == 0)
        rc = load_work_done(core);
    if (rc == 0)
        rc = load_services_done(core);
    if (rc == 0)
        rc = load_clusters_done(core);
    if (rc == 0)
        rc = load_plan_done(core);
    if (rc == 0)
        rc = load_tariff_done(core);
    if (rc != 0)
        return rc;
    tariff_look(core);
    grants_look(core);
    recalls_look(core);
    core_collect(core, ignore_row, NULL); /* what was just read is not a change */
    return core_check(core);
}
