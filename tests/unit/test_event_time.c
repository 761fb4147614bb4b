/* SPDX-License-Identifier: Apache-2.0 */
/* When what a record tells was used: the edges of what is accepted, lines and hours of that time, corrections of months that are closed,
 * bills that are summed while a record comes late, and the hour of the day that a job's price goes by. */
#include "core/month.h"
#include "core/terms.h"
#include "dispatch_support.h"

#define BUDGET INT64_C(1000000000000)
#define PRICE 3600000 /* nano-units for a chip-hour: one for a chip-ms */
#define CHIPS 8

static struct world *world;
static uint64_t sequence;

static int setup(void **state)
{
    struct limits limits = dispatch_limits(4, 4, 64);
    limits.prices = 16;
    limits.meters = 8;
    world = world_dispatch(&limits, 0);
    assert_int_equal(do_tenant(world, 1, BUDGET), 0);
    assert_int_equal(do_key(world, 1, 1, -1), 0);
    assert_int_equal(do_model(world, 1), 0);
    assert_int_equal(do_price(world, 1, 1, 1000000, 0), 0);
    assert_int_equal(do_worker(world, 1), 0);
    do_two_sites(world, PRICE);
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 100000), 0);
    sequence = 0;
    *state = &world;
    return 0;
}

static int step(struct event e)
{
    return world_try(world, e);
}

/* So many tokens, at 1 each, that were used then. */
static int request(uint32_t prompt, int64_t used_ms)
{
    struct event e = meter_event(1, sequence + 1, 1, 1, 1, prompt);
    e.u.meter.used_ms = used_ms;
    int rc = step(e);
    sequence += rc == 0;
    return rc;
}

/* Chip-ms in all, at 1 each. */
static int job(uint64_t chip_ms, int64_t used_ms)
{
    return step((struct event){.kind = EVENT_KIND_job_meter,
                               .u.job_meter = {.job = uid('J', 1),
                                               .epoch = 1,
                                               .site = uid('S', 1),
                                               .ms = chip_ms / CHIPS,
                                               .chip_ms = chip_ms,
                                               .used_ms = used_ms}});
}

static int close_bill(uint32_t first, uint32_t month, int64_t total, uint64_t late)
{
    return step((struct event){.kind = EVENT_KIND_invoice_close,
                               .u.invoice_close = {.invoice = uid('I', month),
                                                   .tenant = uid('T', 1),
                                                   .month = month,
                                                   .total = total,
                                                   .first_month = first,
                                                   .late = late}});
}

static uint64_t late_count(void)
{
    struct uuid id = uid('T', 1);
    return view_tenant(world->core, &id)->late;
}

/* What the line of requests of that day has cost, with what bill it is; -1: there is none. */
static int64_t line_cost(int64_t used_ms, uint32_t billed)
{
    const struct row_bill key = {.tenant = uid('T', 1),
                                 .day = (uint64_t)(used_ms / DAY_MS),
                                 .item = uid('M', 1),
                                 .variant = uid('V', 1),
                                 .site = uid('S', 1),
                                 .price = uid('P', 1),
                                 .billed = billed};
    const struct row_bill *row = mirror_find(&world->mirror, ROW_KIND_bill, &key);
    return row ? row->cost : -1;
}

static int64_t job_cost(int64_t used_ms, uint32_t billed, int64_t rate, const struct version *v)
{
    struct row_bill key = {.tenant = uid('T', 1),
                           .day = (uint64_t)(used_ms / DAY_MS),
                           .item = uid('p', 1),
                           .site = uid('S', 1),
                           .rate = rate,
                           .billed = billed};
    if (v)
        key.price = version_pack(v);
    const struct row_bill *row = mirror_find(&world->mirror, ROW_KIND_bill, &key);
    return row ? row->cost : -1;
}

static uint64_t refused(uint32_t what, int code)
{
    const struct row_tally key = {
        .day = (uint64_t)(world->now / DAY_MS), .what = what, .code = (uint32_t)-code};
    const struct row_tally *row = mirror_find(&world->mirror, ROW_KIND_tally, &key);
    return row ? row->count : 0;
}

/* ---- what is accepted ---- */

static void test_edges_of_requests(void **state)
{
    (void)state;
    world->now += 60 * DAY_MS;
    const int64_t oldest = world->now - 35 * DAY_MS, newest = world->now + 5 * 60 * 1000;
    assert_int_equal(request(1, oldest - 1), ERR_TOO_OLD);
    assert_int_equal(request(1, newest + 1), ERR_TOO_NEW);
    assert_int_equal(request(1, INT64_MIN), ERR_TOO_OLD);
    assert_int_equal(request(1, INT64_MAX), ERR_TOO_NEW);
    assert_true(balance_of(world, 1).spent == 0 && world->mirror.count[ROW_KIND_bill] == 0 &&
                world->mirror.count[ROW_KIND_usage] == 0);
    assert_true(refused(TALLY_METER_REFUSED, ERR_TOO_OLD) == 2 &&
                refused(TALLY_METER_REFUSED, ERR_TOO_NEW) == 2);
    assert_int_equal(request(2, oldest), 0);
    assert_int_equal(request(4, newest), 0);
    assert_int_equal(request(8, 0), 0);
    assert_true(line_cost(oldest, 0) == 2 && line_cost(world->now, 0) == 12);
    /* Known before it is judged: what was recorded is no news, however old it is by now. */
    world->now += 35 * DAY_MS;
    sequence--;
    assert_int_equal(request(8, newest), ERR_DUPLICATE);
}

static void test_edges_of_jobs(void **state)
{
    (void)state;
    do_run_at(world, 1, 1);
    const int64_t started = world->now;
    world->now += 40 * DAY_MS;
    const int64_t oldest = world->now - 35 * DAY_MS, newest = world->now + 5 * 60 * 1000;
    assert_int_equal(job(1000, oldest - 1), ERR_TOO_OLD);
    assert_int_equal(job(1000, newest + 1), ERR_TOO_NEW);
    assert_true(balance_of(world, 1).spent == 0 && refused(TALLY_JOB_METER_REFUSED, ERR_TOO_OLD) == 1 &&
                refused(TALLY_JOB_METER_REFUSED, ERR_TOO_NEW) == 1);
    assert_int_equal(job(1000, oldest), 0);
    assert_int_equal(job(3000, newest), 0);
    assert_int_equal(job(3000, started), 0); /* it tells nothing new, and is told over and over */
    assert_true(refused(TALLY_JOB_METER_REFUSED, ERR_TOO_OLD) == 1);
    assert_true(job_cost(oldest, 0, PRICE, NULL) == 1000 && job_cost(world->now, 0, PRICE, NULL) == 2000);
}

/* A clock that was set says that something was used before it can have been. */
static void test_not_before_it_began(void **state)
{
    (void)state;
    const int64_t created = world->now;
    assert_int_equal(request(3, created - 20 * DAY_MS), 0);
    assert_true(line_cost(created, 0) == 3); /* else it would be on no bill */
    world->now += 3 * DAY_MS;
    do_run_at(world, 1, 1);
    const int64_t started = world->now;
    world->now += HOUR;
    assert_int_equal(job(1000, started - 2 * DAY_MS), 0);
    assert_true(job_cost(started, 0, PRICE, NULL) == 1000 &&
                job_cost(started - 2 * DAY_MS, 0, PRICE, NULL) < 0);
    assert_int_equal(job(3000, started - 60 * DAY_MS), 0); /* by however much */
    assert_true(job_cost(started, 0, PRICE, NULL) == 3000);
}

static void test_hour_of_usage(void **state)
{
    (void)state;
    world->now += 2 * DAY_MS;
    const int64_t then = world->now - 30 * HOUR;
    assert_int_equal(request(5, then), 0);
    assert_int_equal(request(7, 0), 0);
    struct row_usage key = {
        .tenant = uid('T', 1), .key = uid('K', 1), .model = uid('M', 1), .hour = (uint64_t)(then / HOUR)};
    const struct row_usage *row = mirror_find(&world->mirror, ROW_KIND_usage, &key);
    assert_true(row && row->prompt == 5 && row->requests == 1);
    key.hour = (uint64_t)(world->now / HOUR);
    row = mirror_find(&world->mirror, ROW_KIND_usage, &key);
    assert_true(row && row->prompt == 7);
}

/* ---- bills ---- */

static void test_correction(void **state)
{
    (void)state;
    const uint32_t month = month_of(world->now);
    const int64_t end = month_begin_ms(month + 1), day = end - DAY_MS / 2;
    do_run_at(world, 1, 1);
    assert_int_equal(request(100, 0), 0);
    world->now = end + MONTH_SETTLE_MS;
    assert_int_equal(request(10, day), 0); /* nothing is closed yet: it is on that month's bill */
    assert_true(line_cost(day, 0) == 10 && late_count() == 1);
    assert_int_equal(close_bill(month, month, 100, 0), ERR_WRONG_STATE); /* summed before it came */
    assert_int_equal(close_bill(month, month, 110, 1), 0);
    const int64_t closed[] = {line_cost(day, 0), line_cost(1790000000000, 0)};
    assert_int_equal(request(20, day), 0);
    assert_int_equal(request(3, day), 0);
    assert_int_equal(job(1000, day), 0);
    assert_int_equal(request(5, end), 0); /* the first moment of the month that is open */
    assert_true(line_cost(day, month + 1) == 23 && line_cost(end, 0) == 5 && late_count() == 4);
    assert_true(job_cost(day, month + 1, PRICE, NULL) == 1000 && job_cost(day, 0, PRICE, NULL) < 0);
    assert_true(line_cost(day, 0) == closed[0] && line_cost(1790000000000, 0) == closed[1]);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(request(2, day), 0);
    assert_true(line_cost(day, month + 1) == 25 && late_count() == 5);
    /* The next bill has it, and then it is closed as well. */
    world->now = month_begin_ms(month + 2) + MONTH_SETTLE_MS;
    assert_int_equal(close_bill(month + 1, month + 1, 1030, 5), 0);
    assert_int_equal(request(1, end + DAY_MS), 0);
    assert_true(line_cost(end + DAY_MS, month + 2) == 1 && line_cost(day, month + 1) == 25);
}

/* Nobody closed bills for months: what comes late is on the bill that is next, and no correction. */
static void test_open_months(void **state)
{
    (void)state;
    const uint32_t month = month_of(world->now);
    world->now = month_begin_ms(month + 1) + MONTH_SETTLE_MS;
    assert_int_equal(close_bill(month, month, 0, 0), 0);
    world->now = month_begin_ms(month + 4) + DAY_MS;
    const int64_t then = world->now - 20 * DAY_MS;
    assert_int_equal(request(9, then), 0);
    assert_true(line_cost(then, 0) == 9 && late_count() == 1);
    assert_int_equal(close_bill(month + 1, month + 3, 0, 0), ERR_WRONG_STATE);
    assert_int_equal(close_bill(month + 1, month + 3, 9, 1), 0);
    assert_int_equal(request(4, then), 0);
    assert_true(line_cost(then, month + 4) == 4);
}

/* ---- prices ---- */

/* From 7 to 19 it costs half as much again. What is told after 19 of the time before costs what it did then. */
static void test_hour_of_day(void **state)
{
    (void)state;
    world->now = (world->now / DAY_MS + 1) * DAY_MS + 12 * HOUR;
    struct event_tariff_put part = {.tariff = uid('F', 1),
                                    .what = TARIFF_TERMS,
                                    .chip = "chip",
                                    .hours0 = 0x7ff80, /* 7 to 18 */
                                    .factor0 = 1500};
    assert_int_equal(step((struct event){.kind = EVENT_KIND_tariff_put, .u.tariff_put = part}), 0);
    assert_int_equal(step((struct event){.kind = EVENT_KIND_tariff_set,
                                         .u.tariff_set = {.tariff = uid('F', 1), .parts = 1}}),
                     0);
    do_run_at(world, 1, 1);
    const struct version day = {.kind = VERSION_CHIPS, .base = PRICE, .factor = 1500};
    assert_int_equal(job(1000, 0), 0);
    const int64_t six = world->now + 6 * HOUR;
    world->now += 12 * HOUR; /* midnight */
    assert_int_equal(job(3000, six), 0);
    assert_true(job_cost(six, 0, version_rate(&day), &day) == 4500);
    assert_int_equal(job(4000, world->now - 1), 0);
    assert_true(job_cost(six, 0, PRICE, NULL) == 1000 && balance_of(world, 1).spent == 5500);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(test_edges_of_requests), T(test_edges_of_jobs), T(test_not_before_it_began), T(test_hour_of_usage),
        T(test_correction),        T(test_open_months),   T(test_hour_of_day)};
    return cmocka_run_group_tests_name("event_time", tests, NULL, NULL);
}
