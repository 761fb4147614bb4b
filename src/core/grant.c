/* SPDX-License-Identifier: Apache-2.0 */
/* Grants: conditions, whose turn it is, what is left. core/grant.h has the story. */
#include "core/grant.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

#define GRANTS_A_TURN 64   /* end in one step at most */
#define LOOK_AGAIN_MS 1000 /* at a grant that is over and of which something is still held */

static bool grant_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct grant *)table)[i].row.id, key, len) == 0;
}

void grants_carve(struct core *core, struct arena *arena)
{
    CARVE(core, grants.table, grants.grant, GRANTS_MAX);
    index_init(&core->grants.map, arena, GRANTS_MAX, grant_equal, core->grants.grant);
    core->grants.next_ms = INT64_MAX;
}

void grants_collect(struct core *core, row_fn *fn, void *ctx)
{
    struct grants *g = &core->grants;
    bool dead;
    for (uint32_t k = 0; k < g->table.ndirty;
         k++) /* one that is over leaves memory, and is part of the books */
        fn(ctx, ROW_KIND_grant, ROW_PUT, &g->grant[table_changed(&g->table, k, &dead)].row);
    table_clean(&g->table);
}

/* ---- whose turn it is ---- */

static int64_t end_ms(const struct grant *g)
{
    return g->row.expires_ms ? g->row.expires_ms : INT64_MAX;
}

static bool ends_before(const struct grant *a, const struct grant *b)
{
    if (end_ms(a) != end_ms(b))
        return end_ms(a) < end_ms(b);
    return memcmp(&a->row.id, &b->row.id, sizeof a->row.id) < 0;
}

static void enlist(struct core *core, struct grant *grant, struct tenant_id tenant)
{
    struct list *before = &core->tenant[tenant.v].grants;
    list_for_each_safe (it, next, &core->tenant[tenant.v].grants) {
        if (!ends_before(grant, list_entry(it, struct grant, in_tenant)))
            continue;
        before = it;
        break;
    }
    list_push(before, &grant->in_tenant);
}

/* ---- conditions ---- */

static bool is_set(const char *code)
{
    return text_len(code, CODE_CAP) > 0;
}

static bool same_code(const char *a, const char *b)
{
    return text_eq(a, text_len(a, CODE_CAP), b, text_len(b, CODE_CAP));
}

static bool of_origin(const struct core *core, const struct pool *pool, const char *origin)
{
    return same_code(core->net.chip[pool->chip.v].row.origin, origin);
}

/* Of a request it is known at which site it was served, not on which of the chips there: all of them must be of the origin. */
static bool chips_meet(const struct core *core, const struct work_done *work, struct site_id site,
                       const char *origin)
{
    uint32_t i = map_get(&core->net.pool_map, work->pool, sizeof *work->pool), n = 0;
    if (i != MAP_NONE)
        return of_origin(core, &core->net.pool[i], origin);
    for (uint32_t p = 0; p < core->net.pools.used; p++) {
        if (core->net.pool[p].site.v != site.v)
            continue;
        if (!of_origin(core, &core->net.pool[p], origin))
            return false;
        n++;
    }
    return n > 0;
}

static bool names_model(const struct uuid_list *models, const struct uuid *model)
{
    for (uint32_t i = 0; model && i < models->n; i++) {
        if (uuid_eq(&models->v[i], model))
            return true;
    }
    return false;
}

static bool meets(const struct core *core, const struct row_grant *g, const struct work_done *work)
{
    struct site_id site = site_by_id(core, work->site);
    if ((g->kinds && !(g->kinds & work->kind)) || (g->models.n > 0 && !names_model(&g->models, work->model)))
        return false;
    if (!is_set(g->origin) && !is_set(g->jurisdiction))
        return true;
    if (site.v == INDEX_NONE ||
        (is_set(g->jurisdiction) && !same_code(core->net.site[site.v].row.jurisdiction, g->jurisdiction)))
        return false;
    return !is_set(g->origin) || chips_meet(core, work, site, g->origin);
}

/* It pays for any request, whatever model and site it will be. */
static bool for_any_request(const struct row_grant *g)
{
    return !is_set(g->origin) && !is_set(g->jurisdiction) && g->models.n == 0 &&
           (!g->kinds || (g->kinds & GRANT_REQUESTS));
}

static bool is_over(const struct core *core, const struct grant *g)
{
    return g->row.expires_ms != 0 && g->row.expires_ms <= core->now_ms;
}

/* ---- paying ---- */

uint32_t grants_pay(const struct core *core, struct tenant_id tenant, const struct work_done *work,
                    int64_t amount, const struct transfer_order *like, struct transfer_order *out,
                    int64_t *paid)
{
    uint32_t n = 0;
    *paid = 0;
    list_for_each_safe (it, next, &core->tenant[tenant.v].grants) {
        const struct grant *g = list_entry(it, struct grant, in_tenant);
        int64_t left = amount - *paid, available = ledger_available(&core->ledger, g->account);
        if (left == 0 || n == GRANTS_PER_CHARGE)
            break;
        if (available <= 0 || is_over(core, g) || !meets(core, &g->row, work))
            continue;
        out[n] = *like;
        out[n].debit = g->account;
        out[n].amount = left < available ? left : available;
        out[n].id.b[7] = (uint8_t)(like->id.b[7] + n);
        *paid += out[n++].amount;
    }
    return n;
}

int128 grants_unspent(const struct core *core, struct tenant_id tenant, const struct work_done *work)
{
    int128 sum = 0;
    list_for_each_safe (it, next, &core->tenant[tenant.v].grants) {
        const struct grant *g = list_entry(it, struct grant, in_tenant);
        if (!is_over(core, g) && meets(core, &g->row, work))
            sum += ledger_unspent(&core->ledger, g->account);
    }
    return sum;
}

struct account_id grants_source(const struct core *core, struct tenant_id tenant, int64_t amount,
                                int64_t (*fn)(const struct ledger *, struct account_id))
{
    list_for_each_safe (it, next, &core->tenant[tenant.v].grants) {
        const struct grant *g = list_entry(it, struct grant, in_tenant);
        if (!is_over(core, g) && for_any_request(&g->row) && fn(&core->ledger, g->account) >= amount)
            return g->account;
    }
    return core->tenant[tenant.v].wallet;
}

bool grants_left(const struct core *core, struct tenant_id tenant)
{
    list_for_each_safe (it, next, &core->tenant[tenant.v].grants) {
        const struct grant *g = list_entry(it, struct grant, in_tenant);
        if (!is_over(core, g) && ledger_unspent(&core->ledger, g->account) > 0)
            return true;
    }
    return false;
}

/* ---- a grant's life ---- */

static int grant_check(const struct core *core, const struct event *event)
{
    const struct event_grant_add *e = &event->u.grant_add;
    if (tenant_by_id(core, &e->tenant).v == INDEX_NONE || party_by_id(core, &e->sponsor) == MAP_NONE)
        return ERR_NOT_FOUND;
    for (uint32_t i = 0; i < e->models.n; i++) {
        if (model_by_id(core, &e->models.v[i]).v == INDEX_NONE)
            return ERR_NOT_FOUND;
    }
    if (uuid_zero(&e->grant) || (e->kinds & ~GRANT_KINDS_ALL) || e->expires_ms < 0 ||
        (e->expires_ms != 0 && e->expires_ms <= event->at_ms))
        return ERR_INVALID;
    if (e->amount <= 0 || e->amount > MONEY_MAX)
        return ERR_OVERFLOW;
    /* Also of one that is over: its account stays. */
    uint32_t ledger = core->tenant[tenant_by_id(core, &e->tenant).v].row.ledger;
    if (ledger_find(&core->ledger, &e->grant, ACCOUNT_GRANT, ledger).v != INDEX_NONE)
        return ERR_EXISTS;
    return table_room(&core->grants.table) > 0 && table_room(&core->ledger.accounts) >= 2 ? 0 : ERR_LIMIT;
}

int step_grant_add(struct core *core, const struct event *event)
{
    const struct event_grant_add *e = &event->u.grant_add;
    struct account_id from, to = {INDEX_NONE};
    int rc = grant_check(core, event);
    if (rc != 0)
        return rc;
    struct tenant_id tenant = tenant_by_id(core, &e->tenant);
    uint32_t ledger = core->tenant[tenant.v].row.ledger;
    rc = ledger_account(&core->ledger, &e->sponsor, ACCOUNT_SPONSOR, ledger, &from);
    if (rc == 0)
        rc = ledger_account(&core->ledger, &e->grant, ACCOUNT_GRANT, ledger, &to);
    const struct transfer_order order = {.id = e->transfer,
                                         .debit = from,
                                         .credit = to,
                                         .amount = e->amount,
                                         .code = TRANSFER_GRANT,
                                         .event_ms = event->at_ms,
                                         .ref = e->tenant};
    if (rc == 0)
        rc = ledger_transfer(&core->ledger, &order);
    if (rc != 0)
        return rc;
    uint32_t i = table_take(&core->grants.table);
    struct grant *g = &core->grants.grant[i];
    *g = (struct grant){.account = to};
    g->row = (struct row_grant){.id = e->grant,
                                .tenant = e->tenant,
                                .sponsor = e->sponsor,
                                .amount = e->amount,
                                .expires_ms = e->expires_ms,
                                .models = e->models,
                                .kinds = e->kinds,
                                .ledger = ledger,
                                .created_ms = event->at_ms};
    memcpy(g->row.origin, e->origin, sizeof e->origin);
    memcpy(g->row.jurisdiction, e->jurisdiction, sizeof e->jurisdiction);
    map_put(&core->grants.map, &e->grant, sizeof e->grant, i);
    enlist(core, g, tenant);
    grants_look(core);
    lease_serve_waiters(core, tenant, event->at_ms);
    return 0;
}

/* What is left and not held goes back; once nothing is held, the grant is over. False: something is. */
static bool give_back(struct core *core, uint32_t i, uint32_t nth)
{
    struct ledger *l = &core->ledger;
    struct grant *g = &core->grants.grant[i];
    int64_t left = ledger_available(l, g->account);
    const struct transfer_order order = {.id = charge_id(core, (uint8_t)(CHARGE_GRANTS_BACK + nth)),
                                         .debit = g->account,
                                         .credit =
                                             ledger_find(l, &g->row.sponsor, ACCOUNT_SPONSOR, g->row.ledger),
                                         .amount = left,
                                         .code = TRANSFER_GRANT,
                                         .event_ms = core->now_ms,
                                         .ref = g->row.tenant};
    if (left > 0 && ledger_transfer(l, &order) != 0)
        return false;
    if (ledger_row(l, g->account)->debits_pending > 0) {
        lease_recall(core, tenant_by_id(core, &g->row.tenant));
        return false;
    }
    g->row.ended_ms = core->now_ms;
    map_remove(&core->grants.map, &g->row.id, sizeof g->row.id);
    list_remove(&g->in_tenant);
    table_drop(&core->grants.table, i);
    return true;
}

void grants_turn(struct core *core)
{
    struct grants *g = &core->grants;
    bool held = false;
    uint32_t n = 0;
    if (core->now_ms < g->next_ms)
        return;
    for (uint32_t i = 0; i < g->table.used && n < GRANTS_A_TURN; i++) {
        if (!table_live(&g->table, i) || !is_over(core, &g->grant[i]))
            continue;
        held = !give_back(core, i, n++) || held;
    }
    grants_look(core);
    if (held && g->next_ms <= core->now_ms)
        g->next_ms = core->now_ms + LOOK_AGAIN_MS;
}

void grants_look(struct core *core)
{
    struct grants *g = &core->grants;
    g->next_ms = INT64_MAX;
    for (uint32_t i = 0; i < g->table.used; i++) {
        if (table_live(&g->table, i) && end_ms(&g->grant[i]) < g->next_ms)
            g->next_ms = end_ms(&g->grant[i]);
    }
}

int load_grant(struct core *core, const struct row_grant *row)
{
    struct grants *g = &core->grants;
    struct tenant_id tenant = tenant_by_id(core, &row->tenant);
    struct account_id account = ledger_find(&core->ledger, &row->id, ACCOUNT_GRANT, row->ledger);
    if (row->ended_ms != 0)
        return 0; /* part of the books, not of the state */
    if (tenant.v == INDEX_NONE || account.v == INDEX_NONE || party_by_id(core, &row->sponsor) == MAP_NONE ||
        ledger_find(&core->ledger, &row->sponsor, ACCOUNT_SPONSOR, row->ledger).v == INDEX_NONE ||
        map_get(&g->map, &row->id, sizeof row->id) != MAP_NONE)
        return ERR_CORRUPT;
    uint32_t i = table_take(&g->table);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    g->grant[i] = (struct grant){.row = *row, .account = account};
    map_put(&g->map, &row->id, sizeof row->id, i);
    enlist(core, &g->grant[i], tenant);
    return 0;
}
