/* SPDX-License-Identifier: Apache-2.0 */
/* Metering: what a request used, billed against its lease at the price that it was admitted under. */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"
#include "core/view.h"

#define HOUR_MS INT64_C(3600000)

int step_worker_join(struct core *core, const struct event *event)
{
    const struct uuid *id = &event->u.worker_join.worker;
    const struct uuid *gateway = &event->u.worker_join.gateway;
    if (uuid_zero(id))
        return ERR_INVALID;
    if (!uuid_zero(gateway) && !view_gateway(core, gateway))
        return ERR_NOT_FOUND;
    if (map_get(&core->worker_map, id, sizeof *id) != MAP_NONE)
        return ERR_EXISTS;
    uint32_t i = table_take(&core->workers);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->worker[i].row = (struct row_worker){.id = *id, .joined_ms = event->at_ms, .gateway = *gateway};
    map_put(&core->worker_map, id, sizeof *id, i);
    return 0;
}

/* Totals of the open batch. A batch has few distinct cells and many records, so the last one is tried first. */
static struct row_usage *usage_cell(struct core *core, const struct row_usage *like)
{
    for (uint32_t i = core->nusage; i-- > 0;) {
        struct row_usage *row = &core->usage[i].row;
        if (row->hour == like->hour && uuid_eq(&row->key, &like->key) && uuid_eq(&row->model, &like->model))
            return row;
    }
    assert(core->nusage < USAGE_CELLS_MAX);
    struct row_usage *row = &core->usage[core->nusage++].row;
    *row = *like;
    return row;
}

void usage_energy(struct core *core, const struct row_energy_weight *whose, uint64_t energy_mj,
                  uint64_t carbon)
{
    const struct row_usage like = {.tenant = whose->tenant,
                                   .key = whose->key,
                                   .model = whose->model,
                                   .hour = (uint64_t)(core->now_ms / HOUR_MS)};
    struct row_usage *row = usage_cell(core, &like);
    row->energy_mj += energy_mj;
    row->carbon_ng += carbon;
}

/* Id of the transfer that moves gathered rounding: unique as (worker, sequence) is, and drawn by nobody. */
static struct uuid rounding_id(const struct event_meter *e)
{
    struct uuid id = e->worker;
    for (int i = 0; i < 7; i++)
        id.b[15 - i] ^= (uint8_t)(e->sequence >> (8 * i));
    return id;
}

/* A lease that draws on a key's own limit or budget is for that key alone, any other one for keys of the same
 * project, or of none. */
static bool may_draw(const struct core *core, const struct key *k, const struct lease *lease)
{
    uint32_t purse = lease->row.purse;
    if (k->limit.v != INDEX_NONE || lease->key_transfer.v != INDEX_NONE || purse == BUDGET_KEY)
        return uuid_eq(&lease->row.key, &k->row.id);
    return core->key[key_by_id(core, &lease->row.key).v].project == k->project;
}

/* Everything that can be refused is refused here, before anything changes. */
static int meter_check(const struct core *core, const struct event_meter *e, uint64_t free,
                       struct used_at *at, struct lease **lease, int64_t *cost, int64_t *residue)
{
    uint32_t worker = map_get(&core->worker_map, &e->worker, sizeof e->worker);
    struct key_id key = key_by_id(core, &e->key);
    uint32_t price = map_get(&core->price_map, &e->price, sizeof e->price);
    if (worker == MAP_NONE || key.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (e->sequence <= core->worker[worker].row.sequence)
        return ERR_DUPLICATE;
    if (!uuid_eq(&core->key[key.v].row.tenant, &e->tenant))
        return ERR_FORBIDDEN;
    struct price rate = {0};
    if (price != MAP_NONE) {
        const struct row_price *p = &core->price[price].row;
        if (!uuid_eq(&p->model, &e->model) || (p->flags & PRICE_GENERAL))
            return ERR_INVALID;
        if (!uuid_zero(&p->tenant) && !uuid_eq(&p->tenant, &e->tenant))
            return ERR_FORBIDDEN;
        rate = (struct price){p->prompt, p->cached, p->completion, p->reasoning};
    } else if (!uuid_zero(&e->price)) {
        return ERR_NOT_FOUND;
    }
    struct tokens tokens = {e->prompt, e->cached, e->completion, e->reasoning};
    if (tokens.cached > tokens.prompt || tokens.reasoning > tokens.completion)
        return ERR_INVALID;
    tokens = tokens_less(&tokens, free);
    int rc = event_time(core, tenant_by_id(core, &e->tenant), e->used_ms, 0, at);
    if (rc == 0)
        rc = money_cost(&tokens, &rate, cost, residue);
    if (rc != 0 || *cost == 0)
        return rc;
    *lease = lease_by_id(core, &e->lease);
    if (!*lease || !uuid_eq(&(*lease)->row.worker, &e->worker) || !uuid_eq(&(*lease)->row.tenant, &e->tenant))
        return ERR_NOT_FOUND;
    if (!may_draw(core, &core->key[key.v], *lease))
        return ERR_FORBIDDEN;
    return *cost <= ledger_held(&core->ledger, (*lease)->transfer) ? 0 : ERR_OVERFLOW;
}

/* What grants pay that the request meets; nothing where the hold is on a grant already. */
static uint32_t granted(const struct core *core, const struct event_meter *e, const struct lease *lease,
                        int64_t cost, struct transfer_order *out, int64_t *paid)
{
    static const struct uuid unknown;
    const struct transfer *held = &core->ledger.transfer[lease->transfer.v];
    const struct work_done work = {
        .kind = GRANT_REQUESTS, .site = &e->site, .model = &e->model, .pool = &unknown};
    const struct transfer_order like = {.id = charge_id(core, CHARGE_GRANTS_REQUEST),
                                        .credit = held->credit,
                                        .code = TRANSFER_LEASE,
                                        .event_ms = core->now_ms,
                                        .ref = e->key};
    *paid = 0;
    if (held->row.debit_code == ACCOUNT_GRANT)
        return 0;
    return grants_pay(core, lease->tenant, &work, cost, &like, out, paid);
}

/* What the site owes for the CO2e of requests before this one; so much of it is taken out of this one's charge. */
static int64_t carbon_due(const struct core *core, const struct uuid *site)
{
    struct site_id id = site_by_id(core, site);
    return id.v == INDEX_NONE ? 0 : core->net.site[id.v].row.carbon_due;
}

static void carbon_taken(struct core *core, const struct uuid *site, int64_t amount)
{
    struct site_id id = site_by_id(core, site);
    if (amount == 0)
        return;
    core->net.site[id.v].row.carbon_due -= amount;
    table_touch(&core->net.sites, id.v);
}

/* The charge with what rounding gave or took, and where its parts go: all of it is posted, or nothing. */
static int bill(struct core *core, const struct event *event, struct lease *lease, int64_t cost,
                int64_t residue, struct charged *charged)
{
    static const struct uuid network;
    struct ledger *l = &core->ledger;
    const struct event_meter *e = &event->u.meter;
    const struct row_tenant *tenant = &core->tenant[lease->tenant.v].row;
    const struct transfer *held = &l->transfer[lease->transfer.v];
    const struct charge charge = {.from = held->credit,
                                  .site = &e->site,
                                  .tax = tenant->tax,
                                  .amount = cost,
                                  .carbon = carbon_due(core, &e->site),
                                  .id = charge_id(core, CHARGE_PARTS_REQUEST),
                                  .ref = e->request};
    struct transfer_order order[GRANTS_PER_CHARGE + CHARGE_PARTS_MAX + 1];
    struct account_id rounding;
    struct parts parts;
    struct uuid id = rounding_id(e);
    int64_t paid;
    int rc = ledger_account(l, &network, ACCOUNT_ROUNDING, tenant->ledger, &rounding);
    if (rc == 0)
        rc = charge_divide(core, &charge, &parts);
    if (rc != 0)
        return rc;
    uint32_t n = granted(core, e, lease, cost, order, &paid);
    memcpy(&order[n], parts.order, parts.n * sizeof order[0]);
    n += parts.n;
    n += ledger_round_order(l, rounding, charge.from, residue, &id, event->at_ms, &order[n]);
    rc = ledger_link(l, order, n);
    if (rc != 0)
        return rc;
    carbon_taken(core, &e->site, parts.carbon);
    ledger_round_done(l, rounding, residue);
    ledger_post(l, lease->transfer, cost - paid);
    ledger_release(l, lease->transfer, paid);
    if (lease->key_transfer.v != INDEX_NONE)
        ledger_post(l, lease->key_transfer, cost);
    /* Budgets count all that work costs, whoever pays for it. */
    budgets_spend(core, &lease->draws, cost, true);
    budgets_spend_soft(core, lease->tenant, key_by_id(core, &e->key), cost);
    *charged =
        (struct charged){.tax = parts.tax, .granted = held->row.debit_code == ACCOUNT_GRANT ? cost : paid};
    return 0;
}

int step_meter(struct core *core, const struct event *event)
{
    const struct event_meter *e = &event->u.meter;
    struct lease *lease = NULL;
    int64_t cost = 0;
    int64_t residue = 0;
    struct charged charged = {0};
    struct used_at at = {0};
    struct tenant_id tenant = tenant_by_id(core, &e->tenant);
    uint64_t all = (uint64_t)e->prompt + e->completion;
    uint64_t left =
        tenant.v == INDEX_NONE || uuid_zero(&e->price) ? 0 : allowance_left(core, tenant.v, &e->model, "");
    uint64_t free = all < left ? all : left;
    int rc = meter_check(core, e, free, &at, &lease, &cost, &residue);
    if (rc == ERR_TOO_OLD || rc == ERR_TOO_NEW)
        tally_add(core, TALLY_METER_REFUSED, rc);
    if (rc == 0 && lease)
        rc = bill(core, event, lease, cost, residue, &charged);
    if (rc != 0)
        return rc;
    uint32_t worker = map_get(&core->worker_map, &e->worker, sizeof e->worker);
    core->worker[worker].row.sequence = e->sequence;
    table_touch(&core->workers, worker);
    const struct row_usage like = {
        .tenant = e->tenant, .key = e->key, .model = e->model, .hour = (uint64_t)(at.used_ms / HOUR_MS)};
    struct row_usage *usage = usage_cell(core, &like);
    usage->requests += e->flags & METER_FINAL ? 1 : 0;
    usage->prompt += e->prompt;
    usage->cached += e->cached;
    usage->completion += e->completion;
    usage->reasoning += e->reasoning;
    usage->cost += cost;
    bill_request(core, e, &at, cost, free, &charged);
    event_time_count(core, tenant, &at);
    energy_count(core, e);
    allowance_use(core, tenant.v, &e->model, "", free);
    effect_reply(core, event->token, 0, cost);
    if (lease && !list_empty(&core->tenant[lease->tenant.v].waiters))
        lease_serve_waiters(core, lease->tenant, event->at_ms);
    return 0;
}
