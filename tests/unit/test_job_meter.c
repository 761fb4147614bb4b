/* SPDX-License-Identifier: Apache-2.0 */
/* What epochs of jobs use and cost: totals, late and repeated reports, a budget that ends, accounts that are closed. */
#include "dispatch_support.h"

#define PRICE 3600 /* nano-units for a chip-hour: one for 1,000 chip-ms */
#define CHIPS 8

static struct world *world;

/* Site 1 has a price. */
static struct world *with(uint32_t meters, int64_t budget)
{
    struct limits limits = dispatch_limits(4, 4, 64);
    limits.meters = meters;
    limits.corridors = 1;
    struct world *w = world_dispatch(&limits, 0);
    assert_int_equal(do_tenant(w, 1, budget), 0);
    do_two_sites(w, PRICE);
    return w;
}

static int setup(void **state)
{
    world = with(4, 1000000);
    *state = &world;
    return 0;
}

static struct event_job_meter report_of(uint64_t job, uint32_t epoch, uint64_t ms)
{
    return (struct event_job_meter){.job = uid('J', job),
                                    .epoch = epoch,
                                    .site = uid('S', 1),
                                    .ms = ms,
                                    .chip_ms = CHIPS * ms,
                                    .cpu_ms = 2 * ms,
                                    .energy_mj = 3 * ms};
}

static int do_report(struct event_job_meter report)
{
    struct event e = {.kind = EVENT_KIND_job_meter, .u.job_meter = report};
    return world_try(world, e);
}

static int meter(uint64_t job, uint32_t epoch, uint64_t ms, uint32_t flags)
{
    struct event_job_meter report = report_of(job, epoch, ms);
    report.flags = flags;
    return do_report(report);
}

static int returned(uint64_t job, uint32_t epoch)
{
    struct event e = {.kind = EVENT_KIND_job_return,
                      .u.job_return = {.job = uid('J', job), .epoch = epoch, .code = 1}};
    return world_step(world, &e);
}

static const struct row_job_usage *usage(uint64_t job, uint32_t epoch)
{
    struct row_job_usage key = {.job = uid('J', job), .epoch = epoch};
    const struct row_job_usage *row = mirror_find(&world->mirror, ROW_KIND_job_usage, &key);
    assert_non_null(row);
    return row;
}

static int64_t revenue_of(uint64_t site)
{
    struct row_account key = {.owner = uid('S', site), .code = ACCOUNT_REVENUE, .ledger = EUR};
    const struct row_account *row = mirror_find(&world->mirror, ROW_KIND_account, &key);
    return row ? row->credits_posted : 0;
}

static void test_totals(void **state)
{
    (void)state;
    do_run_at(world, 1, 1);
    world->now += MINUTE;
    assert_int_equal(meter(1, 1, 10000, JOB_METER_ESTIMATED), 0);
    assert_int_equal(usage(1, 1)->cost, 80);
    assert_int_equal(meter(1, 1, 10000, 0), 0); /* again */
    world_assert_untouched(world);
    assert_int_equal(meter(1, 1, 4000, 0), 0); /* late */
    world_assert_untouched(world);
    assert_int_equal(meter(1, 1, 10020, 0), 0); /* 80.16: what is less than one is kept */
    assert_int_equal(usage(1, 1)->cost, 80);
    assert_int_equal(usage(1, 1)->remainder, 160 * PRICE);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(meter(1, 1, 10130, 0), 0);
    const struct row_job_usage *row = usage(1, 1);
    assert_int_equal(row->cost, 81);
    assert_int_equal(row->unpaid, 0);
    assert_int_equal(row->ms, 10130);
    assert_int_equal(row->chip_ms, 81040);
    assert_int_equal(row->cpu_ms, 20260);
    assert_int_equal(row->energy_mj, 30390);
    assert_int_equal(row->flags, JOB_METER_ESTIMATED);
    assert_int_equal(row->price, PRICE);
    assert_true(is_uid(&row->site, 'S', 1) && is_uid(&row->pool, 'p', 1) && is_uid(&row->tenant, 'T', 1));
    assert_int_equal(balance_of(world, 1).spent, 81);
    assert_int_equal(revenue_of(1), 81);
}

/* A price holds for what starts from then on. */
static void test_price_changes(void **state)
{
    (void)state;
    do_run_at(world, 1, 1);
    world->now += MINUTE;
    assert_int_equal(meter(1, 1, 10000, 0), 0);
    assert_int_equal(do_pool_price(world, 1, 2 * PRICE), 0);
    assert_int_equal(meter(1, 1, 20000, 0), 0);
    assert_int_equal(usage(1, 1)->cost, 160);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(returned(1, 1), 0);
    world_settle(world);
    assert_int_equal(usage(1, 2)->price, 2 * PRICE);
    assert_int_equal(do_pool_price(world, 1, 0), 0);
    world->now += MINUTE;
    assert_int_equal(meter(1, 2, 10000, 0), 0);
    assert_int_equal(meter(1, 1, 30000, 0), 0);
    assert_int_equal(usage(1, 2)->cost, 160);
    assert_int_equal(usage(1, 1)->cost, 240);
    assert_int_equal(balance_of(world, 1).spent, 400);
    assert_int_equal(do_end(world, 1, 2), 0);
    do_run_at(world, 2, 1);
    assert_int_equal(usage(2, 1)->price, 0);
}

static void test_price_refused(void **state)
{
    (void)state;
    const int64_t wrong[] = {-1, PRICE_MAX + 1, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(do_pool_price(world, 1, wrong[i]), ERR_INVALID);
        world_assert_untouched(world);
    }
    assert_int_equal(do_pool_price(world, 9, 1), ERR_NOT_FOUND);
    world_assert_untouched(world);
    assert_int_equal(do_pool_price(world, 1, PRICE_MAX), 0);
    assert_int_equal(core_check(world->core), 0);
    assert_int_equal(world_reload(world), 0);
    do_run_at(world, 1, 1);
    assert_true(usage(1, 1)->price == PRICE_MAX);
}

static void test_refused(void **state)
{
    (void)state;
    do_run_at(world, 1, 1);
    world->now += MINUTE;
    struct event_job_meter report = report_of(1, 1, 1000);
    report.site = uid('S', 2);
    assert_int_equal(do_report(report), ERR_FORBIDDEN);
    assert_int_equal(meter(1, 2, 1000, 0), ERR_WRONG_STATE);
    assert_int_equal(meter(2, 1, 1000, 0), ERR_NOT_FOUND);
    assert_int_equal(meter(1, 1, 1000, 32), ERR_INVALID);
    assert_int_equal(meter(1, 1, 3 * MINUTE, 0), ERR_INVALID); /* it has not run for so long */
    report = report_of(1, 1, 1000);
    report.chip_ms = (CHIPS + 1) * (uint64_t)(2 * MINUTE); /* nor had it so many chips */
    assert_int_equal(do_report(report), ERR_INVALID);
    report.chip_ms = 0;
    report.energy_mj = UINT64_MAX;
    assert_int_equal(do_report(report), ERR_INVALID);
    report.energy_mj =
        CHIPS * UINT64_C(100000) * (3 * MINUTE); /* 100 kW for each chip, for longer than it has run */
    assert_int_equal(do_report(report), ERR_INVALID);
    report.energy_mj = 0;
    report.site = (struct uuid){{0}}; /* the hub's own process */
    assert_int_equal(do_report(report), 0);
}

/* Figures of an epoch that is over, while the next one runs and when the job is forgotten; each is billed by itself, once. */
static void test_after_the_end(void **state)
{
    (void)state;
    do_run_at(world, 1, 1);
    world->now += MINUTE;
    assert_int_equal(returned(1, 1), 0);
    world_settle(world);
    world->now += MINUTE;
    assert_int_equal(meter(1, 2, 5000, 0), 0);
    assert_int_equal(meter(1, 1, 60000, 0), 0);
    assert_int_equal(do_end(world, 1, 2), 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(meter(1, 1, 61000, JOB_METER_FINAL), 0); /* a grace of a second */
    assert_int_equal(usage(1, 1)->state, JOB_USAGE_CLOSED);
    assert_int_equal(meter(1, 1, 61000, JOB_METER_FINAL), ERR_NOT_FOUND);
    assert_int_equal(meter(1, 2, 60000, JOB_METER_FINAL | JOB_METER_TRUNCATED), 0);
    assert_int_equal(meter(1, 2, 60000, JOB_METER_FINAL), ERR_NOT_FOUND);
    assert_int_equal(usage(1, 2)->flags, JOB_METER_FINAL | JOB_METER_TRUNCATED);
    assert_int_equal(balance_of(world, 1).spent, 488 + 480);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(meter(1, 2, 60000, JOB_METER_FINAL), ERR_NOT_FOUND);
    assert_int_equal(world->mirror.count[ROW_KIND_job_usage], 2);
}

/* The last figures first, then the end. */
static void test_final_before_the_end(void **state)
{
    (void)state;
    do_run_at(world, 1, 1);
    world->now += MINUTE;
    assert_int_equal(meter(1, 1, 60000, JOB_METER_FINAL), 0);
    assert_int_equal(usage(1, 1)->state, JOB_USAGE_RUNS);
    assert_int_equal(meter(1, 1, 60000, JOB_METER_FINAL), 0);
    world_assert_untouched(world);
    assert_int_equal(meter(1, 1, 70000, 0), 0); /* there was to be no more */
    world_assert_untouched(world);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(do_end(world, 1, 1), 0);
    assert_int_equal(usage(1, 1)->state, JOB_USAGE_CLOSED);
    assert_int_equal(meter(1, 1, 60000, JOB_METER_FINAL), ERR_NOT_FOUND);
    assert_int_equal(balance_of(world, 1).spent, 480);
}

/* A site that was cut off let it run on, when its chips were given back: nobody pays for that but for a moment's grace. */
static void test_ran_on(void **state)
{
    (void)state;
    do_run_at(world, 1, 1);
    world->now += MINUTE;
    assert_int_equal(do_end(world, 1, 1), 0);
    world->now += HOUR;
    assert_int_equal(meter(1, 1, 60 * 60000, 0), 0);
    const uint64_t most_ms = 2 * 60000 + 60000 / 32;
    assert_int_equal(usage(1, 1)->chip_ms, CHIPS * most_ms);
    assert_int_equal(usage(1, 1)->cost, CHIPS * most_ms / 1000);
    assert_int_equal(usage(1, 1)->energy_mj, 3 * most_ms); /* of its energy as much as of its time */
    assert_int_equal(meter(1, 1, 60 * 60000, 0), 0);
    world_assert_untouched(world);
    /* Nor can chips have drawn more in their time than chips can, however little of it is told. */
    struct event_job_meter report = report_of(1, 1, 60 * 60000);
    report.chip_ms = 1000;
    report.energy_mj = CHIPS * UINT64_C(100000) * (60 * 60000);
    assert_int_equal(do_report(report), 0);
    assert_int_equal(usage(1, 1)->energy_mj, CHIPS * UINT64_C(100000) * most_ms);
}

/* While the events' clock is slowed, since the wall clock was set back, what runs is billed for all its time. */
static void test_slow_clock(void **state)
{
    (void)state;
    do_run_at(world, 1, 1);
    world->now += 63 * HOUR / 2;
    assert_int_equal(meter(1, 1, 32 * HOUR, 0), 0);
    assert_int_equal(do_end(world, 1, 1), 0);
    world->now += MINUTE;
    assert_int_equal(meter(1, 1, 32 * HOUR + 1000, JOB_METER_FINAL), 0);
    assert_int_equal(balance_of(world, 1).spent, CHIPS * (32 * HOUR + 1000) / 1000);
}

/* Of those that wait for their last figures the one that ended first is closed for one too many. */
static void test_forgotten(void **state)
{
    (void)state;
    for (uint64_t job = 1; job <= 6; job++) {
        do_run_at(world, job, 1);
        world->now += MINUTE;
        assert_int_equal(do_end(world, job, 1), 0);
        assert_int_equal(world_reload(world), 0);
    }
    for (uint64_t job = 1; job <= 6; job++) {
        assert_int_equal(usage(job, 1)->state, job <= 2 ? JOB_USAGE_CLOSED : JOB_USAGE_OVER);
        assert_int_equal(meter(job, 1, 60000, 0), job <= 2 ? ERR_NOT_FOUND : 0);
    }
    assert_int_equal(balance_of(world, 1).spent, 4 * 480);
}

static void test_free_of_charge(void **state)
{
    (void)state;
    struct event_job_meter report = report_of(1, 1, 60000);
    do_run_at(world, 1, 2);
    world->now += MINUTE;
    report.site = uid('S', 2);
    assert_int_equal(do_report(report), 0);
    assert_int_equal(usage(1, 1)->chip_ms, 480000);
    assert_int_equal(usage(1, 1)->cost, 0);
    assert_int_equal(balance_of(world, 1).spent, 0);
    assert_int_equal(world_count(world, EFFECT_JOB_STOP), 0);
}

/* The wallet is emptied, not overdrawn; the job is over, what it still used in its last moments is written down. */
static void test_budget_spent(void **state)
{
    (void)state;
    world_free(world);
    world = with(4, 100);
    do_run_at(world, 1, 1);
    world->now += MINUTE;
    assert_int_equal(meter(1, 1, 12500, 0), 0); /* to the last nano-unit */
    assert_int_equal(world_count(world, EFFECT_JOB_STOP), 0);
    assert_int_equal(meter(1, 1, 13000, 0), 0);
    const struct effect *stop = world_effect(world, EFFECT_JOB_STOP, 1);
    assert_non_null(stop);
    assert_int_equal(stop->code, ERR_BUDGET_SPENT);
    assert_int_equal(stop->epoch, 1);
    assert_int_equal(world_job(world, 1)->state, JOB_ENDED);
    assert_int_equal(world_job(world, 1)->code, ENDING_BUDGET << JOB_CODE_BITS);
    assert_string_equal(job_ending_text(world_job(world, 1)->code), "budget");
    assert_int_equal(usage(1, 1)->cost, 100);
    assert_int_equal(usage(1, 1)->unpaid, 4);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(meter(1, 1, 14000, 0), 0);
    assert_int_equal(usage(1, 1)->unpaid, 12);
    assert_int_equal(balance_of(world, 1).spent, 100);
    assert_int_equal(do_budget(world, 1, 110), 0);
    assert_int_equal(meter(1, 1, 14000, JOB_METER_FINAL), 0); /* there is something again */
    assert_int_equal(usage(1, 1)->cost, 110);
    assert_int_equal(usage(1, 1)->unpaid, 2);
    do_run_at(world, 2, 2); /* its chips are free */
}

/* An epoch that is over ends the job as well, if that runs again. */
static void test_budget_spent_before(void **state)
{
    (void)state;
    world_free(world);
    world = with(4, 100);
    do_run_at(world, 1, 1);
    world->now += MINUTE;
    assert_int_equal(returned(1, 1), 0);
    assert_int_equal(meter(1, 1, 13000, 0), 0); /* it waits: the next epoch will tell */
    assert_int_equal(world_job(world, 1)->state, JOB_QUEUED);
    world_settle(world);
    assert_int_equal(meter(1, 1, 13500, 0), 0);
    assert_int_equal(world_effect(world, EFFECT_JOB_STOP, 1)->epoch, 2);
    assert_int_equal(world_job(world, 1)->state, JOB_ENDED);
    assert_int_equal(usage(1, 2)->state, JOB_USAGE_OVER);
}

/* What a gateway holds is not spent: it is asked back, and the job runs on until it is. */
static void test_budget_held(void **state)
{
    (void)state;
    world_free(world);
    world = with(4, 100);
    assert_int_equal(do_worker(world, 1), 0);
    assert_int_equal(do_key(world, 1, 1, -1), 0);
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 60), 0);
    assert_int_equal(balance_of(world, 1).held, 60);
    do_run_at(world, 1, 1);
    world->now += MINUTE;
    assert_int_equal(meter(1, 1, 10000, 0), 0); /* 80 */
    assert_int_equal(world_count(world, EFFECT_RECALL), 1);
    assert_int_equal(world_count(world, EFFECT_JOB_STOP), 0);
    assert_int_equal(usage(1, 1)->cost, 40);
    assert_int_equal(usage(1, 1)->unpaid, 40);
    assert_int_equal(do_return(world, 1, 1, 0, true), 0);
    assert_int_equal(meter(1, 1, 11000, 0), 0);
    assert_int_equal(usage(1, 1)->cost, 88);
    assert_int_equal(usage(1, 1)->unpaid, 0);
    assert_int_equal(meter(1, 1, 20000, 0), 0);
    assert_int_equal(world_count(world, EFFECT_JOB_STOP), 1);
    assert_int_equal(balance_of(world, 1).spent, 100);
}

/* An id may be in use again when its job is forgotten: that one has an account of its own. */
static void test_id_again(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        do_run_at(world, 1, 1);
        world->now += MINUTE;
        assert_int_equal(meter(1, 1, 60000, 0), 0);
        assert_int_equal(usage(1, 1)->cost, 480);
        assert_int_equal(do_end(world, 1, 1), 0);
        assert_int_equal(world_reload(world), 0);
    }
    assert_int_equal(balance_of(world, 1).spent, 960);
}

/* A job that ran when epochs had no accounts yet has one from the load on; a row that does not add up is refused. */
static void test_rows(void **state)
{
    (void)state;
    do_run_at(world, 1, 1);
    struct row_job_usage row = *usage(1, 1);
    mirror_apply(&world->mirror, ROW_KIND_job_usage, ROW_DELETE, &row);
    assert_int_equal(world_reload(world), 0);
    world->now += MINUTE;
    assert_int_equal(meter(1, 1, 1000, 0), 0);
    assert_int_equal(usage(1, 1)->cost, 8);
    row = *usage(1, 1);
    row.cost++;
    mirror_apply(&world->mirror, ROW_KIND_job_usage, ROW_PUT, &row);
    assert_int_equal(world_reload(world), ERR_CORRUPT);
    row.cost--;
    row.state = JOB_USAGE_OVER;
    mirror_apply(&world->mirror, ROW_KIND_job_usage, ROW_PUT, &row);
    assert_int_equal(world_reload(world), ERR_CORRUPT);
    row.state = JOB_USAGE_RUNS;
    mirror_apply(&world->mirror, ROW_KIND_job_usage, ROW_PUT, &row);
    assert_int_equal(world_reload(world), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

/* ---- data ---- */

/* Site 1 is the hub's own, so data comes to site 2 over a corridor, of which a GB costs so much. */
static void do_corridor(int64_t price)
{
    struct event e = {
        .kind = EVENT_KIND_corridor_add,
        .u.corridor_add = {
            .corridor = uid('C', 1), .a = uid('S', 1), .b = uid('S', 2), .bits_s = 1000, .price = price}};
    assert_int_equal(world_step(world, &e), 0);
}

static int moved(uint64_t job, uint32_t epoch, uint64_t in, uint64_t out, uint32_t flags)
{
    return do_report((struct event_job_meter){.job = uid('J', job),
                                              .epoch = epoch,
                                              .site = uid('S', 2),
                                              .bytes_in = in,
                                              .bytes_out = out,
                                              .flags = flags});
}

static int64_t corridor_revenue(void)
{
    struct row_account key = {.owner = uid('C', 1), .code = ACCOUNT_REVENUE, .ledger = EUR};
    const struct row_account *row = mirror_find(&world->mirror, ROW_KIND_account, &key);
    return row ? row->credits_posted : 0;
}

static const struct row_corridor *corridor_row(void)
{
    struct row_corridor key = {.id = uid('C', 1)};
    return mirror_find(&world->mirror, ROW_KIND_corridor, &key);
}

/* Its data is told long after its last figures; each byte is paid for once, at the price of the start. */
static void test_data_after_the_end(void **state)
{
    (void)state;
    do_corridor(1000);
    do_run_at(world, 1, 2);
    assert_true(usage(1, 1)->data_price == 1000 && is_uid(&usage(1, 1)->corridor, 'C', 1));
    struct event e = {.kind = EVENT_KIND_corridor_set,
                      .u.corridor_set = {.corridor = uid('C', 1), .bits_s = 1000, .price = 7}};
    assert_int_equal(world_step(world, &e), 0);
    world->now += MINUTE;
    assert_int_equal(moved(1, 1, 0, 0, JOB_METER_FINAL | JOB_METER_DATA_DUE), 0);
    assert_int_equal(do_end(world, 1, 1), 0);
    assert_int_equal(usage(1, 1)->state, JOB_USAGE_OVER);
    assert_int_equal(world_reload(world), 0);
    world->now += HOUR;
    assert_int_equal(moved(1, 1, 1500000, 0, 0), 0); /* 1.5: to even */
    assert_int_equal(usage(1, 1)->data_cost, 2);
    assert_int_equal(moved(1, 1, 1500000, 0, 0), 0);
    world_assert_untouched(world);
    struct event_job_meter report = report_of(1, 1, 100);
    report.site = uid('S', 2);
    assert_int_equal(do_report(report), 0); /* run time is told no more */
    world_assert_untouched(world);
    assert_int_equal(moved(1, 1, 2000000, 500000, JOB_METER_DATA_TOLD), 0); /* 2.5: to even */
    assert_int_equal(usage(1, 1)->data_cost, 2);
    assert_int_equal(usage(1, 1)->state, JOB_USAGE_CLOSED);
    assert_int_equal(moved(1, 1, 3000000, 500000, JOB_METER_DATA_TOLD), ERR_NOT_FOUND);
    assert_true(balance_of(world, 1).spent == 2 && corridor_revenue() == 2 && revenue_of(2) == 0);
    assert_true(corridor_row()->bytes_jobs == 2500000 && corridor_row()->price == 7);
}

/* All of it may be told before the end; then the final report is the last. At the hub's own site no corridor is used. */
static void test_data_before_the_end(void **state)
{
    (void)state;
    do_corridor(UNIT);
    do_run_at(world, 1, 2);
    world->now += MINUTE;
    assert_int_equal(moved(1, 1, 100, 23, JOB_METER_DATA_TOLD), 0);
    assert_int_equal(usage(1, 1)->data_cost, 123);
    assert_int_equal(moved(1, 1, 0, 0, JOB_METER_FINAL | JOB_METER_DATA_DUE), 0);
    assert_int_equal(do_end(world, 1, 1), 0);
    assert_int_equal(usage(1, 1)->state, JOB_USAGE_CLOSED);
    do_run_at(world, 2, 1);
    assert_true(uuid_zero(&usage(2, 1)->corridor) && usage(2, 1)->data_price == 0);
    world->now += MINUTE;
    assert_int_equal(moved(1, 1, DATA_BYTES_MAX + 1, 0, 0), ERR_NOT_FOUND);
    do_run_at(world, 3, 2);
    assert_int_equal(moved(3, 1, DATA_BYTES_MAX + 1, 0, 0), ERR_INVALID);
    assert_int_equal(moved(3, 1, 0, DATA_BYTES_MAX + 1, 0), ERR_INVALID);
}

/* What a budget does not reach is owed, of both lines, and stops what runs. */
static void test_data_unpaid(void **state)
{
    (void)state;
    do_corridor(UNIT);
    do_run_at(world, 1, 2);
    world->now += MINUTE;
    assert_int_equal(moved(1, 1, 999990, 0, 0), 0);
    assert_int_equal(world_count(world, EFFECT_JOB_STOP), 0);
    assert_int_equal(moved(1, 1, 1000025, 0, 0), 0);
    assert_int_equal(world_count(world, EFFECT_JOB_STOP), 1);
    assert_true(usage(1, 1)->data_cost == 1000000 && usage(1, 1)->data_unpaid == 25);
    assert_int_equal(do_budget(world, 1, 1000030), 0);
    assert_int_equal(moved(1, 1, 1000025, 2, JOB_METER_DATA_TOLD), 0);
    assert_true(usage(1, 1)->data_cost == 1000027 && usage(1, 1)->data_unpaid == 0);
    assert_int_equal(world_reload(world), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_totals),
        TEST(test_price_changes),
        TEST(test_price_refused),
        TEST(test_refused),
        TEST(test_after_the_end),
        TEST(test_final_before_the_end),
        TEST(test_data_after_the_end),
        TEST(test_data_before_the_end),
        TEST(test_data_unpaid),
        TEST(test_forgotten),
        TEST(test_free_of_charge),
        TEST(test_budget_spent),
        TEST(test_budget_spent_before),
        TEST(test_budget_held),
        TEST(test_ran_on),
        TEST(test_slow_clock),
        TEST(test_id_again),
        TEST(test_rows),
    };
    return cmocka_run_group_tests_name("job_meter", tests, NULL, NULL);
}
