/* SPDX-License-Identifier: Apache-2.0 */
/* The checker and work that can wait: each violation provoked once, and what looks like one and is none. */
#include "checker_support.h"

#define FIRST 1000 /* when a checker's time begins, ck_setup */

static void price(uint32_t site, int64_t nano)
{
    ck_event.kind = EVENT_KIND_site_signal;
    ck_event.u.site_signal = (struct event_site_signal){.site = ck_site(site), .price = nano, .pue = 1250};
    ck_step();
}

static void put_class(uint32_t part, int64_t start_by_ms, int64_t threshold)
{
    ck_event.kind = EVENT_KIND_plan_class;
    ck_event.u.plan_class = (struct event_plan_class){
        .plan = ck_job(99), .part = part, .chip = "a100", .start_by_ms = start_by_ms, .threshold = threshold};
    ck_step();
}

static void put_rent(uint32_t part, uint32_t pool, int64_t rent)
{
    ck_event.kind = EVENT_KIND_plan_rent;
    ck_event.u.plan_rent =
        (struct event_plan_rent){.plan = ck_job(99), .part = part, .pool = ck_pool(pool), .rent = rent};
    ck_step();
}

static void set_plan(uint32_t parts, int64_t until_ms)
{
    ck_event.kind = EVENT_KIND_plan_set;
    ck_event.u.plan_set = (struct event_plan_set){.plan = ck_job(99), .parts = parts, .until_ms = until_ms};
    ck_step();
}

/* A chip-hour of 400 W costs 500 at the first site and 1000 at the second; jobs may wait 1000 ms, a plan holds for long. */
static void plan(int64_t threshold)
{
    price(1, 1000);
    price(2, 2000);
    put_class(0, ck_now_ms + 100000, threshold);
    set_plan(1, ck_now_ms + 100000);
}

static void submit(uint32_t j, uint32_t count, int64_t start_by_ms)
{
    struct event_job_submit *e = ck_submit_made(j, "a100", count);
    e->duration_ms = 10;
    e->start_by_ms = start_by_ms;
    ck_step();
}

static void test_at_threshold(void **state)
{
    (void)state;
    plan(500);
    submit(1, 1, FIRST + 1000);
    ck_tick_one(1, 1, 0, 1, 1);
    ck_clean();
}

static void test_above_threshold(void **state)
{
    (void)state;
    plan(999);
    submit(1, 1, FIRST + 1000);
    ck_tick_one(1, 3, 0, 1, 1);
    ck_found(CHECKER_THRESHOLD);
}

static void test_rent_counts(void **state)
{
    (void)state;
    price(1, 1000);
    put_class(0, FIRST + 100000, 600);
    put_rent(1, 1, 101);
    set_plan(2, FIRST + 100000);
    submit(1, 1, FIRST + 1000);
    ck_tick_one(1, 1, 0, 1, 1);
    ck_found(CHECKER_THRESHOLD);
}

static void test_chip_counts(void **state)
{
    (void)state;
    price(1, 1000);
    ck_event.kind = EVENT_KIND_pool_price;
    ck_event.u.pool_price = (struct event_pool_price){.pool = ck_pool(1), .price = 100};
    ck_step();
    put_class(0, FIRST + 100000, 600);
    set_plan(1, FIRST + 100000);
    submit(1, 1, FIRST + 1000);
    ck_tick_one(1, 1, 0, 1, 1);
    ck_clean();
    ck_event.kind = EVENT_KIND_pool_price;
    ck_event.u.pool_price = (struct event_pool_price){.pool = ck_pool(1), .price = 101};
    ck_step();
    submit(2, 1, FIRST + 1000);
    ck_tick_one(2, 1, 0, 1, 1);
    ck_found(CHECKER_THRESHOLD);
}

static void test_price_of_nothing(void **state)
{
    (void)state;
    ck_event.kind = EVENT_KIND_pool_price;
    ck_event.u.pool_price.pool = ck_pool(99);
    ck_step();
    ck_found(CHECKER_ACCEPTED);
}

static void test_carbon_counts(void **state)
{
    (void)state;
    ck_event.kind = EVENT_KIND_dispatch_set;
    ck_event.u.dispatch_set =
        (struct event_dispatch_set){.order = ORDER_SIZE, .fit = FIT_BACKFILL, .carbon_price = 1000000};
    ck_step();
    ck_event.kind = EVENT_KIND_site_signal;
    ck_event.u.site_signal = (struct event_site_signal){.site = ck_site(1), .carbon = 1000, .pue = 1250};
    ck_step();
    put_class(0, FIRST + 100000, 499);
    set_plan(1, FIRST + 100000);
    submit(1, 1, FIRST + 1000);
    ck_tick_one(1, 1, 0, 1, 1);
    ck_found(CHECKER_THRESHOLD);
}

/* Classes by latest start: the first that takes it in, the last for all beyond. */
static void test_class(void **state)
{
    (void)state;
    price(1, 1000);
    put_class(0, FIRST + 500, 600);
    put_class(1, FIRST + 1500, 500);
    put_class(2, FIRST + 2500, 400);
    set_plan(3, FIRST + 100000);
    submit(1, 1, FIRST + 500);
    submit(2, 1, FIRST + 501);
    submit(3, 1, FIRST + 9000);
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick_one(2, 1, 0, 1, 1);
    ck_clean();
    ck_tick_one(3, 1, 0, 1, 1);
    ck_found(CHECKER_THRESHOLD);
}

static void test_by_deadline(void **state)
{
    (void)state;
    plan(1);
    for (uint32_t j = 1; j <= 2; j++) {
        struct event_job_submit *e = ck_submit_made(j, "a100", 1);
        e->duration_ms = 300;
        e->count1 = 1;
        e->rate1 = 500; /* the slower size lasts 600 */
        e->deadline_ms = FIRST + 1600;
        ck_step();
    }
    ck_now_ms = FIRST + 999;
    ck_tick_one(1, 1, 0, 1, 1);
    ck_found(CHECKER_THRESHOLD);
    ck_now_ms = FIRST + 1000;
    ck_tick_one(2, 1, 0, 1, 1);
    assert_int_equal(checker_violations(ck_checker), 1);
}

/* What a stop left of a job is what it must still have time for, with the start from its checkpoint. */
static void test_by_deadline_after_stop(void **state)
{
    (void)state;
    for (uint32_t j = 1; j <= 2; j++) {
        struct event_job_submit *e = ck_submit_made(j, "a100", 8);
        e->flags = JOB_INTERRUPTIBLE;
        e->duration_ms = 1000;
        e->checkpoint_ms = 10;
        e->checkpoint_every_ms = 100;
        e->deadline_ms = FIRST + 2000;
        ck_step();
        ck_tick_one(j, 1, j - 1, 8, 1);
    }
    plan(1);
    ck_now_ms = FIRST + 700;
    for (uint32_t j = 1; j <= 2; j++) {
        ck_set_node(1, j - 1, PLACE_LOST);
        struct effect *e = ck_effect(EFFECT_JOB_STOP, j, 1);
        e->epoch = 1;
        e->amount = 700;
        ck_step();
    }
    ck_now_ms = FIRST + 1689; /* 300 of it are left, and 10 to start from there */
    ck_share(1, 3, 0, 8);
    ck_start(1, 3, 8, 2)->amount = 700;
    ck_tick();
    ck_found(CHECKER_THRESHOLD);
    ck_now_ms = FIRST + 1690;
    ck_share(2, 3, 1, 8);
    ck_start(2, 3, 8, 2)->amount = 700;
    ck_tick();
    assert_int_equal(checker_violations(ck_checker), 1);
}

static void test_plan_over(void **state)
{
    (void)state;
    plan(1);
    submit(1, 1, FIRST + 900000);
    submit(2, 1, FIRST + 900000);
    ck_now_ms = FIRST + 100000;
    ck_tick_one(1, 1, 0, 1, 1);
    plan(1);
    set_plan(0, 0);
    ck_tick_one(2, 1, 0, 1, 1);
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_clean();
}

static void test_held_too_long(void **state)
{
    (void)state;
    plan(1);
    submit(1, 1, FIRST + 1000);
    ck_now_ms = FIRST + 999;
    ck_tick();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_clean();
    ck_now_ms = FIRST + 1000;
    ck_tick();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_found(CHECKER_HELD);
}

/* There is no room, or somebody else waits for it. */
static void test_held_for_a_reason(void **state)
{
    (void)state;
    plan(1);
    for (uint32_t i = 0; i < 6; i++) {
        ck_submit(1 + i, 8, 1);
        ck_tick_one(1 + i, i < 4 ? 1 : 3, i % 4, 8, 1);
    }
    submit(10, 1, FIRST + 1000);
    ck_now_ms = FIRST + 1000;
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_end(1, 1);
    ck_step();
    ck_submit(11, 16, 1); /* the node that is free may be kept for it */
    submit(12, 1, FIRST + 2000);
    ck_now_ms = FIRST + 2000;
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_clean();
}

/* Whoever waits by choice is overtaken by all, and overtakes nobody. */
static void test_order(void **state)
{
    (void)state;
    ck_set_order(ORDER_FIFO, FIT_STRICT);
    plan(500);
    submit(1, 1, FIRST + 1000);
    ck_submit(2, 1, 1);
    ck_tick_one(2, 1, 0, 1, 1);
    ck_clean();
    ck_submit(3, 1, 1);
    ck_tick_one(1, 1, 0, 1, 1);
    ck_found(CHECKER_OVERTAKEN);
}

static void test_order_after_latest(void **state)
{
    (void)state;
    ck_set_order(ORDER_FIFO, FIT_STRICT);
    plan(1);
    submit(1, 1, FIRST + 1000);
    ck_submit(2, 1, 1);
    ck_now_ms = FIRST + 1000;
    ck_tick_one(2, 1, 0, 1, 1);
    ck_found(CHECKER_OVERTAKEN);
}

static void test_accepted(void **state)
{
    (void)state;
    put_class(0, FIRST + 1, 1);
    put_class(2, FIRST + 2, 1);
    ck_found(CHECKER_ACCEPTED);
    set_plan(1, FIRST);
    assert_int_equal(checker_violations(ck_checker), 2);
}

/* A plan in force without its parts is told, and the parts that are there are all of it. */
static void test_more_parts(void **state)
{
    (void)state;
    put_class(0, FIRST + 100000, 500);
    set_plan(1u << 30, FIRST + 100000);
    ck_found(CHECKER_ACCEPTED);
    submit(1, 1, FIRST + 1000);
    ck_tick();
    assert_int_equal(checker_violations(ck_checker), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_at_threshold), TEST(test_above_threshold),    TEST(test_rent_counts),
        TEST(test_chip_counts),  TEST(test_price_of_nothing),   TEST(test_carbon_counts),
        TEST(test_class),        TEST(test_by_deadline),        TEST(test_by_deadline_after_stop),
        TEST(test_plan_over),    TEST(test_held_too_long),      TEST(test_held_for_a_reason),
        TEST(test_order),        TEST(test_order_after_latest), TEST(test_accepted),
        TEST(test_more_parts),
    };
    return cmocka_run_group_tests_name("checker_plan", tests, NULL, NULL);
}
