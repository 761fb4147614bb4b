/* SPDX-License-Identifier: Apache-2.0 */
/* Money and ledger: rounding, residue, bounds, holds. */
#include "support.h"

#include "base/checked.h"
#include "core/money.h"

/* ---- money ---- */

static void check_line(uint32_t tokens, int64_t price, int64_t want, int64_t want_residue)
{
    int64_t residue = 0;
    assert_true(money_line(tokens, price, &residue) == want);
    assert_true(residue == want_residue);
}

static void test_half_even(void **state)
{
    (void)state;
    check_line(1, 500000, 0, -500000); /* 0.5 -> 0 */
    check_line(3, 500000, 2, 500000);  /* 1.5 -> 2 */
    check_line(5, 500000, 2, -500000); /* 2.5 -> 2 */
    check_line(7, 500000, 4, 500000);  /* 3.5 -> 4 */
    check_line(1, 499999, 0, -499999);
    check_line(1, 500001, 1, 499999);
    check_line(1, 1500001, 2, 499999);
    check_line(1, 2500001, 3, 499999); /* above half rounds up, even or odd */
    check_line(0, PRICE_MAX, 0, 0);
    check_line(123, 0, 0, 0);
    check_line(1, 1000000, 1, 0);
    check_line(TOKENS_PER_METER_MAX, PRICE_MAX, INT64_C(1073741824000000000), 0);
    check_line(TOKENS_PER_METER_MAX, PRICE_MAX - 1, INT64_C(1073741823999998926), -258176);
}

static void test_cost_errors(void **state)
{
    (void)state;
    const struct price p = {1000000, 500000, 2000000, 3000000};
    int64_t cost = 77, residue = 5;
    struct tokens t = {.prompt = 10, .cached = 11};
    assert_int_equal(money_cost(&t, &p, &cost, &residue), ERR_INVALID);
    t = (struct tokens){.completion = 1, .reasoning = 2};
    assert_int_equal(money_cost(&t, &p, &cost, &residue), ERR_INVALID);
    t = (struct tokens){.prompt = TOKENS_PER_METER_MAX + 1};
    assert_int_equal(money_cost(&t, &p, &cost, &residue), ERR_OVERFLOW);
    t = (struct tokens){.completion = UINT32_MAX};
    assert_int_equal(money_cost(&t, &p, &cost, &residue), ERR_OVERFLOW);
    const struct price dear = {PRICE_MAX, PRICE_MAX, PRICE_MAX, PRICE_MAX};
    t = (struct tokens){.prompt = TOKENS_PER_METER_MAX};
    assert_int_equal(money_cost(&t, &dear, &cost, &residue), ERR_OVERFLOW);
    t = (struct tokens){.prompt = 600000000, .completion = 600000000};
    assert_int_equal(money_cost(&t, &dear, &cost, &residue), ERR_OVERFLOW);
    assert_true(cost == 77 && residue == 5);
    t = (struct tokens){.prompt = 1000000000};
    assert_int_equal(money_cost(&t, &dear, &cost, &residue), 0);
    assert_true(cost == MONEY_MAX);
    t = (struct tokens){.prompt = 10, .cached = 4, .completion = 7, .reasoning = 7};
    assert_int_equal(money_cost(&t, &p, &cost, &residue), 0);
    assert_true(cost == 6 + 2 + 0 + 21 && residue == 5);
}

/* cost * PRICE_PER == exact sum of products + residue, always. */
static void test_residue_exact(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    int128 exact = 0, billed = 0;
    int64_t residue = 0;
    for (int i = 0; i < 100000; i++) {
        struct tokens t = {.prompt = (uint32_t)test_below(&seed, 5000),
                           .completion = (uint32_t)test_below(&seed, 5000)};
        t.cached = (uint32_t)test_below(&seed, t.prompt + 1);
        t.reasoning = (uint32_t)test_below(&seed, t.completion + 1);
        struct price p = {(int64_t)test_below(&seed, 9000000), (int64_t)test_below(&seed, 9000000),
                          (int64_t)test_below(&seed, 9000000), (int64_t)test_below(&seed, 9000000)};
        int64_t cost, before = residue;
        assert_int_equal(money_cost(&t, &p, &cost, &residue), 0);
        int64_t own = residue - before;
        assert_true(own >= -2000000 && own <= 2000000);
        exact += (int128)(t.prompt - t.cached) * p.prompt + (int128)t.cached * p.cached +
                 (int128)(t.completion - t.reasoning) * p.completion + (int128)t.reasoning * p.reasoning;
        billed += cost;
    }
    assert_true(billed * PRICE_PER == exact + residue);
}

/* ---- ledger ---- */

#define ACCOUNTS 6u
#define TRANSFERS 4u

struct fixture {
    void *block;
    struct ledger ledger;
    struct account_id wallet, funding, revenue, rounding;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct arena arena;
    f->block = calloc(1, 65536);
    arena_init(&arena, f->block, 65536);
    ledger_init(&f->ledger, &arena, ACCOUNTS, TRANSFERS);
    struct uuid tenant = uid('T', 1), site = uid('S', 1), network = {{0}};
    if (ledger_account(&f->ledger, &tenant, ACCOUNT_WALLET, EUR, &f->wallet) ||
        ledger_account(&f->ledger, &tenant, ACCOUNT_FUNDING, EUR, &f->funding) ||
        ledger_account(&f->ledger, &site, ACCOUNT_REVENUE, EUR, &f->revenue) ||
        ledger_account(&f->ledger, &network, ACCOUNT_ROUNDING, EUR, &f->rounding))
        return -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    int rc = ledger_audit(&f->ledger);
    free(f->block);
    free(f);
    return rc;
}

static struct transfer_order order(uint64_t id, struct account_id debit, struct account_id credit,
                                   int64_t amount)
{
    return (struct transfer_order){
        .id = uid('X', id), .debit = debit, .credit = credit, .amount = amount, .code = TRANSFER_LEASE};
}

static void fund(struct fixture *f, int64_t amount)
{
    struct transfer_order o = order(999, f->funding, f->wallet, amount);
    assert_int_equal(ledger_transfer(&f->ledger, &o), 0);
    table_clean(&f->ledger.transfers); /* as core_collect does */
}

static void test_hold_post_release(void **state)
{
    struct fixture *f = *state;
    struct ledger *l = &f->ledger;
    struct transfer_id hold;
    fund(f, 100);
    struct transfer_order o = order(1, f->wallet, f->revenue, 60);
    assert_int_equal(ledger_hold(l, &o, &hold), 0);
    assert_true(ledger_available(l, f->wallet) == 40 && ledger_unspent(l, f->wallet) == 100);
    o = order(2, f->wallet, f->revenue, 41);
    assert_int_equal(ledger_check(l, &o), ERR_BUDGET_SPENT); /* pending counts */
    ledger_post(l, hold, 25);
    assert_true(ledger_held(l, hold) == 35 && ledger_available(l, f->wallet) == 40);
    assert_true(ledger_unspent(l, f->wallet) == 75);
    ledger_release(l, hold, 5);
    assert_true(ledger_held(l, hold) == 30 && ledger_available(l, f->wallet) == 45);
    ledger_post(l, hold, 0);
    assert_int_equal(ledger_audit(l), 0);
    ledger_end(l, hold);
    assert_true(ledger_available(l, f->wallet) == 75);
    const struct row_account *revenue = ledger_row(l, f->revenue);
    assert_true(revenue->credits_posted == 25 && revenue->credits_pending == 0);
    struct uuid id = uid('X', 1);
    assert_int_equal(ledger_find_transfer(l, &id).v, INDEX_NONE);
}

static void test_order_errors(void **state)
{
    struct fixture *f = *state;
    struct ledger *l = &f->ledger;
    struct transfer_id hold;
    struct account_id other;
    struct uuid tenant = uid('T', 1);
    fund(f, 100);
    assert_int_equal(ledger_account(l, &tenant, ACCOUNT_WALLET, 840, &other), 0);
    struct transfer_order bad[] = {order(1, f->wallet, f->wallet, 1), order(1, f->wallet, other, 1),
                                   order(1, f->wallet, f->revenue, 0), order(1, f->wallet, f->revenue, -1)};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(ledger_transfer(l, &bad[i]), ERR_INVALID);
    struct transfer_order o = order(1, f->wallet, f->revenue, 101);
    assert_int_equal(ledger_transfer(l, &o), ERR_BUDGET_SPENT);
    o.amount = 100;
    assert_int_equal(ledger_hold(l, &o, &hold), 0);
    o = order(1, f->funding, f->wallet, 5);
    assert_int_equal(ledger_transfer(l, &o), ERR_EXISTS);
    o = order(2, f->revenue, f->wallet, 5); /* uncovered accounts may go below zero */
    assert_int_equal(ledger_transfer(l, &o), 0);
    ledger_end(l, hold);
}

/* Linked: the second is paid from what the first brings; where the last is refused none is posted. */
static void test_linked(void **state)
{
    struct fixture *f = *state;
    struct ledger *l = &f->ledger;
    fund(f, 100);
    struct transfer_order chain[] = {order(1, f->funding, f->wallet, 50),
                                     order(2, f->wallet, f->revenue, 150),
                                     order(3, f->revenue, f->rounding, 151)};
    assert_int_equal(ledger_link(l, chain, 3), 0);
    assert_true(ledger_available(l, f->wallet) == 0 && ledger_row(l, f->rounding)->credits_posted == 151);
    table_clean(&l->transfers);
    struct transfer_order poor[] = {order(4, f->funding, f->wallet, 50), order(5, f->wallet, f->revenue, 50),
                                    order(6, f->wallet, f->revenue, 1)};
    assert_int_equal(ledger_link(l, poor, 3), ERR_BUDGET_SPENT);
    assert_true(ledger_available(l, f->wallet) == 0 && ledger_row(l, f->funding)->debits_posted == 150);
    assert_int_equal(ledger_link(l, poor, 2), 0); /* its ids are free: nothing of it was posted */
    assert_int_equal(ledger_link(l, poor, 0), 0);
    table_clean(&l->transfers);
    struct transfer_order many[TRANSFERS + 1];
    for (uint32_t i = 0; i <= TRANSFERS; i++)
        many[i] = order(10 + i, f->revenue, f->rounding, 1);
    assert_int_equal(ledger_link(l, many, TRANSFERS + 1), ERR_LIMIT);
    assert_int_equal(ledger_link(l, many, TRANSFERS), 0);
}

static void test_sums_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct ledger *l = &f->ledger;
    fund(f, MONEY_MAX);
    struct transfer_order o = order(1, f->funding, f->wallet, 1);
    assert_int_equal(ledger_transfer(l, &o), ERR_OVERFLOW);
    o = order(1, f->wallet, f->revenue, INT64_MAX);
    assert_int_equal(ledger_transfer(l, &o), ERR_OVERFLOW);
    o.amount = MONEY_MAX;
    assert_int_equal(ledger_transfer(l, &o), 0);
    assert_true(ledger_available(l, f->wallet) == 0);
}

static void test_tables_fill(void **state)
{
    struct fixture *f = *state;
    struct ledger *l = &f->ledger;
    struct transfer_id hold[TRANSFERS], one;
    struct account_id account;
    fund(f, 100);
    for (uint32_t i = 0; i < TRANSFERS; i++) {
        struct transfer_order o = order(i, f->wallet, f->revenue, 1);
        assert_int_equal(ledger_hold(l, &o, &hold[i]), 0);
    }
    struct transfer_order o = order(50, f->wallet, f->revenue, 1);
    assert_int_equal(ledger_hold(l, &o, &one), ERR_LIMIT);
    ledger_end(l, hold[0]);
    /* Its place is free only after its row was collected; until then there is no room, and the check says so. */
    assert_int_equal(ledger_check(l, &o), ERR_LIMIT);
    assert_int_equal(ledger_hold(l, &o, &one), ERR_LIMIT);
    table_clean(&l->transfers);
    assert_int_equal(ledger_hold(l, &o, &one), 0);
    struct uuid owner = uid('T', 7);
    assert_int_equal(ledger_account(l, &owner, ACCOUNT_WALLET, EUR, &account), 0);
    assert_int_equal(ledger_account(l, &owner, ACCOUNT_FUNDING, EUR, &account), 0);
    assert_int_equal(ledger_account(l, &owner, ACCOUNT_REVENUE, EUR, &account), ERR_LIMIT);
    assert_int_equal(ledger_account(l, &owner, ACCOUNT_WALLET, EUR, &account), 0); /* is there already */
    ledger_end(l, one);
    for (uint32_t i = 1; i < TRANSFERS; i++)
        ledger_end(l, hold[i]);
}

static void test_rounding(void **state)
{
    struct fixture *f = *state;
    struct ledger *l = &f->ledger;
    struct uuid id = uid('X', 1);
    fund(f, 100);
    assert_int_equal(ledger_round(l, f->rounding, f->revenue, 600000, &id, 0), 0);
    assert_true(ledger_row(l, f->rounding)->residue == 600000);
    assert_true(ledger_row(l, f->rounding)->credits_posted == 0);
    assert_int_equal(ledger_round(l, f->rounding, f->revenue, 600000, &id, 0), 0);
    /* Tenants paid 1.2 nano-units too much: revenue gives the whole one to rounding. */
    assert_true(ledger_row(l, f->rounding)->residue == 200000);
    assert_true(ledger_row(l, f->rounding)->credits_posted == 1 &&
                ledger_row(l, f->revenue)->debits_posted == 1);
    id = uid('X', 2);
    assert_int_equal(ledger_round(l, f->rounding, f->revenue, -1900000, &id, 0), 0);
    assert_true(ledger_row(l, f->rounding)->residue == -700000);
    assert_true(ledger_row(l, f->rounding)->debits_posted == 1 &&
                ledger_row(l, f->revenue)->credits_posted == 1);
    assert_int_equal(ledger_round(l, f->rounding, f->revenue, 0, &id, 0), 0);
}

static void test_accounts(void **state)
{
    struct fixture *f = *state;
    struct uuid tenant = uid('T', 1), other = uid('T', 2);
    struct account_id again;
    assert_int_equal(ledger_account(&f->ledger, &tenant, ACCOUNT_WALLET, EUR, &again), 0);
    assert_int_equal(again.v, f->wallet.v);
    assert_int_equal(ledger_find(&f->ledger, &tenant, ACCOUNT_WALLET, EUR).v, f->wallet.v);
    assert_int_equal(ledger_find(&f->ledger, &tenant, ACCOUNT_WALLET, 840).v, INDEX_NONE);
    assert_int_equal(ledger_find(&f->ledger, &other, ACCOUNT_WALLET, EUR).v, INDEX_NONE);
    assert_true(account_covered(ACCOUNT_WALLET) && account_covered(ACCOUNT_KEY_LIMIT));
    assert_false(account_covered(ACCOUNT_FUNDING) || account_covered(ACCOUNT_REVENUE));
    assert_true(account_covered(ACCOUNT_GRANT));
    assert_false(account_covered(ACCOUNT_FEE) || account_covered(ACCOUNT_TAX) ||
                 account_covered(ACCOUNT_CARBON) || account_covered(ACCOUNT_SPONSOR) ||
                 account_covered(ACCOUNT_PEER) || account_covered(ACCOUNT_SETTLEMENT));
    assert_true(account_covered(12345));
    assert_string_equal(account_code_text(ACCOUNT_KEY_USED), "key_used");
    assert_string_equal(account_code_text(0), "?");
}

static void test_audit_finds(void **state)
{
    struct fixture *f = *state;
    struct ledger *l = &f->ledger;
    fund(f, 100);
    l->account[f->wallet.v].debits_posted++;
    assert_int_equal(ledger_audit(l), ERR_CORRUPT);
    l->account[f->wallet.v].debits_posted--;
    l->account[f->wallet.v].debits_pending++;
    l->account[f->revenue.v].credits_pending++;
    assert_int_equal(ledger_audit(l), ERR_CORRUPT); /* pending that no hold explains */
    l->account[f->wallet.v].debits_pending--;
    l->account[f->revenue.v].credits_pending--;
    l->account[f->wallet.v].debits_posted += 101;
    l->account[f->revenue.v].credits_posted += 101;
    assert_int_equal(ledger_audit(l), ERR_CORRUPT); /* a covered account is overdrawn */
    l->account[f->wallet.v].debits_posted -= 101;
    l->account[f->revenue.v].credits_posted -= 101;
    assert_int_equal(ledger_audit(l), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_even),
        cmocka_unit_test(test_cost_errors),
        cmocka_unit_test(test_residue_exact),
        cmocka_unit_test_setup_teardown(test_hold_post_release, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_linked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sums_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tables_fill, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rounding, setup, teardown),
        cmocka_unit_test_setup_teardown(test_accounts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_audit_finds, setup, teardown),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
