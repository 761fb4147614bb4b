/* SPDX-License-Identifier: Apache-2.0 */
/* Prices with a date: in force from then on, through reloads, and never over what was admitted before. */
#include "dispatch_support.h"

static struct world *world;

static int setup(void **state)
{
    (void)state;
    world = world_usual(NULL, 1000000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

static int price(uint64_t id, int64_t prompt, int64_t from_ms)
{
    struct event e = {
        .kind = EVENT_KIND_price_set,
        .u.price_set = {.price = uid('P', id), .model = uid('M', 1), .prompt = prompt, .from_ms = from_ms}};
    return world_step(world, &e);
}

static int pool_price(int64_t nano, int64_t from_ms)
{
    struct event e = {.kind = EVENT_KIND_pool_price,
                      .u.pool_price = {.pool = uid('p', 1), .price = nano, .from_ms = from_ms}};
    return world_step(world, &e);
}

static bool in_force(uint64_t id)
{
    struct uuid model = uid('M', 1);
    return is_uid(&view_model(world->core, &model)->price, 'P', id);
}

static int64_t hour_of_pool(void)
{
    struct uuid pool = uid('p', 1);
    return view_pool(world->core, &pool)->price;
}

static void until(int64_t ms)
{
    world->now = ms;
    if (core_deadline_ms(world->core) <= ms)
        assert_int_equal(do_tick(world), 0);
    assert_int_equal(core_check(world->core), 0);
}

static void test_models(void **state)
{
    (void)state;
    int64_t now = world->now;
    struct uuid model = uid('M', 1);
    assert_int_equal(price(2, 20, now + 1000), 0);
    assert_int_equal(price(3, 30, now + 500), 0);
    assert_int_equal(price(4, 40, now + 2000), 0);
    assert_true(in_force(1) && core_deadline_ms(world->core) == now + 500);
    assert_true(view_price_then(world->core, &model, NULL, now + 1500)->prompt == 20);
    assert_true(view_price_then(world->core, &model, NULL, now + 499)->prompt == 1000000);
    until(now + 499);
    assert_true(in_force(1));
    assert_int_equal(world_reload(world), 0);
    until(now + 500);
    assert_true(in_force(3) && world->effects.routes_changed);
    /* One that is set at once holds until the next date, and no date before it comes back. */
    assert_int_equal(price(5, 50, 0), 0);
    assert_true(in_force(5));
    until(now + 999);
    assert_true(in_force(5));
    assert_int_equal(world_reload(world), 0);
    until(now + 5000); /* two dates are over by now: the later one holds */
    assert_true(in_force(4) && core_deadline_ms(world->core) > now + 5000);
    assert_int_equal(world_reload(world), 0);
    until(now + 6000);
    assert_true(in_force(4));
    assert_int_equal(price(6, 60, now + 1), 0); /* over: at once */
    assert_true(in_force(6));
    until(now + 7000);
    assert_true(in_force(6));
}

/* A request that was admitted before is billed at its own price, and its line says so. */
static void test_billed_as_admitted(void **state)
{
    (void)state;
    int64_t now = world->now;
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 10000), 0);
    assert_int_equal(price(2, 9000000, now + 100), 0);
    until(now + 100);
    assert_true(in_force(2));
    assert_int_equal(do_meter(world, 1, 1, 1, 1, 1, 70), 0); /* price 1 */
    assert_true(balance_of(world, 1).spent == 70);
    struct event e = meter_event(1, 2, 1, 1, 1, 70);
    e.u.meter.price = uid('P', 2);
    assert_int_equal(world_step(world, &e), 0);
    assert_true(balance_of(world, 1).spent == 70 + 630);
    assert_int_equal(world->mirror.count[ROW_KIND_bill], 2);
}

/* A price whose time has come, and that no tick has turned to yet, is not forgotten over one that is told meanwhile; of two for one
 * moment the one with the greater id holds. */
static void test_late_tick(void **state)
{
    (void)state;
    int64_t now = world->now;
    assert_int_equal(price(7, 10, now + 1000), 0);
    assert_int_equal(price(9, 20, now + 2000), 0);
    assert_int_equal(price(8, 30, now + 2000), 0);
    world->now = now + 5000;
    assert_int_equal(price(10, 40, now + 9000), 0);
    assert_true(core_deadline_ms(world->core) <= world->now);
    assert_int_equal(world_reload(world), 0);
    until(now + 5001);
    assert_true(in_force(9));
    until(now + 9000);
    assert_true(in_force(10));
}

/* A model that is added under an id that was there before has that one's price, whether or not the hub was started anew between. */
static void test_added_again(void **state)
{
    (void)state;
    struct uuid model = uid('M', 2);
    for (uint32_t reload = 0; reload < 2; reload++) {
        assert_int_equal(do_model(world, 2), 0);
        if (reload == 0)
            assert_int_equal(do_price(world, 7, 2, 10, 10), 0);
        assert_int_equal(do_model_remove(world, 2), 0);
        assert_int_equal(do_model(world, 2), 0);
        if (reload == 1)
            assert_int_equal(world_reload(world), 0);
        until(world->now + 1);
        assert_true(is_uid(&view_model(world->core, &model)->price, 'P', 7));
        assert_int_equal(do_model_remove(world, 2), 0);
    }
}

static void test_pools(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(4, 4, 64);
    struct uuid pool = uid('p', 1);
    world_free(world);
    world = world_dispatch(&limits, 0);
    do_two_sites(world, 100);
    int64_t now = world->now;
    assert_int_equal(pool_price(300, now + 3000), 0);
    assert_int_equal(pool_price(999, now + 1000), 0);
    assert_int_equal(pool_price(200, now + 1000), 0); /* told anew for the same date */
    assert_int_equal(pool_price(-1, now + 1000), ERR_INVALID);
    assert_true(hour_of_pool() == 100 && core_deadline_ms(world->core) <= now + 1000);
    assert_int_equal(world->mirror.count[ROW_KIND_pool_price], 2);
    assert_true(view_item_price_then(world->core, &pool, now + 2000) == 200);
    assert_int_equal(world_reload(world), 0);
    until(now + 1000);
    assert_true(hour_of_pool() == 200);
    assert_int_equal(pool_price(250, now + 2000), 0);
    until(now + 9000); /* both dates are over: the later one holds */
    assert_true(hour_of_pool() == 300);
    assert_int_equal(world->mirror.count[ROW_KIND_pool_price], 0);
    assert_int_equal(pool_price(50, 0), 0);
    assert_int_equal(world_reload(world), 0);
    until(now + 10000);
    assert_true(hour_of_pool() == 50);
}

/* Whatever comes in force when, and however often the core is lost: the price is the last one whose date is over; of two for
 * the same moment, the one with the greater id. */
static void test_any_order(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (uint64_t round = 0; round < test_count(20, 2000); round++) {
        int64_t best = 0;
        int64_t date[24];
        uint32_t n = 0, seen = 0;
        (void)setup(NULL);
        int64_t start = world->now;
        for (int step = 0; step < 60; step++) {
            if (n < 24 && test_below(&seed, 3) == 0) {
                int64_t from = world->now + 1 + (int64_t)test_below(&seed, 1000);
                assert_int_equal(price(100 + n, 1, from), 0);
                date[n++] = from;
            }
            if (test_below(&seed, 10) == 0)
                assert_int_equal(world_reload(world), 0);
            until(world->now + (int64_t)test_below(&seed, 100));
            for (uint32_t i = 0; i < n; i++) {
                if (date[i] <= world->now && date[i] >= best) {
                    best = date[i];
                    seen = 100 + i;
                }
            }
            assert_true(in_force(best > start ? seen : 1));
        }
        (void)teardown(NULL);
    }
    (void)setup(NULL); /* for the group's teardown */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_models),    T(test_billed_as_admitted),
        T(test_late_tick), T(test_added_again),
        T(test_pools),     cmocka_unit_test_teardown(test_any_order, teardown)};
    return cmocka_run_group_tests_name("tariff", tests, NULL, NULL);
}
