/* SPDX-License-Identifier: Apache-2.0 */
/* Who bills and who is billed: each word is kept in the store under the time at which it was said, and nothing of it decides anything. */
#include "support.h"

static struct world *world;

static int setup(void **state)
{
    world = world_usual(NULL, 1000);
    world->now = 1000000;
    *state = &world;
    return 0;
}

static int say(struct uuid tenant, const char *name, const char *address, const char *tax_number)
{
    struct event e = {.kind = EVENT_KIND_billed_set, .u.billed_set.tenant = tenant};
    assert_true(text_set(e.u.billed_set.name, TEXT_CAP, name, strlen(name)));
    assert_true(text_set(e.u.billed_set.address, PATH_CAP, address, strlen(address)));
    assert_true(text_set(e.u.billed_set.tax_number, NAME_CAP, tax_number, strlen(tax_number)));
    return world_try(world, e);
}

static const struct row_billed *said(struct uuid owner, int64_t at_ms)
{
    struct row_billed key = {.owner = owner, .from_ms = at_ms};
    return mirror_find(&world->mirror, ROW_KIND_billed, &key);
}

static void test_each_is_kept(void **state)
{
    (void)state;
    const struct uuid network = {{0}}, tenant = uid('T', 1);
    uint64_t views = world_views(world);
    assert_int_equal(say(network, "A Network", "1 Grid Street\nSomewhere", "XX 1"), 0);
    assert_int_equal(say(tenant, "A Tenant", "", ""), 0);
    world->now++;
    assert_int_equal(say(tenant, "Another", "2 Load Road", ""), 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(say(tenant, "", "", ""), 0); /* of the same moment: the last word */
    assert_int_equal(world->mirror.count[ROW_KIND_billed], 3);
    assert_string_equal(said(network, 1000000)->address, "1 Grid Street\nSomewhere");
    assert_string_equal(said(network, 1000000)->tax_number, "XX 1");
    assert_string_equal(said(tenant, 1000000)->name, "A Tenant");
    assert_string_equal(said(tenant, 1000001)->name, "");
    assert_true(world_views(world) == views);
}

static void test_many_in_a_batch(void **state)
{
    (void)state;
    world->batching = true;
    for (int i = 0; i < BATCH_EVENTS_MAX; i++, world->now++)
        assert_int_equal(say(uid('T', 1), "A Tenant", "", ""), 0);
    world_collect(world);
    assert_int_equal(world->mirror.count[ROW_KIND_billed], BATCH_EVENTS_MAX);
}

static void test_refusals(void **state)
{
    (void)state;
    const struct uuid tenant = uid('T', 1);
    assert_int_equal(say(uid('T', 9), "Nobody", "", ""), ERR_NOT_FOUND);
    assert_int_equal(say(tenant, "two\nlines", "", ""), ERR_INVALID);
    assert_int_equal(say(tenant, "a", "a\tb", ""), ERR_INVALID);
    assert_int_equal(say(tenant, "a", "", "\x7f"), ERR_INVALID);
    struct event e = {.kind = EVENT_KIND_billed_set, .u.billed_set.tenant = tenant};
    memset(e.u.billed_set.name, 'a', sizeof e.u.billed_set.name); /* without an end */
    assert_int_equal(world_step(world, &e), ERR_INVALID);
    assert_int_equal(world->mirror.count[ROW_KIND_billed], 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
    const struct CMUnitTest tests[] = {TEST(test_each_is_kept), TEST(test_many_in_a_batch),
                                       TEST(test_refusals)};
    return cmocka_run_group_tests_name("billed", tests, NULL, NULL);
}
