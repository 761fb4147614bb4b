/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of bills, payments that count once, bills that are closed once, credit notes, calendar months. */
#include "base/checked.h"
#include "core/month.h"
#include "dispatch_support.h"

#define BUDGET 1000000

static struct world *world;

static int setup(void **state)
{
    world = world_usual(NULL, BUDGET);
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 100000), 0);
    *state = &world;
    return 0;
}

static int step(struct event e)
{
    return world_try(world, e);
}

static int topup(uint64_t payment, uint64_t tenant, int64_t amount)
{
    return step((struct event){
        .kind = EVENT_KIND_wallet_topup,
        .u.wallet_topup = {.payment = uid('Y', payment), .tenant = uid('T', tenant), .amount = amount}});
}

/* As whoever asks for it has summed it: from the month after the last one that is closed. */
static uint32_t first_month;

static int close_bill(uint64_t invoice, uint32_t month, int64_t total)
{
    return step((struct event){.kind = EVENT_KIND_invoice_close,
                               .u.invoice_close = {.invoice = uid('I', invoice),
                                                   .tenant = uid('T', 1),
                                                   .month = month,
                                                   .total = total,
                                                   .first_month = first_month}});
}

static int64_t given; /* by notes that whoever asks for another knows of */

static int credit(uint64_t payment, uint32_t month, int64_t amount, const char *reason)
{
    struct event e = {.kind = EVENT_KIND_credit_note,
                      .u.credit_note = {.payment = uid('Y', payment),
                                        .tenant = uid('T', 1),
                                        .month = month,
                                        .amount = amount,
                                        .before = given}};
    (void)text_set(e.u.credit_note.reason, TEXT_CAP, reason, strlen(reason));
    return step(e);
}

static const struct row_bill *bill(int64_t at_ms, const struct row_bill *more)
{
    struct row_bill key = *more;
    key.tenant = uid('T', 1);
    key.day = (uint64_t)(at_ms / DAY_MS);
    return mirror_find(&world->mirror, ROW_KIND_bill, &key);
}

static int64_t billed(void)
{
    const void **list = mirror_sorted(&world->mirror, ROW_KIND_bill);
    int64_t sum = 0;
    for (uint32_t i = 0; i < world->mirror.count[ROW_KIND_bill]; i++)
        sum += ((const struct row_bill *)list[i])->cost;
    free(list);
    return sum;
}

/* ---- lines ---- */

static void test_lines_of_requests(void **state)
{
    (void)state;
    const struct row_bill first = {.item = uid('M', 1), .price = uid('P', 1)};
    const struct row_bill second = {.item = uid('M', 1), .price = uid('P', 2)};
    struct event e = meter_event(1, 1, 1, 1, 1, 300);
    e.u.meter.site = e.u.meter.variant = uid('M', 0); /* zero but for its space: told apart all the same */
    assert_int_equal(world_step(world, &e), 0);
    assert_null(bill(world->now, &first));
    for (uint32_t i = 2; i < 5; i++) {
        e = meter_event(1, i, 1, 1, 1, 100);
        e.u.meter.site = e.u.meter.variant = (struct uuid){{0}};
        assert_int_equal(world_step(world, &e), 0);
    }
    const struct row_bill *row = bill(world->now, &first);
    assert_true(row && row->prompt == 300 && row->cost == 300);
    /* A new price begins a new line, and leaves the old one as it is. */
    assert_int_equal(do_price(world, 2, 1, 7000000, 0), 0);
    e = meter_event(1, 6, 1, 1, 1, 10);
    e.u.meter.site = e.u.meter.variant = (struct uuid){{0}};
    e.u.meter.price = uid('P', 2);
    assert_int_equal(world_step(world, &e), 0);
    assert_true(bill(world->now, &second)->cost == 70 && bill(world->now, &first)->cost == 300);
    int64_t day = world->now;
    world->now += DAY_MS;
    e.u.meter.sequence++;
    e.token = 0;
    e.at_ms = 0;
    assert_int_equal(world_step(world, &e), 0);
    assert_true(bill(world->now, &second)->cost == 70 && bill(day, &second)->cost == 70);
    assert_true(billed() == balance_of(world, 1).spent && billed() == 300 + 300 + 140);
}

/* A site with 400 g for a kWh and a PUE of 1.5; a job's chips use 1 kWh in all, told in two reports. */
static void test_lines_of_jobs(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(4, 4, 64);
    world_free(world);
    world = world_dispatch(&limits, 0);
    assert_int_equal(do_tenant(world, 1, BUDGET), 0);
    do_two_sites(world, 3600);
    struct event signal = {.kind = EVENT_KIND_site_signal,
                           .u.site_signal = {.site = uid('S', 1), .carbon = 400000, .pue = 1500}};
    assert_int_equal(world_step(world, &signal), 0);
    do_run_at(world, 1, 1);
    for (uint32_t i = 1; i <= 2; i++) {
        struct event e = {.kind = EVENT_KIND_job_meter,
                          .u.job_meter = {.job = uid('J', 1),
                                          .epoch = 1,
                                          .site = uid('S', 1),
                                          .ms = i * 1000,
                                          .chip_ms = i * 8000,
                                          .energy_mj = i * UINT64_C(1800000000)}};
        world->now += 1000;
        assert_int_equal(step(e), 0);
        assert_int_equal(step(e), 0); /* told again: nothing new */
    }
    const struct row_bill key = {.item = uid('p', 1), .site = uid('S', 1), .rate = 3600};
    const struct row_bill *row = bill(world->now, &key);
    assert_true(row && row->chip_ms == 16000 && row->energy_mj == UINT64_C(3600000000) && row->cost == 16);
    assert_true(row->carbon_ng == UINT64_C(600) * 1000000000);
    assert_true(row->cost == balance_of(world, 1).spent);
}

/* ---- payments ---- */

static void test_topup(void **state)
{
    (void)state;
    assert_int_equal(topup(1, 1, 500), 0);
    assert_true(balance_of(world, 1).budget == BUDGET + 500);
    assert_int_equal(topup(1, 1, 500), ERR_EXISTS);
    assert_int_equal(topup(1, 1, 7), ERR_EXISTS);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(topup(1, 1, 500), ERR_EXISTS);
    assert_true(balance_of(world, 1).budget == BUDGET + 500);
    assert_int_equal(topup(2, 9, 500), ERR_NOT_FOUND);
    assert_int_equal(topup(2, 1, 0), ERR_OVERFLOW);
    assert_int_equal(topup(2, 1, -1), ERR_OVERFLOW);
    assert_int_equal(topup(2, 1, MONEY_MAX), ERR_OVERFLOW); /* with what is there it would be too much */
    struct event e = {.kind = EVENT_KIND_wallet_topup,
                      .u.wallet_topup = {.tenant = uid('T', 1), .amount = 1}};
    assert_int_equal(step(e), ERR_INVALID);
    assert_int_equal(topup(2, 1, 500), 0);
    /* The whole budget can still be set, and the money that came in is a part of it. */
    assert_int_equal(do_budget(world, 1, BUDGET + 200), 0);
    assert_true(balance_of(world, 1).budget == BUDGET + 200);
}

/* Somebody waits for money: what is paid in serves him. */
static void test_topup_serves(void **state)
{
    (void)state;
    assert_int_equal(do_tenant(world, 2, 1000), 0);
    assert_int_equal(do_key(world, 2, 2, -1), 0);
    assert_int_equal(do_ask(world, 1, 5, 2, 2, 1000), 0);
    assert_int_equal(do_ask(world, 2, 6, 2, 2, 500), 0);
    assert_null(world_reply(world, world->token)); /* it waits for the first one */
    uint64_t waits = world->token;
    assert_int_equal(topup(1, 2, 500), 0);
    const struct effect *reply = world_reply(world, waits);
    assert_true(reply && reply->code == 0 && reply->amount == 500);
}

/* The newest are known by the core, of any number; none is lost from the books. */
static void test_many_payments(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= PAYMENTS_KEPT + 100; i++) {
        world->now++;
        assert_int_equal(topup(i, 1, 1), 0);
    }
    for (int round = 0; round < 2; round++) {
        assert_int_equal(world->mirror.count[ROW_KIND_payment], PAYMENTS_KEPT + 100);
        assert_int_equal(topup(101, 1, 1), ERR_EXISTS);
        assert_int_equal(topup(PAYMENTS_KEPT + 100, 1, 1), ERR_EXISTS);
        assert_true(balance_of(world, 1).budget == BUDGET + PAYMENTS_KEPT + 100);
        assert_int_equal(world_reload(world), 0);
    }
}

/* ---- bills ---- */

static void test_close(void **state)
{
    (void)state;
    uint32_t month = month_of(world->now);
    first_month = month;
    assert_int_equal(do_meter(world, 1, 1, 1, 1, 1, 400), 0);
    assert_int_equal(close_bill(1, month, 400), ERR_WRONG_STATE);
    world->now = month_begin_ms(month + 1) + MONTH_SETTLE_MS - 1;
    assert_int_equal(close_bill(1, month, 400), ERR_WRONG_STATE);
    world->now++;
    assert_int_equal(close_bill(1, month - 1, 0), ERR_WRONG_STATE); /* before the tenant was there */
    assert_int_equal(close_bill(1, 0, 0), ERR_INVALID);
    assert_int_equal(close_bill(1, MONTHS_MAX + 1, 0), ERR_INVALID);
    assert_int_equal(close_bill(1, month, -1), ERR_OVERFLOW);
    assert_int_equal(close_bill(1, month + 1, 0), ERR_WRONG_STATE);
    assert_int_equal(close_bill(1, month, 400), 0);
    const struct row_invoice one = {.id = uid('I', 1)};
    const struct row_invoice *row = mirror_find(&world->mirror, ROW_KIND_invoice, &one);
    assert_true(row && row->number == 1 && row->first_month == month && row->month == month &&
                row->total == 400 && row->closed_ms == world->now);
    assert_int_equal(close_bill(2, month, 400), ERR_EXISTS);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(close_bill(2, month, 400), ERR_EXISTS);
    /* Two months later: the next bill is of both. */
    world->now = month_begin_ms(month + 3) + MONTH_SETTLE_MS;
    assert_int_equal(close_bill(2, month + 2, 0),
                     ERR_WRONG_STATE); /* summed before the other one was closed */
    first_month = month + 1;
    assert_int_equal(close_bill(2, month + 2, 0), 0);
    const struct row_invoice two = {.id = uid('I', 2)};
    row = mirror_find(&world->mirror, ROW_KIND_invoice, &two);
    assert_true(row && row->number == 2 && row->first_month == month + 1 && row->month == month + 2);
}

static void test_credit(void **state)
{
    (void)state;
    uint32_t month = month_of(world->now);
    assert_int_equal(do_meter(world, 1, 1, 1, 1, 1, 400), 0);
    assert_int_equal(credit(1, month, 100, "late"), ERR_WRONG_STATE);
    world->now = month_begin_ms(month + 1) + MONTH_SETTLE_MS;
    first_month = month;
    given = 0;
    assert_int_equal(close_bill(1, month, 400), 0);
    assert_int_equal(credit(1, month, 100, ""), ERR_INVALID);
    assert_int_equal(credit(1, 0, 100, "late"), ERR_INVALID);
    assert_int_equal(credit(1, month, 401, "late"), ERR_OVERFLOW);
    int64_t available = balance_of(world, 1).budget - balance_of(world, 1).spent;
    assert_int_equal(credit(1, month, 100, "late"), 0);
    struct view_balance b = balance_of(world, 1);
    assert_true(b.spent == 300 && b.budget == BUDGET && b.budget - b.spent == available + 100);
    assert_int_equal(credit(1, month, 100, "late"), ERR_EXISTS);
    assert_int_equal(credit(2, month, 300, "late"), ERR_WRONG_STATE); /* summed without the note before it */
    given = 100;
    assert_int_equal(credit(2, month, 301, "late"), ERR_OVERFLOW);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(credit(2, month, 300, "late"), 0);
    assert_true(balance_of(world, 1).spent == 0 && billed() == 400); /* the lines stay as they are */
}

/* ---- months ---- */

static void test_months(void **state)
{
    (void)state;
    /* Days from 1970 to the first of the month, from Python's datetime. */
    static const struct {
        uint32_t month;
        int64_t days;
    } known[] = {{0, 0},       {1, 31},      {2, 59},       {25, 761},     {361, 10988},   {362, 11017},
                 {682, 20758}, {683, 20788}, {1561, 47513}, {1562, 47541}, {12000, 365243}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_true(month_begin_ms(known[i].month) == known[i].days * DAY_MS);
    for (uint32_t month = 0; month < MONTHS_MAX; month++) {
        assert_int_equal(month_of(month_begin_ms(month)), month);
        assert_int_equal(month_of(month_begin_ms(month + 1) - 1), month);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(test_lines_of_requests), T(test_lines_of_jobs), T(test_topup),  T(test_topup_serves),
        T(test_many_payments),     T(test_close),         T(test_credit), T(test_months)};
    return cmocka_run_group_tests_name("books", tests, NULL, NULL);
}
