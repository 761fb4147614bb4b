/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ledger.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"
#include "base/err.h"
#include "core/money.h"

#define ACCOUNT_KEY_LEN (sizeof(struct uuid) + 2 * sizeof(uint32_t))

static bool account_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    const struct row_account *row = (const struct row_account *)table + i;
    return memcmp(&row->owner, key, len) == 0;
}

static bool transfer_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    const struct transfer *t = (const struct transfer *)table + i;
    return memcmp(&t->row.id, key, len) == 0;
}

void ledger_init(struct ledger *l, struct arena *arena, uint32_t accounts, uint32_t transfers)
{
    _Static_assert(offsetof(struct row_account, ledger) + 4 == ACCOUNT_KEY_LEN, "key is a prefix");
    table_init(&l->accounts, arena, accounts);
    l->account = arena_take(arena, accounts * sizeof *l->account);
    uint32_t n = map_slots(accounts);
    map_init(&l->account_map, arena_take(arena, n * sizeof(struct map_slot)), n, 1, account_equal,
             l->account);
    table_init(&l->transfers, arena, transfers);
    l->transfer = arena_take(arena, transfers * sizeof *l->transfer);
    n = map_slots(transfers);
    map_init(&l->transfer_map, arena_take(arena, n * sizeof(struct map_slot)), n, 2, transfer_equal,
             l->transfer);
}

bool account_covered(uint32_t code)
{
    switch (code) {
#define A(name, number, covered, text) \
    case (number): \
        return (covered);
        ACCOUNT_CODES(A)
#undef A
    default:
        return true;
    }
}

const char *account_code_text(uint32_t code)
{
    switch (code) {
#define A(name, number, covered, text) \
    case (number): \
        return text;
        ACCOUNT_CODES(A)
#undef A
    default:
        return "?";
    }
}

const char *transfer_code_text(uint32_t code)
{
    switch (code) {
#define T(name, number, text) \
    case (number): \
        return text;
        TRANSFER_CODES(T)
#undef T
    default:
        return "?";
    }
}

struct account_id ledger_find(const struct ledger *l, const struct uuid *owner, enum account_code code,
                              uint32_t number)
{
    struct row_account key = {.owner = *owner, .code = code, .ledger = number};
    return (struct account_id){map_get(&l->account_map, &key, ACCOUNT_KEY_LEN)};
}

static int account_add(struct ledger *l, const struct row_account *row, struct account_id *out)
{
    uint32_t i = table_take(&l->accounts);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    l->account[i] = *row;
    map_put(&l->account_map, row, ACCOUNT_KEY_LEN, i);
    out->v = i;
    return 0;
}

int ledger_account(struct ledger *l, const struct uuid *owner, enum account_code code, uint32_t number,
                   struct account_id *out)
{
    *out = ledger_find(l, owner, code, number);
    if (out->v != INDEX_NONE)
        return 0;
    struct row_account row = {.owner = *owner, .code = code, .ledger = number};
    return account_add(l, &row, out);
}

const struct row_account *ledger_row(const struct ledger *l, struct account_id id)
{
    assert(id.v < l->accounts.used);
    return &l->account[id.v];
}

int64_t ledger_available(const struct ledger *l, struct account_id id)
{
    const struct row_account *a = ledger_row(l, id);
    return a->credits_posted - a->debits_posted - a->debits_pending;
}

int64_t ledger_unspent(const struct ledger *l, struct account_id id)
{
    const struct row_account *a = ledger_row(l, id);
    return a->credits_posted - a->debits_posted;
}

/* Sums stay below MONEY_MAX, so that differences of any two of them cannot overflow. */
static bool fits(int64_t posted, int64_t pending, int64_t amount)
{
    int64_t sum;
    return i64_add(posted, pending, &sum) && i64_add(sum, amount, &sum) && sum <= MONEY_MAX;
}

int ledger_check(const struct ledger *l, const struct transfer_order *o)
{
    const struct row_account *debit = ledger_row(l, o->debit);
    const struct row_account *credit = ledger_row(l, o->credit);
    if (o->amount <= 0 || o->debit.v == o->credit.v || debit->ledger != credit->ledger)
        return ERR_INVALID;
    if (map_get(&l->transfer_map, &o->id, sizeof o->id) != MAP_NONE)
        return ERR_EXISTS;
    if (!fits(debit->debits_posted, debit->debits_pending, o->amount) ||
        !fits(credit->credits_posted, credit->credits_pending, o->amount))
        return ERR_OVERFLOW;
    if (account_covered(debit->code) && ledger_available(l, o->debit) < o->amount)
        return ERR_BUDGET_SPENT;
    if (table_room(&l->transfers) == 0)
        return ERR_LIMIT;
    return 0;
}

static int transfer_add(struct ledger *l, const struct transfer_order *o, enum transfer_state state,
                        struct transfer_id *out)
{
    uint32_t i = table_take(&l->transfers);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    const struct row_account *debit = ledger_row(l, o->debit);
    const struct row_account *credit = ledger_row(l, o->credit);
    l->transfer[i] = (struct transfer){
        .row = {.id = o->id,
                .debit_owner = debit->owner,
                .debit_code = debit->code,
                .credit_owner = credit->owner,
                .credit_code = credit->code,
                .ledger = debit->ledger,
                .amount = o->amount,
                .state = state,
                .code = o->code,
                .timeout_ms = o->timeout_ms,
                .event_ms = o->event_ms,
                .booked_ms = o->event_ms,
                .ref = o->ref},
        .debit = o->debit,
        .credit = o->credit,
    };
    map_put(&l->transfer_map, &o->id, sizeof o->id, i);
    table_touch(&l->accounts, o->debit.v);
    table_touch(&l->accounts, o->credit.v);
    out->v = i;
    return 0;
}

/* A finished transfer leaves memory but its row stays: mark it changed, forget it once collected. */
static void transfer_finish(struct ledger *l, uint32_t i)
{
    map_remove(&l->transfer_map, &l->transfer[i].row.id, sizeof(struct uuid));
    table_drop(&l->transfers, i);
}

int ledger_transfer(struct ledger *l, const struct transfer_order *o)
{
    struct transfer_id id;
    int rc = ledger_check(l, o);
    if (rc == 0)
        rc = transfer_add(l, o, TRANSFER_POSTED, &id);
    if (rc != 0)
        return rc;
    l->account[o->debit.v].debits_posted += o->amount;
    l->account[o->credit.v].credits_posted += o->amount;
    l->transfer[id.v].row.posted = o->amount;
    transfer_finish(l, id.v);
    return 0;
}

/* Whether all could be posted, one after the other: sums are tried, and put back. */
static int link_check(struct ledger *l, const struct transfer_order *orders, uint32_t n)
{
    int rc = 0;
    uint32_t tried = 0;
    if (table_room(&l->transfers) < n)
        return ERR_LIMIT;
    while (tried < n && (rc = ledger_check(l, &orders[tried])) == 0) {
        const struct transfer_order *o = &orders[tried++];
        l->account[o->debit.v].debits_posted += o->amount;
        l->account[o->credit.v].credits_posted += o->amount;
    }
    while (tried > 0) {
        const struct transfer_order *o = &orders[--tried];
        l->account[o->debit.v].debits_posted -= o->amount;
        l->account[o->credit.v].credits_posted -= o->amount;
    }
    return rc;
}

int ledger_link(struct ledger *l, const struct transfer_order *orders, uint32_t n)
{
    int rc = link_check(l, orders, n);
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        rc = ledger_transfer(l, &orders[i]);
        assert(rc == 0); /* it was tried */
    }
    return rc;
}

int ledger_hold(struct ledger *l, const struct transfer_order *o, struct transfer_id *out)
{
    int rc = ledger_check(l, o);
    if (rc == 0)
        rc = transfer_add(l, o, TRANSFER_PENDING, out);
    if (rc != 0)
        return rc;
    l->account[o->debit.v].debits_pending += o->amount;
    l->account[o->credit.v].credits_pending += o->amount;
    return 0;
}

int64_t ledger_held(const struct ledger *l, struct transfer_id id)
{
    assert(table_live(&l->transfers, id.v));
    const struct row_transfer *row = &l->transfer[id.v].row;
    return row->amount - row->posted - row->voided;
}

static struct transfer *touch(struct ledger *l, struct transfer_id id)
{
    struct transfer *t = &l->transfer[id.v];
    table_touch(&l->transfers, id.v);
    table_touch(&l->accounts, t->debit.v);
    table_touch(&l->accounts, t->credit.v);
    return t;
}

void ledger_post(struct ledger *l, struct transfer_id id, int64_t amount)
{
    assert(amount >= 0 && amount <= ledger_held(l, id));
    struct transfer *t = touch(l, id);
    t->row.posted += amount;
    l->account[t->debit.v].debits_pending -= amount;
    l->account[t->debit.v].debits_posted += amount;
    l->account[t->credit.v].credits_pending -= amount;
    l->account[t->credit.v].credits_posted += amount;
}

void ledger_release(struct ledger *l, struct transfer_id id, int64_t amount)
{
    assert(amount >= 0 && amount <= ledger_held(l, id));
    struct transfer *t = touch(l, id);
    t->row.voided += amount;
    l->account[t->debit.v].debits_pending -= amount;
    l->account[t->credit.v].credits_pending -= amount;
}

void ledger_end(struct ledger *l, struct transfer_id id)
{
    ledger_release(l, id, ledger_held(l, id));
    struct row_transfer *row = &l->transfer[id.v].row;
    row->state = row->posted > 0 ? TRANSFER_POSTED : TRANSFER_VOIDED;
    transfer_finish(l, id.v);
}

uint32_t ledger_round_order(const struct ledger *l, struct account_id rounding, struct account_id revenue,
                            int64_t residue, const struct uuid *id, int64_t event_ms,
                            struct transfer_order *out)
{
    int64_t whole = (ledger_row(l, rounding)->residue + residue) / PRICE_PER;
    *out = (struct transfer_order){.id = *id,
                                   .debit = whole > 0 ? revenue : rounding,
                                   .credit = whole > 0 ? rounding : revenue,
                                   .amount = whole > 0 ? whole : -whole,
                                   .code = TRANSFER_ROUNDING,
                                   .event_ms = event_ms};
    return whole != 0;
}

void ledger_round_done(struct ledger *l, struct account_id rounding, int64_t residue)
{
    struct row_account *r = &l->account[rounding.v];
    if (residue == 0)
        return;
    r->residue = (r->residue + residue) % PRICE_PER;
    table_touch(&l->accounts, rounding.v);
}

int ledger_round(struct ledger *l, struct account_id rounding, struct account_id revenue, int64_t residue,
                 const struct uuid *id, int64_t event_ms)
{
    struct transfer_order order;
    uint32_t n = ledger_round_order(l, rounding, revenue, residue, id, event_ms, &order);
    int rc = ledger_link(l, &order, n);
    if (rc == 0)
        ledger_round_done(l, rounding, residue);
    return rc;
}

int ledger_load_account(struct ledger *l, const struct row_account *row)
{
    struct account_id id;
    if (map_get(&l->account_map, row, ACCOUNT_KEY_LEN) != MAP_NONE)
        return ERR_EXISTS;
    return account_add(l, row, &id);
}

int ledger_load_transfer(struct ledger *l, const struct row_transfer *row)
{
    if (row->state != TRANSFER_PENDING)
        return 0;
    struct account_id debit =
        ledger_find(l, &row->debit_owner, (enum account_code)row->debit_code, row->ledger);
    struct account_id credit =
        ledger_find(l, &row->credit_owner, (enum account_code)row->credit_code, row->ledger);
    if (debit.v == INDEX_NONE || credit.v == INDEX_NONE || row->posted < 0 || row->voided < 0 ||
        row->posted > row->amount || row->voided > row->amount - row->posted)
        return ERR_CORRUPT;
    if (map_get(&l->transfer_map, &row->id, sizeof row->id) != MAP_NONE)
        return ERR_EXISTS;
    uint32_t i = table_take(&l->transfers);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    l->transfer[i] = (struct transfer){.row = *row, .debit = debit, .credit = credit};
    map_put(&l->transfer_map, &row->id, sizeof row->id, i);
    return 0;
}

struct transfer_id ledger_find_transfer(const struct ledger *l, const struct uuid *id)
{
    return (struct transfer_id){map_get(&l->transfer_map, id, sizeof *id)};
}

int ledger_audit(const struct ledger *l)
{
    for (uint32_t i = 0; i < l->accounts.used; i++) {
        const struct row_account *a = &l->account[i];
        if (account_covered(a->code) && ledger_available(l, (struct account_id){i}) < 0)
            return ERR_CORRUPT;
        /* Sum each ledger number once, at its first account. */
        int128 posted = 0;
        int128 pending = 0;
        bool first = true;
        for (uint32_t k = 0; k < l->accounts.used; k++) {
            const struct row_account *b = &l->account[k];
            if (b->ledger != a->ledger)
                continue;
            first = first && k >= i;
            posted += (int128)b->debits_posted - b->credits_posted;
            pending += (int128)b->debits_pending - b->credits_pending;
            if (!first)
                break;
        }
        if (first && (posted != 0 || pending != 0))
            return ERR_CORRUPT;
    }
    int128 held = 0;
    for (uint32_t i = 0; i < l->transfers.used; i++) {
        if (table_live(&l->transfers, i))
            held += ledger_held(l, (struct transfer_id){i});
    }
    for (uint32_t i = 0; i < l->accounts.used; i++)
        held -= l->account[i].debits_pending;
    return held == 0 ? 0 : ERR_CORRUPT;
}
