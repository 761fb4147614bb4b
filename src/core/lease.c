/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases of budget: how gateway workers spend a budget without asking for each request, and never overrun it.
 *
 * A lease is a hold on the tenant's wallet, or on a grant (core/grant.h), and on the key's limit if it has one, in favour
 * of one worker. While there is plenty, a worker gets a lease worth many requests. Near exhaustion leases are recalled and
 * each ask is granted exactly what one request may cost. An ask that does not fit now, but would if every hold came back unused,
 * waits in order of arrival for at most HOLD_WAIT_MS; one that would not fit even then is refused at once.
 */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"
#include "core/view.h"

/* A lease is at most this share of what is available, so that one worker cannot starve the others ... */
#define LEASE_SHARE 8
/* ... and at most this many times the ask that opened it. */
#define LEASE_ASKS_MAX 256
/* Below this many asks a share is not worth a lease: exactly the ask is held. */
#define LEASE_ASKS_MIN 4

struct lease *lease_by_id(const struct core *core, const struct uuid *id)
{
    uint32_t i = map_get(&core->lease_map, id, sizeof *id);
    return i == MAP_NONE ? NULL : &core->lease[i];
}

static const struct key *key_of(const struct core *core, const struct event_lease_ask *ask)
{
    return &core->key[key_by_id(core, &ask->key).v];
}

/* What the tenant has for an ask of so much: in a grant that is enough, or in its wallet. */
static int64_t funds(const struct core *core, struct tenant_id t, int64_t want,
                     int64_t (*fn)(const struct ledger *, struct account_id))
{
    return fn(&core->ledger, grants_source(core, t, want, fn));
}

/* Who shares the lease: as the asker knew it when it asked. A budget that was set since holds for who asks next. */
static uint32_t purse_of(const struct event_lease_ask *ask, const struct key *k)
{
    return ask->purse ? ask->purse : view_key_purse(&k->row);
}

/* A key of a project draws on that at least, one with a limit of its own on that. */
static bool purse_can_be(const struct event_lease_ask *ask, const struct key *k)
{
    uint32_t purse = purse_of(ask, k);
    if (k->limit.v != INDEX_NONE || purse == BUDGET_KEY)
        return purse == BUDGET_KEY;
    return purse == (k->project == INDEX_NONE ? BUDGET_TENANT : BUDGET_PROJECT);
}

static struct draws draws_of(const struct core *core, const struct event_lease_ask *ask)
{
    struct key_id key = key_by_id(core, &ask->key);
    const struct key *k = &core->key[key.v];
    return budgets_of(core, k->tenant, key, purse_of(ask, k));
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The least of what tenant, project and key have; `held`: less what is held. */
static int64_t purse(const struct core *core, const struct event_lease_ask *ask, bool held)
{
    int64_t (*fn)(const struct ledger *, struct account_id) = held ? ledger_available : ledger_unspent;
    const struct key *k = key_of(core, ask);
    struct draws draws = draws_of(core, ask);
    int64_t amount = least(funds(core, k->tenant, ask->want, fn), budgets_room(core, &draws, held));
    return k->limit.v == INDEX_NONE ? amount : least(fn(&core->ledger, k->limit), amount);
}

/* What the tenant itself has for an ask of so much: a grant or its wallet, and its hard budget if there is one. */
static int64_t tenant_purse(const struct core *core, struct tenant_id tenant, int64_t want)
{
    struct draws draws = budgets_of(core, tenant, (struct key_id){INDEX_NONE}, BUDGET_TENANT);
    return least(funds(core, tenant, want, ledger_available), budgets_room(core, &draws, true));
}

/* Which of those is in the way, for the refusal. */
static int64_t refusal_of(const struct core *core, const struct event_lease_ask *ask)
{
    const struct key *k = key_of(core, ask);
    struct draws draws = draws_of(core, ask);
    if (funds(core, k->tenant, ask->want, ledger_unspent) < ask->want)
        return budget_refusal(BUDGET_TENANT, BUDGET_EVER, 0);
    if (k->limit.v != INDEX_NONE && ledger_unspent(&core->ledger, k->limit) < ask->want)
        return budget_refusal(BUDGET_KEY, BUDGET_EVER, 0);
    return budgets_lack(core, &draws, ask->want);
}

static int64_t lease_amount(const struct core *core, const struct event_lease_ask *ask, int64_t available)
{
    int64_t share = available / (LEASE_SHARE * (int64_t)core->workers.live);
    int64_t most = ask->want <= MONEY_MAX / LEASE_ASKS_MAX ? ask->want * LEASE_ASKS_MAX : MONEY_MAX;
    if (share > most)
        share = most;
    return share / LEASE_ASKS_MIN >= ask->want ? share : ask->want;
}

/* Accounts that get the money and the key's use. ERR_LIMIT. */
static int counterparts(struct core *core, const struct tenant *t, const struct key *k,
                        struct account_id *revenue, struct account_id *used)
{
    static const struct uuid network;
    uint32_t number = t->row.ledger;
    uint32_t first = site_first(core);
    const struct uuid *site = first != INDEX_NONE ? &core->net.site[first].row.id : &network;
    int rc = ledger_account(&core->ledger, site, ACCOUNT_REVENUE, number, revenue);
    if (rc == 0 && k->limit.v != INDEX_NONE)
        rc = ledger_account(&core->ledger, &network, ACCOUNT_KEY_USED, LEDGER_CONTROL + number, used);
    return rc;
}

static uint32_t draws_bits(const struct draws *draws)
{
    uint32_t bits = 0;
    for (uint32_t s = BUDGET_TENANT; s < BUDGET_SCOPES_END; s++)
        bits |= draws->v[s] != INDEX_NONE ? 1u << s : 0;
    return bits;
}

static int lease_open(struct core *core, const struct event_lease_ask *ask, struct tenant_id tenant,
                      int64_t amount, int64_t now_ms)
{
    struct tenant *t = &core->tenant[tenant.v];
    const struct key *k = key_of(core, ask);
    struct account_id revenue, used = {INDEX_NONE};
    bool limited = k->limit.v != INDEX_NONE;
    if (ledger_find_transfer(&core->ledger, &ask->lease).v != INDEX_NONE ||
        (limited && ledger_find_transfer(&core->ledger, &ask->key_lease).v != INDEX_NONE))
        return ERR_EXISTS;
    if (table_room(&core->leases) == 0 || table_room(&core->ledger.transfers) < 2)
        return ERR_LIMIT;
    int rc = counterparts(core, t, k, &revenue, &used);
    if (rc != 0)
        return rc;
    struct transfer_order order = {.id = ask->lease,
                                   .debit = grants_source(core, tenant, amount, ledger_available),
                                   .credit = revenue,
                                   .amount = amount,
                                   .code = TRANSFER_LEASE,
                                   .event_ms = now_ms,
                                   .ref = ask->key};
    struct transfer_order own = order;
    own.id = ask->key_lease;
    own.debit = k->limit;
    own.credit = used;
    /* Linked: both holds or none. */
    if (limited && (rc = ledger_check(&core->ledger, &own)) != 0)
        return rc;
    struct transfer_id held, key_held = {INDEX_NONE};
    rc = ledger_hold(&core->ledger, &order, &held);
    if (rc != 0)
        return rc;
    if (limited) {
        rc = ledger_hold(&core->ledger, &own, &key_held);
        assert(rc == 0);
    }
    struct draws draws = draws_of(core, ask);
    budgets_hold(core, &draws, amount);
    uint32_t i = table_take(&core->leases);
    core->lease[i] = (struct lease){
        .row = {.id = ask->lease,
                .worker = ask->worker,
                .tenant = ask->tenant,
                .key = ask->key,
                .key_transfer = limited ? ask->key_lease : (struct uuid){{0}},
                .opened_ms = now_ms,
                .purse = purse_of(ask, k),
                .budgets = draws_bits(&draws)},
        .transfer = held,
        .key_transfer = key_held,
        .draws = draws,
        .tenant = tenant,
        .worker = {map_get(&core->worker_map, &ask->worker, sizeof ask->worker)},
    };
    list_push(&t->leases, &core->lease[i].in_tenant);
    map_put(&core->lease_map, &ask->lease, sizeof ask->lease, i);
    return 0;
}

void lease_recall(struct core *core, struct tenant_id tenant)
{
    list_for_each_safe (it, next, &core->tenant[tenant.v].leases) {
        struct lease *lease = list_entry(it, struct lease, in_tenant);
        if (lease->recalled)
            continue;
        if (core->effects->n + 1 >= core->effects->cap)
            return; /* room for the reply; the next ask recalls the rest */
        lease->recalled = true;
        struct effect *effect = effect_add(core, EFFECT_RECALL);
        effect->worker = lease->row.worker;
        effect->lease = lease->row.id;
    }
}

static int waiter_add(struct core *core, struct tenant_id tenant, const struct event *event)
{
    uint32_t i = table_take(&core->waiters);
    if (i == INDEX_NONE)
        return ERR_BUDGET_HELD;
    struct waiter *w = &core->waiter[i];
    *w = (struct waiter){.token = event->token,
                         .deadline_ms = event->at_ms + HOLD_WAIT_MS,
                         .ask = event->u.lease_ask,
                         .tenant = tenant};
    list_push(&core->tenant[tenant.v].waiters, &w->in_tenant);
    list_push(&core->waiting, &w->in_order);
    return 0;
}

static void waiter_answer(struct core *core, struct waiter *w, int code, int64_t amount)
{
    effect_reply(core, w->token, code, amount);
    list_remove(&w->in_tenant);
    list_remove(&w->in_order);
    table_drop(&core->waiters, (uint32_t)(w - core->waiter));
}

/* Whether somebody before waits for the tenant's own money. One that lacks only its key's or project's is in nobody's way. */
static bool waits_for_tenant(const struct core *core, struct tenant_id tenant)
{
    list_for_each_safe (it, next, &core->tenant[tenant.v].waiters) {
        int64_t want = list_entry(it, struct waiter, in_tenant)->ask.want;
        if (want > tenant_purse(core, tenant, want))
            return true;
    }
    return false;
}

/* A gateway that has not heard the answer asks again for the same lease: for what was granted, or to wait on. Returns whether
 * it did so. */
static bool asked_again(struct core *core, const struct event *event)
{
    const struct event_lease_ask *ask = &event->u.lease_ask;
    struct lease *lease = lease_by_id(core, &ask->lease);
    if (lease && uuid_eq(&lease->row.worker, &ask->worker) && uuid_eq(&lease->row.key, &ask->key)) {
        lease->recalled = false; /* that was not heard either */
        effect_reply(core, event->token, 0, ledger_held(&core->ledger, lease->transfer));
        return true;
    }
    list_for_each_safe (it, next, &core->waiting) {
        struct waiter *w = list_entry(it, struct waiter, in_order);
        if (!uuid_eq(&w->ask.lease, &ask->lease) || !uuid_eq(&w->ask.worker, &ask->worker))
            continue;
        effect_reply(core, w->token, ERR_CANCELLED, 0);
        w->token = event->token;
        return true;
    }
    return false;
}

int step_lease_ask(struct core *core, const struct event *event)
{
    const struct event_lease_ask *ask = &event->u.lease_ask;
    struct tenant_id tenant = tenant_by_id(core, &ask->tenant);
    struct key_id key = key_by_id(core, &ask->key);
    if (tenant.v == INDEX_NONE || key.v == INDEX_NONE ||
        map_get(&core->worker_map, &ask->worker, sizeof ask->worker) == MAP_NONE)
        return ERR_NOT_FOUND;
    if (core->key[key.v].tenant.v != tenant.v || core->key[key.v].row.revoked_ms != 0)
        return ERR_FORBIDDEN;
    if (ask->want <= 0 || ask->want > MONEY_MAX)
        return ERR_OVERFLOW;
    if (!purse_can_be(ask, &core->key[key.v]))
        return ERR_INVALID;
    bool limited = core->key[key.v].limit.v != INDEX_NONE;
    if (uuid_zero(&ask->lease) ||
        (limited && (uuid_zero(&ask->key_lease) || uuid_eq(&ask->lease, &ask->key_lease))))
        return ERR_INVALID;
    uint32_t worker = map_get(&core->worker_map, &ask->worker, sizeof ask->worker);
    if (!uuid_zero(&core->worker[worker].row.gateway) && asked_again(core, event))
        return 0;
    if (purse(core, ask, false) < ask->want) {
        core->budgets.refusal = refusal_of(core, ask);
        return ERR_BUDGET_SPENT;
    }
    int64_t available = purse(core, ask, true);
    if (available >= ask->want && !waits_for_tenant(core, tenant)) {
        int64_t amount = lease_amount(core, ask, available);
        int rc = lease_open(core, ask, tenant, amount, event->at_ms);
        if (rc == 0)
            effect_reply(core, event->token, 0, amount);
        return rc;
    }
    lease_recall(core, tenant);
    return waiter_add(core, tenant, event);
}

void lease_serve_waiters(struct core *core, struct tenant_id tenant, int64_t now_ms)
{
    const struct tenant *t = &core->tenant[tenant.v];
    bool blocked = false;
    list_for_each_safe (it, next, &t->waiters) {
        struct waiter *w = list_entry(it, struct waiter, in_tenant);
        int64_t want = w->ask.want;
        if (purse(core, &w->ask, false) < want) {
            waiter_answer(core, w, ERR_BUDGET_SPENT, refusal_of(core, &w->ask));
            continue;
        }
        /* In order of arrival: nobody behind a head that lacks the tenant's money passes it. */
        blocked = blocked || tenant_purse(core, tenant, want) < want;
        if (blocked || purse(core, &w->ask, true) < want)
            continue;
        int rc = lease_open(core, &w->ask, tenant, want, now_ms);
        waiter_answer(core, w, rc, rc == 0 ? want : 0);
    }
}

void lease_expire_waiters(struct core *core, int64_t now_ms)
{
    struct list *first;
    while ((first = list_first(&core->waiting)) != NULL) {
        struct waiter *w = list_entry(first, struct waiter, in_order);
        if (w->deadline_ms > now_ms)
            break;
        struct tenant_id tenant = w->tenant;
        waiter_answer(core, w, ERR_BUDGET_HELD, 0);
        /* A large ask at the head may have blocked smaller ones behind it. */
        lease_serve_waiters(core, tenant, now_ms);
    }
}

void lease_refuse_waiters(struct core *core, const struct uuid *key, int code)
{
    list_for_each_safe (it, next, &core->waiting) {
        struct waiter *w = list_entry(it, struct waiter, in_order);
        if (uuid_eq(&w->ask.key, key))
            waiter_answer(core, w, code, 0);
    }
}

static void lease_end(struct core *core, struct lease *lease)
{
    budgets_release(core, &lease->draws, ledger_held(&core->ledger, lease->transfer));
    ledger_end(&core->ledger, lease->transfer);
    if (lease->key_transfer.v != INDEX_NONE)
        ledger_end(&core->ledger, lease->key_transfer);
    list_remove(&lease->in_tenant);
    map_remove(&core->lease_map, &lease->row.id, sizeof lease->row.id);
    table_drop(&core->leases, (uint32_t)(lease - core->lease));
}

/* Of a gateway's workers; the hub's own are told by their mailboxes. */
static void refuse_waiters_of(struct core *core, const struct uuid *worker)
{
    list_for_each_safe (it, next, &core->waiting) {
        struct waiter *w = list_entry(it, struct waiter, in_order);
        if (uuid_eq(&w->ask.worker, worker))
            waiter_answer(core, w, ERR_UNAVAILABLE, 0);
    }
}

void lease_end_workers(struct core *core, const struct uuid *gateway)
{
    for (uint32_t i = 0; i < core->workers.used; i++) {
        if (!table_live(&core->workers, i) || !uuid_eq(&core->worker[i].row.gateway, gateway))
            continue;
        struct uuid worker = core->worker[i].row.id;
        refuse_waiters_of(core, &worker);
        for (uint32_t k = 0; k < core->leases.used; k++) {
            if (!table_live(&core->leases, k) || core->lease[k].worker.v != i)
                continue;
            struct tenant_id tenant = core->lease[k].tenant;
            lease_end(core, &core->lease[k]);
            lease_serve_waiters(core, tenant, core->now_ms);
        }
        map_remove(&core->worker_map, &worker, sizeof worker);
        table_drop(&core->workers, i);
    }
}

int step_lease_return(struct core *core, const struct event *event)
{
    const struct event_lease_return *e = &event->u.lease_return;
    struct lease *lease = lease_by_id(core, &e->lease);
    uint32_t worker = map_get(&core->worker_map, &e->worker, sizeof e->worker);
    if (e->sequence != 0 && worker != MAP_NONE && e->sequence <= core->worker[worker].row.sequence)
        return ERR_DUPLICATE;
    if (!lease || !uuid_eq(&lease->row.worker, &e->worker))
        return ERR_NOT_FOUND;
    if (e->amount < 0 || e->amount > ledger_held(&core->ledger, lease->transfer))
        return ERR_OVERFLOW;
    struct tenant_id tenant = lease->tenant;
    if (e->sequence != 0) {
        core->worker[worker].row.sequence = e->sequence;
        table_touch(&core->workers, worker);
    }
    if (e->close) {
        lease_end(core, lease);
    } else {
        budgets_release(core, &lease->draws, e->amount);
        ledger_release(&core->ledger, lease->transfer, e->amount);
        if (lease->key_transfer.v != INDEX_NONE)
            ledger_release(&core->ledger, lease->key_transfer, e->amount);
    }
    lease_serve_waiters(core, tenant, event->at_ms);
    return 0;
}
