/* SPDX-License-Identifier: Apache-2.0 */
/* Tenants, their budgets and keys. */
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

struct tenant_id tenant_by_id(const struct core *core, const struct uuid *id)
{
    return (struct tenant_id){map_get(&core->tenant_map, id, sizeof *id)};
}

static bool same_facts(const struct tenant *a, const struct tenant *b)
{
    return memcmp(a->row.jurisdiction, b->row.jurisdiction, CODE_CAP) == 0 &&
           memcmp(a->row.licence, b->row.licence, NAME_CAP) == 0;
}

void tenant_find_peer(struct core *core, struct tenant_id id)
{
    struct tenant *t = &core->tenant[id.v];
    t->peer = id.v;
    for (uint32_t i = 0; i < id.v; i++) {
        const struct tenant *other = &core->tenant[i];
        /* Only of those that are their own peers: the others are equal to one of these. */
        if (other->peer != i || !same_facts(other, t))
            continue;
        t->peer = i;
        return;
    }
}

void tenant_move_peer(struct core *core, struct tenant_id id)
{
    struct tenant *t = &core->tenant[id.v];
    uint32_t heir = INDEX_NONE, lead = id.v;
    for (uint32_t i = 0; i < core->tenants.used; i++) {
        struct tenant *other = &core->tenant[i];
        if (i == id.v)
            continue;
        if (other->peer == id.v) { /* all of these come after it: the first of them is theirs now */
            heir = heir == INDEX_NONE ? i : heir;
            other->peer = heir;
        }
        if (other->peer == i && same_facts(other, t))
            lead = i;
    }
    t->peer = lead < id.v ? lead : id.v;
    for (uint32_t i = 0; lead > id.v && i < core->tenants.used; i++) {
        if (core->tenant[i].peer == lead)
            core->tenant[i].peer = id.v;
    }
}

struct key_id key_by_id(const struct core *core, const struct uuid *id)
{
    return (struct key_id){map_get(&core->key_map, id, sizeof *id)};
}

/* Moves the difference between the budget as it is and as it shall be between wallet and funding account. */
static int budget_set(struct core *core, struct account_id wallet, struct account_id funding, int64_t budget,
                      const struct uuid *transfer, int64_t now_ms)
{
    const struct row_account *row = ledger_row(&core->ledger, funding);
    if (budget < 0 || budget > MONEY_MAX)
        return ERR_OVERFLOW;
    int64_t more = budget - (row->debits_posted - row->credits_posted);
    if (more == 0)
        return 0;
    struct transfer_order order = {.id = *transfer,
                                   .debit = more > 0 ? funding : wallet,
                                   .credit = more > 0 ? wallet : funding,
                                   .amount = more > 0 ? more : -more,
                                   .code = TRANSFER_BUDGET,
                                   .event_ms = now_ms};
    return ledger_transfer(&core->ledger, &order);
}

int step_tenant_add(struct core *core, const struct event *event)
{
    const struct event_tenant_add *e = &event->u.tenant_add;
    size_t len = text_len(e->name, sizeof e->name);
    if (!name_valid(e->name, len) || uuid_zero(&e->tenant) || e->ledger == 0 || e->ledger >= LEDGER_CONTROL)
        return ERR_INVALID;
    if (e->budget < 0 || e->budget > MONEY_MAX)
        return ERR_OVERFLOW;
    if (tenant_by_id(core, &e->tenant).v != INDEX_NONE ||
        map_get(&core->tenant_names, e->name, len) != MAP_NONE)
        return ERR_EXISTS;
    /* All that could be refused further down, before there are accounts. */
    if (e->budget > 0 && ledger_find_transfer(&core->ledger, &e->transfer).v != INDEX_NONE)
        return ERR_EXISTS;
    if (table_room(&core->tenants) == 0 || table_room(&core->ledger.accounts) < 2 ||
        table_room(&core->ledger.transfers) == 0)
        return ERR_LIMIT;
    struct account_id wallet, funding;
    int rc = ledger_account(&core->ledger, &e->tenant, ACCOUNT_WALLET, e->ledger, &wallet);
    if (rc == 0)
        rc = ledger_account(&core->ledger, &e->tenant, ACCOUNT_FUNDING, e->ledger, &funding);
    if (rc == 0)
        rc = budget_set(core, wallet, funding, e->budget, &e->transfer, event->at_ms);
    if (rc != 0)
        return rc;
    uint32_t i = table_take(&core->tenants);
    struct tenant *t = &core->tenant[i];
    *t = (struct tenant){.wallet = wallet, .funding = funding};
    t->row = (struct row_tenant){.id = e->tenant, .ledger = e->ledger, .created_ms = event->at_ms};
    memcpy(t->row.name, e->name, sizeof e->name);
    memcpy(t->row.jurisdiction, e->jurisdiction, sizeof e->jurisdiction);
    memcpy(t->row.licence, e->licence, sizeof e->licence);
    tenant_find_peer(core, (struct tenant_id){i});
    list_init(&t->leases);
    list_init(&t->grants);
    list_init(&t->waiters);
    budgets_add_tenant(core, i);
    map_put(&core->tenant_map, &e->tenant, sizeof e->tenant, i);
    map_put(&core->tenant_names, e->name, len, i);
    core->effects->routes_changed = true;
    return 0;
}

int step_tenant_budget(struct core *core, const struct event *event)
{
    const struct event_tenant_budget *e = &event->u.tenant_budget;
    struct tenant_id id = tenant_by_id(core, &e->tenant);
    if (id.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    struct tenant *t = &core->tenant[id.v];
    int rc = budget_set(core, t->wallet, t->funding, e->budget, &e->transfer, event->at_ms);
    if (rc == ERR_BUDGET_SPENT)
        rc = ERR_WRONG_STATE; /* what is spent or held cannot be taken back */
    if (rc == 0)
        lease_serve_waiters(core, id, event->at_ms);
    return rc;
}

/* Accounts that keep the limit of one key, in the control ledger beside the tenant's currency. */
static int key_limit_open(struct core *core, const struct event_key_add *e, uint32_t ledger, int64_t now_ms,
                          struct account_id *limit)
{
    static const struct uuid network;
    struct account_id used;
    uint32_t number = LEDGER_CONTROL + ledger;
    if (e->budget > MONEY_MAX)
        return ERR_OVERFLOW;
    /* All that could be refused further down, before there are accounts. */
    used = ledger_find(&core->ledger, &network, ACCOUNT_KEY_USED, number);
    if (used.v != INDEX_NONE && e->budget > MONEY_MAX - ledger_row(&core->ledger, used)->debits_posted)
        return ERR_OVERFLOW;
    if (e->budget > 0 && ledger_find_transfer(&core->ledger, &e->transfer).v != INDEX_NONE)
        return ERR_EXISTS;
    if (table_room(&core->ledger.accounts) < 2 || table_room(&core->ledger.transfers) == 0)
        return ERR_LIMIT;
    int rc = ledger_account(&core->ledger, &network, ACCOUNT_KEY_USED, number, &used);
    if (rc == 0)
        rc = ledger_account(&core->ledger, &e->key, ACCOUNT_KEY_LIMIT, number, limit);
    if (rc != 0 || e->budget == 0)
        return rc;
    struct transfer_order order = {.id = e->transfer,
                                   .debit = used,
                                   .credit = *limit,
                                   .amount = e->budget,
                                   .code = TRANSFER_BUDGET,
                                   .event_ms = now_ms};
    return ledger_transfer(&core->ledger, &order);
}

static int key_check(const struct core *core, const struct event_key_add *e)
{
    const uint32_t known = SCOPE_INFERENCE | SCOPE_ADMIN | SCOPE_OPERATOR | SCOPE_JOBS | SCOPE_OVERSEER;
    size_t name_len = text_len(e->name, sizeof e->name);
    size_t public_len = text_len(e->public_id, sizeof e->public_id);
    if (uuid_zero(&e->key) || !name_valid(e->name, name_len) || public_len == 0 || e->scopes == 0 ||
        (e->scopes & ~known) || ((e->scopes & SCOPE_OVERSEER) && e->scopes != SCOPE_OVERSEER) ||
        e->expires_ms < 0)
        return ERR_INVALID;
    if (key_by_id(core, &e->key).v != INDEX_NONE ||
        map_get(&core->key_public, e->public_id, public_len) != MAP_NONE)
        return ERR_EXISTS;
    for (uint32_t i = 0; i < e->models.n; i++) {
        if (model_by_id(core, &e->models.v[i]).v == INDEX_NONE)
            return ERR_NOT_FOUND;
    }
    return table_room(&core->keys) > 0 ? project_check(core, &e->project, &e->tenant) : ERR_LIMIT;
}

int step_key_add(struct core *core, const struct event *event)
{
    const struct event_key_add *e = &event->u.key_add;
    struct tenant_id tenant = tenant_by_id(core, &e->tenant);
    if (tenant.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    struct account_id limit = {INDEX_NONE};
    int rc = key_check(core, e);
    if (rc == 0 && e->budget >= 0)
        rc = key_limit_open(core, e, core->tenant[tenant.v].row.ledger, event->at_ms, &limit);
    if (rc != 0)
        return rc;
    uint32_t i = table_take(&core->keys);
    struct key *k = &core->key[i];
    *k = (struct key){.tenant = tenant, .limit = limit, .budget = {INDEX_NONE, INDEX_NONE}};
    k->row = (struct row_key){.id = e->key,
                              .tenant = e->tenant,
                              .scopes = e->scopes,
                              .rpm = e->rpm,
                              .tpm = e->tpm,
                              .expires_ms = e->expires_ms,
                              .budget = e->budget,
                              .models = e->models,
                              .created_ms = event->at_ms,
                              .project = e->project};
    k->project = project_of(core, &k->row);
    project_ref(core, &e->project);
    memcpy(k->row.name, e->name, sizeof e->name);
    memcpy(k->row.public_id, e->public_id, sizeof e->public_id);
    memcpy(k->row.hash, e->hash, sizeof e->hash);
    map_put(&core->key_map, &e->key, sizeof e->key, i);
    map_put(&core->key_public, k->row.public_id, text_len(k->row.public_id, 16), i);
    core->effects->routes_changed = true;
    return 0;
}

int step_key_revoke(struct core *core, const struct event *event)
{
    struct key_id id = key_by_id(core, &event->u.key_revoke.key);
    if (id.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    struct key *k = &core->key[id.v];
    if (k->row.revoked_ms != 0)
        return 0;
    k->row.revoked_ms = event->at_ms;
    table_touch(&core->keys, id.v);
    project_unref(core, &k->row);
    lease_refuse_waiters(core, &k->row.id, ERR_UNAUTHENTICATED);
    /* It may have been at the head, before others. */
    lease_serve_waiters(core, k->tenant, event->at_ms);
    core->effects->routes_changed = true;
    return 0;
}
