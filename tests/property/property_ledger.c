/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random transfers, alone and linked, holds, posts and releases. A model keeps the books in its own way: each account's sums are added
 * up from the rows of transfers that the ledger marks as changed, never from what the ledger says of accounts.
 */
#include "support.h"

#include "base/checked.h"
#include "core/money.h"

#define ACCOUNTS 24u
#define TRANSFERS 40u
#define LEDGERS 3u

struct books {
    void *block;
    struct ledger ledger;
    struct account_id id[ACCOUNTS];
    uint32_t number[ACCOUNTS]; /* ledger number */
    bool covered[ACCOUNTS];
    int64_t credits[ACCOUNTS], debits[ACCOUNTS], credits_held[ACCOUNTS], debits_held[ACCOUNTS];
    /* Holds that the test knows of, and the last row seen of each place in the ledger's table. */
    struct transfer_id hold[TRANSFERS];
    bool live[TRANSFERS];
    struct row_transfer seen[TRANSFERS];
    int128 residue; /* exact, over all rounding, per ledger number 0 only */
    uint64_t next_id;
    uint64_t seed;
};

static uint32_t account_with(const struct books *b, const struct uuid *owner, uint32_t number)
{
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        if (b->number[i] == number && owner->b[15] == i)
            return i;
    }
    fail_msg("a transfer names an account that nobody opened");
    return 0;
}

static void books_init(struct books *b, uint64_t seed)
{
    static const enum account_code codes[] = {ACCOUNT_WALLET,  ACCOUNT_REVENUE,   ACCOUNT_ROUNDING,
                                              ACCOUNT_FUNDING, ACCOUNT_KEY_LIMIT, ACCOUNT_KEY_USED};
    *b = (struct books){.seed = seed};
    struct arena arena;
    b->block = calloc(1, 1 << 17);
    arena_init(&arena, b->block, 1 << 17);
    ledger_init(&b->ledger, &arena, ACCOUNTS, TRANSFERS);
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        struct uuid owner = uid('A', i);
        b->number[i] = 100 + i % LEDGERS;
        enum account_code code = codes[i / LEDGERS % 6];
        b->covered[i] = code == ACCOUNT_WALLET || code == ACCOUNT_KEY_LIMIT;
        assert_int_equal(ledger_account(&b->ledger, &owner, code, b->number[i], &b->id[i]), 0);
    }
}

/* What one row added since it was last seen, to the sums of its two accounts. */
static void account_for(struct books *b, const struct row_transfer *now, const struct row_transfer *before)
{
    uint32_t debit = account_with(b, &now->debit_owner, now->ledger);
    uint32_t credit = account_with(b, &now->credit_owner, now->ledger);
    bool known = uuid_eq(&now->id, &before->id);
    int64_t posted = now->posted - (known ? before->posted : 0);
    int64_t held_now = now->state == TRANSFER_PENDING ? now->amount - now->posted - now->voided : 0;
    int64_t held_before = known ? before->amount - before->posted - before->voided : 0;
    assert_true(now->posted >= 0 && now->voided >= 0 && now->posted + now->voided <= now->amount);
    if (now->state != TRANSFER_PENDING)
        assert_true(now->posted + now->voided == now->amount);
    b->debits[debit] += posted;
    b->credits[credit] += posted;
    b->debits_held[debit] += held_now - held_before;
    b->credits_held[credit] += held_now - held_before;
}

static void collect(struct books *b)
{
    struct table *t = &b->ledger.transfers;
    for (uint32_t k = 0; k < t->ndirty; k++) {
        bool dead;
        uint32_t i = table_changed(t, k, &dead);
        const struct row_transfer *row = &b->ledger.transfer[i].row;
        account_for(b, row, &b->seen[i]);
        b->seen[i] = dead ? (struct row_transfer){0} : *row;
    }
    table_clean(t);
    table_clean(&b->ledger.accounts);
    int128 sum[LEDGERS] = {0};
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        const struct row_account *a = ledger_row(&b->ledger, b->id[i]);
        assert_true(a->debits_posted == b->debits[i] && a->credits_posted == b->credits[i]);
        assert_true(a->debits_pending == b->debits_held[i] && a->credits_pending == b->credits_held[i]);
        if (b->covered[i])
            assert_true(b->credits[i] >= b->debits[i] + b->debits_held[i]);
        sum[i % LEDGERS] += (int128)b->debits[i] - b->credits[i];
    }
    for (uint32_t i = 0; i < LEDGERS; i++)
        assert_true(sum[i] == 0);
    assert_int_equal(ledger_audit(&b->ledger), 0);
}

/* The verdict of the rules, in this test's own words; sums as the ledger has them now. */
static int expected(const struct books *b, uint32_t debit, uint32_t credit, int64_t amount, bool known,
                    bool room)
{
    const struct row_account *d = ledger_row(&b->ledger, b->id[debit]);
    const struct row_account *c = ledger_row(&b->ledger, b->id[credit]);
    if (amount <= 0 || debit == credit || b->number[debit] != b->number[credit])
        return ERR_INVALID;
    if (known)
        return ERR_EXISTS;
    if ((int128)d->debits_posted + d->debits_pending + amount > MONEY_MAX ||
        (int128)c->credits_posted + c->credits_pending + amount > MONEY_MAX)
        return ERR_OVERFLOW;
    if (b->covered[debit] && d->credits_posted - d->debits_posted - d->debits_pending < amount)
        return ERR_BUDGET_SPENT;
    return room ? 0 : ERR_LIMIT;
}

/* Several at once: the verdict is that of the first that is refused, as if those before it had been posted, and then none is. */
static void link_some(struct books *b)
{
    struct transfer_order order[5];
    int64_t debits[ACCOUNTS] = {0}, credits[ACCOUNTS] = {0}, before[ACCOUNTS];
    uint32_t n = 1 + (uint32_t)test_below(&b->seed, 5), ledger = (uint32_t)test_below(&b->seed, LEDGERS);
    int want = table_room(&b->ledger.transfers) < n ? ERR_LIMIT : 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t debit = (uint32_t)test_below(&b->seed, ACCOUNTS / LEDGERS) * LEDGERS + ledger;
        uint32_t credit = (uint32_t)test_below(&b->seed, ACCOUNTS / LEDGERS) * LEDGERS + ledger;
        int64_t amount = (int64_t)test_below(&b->seed, test_below(&b->seed, 8) ? 5000 : MONEY_MAX);
        const struct row_account *d = ledger_row(&b->ledger, b->id[debit]);
        const struct row_account *c = ledger_row(&b->ledger, b->id[credit]);
        order[i] = (struct transfer_order){.id = uid('X', ++b->next_id),
                                           .debit = b->id[debit],
                                           .credit = b->id[credit],
                                           .amount = amount,
                                           .code = TRANSFER_SHARE};
        if (want == 0 && (amount <= 0 || debit == credit))
            want = ERR_INVALID;
        else if (want == 0 &&
                 ((int128)d->debits_posted + d->debits_pending + debits[debit] + amount > MONEY_MAX ||
                  (int128)c->credits_posted + c->credits_pending + credits[credit] + amount > MONEY_MAX))
            want = ERR_OVERFLOW;
        else if (want == 0 && b->covered[debit] &&
                 ledger_available(&b->ledger, b->id[debit]) + credits[debit] - debits[debit] < amount)
            want = ERR_BUDGET_SPENT;
        debits[debit] += want == 0 ? amount : 0;
        credits[credit] += want == 0 ? amount : 0;
    }
    for (uint32_t i = 0; i < ACCOUNTS; i++)
        before[i] = ledger_unspent(&b->ledger, b->id[i]);
    assert_int_equal(ledger_link(&b->ledger, order, n), want);
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        int64_t moved = want == 0 ? credits[i] - debits[i] : 0;
        assert_true(ledger_unspent(&b->ledger, b->id[i]) == before[i] + moved);
    }
}

static int64_t random_amount(struct books *b)
{
    switch (test_below(&b->seed, 20)) {
    case 0:
        return -(int64_t)test_below(&b->seed, 3);
    case 1:
        return MONEY_MAX - (int64_t)test_below(&b->seed, 1000);
    case 2:
        return (int64_t)(test_random(&b->seed) >> 2);
    default:
        return 1 + (int64_t)test_below(&b->seed, 1000000);
    }
}

static void order_one(struct books *b)
{
    uint32_t debit = (uint32_t)test_below(&b->seed, ACCOUNTS);
    uint32_t credit = (uint32_t)test_below(&b->seed, ACCOUNTS);
    if (test_below(&b->seed, 10))
        credit = credit / LEDGERS * LEDGERS + debit % LEDGERS;
    uint32_t slot = 0;
    while (slot < TRANSFERS && b->live[slot])
        slot++;
    uint32_t any = (uint32_t)test_below(&b->seed, TRANSFERS);
    bool known = b->live[any] && test_below(&b->seed, 20) == 0;
    bool hold = test_below(&b->seed, 2);
    bool room = table_room(&b->ledger.transfers) > 0;
    struct transfer_order order = {.id = known ? b->ledger.transfer[b->hold[any].v].row.id
                                               : uid('X', ++b->next_id),
                                   .debit = b->id[debit],
                                   .credit = b->id[credit],
                                   .amount = random_amount(b),
                                   .code = TRANSFER_LEASE};
    int want = expected(b, debit, credit, order.amount, known, room);
    assert_int_equal(ledger_check(&b->ledger, &order), want);
    struct transfer_id id;
    int rc = hold ? ledger_hold(&b->ledger, &order, &id) : ledger_transfer(&b->ledger, &order);
    assert_int_equal(rc, want);
    if (rc == 0 && hold) {
        b->hold[slot] = id;
        b->live[slot] = true;
    }
}

static void use_hold(struct books *b)
{
    uint32_t slot = (uint32_t)test_below(&b->seed, TRANSFERS);
    if (!b->live[slot])
        return;
    int64_t held = ledger_held(&b->ledger, b->hold[slot]);
    int64_t part = test_below(&b->seed, 4) ? (int64_t)(test_random(&b->seed) % ((uint64_t)held + 1)) : held;
    switch (test_below(&b->seed, 4)) {
    case 0:
        ledger_end(&b->ledger, b->hold[slot]);
        b->live[slot] = false;
        return;
    case 1:
        ledger_release(&b->ledger, b->hold[slot], part);
        break;
    default:
        ledger_post(&b->ledger, b->hold[slot], part);
    }
    assert_true(ledger_held(&b->ledger, b->hold[slot]) == held - part);
}

/* Accounts 3 (revenue) and 6 (rounding) of ledger 100: whole nano-units moved and the residue add up exactly. */
static void round_one(struct books *b)
{
    const uint32_t revenue = 3, rounding = 6;
    int64_t residue = (int64_t)test_below(&b->seed, 4000001) - 2000000;
    struct uuid id = uid('r', ++b->next_id);
    struct row_account before = *ledger_row(&b->ledger, b->id[rounding]);
    int rc = ledger_round(&b->ledger, b->id[rounding], b->id[revenue], residue, &id, 0);
    const struct row_account *after = ledger_row(&b->ledger, b->id[rounding]);
    int64_t moved =
        after->credits_posted - before.credits_posted - after->debits_posted + before.debits_posted;
    if (rc == 0)
        assert_true(moved * PRICE_PER + after->residue == before.residue + residue);
    else
        assert_true(moved == 0 && after->residue == before.residue);
    assert_true(after->residue > -PRICE_PER && after->residue < PRICE_PER);
}

static void test_books(void **state)
{
    (void)state;
    struct books *b = malloc(sizeof *b);
    uint64_t seed = test_seed();
    uint64_t operations = test_count(1000000, 10000000);
    uint64_t done = 0;
    while (done < operations) {
        books_init(b, seed + done); /* sums of a lifetime are bounded, so a life is short */
        for (int i = 0; i < 20000; i++, done++) {
            uint64_t what = test_below(&b->seed, 10);
            if (what < 4)
                order_one(b);
            else if (what < 8)
                use_hold(b);
            else if (what < 9)
                link_some(b);
            else
                round_one(b);
            if (test_below(&b->seed, 10) == 0)
                collect(b);
        }
        collect(b);
        free(b->block);
    }
    printf("# operations: %llu\n", (unsigned long long)done);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_books)};
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
