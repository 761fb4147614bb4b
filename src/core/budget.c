/* SPDX-License-Identifier: Apache-2.0 */
#include "core/budget.h"

#include <assert.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/month.h"
#include "core/state.h"
#include "core/view.h"

/* ---- periods ---- */

/* 1 January 1970 was a Thursday: three days after a Monday. */
#define MONDAY_DAYS 3

int64_t budget_period_begin(uint32_t per, int64_t now_ms)
{
    const int64_t day = now_ms / DAY_MS;
    switch (per) {
    case BUDGET_DAY:
        return day * DAY_MS;
    case BUDGET_WEEK:
        return ((day + MONDAY_DAYS) / 7 * 7 - MONDAY_DAYS) * DAY_MS;
    case BUDGET_MONTH:
        return month_begin_ms(month_of(now_ms));
    default:
        return 0;
    }
}

int64_t budget_period_end(uint32_t per, int64_t now_ms)
{
    switch (per) {
    case BUDGET_DAY:
        return budget_period_begin(per, now_ms) + DAY_MS;
    case BUDGET_WEEK:
        return budget_period_begin(per, now_ms) + 7 * DAY_MS;
    case BUDGET_MONTH:
        return month_begin_ms(month_of(now_ms) + 1);
    default:
        return INT64_MAX;
    }
}

static bool is_over(const struct core *core, const struct row_budget *row)
{
    return row->per != BUDGET_EVER && core->now_ms >= budget_period_end(row->per, row->begun_ms);
}

/* Posted in the period that it is now. */
static int64_t spent(const struct core *core, const struct row_budget *row)
{
    return is_over(core, row) ? 0 : row->spent;
}

static void begin_anew(struct core *core, uint32_t i)
{
    struct row_budget *row = &core->budgets.budget[i].row;
    row->begun_ms = budget_period_begin(row->per, core->now_ms);
    row->spent = 0;
    row->told = 0;
    table_touch(&core->budgets.table, i);
}

void budgets_look(struct core *core)
{
    struct budgets *b = &core->budgets;
    b->next_ms = INT64_MAX;
    for (uint32_t i = 0; i < b->table.used; i++) {
        if (!table_live(&b->table, i))
            continue;
        int64_t end_ms = budget_period_end(b->budget[i].row.per, b->budget[i].row.begun_ms);
        b->next_ms = end_ms < b->next_ms ? end_ms : b->next_ms;
    }
}

void budgets_turn(struct core *core)
{
    struct budgets *b = &core->budgets;
    if (core->now_ms < b->next_ms)
        return;
    for (uint32_t i = 0; i < b->table.used; i++) {
        if (table_live(&b->table, i) && is_over(core, &b->budget[i].row))
            begin_anew(core, i);
    }
    budgets_look(core);
    for (uint32_t i = 0; i < core->tenants.used; i++) {
        if (!list_empty(&core->tenant[i].waiters))
            lease_serve_waiters(core, (struct tenant_id){i}, core->now_ms);
    }
}

/* ---- what may be drawn ---- */

uint32_t view_key_purse(const struct row_key *row)
{
    if (row->budget >= 0 || row->limited)
        return BUDGET_KEY;
    return uuid_zero(&row->project) ? BUDGET_TENANT : BUDGET_PROJECT;
}

struct draws budgets_of(const struct core *core, struct tenant_id tenant, struct key_id key, uint32_t purse)
{
    struct draws out = {{INDEX_NONE, INDEX_NONE, INDEX_NONE, INDEX_NONE}};
    uint32_t project = key.v == INDEX_NONE ? INDEX_NONE : core->key[key.v].project;
    out.v[BUDGET_TENANT] = core->tenant[tenant.v].budget[BUDGET_HARD];
    if (purse >= BUDGET_PROJECT && project != INDEX_NONE)
        out.v[BUDGET_PROJECT] = core->budgets.project[project].budget[BUDGET_HARD];
    if (purse >= BUDGET_KEY && key.v != INDEX_NONE)
        out.v[BUDGET_KEY] = core->key[key.v].budget[BUDGET_HARD];
    return out;
}

static int64_t room(const struct core *core, uint32_t i, bool held)
{
    const struct budget *b = &core->budgets.budget[i];
    return b->row.amount - spent(core, &b->row) - (held ? b->held : 0);
}

int64_t budgets_room(const struct core *core, const struct draws *draws, bool held)
{
    int64_t least = INT64_MAX;
    for (uint32_t s = BUDGET_TENANT; s < BUDGET_SCOPES_END; s++) {
        int64_t one = draws->v[s] == INDEX_NONE ? INT64_MAX : room(core, draws->v[s], held);
        least = one < least ? one : least;
    }
    return least;
}

int64_t budgets_lack(const struct core *core, const struct draws *draws, int64_t want)
{
    for (uint32_t s = BUDGET_TENANT; s < BUDGET_SCOPES_END; s++) {
        if (draws->v[s] == INDEX_NONE || room(core, draws->v[s], false) >= want)
            continue;
        uint32_t per = core->budgets.budget[draws->v[s]].row.per;
        int64_t until_ms = per == BUDGET_EVER ? 0 : budget_period_end(per, core->now_ms);
        return budget_refusal(s, per, until_ms);
    }
    return 0;
}

struct payer payer_of(const struct core *core, struct tenant_id tenant, const struct uuid *key)
{
    struct payer p = {.tenant = tenant, .key = key_by_id(core, key), .limit = {INDEX_NONE}};
    if (p.key.v != INDEX_NONE)
        p.limit = core->key[p.key.v].limit;
    p.draws = budgets_of(core, tenant, p.key, BUDGET_KEY);
    return p;
}

int64_t payer_room(const struct core *core, const struct payer *p, bool held)
{
    int64_t (*fn)(const struct ledger *, struct account_id) = held ? ledger_available : ledger_unspent;
    int64_t least = budgets_room(core, &p->draws, held);
    int64_t own = p->limit.v == INDEX_NONE ? INT64_MAX : fn(&core->ledger, p->limit);
    return own < least ? own : least;
}

/* ---- drawing ---- */

int payer_limit(struct core *core, const struct payer *p, const struct transfer_order *like,
                struct transfer_order *out, uint32_t *n)
{
    static const struct uuid network;
    struct ledger *l = &core->ledger;
    *n = p->limit.v != INDEX_NONE;
    if (*n == 0)
        return 0;
    *out = *like;
    out->debit = p->limit;
    return ledger_account(l, &network, ACCOUNT_KEY_USED, ledger_row(l, p->limit)->ledger, &out->credit);
}

void budgets_hold(struct core *core, const struct draws *draws, int64_t amount)
{
    for (uint32_t s = BUDGET_TENANT; s < BUDGET_SCOPES_END; s++) {
        if (draws->v[s] == INDEX_NONE)
            continue;
        assert(amount <= room(core, draws->v[s], true));
        core->budgets.budget[draws->v[s]].held += amount;
    }
}

void budgets_release(struct core *core, const struct draws *draws, int64_t amount)
{
    for (uint32_t s = BUDGET_TENANT; s < BUDGET_SCOPES_END; s++) {
        if (draws->v[s] == INDEX_NONE)
            continue;
        struct budget *b = &core->budgets.budget[draws->v[s]];
        assert(amount <= b->held);
        b->held -= amount;
    }
}

static const uint32_t thresholds[] = {50, 80, 100};

/* The highest of its thresholds that what was spent has reached; 0: none. */
static uint32_t reached(const struct row_budget *row)
{
    uint32_t most = 0;
    for (size_t i = 0; i < sizeof thresholds / sizeof thresholds[0]; i++) {
        uint32_t percent = row->at ? row->at : thresholds[i];
        if (row->spent > 0 && (int128)row->spent * 100 >= (int128)row->amount * percent)
            most = percent;
    }
    return most;
}

static void spend(struct core *core, uint32_t i, int64_t amount)
{
    struct budget *b = &core->budgets.budget[i];
    if (is_over(core, &b->row))
        begin_anew(core, i);
    b->row.spent +=
        amount; /* each is bounded by MONEY_MAX, which its sum for a soft one is held to as well */
    if (b->row.spent > MONEY_MAX)
        b->row.spent = MONEY_MAX;
    table_touch(&core->budgets.table, i);
    uint32_t percent = reached(&b->row);
    if (percent <= b->row.told)
        return;
    b->row.told = percent;
    notice_budget(core, b, percent);
}

void budgets_spend(struct core *core, const struct draws *draws, int64_t amount, bool held)
{
    if (amount == 0)
        return;
    if (held)
        budgets_release(core, draws, amount);
    for (uint32_t s = BUDGET_TENANT; s < BUDGET_SCOPES_END; s++) {
        if (draws->v[s] == INDEX_NONE)
            continue;
        assert(amount <= room(core, draws->v[s], true));
        spend(core, draws->v[s], amount);
    }
}

void budgets_spend_soft(struct core *core, struct tenant_id tenant, struct key_id key, int64_t amount)
{
    uint32_t project = key.v == INDEX_NONE ? INDEX_NONE : core->key[key.v].project;
    const uint32_t soft[] = {
        core->tenant[tenant.v].budget[BUDGET_SOFT],
        project == INDEX_NONE ? INDEX_NONE : core->budgets.project[project].budget[BUDGET_SOFT],
        key.v == INDEX_NONE ? INDEX_NONE : core->key[key.v].budget[BUDGET_SOFT],
    };
    for (size_t i = 0; amount > 0 && i < sizeof soft / sizeof soft[0]; i++) {
        if (soft[i] != INDEX_NONE)
            spend(core, soft[i], amount);
    }
}

/* ---- setting ---- */

struct owner {
    struct tenant_id tenant;
    uint32_t index;
    uint32_t *budget; /* its two */
};

/* ERR_NOT_FOUND. What was revoked or removed is not there. */
static int find_owner(const struct core *core, uint32_t scope, const struct uuid *id, bool gone,
                      struct owner *out)
{
    out->index = scope == BUDGET_TENANT    ? tenant_by_id(core, id).v
                 : scope == BUDGET_PROJECT ? map_get(&core->budgets.project_map, id, sizeof *id)
                                           : key_by_id(core, id).v;
    if (out->index == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (scope == BUDGET_TENANT) {
        out->tenant.v = out->index;
        out->budget = core->tenant[out->index].budget;
        return 0;
    }
    struct project *p = &core->budgets.project[out->index];
    struct key *k = &core->key[out->index];
    bool is_project = scope == BUDGET_PROJECT;
    out->tenant = is_project ? p->tenant : k->tenant;
    out->budget = is_project ? p->budget : k->budget;
    return !gone && (is_project ? p->row.removed_ms : k->row.revoked_ms) != 0 ? ERR_NOT_FOUND : 0;
}

/* What leases held of it is held no more: none draws on it. */
static void drop(struct core *core, const struct owner *owner, uint32_t kind)
{
    uint32_t i = owner->budget[kind];
    uint32_t scope = core->budgets.budget[i].row.scope;
    for (uint32_t k = 0; k < core->leases.used && kind == BUDGET_HARD; k++) {
        struct lease *lease = &core->lease[k];
        if (!table_live(&core->leases, k) || lease->draws.v[scope] != i)
            continue;
        lease->draws.v[scope] = INDEX_NONE;
        lease->row.budgets &= ~(1u << scope);
        table_touch(&core->leases, k);
    }
    owner->budget[kind] = INDEX_NONE;
    table_drop(&core->budgets.table, i);
}

static void put(struct core *core, const struct owner *owner, const struct row_budget *row)
{
    struct budgets *b = &core->budgets;
    uint32_t *at = &owner->budget[row->soft];
    int64_t held = 0;
    if (*at == INDEX_NONE) {
        *at = table_take(&b->table);
    } else {
        table_touch(&b->table, *at);
        held = b->budget[*at].held;
    }
    struct budget *one = &b->budget[*at];
    *one = (struct budget){.row = *row, .held = held, .tenant = owner->tenant, .owner = owner->index};
}

/* A key with a hard budget shares its leases with nobody. */
static void key_limited(struct core *core, const struct owner *owner)
{
    struct key *k = &core->key[owner->index];
    uint32_t limited = owner->budget[BUDGET_HARD] != INDEX_NONE;
    if (k->row.limited == limited)
        return;
    k->row.limited = limited;
    table_touch(&core->keys, owner->index);
    core->effects->routes_changed = true;
}

static int set_check(const struct core *core, const struct event_budget_set *e, const struct owner *owner)
{
    uint32_t old = owner->budget[e->soft];
    if (e->amount < 0)
        return old == INDEX_NONE ? ERR_NOT_FOUND : 0;
    if (e->amount > MONEY_MAX)
        return ERR_OVERFLOW;
    if (old == INDEX_NONE)
        return table_room(&core->budgets.table) > 0 ? 0 : ERR_LIMIT;
    const struct budget *b = &core->budgets.budget[old];
    int64_t used = b->row.per == e->per ? spent(core, &b->row) : 0;
    /* What is spent or held cannot be taken back. */
    return e->soft || e->amount >= used + b->held ? 0 : ERR_WRONG_STATE;
}

int step_budget_set(struct core *core, const struct event *event)
{
    const struct event_budget_set *e = &event->u.budget_set;
    struct owner owner;
    if (e->scope < BUDGET_TENANT || e->scope >= BUDGET_SCOPES_END || e->soft >= BUDGET_KINDS ||
        e->per >= BUDGET_PERIODS_END || e->at > 100)
        return ERR_INVALID;
    int rc = find_owner(core, e->scope, &e->owner, false, &owner);
    if (rc == 0)
        rc = set_check(core, e, &owner);
    if (rc != 0)
        return rc;
    uint32_t old = owner.budget[e->soft];
    if (e->amount < 0) {
        drop(core, &owner, e->soft);
    } else {
        struct row_budget row = {.owner = e->owner,
                                 .soft = e->soft,
                                 .scope = e->scope,
                                 .per = e->per,
                                 .amount = e->amount,
                                 .at = e->at,
                                 .begun_ms = budget_period_begin(e->per, event->at_ms),
                                 .set_ms = event->at_ms};
        /* Another amount for the same period: what was spent in it stays spent. */
        if (old != INDEX_NONE && core->budgets.budget[old].row.per == e->per)
            row.spent = spent(core, &core->budgets.budget[old].row);
        row.told = reached(&row);
        put(core, &owner, &row);
    }
    budgets_look(core);
    if (e->scope == BUDGET_KEY)
        key_limited(core, &owner);
    /* Who holds a lease from before asks again, and then draws on it. */
    if (!e->soft && old == INDEX_NONE)
        lease_recall(core, owner.tenant);
    lease_serve_waiters(core, owner.tenant, event->at_ms);
    return 0;
}

/* ---- from rows, and checks ---- */

int load_budget(struct core *core, const struct row_budget *row)
{
    struct owner owner;
    if (row->scope < BUDGET_TENANT || row->scope >= BUDGET_SCOPES_END || row->soft >= BUDGET_KINDS ||
        row->per >= BUDGET_PERIODS_END || row->amount < 0 || row->spent < 0 || row->spent > MONEY_MAX ||
        find_owner(core, row->scope, &row->owner, true, &owner) != 0 || owner.budget[row->soft] != INDEX_NONE)
        return ERR_CORRUPT;
    if (table_room(&core->budgets.table) == 0)
        return ERR_LIMIT;
    put(core, &owner, row);
    return 0;
}

static int link_lease(struct core *core, struct lease *lease)
{
    struct key_id key = key_by_id(core, &lease->row.key);
    lease->draws = budgets_of(core, lease->tenant, key, BUDGET_KEY);
    for (uint32_t s = BUDGET_TENANT; s < BUDGET_SCOPES_END; s++) {
        if (!(lease->row.budgets >> s & 1))
            lease->draws.v[s] = INDEX_NONE;
        else if (lease->draws.v[s] == INDEX_NONE)
            return ERR_CORRUPT;
        else
            core->budgets.budget[lease->draws.v[s]].held += ledger_held(&core->ledger, lease->transfer);
    }
    return 0;
}

int load_budgets_done(struct core *core)
{
    int rc = 0;
    for (uint32_t i = 0; i < core->leases.used && rc == 0; i++) {
        if (table_live(&core->leases, i))
            rc = link_lease(core, &core->lease[i]);
    }
    budgets_look(core);
    return rc;
}

bool budgets_hold_all(const struct core *core)
{
    const struct budgets *b = &core->budgets;
    for (uint32_t i = 0; i < b->table.used; i++) {
        if (!table_live(&b->table, i))
            continue;
        const struct budget *one = &b->budget[i];
        int64_t held = 0;
        for (uint32_t k = 0; k < core->leases.used; k++) {
            const struct lease *lease = &core->lease[k];
            if (table_live(&core->leases, k) && lease->draws.v[one->row.scope] == i)
                held += ledger_held(&core->ledger, lease->transfer);
        }
        if (held != one->held || (!one->row.soft && spent(core, &one->row) + held > one->row.amount))
            return false;
    }
    return true;
}

/* ---- views ---- */

const struct row_budget *view_budget(const struct core *core, const struct uuid *owner, uint32_t scope,
                                     bool soft, struct view_balance *out)
{
    struct owner found;
    if (find_owner(core, scope, owner, true, &found) != 0 || found.budget[soft] == INDEX_NONE)
        return NULL;
    const struct budget *b = &core->budgets.budget[found.budget[soft]];
    *out = (struct view_balance){.budget = b->row.amount, .spent = spent(core, &b->row), .held = b->held};
    return &b->row;
}

int64_t view_budget_reset(const struct core *core, const struct row_budget *row)
{
    return row->per == BUDGET_EVER ? 0 : budget_period_end(row->per, core->now_ms);
}

static bool work_costs(const struct core *core)
{
    for (uint32_t i = 0; i < core->net.pools.used; i++) {
        if (table_live(&core->net.pools, i) && core->net.pool[i].row.price > 0)
            return true;
    }
    return false;
}

int64_t view_budget_lack(const struct core *core, const struct uuid *tenant, const struct uuid *key)
{
    struct tenant_id t = tenant_by_id(core, tenant);
    struct key_id k = key_by_id(core, key);
    if (t.v == INDEX_NONE || !work_costs(core))
        return 0;
    struct draws draws = budgets_of(core, t, k, BUDGET_KEY);
    /* Where nobody asks with a key, the wallet is asked only when the job reports: a network may be run without money. */
    if (k.v != INDEX_NONE && ledger_unspent(&core->ledger, core->tenant[t.v].wallet) <= 0 &&
        !grants_left(core, t))
        return budget_refusal(BUDGET_TENANT, BUDGET_EVER, 0);
    if (k.v != INDEX_NONE && core->key[k.v].limit.v != INDEX_NONE &&
        ledger_unspent(&core->ledger, core->key[k.v].limit) <= 0)
        return budget_refusal(BUDGET_KEY, BUDGET_EVER, 0);
    return budgets_lack(core, &draws, 1);
}
